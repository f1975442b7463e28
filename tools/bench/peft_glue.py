"""A training step of a classifier with PEFT and transformers, beside `cargo bench -p roberta-glue --bench step`.

    tools/bench/peft tools/bench/peft_glue.py --model models/all-MiniLM-L6-v2 --method delora --batch 32 --length 64

Forward with dropout, cross entropy, backward and AdamW on one batch of random tokens. Its rows are between half of
`--length` and all of it, evenly, and padded to it. Adapters of rank 8 act on query and value; the head is trained too.
Tokens per second count no padding. The share of the peak takes 4 operations per weight of the encoder's linear layers
and token, padding included: forward, and the gradient of the layer's input. The peak is that of a large matrix product
in f32, measured in the same process.
"""

import argparse
import statistics
import time

import torch
from peft import DeloraConfig, LoraConfig, inject_adapter_in_model
from transformers import AutoModelForSequenceClassification, logging

TARGETS = ["query", "value"]
METHODS = {
    "lora": LoraConfig(r=8, lora_alpha=16, target_modules=TARGETS),
    "delora": DeloraConfig(r=8, delora_lambda=4, target_modules=TARGETS),
    "dora": LoraConfig(r=8, lora_alpha=16, target_modules=TARGETS, use_dora=True),
}
PEAK_SIZE, PEAK_ROUNDS = 2048, 5
WARMUP_STEPS = 3


def seconds_of(work):
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def peak():
    """Operations per second of the machine's own matrix product, the best of a few."""
    left, right = torch.randn(2, PEAK_SIZE, PEAK_SIZE).unbind()
    seconds = min(seconds_of(lambda: left @ right) for _ in range(PEAK_ROUNDS))
    return 2 * PEAK_SIZE**3 / seconds


def classifier(folder, method):
    """The network in training, and the number of weights in its encoder's linear layers."""
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2)
    encoder = model.base_model.encoder
    weights = sum(layer.weight.numel() for layer in encoder.modules() if isinstance(layer, torch.nn.Linear))
    model.requires_grad_(False)
    inject_adapter_in_model(METHODS[method], model)
    for name, parameter in model.named_parameters():
        if "classifier." in name or ".pooler." in name:
            parameter.requires_grad_(True)
    return model.train(), weights


def random_batch(config, batch, length):
    generator = torch.Generator().manual_seed(0)
    first = 5  # behind the special tokens
    ids = torch.randint(first, config.vocab_size, (batch, length), generator=generator)
    lengths = torch.linspace(length / 2, length, batch).round().long()
    mask = (torch.arange(length) < lengths.unsqueeze(1)).long()  # [batch, length]
    ids[mask == 0] = config.pad_token_id
    labels = torch.randint(2, (batch,), generator=generator)
    return dict(input_ids=ids, attention_mask=mask, labels=labels), int(lengths.sum())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="folder with config.json and model.safetensors")
    parser.add_argument("--method", choices=METHODS, default="delora")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--length", type=int, default=64)
    parser.add_argument("--steps", type=int, default=20)
    settings = parser.parse_args()
    logging.set_verbosity_error()  # that the head starts afresh is meant
    torch.manual_seed(0)
    peaks = [peak()]
    model, weights = classifier(settings.model, settings.method)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)
    batch, tokens = random_batch(model.config, settings.batch, settings.length)

    def step():
        model(**batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    for _ in range(WARMUP_STEPS):
        step()
    seconds = statistics.median(seconds_of(step) for _ in range(settings.steps))
    peaks.append(peak())
    share = 4 * weights * settings.batch * settings.length / seconds / max(peaks)
    print(
        f"PEFT, {settings.method}, batch {settings.batch}, length {settings.length}, "
        f"threads {torch.get_num_threads()}: {seconds * 1e3:.1f} ms per step (median of {settings.steps}), "
        f"{tokens / seconds:.0f} tokens/s, peak {max(peaks) / 1e9:.1f} GFLOP/s, share {share:.0%}"
    )


if __name__ == "__main__":
    main()
