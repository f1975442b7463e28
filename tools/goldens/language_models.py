"""Golden files for `crates/models`: tiny encoders of transformers, and what they compute.

The files are as those of `models.py`. `io.safetensors` holds a batch with padding, the hidden states of the last layer,
the logits, and the gradient of half their squared norm with respect to the table of words. Attention is transformers'
"eager" one, a softmax written out. The norms' eps is large, so that a wrong one shows.
"""

import re

import torch
from models import randomize, save
from transformers import AutoModelForSequenceClassification, BertConfig, RobertaConfig

SIZES = dict(
    vocab_size=40,
    hidden_size=32,
    num_hidden_layers=3,
    num_attention_heads=4,
    intermediate_size=40,
    max_position_embeddings=14,
)
LENGTHS = (9, 6, 3)
NO_STREAM = re.compile(r"(?!)")  # sums are normed at once, so that nothing need be small


def padded_ids(first, last, pad, generator):
    """Random tokens between `first` and `last`, padded with `pad`; and the mask of what is no padding."""
    ids = torch.full((len(LENGTHS), max(LENGTHS)), pad)
    for row, length in zip(ids, LENGTHS):
        row[:length] = torch.randint(5, SIZES["vocab_size"], (length,), generator=generator)
        row[0], row[length - 1] = first, last
    mask = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS).unsqueeze(1)
    return ids, mask.long()


def classifier(name, seed, config, first, last):
    model = AutoModelForSequenceClassification.from_config(config, attn_implementation="eager")
    randomize(model, seed, NO_STREAM)
    generator = torch.Generator().manual_seed(seed + 1)
    ids, mask = padded_ids(first, last, config.pad_token_id, generator)
    # The second half of each row is of the last segment that the model knows.
    types = (torch.arange(ids.shape[1]) >= ids.shape[1] // 2).long().expand_as(ids)
    types = types * (config.type_vocab_size - 1)
    output = model(ids, attention_mask=mask, token_type_ids=types, output_hidden_states=True)
    words = model.get_input_embeddings().weight
    (gradient,) = torch.autograd.grad(0.5 * output.logits.square().sum(), [words])
    tensors = dict(ids=ids, mask=mask, types=types, hidden=output.hidden_states[-1], logits=output.logits)
    save(name, model, tensors | dict(word_gradient=gradient))


def main():
    torch.set_num_threads(1)
    roberta = RobertaConfig(**SIZES, type_vocab_size=1, layer_norm_eps=0.01, num_labels=3)
    classifier("roberta", 100, roberta, 0, 2)
    bert = BertConfig(**SIZES, type_vocab_size=2, layer_norm_eps=0.02, num_labels=2)
    classifier("bert", 110, bert, 3, 4)


if __name__ == "__main__":
    main()
