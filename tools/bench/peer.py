"""Training steps with PEFT, diffusers and transformers, for `delora bench`, which asks for them line by line.

    peer.py THREADS

A question is a line of JSON: network, method, batch and steps. The answer is the seconds that the steps took. Networks,
ranks and targets are those of crates/bench/src/networks.rs, methods those of methods.rs.
"""

import json
import sys
import time
import warnings
from functools import lru_cache
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from peft import DeloraConfig, IA3Config, LoraConfig, OFTConfig, VeraConfig, get_peft_model
from transformers import AutoModelForCausalLM, RobertaModel

ASSETS = Path(__file__).parents[2] / "assets/mini"
TOKENS, CAPTION = 64, 32
# Rank, targets of low-rank methods, and what IA3 adapts; the last of it is a way out of a feed-forward block.
NETWORKS = {
    "unet": (16, ["to_q", "to_k", "to_v", "to_out.0"], ["to_k", "to_v", "ff.net.2"]),
    "encoder": (8, ["query", "value"], ["key", "value", "output.dense"]),
    "decoder": (8, ["q_proj", "v_proj"], ["k_proj", "v_proj", "down_proj"]),
}


def config(method, rank, targets, scaled):
    lora = {"r": rank, "lora_alpha": 2 * rank, "target_modules": targets}
    match method:
        case "lora":
            return LoraConfig(**lora)
        case "dora":
            return LoraConfig(**lora, use_dora=True)
        case "delora":
            return DeloraConfig(r=rank, delora_lambda=4, target_modules=targets)
        case "oft_series" | "oft_exact":
            series = method == "oft_series"
            return OFTConfig(r=4, oft_block_size=0, use_cayley_neumann=series, target_modules=targets)
        case "ia3":
            return IA3Config(target_modules=scaled, feedforward_modules=scaled[-1:])
        case "vera":
            return VeraConfig(r=64, target_modules=targets)


def network(name):
    if name == "unet":
        return UNet2DConditionModel.from_pretrained(ASSETS / "sd/unet")
    if name == "encoder":
        return RobertaModel.from_pretrained(ASSETS / "encoder", add_pooling_layer=False)
    return AutoModelForCausalLM.from_pretrained(ASSETS / "decoder")


@lru_cache(maxsize=None)
def model(name, method):
    built = network(name).eval()
    if method == "full":
        built.requires_grad_(True)
    elif method == "bitfit":
        for key, parameter in built.named_parameters():
            parameter.requires_grad_(key.endswith("bias"))
    else:
        built.requires_grad_(False)
        built = get_peft_model(built, config(method, *NETWORKS[name])).base_model.model
    trained = [parameter for parameter in built.parameters() if parameter.requires_grad]
    return built, torch.optim.AdamW(trained, lr=1e-4)


def loss(name, built, batch):
    if name == "unet":
        size = built.config.sample_size
        noisy = torch.randn(batch, built.config.in_channels, size, size)
        context = torch.randn(batch, CAPTION, built.config.cross_attention_dim)
        predicted = built(noisy, torch.randint(1000, (batch,)), context).sample
        return torch.nn.functional.mse_loss(predicted, noisy)
    ids = torch.randint(5, built.config.vocab_size, (batch, TOKENS + (name == "decoder")))
    if name == "encoder":
        return built(input_ids=ids).last_hidden_state.square().mean()
    logits = built(input_ids=ids[:, :-1]).logits
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())


def seconds(question):
    name = question["network"]
    built, optimizer = model(name, question["method"])
    started = time.perf_counter()
    for _ in range(question["steps"]):
        loss(name, built, question["batch"]).backward()
        optimizer.step()
        optimizer.zero_grad()
    return time.perf_counter() - started


def main():
    warnings.filterwarnings("ignore")
    torch.set_num_threads(int(sys.argv[1]))
    for line in sys.stdin:
        print(seconds(json.loads(line)), flush=True)


if __name__ == "__main__":
    main()
