"""Golden file for `crates/models`: what transformers computes with the pretrained encoder all-MiniLM-L6-v2.

`crates/models/tests/golden/minilm/io.safetensors` holds the tokens of sentences and pairs in one padded batch; of the
last layer's hidden states the first token's and the mean over each row's tokens; and logits. The weights are not
committed: the encoder's come from `models/all-MiniLM-L6-v2`, those of the head from a formula, as multiples of 1/128
without rounding. Without that folder nothing is written.
"""

from pathlib import Path

import torch
from models import save_io
from transformers import AutoTokenizer, BertForSequenceClassification

CHECKPOINT = Path(__file__).resolve().parents[2] / "models" / "all-MiniLM-L6-v2"
LABELS = 3
ROWS = [
    ("The company posted a profit of $1.2 billion in the third quarter.", None),
    ("Unfussy, witty and (mostly) unpretentious", None),
    ("They drank the pub dry.", None),
    ("A man is eating food.", "A man is eating a piece of bread."),
    ("What causes tides?", "Tides are caused by the Moon's gravity, and to a lesser degree by the Sun's."),
    ("Größe", "naïve antidisestablishmentarianism 東京 🙂"),
]


def fill(linear):
    """weight[i, j] = ((7 i + 13 j) mod 29 − 14) / 128, bias[i] = (i mod 5 − 2) / 128"""
    rows, columns = (torch.arange(size) for size in linear.weight.shape)
    linear.weight.data = ((7 * rows.unsqueeze(1) + 13 * columns) % 29 - 14) / 128
    linear.bias.data = (rows % 5 - 2) / 128


def main():
    if not CHECKPOINT.is_dir():
        print(f"skipped: {CHECKPOINT} is not there; tools/fetch_minilm.py fetches it")
        return
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(CHECKPOINT)
    model = BertForSequenceClassification.from_pretrained(
        CHECKPOINT, num_labels=LABELS, attn_implementation="eager"
    ).eval()
    fill(model.bert.pooler.dense)
    fill(model.classifier)
    batch = [tokenizer(first, second) for first, second in ROWS]
    tokens = tokenizer.pad(batch, return_tensors="pt")
    with torch.no_grad():
        output = model(**tokens, output_hidden_states=True)
    hidden, mask = output.hidden_states[-1], tokens["attention_mask"]
    weights = mask / mask.sum(1, keepdim=True)  # [rows, tokens]
    save_io(
        "minilm",
        dict(
            ids=tokens["input_ids"],
            mask=mask,
            types=tokens["token_type_ids"],
            first=hidden[:, 0],
            mean=(hidden * weights.unsqueeze(2)).sum(1),
            logits=output.logits,
        ),
    )
    print(f"minilm: logits {output.logits.numpy().round(3).tolist()}, lengths {mask.sum(1).tolist()}")


if __name__ == "__main__":
    main()
