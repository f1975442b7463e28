//! `delora decide`: writes down what is to be decided and how, runs the trials that decide it, and says what was decided.

mod study;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ::decide::{Ledger, Verdict};
use anyhow::bail;
use device::Cuda;
use runner::{RunOptions, Selection, Workload, stop_flag};

use super::devices::DevicesArgs;
use super::plots::{PlotsArgs, draw};
use super::run::duration;
use crate::exit;
use crate::tasks::workload;
use study::Study;

#[derive(clap::Args)]
pub struct Args {
    /// Experiment files with a table `[confirm]`; of none, all of `experiments/` that have one
    #[arg(value_name = "EXPERIMENT.toml")]
    files: Vec<PathBuf>,
    /// Which `[scale.NAME]` table of the files to use
    #[arg(long, value_name = "NAME", default_value = "mini")]
    scale: String,
    /// Begin no more when so much time has passed, and stop what runs at a checkpoint; without it, go on until all is decided
    #[arg(long, value_name = "TIME", value_parser = duration)]
    budget: Option<Duration>,
    /// Show what would be run and what it would cost; write and run nothing
    #[arg(long)]
    plan: bool,
    /// Folder of all results
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: PathBuf,
    #[command(flatten)]
    plots: PlotsArgs,
    #[command(flatten)]
    devices: DevicesArgs,
    /// The claim ledger
    #[arg(long, value_name = "FILE", default_value = "experiments/claims.toml")]
    claims: PathBuf,
    /// Time between two checkpoints of a bank: a number with ms, s, m or h
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    checkpoint_every: Duration,
    /// Be one of any number of workers, on this machine and others, that share the results folder: all take banks of the same
    /// look, and go on to the next together
    #[arg(long)]
    worker: bool,
    /// After how much silence a worker of another machine counts as gone, so that its banks go to others
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    lease: Duration,
    /// No progress; notices and failures are still printed
    #[arg(long)]
    quiet: bool,
}

pub fn run(args: &Args, cuda: &Cuda) -> anyhow::Result<ExitCode> {
    let begun = Instant::now();
    let ledger = Ledger::load(&args.claims)?;
    args.devices.choose(&args.scale, cuda)?;
    let mut studies = Vec::new();
    for file in files(args)? {
        studies.extend(Study::open(&file, &args.scale, &args.results, &ledger)?);
    }
    if studies.is_empty() {
        bail!(
            "none of the experiments has a table [confirm] and a statement in {}; docs/statistics.md describes both",
            args.claims.display()
        );
    }
    for study in &mut studies {
        study.judge(&ledger)?;
        terminal::print(study.plan());
    }
    if args.plan {
        return Ok(ExitCode::SUCCESS);
    }
    let unadopted: Vec<String> =
        studies.iter().filter_map(Study::is_unadopted).map(|folder| folder.display().to_string()).collect();
    if !unadopted.is_empty() {
        bail!(
            "the tables of {} have trials that this machine's ledger has not, and a run would repeat them; \
             `delora adopt {}` takes them in",
            unadopted.join(", "),
            unadopted.join(" ")
        );
    }
    // All of them before any trial: studies share trials.
    studies.iter().try_for_each(Study::write_design)?;
    let deadline = args.budget.map(|budget| begun + budget);
    deadline.into_iter().for_each(stop_at);
    let mut code = ExitCode::SUCCESS;
    while let Some(study) = best(&mut studies) {
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) || stop_flag().load(Ordering::SeqCst) {
            break;
        }
        let Some(look) = study.next_look() else { break };
        let experiment = study.experiment(look)?;
        terminal::line(format_args!(
            "{}: to the look at {} of {} {}s, {} expected",
            study.folder_name(),
            look,
            study.count(),
            study.design.along,
            study.time_text(look),
        ));
        let options = RunOptions {
            results_dir: args.results.clone(),
            selection: Selection { leaves_failed: args.worker, ..Selection::default() },
            max_failures: None,
            checkpoint_every: args.checkpoint_every,
            save_adapters: false,
            worker: args.worker,
            lease: args.lease,
            quiet: args.quiet,
        };
        let workload = workload(&experiment.task)?;
        let report = runner::run(&experiment, workload.as_ref(), &options)?;
        if report.exit_code() != 0 && !report.interrupted {
            code = exit::some_trials_failed();
        }
        if report.interrupted {
            break;
        }
        if args.worker {
            judge_beside_others(study, look, &ledger, args, workload.as_ref())?;
        } else {
            draw(&experiment, &args.results, &args.plots.folder(&args.results))?;
            study.judge(&ledger)?;
        }
        terminal::print(study.decided());
        if study.next_look() == Some(look) {
            terminal::notice(format_args!(
                "{}: trials of this look have failed, so it cannot be taken; the same command tries them again",
                study.folder_name()
            ));
            return Ok(exit::some_trials_failed());
        }
    }
    terminal::line(summary(&studies));
    Ok(code)
}

/// Workers write no tables while they run, and each needs them to judge: it writes those of all looks, which are the same for all.
/// One that is a look behind may write what it has read a moment before, so that the last trials are missing: then again.
fn judge_beside_others(
    study: &mut Study,
    look: usize,
    ledger: &Ledger,
    args: &Args,
    workload: &dyn Workload,
) -> anyhow::Result<()> {
    const ATTEMPTS: usize = 6;
    let whole = study.experiment(study.count())?;
    for attempt in 0..ATTEMPTS {
        runner::rebuild(&whole, workload, &args.results)?;
        study.judge(ledger)?;
        if study.next_look() != Some(look) {
            break;
        }
        std::thread::sleep(Duration::from_millis(50 << attempt));
    }
    Ok(())
}

/// The files that were named, or all of the folder `experiments` with a table `[confirm]`.
fn files(args: &Args) -> anyhow::Result<Vec<PathBuf>> {
    if !args.files.is_empty() {
        return Ok(args.files.clone());
    }
    let entries = std::fs::read_dir(Path::new("experiments")).into_iter().flatten();
    let mut found: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    found.retain(|path| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.parse::<toml::Table>().is_ok_and(|table| table.contains_key("confirm"))
    });
    found.sort();
    Ok(found)
}

/// Asks the runs of this process to stop at a time.
fn stop_at(deadline: Instant) {
    let stop = stop_flag();
    std::thread::spawn(move || {
        std::thread::sleep(deadline.saturating_duration_since(Instant::now()));
        stop.store(true, Ordering::SeqCst);
    });
}

/// The study whose next look is expected to decide most statements per hour; none where nothing is open.
fn best(studies: &mut [Study]) -> Option<&mut Study> {
    // An hour, where nothing is known of a trial's time.
    let seconds = |time: Option<Duration>| time.map_or(3600.0, |time| time.as_secs_f64().max(1.0));
    let value =
        |study: &Study| study.next_look().map(|look| study.expected(look) / seconds(study.time(look)));
    let open = studies.iter_mut().filter_map(|study| Some((value(study)?, study)));
    open.max_by(|one, other| one.0.total_cmp(&other.0)).map(|(_, study)| study)
}

/// One line: what is decided, of how many statements.
fn summary(studies: &[Study]) -> String {
    let all = || studies.iter().flat_map(|study| &study.judgements);
    let counts = Verdict::ALL.map(|verdict| {
        let count = all().filter(|(_, found)| found.verdict == verdict).count();
        (count > 0).then(|| format!("{count} {}", verdict.text()))
    });
    let counts: Vec<String> = counts.into_iter().flatten().collect();
    format!("{} statements: {}", all().count(), counts.join(", "))
}
