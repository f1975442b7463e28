"""Runs every task on stand-in CUDA devices and on the CPU: `just check-devices`.

Each case below is a short training. On the stand-in (`stand_in_cuda.cpp`) there may be no fault,
the results have to be the CPU's, and what a training step costs a device has to be what `budget.csv` says: operators,
casts, uploads and waits. A difference names the operator. `--write` writes the budget anew, to be read in review.

The last part takes memory away: each case of a sweep fails one allocation, or has a limit, or loses one of two devices.
Then every trial has the result of the undisturbed run, or is told as failed.
"""

import argparse
import csv
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "target/stand_in_cuda.so"
BUDGET = Path(__file__).with_name("budget.csv")
COLUMNS = ["case", "operators", "casts", "uploads", "downloads", "waits"]
# Rounding of other kernels (attention takes its plain form on the stand-in) over a few steps of AdamW. In bf16 a
# product's rounding alone is 2^-8.
TOLERANCE = {"f32": 2e-3, "bf16": 5e-2}
SUBJECT = ["seeds=[0]", "train_steps=4", "evaluate_at=[]", "track_every=100"]
PICTURES = ["seeds=[0]", "train_limit=32"]
# Name, experiment, settings. Steps of a case have one method, so that its operators can be told.
CASES = [
    *[(f"subject-driven {method}", "table1", [f"method={method}", *SUBJECT]) for method in ("lora", "delora", "dora")],
    *[(f"subject-driven {method}", "table3", [f"method={method}", *SUBJECT]) for method in ("full", "oft")],
    ("subject-driven lora bf16", "table1", ["method=lora", "precision=bf16", *SUBJECT]),
    ("semantic-map delora", "ablation-table2", ["method=delora"]),
    ("glue delora", "glue", ["method=delora", "glue_task=sst2", "dropout={ model = 0.1, head = 0.1, adapter = 0.1 }"]),
    ("instruct delora", "instruct", ["method=delora"]),
    ("image-classification delora", "image-classification", ["method=delora", "learning_rate_multiplier=1", *PICTURES]),
]
# What says how a trial went, and not how well.
IGNORED = {"train_seconds", "started", "finished", "device", "command", "dirty", "commit"}


def run(program, results, name, sets, environment=None):
    """The rows of trials.csv by id, and the counts by region and what; the program's own words where it fails."""
    counts = results / "counts"
    settings = {**os.environ, "OMP_NUM_THREADS": "2"}
    if environment is not None:
        settings |= {"LD_PRELOAD": str(LIBRARY), "STAND_IN_CUDA_REPORT": str(counts), **environment}
    command = [program, "run", ROOT / f"experiments/{name}.toml", "--scale", "smoke", "--quiet", "--no-figures"]
    command += ["--results", results] + [part for setting in sets for part in ("--set", setting)]
    done = subprocess.run(command, env=settings, cwd=ROOT, capture_output=True, text=True)
    rows, found = {}, {}
    for file in results.glob("*/smoke/trials.csv"):
        rows = {row["trial_id"]: row for row in csv.DictReader(file.open())}
    if counts.exists():
        for line in counts.read_text().splitlines():
            region, what, times, size = line.split("\t")
            found[region, what] = (int(times), int(size))
    return rows, found, done


def differences(expected, found, tolerance):
    """What differs between two tables of trials, in words."""
    told = []
    for trial in expected.keys() | found.keys():
        if trial not in expected or trial not in found:
            told.append(f"{trial}: is in one table alone")
            continue
        for column, left in expected[trial].items():
            right = found[trial].get(column, "")
            if column in IGNORED or left == right:
                continue
            try:
                gap = abs(float(left) - float(right)) / max(1.0, abs(float(left)))
            except ValueError:
                gap = float("inf")
            if gap > tolerance:
                told.append(f"{trial}: {column} is {right}, on the CPU {left}")
    return told


def budget(counts, case):
    """The costs of the steps behind the first, summed: exact numbers, whatever the count of steps."""
    of = lambda test: sum(times for (region, what), (times, _) in counts.items() if region == "step" and test(what))
    values = [
        of(lambda what: what.startswith("operator")),
        of(lambda what: "(cast)" in what),
        of(lambda what: what.startswith("upload")),
        of(lambda what: what.startswith("download")),
        of(lambda what: what.startswith("wait")),
    ]
    return dict(zip(COLUMNS, [case, *map(str, values)]))


def check_cases(program, folder, write):
    """Faults, results and budgets of every case; whether all is well."""
    known = {row["case"]: row for row in csv.DictReader(BUDGET.open())} if BUDGET.exists() else {}
    problems, rows = [], []
    for case, name, sets in CASES:
        place = folder / case.replace(" ", "-")
        (place / "cpu").mkdir(parents=True)
        (place / "device").mkdir()
        expected, _, on_cpu = run(program, place / "cpu", name, sets)
        found, counts, on_device = run(program, place / "device", name, sets, {"STAND_IN_CUDA_POISON": "1"})
        told = [f"exit code {done.returncode}: {done.stderr.strip()}" for done in (on_cpu, on_device) if done.returncode]
        told += [what for _, what in counts if what.startswith("fault")]
        told += differences(expected, found, TOLERANCE["bf16" if "bf16" in case else "f32"])
        if not any(row["device"] == "cuda:0" for row in found.values()):
            told.append("no trial ran on cuda:0")
        cost = budget(counts, case)
        rows.append(cost)
        if not write:
            told += [f"{column}: {cost[column]}, in the budget {known.get(case, {}).get(column)}"
                     for column in COLUMNS[1:] if cost[column] != known.get(case, {}).get(column)]
        peak = counts.get(("memory", "peak of cuda:0"), (0, 0))[1]
        print(f"{case}: {cost['operators']} operators, {cost['uploads']} uploads, {cost['waits']} waits, "
              f"peak {peak / 1e6:.0f} MB{''.join(f'{chr(10)}    {line}' for line in told)}", flush=True)
        problems += told
    if write:
        with BUDGET.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    return problems


def check_faults(program, folder):
    """A sweep of two banks in which memory ends or a device breaks: nothing is lost, nothing is silently untrained."""
    sets = ["method=[\"lora\", \"delora\"]", "seeds=[0, 1]", "bank=2", *SUBJECT[1:]]
    place = folder / "whole"
    place.mkdir(parents=True)
    whole, counts, done = run(program, place, "table1", sets, {})
    problems = [] if done.returncode == 0 else [done.stderr]
    allocations = counts["memory", "allocations"][0]
    peak = counts["memory", "peak of cuda:0"][1]
    cases = [(f"allocation {at} fails", {"STAND_IN_CUDA_FAIL_AT": str(at)})
             for at in range(allocations // 6, allocations, allocations // 6)]
    cases += [(f"{share} % of the memory", {"STAND_IN_CUDA_LIMIT": str(peak * share // 100)}) for share in (80, 50)]
    two = {"STAND_IN_CUDA_DEVICES": "2"}
    cases += [("two devices", two), ("one of two devices breaks", {**two, "STAND_IN_CUDA_BREAK": "1:2000"})]
    for case, environment in cases:
        place = folder / case.replace(" ", "-")
        place.mkdir()
        found, _, done = run(program, place, "table1", sets, environment)
        failed = {trial for trial, row in found.items() if row["status"] == "failed"}
        finished = {trial: row for trial, row in found.items() if trial not in failed}
        told = differences({trial: whole[trial] for trial in finished}, finished, TOLERANCE["f32"])
        if found.keys() != whole.keys() or (done.returncode == 0) != (not failed):
            told.append(f"exit code {done.returncode}, {len(found)} of {len(whole)} trials: {done.stderr[-300:]}")
        devices = {row["device"] for row in finished.values()}
        if case == "two devices" and devices != {"cuda:0", "cuda:1"}:
            told.append(f"trials ran on {devices}")
        print(f"{case}: {len(finished)} done on {', '.join(sorted(devices))}, {len(failed)} failed"
              f"{''.join(f'{chr(10)}    {line}' for line in told)}", flush=True)
        problems += told
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", type=Path, help="the delora program")
    parser.add_argument("--write", action="store_true", help="write budget.csv anew")
    arguments = parser.parse_args()
    arguments.program = arguments.program.resolve()
    folder = Path(tempfile.mkdtemp(prefix="stand-in-"))
    try:
        problems = check_cases(arguments.program, folder, arguments.write) + check_faults(arguments.program, folder / "faults")
    finally:
        shutil.rmtree(folder)
    if problems:
        sys.exit(f"error: {len(problems)} differences on the stand-in, see above")
    print("stand-in: every task computes on a device as on the CPU")


main()
