//! Folders that appear whole or not at all.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// Has `fill` write into a folder beside `path`, which is renamed when all went well and removed when not.
pub fn write_whole(path: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let Some(name) = path.file_name() else { bail!("{}: names no folder", path.display()) };
    if path.exists() {
        bail!("{}: is there already; name another folder, or move it away", path.display());
    }
    let partial = path.with_file_name(format!(".{}.{}.partial", name.to_string_lossy(), std::process::id()));
    fs::create_dir_all(&partial).with_context(|| format!("{}: cannot be made", partial.display()))?;
    let moved = || fs::rename(&partial, path).with_context(|| format!("{}: cannot be made", path.display()));
    let result = fill(&partial).and_then(|()| moved());
    if result.is_err() {
        // What went wrong is more than that this folder stays.
        let _ = fs::remove_dir_all(&partial);
    }
    result
}

/// Copies a folder with all that is in it.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("{}: cannot be made", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("{}: cannot be read", from.display()))? {
        let path = entry?.path();
        let target = to.join(path.file_name().expect("an entry has a name"));
        if path.is_dir() {
            copy(&path, &target)?;
        } else {
            fs::copy(&path, &target).with_context(|| format!("{}: cannot be copied", path.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_could_not_be_filled_is_not_there_and_an_old_one_stays() {
        let root = tempfile::tempdir().unwrap();
        let out = root.path().join("deep/out");
        let torn = write_whole(&out, |folder| {
            fs::write(folder.join("half"), "a")?;
            bail!("disk on fire")
        });
        assert_eq!(torn.unwrap_err().to_string(), "disk on fire");
        assert_eq!(fs::read_dir(out.parent().unwrap()).unwrap().count(), 0);
        write_whole(&out, |folder| Ok(fs::write(folder.join("whole"), "b")?)).unwrap();
        let message = write_whole(&out, |_| unreachable!("the folder is there")).unwrap_err().to_string();
        assert!(message.contains("is there already"), "{message}");
        assert_eq!(fs::read_dir(&out).unwrap().count(), 1);
        copy(&root.path().join("deep"), &root.path().join("again")).unwrap();
        assert_eq!(fs::read_to_string(root.path().join("again/out/whole")).unwrap(), "b");
    }
}
