"""Golden files for `crates/delora-core`: methods for transformers, on one tiny post-norm block without attention.

`crates/delora-core/tests/golden/block/block.safetensors` has the block, and a batch for each step; each case is a
folder beside it, with files as those of `methods.py`. A method stands at a linear, at a norm's weight or bias (site
`norm1.weight`, parameter `value`), or at one of the hidden sites, where it changes activations:

    y1 = norm1(attention_output(attention(x)) + x)
    y2 = norm2(ffn_output(down(tanh(up(y1)))) + y1)
    output = block_output(y2)

- `red`: mlwu22/RED at b34e48f, model.py (`ActivationLayer`), in our words.
- `loreft_*`: pyreft 0.1.0, pyreft/interventions.py (`LoreftIntervention` in float32, without dropout and activation),
  in our words, as pyreft asks for an older transformers; the rotation is PyTorch's own parametrization.
  X [features, rank] is its unconstrained tensor, `base` [features, features] its constant. No weight decay:
  the diagonal of X holds signs which PyTorch truncates to integers, so any decay makes the rotation zero.
- `adapter_*`: the adapter of the `adapters` package, at AdapterHub's places. Pfeiffer's reads what norm2 makes of its
  place, and adds to what was there before.
"""

from functools import partial

import torch
from adapters import DoubleSeqBnConfig, SeqBnConfig
from adapters.methods.modeling import Adapter
from torch import nn
from torch.nn.utils.parametrizations import orthogonal

from methods import GOLDEN, NUM_STEPS, WEIGHT_DECAY, dense_noise, record, write

BATCH, TOKENS, FEATURES, INNER, BOTTLENECK = 2, 5, 6, 10, 4
LINEARS, NORMS = ["attention", "up", "down"], ["norm1", "norm2"]


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.Linear(FEATURES, FEATURES)
        self.up, self.down = nn.Linear(FEATURES, INNER), nn.Linear(INNER, FEATURES)
        self.norm1, self.norm2 = nn.LayerNorm(FEATURES), nn.LayerNorm(FEATURES)
        self.hidden = nn.ModuleDict()  # the method at each hidden site that has one

    def at(self, site, hidden, residual=None, norm=None):
        """`residual` and `norm` are what follows at this place: some adapters read them."""
        return self.hidden[site](hidden, residual, norm) if site in self.hidden else hidden

    def forward(self, x):
        y1 = self.norm1(self.at("attention_output", self.attention(x), x, self.norm1) + x)
        ffn = self.down(torch.tanh(self.up(y1)))
        y2 = self.norm2(self.at("ffn_output", ffn, y1, self.norm2) + y1)
        return self.at("block_output", y2)


class Red(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.ones(FEATURES)), nn.Parameter(torch.zeros(FEATURES))

    def forward(self, hidden, _residual, _norm):
        return hidden * self.scale + self.shift


class Rotation(nn.Module):
    def __init__(self, rank):
        super().__init__()
        self.weight = nn.Parameter(nn.init.orthogonal_(torch.empty(FEATURES, rank)))


class Loreft(nn.Module):
    """On the first tokens, or on all of them."""

    def __init__(self, rank, first_tokens=None):
        super().__init__()
        self.first = first_tokens
        self.rotation = orthogonal(Rotation(rank))
        self.source = nn.Linear(FEATURES, rank)

    def forward(self, hidden, _residual, _norm):
        moved, kept = hidden[:, : self.first], hidden[:, TOKENS if self.first is None else self.first :]
        rotation = self.rotation.weight
        moved = moved + (self.source(moved) - moved @ rotation) @ rotation.T
        return torch.cat([moved, kept], dim=1)


class Bottleneck(nn.Module):
    """AdapterHub's adapter, without the residual and norm that the block itself applies next."""

    def __init__(self, config):
        super().__init__()
        self.adapter = Adapter("adapter", FEATURES, BOTTLENECK, config)

    def forward(self, hidden, residual, norm):
        inner, _query, skip = self.adapter.pre_forward(hidden, residual, norm)
        return self.adapter(inner, skip)[0]


def shared_block():
    """The block, and inputs and targets for each step: the same for every case."""
    torch.manual_seed(0)
    block = Block()
    with torch.no_grad():
        for norm in (block.norm1, block.norm2):
            norm.weight.add_(0.3 * torch.randn(FEATURES))
            norm.bias.add_(0.2 * torch.randn(FEATURES))
    batches = (NUM_STEPS, BATCH, TOKENS, FEATURES)
    return block, torch.randn(batches), torch.randn(batches)


def own_tensors(linears, norms):
    """Trains the block's own tensors of these kinds: `weight`, `bias`."""

    def build(block):
        names = {f"{site}.{kind}": f"{site}.{kind}" for site in LINEARS for kind in linears}
        names |= {f"{site}.{kind}.value": f"{site}.{kind}" for site in NORMS for kind in norms}
        return block, {ours: block.get_parameter(theirs) for ours, theirs in names.items()}, {}

    return build


def at_sites(sites, make, names, constants={}):
    """`names` and `constants` map what is trained and what is frozen to the tensors of the module that `make` gives."""

    def build(block):
        parameters, frozen = {}, {}
        for site in sites:
            layer = block.hidden[site] = make()
            parameters |= {f"{site}.{ours}": find(layer, theirs) for ours, theirs in names.items()}
            frozen |= {f"{site}.{ours}": find(layer, theirs) for ours, theirs in constants.items()}
        return block, parameters, frozen

    return build


def find(layer, name):
    return dict([*layer.named_parameters(), *layer.named_buffers()])[name]


def record_block(name, seed, source, method, build, groups, weight_decay=WEIGHT_DECAY, noise=dense_noise):
    settings = {"groups": groups, "weight_decay": weight_decay, "noise": noise}
    record(f"block/{name}", seed, source, method, build, network=shared_block, **settings)


def own_tensor_cases():
    source = "torch 2.11.0"
    weight, bias = {"weight": "weight", "bias": "weight", "value": "weight"}, {"bias": "bias", "value": "bias"}
    record_block("full", 31, source, {"name": "full"}, own_tensors(["weight", "bias"], ["weight", "bias"]), weight)
    record_block("bitfit", 32, source, {"name": "bitfit"}, own_tensors(["bias"], ["bias"]), bias)


def below_the_diagonal_of_x(key, shape):
    noise = dense_noise(key, shape)
    return noise.tril(-1) if key.endswith(".X") else noise


def intervention_cases():
    red = at_sites(["ffn_output"], Red, {"scale": "scale", "shift": "shift"})
    groups = {"scale": "magnitude", "shift": "magnitude"}
    record_block("red", 33, "the formula of mlwu22/RED at b34e48f", {"name": "red"}, red, groups)
    names = {"X": "rotation.parametrizations.weight.original", "W": "source.weight", "b": "source.bias"}
    base = {"base": "rotation.parametrizations.weight.0.base"}
    cases = {"loreft_1": {"rank": 1, "first_tokens": 2}, "loreft_2": {"rank": 2, "first_tokens": 2}, "loreft_all": {"rank": 2}}
    for seed, (name, settings) in enumerate(cases.items(), start=34):
        loreft = at_sites(["block_output"], partial(Loreft, **settings), names, base)
        source, method = "the formula of pyreft 0.1.0", {"name": "loreft", **settings}
        record_block(name, seed, source, method, loreft, {}, weight_decay=0.0, noise=below_the_diagonal_of_x)


def adapter_cases():
    names = {
        "down": "adapter.adapter_down.0.weight",
        "down_bias": "adapter.adapter_down.0.bias",
        "up": "adapter.adapter_up.weight",
        "up_bias": "adapter.adapter_up.bias",
    }
    groups = {name: "weight" for name in names}
    cases = {
        "adapter_houlsby": (["attention_output", "ffn_output"], DoubleSeqBnConfig()),
        "adapter_pfeiffer": (["ffn_output"], SeqBnConfig()),
    }
    for seed, (name, (sites, config)) in enumerate(cases.items(), start=37):
        adapter = at_sites(sites, partial(Bottleneck, config), names)
        method = {"name": name, "bottleneck": BOTTLENECK}
        record_block(name, seed, "adapters 1.3.0", method, adapter, groups)


def main():
    torch.set_num_threads(1)
    block, inputs, targets = shared_block()
    write(block.state_dict() | {"input": inputs, "target": targets}, GOLDEN / "block" / "block.safetensors")
    own_tensor_cases()
    intervention_cases()
    adapter_cases()


if __name__ == "__main__":
    main()
