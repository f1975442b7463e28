"""The sweep of `just bench` with PEFT and diffusers: a loop over the trials, on the same model at batch 1.

PEFT has no ETHER+, so the mean is over the other three methods.
"""

import statistics
import time
from pathlib import Path

import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from peft import DeloraConfig, LoraConfig, inject_adapter_in_model

MODEL = Path(__file__).parents[2] / "assets/mini/sd"
TARGETS = ["to_q", "to_k", "to_v", "to_out.0"]
STEPS, ROUNDS = 10, 7
CONTEXT_TOKENS = 32  # of the mini model's text encoder
METHODS = {
    "lora": LoraConfig(r=16, lora_alpha=32, target_modules=TARGETS),
    "dora": LoraConfig(r=16, lora_alpha=32, target_modules=TARGETS, use_dora=True),
    "delora": DeloraConfig(r=16, delora_lambda=4, target_modules=TARGETS),
}


def milliseconds_per_step(config):
    unet = UNet2DConditionModel.from_pretrained(MODEL / "unet").requires_grad_(False)
    inject_adapter_in_model(config, unet)
    optimizer = torch.optim.AdamW([p for p in unet.parameters() if p.requires_grad], lr=1e-3)
    schedule = DDPMScheduler.from_pretrained(MODEL / "scheduler")
    size = unet.config.sample_size
    latents = torch.randn(1, unet.config.in_channels, size, size)
    context = torch.randn(1, CONTEXT_TOKENS, unet.config.cross_attention_dim)
    timesteps = torch.randint(1000, (1,))

    def step():
        noise = torch.randn_like(latents)
        predicted = unet(schedule.add_noise(latents, noise, timesteps), timesteps, context).sample
        torch.nn.functional.mse_loss(predicted, noise).backward()
        optimizer.step()
        optimizer.zero_grad()

    step()
    started = time.perf_counter()
    for _ in range(STEPS):
        step()
    return (time.perf_counter() - started) * 1e3 / STEPS


def main():
    times = {name: [] for name in METHODS}
    for _ in range(ROUNDS):
        for name, config in METHODS.items():
            times[name].append(milliseconds_per_step(config))
    medians = {name: statistics.median(values) for name, values in times.items()}
    print("PEFT and diffusers, one after another, milliseconds per trial and step:")
    print(", ".join(f"{name} {value:.1f}" for name, value in medians.items()), end="")
    print(f", mean {statistics.mean(medians.values()):.1f}")


if __name__ == "__main__":
    main()
