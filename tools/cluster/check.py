"""The same experiment by one run, by workers, by Slurm and by HyperQueue; and faults of the engines at random moments.

    check.py DELORA TOY [--moments N] [--experiment FILE] [--scale NAME] [--set KEY=VALUE] [--only NAME...]

DELORA is the program and TOY the runner's example. What an engine is missing for is printed, and its part is left out.
"""

import argparse
import csv
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from slurm import Slurm  # noqa: E402
from slurm import lack as slurm_lack  # noqa: E402

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
TIMES = {"train_seconds", "started", "finished"}
WALK = """
name = "walk"
question = "Which walk ends lowest?"
task = "toy"
metric = "score"
direction = "maximize"
seeds = [0, 1, 2]
replicates = ["seed", "subject"]
[fixed]
steps = 20
[scientific]
method = ["plain", "wild"]
subject = { first = 4 }
[method.plain]
rate = 0.1
[method.wild]
rate = 30
"""
TRIALS, BANK = 24, 4


def table(path):
    """Rows of a CSV file without the columns that hold times."""
    with open(path, newline="") as file:
        rows = list(csv.reader(file))
    kept = [place for place, name in enumerate(rows[0]) if not any(name.startswith(time) for time in TIMES)]
    return [[row[place] for place in kept] for row in rows]


def run(command, environment=None, **options):
    done = subprocess.run(
        [str(word) for word in command], env=environment, cwd=ROOT, capture_output=True, text=True, **options
    )
    if done.returncode != 0:
        raise RuntimeError(f"{command} ended with {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def moment(kind, number, longest):
    """A moment that the same command chooses again."""
    digest = hashlib.blake2b(f"{kind} {number}".encode()).digest()
    return longest * int.from_bytes(digest[:4], "big") / 2**32


class HyperQueue:
    """A server with workers, in a process of its own."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.server = None

    def __enter__(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.folder / "bin").mkdir(parents=True)
        program = self.folder / "bin/hq"
        program.write_text(f'#!/bin/sh\nexec "{python()}" "{HERE}/hyperqueue.py" "$@"\n')
        program.chmod(0o755)
        log = open(self.folder / "server.log", "ab")
        command = [python(), str(HERE / "hyperqueue.py"), "serve", str(self.folder / "server"), "3"]
        (self.folder / "server").mkdir()
        self.server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        wait(lambda: (self.folder / "server/ready").exists(), "the server of HyperQueue")
        self.environment = os.environ | {
            "PATH": f"{self.folder}/bin:{os.environ['PATH']}",
            "HQ_SERVER_DIR": str(self.folder / "server"),
        }
        return self

    def __exit__(self, *_):
        self.kill()

    def kill(self):
        """Ends the server and what it started, as the crash of its machine would."""
        try:
            os.killpg(self.server.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.server.wait()


def python():
    """A Python that has the package; nothing where none does."""
    candidates = [os.environ.get("HYPERQUEUE_PYTHON"), str(ROOT / ".tools/hyperqueue/bin/python"), sys.executable]
    for candidate in filter(None, candidates):
        probe = [candidate, "-c", "import hyperqueue, os, sys; sys.exit(not hyperqueue.get_version)"]
        try:
            if subprocess.run(probe, capture_output=True, cwd="/").returncode == 0:
                return candidate
        except OSError:
            pass
    return None


def wait(is_there, what, seconds=120):
    end = time.monotonic() + seconds
    while not is_there():
        if time.monotonic() > end:
            raise RuntimeError(f"{what}: not there after {seconds} s")
        time.sleep(0.05)


class Engines:
    """The experiment by each engine, in a folder of results each.

    All share one machine, so that a bank has one thread, and a worker one bank at a time.
    """

    ALONE, WORKER = ["--devices", "cpu:2"], ["--devices", "cpu:1"]

    def __init__(self, delora, folder, file, scale, sets):
        self.delora, self.folder, self.file, self.scale = delora, Path(folder), file, scale
        self.sets = [word for value in sets for word in ["--set", value]]

    def arguments(self, results):
        return [self.file, "--scale", self.scale, *self.sets, "--results", self.folder / results]

    def root(self, results):
        return next((self.folder / results).glob(f"*/{self.scale}"))

    def plots(self, results):
        return len(list(self.folder.glob(f"{results}/plots/*/*/*.png")))

    def alone(self):
        run([self.delora, "run", *self.arguments("alone"), *self.ALONE, "--quiet"])

    def workers(self):
        command = [self.delora, "run", *self.arguments("workers"), *self.WORKER, "--worker", "--quiet"]
        started = [
            subprocess.Popen(list(map(str, command)), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            for _ in range(4)
        ]
        for worker in started:
            _, error = worker.communicate()
            assert worker.returncode == 0, error.decode()
        run([self.delora, "plots", *self.arguments("workers")])

    def submission(self, engine):
        options = ["--engine", engine, "--workers", 3, "--memory", 3, "--time", 60]
        return [self.delora, "submit", *self.arguments(engine), *self.WORKER, *options]

    def slurm(self):
        with Slurm(self.folder / "slurm-cluster") as slurm:
            print(run(self.submission("slurm"), slurm.environment), end="")
            status = run([self.delora, "status", *self.arguments("slurm")], slurm.environment)
            print("\n".join(line for line in status.splitlines() if "Slurm job" in line))
            slurm.wait(lambda: not slurm.output("squeue", "-h").strip(), "the end of all jobs", 3600)

    def hyperqueue(self):
        with HyperQueue(self.folder / "hyperqueue-cluster") as hyperqueue:
            print(run(self.submission("hyperqueue"), hyperqueue.environment), end="")
            root = self.root("hyperqueue")
            is_drawn = lambda: self.plots("hyperqueue") == self.plots("alone")  # noqa: E731
            wait(lambda: (root / "summary.csv").exists() and is_drawn(), "tables and figures", 3600)

    def check(self, name):
        started = time.monotonic()
        getattr(self, name)()
        took = time.monotonic() - started
        root = self.root(name)
        records = len(list((root / "trials").glob("*.json")))
        expected = self.root("alone")
        assert table(root / "summary.csv") == table(expected / "summary.csv"), f"{name}: summary.csv differs"
        assert table(root / "trials.csv") == table(expected / "trials.csv"), f"{name}: trials.csv differs"
        assert records == len(table(expected / "trials.csv")) - 1, f"{name}: {records} records"
        assert not list((root / "checkpoints").iterdir()), f"{name}: a bank is left"
        print(f"{name}: {records} trials in {took:.0f} s, tables equal to those of one run, {self.plots(name)} figures")


class Faults:
    """A toy sweep by Slurm or HyperQueue, and what happens to it."""

    def __init__(self, delora, toy, folder):
        self.delora, self.toy, self.folder = delora, toy, Path(folder)
        (self.folder / "walk.toml").write_text(WALK)
        self.finish("undisturbed")
        self.expected = table(self.root("undisturbed") / "trials.csv")

    def root(self, results):
        return self.folder / results / "walk/mini"

    def command(self, results, *options):
        log = self.folder / f"{results}.log"
        return [self.toy, self.folder / "walk.toml", self.folder / results, f"log={log}", *options]

    def worker(self, results):
        return self.command(results, "worker=1", "workers=1", "pause_ms=40", "lease_ms=2000")

    def finish(self, results):
        return run(self.command(results))

    def records(self, results):
        return {path.name: path.read_bytes() for path in (self.root(results) / "trials").glob("*.json")}

    def script(self, results, engine):
        """What `delora submit` writes, with the toy in place of the program."""
        dry = [self.delora, "submit", "experiments/lr-sweep.toml", "--scale", "smoke", "--engine", engine, "--dry-run"]
        text = run([*dry, "--workers", 3, "--memory", 1, "--time", 10, "--results", self.folder / results])
        own = " ".join(str(word) for word in self.worker(results))
        jobs = self.folder / results / "jobs"
        jobs.mkdir(parents=True, exist_ok=True)
        text, count = re.subn(re.escape(f"{self.delora} run ") + r"[^&|\"]*", own + " ", text)
        assert count > 0, text
        return jobs, re.sub(r"/\S*/lr-sweep/smoke/jobs", str(jobs), text)

    def submit_slurm(self, slurm, results):
        jobs, text = self.script(results, "slurm")
        workers = next(part for part in text.split("# /")[1:] if "workers.sh" in part.split("\n")[0])
        (jobs / "workers.sh").write_text(workers.split("\n", 1)[1])
        return slurm.output("sbatch", "--parsable", str(jobs / "workers.sh")).strip()

    def settle(self, results, before, begun_twice):
        """Nothing was lost, and no more was begun twice than the banks of one worker."""
        records = self.records(results)
        for name, record in before.items():
            assert records.get(name) == record, f"{name} was lost or written again"
        runs = len((self.folder / f"{results}.log").read_text().splitlines())
        self.finish(results)
        assert table(self.root(results) / "trials.csv") == self.expected, f"{results}: other results"
        assert runs <= TRIALS + begun_twice, f"{results}: {runs} trials were begun"
        return len(before)

    def under_slurm(self, kind, moments, begun_twice=BANK):
        stood = 0
        for number in range(moments):
            results = f"{kind}-{number}"
            # A controller that died before it saved its state gives a job's number twice: a new cluster each time.
            with Slurm(self.folder / f"{results}-cluster") as slurm:
                job = self.submit_slurm(slurm, results)
                wait(lambda: (self.root(results) / "trials").exists(), "a worker")
                time.sleep(moment(kind, number, 2.5))
                before = self.records(results)
                getattr(self, kind.replace("-", "_"))(slurm, job, number, results)
                slurm.wait(lambda: len(self.records(results)) == TRIALS, "all records")
                slurm.wait(lambda: not (self.root(results) / "workers").exists(), "the end of all workers")
            stood += self.settle(results, before, begun_twice)
        print(f"{kind}: {moments} times; {stood} results stood at that moment, 0 were lost, and each sweep was finished")

    def worker_killed(self, slurm, job, number, results):
        names = [path.name for path in (self.root(results) / "workers").glob("*")]
        if names:
            os.kill(int(names[number % len(names)].split("-")[-2]), signal.SIGKILL)

    def slurmd_killed(self, slurm, job, number, results):
        node = slurm.nodes[number % len(slurm.nodes)]
        slurm.kill(node)
        time.sleep(0.3)
        slurm.start(node)

    def slurmctld_killed(self, slurm, job, number, results):
        slurm.kill("slurmctld")
        time.sleep(0.3)
        slurm.start("slurmctld")

    def task_cancelled(self, slurm, job, number, results):
        slurm.output("scancel", f"{job}_{1 + number % 3}")

    def task_requeued(self, slurm, job, number, results):
        task = f"{job}_{1 + number % 3}"
        slurm.output("scontrol", "requeue", task)
        # Slurm would let it wait for two minutes.
        slurm.output("scontrol", "update", f"JobId={task}", "StartTime=now")

    def submitted_twice(self, slurm, job, number, results):
        self.submit_slurm(slurm, results)

    def time_is_up(self):
        """A job whose time is nearly over saves a checkpoint and is queued again by itself."""
        results = "time-is-up"
        with Slurm(self.folder / "time-cluster") as slurm:
            jobs, text = self.script(results, "slurm")
            workers = next(part for part in text.split("# /")[1:] if "workers.sh" in part.split("\n")[0])
            # One minute is the least that Slurm counts, and it looks only now and then: the signal comes within a
            # minute, in the midst of a bank, whose 20 steps take 80 s.
            for old, new in [("--time=00:10:00", "--time=1"), ("TERM@120", "TERM@55"), ("1-3", "1-1"), ("=40", "=4000")]:
                assert old in workers, old
                workers = workers.replace(old, new)
            (jobs / "workers.sh").write_text(workers.split("\n", 1)[1])
            job = slurm.output("sbatch", "--parsable", str(jobs / "workers.sh")).strip()
            is_queued = lambda: "PENDING" in slurm.output("squeue", "-h", "-o", "%T", "-j", job)  # noqa: E731
            slurm.wait(lambda: (self.root(results) / "trials").exists(), "a worker")
            slurm.wait(is_queued, "the job in the queue again")
            states = list((self.root(results) / "checkpoints").glob("*/*.free/*/state.json"))
            assert states, "the bank was given back with its checkpoint"
            step = json.loads(states[0].read_text())[0]
            assert 0 < step < 20, step
        self.settle(results, self.records(results), BANK)
        print(f"time-is-up: at step {step} of 20 a checkpoint was saved, and Slurm had the job in its queue again")

    def server_killed(self, moments):
        stood = 0
        for number in range(moments):
            results = f"server-killed-{number}"
            jobs, text = self.script(results, "hyperqueue")
            file = jobs / "job.toml"
            tasks = text.split("\n", 1)[1].split("[[task]]")
            # Tables and figures are the program's, and there are none of the toy's.
            file.write_text("[[task]]".join(tasks[:-1]))
            with HyperQueue(self.folder / "hyperqueue") as hyperqueue:
                run(["hq", "job", "submit-file", file], hyperqueue.environment)
                wait(lambda: (self.root(results) / "trials").exists(), "a worker")
                time.sleep(moment("server", number, 2.0))
                before = self.records(results)
                hyperqueue.kill()
            with HyperQueue(self.folder / "hyperqueue") as hyperqueue:
                run(["hq", "job", "submit-file", file], hyperqueue.environment)
                wait(lambda: len(self.records(results)) == TRIALS, "all records")
                wait(lambda: not (self.root(results) / "workers").exists(), "the end of all workers", 20)
            # All workers may have died with the server, each with a bank.
            stood += self.settle(results, before, 3 * BANK)
        print(f"server-killed: {moments} times; {stood} results stood at that moment, 0 were lost")


@contextmanager
def part(name, only, lack=None):
    """Runs one part, unless another is asked for or something is missing."""
    if (only and name not in only) or lack:
        if lack and not only:
            print(f"left out: {name}: {lack}")
        yield False
    else:
        yield True


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("delora", type=Path)
    parser.add_argument("toy", type=Path)
    parser.add_argument("--moments", type=int, default=2)
    parser.add_argument("--experiment", default="experiments/lr-sweep.toml")
    parser.add_argument("--scale", default="smoke")
    parser.add_argument("--set", action="append", default=[], help="as of `delora run`; may be repeated")
    parser.add_argument("--only", nargs="+", help="some parts: alone, workers, slurm, hyperqueue, worker-killed, ...")
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # of a bank; Slurm and HyperQueue hand it on
    no_slurm = slurm_lack()
    no_hyperqueue = None if python() else "its Python package is not installed; `just hyperqueue` does that"
    lacks = {"slurm": no_slurm, "hyperqueue": no_hyperqueue}
    with tempfile.TemporaryDirectory(prefix="delora-cluster-") as folder:
        delora, toy = arguments.delora.resolve(), arguments.toy.resolve()
        engines = Engines(delora, folder, arguments.experiment, arguments.scale, arguments.set)
        names = ["alone", "workers", "slurm", "hyperqueue"]
        only = arguments.only
        if only and set(names) & set(only):
            only = ["alone", *only]
        for name in names:
            with part(name, only, lacks.get(name)) as is_wanted:
                if is_wanted:
                    engines.check(name)
        kinds = [
            "worker-killed", "slurmd-killed", "slurmctld-killed", "task-cancelled", "task-requeued", "submitted-twice"
        ]  # fmt: skip
        if only and not set(only) - set(names):
            return
        faults = Faults(delora, toy, folder)
        for kind in kinds:
            with part(kind, only, no_slurm) as is_wanted:
                if is_wanted:
                    faults.under_slurm(kind, arguments.moments)
        with part("time-is-up", only, no_slurm) as is_wanted:
            if is_wanted:
                faults.time_is_up()
        with part("server-killed", only, no_hyperqueue) as is_wanted:
            if is_wanted:
                faults.server_killed(arguments.moments)
    print("clusters: all parts passed")


if __name__ == "__main__":
    main()
