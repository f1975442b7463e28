"""Golden files for `crates/llama-it`: 50 steps of finetuning a tiny LLaMA by PEFT.

The frozen network is `crates/models/tests/golden/llama/`, which `decoders.py` writes. `training/batches.safetensors` has
`batches` [steps, rows, tokens], padded on the right with 0, and `lengths` [steps, rows], the same for each method. Its
text has a pattern to learn: most words are followed by one of a few. A method's folder beside it has
`case.json` (settings) and `io.safetensors`:

- `losses` [steps], each before the step: the cross-entropy of the next token, a mean over all real tokens of a batch
  that have one before them, in f32;
- `initial.<layer>.<A, B or lambda>` and `stepped.<layer>.…`, the parameters before the first and after the last step,
  with names and shapes of the Rust method's header.

AdamW decays every parameter. Rates rise from 0 over the first steps, then fall along a cosine: step k, from 0, has the
share k / warmup_steps of the full rate, later (1 + cos(π (k - warmup_steps) / (steps - warmup_steps))) / 2.

DeLoRA is PEFT's form, whose B starts at zero. The first step with a rate then gives each entry of B about that rate,
whichever its gradient; the run is repeated in f64 to see that no loss hangs on a rounding error.
"""

import copy
import json
from pathlib import Path

import torch
from decoders import loss_of
from methods import named, write
from models import GOLDEN as MODELS
from peft import DeloraConfig, LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, get_cosine_schedule_with_warmup

GOLDEN = Path(__file__).resolve().parents[2] / "crates/llama-it/tests/golden/training"
NETWORK = "llama"
TARGETS = ["q_proj", "v_proj"]
STEPS, ROWS, TOKENS, WARMUP_STEPS = 50, 4, 16, 10
BETAS, WEIGHT_DECAY = (0.9, 0.95), 0.01
RANK = 4
HABIT = 0.85  # how often a word is followed by its own one,
COMMON = 6  # which is among so many
# Ours by PEFT's, relative to the adapted linear.
LORA = {"lora_A.default.weight": "A", "lora_B.default.weight": "B"}
DELORA = {"delora_A.default": "A", "delora_B.default": "B", "delora_lambda.default": "lambda"}


def batches(vocab_size):
    """Rows of 5 to 16 words after a first token 1, the first row of each batch the longest; and their lengths."""
    generator = torch.Generator().manual_seed(200)
    following = torch.randint(3, 3 + COMMON, (vocab_size - 3,), generator=generator)
    ids = torch.randint(3, vocab_size, (STEPS, ROWS, TOKENS), generator=generator)
    is_habit = torch.rand(ids.shape, generator=generator) < HABIT
    lengths = torch.randint(5, TOKENS + 1, (STEPS, ROWS), generator=generator)
    lengths[:, 0] = TOKENS
    ids[..., 0] = 1
    for position in range(2, TOKENS):
        own = following[ids[..., position - 1] - 3]
        ids[..., position] = torch.where(is_habit[..., position], own, ids[..., position])
    return ids * (torch.arange(TOKENS) < lengths.unsqueeze(-1)), lengths


def trained(model, names):
    """What is trained, by our names."""
    found = {}
    for key, parameter in model.named_parameters():
        if parameter.requires_grad:
            layer, theirs = next((key.split(f".{name}")[0], name) for name in names if key.endswith(name))
            found[f"{layer.removeprefix('base_model.model.')}.{names[theirs]}"] = parameter
    return found


def train(model, parameters, learning_rate, ids, lengths):
    groups = [
        {"params": [value], "lr": learning_rate["strength" if name.endswith("lambda") else "angles"]}
        for name, value in parameters.items()
    ]
    optimizer = torch.optim.AdamW(groups, betas=BETAS, weight_decay=WEIGHT_DECAY)
    schedule = get_cosine_schedule_with_warmup(optimizer, WARMUP_STEPS, STEPS)
    model.train()
    losses = []
    for batch, length in zip(ids, lengths):
        mask = (torch.arange(TOKENS) < length.unsqueeze(1)).long()
        loss = loss_of(model(batch, attention_mask=mask).logits, batch, mask)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.detach())
    return torch.stack(losses)


def record(name, seed, method, config, names, learning_rate, ids, lengths):
    network = AutoModelForCausalLM.from_pretrained(MODELS / NETWORK, attn_implementation="eager")
    torch.manual_seed(seed)
    model = get_peft_model(network, config)
    exact = copy.deepcopy(model).double()
    parameters = trained(model, names)
    tensors = named("initial", parameters)
    tensors["losses"] = train(model, parameters, learning_rate, ids, lengths)
    tensors |= named("stepped", parameters)
    write(tensors, GOLDEN / name / "io.safetensors")
    case = {
        "source": "peft 0.21.2 and transformers 4.57.6",
        "network": f"crates/models/tests/golden/{NETWORK}",
        "method": method,
        "targets": TARGETS,
        "learning_rate": learning_rate,
        "betas": BETAS,
        "weight_decay": WEIGHT_DECAY,
        "warmup_steps": WARMUP_STEPS,
        "steps": STEPS,
    }
    (GOLDEN / name / "case.json").write_text(json.dumps(case, indent=2) + "\n")
    error = (train(exact, trained(exact, names), learning_rate, ids, lengths) - tensors["losses"]).abs().max()
    assert error < 1e-5, f"{name}: losses in f64 differ by {error:.1e}; take another seed"
    losses = tensors["losses"]
    halves = losses[:10].mean().item(), losses[-10:].mean().item()
    print(f"{name}: losses {halves[0]:.4f} at first, {halves[1]:.4f} at last, {error:.0e} from f64's")


def main():
    torch.set_num_threads(1)
    vocab_size = json.loads((MODELS / NETWORK / "config.json").read_text())["vocab_size"]
    ids, lengths = batches(vocab_size)
    write(dict(batches=ids, lengths=lengths), GOLDEN / "batches.safetensors")
    lora = LoraConfig(r=RANK, lora_alpha=RANK, target_modules=TARGETS)
    settings = {"name": "lora", "rank": RANK, "alpha": float(RANK)}
    record("lora", 201, settings, lora, LORA, {"angles": 5e-3}, ids, lengths)
    delora = DeloraConfig(r=RANK, delora_lambda=2.0, target_modules=TARGETS)
    settings = {"name": "delora", "rank": RANK, "lambda": 2.0, "initial_update": "zero_b", "weight_norm": "input_column"}
    record("delora", 202, settings, delora, DELORA, {"angles": 2e-2, "strength": 1e-2}, ids, lengths)


if __name__ == "__main__":
    main()
