//! Conversations by chat templates against transformers: texts, tokens, and which of them the assistant says.

use std::fs;
use std::path::Path;

use finetune::read_rows;
use llama_it::chat::{ChatTemplate, messages};
use llama_it::conversations::{Wording, read};
use llama_it::templates::Columns;
use llama_it::tokens::TextTokenizer;
use llama_it::{Example, LossOn};
use models::decoder::DecoderConfig;
use serde_json::{Value, json};

fn cases() -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/chat.json");
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// A folder with a template, and the data set of its conversations.
fn folder(case: &Value) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let rows = case["conversations"].as_array().unwrap();
    let rows: String = rows.iter().map(|own| json!({"said": own["messages"]}).to_string() + "\n").collect();
    fs::write(folder.path().join("tokenizer_config.json"), case["config"].to_string()).unwrap();
    fs::write(folder.path().join("chats.jsonl"), rows).unwrap();
    folder
}

fn columns() -> Columns {
    Columns { messages: Some("said".to_owned()), ..Columns::default() }
}

#[test]
fn texts_tokens_and_what_is_learnt_are_those_of_transformers() {
    let mini = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/mini/decoder");
    let config: DecoderConfig = models::read_config(&mini.join("config.json")).unwrap();
    let tokenizer = TextTokenizer::open(&mini, &config).unwrap();
    for case in cases() {
        let folder = folder(&case);
        let template = ChatTemplate::open(folder.path()).unwrap();
        let wording = Wording::Chat(template);
        let all = read(&folder.path().join("chats.jsonl"), &wording, &columns()).unwrap();
        for (own, expected) in all.iter().zip(case["conversations"].as_array().unwrap()) {
            let name = &case["name"];
            let parts = own.turns.iter().flat_map(|turn| [turn.given.as_str(), turn.wanted.as_str()]);
            let parts: Vec<&str> = parts.collect();
            assert_eq!(parts.concat(), expected["text"], "{name}");
            assert_eq!(parts[..parts.len() - 1].concat(), expected["asked"], "{name}");
            let example = Example::new(own, &tokenizer, 1000, LossOn::Response);
            assert_eq!(json!(example.ids), expected["ids"], "{name}");
            let mut mask = vec![0; example.ids.len()];
            example.targets.iter().for_each(|own| mask[own.clone()].fill(1));
            assert_eq!(json!(mask), expected["mask"], "{name}");
            assert!(own.is_complete && example.num_targets() > 3);
        }
    }
}

#[test]
fn a_template_that_refuses_is_absent_or_changes_earlier_turns_is_named() {
    let all = cases();
    let folder = folder(&all[2]);
    let rows = folder.path().join("chats.jsonl");
    let said = |row: Value| {
        fs::write(&rows, row.to_string()).unwrap();
        let wording = Wording::Chat(ChatTemplate::open(folder.path()).unwrap());
        read(&rows, &wording, &columns()).unwrap_err().to_string()
    };
    let user = json!({"role": "user", "content": "?"});
    let twice = said(json!({"said": [user, user, {"role": "assistant", "content": "!"}]}));
    assert!(twice.contains("chats.jsonl: line 1") && twice.contains("Roles have to be user"), "{twice}");
    let alone = said(json!({"said": [user]}));
    assert!(alone.contains("line 1") && alone.contains("no message has the role `assistant`"), "{alone}");
    let odd = said(json!({"said": [{"speaker": "user", "content": "?"}]}));
    assert!(odd.contains("`said` is") && odd.contains("each with `role` and `content`"), "{odd}");
    let absent = said(json!({"messages": []}));
    assert!(absent.contains("`said` is missing; the row has messages"), "{absent}");

    let config =
        |value: Value| fs::write(folder.path().join("tokenizer_config.json"), value.to_string()).unwrap();
    let two_turns = json!({"said": all[0]["conversations"][1]["messages"]});
    config(json!({"chat_template":
        "{% for message in messages %}{{ message.content if loop.last else '…' }}{% endfor %}"}));
    let changed = said(two_turns);
    assert!(changed.contains("at message 3") && changed.contains("set `template`"), "{changed}");
    let opened = || ChatTemplate::open(folder.path()).err().unwrap().to_string();
    config(json!({"chat_template": "{% for %}"}));
    let broken = opened();
    assert!(broken.contains("tokenizer_config.json: `chat_template`: syntax error"), "{broken}");
    config(json!({"bos_token": "<s>"}));
    let none = opened();
    assert!(none.contains("has no chat template") && none.contains("chat_template.jinja"), "{none}");
    // A file of its own comes first, and of several templates the one that is called default.
    config(json!({"chat_template": [{"name": "tools", "template": "{% x %}"},
        {"name": "default", "template": "{% for own in messages %}{{ own.content }}{% endfor %}"}]}));
    ChatTemplate::open(folder.path()).unwrap();
    fs::write(folder.path().join("chat_template.jinja"), "{% for %}").unwrap();
    assert!(opened().contains("chat_template.jinja: "), "{}", opened());
}

#[test]
fn conversations_of_sharegpt_have_other_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.json");
    let said = json!([{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]);
    fs::write(&path, json!([{"conversations": said}]).to_string()).unwrap();
    let all = messages(&read_rows(&path).unwrap()[0], "conversations").unwrap();
    let roles: Vec<(&str, &str)> = all.iter().map(|own| (own.role.as_str(), own.content.as_str())).collect();
    assert_eq!(roles, [("user", "a"), ("assistant", "b")]);
}
