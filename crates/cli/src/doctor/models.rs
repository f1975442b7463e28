//! Whether the pretrained models are there and whole.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use serde_json::Value;

use super::{Finding, size};

/// One line per weight file under `assets`, or one that says that there are none.
pub fn examine(assets: &Path) -> Vec<Finding> {
    let mut files = Vec::new();
    if let Err(error) = weight_files(assets, &mut files) {
        let found = format!("{} cannot be read ({error})", assets.display());
        return vec![Finding::fail(
            "models",
            found,
            "run in the project folder, or name the folder with --assets",
        )];
    }
    if files.is_empty() {
        let found = format!("{} holds no .safetensors file", assets.display());
        return vec![Finding::fail(
            "models",
            found,
            "train them with `just pretrain`, or restore the folder with git",
        )];
    }
    files.sort();
    files.iter().map(|file| weights(file)).collect()
}

fn weight_files(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            weight_files(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "safetensors") {
            files.push(path);
        }
    }
    Ok(())
}

fn weights(file: &Path) -> Finding {
    match whole(file) {
        Ok((tensors, bytes)) => {
            Finding::ok("models", format!("{}: {tensors} tensors, {}", file.display(), size(bytes)))
        }
        Err(error) => Finding::fail(
            "models",
            format!("{}: {error:#}", file.display()),
            "restore the file with git, or train it again with `just pretrain`",
        ),
    }
}

/// Number of tensors and bytes of a safetensors file, after checking that it ends where its header says.
fn whole(file: &Path) -> anyhow::Result<(usize, u64)> {
    let bytes = fs::metadata(file)?.len();
    let mut reader = File::open(file)?;
    let mut length = [0; 8];
    reader.read_exact(&mut length).context("shorter than its header")?;
    let length = u64::from_le_bytes(length);
    ensure!(length <= bytes.saturating_sub(8), "no safetensors file, or shorter than its header");
    let mut header = vec![0; length as usize];
    reader.read_exact(&mut header)?;
    let header: serde_json::Map<String, Value> =
        serde_json::from_slice(&header).context("its header is damaged")?;
    let tensors = header.iter().filter(|(name, _)| *name != "__metadata__");
    let ends: Vec<u64> = tensors.filter_map(|(_, tensor)| tensor["data_offsets"][1].as_u64()).collect();
    let expected = 8 + length + ends.iter().max().copied().unwrap_or(0);
    ensure!(bytes == expected, "has {bytes} bytes where its header says {expected}");
    Ok((ends.len(), bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    fn scratch(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("delora-doctor-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn safetensors(header: &str, data: usize) -> Vec<u8> {
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header.as_bytes());
        file.extend(vec![0; data]);
        file
    }

    #[test]
    fn a_whole_weight_file_is_ok_and_a_cut_one_fails() {
        let folder = scratch("weights");
        let header = r#"{"__metadata__":{"a":"b"},"w":{"dtype":"F16","shape":[3,2],"data_offsets":[0,12]},"b":{"dtype":"F16","shape":[2],"data_offsets":[12,16]}}"#;
        let file = safetensors(header, 16);
        let path = folder.join("unet/model.safetensors");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &file).unwrap();
        let found = examine(&folder);
        assert_eq!((found.len(), found[0].level), (1, Level::Ok), "{found:?}");
        assert!(found[0].found.contains("2 tensors"), "{found:?}");
        for cut in [0, 7, 20, file.len() - 1] {
            fs::write(&path, &file[..cut]).unwrap();
            assert_eq!(examine(&folder)[0].level, Level::Fail, "cut at {cut}");
        }
        fs::write(&path, [file, vec![0]].concat()).unwrap();
        assert_eq!(examine(&folder)[0].level, Level::Fail);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn missing_and_empty_model_folders_fail_with_a_remedy() {
        let folder = scratch("empty");
        for place in [folder.clone(), folder.join("nowhere")] {
            let found = examine(&place);
            assert_eq!(found[0].level, Level::Fail);
            assert!(!found[0].remedy.is_empty());
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
