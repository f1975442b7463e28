"""Golden file for `crates/models`: a tiny ControlNet of diffusers, of which the condition encoder is read.

The folder is a ControlNet as diffusers saves it, less what belongs to no condition encoder but for one tensor, which the
reader has to pass over; `io.safetensors` holds maps and features.
"""

import json
import re

import torch
from diffusers.models.controlnets.controlnet import ControlNetConditioningEmbedding
from models import GOLDEN, randomize, save_io
from safetensors.torch import save_file

CONFIG = dict(conditioning_channels=3, conditioning_embedding_out_channels=[4, 5, 7], block_out_channels=[6, 8])


def condition_encoder(name, seed):
    encoder = ControlNetConditioningEmbedding(
        CONFIG["block_out_channels"][0],
        CONFIG["conditioning_channels"],
        tuple(CONFIG["conditioning_embedding_out_channels"]),
    )
    randomize(encoder, seed, re.compile(r"(?!)"))  # there is no residual stream, so nothing need be small
    maps = torch.rand(2, 3, 12, 20, generator=torch.Generator().manual_seed(seed + 1))
    save_io(name, dict(maps=maps, features=encoder(maps)))
    tensors = {f"controlnet_cond_embedding.{key}": value for key, value in encoder.state_dict().items()}
    tensors["controlnet_mid_block.bias"] = torch.ones(3)
    save_file(tensors, GOLDEN / name / "diffusion_pytorch_model.safetensors")
    (GOLDEN / name / "config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    with torch.no_grad():
        condition_encoder("condition_encoder", 100)
