"""Golden files for `crates/llama-it`: what lm-evaluation-harness makes of a tiny LLaMA.

`lm_eval/` of the crate's golden folder has `mmlu.jsonl`, `arc.jsonl` and `truthful_qa.jsonl` (rows as on the hub), the
checkpoint `model/`, and `expected.json`. The questions are those of `harness_data.py`. Tasks are the harness's own, of
which only the data set is replaced: `mmlu` (the group over the subjects that there are), `arc_challenge`,
`truthfulqa_mc1` and `truthfulqa_mc2`, without examples, in f32, one request at a time. `expected.json` has

- `prompts`: a question of each task, by its index in its file, with the context and its continuations;
- `variants`: `plain` is `add_bos_token=False`, `begin` is `add_bos_token=True`. Without the option the harness does what
  the tokenizer does by itself, which is `begin` here, as for LLaMA-2. For each task
  - `loglikelihoods`: of each question in the order of the file, its choices' summed log-likelihoods, rounded to 1e-6;
  - `truncated`: indices of questions with a choice whose input lost tokens on the left;
  - the metrics: `acc`, for ARC also `acc_norm`, for MMLU also `subjects` and `acc_by_subject`, the mean over subjects,
    which is not the harness's. `acc` of `truthfulqa_mc2` is the share of probability.

`harness_old.py` adds `expected_old.json`. (These scripts are not called `lm_eval.py`, which would hide the package.)
"""

import json
import os
from pathlib import Path

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}

import datasets
import harness_data
import lm_eval
import torch
import yaml
from lm_eval.api.group import Group
from lm_eval.config.group import GroupConfig
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

GOLDEN = Path(__file__).resolve().parents[2] / "crates/llama-it/tests/golden/lm_eval"
FILES = {"mmlu": "mmlu", "arc_challenge": "arc", "truthfulqa_mc1": "truthful_qa", "truthfulqa_mc2": "truthful_qa"}
VARIANTS = {"plain": False, "begin": True}
SHOWN = 1  # index of the question whose prompts are written out
MARGIN = 2e-4  # how far the likeliest choice is ahead, so that rounding decides nothing


def write_inputs(tables):
    GOLDEN.mkdir(parents=True, exist_ok=True)
    for name, rows in tables.items():
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
        (GOLDEN / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    folder = GOLDEN / "model"
    harness_data.model().save_pretrained(folder)
    (folder / "generation_config.json").unlink()
    harness_data.tokenizer(list(tables.values())).save(str(folder / "tokenizer.json"))
    settings = dict(tokenizer_class="PreTrainedTokenizerFast", bos_token="<s>", eos_token="</s>")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")


def local(tables):
    """In place of `datasets.load_dataset`: our rows under each split's name."""
    paths = {"cais/mmlu": "mmlu", "allenai/ai2_arc": "arc", "truthfulqa/truthful_qa": "truthful_qa"}

    def load_dataset(path, name=None, **_options):
        rows = tables[paths[path]]
        if path == "cais/mmlu":
            rows = [row for row in rows if row["subject"] == name]
        part = datasets.Dataset.from_list(rows)
        return datasets.DatasetDict({split: part for split in ("train", "dev", "validation", "test")})

    return load_dataset


def places(tables, task):
    """Indices in its file of a task's questions."""
    subject = task.removeprefix("mmlu_")
    rows = tables[FILES.get(task, "mmlu")]
    return [index for index, row in enumerate(rows) if task in FILES or row["subject"] == subject]


def is_truncated(lm, arguments):
    context, continuation = lm._encode_pair(*arguments)
    return len(context) + len(continuation) > lm.max_length + 1


def mmlu():
    """The harness's group, over our subjects alone and without the groups between."""
    config = yaml.safe_load((Path(lm_eval.__file__).parent / "tasks/mmlu/default/_mmlu.yaml").read_text())
    group = Group.from_config(GroupConfig(**config))
    subjects = TaskManager().load([f"mmlu_{subject}" for subject in harness_data.SUBJECTS])
    for task in subjects["tasks"].values():
        group.add(task)
    return group


def evaluate(tables, add_bos_token):
    """The harness's results, and each question's samples by the name of our task and its index."""
    lm = HFLM(
        pretrained=str(GOLDEN / "model"),
        dtype="float32",
        device="cpu",
        batch_size=1,
        add_bos_token=add_bos_token,
    )
    tasks = [mmlu(), "arc_challenge", "truthfulqa_mc1", "truthfulqa_mc2"]
    found = lm_eval.simple_evaluate(model=lm, tasks=tasks, num_fewshot=0, bootstrap_iters=0, log_samples=True)
    samples = {name: {} for name in FILES}
    for task, rows in found["samples"].items():
        own = samples["mmlu" if task.startswith("mmlu_") else task]
        own |= {places(tables, task)[row["doc_id"]]: row for row in rows}
    return lm, found["results"], {name: [own[index] for index in range(len(own))] for name, own in samples.items()}


def arguments_of(sample):
    return [tuple(part) for part in sample["arguments"]]


def task_result(lm, results, name, samples):
    loglikelihoods = [[float(part[0][0]) for part in sample["resps"]] for sample in samples]
    for index, (sample, values) in enumerate(zip(samples, loglikelihoods)):
        scales = [[1] * len(values)]
        if name == "arc_challenge":
            scales.append([len(text) - 1 for _, text in arguments_of(sample)])
        for scale in scales:
            best, second = sorted((value / length for value, length in zip(values, scale)), reverse=True)[:2]
            assert name == "truthfulqa_mc2" or best - second > MARGIN, f"{name} {index} is nearly a tie"
    cut = [i for i, sample in enumerate(samples) if any(is_truncated(lm, part) for part in arguments_of(sample))]
    rounded = [[round(value, 6) for value in values] for values in loglikelihoods]
    found = dict(loglikelihoods=rounded, truncated=cut, acc=float(results[name]["acc,none"]))
    if name == "arc_challenge":
        found["acc_norm"] = results[name]["acc_norm,none"]
    if name == "mmlu":
        found["subjects"] = {s: results[f"mmlu_{s}"]["acc,none"] for s in harness_data.SUBJECTS}
        found["acc_by_subject"] = sum(found["subjects"].values()) / len(found["subjects"])
    return found


def prompts(samples):
    """What is asked about a question of each task."""
    found = {}
    for name, rows in samples.items():
        pairs = arguments_of(rows[SHOWN])
        assert len({context for context, _ in pairs}) == 1
        found[name] = dict(index=SHOWN, context=pairs[0][0], continuations=[text for _, text in pairs])
    return found


def main():
    torch.set_num_threads(1)
    tables = dict(mmlu=harness_data.mmlu(), arc=harness_data.arc(), truthful_qa=harness_data.truthful_qa())
    write_inputs(tables)
    datasets.load_dataset = local(tables)
    expected = dict(source=f"lm_eval {lm_eval.__version__}", max_length=harness_data.MAX_LENGTH)
    variants, shown = {}, set()
    for variant, add_bos_token in VARIANTS.items():
        lm, results, samples = evaluate(tables, add_bos_token)
        variants[variant] = {name: task_result(lm, results, name, samples[name]) for name in FILES}
        expected["prompts"] = prompts(samples)
        shown.add(json.dumps(expected["prompts"]))
        for name, found in variants[variant].items():
            values = {key: round(value, 4) for key, value in found.items() if isinstance(value, float)}
            print(f"{variant}, {name}: {len(samples[name])} questions, {len(found['truncated'])} cut, {values}")
    assert len(shown) == 1, "the token at the beginning is not part of a prompt's text"
    (GOLDEN / "expected.json").write_text(harness_data.dumped(expected | dict(variants=variants)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
