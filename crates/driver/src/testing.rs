//! For tests of tasks: does a trial's identity follow the files that its loaders open?

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};
use models::inputs::recorded;

/// Copies a folder with all that is in it.
pub fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (entry, target) = (entry.path(), to.join(entry.file_name()));
        if entry.is_dir() {
            copy_folder(&entry, &target)?;
        } else {
            fs::copy(&entry, &target)?;
        }
    }
    Ok(())
}

/// Changes each file that `load` opens in turn, and gives how many there are and those after whose change `digest` is as
/// before.
pub fn unnoticed<T>(
    load: impl FnOnce() -> Result<T>,
    digest: impl Fn() -> Result<String>,
) -> Result<(Vec<String>, Vec<String>)> {
    let (loaded, opened) = recorded(load);
    drop(loaded?);
    let before = digest()?;
    ensure!(digest()? == before, "two digests of the same files differ");
    let mut unnoticed = Vec::new();
    for path in &opened {
        let bytes = fs::read(path)?;
        fs::write(path, [bytes.as_slice(), b" "].concat())?;
        if digest()? == before {
            unnoticed.push(path.display().to_string());
        }
        fs::write(path, bytes)?;
    }
    Ok((opened.iter().map(|path| path.display().to_string()).collect(), unnoticed))
}
