//! `delora fetch` without a hub: what it lists, what it finds in the cache, and what it misses there.

use std::fs;
use std::path::Path;
use std::process::Command;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// Exit code, and what was printed.
fn fetch(cache: &Path, words: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_delora"));
    command.arg("fetch").args(words).env("HF_HUB_CACHE", cache).env("HF_HUB_OFFLINE", "1");
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

/// A repository in the cache as Python leaves it, with these files.
fn put(cache: &Path, repository: &str, files: &[&str]) -> String {
    let folder = cache.join(repository);
    let snapshot = folder.join("snapshots").join(COMMIT);
    for file in files {
        let path = snapshot.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, file).unwrap();
    }
    fs::create_dir_all(folder.join("refs")).unwrap();
    fs::write(folder.join("refs/main"), COMMIT).unwrap();
    snapshot.display().to_string()
}

#[test]
fn without_a_name_it_lists_what_there_is() {
    let (code, text) = fetch(Path::new("unused"), &[]);
    assert_eq!(code, 0, "{text}");
    for part in ["nyu-mll/glue", "FacebookAI/roberta-base", "licence: MIT", "--task: mnli, sst2"] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
}

#[test]
fn offline_it_prints_the_folders_of_the_cache_or_what_they_lack() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path();
    let of = |task: &str, part: &str| format!("{task}/{part}-00000-of-00001.parquet");
    let files = [
        of("cola", "train"),
        of("cola", "validation"),
        of("mnli", "train"),
        of("mnli", "validation_matched"),
    ];
    let data = put(cache, "datasets--nyu-mll--glue", &files.each_ref().map(String::as_str));
    let model = put(
        cache,
        "models--FacebookAI--roberta-base",
        &["config.json", "model.safetensors", "tokenizer.json"],
    );

    let (code, text) = fetch(cache, &["glue", "--task", "cola,mnli", "--model"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.ends_with(&format!("  --set data={data}\n  --set model={model}\n")), "{text}");
    let (code, text) = fetch(cache, &["glue", "--task", "cola", "--dry-run"]);
    assert!(code == 0 && text.contains("nothing was downloaded") && !text.contains("--set"), "{text}");

    let (code, text) = fetch(cache, &["glue", "--task", "rte"]);
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains("error: offline") && text.contains("no rte/train-*.parquet of `nyu-mll/glue`"),
        "{text}"
    );
    let (code, text) =
        fetch(Path::new("unused"), &["glue", "--task", "cola", "--to", cache.to_str().unwrap()]);
    assert!(code == 0 && text.ends_with(&format!("--set data={data}\n")), "{text}");
}
