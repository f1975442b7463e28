"""Runs every task on stand-in CUDA devices and on the CPU: `just check-devices`.

Each case below is a short training. On the stand-in (`crates/device/src/stand_in.cpp`) there may be no fault, the results have
to be the CPU's, and what a training step costs a device has to be what `budget.csv` says: operators, casts, uploads and
waits. A difference names the operator. `--write` writes the budget anew, to be read in review. The most memory of a step
has to be what `delora plan` says.

The last part takes memory away: in each run of a sweep one allocation fails, or there is a limit, or one of two devices
breaks. Then every trial has the result of the undisturbed run, or is told as failed, and no memory stays taken.
"""

import argparse
import csv
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUDGET = Path(__file__).with_name("budget.csv")
COLUMNS = ["case", "operators", "casts", "uploads", "downloads", "waits"]
# The stand-in computes with the CPU's kernels, so results are equal but for sums that one thread or two add up. In bf16
# attention alone differs, which the CPU computes in f32: a product's rounding is 2^-8.
TOLERANCE = {"f32": 1e-4, "bf16": 5e-2}
# Of the memory that a plan says, in parts of it.
MEMORY_TOLERANCE = 0.05
SUBJECT = ["seeds=[0]", "train_steps=4", "evaluate_at=[]", "track_every=100"]
PICTURES = ["seeds=[0]", "train_limit=32", "learning_rate_multiplier=1"]
DROPOUT = "dropout={ model = 0.1, head = 0.1, adapter = 0.1 }"
# Name, experiment, settings. Steps of a case have one method, so that its operators can be told.
CASES = [
    *[(f"subject-driven {method}", "table1", [f"method={method}", *SUBJECT]) for method in ("lora", "delora", "dora")],
    *[(f"subject-driven {method}", "table3", [f"method={method}", *SUBJECT]) for method in ("full", "oft")],
    ("subject-driven full × 5", "table3", ["method=full", *SUBJECT, "seeds=[0, 1, 2, 3, 4]", "bank=5"]),
    ("semantic-map delora", "ablation-table2", ["method=delora"]),
    ("glue delora", "glue", ["method=delora", "glue_task=sst2", DROPOUT]),
    ("instruct delora", "instruct", ["method=delora"]),
    ("image-classification delora", "image-classification", ["method=delora", *PICTURES]),
    ("subject-driven lora bf16", "table1", ["method=lora", *SUBJECT, "precision=bf16"]),
    ("semantic-map delora bf16", "ablation-table2", ["method=delora", "precision=bf16"]),
    ("glue delora bf16", "glue", ["method=delora", "glue_task=sst2", DROPOUT, "precision=bf16"]),
    ("instruct delora bf16", "instruct", ["method=delora", "precision=bf16", "checkpointing=true"]),
    ("image-classification delora bf16", "image-classification", ["method=delora", *PICTURES, "precision=bf16"]),
]
# Sweeps of two banks, of four trials or two.
SWEEPS = {
    "subject-driven": ("table1", ["method=[\"lora\", \"delora\"]", *SUBJECT, "seeds=[0, 1]", "bank=2"]),
    "image-classification": ("image-classification", [
        "method=[\"lora\", \"delora\"]", *PICTURES, "seeds=[0, 1]", "bank=2", "batch=1", "train_limit=3", "test_limit=1",
    ]),
    "glue": ("glue", ["method=[\"lora\", \"delora\"]", "glue_task=sst2", "bank=1", "train_limit=8", "batch=4"]),
}
# What says how a trial went, and not how well.
IGNORED = {"train_seconds", "started", "finished", "device", "command", "dirty", "commit"}
# The smoke's exams and test halves have 2, 8 or 16 questions: a share of right answers is a whole number of sixteenths.
QUESTIONS = 16
# A mean of such shares and of a probability.
OF_ANSWERS = {"average"}


def start(program, command, name, sets, results, environment):
    """Runs `program` with its own words captured; on stand-ins where there is an environment of them."""
    settings = {**os.environ, "OMP_NUM_THREADS": "1"}
    if environment is not None:
        settings |= {"STAND_IN_CUDA_DEVICES": "1", "STAND_IN_CUDA_REPORT": str(results / "counts"), **environment}
    words = [program, command, ROOT / f"experiments/{name}.toml", "--scale", "smoke", "--results", results]
    words += ["--quiet", "--no-figures"] if command == "run" else []
    words += [part for setting in sets for part in ("--set", setting)]
    return subprocess.run(words, env=settings, cwd=ROOT, capture_output=True, text=True)


def run(program, results, name, sets, environment=None):
    """The rows of trials.csv by id, and the counts by region and what; the program's own words where it fails."""
    results.mkdir(parents=True)
    done = start(program, "run", name, sets, results, environment)
    rows, found = {}, {}
    for file in results.glob("*/smoke/trials.csv"):
        rows = {row["trial_id"]: row for row in csv.DictReader(file.open())}
    if (results / "counts").exists():
        for line in (results / "counts").read_text().splitlines():
            region, what, times, size = line.split("\t")
            found[region, what] = (int(times), int(size))
    return rows, found, done


def planned_bytes(program, results, name, sets):
    """The memory that `delora plan` expects on the stand-in."""
    done = start(program, "plan", name, sets, results, {})
    said = re.search(r"expected memory: ([0-9.]+) (MB|GB)", done.stdout)
    return float(said[1]) * {"MB": 1e6, "GB": 1e9}[said[2]] if said else 0.0


def counts_answers(column, value):
    """Whether a metric is a count or a share of answers. A real number hits no such value by chance."""
    return column in OF_ANSWERS or (0 <= float(value) <= QUESTIONS and (float(value) * QUESTIONS).is_integer())


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
                # In bf16 rounding may change which of two answers is taken: no tolerance holds for counts of them.
                turned = tolerance > TOLERANCE["f32"] and all(counts_answers(column, value) for value in (left, right))
            except ValueError:
                gap, turned = float("inf"), False
            if gap > tolerance and not turned:
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


def check_case(program, folder, case, name, sets):
    """What is wrong with a case, what its steps cost, and a line about it."""
    place = folder / case.replace(" ", "-")
    expected, _, on_cpu = run(program, place / "cpu", name, sets)
    found, counts, on_device = run(program, place / "device", name, sets, {"STAND_IN_CUDA_POISON": "1"})
    planned = planned_bytes(program, place / "plan", name, sets)
    told = [f"exit code {done.returncode}: {done.stderr.strip()}" for done in (on_cpu, on_device) if done.returncode]
    told += [what for _, what in counts if what.startswith("fault")]
    told += differences(expected, found, TOLERANCE["bf16" if "bf16" in case else "f32"])
    if not any(row["device"] == "cuda:0" for row in found.values()):
        told.append("no trial ran on cuda:0")
    peak = counts.get(("memory", "peak in step"), (0, 0))[1]
    if abs(peak - planned) > MEMORY_TOLERANCE * peak + 5e5:  # plans are rounded to 1 MB
        told.append(f"a step takes {peak / 1e6:.1f} MB, a plan says {planned / 1e6:.0f} MB")
    cost = budget(counts, case)
    line = (f"{case}: {cost['operators']} operators, {cost['casts']} casts, {cost['uploads']} uploads, {cost['waits']} waits, "
            f"{peak / 1e6:.1f} MB, planned {planned / 1e6:.0f} MB")
    return told, cost, line


def tell(line, told):
    print("".join([line, *(f"\n    {problem}" for problem in told)]), flush=True)


def check_cases(program, folder, write):
    """Faults, results, budgets and plans of every case; what is wrong."""
    known = {row["case"]: row for row in csv.DictReader(BUDGET.open())} if BUDGET.exists() else {}
    problems, rows = [], []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for told, cost, line in pool.map(lambda case: check_case(program, folder, *case), CASES):
            rows.append(cost)
            if not write:
                own = known.get(cost["case"], {})
                told += [f"{column}: {cost[column]}, in the budget {own.get(column)}"
                         for column in COLUMNS[1:] if cost[column] != own.get(column)]
            tell(line, told)
            problems += told
    if write:
        with BUDGET.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    return problems


def fault_cases(sweep, allocations, peak, every):
    """Names and settings of what goes wrong in a sweep."""
    cases = [(f"allocation {at} fails", {"STAND_IN_CUDA_FAIL_AT": str(at)}) for at in range(every, allocations + 1, every)]
    cases += [(f"{share} % of the memory", {"STAND_IN_CUDA_LIMIT": str(peak * share // 100)}) for share in (80, 50)]
    if sweep == "subject-driven":
        two = {"STAND_IN_CUDA_DEVICES": "2"}
        cases += [("two devices", two), ("one of two devices breaks", {**two, "STAND_IN_CUDA_BREAK": "1:2000"})]
    return cases


def check_faults(program, folder):
    """Sweeps in which memory ends or a device breaks: nothing is lost, nothing is silently untrained."""
    problems = []
    for sweep, (name, sets) in SWEEPS.items():
        whole, counts, done = run(program, folder / sweep / "whole", name, sets, {})
        problems += [] if done.returncode == 0 else [done.stderr]
        allocations = counts["memory", "allocations"][0]
        peak = counts["memory", "peak of cuda:0"][1]
        # A sweep of Stable Diffusion takes seconds: a few places of it.
        every = allocations // 6 if sweep == "subject-driven" else 100

        def check(case):
            title, environment = case
            found, counts, done = run(program, folder / sweep / title.replace(" ", "-"), name, sets, environment)
            failed = {trial for trial, row in found.items() if row["status"] == "failed"}
            finished = {trial: row for trial, row in found.items() if trial not in failed}
            told = differences({trial: whole[trial] for trial in finished if trial in whole}, finished, TOLERANCE["f32"])
            if found.keys() != whole.keys() or (done.returncode == 0) != (not failed):
                told.append(f"exit code {done.returncode}, {len(found)} of {len(whole)} trials: {done.stderr[-300:]}")
            left = [size for (_, what), (_, size) in counts.items() if what.startswith("left of") and size]
            if left and "breaks" not in title:
                told.append(f"{sum(left)} bytes stay taken")
            devices = {row["device"] for row in finished.values()}
            if title == "two devices" and devices != {"cuda:0", "cuda:1"}:
                told.append(f"trials ran on {devices}")
            return (f"{sweep}, {title}: {len(finished)} done on {', '.join(sorted(devices))}, {len(failed)} failed"), told

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            results = list(pool.map(check, fault_cases(sweep, allocations, peak, every)))
        for line, told in results:
            if told or "allocation" not in line:
                tell(line, told)
            problems += told
        single = [line for line, _ in results if "allocation" in line]
        print(f"{sweep}: {len(single)} runs in which one of {allocations} allocations fails, every {every}th", flush=True)
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
