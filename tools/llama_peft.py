"""Instruction tuning by PEFT and transformers, under the paper's protocol: what our own training is checked against.

    .tools/goldens/bin/python tools/llama_peft.py --method delora --model assets/mini/decoder \\
        --instructions assets/mini/instruct/alpaca.jsonl --test-share 0.1 --warmup-steps 10 \\
        --lambda 8 --learning-rate 1e-2 --learning-rate-strength 5e-3
    .tools/goldens/bin/python tools/llama_peft.py --from-trial results/instruct/mini/trials/ID.json --seeds 0 1 2

The second form takes what a finished trial of `delora run` was told, and any flag that is given besides it; run it where
that trial ran, as its folders may be relative. A line of CSV per seed and interval goes to the standard output: the mean
training loss of the steps since the last line, and at the end (step `test`) the loss on the test set, by token.

Protocol (mwbini/ether, finetune/lora.py and prepare_alpaca.py):

- Template, then the response without a blank between, after a begin token and before an end token, cut to
  `--max-length`: a long example loses its end token. All tokens but the first are predicted, the prompt's too.
- `random_split` with seed 42 keeps the share `--test-share` for testing.
- A step's loss is a mean over its tokens; with `--loss-mean examples` over its examples' means, as in the reference.
- AdamW without clipping, every parameter decays; rates rise from 0 over the warmup, then fall along a cosine to 0.
- Each epoch shuffles the examples, in an order of our own; the first step begins with the longest under
  `--longest-first`. The last step of an epoch may be smaller. There is no dropout.

LoRA, DoRA and DeLoRA act on query and value. DeLoRA is PEFT's form, whose B starts at zero; ours may differ in that.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import pyarrow.parquet
import torch
from peft import DeloraConfig, LoraConfig, inject_adapter_in_model
from tokenizers import Tokenizer
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import random_split
from transformers import AutoModelForCausalLM, get_cosine_schedule_with_warmup

TARGETS = ["q_proj", "v_proj"]
METHODS = ["none", "full", "lora", "dora", "delora"]
SPLIT_SEED = 42
EVALUATION_BATCH = 16
PRECISIONS = {"f32": torch.float32, "bf16": torch.bfloat16}
# Where the instructions are within a folder, without `.jsonl`, `.json` or `.parquet`.
NAMES = ["data/train-00000-of-00001", "train", "alpaca_data_cleaned_archive", "alpaca_data"]
WITHOUT_INPUT = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{instruction}\n\n### Response:"
)
WITH_INPUT = (
    "Below is an instruction that describes a task, paired with an input that provides further context. Write a response "
    "that appropriately completes the request.\n\n### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:"
)


def from_trial(path):
    """The settings in a trial's file, by the names of the flags; those that it leaves out are left out."""
    config = json.loads(path.read_text())["record"]["config"]
    method, optimizer = config["method"], config.get("optimizer", {})
    rates = method.get("learning_rate", {})
    rates = {group: rate * config.get("learning_rate_multiplier", 1) for group, rate in rates.items()}
    names = "epochs batch max_length loss_mean longest_first test_share train_limit test_limit warmup_steps precision"
    found = {name: config.get(name) for name in names.split()}
    found |= {name: Path(config[name]) for name in ("model", "instructions")}
    found |= {"method": method["name"], "seeds": [config["seed"]]}
    found |= {"rank": method.get("rank"), "alpha": method.get("alpha"), "strength": method.get("lambda")}
    found |= {"learning_rate": rates.get("angles", rates.get("weight"))}
    found |= {f"learning_rate_{group}": rates.get(group) for group in ("strength", "magnitude")}
    found |= {"betas": optimizer.get("betas"), "weight_decay": optimizer.get("weight_decay")}
    for key, only in (("schedule", "cosine"), ("loss_on", "all")):
        if config.get(key, only) != only:
            sys.exit(f"error: {path} has {key} = {config[key]!r}; here is {only!r} alone")
    return {name: value for name, value in found.items() if value is not None}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--from-trial", type=Path, metavar="JSON", help="take the settings from one of our trials")
    add("--method", choices=METHODS, help="none: only the loss on the test set")
    add("--model", type=Path, help="folder with config.json, weights and tokenizer.json")
    add("--instructions", type=Path, help="file of instructions in Alpaca's form, or a folder with one")
    add("--seeds", type=int, nargs="+", default=[1337])
    add("--epochs", type=int, default=1)
    add("--batch", type=int, default=8)
    add("--max-length", type=int, default=256)
    add("--loss-mean", choices=["tokens", "examples"], default="tokens")
    add("--longest-first", action="store_true")
    add("--test-share", type=float, default=0.03865)
    add("--train-limit", type=int, help="the first examples only")
    add("--test-limit", type=int, help="the first examples only")
    add("--learning-rate", type=float, help="of A and B, or of all weights under full finetuning")
    add("--learning-rate-strength", type=float, help="of DeLoRA's lambda")
    add("--learning-rate-magnitude", type=float, help="of DoRA's magnitudes; that of A and B by default")
    add("--rank", type=int, default=8)
    add("--alpha", type=float, help="of LoRA and DoRA; the rank by default")
    add("--lambda", type=float, dest="strength", help="of DeLoRA at the start")
    add("--betas", type=float, nargs=2, default=[0.9, 0.95])
    add("--weight-decay", type=float, default=0.01)
    add("--warmup-steps", type=int, default=100)
    add("--precision", choices=PRECISIONS, default="f32")
    add("--device", default="cpu")
    add("--every", type=int, default=50, help="steps between lines")
    trial = parser.parse_known_args()[0].from_trial
    if trial is not None:
        parser.set_defaults(**from_trial(trial))
    settings = parser.parse_args()
    needed = ["method", "model", "instructions"]
    needed += [] if settings.method == "none" else ["learning_rate"]
    needed += ["learning_rate_strength", "strength"] if settings.method == "delora" else []
    for name in needed:
        if getattr(settings, name) is None:
            parser.error(f"--{'lambda' if name == 'strength' else name.replace('_', '-')} is needed")
    if settings.method not in METHODS:
        parser.error(f"{trial} is a trial of {settings.method}; here are {', '.join(METHODS)}")
    return settings


def read(path):
    """Rows of instructions."""
    if path.is_dir():
        tried = [path / f"{name}{ending}" for name in NAMES for ending in (".jsonl", ".json", ".parquet")]
        path = next((file for file in tried if file.is_file()), path)
    if not path.is_file():
        sys.exit(f"error: {path} has no instructions; --instructions takes a file, or a folder with {', '.join(NAMES)}")
    if path.suffix == ".parquet":
        return pyarrow.parquet.read_table(path).to_pylist()
    text = path.read_text(encoding="utf-8")
    return json.loads(text) if path.suffix == ".json" else [json.loads(line) for line in text.splitlines()]


def corpus(settings, config):
    """Token ids of the training examples and of the test examples."""
    tokenizer = Tokenizer.from_file(str(settings.model / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    rows = read(settings.instructions)
    texts = [(WITH_INPUT if row.get("input") else WITHOUT_INPUT).format(**row) + row["output"] for row in rows]
    encoded = tokenizer.encode_batch(texts, add_special_tokens=False)
    begin, end = config.bos_token_id, config.eos_token_id
    examples = [torch.tensor([begin, *text.ids, end][: settings.max_length]) for text in encoded]
    generator = torch.Generator().manual_seed(SPLIT_SEED)
    train, test = random_split(examples, [1 - settings.test_share, settings.test_share], generator)
    return list(train)[: settings.train_limit], list(test)[: settings.test_limit]


def cross_entropies(model, examples):
    """A row of cross-entropies for each example, zero where there is nothing to predict; and where there is."""
    device = model.device
    ids = pad_sequence(examples, batch_first=True).to(device)
    mask = torch.arange(ids.shape[1], device=device) < torch.tensor([len(own) for own in examples], device=device)[:, None]
    logits = model(ids, attention_mask=mask.long()).logits[:, :-1].float()
    own = F.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none")
    return own * mask[:, 1:], mask[:, 1:]


def loss_of(model, examples, loss_mean):
    values, mask = cross_entropies(model, examples)
    if loss_mean == "tokens":
        return values.sum() / mask.sum()
    return (values.sum(1) / mask.sum(1)).mean()


@torch.no_grad()
def test_loss(model, examples):
    """By token, over all examples."""
    total, count = 0.0, 0
    model.eval()
    for start in range(0, len(examples), EVALUATION_BATCH):
        values, mask = cross_entropies(model, examples[start : start + EVALUATION_BATCH])
        total += values.sum(dtype=torch.float64).item()
        count += mask.sum().item()
    return total / count if count else None


def build(settings):
    model = AutoModelForCausalLM.from_pretrained(settings.model, dtype=PRECISIONS[settings.precision])
    model.requires_grad_(settings.method == "full")
    rank = settings.rank
    if settings.method in ("lora", "dora"):
        alpha = rank if settings.alpha is None else settings.alpha
        is_dora = settings.method == "dora"
        lora = LoraConfig(r=rank, lora_alpha=alpha, target_modules=TARGETS, use_dora=is_dora)
        inject_adapter_in_model(lora, model)
    elif settings.method == "delora":
        inject_adapter_in_model(DeloraConfig(r=rank, delora_lambda=settings.strength, target_modules=TARGETS), model)
    return model.to(settings.device)


def optimizer_of(settings, model):
    rates = {"delora_lambda": settings.learning_rate_strength, "magnitude": settings.learning_rate_magnitude}
    groups = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            own = next((rate for part, rate in rates.items() if part in name), None)
            groups.setdefault(settings.learning_rate if own is None else own, []).append(parameter)
    parts = [{"params": part, "lr": rate} for rate, part in groups.items()]
    return torch.optim.AdamW(parts, betas=tuple(settings.betas), weight_decay=settings.weight_decay)


def order_of(settings, examples, epoch, generator):
    order = torch.randperm(len(examples), generator=generator).tolist()
    if settings.longest_first and epoch == 0:
        longest = max(range(len(order)), key=lambda place: len(examples[order[place]]))
        order[0], order[longest] = order[longest], order[0]
    return order


def train(settings, model, examples, seed):
    """Trains, and yields `(step, loss)` at intervals: the mean loss since the last one."""
    generator = torch.Generator().manual_seed(seed)
    total = settings.epochs * -(-len(examples) // settings.batch)
    optimizer = optimizer_of(settings, model)
    schedule = get_cosine_schedule_with_warmup(optimizer, settings.warmup_steps, total)
    model.train()
    step, losses = 0, []
    for epoch in range(settings.epochs):
        order = order_of(settings, examples, epoch, generator)
        for start in range(0, len(order), settings.batch):
            loss = loss_of(model, [examples[row] for row in order[start : start + settings.batch]], settings.loss_mean)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            step += 1
            losses.append(loss.item())
            if step % settings.every == 0 or step == total:
                yield step, sum(losses) / len(losses)
                losses = []


def main():
    settings = arguments()
    print("method,seed,step,loss,seconds")
    for seed in settings.seeds:
        torch.manual_seed(seed)
        model = build(settings)
        examples, test = corpus(settings, model.config)
        started = time.perf_counter()
        line = lambda step, loss: print(
            settings.method, seed, step, f"{loss:.6f}", f"{time.perf_counter() - started:.1f}", sep=",", flush=True
        )
        if settings.method != "none":
            for step, loss in train(settings, model, examples, seed):
                line(step, loss)
        if test:
            line("test", test_loss(model, test))


if __name__ == "__main__":
    main()
