//! `delora fetch` without a hub: what it lists, what it finds in the cache, and what it misses there.

use std::fs;
use std::path::Path;
use std::process::Command;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// Exit code, and what was printed.
fn fetch(cache: &Path, words: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_delora"));
    command.arg("fetch").args(words).env("HF_HUB_CACHE", cache).env("HF_HUB_OFFLINE", "1");
    command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

/// A repository in the cache as Python leaves it, with these files, between which there is white space.
fn put(cache: &Path, repository: &str, files: &str) -> String {
    let folder = cache.join(repository);
    let snapshot = folder.join("snapshots").join(COMMIT);
    for file in files.split_whitespace() {
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
    let parts =
        ["nyu-mll/glue", "FacebookAI/roberta-base", "licence: MIT", "--task: mnli, sst2", "upernet101"];
    for part in parts {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
}

#[test]
fn offline_it_prints_the_folders_of_the_cache_or_what_they_lack() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path();
    let of = |part: &str| format!("{part}-00000-of-00001.parquet");
    let files = ["cola/train", "cola/validation", "mnli/train", "mnli/validation_matched"].map(of);
    let data = put(cache, "datasets--nyu-mll--glue", &files.join(" "));
    let encoder = "config.json model.safetensors tokenizer.json";
    let model = put(cache, "models--FacebookAI--roberta-base", encoder);

    let (code, text) = fetch(cache, &["glue", "--task", "cola,mnli", "--model"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.ends_with(&format!("  --set data={data}\n  --set model={model}\n")), "{text}");
    let (code, text) = fetch(cache, &["glue", "--task", "cola", "--dry-run"]);
    assert!(code == 0 && text.contains("nothing was downloaded") && !text.contains("--set"), "{text}");

    let (code, text) = fetch(cache, &["glue", "--task", "rte"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("error: offline"), "{text}");
    assert!(text.contains("no rte/train-*.parquet of `nyu-mll/glue`"), "{text}");
    let (code, text) =
        fetch(Path::new("unused"), &["glue", "--task", "cola", "--to", cache.to_str().unwrap()]);
    assert!(code == 0 && text.ends_with(&format!("--set data={data}\n")), "{text}");
}

#[test]
fn what_an_experiment_needs_is_listed_without_hub_and_cache() {
    let (code, text) = fetch(Path::new("unused"), &["table3", "--scale", "paper", "--list"]);
    assert_eq!(code, 0, "{text}");
    let parts = [
        "experiments/table3.toml at scale paper needs",
        "model            models/stable-diffusion-v1-5   sd15\n",
        "evaluators.dino  models/dino-vits16             dino-vits16\n",
        "data             data/dreambooth/dataset        dreambooth\n",
        "about 4.3 GB from stable-diffusion-v1-5/stable-diffusion-v1-5\n",
        "licence: CreativeML OpenRAIL-M",
        "licence: CC BY 4.0",
        "in all about 6.2 GB",
    ];
    for part in parts {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    let (code, text) = fetch(Path::new("unused"), &["table3", "--scale", "mini", "--list"]);
    assert!(code == 0 && text.contains("nothing that is not in the repository"), "{text}");
    let (code, text) = fetch(Path::new("unused"), &["instruct", "--scale", "paper", "--list"]);
    assert!(code == 0 && text.contains("alpaca-cleaned (by hand)"), "{text}");
    assert!(text.contains("to be accepted"), "{text}");
    let (code, text) = fetch(Path::new("unused"), &["tabel3"]);
    assert!(code == 1 && text.contains("no experiment `tabel3`") && text.contains("lr-sweep, "), "{text}");
}

#[test]
fn an_experiment_in_the_cache_gives_the_command_that_runs_it() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path();
    let model = put(
        cache,
        "models--stable-diffusion-v1-5--stable-diffusion-v1-5",
        "model_index.json scheduler/scheduler_config.json tokenizer/vocab.json tokenizer/merges.txt
         text_encoder/config.json text_encoder/model.safetensors unet/config.json
         unet/diffusion_pytorch_model.safetensors vae/config.json vae/diffusion_pytorch_model.safetensors",
    );
    let scorer = "config.json preprocessor_config.json pytorch_model.bin";
    let dino = put(cache, "models--facebook--dino-vits16", scorer);
    let clip = format!("{scorer} tokenizer.json vocab.json merges.txt");
    let clip = put(cache, "models--openai--clip-vit-large-patch14", &clip);
    let (code, text) = fetch(cache, &["table3"]);
    assert!(code == 1 && text.contains("no snapshot of `google/dreambooth`"), "{text}");
    let pictures = ["prompts_and_classes.txt", "references_and_licenses.txt", "dog/00.jpg"];
    let pictures = pictures.map(|file| format!("dataset/{file}")).join(" ");
    let data = put(cache, "datasets--google--dreambooth", &pictures);

    let (code, text) = fetch(cache, &["table3", "--scale", "paper"]);
    assert_eq!(code, 0, "{text}");
    let command = text.split("run the experiment with\n").nth(1).unwrap();
    let mut words: Vec<&str> = command.split_whitespace().filter(|word| *word != "\\").collect();
    words.sort_unstable();
    let settings = [
        format!("data={data}/dataset"),
        format!("evaluators.clip={clip}"),
        format!("evaluators.dino={dino}"),
        format!("model={model}"),
    ];
    let mut expected = vec!["delora", "run", "experiments/table3.toml", "--scale", "paper"];
    expected.extend(settings.iter().flat_map(|setting| ["--set", setting.as_str()]));
    expected.sort_unstable();
    assert_eq!(words, expected, "{text}");

    let root = tempfile::tempdir().unwrap();
    let at = root.path().to_str().unwrap();
    let (code, text) = fetch(cache, &["table3", "--scale", "paper", "--link", at]);
    assert_eq!(code, 0, "{text}");
    let command =
        format!("delora run experiments/table3.toml --scale paper --models {at}/models --data {at}/data\n");
    assert!(text.ends_with(&command), "{text}");
    let linked = |place: &str| fs::canonicalize(root.path().join(place)).unwrap();
    assert_eq!(linked("models/stable-diffusion-v1-5"), fs::canonicalize(&model).unwrap());
    assert_eq!(linked("data/dreambooth/dataset"), fs::canonicalize(&data).unwrap().join("dataset"));

    // What experiments look for below `--models` must be there.
    let mut command = Command::new(env!("CARGO_BIN_EXE_delora"));
    command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    command.args(["status", "experiments/table3.toml", "--scale", "paper", "--models", at]);
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{text}");
    assert!(text.contains(&format!("no {at}/stable-diffusion-v1-5 (`model`)")), "{text}");
}
