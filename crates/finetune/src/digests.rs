//! Hashes of the files that a trial's result depends on.

use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use models::inputs::recorded;

/// Hashes of files, each read once.
#[derive(Default)]
pub struct Digests(HashMap<PathBuf, blake3::Hash>);

impl Digests {
    /// One hash over the contents of `files`, in order; an error names the file that cannot be read.
    pub fn of(&mut self, files: &[PathBuf]) -> Result<String> {
        let mut hasher = blake3::Hasher::new();
        for path in files {
            let hash = match self.0.get(path) {
                Some(hash) => *hash,
                None => {
                    let mut own = blake3::Hasher::new();
                    File::open(path)
                        .and_then(|file| own.update_reader(file).map(drop))
                        .with_context(|| format!("{}: cannot be read", path.display()))?;
                    *self.0.entry(path.clone()).or_insert(own.finalize())
                }
            };
            hasher.update(hash.as_bytes());
        }
        Ok(hasher.finalize().to_hex()[..16].to_owned())
    }
}

/// What `load` gives, which may open nothing but `files`: those in the identity of the trials that load it.
///
/// Errors: those of `load`; a file that it opened beside them.
pub fn covered<T>(files: &[PathBuf], load: impl FnOnce() -> Result<T>) -> Result<T> {
    let (loaded, opened) = recorded(load);
    let loaded = loaded?;
    match opened.iter().find(|path| !files.contains(path)) {
        None => Ok(loaded),
        Some(stray) => bail!(
            "{}: was read, but is no part of the identity of trials, which would keep their results when it changes; \
             this is a fault of the program",
            stray.display()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_of_contents_in_order_and_names_what_it_cannot_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let (one, two, same) = (file("one", "a"), file("two", "b"), file("same", "a"));
        let of = |files: &[&PathBuf]| {
            Digests::default().of(&files.iter().map(|path| (*path).clone()).collect::<Vec<_>>())
        };
        assert_eq!(of(&[&one, &two]).unwrap(), of(&[&same, &two]).unwrap());
        assert_ne!(of(&[&one, &two]).unwrap(), of(&[&two, &one]).unwrap());
        let error = of(&[&folder.path().join("none")]).unwrap_err().to_string();
        assert!(error.contains("none: cannot be read"), "{error}");
    }
}
