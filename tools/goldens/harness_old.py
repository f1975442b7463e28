"""Golden file for `crates/llama-it`: `expected_old.json`, the same by the harness of the paper's time.

That is EleutherAI/lm-evaluation-harness at 0bf683b (branch `master`, December 2023), which is no package: the folder of a
checkout is named by the variable `DELORA_OLD_HARNESS`, and without it the file is left as it is. Of it are used
`lm_eval/base.py`, `lm_eval/models/huggingface.py` (`AutoCausalLM`, which adds no begin token) and the tasks
`arc_challenge`, `truthfulqa_mc` and `hendrycksTest-*`; they are imported without their packages' `__init__.py`, which
need more. The loop over questions is ours, after `lm_eval/evaluator.py`. `omegaconf`, which only its command line needs,
is left out. Rows, checkpoint and form of the file are those of `harness.py`; the names of tasks too, but for
`truthfulqa_mc1` and `truthfulqa_mc2`, whose `acc` was `mc1` and `mc2`.

It asks the same and scores the same, wherever both have a score: the script fails where a prompt differs, or a
log-likelihood by more than 1e-5. What it has not is MMLU's group, so `acc` of `mmlu` is not there. What it would do
otherwise: `mc2` takes as true all choices before the first that is labelled 0.
"""

import importlib
import json
import os
import random
import sys
import types
from pathlib import Path

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}

import datasets
import torch
from harness_data import dumped

GOLDEN = Path(__file__).resolve().parents[2] / "crates/llama-it/tests/golden/lm_eval"
COMMIT = "0bf683b4e6a9df359b3156ba9ba8d62bdd47e0c0"


def hollow(name, path=None):
    """Put a module without content in place of `name`; with `path`, one whose submodules are found there."""
    sys.modules[name] = module = types.ModuleType(name)
    if path is not None:
        module.__path__ = [str(path)]


def import_old(folder):
    for name in ("lm_eval", "lm_eval.models", "lm_eval.tasks"):
        hollow(name, folder / name.replace(".", "/"))
    hollow("omegaconf")
    sys.modules["omegaconf"].OmegaConf = None
    parts = ("models.huggingface", "tasks.arc", "tasks.truthfulqa", "tasks.hendrycks_test")
    return [importlib.import_module(f"lm_eval.{part}") for part in parts]


def task_of(kind, rows, *arguments):
    """A task of the old harness on our rows."""
    part = datasets.Dataset.from_list(rows)
    kind.download = lambda self, *_options: setattr(self, "dataset", {"test": part, "validation": part})
    return kind(*arguments)


def asked(task):
    """Each question with its context and requests."""
    docs = task.test_docs() if task.has_test_docs() else task.validation_docs()
    for doc in docs:
        context = task.fewshot_context(doc=doc, num_fewshot=0, rnd=random.Random(42), description="")
        requests = task.construct_requests(doc, context)
        yield doc, [request.args for request in requests]


def evaluate(lm, task):
    """Each question's log-likelihoods and requests, and the task's metrics."""
    questions, scores = [], {}
    for doc, requests in asked(task):
        values = [value for value, _ in lm.loglikelihood(requests)]
        for name, score in task.process_results(doc, values).items():
            scores.setdefault(name, []).append(score)
        questions.append((values, requests))
    return questions, {name: float(task.aggregation()[name](own)) for name, own in scores.items()}


def entry(lm, questions, **metrics):
    def is_truncated(request):
        context, continuation = lm._encode_pair(*request)
        return len(context) + len(continuation) > lm.max_length + 1

    cut = [index for index, (_, requests) in enumerate(questions) if any(map(is_truncated, requests))]
    rounded = [[round(value, 6) for value in values] for values, _ in questions]
    return dict(loglikelihoods=rounded, truncated=cut, **metrics)


def mmlu(lm, module, rows):
    places, subjects = {}, {}
    for subject in dict.fromkeys(row["subject"] for row in rows):
        own = [index for index, row in enumerate(rows) if row["subject"] == subject]
        task = task_of(module.create_task(subject), [rows[index] for index in own])
        questions, metrics = evaluate(lm, task)
        places |= dict(zip(own, questions))
        subjects[subject] = metrics["acc"]
    questions = [places[index] for index in range(len(rows))]
    subjects = dict(sorted(subjects.items()))
    by_subject = sum(subjects.values()) / len(subjects)
    return questions, entry(lm, questions, subjects=subjects, acc_by_subject=by_subject)


def truthful_qa(lm, module, rows):
    """Both tasks' questions and entries: a question is asked about its choices of the first kind, then the second."""
    questions, metrics = evaluate(lm, task_of(module.TruthfulQAMultipleChoice, rows))
    counts = [len(row["mc1_targets"]["choices"]) for row in rows]
    first = [(values[:count], requests[:count]) for count, (values, requests) in zip(counts, questions)]
    second = [(values[count:], requests[count:]) for count, (values, requests) in zip(counts, questions)]
    yield "truthfulqa_mc1", first, entry(lm, first, acc=metrics["mc1"])
    yield "truthfulqa_mc2", second, entry(lm, second, acc=metrics["mc2"])


def check(expected, name, questions, found):
    """That the newer harness asks and scores the same. Returns the prompts that are written out."""
    shown = expected["prompts"][name]
    requests = questions[shown["index"]][1]
    prompts = dict(index=shown["index"], context=requests[0][0], continuations=[text for _, text in requests])
    assert prompts == shown, f"{name}: prompts differ"
    other = expected["variants"]["plain"][name]
    pairs = zip(found["loglikelihoods"], other["loglikelihoods"], strict=True)
    worst = max(abs(left - right) for ours, theirs in pairs for left, right in zip(ours, theirs, strict=True))
    assert worst < 1e-5, f"{name}: a log-likelihood differs by {worst}"
    metrics = [key for key in found if isinstance(found[key], float)]
    assert all(abs(found[key] - other[key]) < 1e-6 for key in metrics), f"{name}: metrics differ"
    print(f"{name}: {len(questions)} questions, log-likelihoods within {worst:.0e} of the newer harness's")
    return prompts


def main():
    folder = os.environ.get("DELORA_OLD_HARNESS")
    if not folder:
        print("expected_old.json: left as it is, DELORA_OLD_HARNESS is not set")
        return
    torch.set_num_threads(1)
    huggingface, arc, truthfulqa, hendrycks = import_old(Path(folder))
    lm = huggingface.AutoCausalLM(str(GOLDEN / "model"), device="cpu", dtype="float32", low_cpu_mem_usage=False)
    files = ("mmlu", "arc", "truthful_qa")
    lines = {name: (GOLDEN / f"{name}.jsonl").read_text(encoding="utf-8").splitlines() for name in files}
    rows = {name: [json.loads(line) for line in own] for name, own in lines.items()}
    found = [("mmlu", *mmlu(lm, hendrycks, rows["mmlu"]))]
    questions, metrics = evaluate(lm, task_of(arc.ARCChallenge, rows["arc"]))
    found += [("arc_challenge", questions, entry(lm, questions, **metrics))]
    found += truthful_qa(lm, truthfulqa, rows["truthful_qa"])
    expected = json.loads((GOLDEN / "expected.json").read_text(encoding="utf-8"))
    result = dict(source=f"EleutherAI/lm-evaluation-harness at {COMMIT[:7]}", max_length=lm.max_length)
    result["prompts"] = {name: check(expected, name, questions, own) for name, questions, own in found}
    result["variants"] = dict(plain={name: own for name, _, own in found})
    (GOLDEN / "expected_old.json").write_text(dumped(result) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
