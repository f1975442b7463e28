"""Golden files for `crates/roberta-glue`: token ids by transformers' fast tokenizers of RoBERTa and BERT.

`tokens/<tokenizer>/` holds a tokenizer's files as a checkpoint has them, with `cases.json` beside them: texts, how
often the first one is repeated, the length they are cut to, and the ids and types expected. RoBERTa's types are all 0.

- `roberta`: the bytes, a few merges and the special tokens, in `vocab.json` and `merges.txt`.
- `bert`, `bert_cased`: a few pieces in `vocab.txt`; without and with `tokenizer_config.json`.
- `bert_json`: `bert` as `tokenizer.json`, which asks for padding and truncation to 16, as MiniLM's does for 128.
- `roberta_base`: the cases alone, by the real vocabulary in `models/FacebookAI--roberta-base` of the folder that the
  variable `DELORA_HUB` names; left as they are without it.
"""

import json
import os
from pathlib import Path

from transformers import BertTokenizerFast, RobertaTokenizerFast
from transformers.models.gpt2.tokenization_gpt2 import bytes_to_unicode

GOLDEN = Path(__file__).resolve().parents[2] / "crates/roberta-glue/tests/golden/tokens"
ROBERTA_BASE = "models/FacebookAI--roberta-base"
MERGES = "t h|th e|Ġ the|Ġ c|Ġc a|Ġca t|i n|in g|Ġ s|o n|Ġ Ġ|1 2|Ã ©".split("|")
SPECIAL = "[PAD] [UNK] [CLS] [SEP] [MASK]"
PIECES = "the cat caf cafe ##s ##e ##é sat on mat , . ! ? ' s 1 ##2 ##23 The Cat un ##believ ##able 猫 straße strasse"

TEXTS = [
    ["The cat sat on the mat."],
    ["the cats' café, 123!", "The Café is UNBELIEVABLE?"],
    [""],
    ["", ""],
    ["the cat", ""],
    ["", "the cat"],
    [" the  cat\t sat\non "],
    ["猫 the 猫猫 cat 😀 \u200d e\u0301 é Straße İstanbul ﬁ \u00a0 \u00ad"],
    ["a [SEP] b </s> c <mask> [MASK]<s>", "[CLS] <pad> [PAD] <unk> [UNK]"],
    ["it's they'll we've I'm 1234 __init__ a--b http://x.y/z?q=1"],
    ["x" * 120],
]
LONG = [
    (["the cat "], 5000, 32),
    (["the cat sat ", "on the mat, on the mat"], 400, 24),
    (["the cat sat ", "on"], 400, 24),
    (["the cat ", "the cat sat on the mat. " * 20], 1, 24),
    (["the cat sat on ", "the cat sat on the mat. " * 20], 20, 24),
    (["the cat sat on ", "the cat sat on the mat. " * 20], 20, 25),
    (["the cat sat on ", "the mat"], 1, 8),
    (["the cat sat on ", "the mat"], 1, 5),
]


def cases(tokenizer):
    for texts, repeats, max_length in [(texts, 1, 256) for texts in TEXTS] + LONG:
        # As a batch of one: called with two strings, transformers takes an empty second one for none.
        batch = [[text] for text in (texts[0] * repeats, *texts[1:])]
        encoded = tokenizer(*batch, truncation=True, max_length=max_length, return_token_type_ids=True)
        yield dict(
            texts=texts,
            repeats=repeats,
            max_length=max_length,
            ids=encoded.input_ids[0],
            types=encoded.token_type_ids[0],
        )


def record(name, tokenizer):
    folder = GOLDEN / name
    folder.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(case) for case in cases(tokenizer))
    (folder / "cases.json").write_text(f"[\n{lines}\n]\n")
    print(f"{name}: written")


def roberta():
    tokens = ["<s>", "<pad>", "</s>", "<unk>", *sorted(bytes_to_unicode().values())]
    tokens += [merge.replace(" ", "") for merge in MERGES] + ["<mask>"]
    folder = GOLDEN / "roberta"
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary, merges = folder / "vocab.json", folder / "merges.txt"
    vocabulary.write_text(json.dumps({token: index for index, token in enumerate(tokens)}) + "\n")
    merges.write_text("#version: 0.2\n" + "".join(f"{merge}\n" for merge in MERGES))
    record("roberta", RobertaTokenizerFast(str(vocabulary), str(merges)))


def bert(name, **settings):
    folder = GOLDEN / name
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = folder / "vocab.txt"
    letters = [f"{prefix}{chr(code)}" for code in range(ord("a"), ord("z") + 1) for prefix in ("", "##")]
    tokens = dict.fromkeys(f"{SPECIAL} {PIECES}".split() + letters)  # each once
    vocabulary.write_text("".join(f"{token}\n" for token in tokens))
    if settings:
        (folder / "tokenizer_config.json").write_text(json.dumps(settings) + "\n")
    tokenizer = BertTokenizerFast(str(vocabulary), **settings)
    record(name, tokenizer)
    return tokenizer


def main():
    roberta()
    bert("bert_cased", do_lower_case=False)
    tokenizer = bert("bert")
    record("bert_json", tokenizer)
    backend = tokenizer.backend_tokenizer
    backend.enable_truncation(16)
    backend.enable_padding(length=16)
    backend.save(str(GOLDEN / "bert_json/tokenizer.json"))
    hub = os.environ.get("DELORA_HUB")
    if hub:
        folder = Path(hub) / ROBERTA_BASE
        record("roberta_base", RobertaTokenizerFast(str(folder / "vocab.json"), str(folder / "merges.txt")))
    else:
        print("roberta_base: left as it is, DELORA_HUB is not set")


if __name__ == "__main__":
    main()
