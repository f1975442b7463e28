//! Files that are not what their name says.

use serde_json::Value;

/// Texts that servers send in place of a file, as the start of the file.
const ANSWERS: [&str; 5] = [
    "Entry not found",
    "Repository not found",
    "Invalid username or password",
    "Access to model",
    "Invalid credentials",
];

/// What `bytes` are where they are neither weights nor settings, in words that go behind "is", with the remedy.
pub fn foreign(bytes: &[u8]) -> Option<String> {
    let start = &bytes[..bytes.len().min(1024)];
    let has_mark = start.starts_with(b"\xef\xbb\xbf");
    let text = String::from_utf8_lossy(start);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let lower = text.to_lowercase();
    if text.starts_with("version https://git-lfs.github.com/spec/") {
        let remedy = "run `git lfs pull` in its repository, or fetch the file by itself";
        return Some(format!("a pointer of Git LFS and not the file that it stands for; {remedy}"));
    }
    if ["<!doctype html", "<html", "<head"].iter().any(|tag| lower.starts_with(tag)) {
        let cause = "servers send one for a wrong address or where a login is missing";
        return Some(format!("an HTML page and not the file; {cause}: fetch the file again"));
    }
    if let Some(answer) = ANSWERS.iter().find(|answer| text.starts_with(*answer)) {
        return Some(format!("a server's answer, \"{answer}\", and not the file; fetch it again"));
    }
    if start.starts_with(b"GGUF") {
        let remedy = "take the checkpoint that transformers or diffusers reads";
        return Some(format!("a GGUF file of llama.cpp, whose quantized weights are not read; {remedy}"));
    }
    has_mark.then(|| {
        "text that begins with a byte order mark, which JSON does not have; save it as UTF-8 without one"
            .to_owned()
    })
}

/// What is wrong with the `__metadata__` of a safetensors file, which holds text alone; `file` may be its start.
pub fn metadata_problem(file: &[u8]) -> Option<String> {
    let length = u64::from_le_bytes(*file.first_chunk()?);
    let end = usize::try_from(length).ok()?.checked_add(8)?;
    let header: Value = serde_json::from_slice(file.get(8..end)?).ok()?;
    let remedy = "write the file again with text, as in \"3\"";
    match header.get("__metadata__")? {
        Value::Object(entries) => {
            let (key, value) = entries.iter().find(|(_, value)| !value.is_string())?;
            Some(format!(
                "its `__metadata__` has {value} under `{key}`, and safetensors takes text alone; {remedy}"
            ))
        }
        other => {
            Some(format!("its `__metadata__` is {other}, and safetensors takes names and texts; {remedy}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_something_else_are_called_what_they_are() {
        for (bytes, name) in [
            (
                &b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n"[..],
                "a pointer of Git LFS",
            ),
            (b"\n<!DOCTYPE html><html><head>", "an HTML page"),
            (b"<html lang=\"en\">", "an HTML page"),
            (b"Entry not found", "a server's answer"),
            (b"GGUF\x03\0\0\0", "a GGUF file"),
            (b"\xef\xbb\xbf{\"a\": 1}", "a byte order mark"),
        ] {
            let said = foreign(bytes).unwrap_or_default();
            assert!(said.contains(name), "{name}: {said}");
        }
        for bytes in [&b"{\"a\": 1}"[..], b"", b"PK\x03\x04", b"\x10\0\0\0\0\0\0\0{}", b"\xff\xfe"] {
            assert_eq!(foreign(bytes), None);
        }
    }

    #[test]
    fn metadata_that_is_no_text_is_named_by_its_key() {
        let file = |header: &str| [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat();
        let said = metadata_problem(&file(r#"{"__metadata__": {"format": "pt", "step": 3}}"#)).unwrap();
        assert!(said.contains("has 3 under `step`"), "{said}");
        let said = metadata_problem(&file(r#"{"__metadata__": ["pt"]}"#)).unwrap();
        assert!(said.contains(r#"is ["pt"]"#), "{said}");
        for right in [r#"{"__metadata__": {"format": "pt"}}"#, "{}", "no JSON"] {
            assert_eq!(metadata_problem(&file(right)), None);
        }
        assert_eq!(metadata_problem(&[255; 16]), None);
    }
}
