"""The sweep of `just bench` with PEFT and diffusers: a loop over the trials, on the same model at batch 1.

PEFT has no ETHER+, so the mean is over the other three methods.
"""

import statistics
from pathlib import Path

import torch
from peft_sd import METHODS, adapted, seconds_per_step

MODEL = Path(__file__).parents[2] / "assets/mini/sd"
STEPS, ROUNDS = 10, 7
CONTEXT_TOKENS = 32  # of the mini model's text encoder


def milliseconds_per_step(config):
    unet = adapted(MODEL, config, torch.float32)
    return 1e3 * seconds_per_step(unet, MODEL, CONTEXT_TOKENS, STEPS)


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
