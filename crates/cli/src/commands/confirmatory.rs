//! The confirmatory trials of an experiment: what its table `[confirm]` makes of it.

use std::path::Path;

use anyhow::{Context, bail};
use decide::Design;
use runner::{Confirm, Experiment};

fn check(file: &Path, confirm: &Confirm) -> anyhow::Result<()> {
    let mistake = |key: &str, message: &str| bail!("{}: confirm.{key}: {message}", file.display());
    let grows =
        confirm.looks.first().is_some_and(|first| *first > 1) && confirm.looks.is_sorted_by(|a, b| a < b);
    if !grows {
        return mistake("looks", "must be numbers from 2 up that grow, as in [10, 20, 30]");
    }
    if confirm.along == "seed" && confirm.looks.last() != Some(&confirm.seeds.len()) {
        return mistake("looks", "must end with the number of seeds, along which trials are added");
    }
    if confirm.seeds.is_empty() {
        return mistake("seeds", "found no seed; name at least one");
    }
    Ok(())
}

/// The experiment of a design's results: that of the file with the settings of all confirmatory trials; none where the results in
/// `folder`, which is named `name`, are of no design.
pub fn of_design(file: &Path, folder: &Path, name: &str) -> anyhow::Result<Option<Experiment>> {
    let Some(design) = Design::read(folder)? else { return Ok(None) };
    let (_, confirm) = load(file, &design.scale)?;
    at_look(file, &design.scale, &confirm, last_look(&confirm), name).map(Some)
}

/// The experiment of a file, with its table `[confirm]`.
pub fn load(file: &Path, scale: &str) -> anyhow::Result<(Experiment, Confirm)> {
    let experiment = Experiment::load(file, scale, &[])?;
    let Some(confirm) = experiment.confirm.clone() else {
        bail!("{} has no table [confirm]; it says which trials decide: docs/statistics.md", file.display());
    };
    check(file, &confirm)?;
    Ok((experiment, confirm))
}

/// The look that has all.
pub fn last_look(confirm: &Confirm) -> usize {
    *confirm.looks.last().expect("it was checked")
}

/// The experiment with the settings of its confirmatory trials, up to a look, with its results in a folder of its own.
pub fn at_look(
    file: &Path,
    scale: &str,
    confirm: &Confirm,
    look: usize,
    folder: &str,
) -> anyhow::Result<Experiment> {
    let mut sets = Vec::new();
    for (path, value) in runner::leaves(&confirm.set) {
        let value = toml::Value::try_from(value).context("a setting of [confirm] was read from TOML")?;
        sets.push(format!("{}={value}", path.join(".")));
    }
    let seeds = if confirm.along == "seed" { &confirm.seeds[..look] } else { &confirm.seeds[..] };
    sets.push(format!("seeds={seeds:?}"));
    if confirm.along != "seed" {
        sets.push(format!("{}.first={look}", confirm.along));
    }
    let mut experiment = Experiment::load(file, scale, &sets)?;
    experiment.scale = folder.to_owned();
    Ok(experiment.with_remedy(super::fetch::remedy))
}
