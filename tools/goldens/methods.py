"""Golden files for `crates/delora-core`: each method on a tiny stack of two linears, and three training steps.

LoRA, DoRA and DeLoRA with a zero B run in PEFT itself. The others have no installable package, so the
adapted weight is written out here, in our own words, after these sources (`more_methods.py` and `block_methods.py`
have further methods, and record them with the functions here):
- `delora_live`, `lora_normalized`: ExplainableML/DeLoRA at 82bfcb0, peft/src/peft/tuners/delora.py
  (the frozen copies of the factors stand under the current strength; columns scaled by the norms of W;
  `lora_normalized` is the same without that scaling, the paper's "normalize w/ controllable boundary");
- `delora_merged`: the paper's Eq. 8 and 9 (Frobenius norm of W; the initial update is a constant);
- `ether_plus_one_sided`: mwbini/ether at ddc1038, ether-instruct/lit_gpt/ether.py (type `etherplus`; with
  `flip_side` for the output side). For more than one block on the input side that code reshapes W across rows;
  here H is block-diagonal, as in its paper.

`crates/delora-core/tests/golden/stack.safetensors` has the frozen linears and a batch for each step, the same for
all cases. Each case is a folder `<name>/` beside it: `case.json` (settings) and `io.safetensors` with constants of the
method (`frozen.`), and the parameters as created (`initial.`), moved to where nothing is zero (`perturbed.`), and
after three AdamW steps from there (`stepped.`). Names and shapes of parameters are those of the Rust method's header.
"""

import json
from pathlib import Path

import torch
from peft import DeloraConfig, LoraConfig, get_peft_model
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

GOLDEN = Path(__file__).resolve().parents[2] / "crates" / "delora-core" / "tests" / "golden"
SITES = {"first": (6, 10), "second": (10, 8)}  # in_features, out_features
RANK, ALPHA, STRENGTH = 3, 6.0, 2.5
NUM_STEPS, ROWS = 3, 5
LEARNING_RATE = {"angles": 0.02, "angles_b": 0.1, "strength": 0.05, "magnitude": 0.03, "weight": 0.01, "bias": 0.04}
WEIGHT_DECAY = 0.01
# The learning rate group of a parameter by its name; all others are angles.
GROUPS = {"lambda": "strength", "m": "magnitude"}


class Stack(nn.Module):
    """Two linears with a tanh between, so that the first one's gradient passes through the second."""

    def __init__(self):
        super().__init__()
        for site, (in_features, out_features) in SITES.items():
            setattr(self, site, nn.Linear(in_features, out_features))

    def forward(self, x):
        return self.second(torch.tanh(self.first(x)))


class Formula(nn.Module):
    """A frozen linear under a method given as `adapted_weight(weight, parameters, frozen)`."""

    def __init__(self, linear, parameters, adapted_weight):
        super().__init__()
        self.weight, self.bias = linear.weight.detach(), linear.bias.detach()
        self.frozen = {f"{name}0": value.clone() for name, value in parameters.items()}
        self.trained = nn.ParameterDict(parameters)
        self.adapted_weight = adapted_weight

    def forward(self, x):
        return F.linear(x, self.adapted_weight(self.weight, self.trained, self.frozen), self.bias)


def unit_components(a, b):
    """Sum over the rank of the outer products of unit vectors."""
    return (b / b.norm(dim=0)) @ (a / a.norm(dim=1, keepdim=True))


def delora_live(weight, p, frozen):
    difference = unit_components(p["A"], p["B"]) - unit_components(frozen["A0"], frozen["B0"])
    return weight + p["lambda"] / RANK * difference * weight.norm(dim=0)


def lora_normalized(weight, p, frozen):
    difference = unit_components(p["A"], p["B"]) - unit_components(frozen["A0"], frozen["B0"])
    return weight + p["lambda"] / RANK * difference


def delora_merged(weight, p, frozen):
    now = p["lambda"] * unit_components(p["A"], p["B"])
    start = frozen["lambda0"] * unit_components(frozen["A0"], frozen["B0"])
    return weight + (now - start) / RANK * weight.norm()


def ether_plus_transform(p):
    blocks = [
        torch.eye(len(u)) - torch.outer(u, u) / u.dot(u) + torch.outer(v, v) / v.dot(v)
        for u, v in zip(p["R1"], p["R2"])
    ]
    return torch.block_diag(*blocks)


def ether_plus_in(weight, p, _frozen):
    return weight @ ether_plus_transform(p)


def ether_plus_out(weight, p, _frozen):
    return ether_plus_transform(p) @ weight


def uniform(*shape):
    """PyTorch's usual start for a linear weight: uniform within 1 / sqrt(columns)."""
    return (torch.rand(*shape) * 2 - 1) / shape[-1] ** 0.5


def additive_start(in_features, out_features):
    factors = {"A": uniform(RANK, in_features), "B": uniform(out_features, RANK)}
    return factors | {"lambda": torch.tensor(STRENGTH)}


def ether_plus_start(side, blocks):
    def start(in_features, out_features):
        r1 = uniform(blocks, (in_features if side == "in" else out_features) // blocks)
        return {"R1": r1, "R2": -r1}

    return start


def from_formula(start, adapted_weight, constants=()):
    """`constants` are the names of the starting values that the formula reads (`A0` for the first `A`, …)."""

    def build(stack):
        for site, sizes in SITES.items():
            setattr(stack, site, Formula(getattr(stack, site), start(*sizes), adapted_weight))
        layers = {site: getattr(stack, site) for site in SITES}
        parameters = {f"{site}.{name}": value for site in SITES for name, value in layers[site].trained.items()}
        frozen = {f"{site}.{name}": layers[site].frozen[name] for site in SITES for name in constants}
        return stack, parameters, frozen

    return build


def from_peft(config, names):
    """`names` maps the parameters to train to PEFT's, relative to the adapted linear."""

    def build(stack):
        model = get_peft_model(stack, config)
        found = {key.removeprefix("base_model.model."): value for key, value in model.named_parameters()}
        parameters = {
            f"{site}.{ours}": found[f"{site}.{theirs}"] for site in SITES for ours, theirs in names.items()
        }
        return model, parameters, {}

    return build


def group_of(name, groups):
    return groups.get(name.split(".")[-1], "angles")


def train(model, parameters, inputs, targets, groups, weight_decay):
    """Three steps of PyTorch's AdamW on the mean squared error, one batch each."""
    settings = [
        {"params": [parameter], "lr": LEARNING_RATE[group_of(name, groups)], "weight_decay": weight_decay}
        for name, parameter in parameters.items()
    ]
    optimizer = torch.optim.AdamW(settings)
    losses = []
    for x, target in zip(inputs, targets):
        loss = F.mse_loss(model(x), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return torch.stack(losses)


def named(prefix, parameters):
    """Copies, with PEFT's [1] strengths as the numbers they are, and IA3's one-column matrices as vectors."""
    shapes = {"lambda": (), "l": (-1,)}
    copy = lambda key, value: value.detach().clone().reshape(shapes.get(key.split(".")[-1], value.shape))
    return {f"{prefix}.{key}": copy(key, value) for key, value in parameters.items()}


def write(tensors, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: value.detach().contiguous() for key, value in tensors.items()}, path)


def shared_stack():
    """The frozen linears, and inputs and targets for each step: the same for every case."""
    torch.manual_seed(0)
    return Stack(), torch.randn(NUM_STEPS, ROWS, 6), torch.randn(NUM_STEPS, ROWS, 8)


def dense_noise(_key, shape):
    return 0.3 * torch.randn(shape)


def record(
    name,
    seed,
    source,
    method,
    build,
    network=shared_stack,
    groups=GROUPS,
    weight_decay=WEIGHT_DECAY,
    noise=dense_noise,
):
    model, inputs, targets = network()
    torch.manual_seed(seed)
    model, parameters, frozen = build(model)
    tensors = named("frozen", frozen) | named("initial", parameters) | {"initial.output": model(inputs[0])}
    with torch.no_grad():
        for key, value in parameters.items():
            value.add_(noise(key, value.shape))
    tensors |= named("perturbed", parameters) | {"perturbed.output": model(inputs[0])}
    tensors["losses"] = train(model, parameters, inputs, targets, groups, weight_decay)
    # The output first: a constrained method moves its parameters into bounds when it is used.
    tensors |= {"stepped.output": model(inputs[0])} | named("stepped", parameters)
    used = sorted({group_of(key, groups) for key in parameters})
    case = {
        "source": source,
        "method": method,
        "learning_rate": {group: LEARNING_RATE[group] for group in used},
        "weight_decay": weight_decay,
    }
    write(tensors, GOLDEN / name / "io.safetensors")
    (GOLDEN / name / "case.json").write_text(json.dumps(case, indent=2) + "\n")
    moved = (tensors["stepped.output"] - tensors["perturbed.output"]).abs().max()
    print(f"{name}: losses {[round(x, 4) for x in tensors['losses'].tolist()]}, outputs moved by {moved:.3f}")


def peft_cases():
    source, targets = "peft 0.21.2", list(SITES)
    factors = {"A": "lora_A.default.weight", "B": "lora_B.default.weight"}
    magnitude = {"m": "lora_magnitude_vector.default.weight"}
    delora = {"A": "delora_A.default", "B": "delora_B.default", "lambda": "delora_lambda.default"}
    low_rank = {"rank": RANK, "alpha": ALPHA}
    lora = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=targets)
    record("lora", 1, source, {"name": "lora", **low_rank}, from_peft(lora, factors))
    dora = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=targets, use_dora=True)
    record("dora", 2, source, {"name": "dora", **low_rank}, from_peft(dora, factors | magnitude))
    fixed = {"name": "dora_fixed_magnitude", **low_rank}
    record("dora_fixed_magnitude", 3, source, fixed, from_peft(dora, factors))
    zero_b = DeloraConfig(r=RANK, delora_lambda=STRENGTH, target_modules=targets)
    record("delora_zero_b", 4, source, delora_settings("zero_b", "input_column"), from_peft(zero_b, delora))


def delora_settings(initial_update, weight_norm):
    settings = {"initial_update": initial_update, "weight_norm": weight_norm}
    return {"name": "delora", "rank": RANK, "lambda": STRENGTH, **settings}


def formula_cases():
    official, paper = "the formula of ExplainableML/DeLoRA at 82bfcb0", "the paper's Eq. 8 and 9"
    live = from_formula(additive_start, delora_live, ["A0", "B0"])
    record("delora_live", 5, official, delora_settings("live", "input_column"), live)
    merged = from_formula(additive_start, delora_merged, ["A0", "B0", "lambda0"])
    record("delora_merged", 6, paper, delora_settings("merged", "frobenius"), merged)
    normalized = from_formula(additive_start, lora_normalized, ["A0", "B0"])
    settings = {"name": "lora_normalized", "rank": RANK, "lambda": STRENGTH, "initial_update": "live"}
    record("lora_normalized", 7, official, settings, normalized)
    ether = "the formula of mwbini/ether at ddc1038"
    for seed, (side, blocks) in enumerate([("in", 1), ("in", 2), ("out", 2)], start=8):
        settings = {"name": "ether_plus_one_sided", "side": side, "blocks": blocks}
        adapted_weight = ether_plus_in if side == "in" else ether_plus_out
        build = from_formula(ether_plus_start(side, blocks), adapted_weight)
        record(f"ether_plus_one_sided_{side}_{blocks}", seed, ether, settings, build)


def main():
    torch.set_num_threads(1)
    stack, inputs, targets = shared_stack()
    write(stack.state_dict() | {"input": inputs, "target": targets}, GOLDEN / "stack.safetensors")
    peft_cases()
    formula_cases()


if __name__ == "__main__":
    main()
