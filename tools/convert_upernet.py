#!/usr/bin/env python3
"""Makes a folder for `evaluators.segmenter` of the two files of CSAILVision/semantic-segmentation-pytorch.

    tools/convert_upernet.py encoder_epoch_50.pth decoder_epoch_50.pth models/upernet101

The files are those of `ade20k-resnet101-upernet` under the project's published models. The folder gets
`model.safetensors`, with names under `encoder.` and `decoder.`, and `config.json`, with the sizes that the weights have.
Needs Python 3.9 with torch and safetensors; loads tensors alone, so that nothing in the files can run.
"""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

# What batch norms keep besides, for training on several GPUs.
DROPPED = ("num_batches_tracked", "_tmp_running_mean", "_tmp_running_var", "_running_iter")


def read(path, prefix):
    tensors = torch.load(path, map_location="cpu", weights_only=True)
    kept = {name: tensor for name, tensor in tensors.items() if not name.endswith(DROPPED)}
    return {prefix + name: tensor.contiguous() for name, tensor in kept.items()}


def config_of(tensors):
    """Sizes as `crates/models/src/upernet.rs` names them; pools and picture sizes are the reference's and left out."""

    def outputs(name):
        if name not in tensors:
            sys.exit(f"tensor `{name}` is missing: the files are not those of a ResNet with a deep stem and UPerNet")
        return tensors[name].shape[0]

    blocks = {name.rsplit(".", 2)[0] for name in tensors if name.endswith("conv1.weight") and ".layer" in name}
    return dict(
        stem_widths=[outputs(f"encoder.conv{index}.weight") for index in (1, 2, 3)],
        stage_blocks=[sum(block.startswith(f"encoder.layer{stage}.") for block in blocks) for stage in (1, 2, 3, 4)],
        stage_planes=[outputs(f"encoder.layer{stage}.0.conv1.weight") for stage in (1, 2, 3, 4)],
        pool_width=outputs("decoder.ppm_conv.0.0.weight"),
        fpn_width=outputs("decoder.ppm_last_conv.0.weight"),
        num_classes=outputs("decoder.conv_last.1.weight"),
    )


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    encoder, decoder, folder = map(Path, sys.argv[1:])
    tensors = read(encoder, "encoder.") | read(decoder, "decoder.")
    config = config_of(tensors)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    print(f"{folder}: {len(tensors)} tensors, {sum(tensor.numel() for tensor in tensors.values())} numbers")


if __name__ == "__main__":
    main()
