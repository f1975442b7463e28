"""Golden files for `crates/delora-core`: adapters as PEFT saves them, on the stack of two linears of `methods.py`.

Each case is a folder of PEFT's under `crates/delora-core/tests/golden_peft/`: `adapter_config.json` and
`adapter_model.safetensors` as `save_pretrained` writes them, with `output.safetensors` beside them: what the model
makes of the stack's first input. Every parameter is moved away from its start, so that none is zero.

- `lora`, `rslora`, `dora`, `delora`, `ia3`, `vera`: PEFT's defaults but for sizes; alpha is no multiple of the rank.
- `pissa`: PEFT starts it from the weight's largest singular directions again when it loads the folder.
- `oft`: with the exact inverse in the Cayley map. `coft`: saved before PEFT shortens the rotations, which it does when
  they are first used. `oft_series`: PEFT's default, five terms of the series of (I + S)(I - S)^-1, which turns the other
  way than its exact (I - S)(I + S)^-1; R is small, so that the fifth power of S is below the tolerance.

The lists in the configs are sorted, as PEFT writes sets in any order; `auto_mapping` names this script's class.
"""

import json

import torch
from peft import DeloraConfig, IA3Config, LoraConfig, OFTConfig, VeraConfig, get_peft_model

from methods import GOLDEN, RANK, SITES, shared_stack, write

GOLDEN_PEFT = GOLDEN.parent / "golden_peft"
TARGETS = list(SITES)
ALPHA = 5.0


def record(name, seed, config, noise=0.3):
    stack, inputs, _ = shared_stack()
    torch.manual_seed(seed)
    model = get_peft_model(stack, config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(noise * torch.randn(parameter.shape))
    folder = GOLDEN_PEFT / name
    model.save_pretrained(folder)
    (folder / "README.md").unlink()
    path = folder / "adapter_config.json"
    settings = {
        key: sorted(value) if isinstance(value, list) else value for key, value in json.loads(path.read_text()).items()
    }
    path.write_text(json.dumps(settings, indent=2) + "\n")
    with torch.no_grad():
        write({"output": model(inputs[0])}, folder / "output.safetensors")
    print(f"{name}: written")


def lora(**settings):
    return LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=TARGETS, **settings)


def oft(**settings):
    return OFTConfig(r=2, oft_block_size=0, use_cayley_neumann=False, target_modules=TARGETS, **settings)


def main():
    torch.set_num_threads(1)
    record("lora", 31, lora())
    record("rslora", 32, lora(use_rslora=True))
    record("pissa", 33, lora(init_lora_weights="pissa"))
    record("dora", 34, lora(use_dora=True))
    record("delora", 35, DeloraConfig(r=RANK, delora_lambda=2.5, target_modules=TARGETS))
    record("oft", 36, oft())
    record("coft", 37, oft(coft=True, eps=0.5))
    series = OFTConfig(r=2, oft_block_size=0, target_modules=TARGETS)
    record("oft_series", 40, series, noise=0.01)
    record("ia3", 38, IA3Config(target_modules=TARGETS, feedforward_modules=["second"]))
    record("vera", 39, VeraConfig(r=RANK, d_initial=0.1, target_modules=TARGETS))


if __name__ == "__main__":
    main()
