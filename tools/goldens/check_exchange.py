"""Loads what we export with PEFT and diffusers themselves, and compares outputs.

    DELORA_EXCHANGE_DIR=$PWD/target/exports cargo test -p delora-core --test peft exported
    DELORA_EXCHANGE_DIR=$PWD/target/exports .tools/goldens/bin/python tools/goldens/check_exchange.py

checks a folder per form of each method: PEFT's own files, and `output.safetensors` with what the adapted stack of
`methods.py` made of its first input in Rust. Without the variable nothing is checked.

    .tools/goldens/bin/python tools/goldens/check_exchange.py SD MERGED [PEFT [DIFFUSERS]]

checks three exports of one adapter (`delora export`) on a Stable Diffusion checkpoint: the UNet of MERGED against
that of SD with the PEFT folder, and with the file that diffusers reads; `-` leaves one out.
"""

import os
import sys
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from peft import PeftModel
from safetensors.torch import load_file

from methods import shared_stack

TOLERANCE = 1e-4


def compare(name, ours, reference):
    difference = (ours - reference).abs().max().item()
    print(f"{name}: largest difference {difference:.1e}")
    return difference <= TOLERANCE


def check_stack(folder):
    for case in sorted(path for path in folder.iterdir() if path.is_dir()):
        stack, inputs, _ = shared_stack()
        model = PeftModel.from_pretrained(stack, case)
        with torch.no_grad():
            kind = model.peft_config["default"].peft_type.value
            yield compare(f"{case.name} as {kind}", model(inputs[0]), load_file(case / "output.safetensors")["output"])


def predicted(unet):
    """Noise that the UNet finds in a fixed latent under a fixed context."""
    torch.manual_seed(0)
    config = unet.config
    latent = torch.randn(2, config.in_channels, config.sample_size, config.sample_size)
    context = torch.randn(2, 7, config.cross_attention_dim)
    with torch.no_grad():
        return unet(latent, torch.tensor([10, 600]), context).sample


def check_unet(base, merged, peft="-", diffusers="-"):
    unet = lambda folder: UNet2DConditionModel.from_pretrained(folder, subfolder="unet")
    reference = predicted(unet(merged))
    print(f"the adapter moves the output by {(predicted(unet(base)) - reference).abs().max():.1e}")
    if peft != "-":
        yield compare("PEFT's UNet against the merged one", predicted(PeftModel.from_pretrained(unet(base), peft)), reference)
    if diffusers != "-":
        model = unet(base)
        model.load_lora_adapter(diffusers, weight_name="pytorch_lora_weights.safetensors", prefix="unet")
        yield compare("diffusers' UNet against the merged one", predicted(model), reference)
        model = unet(base)
        state, alphas = StableDiffusionPipeline.lora_state_dict(diffusers, weight_name="pytorch_lora_weights.safetensors")
        StableDiffusionPipeline.load_lora_into_unet(state, network_alphas=alphas, unet=model)
        yield compare("the same as the pipeline loads it", predicted(model), reference)


def main():
    torch.set_num_threads(1)
    if len(sys.argv) > 2:
        results = list(check_unet(*sys.argv[1:]))
    elif folder := os.environ.get("DELORA_EXCHANGE_DIR"):
        results = list(check_stack(Path(folder)))
    else:
        results = []
        print("nothing to check; see the head of this script")
    if not all(results):
        sys.exit(f"{results.count(False)} of {len(results)} differ by more than {TOLERANCE}")


if __name__ == "__main__":
    main()
