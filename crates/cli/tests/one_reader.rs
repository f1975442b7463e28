//! Loaders open files through `models::inputs` alone, so that all they read is held against the identity of trials.

use std::fs;
use std::path::{Path, PathBuf};

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// What opens a file without recording it.
const OTHERS: [&str; 7] = [
    "fs::read(",
    "fs::read_to_string(",
    "File::open(",
    "image::open(",
    "ImageReader::open(",
    "from_file(&path",
    "OpenOptions::new(",
];

#[test]
fn loaders_open_files_through_the_one_reader_that_records_them() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    for name in ["models", "finetune", "sd-driver", "roberta-glue", "llama-it", "vit-classify"] {
        rust_files(&crates.join(name).join("src"), &mut files);
    }
    assert!(files.len() > 80, "only {} files were found", files.len());
    let mut stray = Vec::new();
    for path in files.iter().filter(|path| !path.ends_with("models/src/inputs.rs")) {
        let text = fs::read_to_string(path).unwrap();
        // Tests; and of `finetune` what hashes inputs, keeps checkpoints and asks the kernel.
        let others = "invariance.rs identity.rs testing.rs digests.rs finetune/src/training.rs cost.rs";
        let is_no_loader = others.split(' ').any(|name| path.ends_with(name));
        let code = if is_no_loader { "" } else { text.split("#[cfg(test)]\nmod tests").next().unwrap() };
        for (line, number) in code.lines().zip(1..) {
            if OTHERS.iter().any(|other| line.contains(other)) {
                stray.push(format!("{}:{number}: {}", path.display(), line.trim()));
            }
        }
    }
    assert!(stray.is_empty(), "use models::inputs here:\n{}", stray.join("\n"));
}
