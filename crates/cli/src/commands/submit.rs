//! `delora submit`: starts workers through an engine, and what makes tables and figures after them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::builder::PossibleValuesParser;
use device::{Cuda, GPUS, Gpu};
use runner::{Experiment, Plan, Selection};

use super::devices::DevicesArgs;
use super::experiment::ExperimentArgs;
use super::plots::PlotsArgs;
use crate::engines::{self, ENGINES, Engine, Job, Request, by_engine, submitted};
use crate::tasks::workload;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    experiment: ExperimentArgs,
    #[command(flatten)]
    plots: PlotsArgs,
    /// What starts the workers: `slurm` by sbatch, `hyperqueue` by hq; `shell` prints lines to start by hand
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(ENGINES.map(|engine| engine.name())))]
    engine: String,
    /// Number of workers; no more are started than there are banks
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    workers: u64,
    /// Print what would be given to the engine, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// GPUs of a worker [default: 1 at scale `paper`, else 0]
    #[arg(long, value_name = "N")]
    gpus: Option<usize>,
    /// The kind of GPU: what a worker needs is then predicted from its data sheet, as by `delora plan --device`
    #[arg(long, value_name = "GPU", value_parser = PossibleValuesParser::new(GPUS.map(|gpu| gpu.name)))]
    device: Option<String>,
    /// CPU cores of a worker
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..))]
    cpus: u64,
    /// Host memory of a worker, in GB; without it by the plan
    #[arg(long, value_name = "GB", value_parser = clap::value_parser!(u64).range(1..))]
    memory: Option<u64>,
    /// Time of a worker in minutes, after which it is queued again; without it by the plan
    #[arg(long, value_name = "MINUTES", value_parser = clap::value_parser!(u64).range(5..))]
    time: Option<u64>,
    /// Seconds that a worker has for a last checkpoint before its time is over
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(10..))]
    grace: u64,
    /// Partition of Slurm
    #[arg(long, value_name = "NAME")]
    partition: Option<String>,
    /// Account of Slurm
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// A further option for the head of the script, as in --sbatch=--constraint=a100; may be repeated
    #[arg(long, value_name = "OPTION", allow_hyphen_values = true)]
    sbatch: Vec<String>,
    #[command(flatten)]
    devices: DevicesArgs,
    /// Keep each trained trial's adapter, as `delora run --save-adapters`
    #[arg(long)]
    save_adapters: bool,
}

impl Args {
    /// The GPU that is planned for.
    pub fn gpu(&self) -> Option<&'static Gpu> {
        self.device.as_deref().and_then(Gpu::find)
    }

    fn engine(&self) -> &'static dyn Engine {
        engines::find(&self.engine).expect("clap takes the names of the list")
    }
}

/// Where the files of jobs are.
pub fn jobs_folder(experiment: &Experiment, results: &Path) -> anyhow::Result<PathBuf> {
    let folder = results.join(&experiment.name).join(&experiment.scale).join("jobs");
    std::path::absolute(&folder).with_context(|| format!("{}: no such place", folder.display()))
}

pub fn run(args: &Args, cuda: &Cuda) -> anyhow::Result<()> {
    let experiment = args.experiment.load()?;
    // What workers compute on is decided where they run.
    args.devices.choose("", cuda)?;
    let workload = workload(&experiment.task)?;
    let results = &args.experiment.results;
    let is_planned = args.memory.is_none() || args.time.is_none();
    let selection = Selection::default();
    let plan = if is_planned {
        runner::plan(&experiment, workload.as_ref(), results, &selection)?
    } else {
        runner::status(&experiment, workload.as_ref(), results)?
    };
    if plan.open() == 0 {
        terminal::line(format_args!("{plan}"));
        return Ok(());
    }
    let engine = args.engine();
    let job = job(args, &experiment, &plan)?;
    let files = engine.files(&job);
    if args.dry_run {
        for (name, text) in &files {
            terminal::print(format_args!("# {}\n{text}\n", job.folder.join(name).display()));
        }
        return Ok(());
    }
    let running = by_engine(&submitted(&job.folder)?);
    for (engine, jobs) in running {
        // A second submission does no harm: its workers take what is free.
        engine
            .states(&jobs)
            .unwrap_or_default()
            .iter()
            .for_each(|line| terminal::notice(format_args!("before: {line}")));
    }
    std::fs::create_dir_all(&job.folder)
        .with_context(|| format!("{}: cannot be made", job.folder.display()))?;
    for (name, text) in &files {
        runner::write_atomically(&job.folder.join(name), text.as_bytes())?;
    }
    let again = runner::forget_failures(&experiment, workload.as_ref(), results)?;
    if again > 0 {
        terminal::line(format_args!("{again} failed trials are tried again"));
    }
    let given = engine.submit(&job)?;
    for one in &given {
        terminal::line(format_args!("{} job {}: {}", one.engine, one.id, one.what));
    }
    let file = args.experiment.file().display().to_string();
    match given.is_empty() {
        true => files.iter().for_each(|(_, text)| terminal::print(text)),
        false => terminal::line(format_args!(
            "files in {}; `delora status {file}` shows how far it is, `delora cancel {file}` ends it",
            job.folder.display()
        )),
    }
    Ok(())
}

fn job(args: &Args, experiment: &Experiment, plan: &Plan) -> anyhow::Result<Job> {
    let program = std::env::current_exe().context("this program's path is not known")?;
    let written = |words: Vec<OsString>| -> anyhow::Result<Vec<String>> {
        let text = |word: OsString| {
            word.into_string().map_err(|word| anyhow::anyhow!("{}: its name is not UTF-8", word.display()))
        };
        words.into_iter().map(text).collect()
    };
    let common = |command: &str| -> Vec<OsString> {
        let mut words: Vec<OsString> = vec![program.clone().into(), command.into()];
        words.extend(args.experiment.written());
        words.extend(["--results".into(), args.experiment.results.clone().into()]);
        words
    };
    let mut worker = common("run");
    worker.extend(["--worker".into(), "--quiet".into()]);
    worker.extend(args.devices.written());
    if args.save_adapters {
        worker.push("--save-adapters".into());
    }
    let mut figures = common("plots");
    figures.extend(["--plots".into(), args.plots.folder(&args.experiment.results).into()]);
    let gpus = args.gpus.unwrap_or_else(|| usize::from(experiment.scale == "paper" || args.device.is_some()));
    let workers = match plan.is_unmeasured {
        true => args.workers as usize,
        false => (args.workers as usize).min(plan.banks.len()),
    };
    let needed = |given: Option<u64>, planned: Option<u64>, option: &str| {
        given
            .or(planned)
            .with_context(|| format!("what a worker needs is not known to the plan: say it by `--{option}`"))
    };
    let request = Request {
        cpus: args.cpus as usize,
        gpus,
        gigabytes: needed(args.memory, planned_gigabytes(plan, gpus > 0), "memory")?,
        minutes: needed(args.time, planned_minutes(plan, workers), "time")?,
        partition: args.partition.clone(),
        account: args.account.clone(),
        sbatch: args.sbatch.clone(),
        grace_seconds: args.grace,
    };
    if request.grace_seconds + 60 > request.minutes * 60 {
        bail!(
            "--grace {}: a worker of {} minutes needs time to work, too",
            request.grace_seconds,
            request.minutes
        );
    }
    let variable = |name: &str| Some((name.to_owned(), std::env::var(name).ok()?));
    Ok(Job {
        name: format!("delora-{}-{}", experiment.name, experiment.scale),
        folder: jobs_folder(experiment, &args.experiment.results)?,
        directory: std::env::current_dir().context("the folder that this runs in is gone")?,
        workers,
        worker: written(worker)?,
        figures: written(figures)?,
        variables: ["LD_LIBRARY_PATH", "OMP_NUM_THREADS"].into_iter().filter_map(variable).collect(),
        request,
    })
}

/// Host memory: what a bank takes on a CPU and half as much again, or what loading takes beside a GPU.
fn planned_gigabytes(plan: &Plan, has_gpu: bool) -> Option<u64> {
    let bytes = if has_gpu { 2 * plan.frozen_bytes? } else { plan.memory_bytes? * 3 / 2 };
    Some(bytes.div_ceil(1_000_000_000) + if has_gpu { 8 } else { 2 })
}

/// One and a half times a worker's share, with ten minutes to begin, in steps of ten; a day at most, since a worker that is
/// not through is queued again.
fn planned_minutes(plan: &Plan, workers: usize) -> Option<u64> {
    let seconds = plan.seconds? + plan.later_seconds.unwrap_or(0.0);
    let minutes = 1.5 * seconds / 60.0 / workers.max(1) as f64 + 10.0;
    Some(((minutes / 10.0).ceil() * 10.0).clamp(20.0, 1440.0) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_worker_needs_follows_the_plan() {
        let mut plan = Plan::default();
        assert_eq!((planned_gigabytes(&plan, true), planned_minutes(&plan, 4)), (None, None));
        plan.memory_bytes = Some(4_000_000_000);
        plan.frozen_bytes = Some(1_700_000_000);
        plan.seconds = Some(36_000.0);
        assert_eq!((planned_gigabytes(&plan, false), planned_gigabytes(&plan, true)), (Some(8), Some(12)));
        assert_eq!((planned_minutes(&plan, 4), planned_minutes(&plan, 1000)), (Some(240), Some(20)));
        plan.later_seconds = Some(1e9);
        assert_eq!(planned_minutes(&plan, 4), Some(1440));
    }
}
