"""Golden files for `crates/models/src/images`: how Pillow reads and resizes, and what transformers' processors make of it.

Writes into `crates/models/tests/golden/pictures/`:

- `files/`: small pictures in every form that users have, and `io.safetensors`, what Pillow reads of them;
- `resized.json`: SHA-256 of resized pictures, made by `waves` on both sides;
- `processed.json`: SHA-256 of pictures after a processor's resizing and cutting, and some of its final values.

Pillow is 12.0.0: from 13 on it resizes columns before rows where that is less work, and other bytes come out.
torchvision is not needed: `shorter_side_and_centre` states its rule, which was compared with torchvision 0.26.0 once, over
572 random sizes, without a difference.
"""

import hashlib
import io
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from safetensors.torch import save_file
from transformers import BitImageProcessor, CLIPImageProcessor, ViTImageProcessor

GOLDEN = Path(__file__).resolve().parents[2] / "crates" / "models" / "tests" / "golden" / "pictures"
FILTERS = {"nearest": Image.NEAREST, "bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC}


def waves(width, height):
    """Edges, ramps and noise, by whole numbers alone."""
    x, y = np.meshgrid(np.arange(width, dtype=np.int64), np.arange(height, dtype=np.int64))
    channels = [(x * (13 + 5 * c) + y * 7 * (c + 1) + x * y // 3 + x * x // (7 + c)) % 256 for c in range(3)]
    return Image.fromarray(np.stack(channels, -1).astype(np.uint8))


def digest(picture):
    return hashlib.sha256(np.ascontiguousarray(np.asarray(picture)).tobytes()).hexdigest()


# Reading


def soft(width=20, height=12):
    """A smooth picture: decoders of JPEG may differ in the last bit, and more at edges."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    channels = [30 + 200 * x * y, 220 - 150 * x, 60 + 160 * (1 - y) * x]
    return Image.fromarray(np.stack(channels, -1).round().astype(np.uint8))


def png(width, height, depth, colour, rows, palette=b"", transparency=b""):
    """A PNG file of a form that Pillow does not write."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    extra = (chunk(b"PLTE", palette) if palette else b"") + (chunk(b"tRNS", transparency) if transparency else b"")
    data = zlib.compress(b"".join(b"\0" + row for row in rows), 9)
    return b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def encoded(picture, format, orientation=None, **options):
    if orientation:
        exif = Image.Exif()
        exif[0x0112] = orientation
        options["exif"] = exif
    stream = io.BytesIO()
    picture.save(stream, format, **options)
    return stream.getvalue()


def files():
    picture = soft()
    alpha = picture.copy()
    alpha.putalpha(Image.fromarray((np.arange(240).reshape(12, 20) % 256).astype(np.uint8)))
    deep = np.random.default_rng(0).integers(0, 65536, (3, 4, 4), dtype=np.uint16)  # 3 rows of 4 pixels
    palette = bytes(range(0, 240, 5))  # 16 colours
    cmyk = encoded(picture.convert("CMYK"), "JPEG", quality=95)
    adobe = cmyk.index(b"Adobe") + 11  # the byte that says how the four channels are coded
    return {
        "grey.png": encoded(picture.convert("L"), "PNG"),
        "grey_alpha.png": encoded(alpha.convert("LA"), "PNG"),
        "one_bit.png": encoded(picture.convert("1"), "PNG"),
        "two_bit.png": png(8, 2, 2, 0, [bytes([0b00011011, 0b11100100]), bytes([0b01010101, 0b11001100])]),
        "palette.png": png(6, 2, 4, 3, [bytes([0x01, 0x23, 0x45]), bytes([0xFE, 0xDC, 0xBA])], palette),
        "palette_transparent.png": png(2, 2, 8, 3, [bytes([3, 15]), bytes([0, 9])], palette, bytes([0, 255, 9, 7])),
        "alpha.png": encoded(alpha, "PNG"),
        "deep.png": png(4, 3, 16, 2, [row[:, :3].astype(">u2").tobytes() for row in deep]),
        "deep_alpha.png": png(4, 3, 16, 6, [row.astype(">u2").tobytes() for row in deep]),
        "deep_grey.png": png(4, 3, 16, 0, [row[:, 0].astype(">u2").tobytes() for row in deep]),
        "turned_8.png": encoded(picture, "PNG", orientation=8),
        "colour.jpg": encoded(picture, "JPEG", quality=95, subsampling=0),
        "halved_chroma.jpg": encoded(picture, "JPEG", quality=95, subsampling=2),
        "progressive.jpg": encoded(picture, "JPEG", quality=95, progressive=True),
        "grey.jpg": encoded(picture.convert("L"), "JPEG", quality=95),
        "cmyk.jpg": cmyk,
        "ycck.jpg": cmyk[:adobe] + b"\2" + cmyk[adobe + 1 :],
        **{f"turned_{turn}.jpg": encoded(picture, "JPEG", turn, quality=95, subsampling=0) for turn in (2, 3, 5, 6)},
        "lossless.webp": encoded(alpha, "WEBP", lossless=True, exact=True),
        "lossy.webp": encoded(picture, "WEBP", quality=95),
        "turned_7.webp": encoded(picture, "WEBP", orientation=7, lossless=True),
    }


def decoded(name, data):
    picture = Image.open(io.BytesIO(data))
    if name == "deep_grey.png":  # Pillow would cut off at 255; see `read_rgb`
        upper = (np.asarray(picture) >> 8).astype(np.uint8)
        return np.stack([upper] * 3, -1)
    return np.array(ImageOps.exif_transpose(picture).convert("RGB"))


# Resizing

SIZES = [  # from width, height, to width, height
    (61, 34, 47, 90), (61, 34, 16, 16), (61, 34, 61, 17), (61, 34, 30, 34), (7, 5, 64, 64), (1, 1, 9, 5),
    (1023, 681, 336, 224), (1023, 681, 224, 224), (512, 512, 224, 224), (512, 512, 64, 64), (333, 500, 224, 336),
    (3, 200, 64, 64), (200, 301, 201, 300), (224, 224, 512, 512), (150, 97, 683, 512),
]  # fmt: skip


def shorter_side_and_centre(picture, resized, size, resample):
    """torchvision's `Resize(resized)` and `CenterCrop(size)`."""
    shorter = min(picture.size)
    picture = picture.resize([int(resized * side / shorter) for side in picture.size], resample)
    left, top = (int(round((side - size) / 2.0)) for side in picture.size)
    return picture.crop((left, top, left + size, top + size))


# Processing

OPENAI = dict(image_mean=[0.48145466, 0.4578275, 0.40821073], image_std=[0.26862954, 0.26130258, 0.27577711])
IMAGENET = dict(image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225])
HALF = dict(image_mean=[0.5] * 3, image_std=[0.5] * 3)
CONFIGS = {  # processor, side of the network's pictures, file
    "vit_old": (ViTImageProcessor, 224, dict(
        do_normalize=True, do_resize=True, feature_extractor_type="ViTFeatureExtractor", resample=2, size=224, **HALF)),
    "vit_bicubic": (ViTImageProcessor, 224, dict(
        do_normalize=True, do_resize=True, image_processor_type="ViTImageProcessor", resample=3, size=224, **IMAGENET)),
    "vit_new": (ViTImageProcessor, 56, dict(
        do_normalize=True, do_rescale=True, do_resize=True, image_processor_type="ViTFeatureExtractor",
        resample=2, rescale_factor=0.00392156862745098, size=dict(height=56, width=56), **IMAGENET)),
    "vit_defaults": (ViTImageProcessor, 224, dict(image_processor_type="ViTImageProcessorFast")),
    "clip_old": (CLIPImageProcessor, 224, dict(
        crop_size=224, do_center_crop=True, do_normalize=True, do_resize=True,
        feature_extractor_type="CLIPFeatureExtractor", resample=3, size=224, **OPENAI)),
    "clip_new": (CLIPImageProcessor, 57, dict(
        crop_size=dict(height=57, width=57), do_center_crop=True, do_convert_rgb=True, do_normalize=True,
        do_rescale=True, do_resize=True, image_processor_type="CLIPImageProcessor", resample=3,
        rescale_factor=1 / 255, size=dict(shortest_edge=64), **OPENAI)),
    "clip_defaults": (CLIPImageProcessor, 224, dict(image_processor_type="CLIPImageProcessor")),
    "clip_exact": (CLIPImageProcessor, 56, dict(
        image_processor_type="CLIPImageProcessor", size=dict(height=60, width=91), crop_size=56)),
    "clip_only_cut": (CLIPImageProcessor, 120, dict(
        image_processor_type="CLIPImageProcessor", do_resize=False, crop_size=120, **HALF)),
    "clip_values": (CLIPImageProcessor, 56, dict(
        image_processor_type="CLIPImageProcessor", size=56, crop_size=56, do_normalize=False, rescale_factor=1 / 127.5)),
    "clip_bytes": (CLIPImageProcessor, 56, dict(
        image_processor_type="CLIPImageProcessor", size=56, crop_size=56, do_rescale=False, **IMAGENET)),
    "bit": (BitImageProcessor, 56, dict(
        image_processor_type="BitImageProcessor", size=dict(shortest_edge=64), crop_size=56, **IMAGENET)),
}  # fmt: skip
PICTURES = [(640, 480), (300, 451), (100, 37), (224, 224), (119, 121)]
PLACES = [0, 1, 1234, 3000, -1]


def processed(name, size):
    processor, side, config = CONFIGS[name]
    kept = {key: value for key, value in config.items() if not key.endswith("_type")}
    picture = waves(*size)
    values = processor(**kept)(picture, return_tensors="np")["pixel_values"][0].astype(np.float32)
    pixels = processor(**{**kept, "do_rescale": False, "do_normalize": False})(picture, return_tensors="np")
    pixels = pixels["pixel_values"][0].transpose(1, 2, 0)
    assert pixels.dtype == np.uint8 and values.shape == (3, side, side)
    return dict(
        config=name, width=size[0], height=size[1], sha256=digest(pixels),
        values=[float(values.reshape(-1)[place]) for place in PLACES],
        sum=float(values.astype(np.float64).sum()),
    )  # fmt: skip


def write_json(name, value):
    (GOLDEN / name).write_text(json.dumps(value, indent=1) + "\n")


def main():
    (GOLDEN / "files").mkdir(parents=True, exist_ok=True)
    tensors = {}
    for name, data in files().items():
        (GOLDEN / "files" / name).write_bytes(data)
        tensors[name] = torch.from_numpy(decoded(name, data).copy())
    save_file(tensors, GOLDEN / "io.safetensors")
    resized = [
        dict(size=size, filter=name, sha256=digest(waves(*size[:2]).resize(size[2:], code)))
        for size in SIZES
        for name, code in FILTERS.items()
    ]
    cut = [
        dict(size=[width, height, resized, side], filter=name,
             sha256=digest(shorter_side_and_centre(waves(width, height), resized, side, FILTERS[name])))
        for width, height in PICTURES
        for resized, side, name in [(64, 64, "bilinear"), (256, 224, "bicubic")]
    ]  # fmt: skip
    write_json("resized.json", dict(whole=resized, cut=cut))
    cases = [processed(name, size) for name in CONFIGS for size in PICTURES]
    configs = {name: dict(side=side, file=config) for name, (_, side, config) in CONFIGS.items()}
    write_json("processed.json", dict(configs=configs, cases=cases))


if __name__ == "__main__":
    main()
