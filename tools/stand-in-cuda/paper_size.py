"""Steps of the paper's own networks on a device of shapes: `just check-paper-size`.

Stable Diffusion 1.5, RoBERTa-base and LLaMA-2-7B are written as files of zeros that take no disk, in the layouts of
`crates/models/tests/layouts`. Each case trains a bank of them for three steps. No value is computed, so the trials end as failed:
what counts is that every operator takes the shapes that it gets, and that the most memory of a step is what a plan says.
"""

import argparse
import itertools
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LAYOUTS = ROOT / "crates/models/tests/layouts"
MINI = ROOT / "assets/mini"
TOLERANCE = 0.05
SUBJECT = ["seeds=[0]", "subject={ first = 8 }", "train_steps=3", "track_every=100", "prior_preservation.class_pictures=2",
           "pictures_per_prompt=1", "sampling.steps=1", "data=assets/mini/subjects/dataset", "evaluators.clip_b32=null"]
CASES = [
    *[("table1", method, 8, SUBJECT) for method in ("lora", "delora", "dora")],
    *[("table3", method, 4, SUBJECT) for method in ("full", "oft")],
    ("glue", "delora", 5, ["glue_task=sst2", "train_limit=96", "test_limit=4", "data=assets/mini/glue", "epochs=1"]),
    ("instruct", "delora", 4, ["seeds=[0, 1, 2, 3]", "train_limit=48", "test_limit=4", "answers=0", "epochs=1",
                               "instructions=assets/mini/instruct/alpaca.jsonl", "test_share=0.05", "evaluation={ data = \"assets/mini/instruct\", tasks = \"assets/mini/instruct/tasks.toml\", limit = 4 }"]),
]


def expanded(name):
    """The names that one with `{0-2,5}` stands for."""
    parts = re.split(r"\{([0-9,-]+)\}", name)
    choices = []
    for place, part in enumerate(parts):
        if place % 2 == 0:
            choices.append([part])
            continue
        ranges = [run.split("-") for run in part.split(",")]
        choices.append([str(number) for run in ranges for number in range(int(run[0]), int(run[-1]) + 1)])
    return ["".join(choice) for choice in itertools.product(*choices)]


def write_network(folder, layout, kind, size):
    """A network's config and a file of zeros with its tensors."""
    folder.mkdir(parents=True)
    network = json.loads((LAYOUTS / f"{layout}.json").read_text())
    (folder / "config.json").write_text(json.dumps(network["config"]))
    header, end = {}, 0
    for pattern, shape in network["tensors"].items():
        for name in expanded(pattern):
            start, end = end, end + size * eval("*".join(map(str, shape)) or "1")
            header[name] = {"dtype": kind, "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)


def write_models(models):
    diffusion = models / "stable-diffusion-v1-5"
    for part, layout in (("unet", "sd15-unet"), ("vae", "sd15-vae"), ("text_encoder", "sd15-text-encoder")):
        write_network(diffusion / part, layout, "F32", 4)
    for part in ("unet", "vae"):
        (diffusion / part / "model.safetensors").rename(diffusion / part / "diffusion_pytorch_model.safetensors")
    shutil.copytree(MINI / "sd/scheduler", diffusion / "scheduler")
    shutil.copytree(MINI / "sd/tokenizer", diffusion / "tokenizer")
    for name, layout, mini in (("dino-vits16", "dino-vits16", "dino"), ("clip-vit-large-patch14", "clip-vit-large-patch14", "clip"),
                               ("roberta-base", "roberta-base", "encoder")):
        write_network(models / name, layout, "F32", 4)
        copy_small_files(MINI / mini, models / name)
    write_network(models / "Llama-2-7b-hf", "llama2-7b", "F16", 2)
    copy_small_files(MINI / "decoder", models / "Llama-2-7b-hf")


def copy_small_files(source, folder):
    """A tokenizer or preprocessor: that of the mini model, whose ids are among the large one's."""
    for file in source.iterdir():
        if file.name != "config.json" and not file.name.endswith(".safetensors"):
            shutil.copy(file, folder)


def limit_files():
    """Lets no checkpoint become larger than this: 41 GB of zeros tell nothing."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, 1 << 30))


def check(program, folder, case):
    experiment, method, bank, sets = case
    results = folder / f"{experiment}-{method}"
    results.mkdir()
    model = {"glue": "roberta-base", "instruct": "Llama-2-7b-hf"}.get(experiment, "stable-diffusion-v1-5")
    sets = [f"method={method}", f"bank={bank}", f"model={folder}/models/{model}", *sets]
    if experiment.startswith("table"):
        sets += [f"evaluators.{name}={folder}/models/{path}" for name, path in (("dino", "dino-vits16"), ("clip", "clip-vit-large-patch14"))]
        sets = [setting for setting in sets if not setting.endswith("null")]
    settings = {**os.environ, "STAND_IN_CUDA_DEVICES": "1", "STAND_IN_CUDA_SHAPES": "1",
                "STAND_IN_CUDA_REPORT": str(results / "counts")}
    words = [ROOT / f"experiments/{experiment}.toml", "--scale", "paper", "--results", results]
    words += [part for setting in sets for part in ("--set", setting)]
    start = lambda *command: subprocess.run([program, *command, *words], env=settings, cwd=ROOT, capture_output=True, text=True,
                                            preexec_fn=limit_files)
    planned = start("plan")
    said = re.search(r"expected memory: ([0-9.]+) (MB|GB)", planned.stdout)
    ran = start("run", "--quiet", "--no-figures")
    counts = dict()
    for line in (results / "counts").read_text().splitlines() if (results / "counts").exists() else []:
        region, what, times, size = line.split("\t")
        counts[region, what] = (int(times), int(size))
    peak = counts.get(("memory", "peak in step"), (0, 0))[1] / 1e9
    operators = sum(times for (region, what), (times, _) in counts.items() if region == "step" and what.startswith("operator"))
    expected = float(said[1]) / {"MB": 1e3, "GB": 1.0}[said[2]] if said else 0.0
    print(f"{experiment} {method}, bank of {bank}: {operators} operators behind the first step, {peak:.2f} GB, planned {expected:.2f} GB",
          flush=True)
    if not said or not peak or abs(expected - peak) > TOLERANCE * peak:
        print("\n".join(["    " + text.strip()[:2000] for text in (planned.stderr, ran.stderr, ran.stdout)]), flush=True)
        return 1
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", type=Path, help="the delora program")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="paper-size-"))
    try:
        write_models(folder / "models")
        wrong = sum(check(arguments.program.resolve(), folder, case) for case in CASES)
    finally:
        shutil.rmtree(folder)
    if wrong:
        sys.exit(f"error: {wrong} cases, see above")
    print("paper size: every step has its shapes and the planned memory")


main()
