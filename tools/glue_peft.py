"""GLUE by PEFT and transformers, under the paper's protocol: what our own training is checked against.

    .tools/goldens/bin/python tools/glue_peft.py --task mrpc --method delora --model models/all-MiniLM-L6-v2 \\
        --data GLUE --epochs 10 --lambda 4 --learning-rate 1e-2 --learning-rate-strength 1e-2 --learning-rate-head 1e-3
    .tools/goldens/bin/python tools/glue_peft.py --from-trial results/glue/small/trials/ID.json --seeds 42 43

The second form takes what a finished trial of `delora run` was told, and any flag that is given besides it; run it
where that trial ran, as its folders may be relative. `--start` takes the trial's initial values, the order of its
examples and its warm-up too, from a file that `crates/roberta-glue/examples/starting_point.rs` has written; without
dropout the two then train the same, step by step. A line of CSV per seed goes to the standard output, with scores as
fractions; `tools/glue_paired.py` makes a comparison of several.

Protocol (ExplainableML/DeLoRA, glue_delora.py):

- The validation set is permuted by the seed. Its first half (1000 rows of MNLI, QNLI and QQP) chooses the epoch and
  the rest is reported; for CoLA it is the other way round.
- Each epoch shuffles the training set; batches are padded to their longest row, and the last one may be smaller.
- AdamW (0.9, 0.999, 1e-8) with a linear schedule, without clipping. Biases do not decay.
- After each epoch the first metric (accuracy, Matthews, Pearson) is measured on the tuning half. Where it is better
  than any before, which start at 0, the other half is scored, and the last such score counts; STS-B's is the mean of
  Pearson and Spearman.

LoRA and DeLoRA act on query and value. Dropout of the frozen encoder is active in training. The head is that of the
model class, starts at N(0, 0.02²) with biases of 0, and is trained by every method, at its own rate: RoBERTa's two
layers, or BERT's pooler and classifier, where the pooler's weights in the checkpoint are not used. DeLoRA is PEFT's
form, whose B starts at zero; ours may differ in that.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import glue_dropout
import numpy
import pyarrow.parquet
import torch
from peft import DeloraConfig, LoraConfig, inject_adapter_in_model
from safetensors.torch import load_file
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import matthews_corrcoef
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoModelForSequenceClassification, get_linear_schedule_with_warmup, logging

TARGETS = ["query", "value"]
HEADS = {"bert": ("bert.pooler.", "classifier."), "roberta": ("classifier.",)}
HEAD_STD = 0.02
EVALUATION_BATCH = 64
SENTENCES = ("sentence1", "sentence2")
# Columns with text, and number of outputs.
TASKS = {
    "mnli": (("premise", "hypothesis"), 3),
    "sst2": (("sentence",), 2),
    "mrpc": (SENTENCES, 2),
    "cola": (("sentence",), 2),
    "qnli": (("question", "sentence"), 2),
    "qqp": (("question1", "question2"), 2),
    "rte": (SENTENCES, 2),
    "stsb": (SENTENCES, 1),
    "wnli": (SENTENCES, 2),
}
LARGE = {"mnli": 1000, "qnli": 1000, "qqp": 1000}
# PEFT's names of parameters, by ours; the head's have no name of their own.
NAMES = {
    "lora": {"A": "lora_A.default.weight", "B": "lora_B.default.weight"},
    "delora": {"A": "delora_A.default", "B": "delora_B.default", "lambda": "delora_lambda.default"},
}


def from_trial(path):
    """The settings in a trial's file, by the names of the flags; those that it leaves out are left out."""
    config = json.loads(path.read_text())["record"]["config"]
    method, dropout = config["method"], config.get("dropout", {})
    multiplier = config.get("learning_rate_multiplier", 1)
    rates = {group: rate * multiplier for group, rate in method.get("learning_rate", {}).items()}
    found = {name: config.get(name) for name in ("model", "data", "epochs", "batch", "max_length", "warmup_ratio")}
    found |= {name: config.get(name) for name in ("train_limit", "validation_limit", "test_limit")}
    found |= {"task": config["glue_task"], "method": method["name"], "seeds": [config["seed"]]}
    found |= {"rank": method.get("rank"), "alpha": method.get("alpha"), "strength": method.get("lambda")}
    found |= {"learning_rate": rates.get("angles", rates.get("weight")), "learning_rate_head": rates.get("head")}
    found |= {"learning_rate_strength": rates.get("strength")}
    found |= {"dropout": dropout.get("model"), "dropout_adapter": dropout.get("adapter")}
    found |= {"dropout_head": dropout.get("head"), "weight_decay": config.get("optimizer", {}).get("weight_decay")}
    found |= {name: Path(found[name]) for name in ("model", "data") if found[name] is not None}
    return {name: value for name, value in found.items() if value is not None}


def arguments(given=None):
    """The settings that are given, by default on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--from-trial", type=Path, metavar="JSON", help="take the settings from one of our trials")
    add("--start", type=Path, metavar="FILE", help="initial values, order and warm-up of one trial; for one seed")
    draws = "where dropout is drawn from: torch's generator, seeded N beyond the seed, or ours; with --start"
    add("--dropout-draws", default="0", metavar="N|ours", help=draws)
    add("--losses", type=Path, metavar="FILE", help="write the losses of all steps, of each seed, as JSON")
    add("--task", choices=TASKS)
    add("--method", choices=["none", "full", "lora", "delora"], help="none: the head alone")
    add("--data", type=Path, help="folder with a folder of parquet files for each task, as on the hub")
    add("--model", type=Path, help="folder with config.json, model.safetensors and tokenizer.json")
    add("--seeds", type=int, nargs="+", default=[42, 43, 44])
    add("--epochs", type=int)
    add("--batch", type=int, default=32)
    add("--max-length", type=int, default=256)
    add("--learning-rate", type=float, help="of A and B, or of the encoder under full finetuning")
    add("--learning-rate-strength", type=float, help="of DeLoRA's lambda")
    add("--learning-rate-head", type=float)
    add("--rank", type=int, default=8)
    add("--alpha", type=float, help="of LoRA; twice the rank by default")
    add("--lambda", type=float, dest="strength", help="of DeLoRA at the start")
    add("--dropout", type=float, default=0.1, help="of hidden states and attention")
    add("--dropout-adapter", type=float, default=0.0)
    add("--dropout-head", type=float, default=0.1)
    add("--weight-decay", type=float, default=0.01)
    add("--warmup-ratio", type=float, default=0.06)
    for part in ("train", "validation", "test"):
        add(f"--{part}-limit", type=int, help="the first rows only")
    trial = parser.parse_known_args(given)[0].from_trial
    if trial is not None:
        parser.set_defaults(**from_trial(trial))
    settings = parser.parse_args(given)
    needed = ["task", "method", "data", "model", "epochs", "learning_rate_head"]
    needed += [] if settings.method == "none" else ["learning_rate"]
    needed += ["learning_rate_strength", "strength"] if settings.method == "delora" else []
    for name in needed:
        if getattr(settings, name) is None:
            parser.error(f"--{'lambda' if name == 'strength' else name.replace('_', '-')} is needed")
    if settings.start is not None and (settings.method == "full" or len(settings.seeds) > 1):
        parser.error("--start is of one trial: one seed, of none, lora or delora")
    draws = settings.dropout_draws
    if draws != "ours" and not draws.isdecimal():
        parser.error(f"--dropout-draws {draws}: a whole number, or ours")
    if draws != "0" and settings.start is None:
        parser.error(f"--dropout-draws {draws} needs --start")
    if settings.method not in ("none", "full", "lora", "delora"):
        parser.error(f"{trial} is a trial of {settings.method}; here are none, full, lora and delora")
    return settings


def read(settings, split):
    """Rows of a split, as `(text or pair, label)`."""
    path = settings.data / settings.task / f"{split}-00000-of-00001.parquet"
    if not path.is_file():
        sys.exit(f"error: {path} is not there; --data takes a folder laid out as nyu-mll/glue on the hub")
    columns, _ = TASKS[settings.task]
    table = pyarrow.parquet.read_table(path, columns=[*columns, "label"]).to_pydict()
    texts = table[columns[0]] if len(columns) == 1 else list(zip(*(table[name] for name in columns)))
    return list(zip(texts, table["label"]))


def split(settings, seed):
    """Rows of training, of the tuning half and of the test half."""
    rows = read(settings, "validation_matched" if settings.task == "mnli" else "validation")
    order = numpy.random.RandomState(seed).permutation(len(rows))
    first = min(len(rows) // 2, LARGE.get(settings.task, len(rows)))
    halves = [[rows[index] for index in part] for part in (order[:first], order[first:])]
    validation, test = reversed(halves) if settings.task == "cola" else halves
    limits = settings.train_limit, settings.validation_limit, settings.test_limit
    return [part[:limit] for part, limit in zip((read(settings, "train"), validation, test), limits)]


class Encoded:
    """Tokenized rows, of which batches are made."""

    def __init__(self, tokenizer, rows, config):
        self.tokens = tokenizer.encode_batch([text for text, _ in rows])
        kind = torch.float if config.num_labels == 1 else torch.long
        self.labels = torch.tensor([label for _, label in rows], dtype=kind)
        self.pad, self.types = config.pad_token_id, config.type_vocab_size

    def batch(self, indices):
        def padded(lists, value):
            return torch.nn.utils.rnn.pad_sequence([torch.tensor(ids) for ids in lists], True, value)

        tokens = [self.tokens[index] for index in indices]
        batch = {"input_ids": padded([row.ids for row in tokens], self.pad)}
        batch["attention_mask"] = padded([row.attention_mask for row in tokens], 0)
        if self.types > 1:
            batch["token_type_ids"] = padded([row.type_ids for row in tokens], 0)
        return batch, self.labels[indices]


def build(settings, config):
    """The network with its adapters and fresh head, and which of its parameters are the head's."""
    # Where our draws are to be put in its place, dropout of attention is to be a module.
    attention = "eager" if settings.dropout_draws == "ours" else "sdpa"
    model = AutoModelForSequenceClassification.from_pretrained(
        settings.model, config=config, attn_implementation=attention
    )
    model.requires_grad_(settings.method == "full")
    rank, drop = settings.rank, settings.dropout_adapter
    if settings.method == "lora":
        alpha = 2 * rank if settings.alpha is None else settings.alpha
        lora = LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=drop, target_modules=TARGETS)
        inject_adapter_in_model(lora, model)
    elif settings.method == "delora":
        delora = DeloraConfig(r=rank, delora_lambda=settings.strength, module_dropout=drop, target_modules=TARGETS)
        inject_adapter_in_model(delora, model)
    head = [name for name, _ in model.named_parameters() if name.startswith(HEADS[config.model_type])]
    for name in head:
        parameter = model.get_parameter(name).requires_grad_(True)
        with torch.no_grad():
            parameter.zero_() if name.endswith("bias") else parameter.normal_(0, HEAD_STD)
    return model, head


def take(start, settings, model, head):
    """Sets all that is trained to the values of a starting point."""
    names = NAMES.get(settings.method, {})
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                ending = next((theirs for theirs in names.values() if name.endswith(theirs)), None)
                ours = next((own for own, theirs in names.items() if theirs == ending), "value")
                layer = name if name in head else name.removesuffix(f".{ending}")
                value = start.pop(f"{layer}.{ours}", None)
                if value is None or value.numel() != parameter.numel():
                    sys.exit(f"error: {settings.start}: {layer}.{ours}: missing, or not {list(parameter.shape)}")
                parameter.copy_(value.reshape(parameter.shape))
    if start:
        sys.exit(f"error: {settings.start}: not of this model and method: {', '.join(start)}")


def optimizer_of(settings, model, head):
    groups = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            if name in head:
                rate = settings.learning_rate_head
            else:
                is_strength = "delora_lambda" in name
                rate = settings.learning_rate_strength if is_strength else settings.learning_rate
            decay = 0.0 if name.endswith("bias") else settings.weight_decay
            groups.setdefault((rate, decay), []).append(parameter)
    parts = [{"params": part, "lr": rate, "weight_decay": decay} for (rate, decay), part in groups.items()]
    return torch.optim.AdamW(parts, betas=(0.9, 0.999), eps=1e-8)


def evaluate(settings, model, rows):
    """The metric that chooses the epoch, and the reported score."""
    model.eval()
    with torch.no_grad():
        parts = torch.arange(len(rows.labels)).split(EVALUATION_BATCH)
        logits = torch.cat([model(**rows.batch(part)[0]).logits for part in parts])
    labels = rows.labels.numpy()
    if settings.task == "stsb":
        predicted = logits[:, 0].numpy()
        pearson = pearsonr(predicted, labels)[0]
        return pearson, (pearson + spearmanr(predicted, labels)[0]) / 2
    predicted = logits.argmax(1).numpy()
    score = matthews_corrcoef(labels, predicted) if settings.task == "cola" else (labels == predicted).mean()
    return score, score


def train_epoch(model, rows, order, batch_size, optimizer, schedule, draws):
    """The losses of each step over one pass in the given order."""
    model.train()
    losses = []
    for part in order.split(batch_size):
        if draws is not None:
            part = torch.tensor(sorted(part.tolist(), key=lambda row: -len(rows.tokens[row])))
            draws.lengths = [len(rows.tokens[row]) for row in part]
        batch, labels = rows.batch(part)
        logits = model(**batch).logits
        is_regression = logits.shape[1] == 1
        loss_of = torch.nn.functional.mse_loss if is_regression else torch.nn.functional.cross_entropy
        loss = loss_of(logits[:, 0] if is_regression else logits, labels)
        loss.backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        if draws is not None:
            draws.step += 1
    return losses


def run(settings, seed):
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    config = AutoConfig.from_pretrained(
        settings.model,
        num_labels=TASKS[settings.task][1],
        hidden_dropout_prob=settings.dropout,
        attention_probs_dropout_prob=settings.dropout,
        classifier_dropout=settings.dropout_head,
    )
    tokenizer = Tokenizer.from_file(str(settings.model / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(settings.max_length, strategy="longest_first")
    train, validation, test = (Encoded(tokenizer, rows, config) for rows in split(settings, seed))
    model, head = build(settings, config)
    count = len(train.labels)
    total = settings.epochs * -(-count // settings.batch)
    warmup_steps = settings.warmup_ratio * total
    if settings.start is None:
        orders = [torch.randperm(count, generator=generator) for _ in range(settings.epochs)]
    else:
        start = load_file(settings.start)
        orders, warmup_steps = start.pop("order"), start.pop("warmup_steps").item()
        if orders.shape != (settings.epochs, count):
            sys.exit(f"error: {settings.start}: order of {list(orders.shape)}, not {[settings.epochs, count]}")
        take(start, settings, model, head)
    if settings.dropout_draws not in ("0", "ours"):
        torch.manual_seed(seed + int(settings.dropout_draws))
    draws = glue_dropout.replay(model, seed) if settings.dropout_draws == "ours" else None
    optimizer = optimizer_of(settings, model, head)
    schedule = get_linear_schedule_with_warmup(optimizer, warmup_steps, total)
    best = SimpleNamespace(validation_score=0.0, score=None, epoch=None, losses=[])
    train_seconds = 0.0
    for epoch, order in enumerate(orders, 1):
        started = time.perf_counter()
        losses = train_epoch(model, train, order, settings.batch, optimizer, schedule, draws)
        best.losses += losses
        train_seconds += time.perf_counter() - started
        validation_score, _ = evaluate(settings, model, validation)
        loss = statistics.mean(losses)
        print(f"seed {seed}, epoch {epoch}: loss {loss:.4f}, validation {validation_score:.4f}", file=sys.stderr)
        if validation_score > best.validation_score:
            _, best.score = evaluate(settings, model, test)
            best.validation_score, best.epoch = validation_score, epoch
    return best, train_seconds


def main():
    settings = arguments()
    logging.set_verbosity_error()  # that the head starts afresh is meant
    print("task,method,seed,score,validation_score,best_epoch,train_seconds")
    scores, losses = [], {}
    for seed in settings.seeds:
        best, seconds = run(settings, seed)
        losses[seed] = best.losses
        if best.score is None:
            values = ["", "", ""]  # never better than 0 on the tuning half: nothing to report
        else:
            values = [f"{best.score:.6f}", f"{best.validation_score:.6f}", best.epoch]
            scores.append(best.score)
        print(settings.task, settings.method, seed, *values, f"{seconds:.1f}", sep=",", flush=True)
    if settings.losses is not None:
        settings.losses.write_text(json.dumps(losses) + "\n")
    spread = f" ± {statistics.stdev(scores):.4f}" if len(scores) > 1 else ""
    if scores:
        what = "mean ± std (n − 1)" if spread else "mean"
        print(f"# {what}: {statistics.mean(scores):.4f}{spread}, n = {len(scores)}")


if __name__ == "__main__":
    main()
