//! `delora check-weights`: a checkpoint's tensors beside those that its own `config.json` asks for.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use models::checkpoint::{Checkpoint, CheckpointConfigs, DiffusionError};
use models::listing::{Listing, grouped};
use models::networks::{Asked, Network};
use models::scheduler::ScheduleConfig;
use models::shapes::ARCHITECTURES;
use models::text::CaptionTokenizer;
use models::weights::{Matching, Stored, Weights};
use models::{find_weights, read_config, read_json};
use serde_json::Value;

use crate::params::grouped as thousands;

/// Lines of a table before the rest is only counted.
const LINES: usize = 20;
/// Networks of a Stable Diffusion checkpoint and the classes that are right.
const PARTS: [(&str, &str); 3] =
    [("unet", "UNet2DConditionModel"), ("vae", "AutoencoderKL"), ("text_encoder", "CLIPTextModel")];

#[derive(clap::Args)]
pub struct Args {
    /// A Stable Diffusion checkpoint, as a folder or a single safetensors file in one, a network's folder, or a JSON listing of names
    /// and shapes with a config
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Read names and shapes only; without it every value is looked at, and NaN and infinity are reported
    #[arg(long)]
    headers: bool,
}

/// Exit code 1 where anything differs.
pub fn run(args: &Args) -> Result<ExitCode> {
    let report = check(&args.path, !args.headers)?;
    terminal::print(report.text);
    Ok(if report.problems == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is said of a checkpoint, and how much is wrong with it.
#[derive(Default)]
struct Report {
    text: String,
    problems: usize,
}

impl Report {
    fn line(&mut self, text: &str) {
        self.text += text;
        self.text.push('\n');
    }

    fn problem(&mut self, text: &str) {
        self.line(&format!("  wrong: {text}"));
        self.problems += 1;
    }

    /// Rows of a name and what is said of it, those alike as one line.
    fn table(&mut self, title: &str, rows: &[(String, String)]) {
        if rows.is_empty() {
            return;
        }
        self.problems += rows.len();
        self.line(&format!("  {title}: {}", rows.len()));
        let lines = grouped(rows);
        let shown = &lines[..lines.len().min(LINES)];
        let width = shown.iter().map(|(name, ..)| name.len()).max().unwrap_or(0);
        for (name, said, count) in shown {
            let times = if *count > 1 { format!("  ({count} tensors)") } else { String::new() };
            self.line(&format!("    {name:width$}  {said}{times}"));
        }
        let rest: usize = lines[shown.len()..].iter().map(|(.., count)| count).sum();
        if rest > 0 {
            self.line(&format!("    and {rest} more"));
        }
    }
}

fn check(path: &Path, values: bool) -> Result<Report> {
    let mut report = Report::default();
    let checkpoint = Checkpoint::at(path);
    let is_listing = path.extension().is_some_and(|ending| ending == "json");
    if path.is_file() && is_listing {
        let listing = Listing::read(path)?;
        let name = path.display().to_string();
        match asked(&listing.config, None) {
            Err(problem) => report.problem(&format!("{name} {problem}")),
            Ok((network, asked)) => {
                report.line(&format!("{name}: {}", title(network, &asked)));
                compare(&mut report, network, &asked, &listing.tensors());
            }
        }
    } else if path.is_file()
        || path.join("model_index.json").is_file()
        || PARTS.iter().all(|(part, _)| path.join(part).is_dir())
    {
        for (part, class) in PARTS {
            let weights = |config: &Value| weights_of(&checkpoint, part, config);
            network(&mut report, part, (&checkpoint.config_file(part), Some(class)), weights, values)?;
        }
        others(&mut report, path, &checkpoint);
    } else if path.join("config.json").is_file() {
        let weights = |_: &Value| Ok(find_weights(path).and_then(|path| Weights::open(&path))?);
        let name = path.display().to_string();
        network(&mut report, &name, (&path.join("config.json"), None), weights, values)?;
    } else if path.is_dir() {
        bail!(
            "{}: neither a Stable Diffusion checkpoint, which has model_index.json, nor a network's folder, which has config.json",
            path.display()
        );
    } else {
        bail!("{}: there is no such file or folder", path.display());
    }
    let verdict = match report.problems {
        0 => "no difference".to_owned(),
        1 => "1 difference".to_owned(),
        count => format!("{count} differences"),
    };
    report.line(&verdict);
    Ok(report)
}

/// The network of a `config.json`, which has to be `right` where that is said.
fn asked(config: &Value, right: Option<&str>) -> Result<(&'static Network, Asked), String> {
    let network = Network::of(config)?;
    match right {
        Some(class) if !network.classes.contains(&class) => {
            Err(format!("is of a `{}` where a `{class}` is right", network.classes[0]))
        }
        _ => network.read(config).map(|asked| (network, asked)),
    }
}

/// The class, and which public checkpoint's it is.
fn title(network: &'static Network, asked: &Asked) -> String {
    let class = network.classes[0];
    match network.published(asked) {
        None => format!("{class}, in the sizes of no checkpoint that is known here"),
        Some((known, differences)) if differences.is_empty() => format!("{class}, the {}", known.title),
        Some((known, differences)) => {
            format!("{class}, in the sizes of the {}, but {}", known.title, differences.join(", "))
        }
    }
}

/// Weights of one of [`PARTS`].
fn weights_of(checkpoint: &Checkpoint, part: &str, config: &Value) -> Result<Weights> {
    let config = config.clone();
    Ok(match part {
        "unet" => checkpoint.unet(&serde_json::from_value(config)?)?,
        "vae" => checkpoint.vae(&serde_json::from_value(config)?)?,
        _ => checkpoint.text_encoder(&serde_json::from_value(config)?)?,
    })
}

/// A network by its config, which has to be of the class `right`, and the weights that go with it.
fn network(
    report: &mut Report,
    name: &str,
    (path, right): (&Path, Option<&str>),
    weights: impl FnOnce(&Value) -> Result<Weights>,
    values: bool,
) -> Result<()> {
    if !path.is_file() {
        report.line(&format!("{name}:"));
        report.problem(&format!("{} is not there", path.display()));
        return Ok(());
    }
    let config: Value = read_json(path)?;
    let (network, asked) = match asked(&config, right) {
        Ok(found) => found,
        Err(problem) => {
            report.line(&format!("{name}:"));
            report.problem(&format!("{} {problem}", path.display()));
            return Ok(());
        }
    };
    report.line(&format!("{name}: {}", title(network, &asked)));
    let weights = match weights(&asked.config) {
        Ok(weights) => weights,
        Err(error) => {
            report.problem(&format!("{error:#}"));
            return Ok(());
        }
    };
    let kinds: Vec<String> = weights.dtypes().iter().map(ToString::to_string).collect();
    let files: Vec<_> =
        weights.paths().filter_map(Path::file_name).map(|name| name.to_string_lossy()).collect();
    let bytes = thousands((weights.num_bytes() / 1_000_000) as i64);
    report.line(&format!("  {} in {bytes} MB of {}", kinds.join(" and "), files.join(", ")));
    let found = compare(report, network, &asked, weights.tensors());
    if values {
        let wrong = found.iter().filter_map(|(name, stored)| {
            let count = weights.num_non_finite(stored) as i64;
            let all = thousands(stored.num_values());
            (count > 0)
                .then(|| (name.clone(), format!("{} of {all} values are NaN or infinite", thousands(count))))
        });
        let wrong: Vec<_> = wrong.collect();
        report.table("not finite", &wrong);
    }
    Ok(())
}

/// Names, shapes and kinds; gives the tensors that belong to the network, by their names in it.
fn compare<'a>(
    report: &mut Report,
    network: &Network,
    asked: &Asked,
    stored: &'a [Stored],
) -> Vec<(String, &'a Stored)> {
    let layout = asked.shapes.layout();
    let matching = Matching::of(&layout, network.naming, stored);
    let count = |count: usize| thousands(count as i64);
    report.line(&format!(
        "  {} parameters in {} tensors; {} are there and fit, {} in the files belong to other parts and are left aside",
        thousands(asked.shapes.num_parameters()),
        count(layout.len()),
        count(matching.found.len()),
        count(matching.left_aside.len()),
    ));
    let shape = |shape: &[i64]| format!("{shape:?}");
    let missing: Vec<_> = matching.missing.iter().map(|(name, sides)| (name.clone(), shape(sides))).collect();
    let unexpected: Vec<_> = matching.unexpected.iter().map(|&index| &stored[index]).collect();
    if 2 * missing.len() > layout.len()
        && let Some(other) = owner(stored)
    {
        report.line(&format!("  these are the tensors of the {other}"));
    }
    report.table("missing", &missing);
    let rows: Vec<_> = unexpected.iter().map(|tensor| (tensor.name.clone(), shape(&tensor.shape))).collect();
    report.table("unexpected", &rows);
    let misshapen = matching.misshapen.iter().map(|(_, index, right)| {
        let tensor = &stored[*index];
        (tensor.name.clone(), format!("{:?} where {right:?} is right", tensor.shape))
    });
    report.table("misshapen", &misshapen.collect::<Vec<_>>());
    let found: Vec<_> =
        matching.found.into_iter().map(|(name, place)| (name, &stored[place.index])).collect();
    let kinds = found.iter().filter(|(_, tensor)| tensor.kind().is_none());
    let kinds =
        kinds.map(|(name, tensor)| (name.clone(), format!("{}, not F64, F32, F16 or BF16", tensor.dtype)));
    report.table("of another kind", &kinds.collect::<Vec<_>>());
    found
}

/// The public checkpoint whose tensors these are.
fn owner(stored: &[Stored]) -> Option<&'static str> {
    let has_all = |architecture: &&models::shapes::Architecture| {
        let config = (architecture.config)();
        Network::of(&config).is_ok_and(|network| {
            let matching = Matching::of(&architecture.shapes().layout(), network.naming, stored);
            matching.missing.is_empty() && matching.misshapen.is_empty() && matching.unexpected.is_empty()
        })
    };
    ARCHITECTURES.iter().find(has_all).map(|architecture| architecture.title)
}

/// What of a Stable Diffusion checkpoint is no network.
fn others(report: &mut Report, path: &Path, checkpoint: &Checkpoint) {
    let before = report.problems;
    report.line("scheduler and tokenizer:");
    if let Err(error) = read_config::<ScheduleConfig>(&checkpoint.schedule_file()) {
        report.problem(&error.to_string());
    }
    // Its parts have been reported by themselves.
    if let Err(error @ DiffusionError::Parts { .. }) = CheckpointConfigs::read(path).map(drop) {
        report.problem(&error.to_string());
    }
    let Ok(text_encoder) = read_config(&checkpoint.config_file("text_encoder")) else {
        return report.line("  the tokenizer was not read, since the text encoder's config could not be");
    };
    if let Err(error) = CaptionTokenizer::open(&checkpoint.tokenizer(), &text_encoder) {
        report.problem(&error.to_string());
    }
    if report.problems == before {
        report.line("  scheduler_config.json and the tokenizer are there and can be read");
    }
}

#[cfg(test)]
#[path = "check_weights/tests.rs"]
mod tests;
