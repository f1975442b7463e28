"""PEFT's side of `just bench-methods`: a training step of each method by the frozen network's own, on the same encoder.

Forward, backward and AdamW of one adapted model, divided by forward and backward of the bare one whose embedded words
require a gradient. Sizes, targets and rank are those of crates/finetune/benches/methods.rs.
"""

import statistics
import time

import torch
from peft import DeloraConfig, IA3Config, LoraConfig, OFTConfig, VeraConfig, get_peft_model
from transformers import RobertaConfig, RobertaModel

LAYERS, TOKENS, BATCHES, ROUNDS = 4, 64, (8, 1), 7
TARGETS = ["query", "value"]
METHODS = {
    "lora": LoraConfig(r=8, lora_alpha=16, target_modules=TARGETS),
    "dora": LoraConfig(r=8, lora_alpha=16, target_modules=TARGETS, use_dora=True),
    "rslora": LoraConfig(r=8, lora_alpha=16, target_modules=TARGETS, use_rslora=True),
    "pissa": LoraConfig(r=8, lora_alpha=16, target_modules=TARGETS, init_lora_weights="pissa"),
    "delora": DeloraConfig(r=8, delora_lambda=4, target_modules=TARGETS),
    # PEFT's default takes five terms of a series for the inverse in the Cayley map; ours, and PEFT's other, is exact.
    "oft, series (default)": OFTConfig(r=4, oft_block_size=0, use_cayley_neumann=True, target_modules=TARGETS),
    "oft, exact": OFTConfig(r=4, oft_block_size=0, use_cayley_neumann=False, target_modules=TARGETS),
    "ia3": IA3Config(target_modules=["key", "value", "output.dense"], feedforward_modules=["output.dense"]),
    "vera": VeraConfig(r=256, target_modules=TARGETS),
}


def encoder():
    torch.manual_seed(0)
    config = RobertaConfig(vocab_size=1000, num_hidden_layers=LAYERS, max_position_embeddings=514, type_vocab_size=1)
    return RobertaModel(config, add_pooling_layer=False).eval().requires_grad_(False)


def timed(step):
    started = time.perf_counter()
    step()
    return time.perf_counter() - started


def frozen_step(ids):
    model = encoder()
    model.enable_input_require_grads()
    return lambda: model(ids).last_hidden_state.square().mean().backward()


def adapted_step(config, ids):
    model = get_peft_model(encoder(), config)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)

    def step():
        model(input_ids=ids).last_hidden_state.square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def main():
    for batch in BATCHES:
        ids = torch.randint(5, 1000, (batch, TOKENS))
        frozen = frozen_step(ids)
        steps = {name: adapted_step(config, ids) for name, config in METHODS.items()}
        ratios, bases = {name: [] for name in steps}, []
        for round_index in range(ROUNDS + 1):
            before = timed(frozen)
            taken = {name: timed(step) for name, step in steps.items()}
            base = (before + timed(frozen)) / 2
            if round_index > 0:
                bases.append(base)
                for name, seconds in taken.items():
                    ratios[name].append(seconds / base)
        print(f"PEFT, batch {batch}: frozen {statistics.median(bases):.3f} s")
        for name, values in ratios.items():
            print(f"  {name:26} {statistics.median(values):.3f}")


if __name__ == "__main__":
    main()
