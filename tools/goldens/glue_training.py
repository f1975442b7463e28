"""Golden file for `crates/roberta-glue`: whole trials on the shipped encoder, by PEFT.

`training.json` has for each case the settings of a trial, as an experiment file resolves them, with folders in the
repository's root, and what `tools/glue_peft.py` makes of it: `losses` of all steps, each before the step, `score` of
the test half, `validation_score` and `best_epoch`. Where there is dropout, PEFT and transformers have our draws of it
(`tools/glue_dropout.py`), in their own places. Initial values, order of examples and warm-up are those that `crates/roberta-glue/examples/starting_point.rs` writes for the trial, so cargo and libtorch are needed.
"""

import csv
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "crates/roberta-glue/tests/golden/training.json"
LIBTORCH = os.environ.get("LIBTORCH", str(ROOT / ".tools/libtorch/torch"))
METHODS = {
    "delora": {
        "name": "delora",
        "rank": 4,
        "lambda": 4.0,
        "initial_update": "zero_b",
        "weight_norm": "input_column",
        "learning_rate": {"angles": 1e-2, "strength": 1e-2, "head": 2e-3},
    },
    "lora": {"name": "lora", "rank": 4, "alpha": 8.0, "learning_rate": {"angles": 2e-3, "head": 2e-3}},
}
CASES = [
    ("delora", "sst2", 0.0),
    ("delora", "stsb", 0.0),
    ("lora", "mrpc", 0.0),
    ("lora", "stsb", 0.0),
    ("delora", "sst2", 0.1),
    ("lora", "mrpc", 0.2),
]


def config(method, task, dropout):
    return {
        "method": METHODS[method],
        "seed": 42,
        "glue_task": task,
        "optimizer": {"weight_decay": 0.01, "undecayed": ["bias", "head_bias"]},
        "warmup_ratio": 0.06,
        "epochs": 2,
        "batch": 8,
        "dropout": {"model": dropout, "head": dropout, "adapter": dropout},
        "max_length": 64,
        "model": "assets/mini/encoder",
        "data": "assets/mini/glue",
        "train_limit": 196,
        "validation_limit": 50,
        "test_limit": 100,
        "bank": 8,
        "tokens_per_pass": 4096,
    }


def result(settings, folder):
    trial, start, losses = (folder / name for name in ("trial.json", "start.safetensors", "losses.json"))
    trial.write_text(json.dumps({"record": {"config": settings}}))
    example = ["cargo", "run", "--quiet", "--package", "roberta-glue", "--example", "starting_point", "--"]
    environment = os.environ | {"LIBTORCH": LIBTORCH, "LD_LIBRARY_PATH": f"{LIBTORCH}/lib"}
    subprocess.run([*example, folder, trial], check=True, cwd=ROOT, env=environment)
    (folder / "trial.safetensors").rename(start)
    script = [sys.executable, ROOT / "tools/glue_peft.py", "--from-trial", trial]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    draws = "ours" if settings["dropout"]["model"] else "0"
    command = [*script, "--start", start, "--dropout-draws", draws, "--losses", losses]
    table = subprocess.run(command, check=True, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True).stdout
    row = next(csv.DictReader(table.splitlines()))
    return {
        "config": settings,
        "losses": json.loads(losses.read_text())[str(settings["seed"])],
        **{name: float(row[name]) for name in ("score", "validation_score", "best_epoch")},
    }


def main():
    cases = {}
    for method, task, dropout in CASES:
        name = f"{method} on {task}, dropout {dropout}" if dropout else f"{method} on {task}"
        with tempfile.TemporaryDirectory() as folder:
            cases[name] = result(config(method, task, dropout), Path(folder))
    case = {"source": "peft 0.21.2 and transformers 4.57.6", "cases": cases}
    GOLDEN.write_text(json.dumps(case, indent=1) + "\n")


if __name__ == "__main__":
    main()
