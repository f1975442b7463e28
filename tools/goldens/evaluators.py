"""Golden files for `crates/models`: networks and formulas that score generated pictures.

Weights and inputs are numbers that a hash of their name and place gives (`unit`), which the tests compute again, so that
networks of any size need no file. Outputs are in `inception/`, `upernet/`, `upernet_101/` and `evaluator_metrics.json`.

References: pytorch-fid 0.3.0 for Inception-v3 and the Fréchet distance; CSAILVision/semantic-segmentation-pytorch at
8f27c9b, in our words, for UPerNet (`mit_semseg/models/{models,resnet}.py`), the sizes at which it looks at pictures
(`mit_semseg/dataset.py`) and its scores (`mit_semseg/utils.py`).
"""

import json
from unittest import mock

import mpmath
import numpy as np
import pytorch_fid.inception
import torch
import torchvision
from models import GOLDEN, save_io
from pytorch_fid.fid_score import calculate_frechet_distance
from torch import nn
from torch.nn.functional import adaptive_avg_pool2d, interpolate, max_pool2d, relu


def unit(name, *shape):
    """Numbers in [0, 1): multiples of 2**-24, from splitmix64 started at the FNV-1a hash of `name`."""
    state = 0xCBF29CE484222325
    for byte in name.encode():
        state = (state ^ byte) * 0x100000001B3 % 2**64
    with np.errstate(over="ignore"):
        steps = np.arange(1, np.prod(shape, dtype=np.int64) + 1, dtype=np.uint64)
        mixed = np.uint64(state) + steps * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed = mixed ^ (mixed >> np.uint64(31))
    return ((mixed >> np.uint64(40)).astype(np.float64) / 2**24).reshape(shape)


def fill(module, prefix=""):
    """Gives every weight and statistic of `module` the value of its name."""
    for name, tensor in module.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        noise = torch.from_numpy(2 * unit(prefix + name, *tensor.shape) - 1).float()
        if tensor.dim() > 1:
            value = noise * torch.tensor(6 / tensor[0].numel()).double().sqrt().float()
        elif name.endswith("running_var"):
            value = 1 + 0.5 * noise
        elif name.endswith("weight"):
            value = 1 + 0.3 * noise
        else:
            value = 0.2 * noise
        tensor.copy_(value)
    return module.eval()


def pictures(*shape):
    return torch.from_numpy(unit(f"pictures {shape}", *shape)).float()


def inception():
    """The class of pytorch-fid itself, at its own size; what would be downloaded is filled in."""
    with (
        mock.patch.object(pytorch_fid.inception, "load_state_dict_from_url", lambda *_, **__: None),
        mock.patch.object(torchvision.models.Inception3, "load_state_dict", lambda model, _: fill(model)),
    ):
        model = pytorch_fid.inception.InceptionV3().eval()
    (features,) = model(pictures(2, 3, 40, 56))
    features = features.flatten(1)
    print(f"inception: {sum(p.numel() for p in model.parameters())} parameters, features of {features.std():.3g}, between pictures {(features[0] - features[1]).std():.3g}")
    save_io("inception", dict(features=features))


def convolution(inputs, outputs, kernel, stride=1):
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)


class Bottleneck(nn.Module):
    def __init__(self, inputs, planes, stride):
        super().__init__()
        self.conv1, self.bn1 = convolution(inputs, planes, 1), nn.BatchNorm2d(planes)
        self.conv2, self.bn2 = convolution(planes, planes, 3, stride), nn.BatchNorm2d(planes)
        self.conv3, self.bn3 = convolution(planes, 4 * planes, 1), nn.BatchNorm2d(4 * planes)
        if stride != 1 or inputs != 4 * planes:
            self.downsample = nn.Sequential(convolution(inputs, 4 * planes, 1, stride), nn.BatchNorm2d(4 * planes))

    def forward(self, x):
        y = relu(self.bn1(self.conv1(x)))
        y = self.bn3(self.conv3(relu(self.bn2(self.conv2(y)))))
        return relu(y + (self.downsample(x) if hasattr(self, "downsample") else x))


class Encoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        inputs = 3
        for index, width in enumerate(config["stem_widths"], 1):
            setattr(self, f"conv{index}", convolution(inputs, width, 3, 2 if index == 1 else 1))
            setattr(self, f"bn{index}", nn.BatchNorm2d(width))
            inputs = width
        for stage, (blocks, planes) in enumerate(zip(config["stage_blocks"], config["stage_planes"]), 1):
            layers = []
            for index in range(blocks):
                layers.append(Bottleneck(inputs, planes, 2 if index == 0 and stage > 1 else 1))
                inputs = 4 * planes
            setattr(self, f"layer{stage}", nn.Sequential(*layers))

    def forward(self, x):
        for index in (1, 2, 3):
            x = relu(getattr(self, f"bn{index}")(getattr(self, f"conv{index}")(x)))
        x, stages = max_pool2d(x, 3, 2, 1), []
        for stage in (1, 2, 3, 4):
            x = getattr(self, f"layer{stage}")(x)
            stages.append(x)
        return stages


def layer(inputs, outputs, kernel):
    return nn.Sequential(convolution(inputs, outputs, kernel), nn.BatchNorm2d(outputs), nn.ReLU())


def bilinear(x, size):
    return interpolate(x, size=size, mode="bilinear", align_corners=False)


class Decoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        width, pool, scales = config["fpn_width"], config["pool_width"], config["pool_scales"]
        features = [4 * planes for planes in config["stage_planes"]]
        self.scales = scales
        self.ppm_conv = nn.ModuleList(layer(features[-1], pool, 1) for _ in scales)
        self.ppm_last_conv = layer(features[-1] + len(scales) * pool, width, 3)
        self.fpn_in = nn.ModuleList(layer(inputs, width, 1) for inputs in features[:-1])
        self.fpn_out = nn.ModuleList(nn.Sequential(layer(width, width, 3)) for _ in features[:-1])
        self.conv_last = nn.Sequential(layer(4 * width, width, 3), nn.Conv2d(width, config["num_classes"], 1))

    def forward(self, stages):
        deep = stages[-1]
        size = deep.shape[2:]
        pools = [
            conv(bilinear(adaptive_avg_pool2d(deep, scale), size)) for scale, conv in zip(self.scales, self.ppm_conv)
        ]
        top = self.ppm_last_conv(torch.cat([deep, *pools], 1))
        levels = [top]
        for index in (2, 1, 0):
            lateral = self.fpn_in[index](stages[index])
            top = lateral + bilinear(top, lateral.shape[2:])
            levels.insert(0, self.fpn_out[index](top))
        size = levels[0].shape[2:]
        return self.conv_last(torch.cat([bilinear(level, size) for level in levels], 1))


def evaluation_sizes(config, height, width):
    sizes = []
    for short_side in config["short_sides"]:
        scale = min(short_side / float(min(height, width)), config["longest_side"] / float(max(height, width)))
        multiple = config["side_multiple"]
        sizes.append([((int(side * scale) - 1) // multiple + 1) * multiple for side in (height, width)])
    return sizes


UPERNET = dict(
    stem_widths=[4, 4, 6],
    stage_blocks=[2, 1, 2, 1],
    stage_planes=[2, 3, 4, 5],
    pool_scales=[1, 2, 3, 6],
    pool_width=5,
    fpn_width=6,
    num_classes=7,
    short_sides=[40, 60],
    longest_side=80,
    side_multiple=32,
)
UPERNET_101 = dict(
    stem_widths=[64, 64, 128],
    stage_blocks=[3, 4, 23, 3],
    stage_planes=[64, 128, 256, 512],
    pool_scales=[1, 2, 3, 6],
    pool_width=512,
    fpn_width=512,
    num_classes=150,
)
FULL_SIZES = dict(short_sides=[300, 375, 450, 525, 600], longest_side=1000, side_multiple=32)
PICTURE_SIZES = [(512, 512), (375, 500), (683, 512), (256, 1700), (2000, 301), (17, 40)]


def normalised(rgb):
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return (rgb - mean.view(3, 1, 1)) / deviation.view(3, 1, 1)


def upernet_101():
    """At the reference's own size; of the logits every fifteenth class."""
    encoder, decoder = fill(Encoder(UPERNET_101), "encoder."), fill(Decoder(UPERNET_101), "decoder.")
    print(f"upernet_101: {sum(p.numel() for net in (encoder, decoder) for p in net.parameters())} parameters")
    logits = decoder(encoder(normalised(pictures(1, 3, 32, 64))))
    save_io("upernet_101", dict(logits=logits[:, ::15]))


def upernet():
    encoder, decoder = fill(Encoder(UPERNET), "encoder."), fill(Decoder(UPERNET), "decoder.")

    def logits(rgb):
        return decoder(encoder(normalised(rgb)))

    rgb = pictures(1, 3, 64, 96)
    tensors = dict(logits=logits(rgb))
    height, width = 12, 16
    scores = torch.zeros(1, UPERNET["num_classes"], height, width)
    for size in evaluation_sizes(UPERNET, height, width):
        scores += bilinear(logits(pictures(1, 3, *size)), (height, width)).softmax(1) / len(UPERNET["short_sides"])
    tensors["scores"] = scores
    encoder.train(), decoder.train()
    with torch.enable_grad():
        trained = logits(rgb)
        first = encoder.conv1.weight
        (tensors["gradient"],) = torch.autograd.grad(0.5 * trained.square().mean(), [first])
    tensors |= dict(logits_in_training=trained, running_mean=encoder.bn1.running_mean, running_var=encoder.bn1.running_var)
    save_io("upernet", tensors)
    (GOLDEN / "upernet" / "config.json").write_text(json.dumps(UPERNET, indent=2) + "\n")


def frechet_case(name, rows, size):
    """Two sets of features and their distance, as pytorch-fid has it and to 50 digits."""
    first = unit(f"{name} first", rows[0], size)
    second = 0.5 * unit(f"{name} second", rows[1], size) + 0.25 * unit(f"{name} third", rows[1], 1) + 0.1
    moments = [(np.mean(x, axis=0), np.cov(x, rowvar=False)) for x in (first, second)]
    mpmath.mp.dps = 50
    factors, means = [], []
    for x in (first, second):
        x = mpmath.matrix(x.tolist())
        mean = mpmath.matrix([[mpmath.fsum(x[:, column]) / x.rows for column in range(x.cols)]])
        centred = mpmath.matrix(x.rows, x.cols)
        for row in range(x.rows):
            centred[row, :] = (x[row, :] - mean) / mpmath.sqrt(x.rows - 1)
        factors.append(centred)
        means.append(mean)
    a, b = factors
    shared = a * b.T * b * a.T  # eigenvalues other than 0 as those of the product of the covariances
    roots = mpmath.fsum(mpmath.sqrt(max(value, 0)) for value in mpmath.eigsy((shared + shared.T) / 2, eigvals_only=True))
    square = lambda x: mpmath.fsum(value**2 for value in x)  # noqa: E731
    exact = square(means[0] - means[1]) + square(a) + square(b) - 2 * roots
    reference = calculate_frechet_distance(*moments[0], *moments[1])
    print(f"{name}: exact {mpmath.nstr(exact, 12)}, pytorch-fid {reference:.12g}")
    return dict(name=name, rows=rows, size=size, exact=float(exact), pytorch_fid=float(reference))


def segmentation():
    """Intersections and unions by histogram; labels 0 to 6, of which 4 never occurs."""
    classes, maps = 6, [(12, 9), (5, 20), (7, 7)]
    sums = np.zeros((3, classes))
    right = labelled = 0
    for index, shape in enumerate(maps):
        labels = np.floor(unit(f"labels {index}", *shape) * (classes + 1)).astype(int)
        guesses = np.floor(unit(f"guesses {index}", *shape) * classes).astype(int) + 1
        predicted = np.where((unit(f"coins {index}", *shape) < 0.6) & (labels > 0), labels, guesses)
        labels[labels == 4], predicted[predicted == 4] = 5, 5
        predicted = predicted * (labels > 0)
        both = predicted * (predicted == labels)
        for row, values in zip(sums, (both, predicted, labels)):
            row += np.histogram(values, bins=classes, range=(1, classes))[0]
        right += (both > 0).sum()
        labelled += (labels > 0).sum()
    inter = sums[0]
    iou = inter / (sums[1] + sums[2] - inter + 1e-10)
    return dict(classes=classes, maps=maps, class_iou=iou.tolist(), mean_iou=iou.mean(), pixel_accuracy=right / labelled)


def metrics():
    cases = [("full", (40, 50), 6), ("full and wide", (60, 50), 30), ("deficient", (9, 7), 24), ("half", (40, 5), 12)]
    content = dict(
        frechet=[frechet_case(*case) for case in cases],
        segmentation=segmentation(),
        evaluation_sizes=[dict(picture=size, sizes=evaluation_sizes(FULL_SIZES, *size)) for size in PICTURE_SIZES],
    )
    (GOLDEN / "evaluator_metrics.json").write_text(json.dumps(content, indent=1, default=float) + "\n")


def main():
    torch.set_num_threads(1)
    with torch.no_grad():
        inception()
        upernet()
        upernet_101()
    metrics()


if __name__ == "__main__":
    main()
