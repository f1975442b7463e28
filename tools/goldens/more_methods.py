"""Golden files for `crates/delora-core`: more methods on the stack of two linears of `methods.py`.

The files are as there, and so are the names: those of the Rust method's header. What runs is PEFT, except for ETHER
and two-sided ETHER+, whose adapted weights are written out here after mwbini/ether at ddc1038,
ether-instruct/lit_gpt/ether.py (types `ether` and `etherplusHH`). As in `methods.py`, H is block-diagonal.

- `ether`: one R [blocks, features / blocks]; not the identity at the start, as a reflection never is.
- `ether_plus`: R1, R2 on the input side, R3, R4 on the output side; R2 = -R1 and R4 = -R3 make both the identity.
- `oft`: R [blocks, m (m - 1) / 2] is the strict upper triangle, row by row, of a skew-symmetric S; the weight is
  W Q^T with Q = blockdiag((I - S) (I + S)^-1).
- `coft_2`: PEFT scales an S down to Frobenius norm `constraint` / sqrt(blocks) where it is longer, in place and at the
  start of every forward. So `perturbed` are parameters that the first forward still moves, `stepped` are those after
  the last step and one forward more.
- `ia3`: `l` scales the output of `first`, bias included, and the input of `second`, which is a feed-forward module.
- `vera`: `frozen` has each linear's slices of the shared A and B.
- `pissa`: the base weight is W - alpha / rank B0 A0, with A0 and B0 the starting factors.
- `lora_plus`: LoRA with a larger learning rate for B.
"""

import torch
from peft import IA3Config, LoraConfig, OFTConfig, VeraConfig

from methods import ALPHA, GROUPS, RANK, SITES, ether_plus_transform, from_formula, from_peft, record, uniform

PEFT = "peft 0.21.2"
ETHER = "the formula of mwbini/ether at ddc1038"
TARGETS = list(SITES)
FACTORS = {"A": "lora_A.default.weight", "B": "lora_B.default.weight"}
BLOCKS = 2
# Short enough that some blocks leave it, perturbed and stepped, and long enough that some stay within.
CONSTRAINT = 0.5


def ether_transform(r):
    return torch.block_diag(*[torch.eye(len(u)) - 2 * torch.outer(u, u) / u.dot(u) for u in r])


def ether_in(weight, p, _frozen):
    return weight @ ether_transform(p["R"])


def ether_out(weight, p, _frozen):
    return ether_transform(p["R"]) @ weight


def ether_start(side, blocks):
    def start(in_features, out_features):
        return {"R": uniform(blocks, (in_features if side == "in" else out_features) // blocks)}

    return start


def ether_plus(weight, p, _frozen):
    out_side = ether_plus_transform({"R1": p["R3"], "R2": p["R4"]})
    return out_side @ weight @ ether_plus_transform(p)


def ether_plus_start(blocks):
    def start(in_features, out_features):
        r1, r3 = uniform(blocks, in_features // blocks), uniform(blocks, out_features // blocks)
        return {"R1": r1, "R2": -r1, "R3": r3, "R4": -r3}

    return start


def with_constants(build, constants):
    """`build`, with `constants(model, parameters)` recorded as frozen."""

    def built(stack):
        model, parameters, _ = build(stack)
        return model, parameters, constants(model, parameters)

    return built


def starting_factors(_model, parameters):
    return {f"{name}0": value for name, value in parameters.items()}


def shared_projections(model, _parameters):
    a, b = model.base_model.vera_A["default"], model.base_model.vera_B["default"]
    frozen = {}
    for site, (in_features, out_features) in SITES.items():
        frozen |= {f"{site}.A": a[:, :in_features], f"{site}.B": b[:out_features]}
    return frozen


def ether_cases():
    for seed, (side, blocks) in enumerate([("in", 1), ("in", 2), ("out", 2)], start=11):
        build = from_formula(ether_start(side, blocks), ether_in if side == "in" else ether_out)
        record(f"ether_{side}_{blocks}", seed, ETHER, {"name": "ether", "side": side, "blocks": blocks}, build)
    for seed, blocks in enumerate([1, 2], start=14):
        build = from_formula(ether_plus_start(blocks), ether_plus)
        record(f"ether_plus_{blocks}", seed, ETHER, {"name": "ether_plus", "blocks": blocks}, build)


def oft(**settings):
    config = OFTConfig(
        r=BLOCKS, oft_block_size=0, use_cayley_neumann=False, module_dropout=0.0, target_modules=TARGETS, **settings
    )
    return from_peft(config, {"R": "oft_R.default.weight"})


def oft_cases():
    method = {"name": "oft", "blocks": BLOCKS}
    record("oft_2", 16, PEFT, method, oft())
    record("coft_2", 17, PEFT, method | {"constraint": CONSTRAINT}, oft(coft=True, eps=CONSTRAINT))


def scaling_cases():
    """Methods that train vectors only."""
    config = IA3Config(target_modules=TARGETS, feedforward_modules=["second"])
    ia3 = from_peft(config, {"l": "ia3_l.default"})
    record("ia3", 18, PEFT, {"name": "ia3"}, ia3, groups={"l": "magnitude"})
    config = VeraConfig(r=RANK, d_initial=0.1, save_projection=True, target_modules=TARGETS)
    vera = from_peft(config, {"d": "vera_lambda_d.default", "b": "vera_lambda_b.default"})
    vera = with_constants(vera, shared_projections)
    record("vera", 19, PEFT, {"name": "vera", "rank": RANK}, vera, groups={"d": "magnitude", "b": "magnitude"})


def lora(**settings):
    return from_peft(LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=TARGETS, **settings), FACTORS)


def lora_cases():
    low_rank = {"rank": RANK, "alpha": ALPHA}
    pissa = with_constants(lora(init_lora_weights="pissa"), starting_factors)
    record("pissa", 20, PEFT, {"name": "pissa", **low_rank}, pissa)
    record("rslora", 21, PEFT, {"name": "rslora", **low_rank}, lora(use_rslora=True))
    record("lora_plus", 22, PEFT, {"name": "lora_plus", **low_rank}, lora(), groups=GROUPS | {"B": "angles_b"})


def main():
    torch.set_num_threads(1)
    ether_cases()
    oft_cases()
    scaling_cases()
    lora_cases()


if __name__ == "__main__":
    main()
