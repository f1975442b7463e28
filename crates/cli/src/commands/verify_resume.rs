//! `delora verify-resume`: kills runs of an experiment and compares what they give with an undisturbed run.

use device::Cuda;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::Context;
use runner::{Difference, Verdict, Verification, verify_resume};

use super::devices::DevicesArgs;
use super::experiment::ExperimentArgs;
use crate::exit;
use crate::tasks::workload;

/// Rows of the table of differences that are printed.
const MOST_ROWS: usize = 20;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    experiment: ExperimentArgs,
    #[command(flatten)]
    devices: DevicesArgs,
    /// Run the experiment's first N trials; otherwise those of its largest bank
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    trials: Option<u64>,
    /// Number of runs to kill
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    kills: u64,
    /// Another seed kills at other moments
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

pub fn run(args: &Args, cuda: &Cuda) -> anyhow::Result<ExitCode> {
    let experiment = args.experiment.load()?;
    args.devices.choose(&experiment.scale, cuda)?;
    let program = std::env::current_exe().context("the path of this program is not known")?;
    let folder = tempfile::tempdir().context("no temporary folder can be made")?;
    let workload = workload(&experiment.task)?;
    let command = |results: &Path, checkpoint_every: Duration, trials: &[String]| {
        child(&program, args, results, checkpoint_every, trials)
    };
    let verdict = verify_resume(
        &experiment,
        workload.as_ref(),
        &Verification {
            folder: folder.path(),
            kills: args.kills as usize,
            seed: args.seed,
            trials: args.trials.map(|count| count as usize),
            command: &command,
            tell: &|line| terminal::notice(line),
        },
    )?;
    terminal::print(text(&verdict));
    Ok(if verdict.is_proof() { ExitCode::SUCCESS } else { exit::error() })
}

/// The command that runs trials as a user would.
fn child(
    program: &PathBuf,
    args: &Args,
    results: &Path,
    checkpoint_every: Duration,
    trials: &[String],
) -> Command {
    let mut command = Command::new(program);
    command
        .arg("run")
        .args(args.experiment.written())
        .args(args.devices.written())
        .args(["--quiet", "--no-figures"]);
    command.arg("--results").arg(results);
    command.arg("--checkpoint-every").arg(format!("{}ms", checkpoint_every.as_millis()));
    for id in trials {
        command.args(["--trial", id]);
    }
    command
}

fn text(verdict: &Verdict) -> String {
    let Verdict { trials, kills, with_checkpoint, compared, differences } = verdict;
    let tried = format!(
        "trials: {trials}, kills: {kills}, kills that met a checkpoint: {with_checkpoint}, \
         finished runs compared: {compared}; "
    );
    if !differences.is_empty() {
        return format!("{}{tried}differences: {}\n", table(differences), differences.len());
    }
    match with_checkpoint {
        0 => {
            format!("{tried}identical, but no kill met a checkpoint, so nothing is proved; raise --kills\n")
        }
        _ => format!("{tried}identical, bit for bit\n"),
    }
}

/// The first differences, in columns.
fn table(differences: &[Difference]) -> String {
    let header = ["trial", "what", "undisturbed", "interrupted"].map(String::from);
    let row = |found: &Difference| {
        [found.trial.clone(), found.what.clone(), found.left.clone(), found.right.clone()]
    };
    let rows: Vec<[String; 4]> =
        std::iter::once(header).chain(differences.iter().take(MOST_ROWS).map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 3] = [width(0), width(1), width(2)];
    let mut text = String::new();
    for [trial, what, left, right] in &rows {
        text += &format!("{trial:0$}  {what:1$}  {left:2$}  {right}\n", widths[0], widths[1], widths[2]);
    }
    if let Some(more) = differences.len().checked_sub(MOST_ROWS).filter(|more| *more > 0) {
        text += &format!("and {more} more\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_is_a_table_or_one_line() {
        let mut verdict =
            Verdict { trials: 4, kills: 5, with_checkpoint: 3, compared: 2, differences: vec![] };
        let tried = "trials: 4, kills: 5, kills that met a checkpoint: 3, finished runs compared: 2; ";
        assert_eq!(text(&verdict), format!("{tried}identical, bit for bit\n"));
        verdict.with_checkpoint = 0;
        assert!(text(&verdict).contains("nothing is proved") && !verdict.is_proof());
        verdict.differences = vec![
            Difference {
                trial: "a".to_string(),
                what: "metric dino".to_string(),
                left: "0.1".to_string(),
                right: "0.2".to_string(),
            };
            MOST_ROWS + 2
        ];
        let lines: Vec<String> = text(&verdict).lines().map(String::from).collect();
        assert_eq!(
            lines[..2],
            ["trial  what         undisturbed  interrupted", "a      metric dino  0.1          0.2"]
        );
        assert_eq!(lines[MOST_ROWS + 1], "and 2 more");
        assert!(lines[MOST_ROWS + 2].ends_with("; differences: 22"));
    }
}
