"""Stable Diffusion 1.5 and its evaluators at full size with random weights, and what the references compute of them.

    python tools/goldens/full_size.py FOLDER [TOKENIZER]

writes checkpoint folders in the layouts of the public ones (7 GB), with `io.safetensors` of inputs and outputs beside
each network's weights. Nothing of it is committed. `TOKENIZER` is a folder with CLIP's tokenizer files, which are
copied where a checkpoint has them. Compare with

    FULL_SIZE=FOLDER cargo test --release -p models --test full_size -- --ignored --nocapture
"""

import json
import shutil
import sys
import time
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from layouts import (
    CLIP_BASE_32,
    CLIP_LARGE_14,
    CLIP_TEXT,
    DINO_SMALL_16,
    SCHEDULER,
    UNET,
    VAE,
)
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPTextModel, ViTConfig, ViTModel

TOKENIZER_FILES = ["tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt", "special_tokens_map.json"]
MODEL_INDEX = {
    "_class_name": "StableDiffusionPipeline",
    "_diffusers_version": "0.6.0",
    "scheduler": ["diffusers", "PNDMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}
CLIP_PICTURES = {
    "crop_size": 224,
    "do_center_crop": True,
    "do_normalize": True,
    "do_resize": True,
    "feature_extractor_type": "CLIPFeatureExtractor",
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "resample": 3,
    "size": 224,
}
DINO_PICTURES = {
    "do_normalize": True,
    "do_resize": True,
    "feature_extractor_type": "ViTFeatureExtractor",
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
    "resample": 2,
    "size": 224,
}


def disturbed(model, generator):
    """With the library's own start, but norms and biases that are not 1 and 0, and class tokens that are not 0."""
    for name, parameter in sorted(model.named_parameters()):
        if parameter.dim() == 1 or "cls_token" in name or "position_embeddings" in name:
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.data.add_(noise * (0.1 if name.endswith("weight") else 0.02))
    return model.eval()


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n")


def record(folder, model, compute):
    """Save `model`, and the tensors of `compute(model)` beside it, with the seconds that this took."""
    start = time.perf_counter()
    tensors = compute(model)
    seconds = time.perf_counter() - start
    model.save_pretrained(folder, safe_serialization=True)
    save_file({name: value.contiguous() for name, value in tensors.items()}, folder / "io.safetensors")
    print(f"{folder.name}: {sum(p.numel() for p in model.parameters()):,} parameters, {seconds:.1f} s", flush=True)


def main():
    if len(sys.argv) < 2:
        print("nothing written: name a folder for the full-size checkpoints")
        return
    root, tokenizer = Path(sys.argv[1]), [Path(path) for path in sys.argv[2:3]]
    evaluators = root.with_name(root.name + "-evaluators")
    generator = torch.Generator().manual_seed(15)
    torch.manual_seed(15)

    def random(*shape):
        return torch.randn(shape, generator=generator)

    def unet(model):
        sample, context, timesteps = random(1, 4, 64, 64), random(1, 77, 768), torch.tensor([481])
        output = model(sample, timesteps, encoder_hidden_states=context).sample
        return dict(sample=sample, context=context, timesteps=timesteps, output=output)

    def vae(model):
        image, latent = random(1, 3, 256, 256).clamp(-1, 1), random(1, 4, 32, 32)
        latents = model.encode(image).latent_dist
        return dict(image=image, mean=latents.mean, logvar=latents.logvar, latent=latent, decoded=model.decode(latent).sample)

    def ids():
        tokens = torch.randint(0, 49406, (2, 77), generator=generator)
        tokens[:, 0], tokens[:, 76], tokens[0, 9:] = 49406, 49407, 49407
        return tokens

    def text(model):
        tokens = ids()
        return dict(ids=tokens, hidden=model(tokens).last_hidden_state)

    def clip(model):
        tokens, image = ids(), random(2, 3, 224, 224)
        return dict(
            ids=tokens,
            image=image,
            text_embeds=model.get_text_features(tokens),
            image_embeds=model.get_image_features(image),
        )

    def vit(model):
        image = random(2, 3, 224, 224)
        return dict(image=image, features=model(image).last_hidden_state[:, 0])

    with torch.no_grad():
        record(root / "unet", disturbed(UNet2DConditionModel(**UNET), generator), unet)
        record(root / "vae", disturbed(AutoencoderKL(**VAE), generator), vae)
        record(root / "text_encoder", disturbed(CLIPTextModel(CLIPTextConfig(**CLIP_TEXT)), generator), text)
        dino = ViTModel(ViTConfig(**DINO_SMALL_16))
        record(evaluators / "dino-vits16", disturbed(dino, generator), vit)
        for name, config in [("clip-vit-base-patch32", CLIP_BASE_32), ("clip-vit-large-patch14", CLIP_LARGE_14)]:
            record(evaluators / name, disturbed(CLIPModel(CLIPConfig(**config)), generator), clip)
            write_json(evaluators / name / "preprocessor_config.json", CLIP_PICTURES)
    write_json(evaluators / "dino-vits16" / "preprocessor_config.json", DINO_PICTURES)
    write_json(root / "scheduler" / "scheduler_config.json", SCHEDULER)
    write_json(root / "model_index.json", MODEL_INDEX)
    for source in tokenizer:
        for folder in (root / "tokenizer", evaluators / "clip-vit-base-patch32", evaluators / "clip-vit-large-patch14"):
            folder.mkdir(parents=True, exist_ok=True)
            for file in TOKENIZER_FILES:
                shutil.copy(source / file, folder / file)


if __name__ == "__main__":
    main()
