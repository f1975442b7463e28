"""Golden files for `crates/vit-classify`: transformers' `ViTForImageClassification` with a random small config.

`crates/vit-classify/tests/golden/model/` has the library's own `config.json` and weight file, and `io.safetensors` with
preprocessed pictures, their `logits`, and the `logits` under PEFT's adapters of the query and value projections. Each
adapter is a folder beside it, `lora/` and `delora/`, as `save_pretrained` writes it; none of its parameters is zero.
"""

import json
from pathlib import Path

import torch
from peft import DeloraConfig, LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import ViTConfig, ViTForImageClassification

from models import randomize

GOLDEN = Path(__file__).resolve().parents[2] / "crates/vit-classify/tests/golden"
CLASSES = 5
TARGETS = ["query", "value"]
ADAPTERS = {
    "lora": LoraConfig(r=3, lora_alpha=5.0, target_modules=TARGETS),
    "delora": DeloraConfig(r=3, delora_lambda=2.5, target_modules=TARGETS),
}


def classifier():
    config = ViTConfig(
        hidden_size=12,
        intermediate_size=20,
        num_hidden_layers=2,
        num_attention_heads=3,
        image_size=16,
        patch_size=4,
        layer_norm_eps=1e-12,
        num_labels=CLASSES,
    )
    return randomize(ViTForImageClassification(config), 90)


def adapted(name, config, image):
    """Logits of the classifier under an adapter, which is written to its folder."""
    model = classifier()
    torch.manual_seed(91)
    # The layers are called as in the transformer by itself.
    adapter = get_peft_model(model.vit, config)
    with torch.no_grad():
        for parameter in adapter.parameters():
            if parameter.requires_grad:
                parameter.add_(0.3 * torch.randn(parameter.shape))
    folder = GOLDEN / name
    adapter.save_pretrained(folder)
    (folder / "README.md").unlink()
    path = folder / "adapter_config.json"
    settings = json.loads(path.read_text())
    settings = {key: sorted(value) if isinstance(value, list) else value for key, value in settings.items()}
    path.write_text(json.dumps(settings, indent=2) + "\n")
    return model.eval()(image).logits


def main():
    torch.set_num_threads(1)
    image = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(92))
    model = classifier()
    model.save_pretrained(GOLDEN / "model")
    tensors = {"image": image, "logits": model(image).logits}
    for name, config in ADAPTERS.items():
        tensors[name] = adapted(name, config, image)
    tensors = {name: value.detach().contiguous() for name, value in tensors.items()}
    save_file(tensors, GOLDEN / "model/io.safetensors")


if __name__ == "__main__":
    main()
