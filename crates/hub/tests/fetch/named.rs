//! Repositories that a user names, of which the table of bundles knows nothing.

use std::fs;

use crate::repository::Repository;
use crate::server::{COMMIT, HubServer};
use crate::{Client, walk};

fn served() -> (HubServer, Client) {
    let files: [(&str, &[u8], bool); 4] = [
        ("config.json", b"{}", false),
        ("model.safetensors", b"weights", true),
        ("onnx/model.onnx", b"other weights", true),
        ("tokenizer/vocab.json", b"{\"a\": 0}", false),
    ];
    let server = HubServer::of(vec![
        Repository::new("models/owner/network", &files),
        Repository::new(
            "datasets/owner/rows",
            &[("data/a.parquet", b"rows", true), ("README.md", b"#", false)],
        ),
    ]);
    let client = Client::of(&server);
    (server, client)
}

impl Client {
    /// Files below the folder to which the repository was fetched.
    fn fetch_named(&self, address: &str, include: &[&str]) -> Result<Vec<String>, String> {
        let include: Vec<String> = include.iter().map(ToString::to_string).collect();
        let bundle = hub::repository(address, &include).map_err(|error| error.to_string())?;
        let plans = self.fetch_all(&[bundle]).map_err(|error| error.to_string())?;
        let mut names = Vec::new();
        walk(&plans[0].folder, "", &mut names);
        names.sort();
        Ok(names)
    }
}

#[test]
fn all_files_come_or_those_that_are_like_a_pattern() {
    let (_server, client) = served();
    let chosen = client.fetch_named("hf:owner/network", &["*.json", "model.*"]).unwrap();
    assert_eq!(chosen, ["config.json", "model.safetensors", "tokenizer/vocab.json"]);
    let all = client.fetch_named("hf:owner/network", &[]).unwrap();
    assert_eq!(all, ["config.json", "model.safetensors", "onnx/model.onnx", "tokenizer/vocab.json"]);
    assert_eq!(client.fetch_named("hf:datasets/owner/rows", &["data/*"]).unwrap(), ["data/a.parquet"]);
    let message = client.fetch_named("hf:owner/network", &["*.gguf"]).unwrap_err();
    assert!(message.contains("`owner/network` has no file `*.gguf`"), "{message}");
}

#[test]
fn a_revision_is_kept_under_its_name_and_found_again_offline() {
    let (_server, client) = served();
    for revision in ["refs/pr/1", COMMIT] {
        assert_eq!(
            client.fetch_named(&format!("hf:owner/network@{revision}"), &["config.json"]).unwrap().len(),
            1
        );
    }
    let references = client.folder.path().join("models--owner--network/refs");
    assert_eq!(fs::read_to_string(references.join("refs/pr/1")).unwrap(), COMMIT);
    assert!(!references.join("main").exists() && !references.join(COMMIT).exists());
    let offline = Client { offline: true, ..client };
    for revision in ["refs/pr/1", COMMIT] {
        let found = offline.fetch_named(&format!("hf:owner/network@{revision}"), &["config.json"]);
        assert_eq!(found.unwrap(), ["config.json"]);
    }
    let message = offline.fetch_named("hf:owner/network", &[]).unwrap_err();
    assert!(message.contains("offline"), "{message}");
}

#[test]
fn what_the_hub_does_not_have_is_named() {
    let (server, client) = served();
    let message = client.fetch_named("hf:owner/network@v9", &[]).unwrap_err();
    let page = format!("{}/owner/network", server.endpoint);
    assert_eq!(
        message,
        format!("`owner/network` has no revision `v9`; its branches, tags and commits are at {page}")
    );
    let message = client.fetch_named("hf:owner/nothing", &[]).unwrap_err();
    assert!(message.contains("has no model `owner/nothing`"), "{message}");
}
