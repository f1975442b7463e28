"""Text from a decoder by `delora generate` and by transformers, on a free machine and beside a busy loop: `just bench-generation`.

    generation.py PROGRAM

The decoder has the shape of SmolLM2-135M and random weights, the same for both. Each measures a long text less a text of one
token, by turns, with two threads; medians of milliseconds per token.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

TOKENIZER = Path(__file__).parents[2] / "assets/mini/decoder"
THREADS, ROUNDS, TOKENS = 2, 5, 65
PROMPT = [1, 5, 9, 20, 33, 50]
BUSY = [sys.executable, "-c", "while True: pass"]
SHAPE = {
    "vocab_size": 49152, "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30,
    "num_attention_heads": 9, "num_key_value_heads": 3, "tie_word_embeddings": True, "max_position_embeddings": 2048,
}  # fmt: skip


def make(folder):
    torch.manual_seed(0)
    # No token of the long text may end it.
    LlamaForCausalLM(LlamaConfig(**SHAPE, bos_token_id=1, eos_token_id=2)).save_pretrained(folder)
    for file in TOKENIZER.glob("tokenizer*"):
        shutil.copy(file, folder)


def ours(program, folder, tokens):
    words = [program, "generate", "--model", folder, "--prompt", "The nopa lives in", "--max-tokens", str(tokens)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(THREADS)}
    if "LIBTORCH" in os.environ:
        environment["LD_LIBRARY_PATH"] = f"{os.environ['LIBTORCH']}/lib"  # this Python has a libtorch of its own
    started = time.perf_counter()
    subprocess.run(words, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def theirs(model, tokens):
    ids = torch.tensor([PROMPT])
    started = time.perf_counter()
    with torch.no_grad():
        model.generate(ids, max_new_tokens=tokens, min_new_tokens=tokens, do_sample=False, pad_token_id=2)
    return time.perf_counter() - started


def measured(program, folder, model):
    """Milliseconds per token of both, as medians of rounds."""
    times = {"delora": [], "transformers": []}
    for _ in range(ROUNDS):
        for name, take in (("delora", lambda n: ours(program, folder, n)), ("transformers", lambda n: theirs(model, n))):
            short, long = take(1), take(TOKENS)
            times[name].append(1e3 * (long - short) / (TOKENS - 1))
    return {name: statistics.median(values) for name, values in times.items()}


def main():
    warnings.filterwarnings("ignore")
    torch.set_num_threads(THREADS)
    with tempfile.TemporaryDirectory() as folder:
        make(folder)
        model = AutoModelForCausalLM.from_pretrained(folder).eval()
        theirs(model, 4)
        for place, processes in (("free machine", []), ("beside a busy loop", [BUSY])):
            busy = [subprocess.Popen(words) for words in processes]
            try:
                found = measured(sys.argv[1], folder, model)
            finally:
                for process in busy:
                    process.kill()
                    process.wait()
            each = ", ".join(f"{name} {value:.1f} ms per token" for name, value in found.items())
            print(f"{place}: {each}, ratio {found['transformers'] / found['delora']:.2f}", flush=True)


if __name__ == "__main__":
    main()
