"""Golden file for `crates/roberta-glue`: scores of predictions, by scikit-learn and SciPy.

`metrics.json` is a list of cases: a task of GLUE, predictions, labels, and the scores under the names that the driver
gives them. A score that SciPy says is NaN is null. Predicted values and labels are rounded to binary fractions, which
are the same in f32.
"""

import json
import math
import warnings
from pathlib import Path

import numpy as np
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, matthews_corrcoef

GOLDEN = Path(__file__).resolve().parents[2] / "crates/roberta-glue/tests/golden"
NUM_CLASSES = {"mnli": 3, "mrpc": 2, "cola": 2, "rte": 2}


def classification(task, predictions, labels):
    scores = {"accuracy": accuracy_score(labels, predictions)}
    scores["score"] = scores["accuracy"]
    if task == "mrpc":
        scores["f1"] = f1_score(labels, predictions)
    if task == "cola":
        scores["score"] = scores["matthews"] = matthews_corrcoef(labels, predictions)
    counts = confusion_matrix(labels, predictions, labels=range(NUM_CLASSES[task]))
    return scores | {f"confusion_{i}_{j}": int(count) for (i, j), count in np.ndenumerate(counts)}


def regression(predictions, labels):
    pearson, spearman = pearsonr(predictions, labels)[0], spearmanr(predictions, labels)[0]
    scores = dict(pearson=pearson, spearman=spearman, score=(pearson + spearman) / 2)
    return {name: None if math.isnan(value) else float(value) for name, value in scores.items()}


def case(name, task, predictions, labels):
    score = regression if task == "stsb" else lambda *values: classification(task, *values)
    predictions, labels = np.asarray(predictions), np.asarray(labels)
    return dict(
        name=name,
        task=task,
        predictions=predictions.tolist(),
        labels=labels.tolist(),
        scores=score(predictions, labels),
    )


def classification_cases(generator):
    ones, zeros = np.ones(7, dtype=int), np.zeros(7, dtype=int)
    mixed = np.array([0, 1, 1, 0, 1, 0, 1])
    for task in ("mrpc", "cola"):
        labels = generator.integers(0, 2, 41)
        yield case("random", task, np.where(generator.random(41) < 0.3, 1 - labels, labels), labels)
        yield case("one class predicted", task, ones, mixed)
        yield case("the other class predicted", task, zeros, mixed)
        yield case("labels of one class", task, mixed, zeros)
        yield case("one class throughout", task, zeros, zeros)
        yield case("all wrong", task, 1 - mixed, mixed)
        yield case("all right", task, mixed, mixed)
    yield case("random", "rte", generator.integers(0, 2, 29), generator.integers(0, 2, 29))
    yield case("random", "mnli", generator.integers(0, 3, 37), generator.integers(0, 3, 37))
    yield case("a class that is never predicted", "mnli", [0, 2, 2, 0], [0, 1, 2, 1])


def regression_cases(generator):
    labels = np.round(generator.random(33) * 20) / 4  # with ties, as in STS-B
    noise = np.round(generator.normal(size=33) * 1024) / 1024
    yield case("noisy", "stsb", labels + noise, labels)
    yield case("ties on both sides", "stsb", np.round(labels + noise), labels)
    yield case("reversed", "stsb", -3 * labels, labels)
    yield case("exact", "stsb", labels, labels)
    yield case("far from zero", "stsb", 1024 + noise / 2 + labels / 8, labels)
    yield case("an outlier", "stsb", np.append(labels, 1024.0), np.append(labels, 0.0))
    yield case("constant predictions", "stsb", np.full(33, 2.5), labels)
    yield case("constant labels", "stsb", noise, np.full(33, 2.5))
    yield case("two", "stsb", [0.5, 0.25], [1.0, 3.0])


def main():
    warnings.simplefilter("ignore")  # of undefined scores, which are wanted
    generator = np.random.default_rng(51)
    cases = [*classification_cases(generator), *regression_cases(generator)]
    GOLDEN.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(case) for case in cases)
    (GOLDEN / "metrics.json").write_text(f"[\n{lines}\n]\n")
    print(f"metrics.json: {len(cases)} cases")


if __name__ == "__main__":
    main()
