"""Our own draws of dropout, for a network of transformers: `--dropout-draws ours` of `tools/glue_peft.py`.

A row's key is the first number of ChaCha8, whose key comes from the trial's seed and whose stream from the step and the
row's place in its batch (longest first). SplitMix64 mixes it with the layer's number and with each value's place in the
row: `crates/finetune/src/dropout.rs` and `crates/delora-core/src/random.rs` say how, and this says it again.
"""

import re
import sys

import numpy
import torch

WORDS = (1 << 64) - 1
STEPS = 65536
# A `Dropout` of transformers or PEFT, by the end of its name, to the purpose and the layers of ours. One that a forward
# pass calls twice has two layers.
PLACES = [
    (r"(.*)embeddings\.dropout", "hidden", [r"\1embeddings.LayerNorm"]),
    (r"(.*)attention\.self\.dropout", "attention", [r"\1attention.self.query"]),
    (r"(.*)output\.dropout", "hidden", [r"\1output"]),
    (r"classifier\.dropout", "head", ["classifier.dense", "classifier.out_proj"]),
    (r"dropout", "head", ["classifier"]),
    (r"(.*)\.(?:lora|delora)_dropout\.default", "adapter", [r"\1"]),
]


def key(seed):
    """The eight words of a generator's key: PCG32, as rand's `seed_from_u64`."""
    state, words = seed, []
    for _ in range(8):
        state = (state * 0x5851F42D4C957F2D + 0xA17654E46FBE17F3) & WORDS
        mixed = (((state >> 18) ^ state) >> 27) & 0xFFFFFFFF
        turn = state >> 59
        words.append(((mixed >> turn) | (mixed << (32 - turn))) & 0xFFFFFFFF)
    return words


def stream_of(purpose):
    """FNV-1a."""
    value = 0xCBF29CE484222325
    for byte in purpose.encode():
        value = ((value ^ byte) * 0x100000001B3) & WORDS
    return value


def keystream(key, stream, words):
    """The first words of ChaCha8, with a counter of 64 bits and a stream of 64 bits."""
    blocks = -(-words // 16)
    state = numpy.zeros((16, blocks), numpy.uint32)
    constants = [0x61707865, 0x3320646E, 0x79622D32, 0x6B206574]
    for row, value in enumerate([*constants, *key]):
        state[row] = value
    state[12] = numpy.arange(blocks)
    state[14], state[15] = stream & 0xFFFFFFFF, stream >> 32
    mixed = state.copy()

    def turn(row, bits):
        mixed[row] = (mixed[row] << numpy.uint32(bits)) | (mixed[row] >> numpy.uint32(32 - bits))

    columns = [(first, 4 + first, 8 + first, 12 + first) for first in range(4)]
    diagonals = [(first, 4 + (first + 1) % 4, 8 + (first + 2) % 4, 12 + (first + 3) % 4) for first in range(4)]
    for a, b, c, d in (columns + diagonals) * 4:
        for left, right, turned, bits in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            mixed[left] += mixed[right]
            mixed[turned] ^= mixed[left]
            turn(turned, bits)
    return (mixed + state).T.reshape(-1)[:words]


def first_number(seed, purpose):
    """The first 64 bits that a stream gives."""
    low, high = keystream(key(seed), stream_of(purpose), 2).tolist()
    return low | high << 32


def kept(key, threshold, shape):
    """Which values of a row are kept; the last axis in fours, tokens or queries by 2^32, heads by 2^48."""
    counters = numpy.arange(-(-shape[-1] // 4), dtype=numpy.uint64)
    for axis, size in enumerate(reversed(shape[:-1])):
        places = numpy.arange(size, dtype=numpy.uint64) << numpy.uint64(32 + 16 * axis)
        counters = places.reshape([-1] + [1] * counters.ndim) + counters
    hashes = numpy.uint64(key) + counters * numpy.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)):
        hashes = (hashes ^ (hashes >> numpy.uint64(shift))) * numpy.uint64(factor)
    draws = hashes.view(numpy.int16)[..., : shape[-1]]
    return draws.astype(numpy.int64) >= threshold - STEPS // 2


class Draws:
    """Of one trial; `lengths` are the tokens of each row of the pass that comes next, `step` the steps done."""

    def __init__(self, seed):
        self.seed, self.step, self.lengths = seed, 0, []

    def mask(self, rate, purpose, layer, shape):
        """0 or 1 / (1 − p) at each value."""
        threshold = round(rate * STEPS)
        site = first_number(0, f"dropout {purpose} {layer}")
        keys = [first_number(self.seed, f"dropout {self.step} {place}") for place in range(len(self.lengths))]
        mask = numpy.stack([kept(key ^ site, threshold, shape[1:]) for key in keys])
        return torch.from_numpy(mask.astype(numpy.float32) * numpy.float32(STEPS / (STEPS - threshold)))


class Replayed(torch.nn.Module):
    def __init__(self, draws, rate, purpose, layers):
        super().__init__()
        self.draws, self.rate, self.purpose, self.layers = draws, rate, purpose, layers
        self.called = 0

    def forward(self, values):
        if not self.training or self.rate == 0:
            return values
        layer = self.layers[self.called % len(self.layers)]
        self.called += 1
        return values * self.draws.mask(self.rate, self.purpose, layer, tuple(values.shape))


def replay(model, seed):
    """Puts our draws in the place of each dropout of `model`."""
    draws = Draws(seed)
    for name, module in list(model.named_modules()):
        if isinstance(module, torch.nn.Dropout):
            matches = ((re.fullmatch(pattern, name), *place) for pattern, *place in PLACES)
            found = next((place for place in matches if place[0]), None)
            if found is None:
                sys.exit(f"error: {name}: a dropout whose draws of ours are not known")
            match, purpose, layers = found
            layers = [match.expand(layer) for layer in layers]
            model.set_submodule(name, Replayed(draws, module.p, purpose, layers))
    return draws
