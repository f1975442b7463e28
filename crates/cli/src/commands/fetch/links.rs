//! Links from where experiments look for models and data to what is in the cache.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use hub::Plan;

use super::printed::folder;

/// Links each fetched bundle below `root`, as in `root/models/roberta-base`. A link of another run is replaced; anything
/// else that is there is an error, and is left alone.
pub fn make(root: &Path, plans: &[Plan]) -> Result<Vec<PathBuf>> {
    let root = std::path::absolute(root)?;
    plans.iter().map(|plan| link(&root.join(place(plan)), &folder(plan))).collect()
}

/// Where experiments look for a bundle. Of several in one folder, each is below its repository's name.
fn place(plan: &Plan) -> PathBuf {
    let place = Path::new(plan.bundle.place);
    if plan.bundle.in_cache { place.join(plan.bundle.repo) } else { place.to_path_buf() }
}

fn link(at: &Path, target: &Path) -> Result<PathBuf> {
    let failed = || format!("{}: cannot be made a link to {}", at.display(), target.display());
    match fs::symlink_metadata(at) {
        Ok(found) if !found.is_symlink() => {
            bail!("{}: is there already and is no link; link elsewhere, or move it away", at.display());
        }
        _ => {}
    }
    let parent = at.parent().expect("a place is below its root");
    fs::create_dir_all(parent).with_context(failed)?;
    let name = at.file_name().expect("a place has a name").to_string_lossy();
    let partial = parent.join(format!(".{name}.{}.partial", std::process::id()));
    std::os::unix::fs::symlink(target, &partial).with_context(failed)?;
    if let Err(error) = fs::rename(&partial, at) {
        // What went wrong is more than that this link stays.
        let _ = fs::remove_file(&partial);
        return Err(error).with_context(failed);
    }
    Ok(at.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_replaces_a_link_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let at = root.path().join("models/one");
        for target in ["/somewhere", "/elsewhere"] {
            link(&at, Path::new(target)).unwrap();
            assert_eq!(fs::read_link(&at).unwrap(), Path::new(target));
        }
        assert_eq!(fs::read_dir(at.parent().unwrap()).unwrap().count(), 1);
        let folder = root.path().join("models/two");
        fs::create_dir(&folder).unwrap();
        let message = link(&folder, Path::new("/somewhere")).unwrap_err().to_string();
        assert!(message.contains("models/two: is there already and is no link"), "{message}");
        assert!(folder.is_dir());
    }

    #[test]
    fn a_bundle_is_linked_where_experiments_have_it() {
        let plan = |name: &str| Plan {
            bundle: hub::find(name).unwrap(),
            commit: String::new(),
            licence_on_hub: None,
            files: vec![],
            folder: PathBuf::from("/cache/snapshot"),
            from_cache: None,
        };
        let root = tempfile::tempdir().unwrap();
        make(root.path(), &["dreambooth", "mmlu", "arc", "sd15"].map(plan)).unwrap();
        let target = |place: &str| fs::read_link(root.path().join(place)).unwrap();
        assert_eq!(target("data/dreambooth/dataset"), Path::new("/cache/snapshot/dataset"));
        // Where crates/llama-it/tasks/harness.toml looks for rows below `data`.
        assert_eq!(target("data/cais/mmlu"), Path::new("/cache/snapshot"));
        assert_eq!(target("data/allenai/ai2_arc"), Path::new("/cache/snapshot"));
        assert_eq!(target("models/stable-diffusion-v1-5"), Path::new("/cache/snapshot"));
    }
}
