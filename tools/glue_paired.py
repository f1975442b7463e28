"""Do trials of ours on GLUE score as PEFT's training of the same? Seed by seed, with tests of the difference.

    just glue-paired results/glue/small/trials work --task sst2 --method delora     # the same start: see below
    tools/bench/peft tools/glue_paired.py TRIALS --task sst2 --method delora --out work    # PEFT's own start

TRIALS is the folder `trials` of a finished run of LoRA or DeLoRA (from `initial_update = "zero_b"`: PEFT has no other
form); run this in the folder from which it ran. Each trial is trained again by `tools/glue_peft.py`. With `--starts
FOLDER`, files of `crates/roberta-glue/examples/starting_point.rs` by trial id, PEFT has the trial's own initial values,
order of examples and warm-up: then two trainings differ in the draws of dropout alone. Where there is none, or PEFT has
our draws too (`--dropout-draws ours`), the largest difference of their losses is rounding that has grown.

A line of CSV per seed goes to the standard output, then for the score, where both have one, and for the mean loss over all
steps: the mean difference (ours minus PEFT's) with its 95 % interval by Student's t, and two-sided p of the paired t
test, of Wilcoxon's signed ranks and of the sign test (both without ties). What was trained is kept in `--out`.
"""

import argparse
import json
import statistics
import sys
from pathlib import Path

import glue_peft
from scipy import stats
from transformers import logging

FIRST_STEPS = 10


def trials(folder, task, method):
    """Finished trials of a task and method, by seed."""
    found = {}
    for path in folder.glob("*.json"):
        record = json.loads(path.read_text())["record"]
        config, outcome = record["config"], record["outcome"]
        if outcome["status"] == "done" and (config["glue_task"], config["method"]["name"]) == (task, method):
            if method == "delora" and config["method"].get("initial_update") != "zero_b":
                sys.exit(f"error: {path}: initial_update: PEFT's DeLoRA is `zero_b` alone")
            if config["seed"] in found:
                sys.exit(f"error: {path}: seed {config['seed']} has two trials; keep one setting in {folder}")
            found[config["seed"]] = path, outcome
    return dict(sorted(found.items()))


def train(path, start, draws, out, seed):
    """PEFT's score, absent where no epoch was above 0, and its losses."""
    kept = out / f"{path.stem}.json" if draws == "0" else out / f"{path.stem}-{draws}.json"
    if not kept.is_file():
        given = ["--from-trial", path] + ([] if start is None else ["--start", start, "--dropout-draws", draws])
        best, _ = glue_peft.run(glue_peft.arguments([str(value) for value in given]), seed)
        score = None if best.score is None else float(best.score)
        kept.write_text(json.dumps({"score": score, "losses": best.losses}) + "\n")
    return json.loads(kept.read_text()).values()


def report(what, pairs):
    """The tests, of `(ours, PEFT's)` by seed."""
    ours, theirs = zip(*pairs)
    differences = [left - right for left, right in pairs]
    for name, values in (("ours", ours), ("PEFT", theirs), ("difference", differences)):
        spread = f"{statistics.mean(values):+.4f} ± {statistics.stdev(values):.4f} (n - 1), n = {len(pairs)}"
        print(f"# {what}, {name}: {spread}")
    paired = stats.ttest_rel(ours, theirs)
    low, high = paired.confidence_interval(0.95)
    untied = [value for value in differences if value != 0]
    positive = sum(value > 0 for value in untied)
    signed = stats.wilcoxon(differences).pvalue if untied else 1.0
    sign = stats.binomtest(positive, len(untied)).pvalue if untied else 1.0
    print(f"#   95 % interval of the difference: {low:+.4f} to {high:+.4f}")
    print(f"#   paired t p = {paired.pvalue:.3f}; signed ranks p = {signed:.3f}")
    print(f"#   ours above in {positive} of {len(untied)} without ties, sign test p = {sign:.3f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trials", type=Path)
    parser.add_argument("--task", required=True)
    parser.add_argument("--method", required=True, choices=["lora", "delora"])
    parser.add_argument("--starts", type=Path, help="folder with <trial id>.safetensors")
    parser.add_argument("--dropout-draws", default="0", help="as glue_peft.py's; with --starts")
    parser.add_argument("--out", type=Path, required=True, help="folder of what PEFT has trained")
    settings = parser.parse_args()
    found = trials(settings.trials, settings.task, settings.method)
    if len(found) < 2:
        sys.exit(f"error: {settings.trials}: {len(found)} finished trial(s) of {settings.method} on {settings.task}")
    logging.set_verbosity_error()  # that the head starts afresh is meant
    settings.out.mkdir(parents=True, exist_ok=True)
    print("seed,ours,peft,largest_loss_difference_at_first,largest_loss_difference")
    pairs, of_losses = [], []
    for seed, (path, outcome) in found.items():
        start = settings.starts and settings.starts / f"{path.stem}.safetensors"
        theirs, their_losses = train(path, start, settings.dropout_draws, settings.out, seed)
        ours = outcome["metrics"].get("score")
        losses = [point["value"] for point in outcome["curves"] if point["metric"] == "loss"]
        gaps = [abs(left - right) for left, right in zip(losses, their_losses, strict=True)]
        print(seed, ours, theirs, f"{max(gaps[:FIRST_STEPS]):.1e}", f"{max(gaps):.1e}", sep=",", flush=True)
        of_losses.append((statistics.mean(losses), statistics.mean(their_losses)))
        if None not in (ours, theirs):
            pairs.append((ours, theirs))
    print(f"# {len(found) - len(pairs)} of {len(found)} seeds left out: one side was never above 0 on its tuning half")
    if len(pairs) > 1:
        report("score", pairs)
    report("mean loss", of_losses)


if __name__ == "__main__":
    main()
