"""Golden files for `crates/models`: tiny decoders of transformers, and what they compute.

The files are as those of `models.py`. `llama/` shares each head of keys and values between two heads of queries and has
a head of its own; `llama_tied/` has a single head of keys and values, another base of the rotations and its table of
words as its head, and is saved in shards. `llama3/` has scaled rotations, which turn some pairs as they were, some slower and
one in between, a row longer than the original length, biases everywhere, and heads whose features are not the hidden
ones over the heads. `mistral/` has a window of 4 tokens in all layers, `qwen2/` one of 5 from its second layer on, and
`qwen3/` one of 3 in its first and last layer by a list. `io.safetensors` holds

- `ids` and `mask` [rows, tokens], padded on the right with 0, and `logits` [rows, tokens, words], zero at padding;
- `loss` [], the cross-entropy of the next token, a mean over all real tokens that have one before them, and `gradient`,
  that of the loss with respect to the first layer's `q_proj.weight`;
- `prompt` [1, tokens] and `greedy` [1, 12], the likeliest tokens that follow it, one after the other.

Attention is transformers' "eager" one, a softmax written out. The norms' eps is large, so that a wrong one shows.
"""

import torch
from language_models import NO_STREAM
from models import GOLDEN, randomize, save_io
from torch.nn import functional as F
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config

LENGTHS = (11, 7, 4)
NUM_NEW = 12
GRADIENT_OF = "model.layers.0.self_attn.q_proj.weight"


def padded_ids(vocab_size, lengths, generator):
    """Random words after a first token 1, padded with 0; and the mask of what is no padding."""
    mask = torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1)
    ids = torch.randint(3, vocab_size, mask.shape, generator=generator)
    ids[:, 0] = 1
    return ids * mask, mask.long()


def loss_of(logits, ids, mask):
    """The mean over the real tokens after the first."""
    is_target = mask[:, 1:].bool()
    return F.cross_entropy(logits[:, :-1][is_target], ids[:, 1:][is_target])


@torch.no_grad()
def continued(model, prompt):
    """The likeliest words one after the other, each time by a fresh pass; transformers' cached ones must agree."""
    ids, margin = prompt, float("inf")
    for _ in range(NUM_NEW):
        last = model(ids).logits[:, -1]
        best = last.topk(2).values[0]
        margin = min(margin, (best[0] - best[1]).item())
        ids = torch.cat([ids, last.argmax(-1, keepdim=True)], dim=1)
    assert margin > 1e-3, f"the likeliest words are {margin} apart; take another seed"
    model.generation_config.eos_token_id = None
    mask = torch.ones_like(prompt)
    generated = model.generate(prompt, attention_mask=mask, max_new_tokens=NUM_NEW, do_sample=False, pad_token_id=0)
    assert torch.equal(generated, ids)
    return ids[:, prompt.shape[1] :]


def decoder(name, seed, shard_size, config_class=LlamaConfig, lengths=LENGTHS, **sizes):
    config = config_class(**dict(max_position_embeddings=32) | sizes)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    randomize(model, seed, NO_STREAM)
    folder = GOLDEN / name
    model.save_pretrained(folder, max_shard_size=shard_size)
    (folder / "generation_config.json").unlink()
    generator = torch.Generator().manual_seed(seed + 1)
    ids, mask = padded_ids(config.vocab_size, lengths, generator)
    logits = model(ids, attention_mask=mask).logits
    loss = loss_of(logits, ids, mask)
    (gradient,) = torch.autograd.grad(loss, [model.get_parameter(GRADIENT_OF)])
    tensors = dict(ids=ids, mask=mask, logits=logits * mask.unsqueeze(-1), loss=loss, gradient=gradient)
    prompt = ids[1:2, :5].clone()
    save_io(name, tensors | dict(prompt=prompt, greedy=continued(model, prompt)))
    shards = len(list(folder.glob("model*.safetensors")))
    print(f"{name}: {sum(p.numel() for p in model.parameters())} parameters in {shards} files, loss {loss:.4f}")


def main():
    torch.set_num_threads(1)
    decoder(
        "llama",
        120,
        "1MB",
        vocab_size=64,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        rope_theta=10000.0,
        rms_norm_eps=0.01,
        tie_word_embeddings=False,
    )
    decoder(
        "llama_tied",
        130,
        "35KB",
        vocab_size=50,
        hidden_size=40,
        intermediate_size=28,
        num_hidden_layers=3,
        num_attention_heads=5,
        num_key_value_heads=1,
        rope_theta=500000.0,
        rms_norm_eps=0.03,
        tie_word_embeddings=True,
    )
    decoder(
        "llama3",
        140,
        "1MB",
        lengths=(40, 9, 4),
        vocab_size=48,
        hidden_size=32,
        intermediate_size=40,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=12,
        max_position_embeddings=64,
        rope_theta=10000.0,
        rope_scaling=dict(
            rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32
        ),
        rms_norm_eps=0.01,
        attention_bias=True,
        mlp_bias=True,
        eos_token_id=[2, 5],
        tie_word_embeddings=True,
    )
    decoder(
        "mistral",
        150,
        "1MB",
        MistralConfig,
        vocab_size=48,
        hidden_size=24,
        intermediate_size=40,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=1,
        head_dim=10,
        sliding_window=4,
        rope_theta=1000000.0,
        rms_norm_eps=0.02,
    )
    decoder(
        "qwen2",
        160,
        "1MB",
        Qwen2Config,
        vocab_size=48,
        hidden_size=24,
        intermediate_size=40,
        num_hidden_layers=3,
        num_attention_heads=6,
        num_key_value_heads=2,
        use_sliding_window=True,
        sliding_window=5,
        max_window_layers=1,
        rope_theta=1000000.0,
        rms_norm_eps=0.02,
        tie_word_embeddings=True,
    )
    decoder(
        "qwen3",
        170,
        "1MB",
        Qwen3Config,
        vocab_size=48,
        hidden_size=24,
        intermediate_size=40,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=10,
        attention_bias=True,
        use_sliding_window=True,
        sliding_window=3,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        rope_theta=1000000.0,
        rms_norm_eps=0.02,
        tie_word_embeddings=False,
    )


if __name__ == "__main__":
    main()
