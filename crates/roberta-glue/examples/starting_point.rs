//! Writes what a trial starts from, so that another program can train the same: `tools/glue_paired.py` runs it.
//!
//! `cargo run -p roberta-glue --example starting_point -- FOLDER TRIAL.json …`, in the folder from which the trials ran, as
//! their folders may be relative. A trial's file is one in `results/…/trials/`. `FOLDER/<name>.safetensors` then has:
//!
//! - `<site>.<name>`: each trained parameter before the first step, named and shaped as in its method's header; the
//!   head's are named `<tensor>.value`;
//! - `order` [epochs, rows]: rows of the training set in the order in which each epoch takes them;
//! - `warmup_steps` [1].

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use delora_core::{Bank, Schedule, Site};
use finetune::epoch_order;
use models::roberta::{ClassificationHead, load_encoder};
use roberta_glue::data::Split;
use roberta_glue::{Settings, trial_of};
use serde_json::Value;
use tch::{Device, Tensor};

fn settings(path: &Path) -> Result<Settings> {
    let what = || path.display().to_string();
    let text = std::fs::read(path).with_context(what)?;
    let trial: Value = serde_json::from_slice(&text).with_context(what)?;
    Settings::read(&trial["record"]["config"]).with_context(what)
}

fn starting_point(settings: &Settings) -> Result<Vec<(String, Tensor)>> {
    let encoder = load_encoder(&settings.model, Device::Cpu)?;
    let labels = settings.task()?.num_labels() as i64;
    let head = ClassificationHead::alone(encoder.network.config(), labels, Device::Cpu);
    let sites: Vec<Site> =
        [finetune::sites(&encoder), finetune::head_sites(&head.linears())].into_iter().flatten().collect();
    let all = settings.examples(&settings.task()?, Split::Train)?.len();
    let count = settings.train_limit.map_or(all, |limit| all.min(limit));
    let trial = trial_of(settings, settings.epochs * count.div_ceil(settings.common.batch) as u64);
    let bank = Bank::new(&sites, std::slice::from_ref(&trial), Device::Cpu)?;
    let mut tensors = Vec::new();
    for own in bank.parameter_names(0).into_iter().filter(|own| own.trained) {
        tensors.push((format!("{}.{}", own.site, own.name), bank.parameter(&own.site, 0, own.name)?));
    }
    let order = |epoch| epoch_order(settings.common.seed, epoch, count).into_iter().map(|row| row as i64);
    let order: Vec<i64> = (0..settings.epochs).flat_map(order).collect();
    tensors.push(("order".to_owned(), Tensor::from_slice(&order).view([-1, count as i64])));
    let (Schedule::Constant { warmup_steps }
    | Schedule::Linear { warmup_steps, .. }
    | Schedule::Cosine { warmup_steps, .. }) = trial.schedule;
    tensors.push(("warmup_steps".to_owned(), Tensor::from_slice(&[warmup_steps as i64])));
    Ok(tensors)
}

fn main() -> Result<()> {
    let mut paths = std::env::args().skip(1).map(PathBuf::from);
    let folder = paths.next().context("usage: starting_point FOLDER TRIAL.json …")?;
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    for trial in paths {
        let name = trial.file_stem().with_context(|| format!("{}: not a trial's file", trial.display()))?;
        let start = folder.join(name).with_extension("safetensors");
        let tensors = starting_point(&settings(&trial)?).with_context(|| trial.display().to_string())?;
        Tensor::write_safetensors(&tensors, &start).with_context(|| start.display().to_string())?;
    }
    Ok(())
}
