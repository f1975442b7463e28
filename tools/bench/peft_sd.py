"""What finetuning and drawing cost with PEFT and diffusers, one trial at a time: the counterpart of `just bench-sd`."""

import argparse
import json
import resource
import statistics
import time
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDPMScheduler, DPMSolverMultistepScheduler, UNet2DConditionModel
from peft import DeloraConfig, LoraConfig, inject_adapter_in_model

STEPS, ROUNDS, PICTURES = 5, 3, 4
SAMPLING_STEPS, GUIDANCE_SCALE = 25, 7.5
TARGETS = ["to_q", "to_k", "to_v", "to_out.0"]
METHODS = {
    "lora": LoraConfig(r=16, lora_alpha=32, target_modules=TARGETS),
    "dora": LoraConfig(r=16, lora_alpha=32, target_modules=TARGETS, use_dora=True),
    "delora": DeloraConfig(r=16, delora_lambda=4, target_modules=TARGETS),
}
CUDA = torch.cuda.is_available()
DEVICE = "cuda" if CUDA else "cpu"
KIND = torch.bfloat16 if CUDA else torch.float32


def now():
    if CUDA:
        torch.cuda.synchronize()
    return time.perf_counter()


def memory():
    kilobytes = torch.cuda.max_memory_reserved() / 1024 if CUDA else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes * 1.024e-6


def adapted(folder, config, kind=KIND):
    """The denoiser computing in `kind`, with trained parameters in f32."""
    unet = UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=kind).to(DEVICE).requires_grad_(False)
    inject_adapter_in_model(config, unet)
    for parameter in unet.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    return unet


def autocast(kind):
    return torch.autocast(DEVICE, torch.bfloat16, enabled=kind == torch.bfloat16)


def seconds_per_step(unet, folder, tokens, steps=STEPS):
    optimizer = torch.optim.AdamW([p for p in unet.parameters() if p.requires_grad], lr=1e-4)
    schedule = DDPMScheduler.from_pretrained(folder / "scheduler")
    size = unet.config.sample_size
    latents = torch.randn(1, unet.config.in_channels, size, size, device=DEVICE)
    context = torch.randn(1, tokens, unet.config.cross_attention_dim, device=DEVICE, dtype=unet.conv_in.weight.dtype)
    timesteps = torch.randint(1000, (1,), device=DEVICE)

    def step():
        noise = torch.randn_like(latents)
        with autocast(context.dtype):
            predicted = unet(schedule.add_noise(latents, noise, timesteps).to(context.dtype), timesteps, context).sample
        torch.nn.functional.mse_loss(predicted.float(), noise).backward()
        optimizer.step()
        optimizer.zero_grad()

    step()
    started = now()
    for _ in range(steps):
        step()
    return (now() - started) / steps


@torch.no_grad()
def pictures_per_second(unet, vae, folder, tokens):
    schedule = DPMSolverMultistepScheduler.from_pretrained(folder / "scheduler")
    schedule.set_timesteps(SAMPLING_STEPS, device=DEVICE)
    size = unet.config.sample_size
    started = now()
    latents = torch.randn(PICTURES, unet.config.in_channels, size, size, device=DEVICE, dtype=KIND)
    context = torch.randn(2 * PICTURES, tokens, unet.config.cross_attention_dim, device=DEVICE, dtype=KIND)
    for timestep in schedule.timesteps:
        with autocast(KIND):
            away, towards = unet(torch.cat([latents, latents]), timestep, context).sample.chunk(2)
        latents = schedule.step(away + GUIDANCE_SCALE * (towards - away), timestep, latents).prev_sample
    vae.decode(latents.to(KIND) / vae.config.scaling_factor).sample.sum().item()
    return PICTURES / (now() - started)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="assets/mini/sd", type=Path, help="folder in diffusers' layout")
    folder = parser.parse_args().model
    tokens = json.loads((folder / "text_encoder/config.json").read_text()).get("max_position_embeddings", 77)
    vae = AutoencoderKL.from_pretrained(folder / "vae", torch_dtype=KIND).to(DEVICE)
    print(f"PEFT and diffusers, {DEVICE}, {KIND}:")
    for name in ["lora", "delora"]:
        unet = adapted(folder, METHODS[name])
        step = statistics.median(seconds_per_step(unet, folder, tokens) for _ in range(ROUNDS))
        pictures = pictures_per_second(unet, vae, folder, tokens)
        print(f"{name:6}  1 trial: step {1e3 * step:.1f} ms, {pictures:.2f} pictures/s, at most {memory():.1f} GB so far")


if __name__ == "__main__":
    main()
