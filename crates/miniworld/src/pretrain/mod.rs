//! `delora pretrain`: the recipes of the small networks in `assets/mini`.
//!
//! Each is resumable (`runs/pretrain/<model>/checkpoint.safetensors`), seeded, and logged
//! (`runs/pretrain/<model>/log.csv`). What is shipped is the moving average, as fp16 safetensors in the folder
//! layout of the network it stands for.

mod clip;
mod condition;
mod data;
mod decoder;
mod dino;
mod encoder;
mod report;
mod segmenter;
mod shipping;
mod trainer;
mod unet;
mod vae;

use anyhow::Result;

pub use shipping::Options;

type Recipe = fn(&Options) -> Result<()>;

/// The recipes by the names of what they train, each after those that it needs.
const MODELS: [(&str, Recipe); 9] = [
    ("vae", vae::run),
    ("clip", clip::run),
    ("dino", dino::run),
    ("segmenter", segmenter::run),
    ("unet", unet::run),
    ("condition", condition::run),
    ("encoder", encoder::run),
    ("decoder", decoder::run),
    ("report", report::run), // no network: the evaluation of the others, `REPORT.md`
];

/// The name of a recipe or "all", as it is; the error of any other lists those that there are.
pub fn known(name: &str) -> Result<String, String> {
    let names = MODELS.map(|(model, _)| model);
    if name == "all" || names.contains(&name) {
        return Ok(name.to_owned());
    }
    Err(format!("`{name}` is none of all, {}", names.join(", ")))
}

/// Trains the network of this name, or all of them, to the end of its recipe and writes it into the folder that is
/// shipped; or writes the report.
pub fn run(name: &str, options: &Options) -> Result<()> {
    let mut chosen = MODELS.iter().filter(|(model, _)| name == "all" || name == *model);
    chosen.try_for_each(|(_, train)| {
        tch::manual_seed(options.seed as i64);
        train(options)
    })
}
