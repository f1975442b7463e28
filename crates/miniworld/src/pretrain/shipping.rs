//! Where networks are trained, and writing what is shipped of them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde::Serialize;
use tch::{Kind, Tensor, nn};

use super::trainer::named;
use crate::photos::{Photo, read_photos};

/// Where and how the networks are trained.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder that is shipped, `assets/mini`.
    pub out: PathBuf,
    /// Checkpoints and logs.
    pub work: PathBuf,
    /// Tiny ImageNet in hub layout; segmenter, condition, encoder and decoder need none.
    pub photos: Option<PathBuf>,
    pub seed: u64,
    /// Compute in bf16: several times faster on CPUs with AMX and on GPUs, slower on other CPUs.
    pub bf16: bool,
    /// Steps instead of the recipe's, for a quick look.
    pub steps: Option<u64>,
}

impl Options {
    pub(super) fn kind(&self) -> Kind {
        if self.bf16 { Kind::BFloat16 } else { Kind::Float }
    }

    pub(super) fn photos(&self, split: &str) -> Result<Arc<Vec<Photo>>> {
        let folder =
            self.photos.as_deref().context("photographs are needed; name their folder by `--photos`")?;
        Ok(Arc::new(read_photos(folder, split)?))
    }

    /// Folder of the diffusion model, laid out as Stable Diffusion's.
    pub(super) fn diffusion(&self) -> PathBuf {
        self.out.join("sd")
    }
}

/// Writes a network into `folder` as `config.json` and `file`, in fp16.
pub(super) fn ship(
    store: &nn::VarStore,
    config: &impl Serialize,
    class: &str,
    folder: &Path,
    file: &str,
) -> Result<()> {
    ship_tensors(&named(store), config, class, folder, file)
}

/// Writes named tensors into `folder`, as [`ship`] does with those of a network.
pub(super) fn ship_tensors(
    tensors: &[(String, Tensor)],
    config: &impl Serialize,
    class: &str,
    folder: &Path,
    file: &str,
) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("{}: cannot be made", folder.display()))?;
    let mut config = serde_json::to_value(config)?;
    let Some(table) = config.as_object_mut() else { bail!("a configuration is a table") };
    table.insert("_class_name".to_owned(), class.into());
    write_json(&folder.join("config.json"), &config)?;
    Ok(models::save_weights(tensors, Kind::Half, &folder.join(file))?)
}

/// How the mini vision towers take pictures: as the rest of the mini world has them, in [-1, 1].
pub(super) fn ship_preprocessor(folder: &Path) -> Result<()> {
    let config = serde_json::json!({"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]});
    write_json(&folder.join("preprocessor_config.json"), &config)
}

pub(super) fn write_json(path: &Path, value: &serde_json::Value) -> Result<()> {
    let text = serde_json::to_string_pretty(value)? + "\n";
    std::fs::write(path, text).with_context(|| format!("{}: cannot be written", path.display()))
}
