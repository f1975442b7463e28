"""Golden files for `crates/cli`: adapters of a text encoder and a vision transformer with their heads, and of decoders, as PEFT saves
them.

The frozen networks are those of `language_models.py`, `decoders.py` and `models.py` in `crates/models/tests/golden/`. A case is a folder
in `crates/cli/tests/exchange/` with PEFT's two files and `io.safetensors`: `ids` and `mask` [rows, tokens] or `image`, and the adapted
network's `logits`, zero at padding where each token has some.

    .tools/goldens/bin/python tools/goldens/exchange_networks.py FOLDER

checks the other way round: FOLDER is what `DELORA_EXCHANGE_DIR=FOLDER cargo test -p cli --test exchange` has left, for each case
the adapter exported in every format, which PEFT and transformers load here.
"""

import json
import shutil
import sys
from pathlib import Path

import torch
from models import GOLDEN
from peft import DeloraConfig, IA3Config, LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoModelForImageClassification, AutoModelForSequenceClassification

CASES = Path(__file__).resolve().parents[2] / "crates/cli/tests/exchange"
TOLERANCE = 1e-5
CLASSIFIER, DECODER, PICTURES = AutoModelForSequenceClassification, AutoModelForCausalLM, AutoModelForImageClassification
# Case: network, class, PEFT's config.
ALL = {
    "roberta_lora": ("roberta", CLASSIFIER, LoraConfig(
        task_type="SEQ_CLS", r=4, lora_alpha=6, target_modules=["query", "value"],
        rank_pattern={"layer.0.attention.self.query": 2}, alpha_pattern={r"layer\.[12]\.attention\.self\.value": 9})),
    "bert_dora": ("bert", CLASSIFIER, LoraConfig(
        task_type="SEQ_CLS", r=3, lora_alpha=3, use_dora=True, target_modules=["query", "output.dense"],
        modules_to_save=["classifier", "pooler"])),
    "llama_delora": ("llama", DECODER, DeloraConfig(
        task_type="CAUSAL_LM", r=3, delora_lambda=5, target_modules=["q_proj", "v_proj"])),
    "qwen2_lora": ("qwen2", DECODER, LoraConfig(
        task_type="CAUSAL_LM", r=2, lora_alpha=8, target_modules=r".*layers\.[02]\.mlp\.(gate|up)_proj")),
    "mistral_ia3": ("mistral", DECODER, IA3Config(
        task_type="CAUSAL_LM", target_modules=["k_proj", "v_proj", "down_proj"], feedforward_modules=["down_proj"])),
    "vit_lora": ("vit", PICTURES, LoraConfig(
        r=2, lora_alpha=6, target_modules=["query", "value"], modules_to_save=["classifier"])),
}


def base(network, kind):
    return kind.from_pretrained(GOLDEN / network, attn_implementation="eager").eval()


@torch.no_grad()
def stir(model, seed):
    """Moves every trained parameter from its start."""
    generator = torch.Generator().manual_seed(seed)
    for _, parameter in sorted(item for item in model.named_parameters() if item[1].requires_grad):
        noise = 0.3 * torch.randn(parameter.shape, generator=generator)
        is_matrix = parameter.dim() == 2 and 1 not in parameter.shape
        parameter += noise / parameter.shape[1] ** 0.5 if is_matrix else noise


@torch.no_grad()
def logits(model, io, kind):
    if kind is PICTURES:
        return model(pixel_values=io["image"]).logits
    found = model(input_ids=io["ids"], attention_mask=io["mask"]).logits
    return found * io["mask"].unsqueeze(-1) if kind is DECODER else found


def write(name, network, kind, config):
    torch.manual_seed(0)  # a head that the network lacks is drawn
    model = get_peft_model(base(network, kind), config).eval()
    stir(model, 7 + len(name))
    folder = CASES / name
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    path = folder / "adapter_config.json"
    said = json.loads(path.read_text()) | {"base_model_name_or_path": network}
    # PEFT keeps names as sets, in any order.
    ordered = {key: sorted(set(value)) if isinstance(value, list) else value for key, value in said.items()}
    path.write_text(json.dumps(ordered, indent=2, sort_keys=True) + "\n")
    io = load_file(GOLDEN / network / "io.safetensors")
    inputs = {key: io[key] for key in ("ids", "mask", "image") if key in io}
    tensors = inputs | dict(logits=logits(model, inputs, kind))
    plain = logits(base(network, kind), inputs, kind)
    save_file({key: value.contiguous() for key, value in tensors.items()}, folder / "io.safetensors")
    print(f"{name}: moves the logits by {(tensors['logits'] - plain).abs().max():.2f}")


def check(folder):
    results = []
    for name, (network, kind, _) in ALL.items():
        io = load_file(CASES / name / "io.safetensors")
        for form in sorted(path for path in (folder / name).iterdir() if path.is_dir()):
            if form.name.startswith("merged"):
                model = kind.from_pretrained(form, attn_implementation="eager").eval()
            else:
                model = PeftModel.from_pretrained(base(network, kind), form).eval()
            difference = (logits(model, io, kind) - io["logits"]).abs().max().item()
            print(f"{name}, {form.name}: largest difference {difference:.1e}")
            results.append(difference <= TOLERANCE * io["logits"].abs().max().item())
    if not all(results) or not results:
        sys.exit(f"{results.count(False)} of {len(results)} differ by more than {TOLERANCE} of the largest")


def main():
    torch.set_num_threads(1)
    if len(sys.argv) > 1:
        return check(Path(sys.argv[1]))
    for name, (network, kind, config) in ALL.items():
        write(name, network, kind, config)


if __name__ == "__main__":
    main()
