//! No engine: the lines to start by hand, or by GNU parallel, ssh or a Kubernetes Job.

use super::job::{Engine, Job, Submitted, shell_head};

pub struct Shell;

impl Engine for Shell {
    fn name(&self) -> &'static str {
        "shell"
    }

    fn files(&self, job: &Job) -> Vec<(&'static str, String)> {
        let worker = runner::shell_line(job.worker.clone());
        let figures = runner::shell_line(job.figures.clone());
        let text = format!(
            "# Workers, a line each: on this machine, by ssh on others, or as the command of a Kubernetes Job's pods.\n\
             # All need this folder and its results.\n{}{}wait\n\
             # When the last has ended, wherever it ran:\n{figures}\n",
            shell_head(job),
            format!("{worker} &\n").repeat(job.workers),
        );
        vec![("workers.sh", text)]
    }

    fn submit(&self, _job: &Job) -> anyhow::Result<Vec<Submitted>> {
        Ok(Vec::new())
    }

    fn states(&self, _jobs: &[Submitted]) -> anyhow::Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn cancel(&self, _jobs: &[Submitted]) -> anyhow::Result<()> {
        Ok(())
    }
}
