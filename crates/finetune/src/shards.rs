//! A split in several files, as on the hub: `<stem>-<index>-of-<count>.parquet`.

use std::path::{Path, PathBuf};

/// A split of which a file is not there.
#[derive(Debug, thiserror::Error)]
#[error("{path} is missing, and {present} is there; a split is read whole", path = path.display())]
pub struct MissingShard {
    pub path: PathBuf,
    pub present: String,
}

/// The files of the split `stem`, in order; none where there is no such file. Of several counts the largest is meant.
pub fn shards(stem: &Path) -> Result<Vec<PathBuf>, MissingShard> {
    let folder = stem.parent().unwrap_or(Path::new("."));
    let name = stem.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let Ok(entries) = folder.read_dir() else { return Ok(Vec::new()) };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let counts = names.filter_map(|present| {
        let rest = present.strip_prefix(&name)?.strip_prefix('-')?.strip_suffix(".parquet")?;
        let (index, count) = rest.split_once("-of-")?;
        index.parse::<usize>().ok()?;
        count.parse::<usize>().ok().map(|count| (count, present))
    });
    let Some((count, present)) = counts.max() else { return Ok(Vec::new()) };
    let path = |index| folder.join(format!("{name}-{index:05}-of-{count:05}.parquet"));
    match (0..count).map(path).find(|path| !path.is_file()) {
        Some(path) => Err(MissingShard { path, present }),
        None => Ok((0..count).map(path).collect()),
    }
}
