//! Slurm: an array job of workers, and a job that depends on it for tables and figures.

use std::fmt::Write;

use super::job::{Engine, Job, Submitted, counted, output, remember, shell_head};

pub struct Slurm;

const WORKERS: &str = "workers.sh";
const FIGURES: &str = "figures.sh";

impl Engine for Slurm {
    fn name(&self) -> &'static str {
        "slurm"
    }

    fn files(&self, job: &Job) -> Vec<(&'static str, String)> {
        let request = &job.request;
        let mut head = format!("#!/bin/bash\n#SBATCH --job-name={}\n#SBATCH --open-mode=append\n", job.name);
        let own = |head: &mut String, name: &str, value: &Option<String>| {
            if let Some(value) = value {
                let _ = writeln!(head, "#SBATCH --{name}={value}");
            }
        };
        own(&mut head, "partition", &request.partition);
        own(&mut head, "account", &request.account);
        let log = |name: &str| format!("#SBATCH --output=\"{}/{name}.log\"\n", job.folder.display());
        let mut workers = head.clone() + &log("%A_%a");
        let _ = write!(
            workers,
            "#SBATCH --array=1-{}\n#SBATCH --ntasks=1\n#SBATCH --cpus-per-task={}\n#SBATCH --mem={}G\n\
             #SBATCH --time={:02}:{:02}:00\n",
            job.workers,
            request.cpus,
            request.gigabytes,
            request.minutes / 60,
            request.minutes % 60,
        );
        if request.gpus > 0 {
            let _ = writeln!(workers, "#SBATCH --gres=gpu:{}", request.gpus);
        }
        let _ = write!(
            workers,
            "# Near the end of its time a worker saves a checkpoint and is queued again.\n\
             #SBATCH --requeue\n#SBATCH --signal=TERM@{}\n",
            request.grace_seconds
        );
        request.sbatch.iter().for_each(|line| {
            let _ = writeln!(workers, "#SBATCH {line}");
        });
        let _ = write!(
            workers,
            "{}\
             # Slurm tells this script itself when the job is cancelled; then the worker may save, and is not queued again.\n\
             trap 'cancelled=yes' TERM\n\
             srun --ntasks=1 {} &\n\
             worker=$!\n\
             wait $worker\n\
             code=$?\n\
             if [ \"$cancelled\" ]; then\n    wait $worker\n    exit $?\nfi\n\
             if [ $code -eq 130 ]; then\n    scontrol requeue \"$SLURM_JOB_ID\"\nfi\n\
             exit $code\n",
            shell_head(job),
            runner::shell_line(job.worker.clone()),
        );
        let figures = head
            + &log("%j")
            + "#SBATCH --ntasks=1\n#SBATCH --time=01:00:00\n"
            + &shell_head(job)
            + &runner::shell_line(job.figures.clone())
            + "\n";
        vec![(WORKERS, workers), (FIGURES, figures)]
    }

    fn submit(&self, job: &Job) -> anyhow::Result<Vec<Submitted>> {
        let sbatch = |name: &str, options: &[&str]| -> anyhow::Result<String> {
            let script = job.folder.join(name).display().to_string();
            let arguments = [&["--parsable"], options, &[script.as_str()]].concat();
            let printed = output("sbatch", &arguments)?;
            // The id, and the cluster's name where there are several.
            Ok(printed.split(';').next().unwrap_or_default().to_owned())
        };
        let submitted = |id: &str, what: &str| Submitted {
            engine: self.name().to_owned(),
            id: id.to_owned(),
            what: what.to_owned(),
        };
        let workers = sbatch(WORKERS, &[])?;
        // Remembered at once: what is submitted can be cancelled, whatever comes next.
        remember(&job.folder, &[submitted(&workers, "workers")])?;
        let figures = sbatch(FIGURES, &[&format!("--dependency=afterany:{workers}")])?;
        remember(&job.folder, &[submitted(&figures, "figures")])?;
        Ok(vec![submitted(&workers, "workers"), submitted(&figures, "figures")])
    }

    fn states(&self, jobs: &[Submitted]) -> anyhow::Result<Vec<String>> {
        let ids: Vec<&str> = jobs.iter().map(|job| job.id.as_str()).collect();
        // Jobs that have ended are in the queue no more; asked for by id alone they would be an error.
        let queue = output("squeue", &["--noheader", "--array", "--format=%F %T %r"])?;
        let past = output(
            "sacct",
            &["--noheader", "--parsable2", "--allocations", "--format=JobID,State", "--jobs", &ids.join(",")],
        );
        let of_job = |job: &Submitted| {
            let waiting = queue.lines().filter_map(|line| {
                let mut words = line.splitn(3, ' ');
                let (id, state, reason) = (words.next()?, words.next()?, words.next()?);
                let reason = if state == "PENDING" { format!(" ({reason})") } else { String::new() };
                (id == job.id).then(|| format!("{}{reason}", state.to_lowercase()))
            });
            let waiting: Vec<String> = waiting.collect();
            let ended = past.as_deref().unwrap_or_default().lines().filter_map(|line| {
                let (id, state) = line.split_once('|')?;
                let is_own = id.split('_').next() == Some(job.id.as_str());
                let is_over = !["PENDING", "RUNNING", "REQUEUED"].contains(&state);
                (is_own && is_over).then(|| state.split(' ').next().unwrap_or_default().to_lowercase())
            });
            let states: Vec<String> = waiting.into_iter().chain(ended).collect();
            let text =
                if states.is_empty() { "not in the queue".to_owned() } else { counted(states.into_iter()) };
            format!("Slurm job {}, {}: {text}", job.id, job.what)
        };
        Ok(jobs.iter().map(of_job).collect())
    }

    fn cancel(&self, jobs: &[Submitted]) -> anyhow::Result<()> {
        let ids: Vec<&str> = jobs.iter().map(|job| job.id.as_str()).collect();
        output("scancel", &ids).map(|_| ())
    }
}
