"""Names and shapes of the public checkpoints' tensors, from the reference libraries on the meta device.

    python tools/goldens/layouts.py              writes `crates/models/tests/layouts/<checkpoint>.json`
    python tools/goldens/layouts.py NAME         prints every name and shape of one checkpoint

A listing holds the keys of the checkpoint's `config.json` that decide shapes and results, and its tensors, with names
that differ in numbers alone as one line: `blocks.{0-11}.norm1.weight` stands for twelve tensors. No weights are needed:
a network on the meta device has shapes and no memory.

Two generations are not the libraries' any more. Attention of the VAE was called query, key, value and proj_attn when
Stable Diffusion 1.5 was published; diffusers' `AttentionBlock` of then is in `LEGACY` by its renames. DINO as
facebookresearch published it has timm's names, of whose code it is.
"""

import json
import re
import sys
from pathlib import Path

import timm
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPTextConfig,
    CLIPTextModel,
    LlamaConfig,
    LlamaForCausalLM,
    RobertaConfig,
    RobertaForMaskedLM,
    RobertaModel,
    ViTConfig,
    ViTModel,
)

LAYOUTS = Path(__file__).resolve().parents[2] / "crates" / "models" / "tests" / "layouts"

UNET = dict(
    sample_size=64,
    in_channels=4,
    out_channels=4,
    down_block_types=["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
    up_block_types=["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
    block_out_channels=[320, 640, 1280, 1280],
    layers_per_block=2,
    cross_attention_dim=768,
    attention_head_dim=8,
    norm_num_groups=32,
    norm_eps=1e-5,
)
UNET_21 = UNET | dict(
    sample_size=96, cross_attention_dim=1024, attention_head_dim=[5, 10, 20, 20], use_linear_projection=True
)
VAE = dict(
    in_channels=3,
    out_channels=3,
    down_block_types=["DownEncoderBlock2D"] * 4,
    up_block_types=["UpDecoderBlock2D"] * 4,
    block_out_channels=[128, 256, 512, 512],
    layers_per_block=2,
    latent_channels=4,
    norm_num_groups=32,
    sample_size=512,
    scaling_factor=0.18215,
)
CLIP_TEXT = dict(
    vocab_size=49408,
    hidden_size=768,
    intermediate_size=3072,
    num_hidden_layers=12,
    num_attention_heads=12,
    max_position_embeddings=77,
    projection_dim=768,
    hidden_act="quick_gelu",
    layer_norm_eps=1e-5,
    bos_token_id=0,
    eos_token_id=2,
    pad_token_id=1,
)
CLIP_TEXT_21 = CLIP_TEXT | dict(
    hidden_size=1024,
    intermediate_size=4096,
    num_hidden_layers=23,
    num_attention_heads=16,
    projection_dim=512,
    hidden_act="gelu",
)
CLIP_VISION = dict(image_size=224, hidden_act="quick_gelu", layer_norm_eps=1e-5)
CLIP_BASE_32 = dict(
    projection_dim=512,
    text_config=CLIP_TEXT
    | dict(hidden_size=512, intermediate_size=2048, num_attention_heads=8, projection_dim=512),
    vision_config=CLIP_VISION
    | dict(
        hidden_size=768,
        intermediate_size=3072,
        num_hidden_layers=12,
        num_attention_heads=12,
        patch_size=32,
        projection_dim=512,
    ),
)
CLIP_LARGE_14 = dict(
    projection_dim=768,
    text_config=CLIP_TEXT,
    vision_config=CLIP_VISION
    | dict(
        hidden_size=1024,
        intermediate_size=4096,
        num_hidden_layers=24,
        num_attention_heads=16,
        patch_size=14,
        projection_dim=768,
    ),
)
DINO_SMALL_16 = dict(
    hidden_size=384,
    intermediate_size=1536,
    num_hidden_layers=12,
    num_attention_heads=6,
    image_size=224,
    patch_size=16,
    hidden_act="gelu",
    layer_norm_eps=1e-12,
    qkv_bias=True,
)
ROBERTA_BASE = dict(
    vocab_size=50265,
    hidden_size=768,
    num_hidden_layers=12,
    num_attention_heads=12,
    intermediate_size=3072,
    max_position_embeddings=514,
    type_vocab_size=1,
    layer_norm_eps=1e-5,
    hidden_act="gelu",
    pad_token_id=1,
    hidden_dropout_prob=0.1,
    attention_probs_dropout_prob=0.1,
)
LLAMA2_7B = dict(
    vocab_size=32000,
    hidden_size=4096,
    intermediate_size=11008,
    num_hidden_layers=32,
    num_attention_heads=32,
    num_key_value_heads=32,
    rms_norm_eps=1e-5,
    max_position_embeddings=4096,
    tie_word_embeddings=False,
    hidden_act="silu",
    bos_token_id=1,
    eos_token_id=2,
)
SCHEDULER = {
    "_class_name": "PNDMScheduler",
    "_diffusers_version": "0.6.0",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "clip_sample": False,
    "num_train_timesteps": 1000,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "trained_betas": None,
}

# The VAE's attention as diffusers named it before 0.14.
LEGACY = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


def shapes(model):
    """Of every tensor of a state dict."""
    return {name: list(value.shape) for name, value in model.state_dict().items()}


def legacy_vae(model):
    def name_of(name):
        for new, old in LEGACY.items():
            name = name.replace(f".attentions.0.{new}.", f".attentions.0.{old}.")
        return name

    return {name_of(name): shape for name, shape in shapes(model).items()}


def roberta(model):
    """As published: with the head of pretraining, which shares a table with the embeddings, and the pooler."""
    pooler = RobertaModel(model.config).pooler
    extra = {f"roberta.pooler.{name}": shape for name, shape in shapes(pooler).items()}
    return shapes(model) | extra | {"roberta.embeddings.position_ids": [1, 514]}


def clip(model):
    """As published: with the positions' numbers, which older versions saved."""
    buffers = {
        "text_model.embeddings.position_ids": [1, 77],
        "vision_model.embeddings.position_ids": [1, model.vision_model.embeddings.num_positions],
    }
    return shapes(model) | buffers


def networks():
    """Class, config, and names and shapes of every checkpoint, by name; the meta device is the default."""
    unet, vae = UNet2DConditionModel(**UNET), AutoencoderKL(**VAE)
    dino = timm.create_model("vit_small_patch16_224", num_classes=0)
    text = shapes(CLIPTextModel(CLIPTextConfig(**CLIP_TEXT)))
    vit = ViTModel(ViTConfig(**DINO_SMALL_16))
    return {
        "sd15-unet": ({"_class_name": "UNet2DConditionModel"} | UNET, shapes(unet)),
        "sd21-unet": (
            {"_class_name": "UNet2DConditionModel"} | UNET_21,
            shapes(UNet2DConditionModel(**UNET_21)),
        ),
        "sd21-text-encoder": (
            {"architectures": ["CLIPTextModel"]} | CLIP_TEXT_21,
            shapes(CLIPTextModel(CLIPTextConfig(**CLIP_TEXT_21))),
        ),
        "sd15-vae": ({"_class_name": "AutoencoderKL"} | VAE, shapes(vae)),
        "sd15-vae-legacy": ({"_class_name": "AutoencoderKL"} | VAE, legacy_vae(vae)),
        "sd15-text-encoder": (
            {"architectures": ["CLIPTextModel"]} | CLIP_TEXT,
            text | {"text_model.embeddings.position_ids": [1, 77]},
        ),
        "dino-vits16": ({"architectures": ["ViTModel"]} | DINO_SMALL_16, shapes(vit)),
        "dino-vits16-facebook": ({"architectures": ["ViTModel"]} | DINO_SMALL_16, shapes(dino)),
        "clip-vit-base-patch32": (
            {"architectures": ["CLIPModel"]} | CLIP_BASE_32,
            clip(CLIPModel(CLIPConfig(**CLIP_BASE_32))),
        ),
        "clip-vit-large-patch14": (
            {"architectures": ["CLIPModel"]} | CLIP_LARGE_14,
            clip(CLIPModel(CLIPConfig(**CLIP_LARGE_14))),
        ),
        "roberta-base": (
            {"architectures": ["RobertaForMaskedLM"], "model_type": "roberta"} | ROBERTA_BASE,
            roberta(RobertaForMaskedLM(RobertaConfig(**ROBERTA_BASE))),
        ),
        "llama2-7b": (
            {"architectures": ["LlamaForCausalLM"], "model_type": "llama"} | LLAMA2_7B,
            shapes(LlamaForCausalLM(LlamaConfig(**LLAMA2_7B))),
        ),
    }


def compressed(tensors):
    """Names that differ in one number alone and have one shape as one, until there are no more."""
    entries = {}
    for name, shape in tensors.items():
        parts = tuple(frozenset([int(part)]) if part.isdigit() else part for part in name.split("."))
        entries[parts] = tuple(shape)
    for place in range(max(map(len, entries))):
        merged = {}
        for parts, shape in entries.items():
            is_number = place < len(parts) and not isinstance(parts[place], str)
            key = (parts[:place], parts[place + 1 :], shape, is_number or parts[place : place + 1])
            merged.setdefault(key, []).append(parts)
        entries = {}
        for (front, back, shape, is_number), group in merged.items():
            if is_number is True:
                numbers = frozenset().union(*(parts[place] for parts in group))
                entries[(*front, numbers, *back)] = shape
            else:
                entries[group[0]] = shape
    return {".".join(map(text_of, parts)): list(shape) for parts, shape in sorted(entries.items(), key=str)}


def text_of(part):
    """`{0-2,5}` of numbers, and one number or a word as it is."""
    if isinstance(part, str):
        return part
    runs = []
    for number in sorted(part):
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    if len(part) == 1:
        return str(runs[0][0])
    return "{" + ",".join(f"{a}" if a == b else f"{a}-{b}" for a, b in runs) + "}"


def main():
    with torch.device("meta"):
        known = networks()
    if len(sys.argv) > 1:
        _, tensors = known[sys.argv[1]]
        print("\n".join(f"{name} {shape}" for name, shape in sorted(tensors.items())))
        return
    LAYOUTS.mkdir(parents=True, exist_ok=True)
    for name, (config, tensors) in known.items():
        total = sum(torch.Size(shape).numel() for shape in tensors.values())
        lines = [f"    {json.dumps(name)}: {json.dumps(shape)}" for name, shape in compressed(tensors).items()]
        text = '{\n  "config": ' + json.dumps(config) + ',\n  "num_tensors": ' + str(len(tensors))
        text += ',\n  "num_parameters": ' + str(total) + ',\n  "tensors": {\n' + ",\n".join(lines) + "\n  }\n}\n"
        (LAYOUTS / f"{name}.json").write_text(text)
        print(f"{name}: {len(tensors)} tensors, {total:,} scalars, {len(text)} bytes")


if __name__ == "__main__":
    main()
