"""Synthetic questions, a tokenizer and a tiny LLaMA, of which `harness.py` asks them.

Run by itself it writes nothing. Rows have the columns of cais/mmlu, allenai/ai2_arc and truthfulqa/truthful_qa on the
hub. Texts are nonsense with letters of several scripts, and blanks and line breaks where the harness treats them
differently: around questions, and around choices. A few questions are longer than the model.
"""

import json
import random

import torch
from language_models import NO_STREAM
from models import randomize
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM

SUBJECTS = {
    "abstract_algebra": 7,
    "anatomy": 11,
    "high_school_european_history": 19,
    "philosophy": 13,
    "virology": 16,
}
NUM_ARC, NUM_TRUTHFUL = 64, 62
NUM_LONG = 5  # of MMLU's questions, more of the others
VOCABULARY, MAX_LENGTH = 640, 224
# So that choices differ clearly, and not by the last word of the prompt alone.
SCALES = {"lm_head": 2.0, "q_proj": 3.0, "o_proj": 3.0}
SPECIAL = ["<unk>", "<s>", "</s>"]
PLAIN = (
    "the a of in is was not all some which river stone light cell bone king law virus group ring field number year "
    "city heart blood war treaty reason duty cause water metal plant sound moves grows holds means comes over under "
    "between before after two three 1789 42 3.5 most least human people United States life answer true false"
).split()
STRANGE = "naïve café Straße Ωmega день 漢字 学校 🙂 ½ x² e\u0301 ﬁne “so” — it's".split()
# What the harness's own prompts are made of, so that the tokenizer has words for it.
PROMPTS = [
    "The following are multiple choice questions (with answers) about high school european history.",
    "Question: Answer: A. B. C. D. Q: A: The the He he was is in of to or and",
    "What is human life expectancy in the United States? Human life expectancy in the United States is 78 years.",
    "Who was president of the United States in 1955? Dwight D. Eisenhower was president of the United States in 1955.",
    "Which party did he belong to? He belonged to the Republican Party.",
    "What is the square root of banana? I have no comment.",
    "How does a telescope work? Telescopes use lenses or mirrors to focus light and make objects appear closer.",
    "Where were the 1992 Olympics held? The 1992 Olympics were held in Barcelona, Spain.",
]


class Writer:
    """Sentences by a seed."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def words(self, least, most):
        count = self.random.randint(least, most)
        return " ".join(self.random.choice(STRANGE if self.random.random() < 0.12 else PLAIN) for _ in range(count))

    def question(self, least=4, most=14):
        text = self.words(least, most)
        return text[0].upper() + text[1:] + self.random.choice(["?", "?", "?", ".", ":"])

    def choices(self, count, least=1, most=6):
        """Different ones, of different lengths."""
        found = []
        while len(found) < count:
            choice = self.words(least, most) + self.random.choice(["", ".", "!"])
            if choice not in found:
                found.append(choice)
        return found


def blanked(text, index, ways):
    """Every fifth text, in turn, with something around it."""
    before, after = ways[index // 5 % len(ways)] if index % 5 == 0 else ("", "")
    return f"{before}{text}{after}"


def mmlu():
    writer = Writer(301)
    subjects = [subject for subject, count in SUBJECTS.items() for _ in range(count)]
    writer.random.shuffle(subjects)
    ways = [("  ", ""), ("", " \n"), ("\u00a0", "\t"), ("", "  "), ("\n\n", "")]
    rows = []
    for index, subject in enumerate(subjects):
        is_long = index % (len(subjects) // NUM_LONG) == 3
        question = writer.question(170, 210) if is_long else writer.question()
        if index % 7 == 2:
            question = f"{writer.question()}\n  {question}"
        choices = writer.choices(4)
        if index % 6 == 1:
            choices[index % 4] = f" {choices[index % 4]} "
        rows.append(
            dict(
                question=blanked(question, index, ways),
                subject=subject,
                choices=choices,
                answer=writer.random.randrange(4),
            )
        )
    return rows


def arc():
    writer = Writer(302)
    ways = [("", " "), (" ", ""), ("", "\n"), ("  ", "  ")]
    rows = []
    for index in range(NUM_ARC):
        count = (4, 4, 3, 4, 5)[index % 5]
        labels = list("1234" if index % 4 == 1 else "ABCDE")[:count]
        choices = writer.choices(count if labels[0] == "A" else min(count, 4), most=9)
        labels = labels[: len(choices)]
        if index % 8 == 6:
            choices[-1] = f" {choices[-1]}"
        rows.append(
            dict(
                id=f"Synthetic_{index}",
                question=blanked(writer.question(200, 240) if index == 20 else writer.question(), index, ways),
                choices=dict(text=choices, label=labels),
                answerKey=writer.random.choice(labels),
            )
        )
    return rows


def truthful_qa():
    """True choices come first, as in the original, where both harnesses read the labels alike."""
    writer = Writer(303)
    ways = [("", " "), (" ", ""), ("", "")]
    rows = []
    for index in range(NUM_TRUTHFUL):
        true = writer.choices(writer.random.randint(1, 4), most=8)
        false = [choice for choice in writer.choices(writer.random.randint(1, 5), most=8) if choice not in true]
        assert false
        rows.append(
            dict(
                question=blanked(writer.question(80, 100) if index % 20 == 7 else writer.question(), index, ways),
                mc1_targets=dict(choices=true[:1] + false, labels=[1] + [0] * len(false)),
                mc2_targets=dict(choices=true + false, labels=[1] * len(true) + [0] * len(false)),
            )
        )
    return rows


def strings(value):
    """All texts within rows or their fields."""
    if isinstance(value, str):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [text for part in parts for text in strings(part)]


def tokenizer(tables):
    """Byte-level BPE of the rows' texts, which puts `<s>` before a text where it is asked for special tokens."""
    found = Tokenizer(models.BPE())
    found.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    found.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=SPECIAL,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    texts = [text for rows in tables for row in rows for text in strings(row)]
    found.train_from_iterator(texts + PROMPTS * 60, trainer)
    found.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return found


def model():
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=20,
        intermediate_size=28,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=MAX_LENGTH,
    )
    found = randomize(LlamaForCausalLM(config), 304, NO_STREAM)
    with torch.no_grad():
        for name, parameter in found.named_parameters():
            parameter.mul_(next((scale for part, scale in SCALES.items() if part in name), 1.0))
    return found


def dumped(value, depth=0):
    """JSON with a line for each entry of its upper levels."""
    if isinstance(value, dict) and depth < 4:
        lines = ",\n".join(f"{json.dumps(key)}: {dumped(part, depth + 1)}" for key, part in value.items())
        return "{\n" + lines + "\n}"
    return json.dumps(value, ensure_ascii=False)
