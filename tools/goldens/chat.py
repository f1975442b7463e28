"""Golden files for `crates/llama-it`: conversations in the words of chat templates, as transformers writes them.

`crates/llama-it/tests/golden/chat.json` has, for each template (in the forms of three families, in our words), the keys of
`tokenizer_config.json` that it needs, and of each conversation

- `text`, by `apply_chat_template`, and `asked`, the text in front of its last answer, by the same with a generation prompt;
- `ids` by the mini world's tokenizer, and `mask`, transformers' own mask of what the assistant says, around which templates
  have `{% generation %}`.
"""

import json
from pathlib import Path

from transformers import PreTrainedTokenizerFast

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "crates/llama-it/tests/golden"
TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}
TEMPLATES = {
    "turns": """{%- for message in messages -%}
    <|{{ message.role }}|>
{% if message.role == 'assistant' %}{% generation %}{{ message.content }}<|end|>
{% endgeneration %}{% else %}{{ message.content }}<|end|>
{% endif %}
{%- endfor -%}
{%- if add_generation_prompt -%}
    <|assistant|>
{% endif %}""",
    "headers": """{{- bos_token }}
{%- set state = namespace(count=0) %}
{%- if strftime_now is defined %}{% set day = 'a day' %}{% else %}{% set day = 'no day' %}{% endif %}
{%- if messages[0].role == 'system' %}
    {%- set system, messages = messages[0]['content'].strip(), messages[1:] %}
{%- else %}
    {%- set system = 'Be short.' %}
{%- endif %}
{{- '[system]\\n\\n' ~ system ~ eos_token }}
{%- for message in messages if message.role != 'note' %}
    {%- set state.count = state.count + 1 %}
    {{- '[' ~ message.role ~ ' ' ~ state.count ~ ']\\n\\n' }}
    {%- if message.role == 'assistant' %}{% generation %}{{- message.content | trim ~ eos_token }}{% endgeneration %}
    {%- else %}{{- message.content | trim ~ eos_token }}{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '[assistant ' ~ (state.count + 1) ~ ']\\n\\n' }}{%- endif %}
""",
    "instructions": """{% if messages[0]['role'] == 'system' %}
    {% set rest = messages[1:] %}{% set system = '<<' + messages[0]['content'] + '>> ' %}
{% else %}
    {% set rest = messages %}{% set system = '' %}
{% endif %}
{{ bos_token }}{% for message in rest %}
    {% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{ raise_exception('Roles have to be user, assistant, user, and so on') }}
    {% endif %}
    {% if message['role'] == 'user' %}
        {{- '[INST] ' + (system if loop.first else '') + message['content'].strip() + ' [/INST]' -}}
    {% elif message['role'].startswith('assist') %}
        {% generation %}{{- ' ' + message['content'].strip() + eos_token -}}{% endgeneration %}
    {% endif %}
{% endfor %}""",
}
CONVERSATIONS = [
    [("user", "What does the loga eat?"), ("assistant", "It eats leaves.")],
    [
        ("system", " Answer as a child would. "),
        ("user", "Where does the loga sleep?\nAnd when?"),
        ("assistant", "In a tree — at night.\n\nI saw it!"),
        ("user", "  Is it  red? "),
        ("assistant", "No, blue."),
    ],
]


def main():
    mini = ROOT / "assets/mini/decoder/tokenizer.json"
    cases = []
    for name, template in TEMPLATES.items():
        tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(mini), **TOKENS)
        conversations = []
        for pairs in CONVERSATIONS:
            messages = [{"role": role, "content": content} for role, content in pairs]
            call = lambda messages, template, **more: tokenizer.apply_chat_template(
                messages, chat_template=template, **more)
            marked = call(messages, template, tokenize=True, return_dict=True, return_assistant_tokens_mask=True)
            text = call(messages, template, tokenize=False)
            asked = call(messages[:-1], template, tokenize=False, add_generation_prompt=True)
            ids = call(messages, template, tokenize=True)
            assert ids == marked["input_ids"], name
            mask = marked["assistant_masks"]
            conversations.append(dict(messages=messages, text=text, asked=asked, ids=ids, mask=mask))
        cases.append(dict(name=name, config=TOKENS | {"chat_template": template}, conversations=conversations))
    (FOLDER / "chat.json").write_text(json.dumps(cases, ensure_ascii=False, indent=1) + "\n")
    print(f"chat: {len(cases)} templates, {sum(len(case['conversations']) for case in cases)} conversations")


if __name__ == "__main__":
    main()
