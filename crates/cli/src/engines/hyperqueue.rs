//! HyperQueue: a job file of workers, and of a task that depends on them for tables and figures.

use serde_json::Value;
use toml::Table;

use super::job::{Engine, Job, Submitted, counted, output, remember};

pub struct HyperQueue;

const FILE: &str = "job.toml";

impl Engine for HyperQueue {
    fn name(&self) -> &'static str {
        "hyperqueue"
    }

    fn files(&self, job: &Job) -> Vec<(&'static str, String)> {
        let request = &job.request;
        let log =
            |end: &str| job.folder.join(format!("hq-%{{JOB_ID}}-%{{TASK_ID}}.{end}")).display().to_string();
        let variables: Table = job
            .variables
            .iter()
            .map(|(name, value)| (name.clone(), toml::Value::from(value.as_str())))
            .collect();
        let task = |id: usize, command: Vec<String>, resources: Table, deps: Vec<i64>| {
            let mut task = Table::new();
            task.insert("id".into(), (id as i64).into());
            task.insert("command".into(), command.into());
            task.insert("cwd".into(), job.directory.display().to_string().into());
            task.insert("env".into(), variables.clone().into());
            task.insert("stdout".into(), log("out").into());
            task.insert("stderr".into(), log("err").into());
            if !deps.is_empty() {
                task.insert("deps".into(), deps.into());
            }
            let mut wanted = Table::new();
            wanted.insert("resources".into(), resources.into());
            task.insert("request".into(), vec![wanted].into());
            task
        };
        let mut resources = Table::new();
        resources.insert("cpus".into(), (request.cpus as i64).into());
        if request.gpus > 0 {
            resources.insert("gpus/nvidia".into(), (request.gpus as i64).into());
        }
        // Trials that failed are told in the tables, which come after workers that end so, too.
        let line = runner::shell_line(job.worker.clone());
        let worker = vec!["/bin/sh".into(), "-c".into(), format!("{line} || [ $? -eq 3 ]")];
        let ids: Vec<i64> = (1..=job.workers as i64).collect();
        let mut tasks: Vec<Table> =
            ids.iter().map(|id| task(*id as usize, worker.clone(), resources.clone(), Vec::new())).collect();
        let one: Table = [("cpus".to_owned(), toml::Value::from(1))].into_iter().collect();
        tasks.push(task(job.workers + 1, job.figures.clone(), one, ids));
        let mut file = Table::new();
        file.insert("name".into(), job.name.clone().into());
        file.insert("task".into(), tasks.into());
        vec![(FILE, file.to_string())]
    }

    fn submit(&self, job: &Job) -> anyhow::Result<Vec<Submitted>> {
        let file = job.folder.join(FILE).display().to_string();
        let printed = output("hq", &["job", "submit-file", &file, "--output-mode", "json"])?;
        let id = serde_json::from_str::<Value>(&printed).ok().and_then(|found| found["id"].as_u64());
        let Some(id) = id else { anyhow::bail!("`hq job submit-file` named no job, but printed: {printed}") };
        let what = "workers, then figures".to_owned();
        let submitted = vec![Submitted { engine: self.name().to_owned(), id: id.to_string(), what }];
        remember(&job.folder, &submitted)?;
        Ok(submitted)
    }

    fn states(&self, jobs: &[Submitted]) -> anyhow::Result<Vec<String>> {
        let printed = output("hq", &["job", "list", "--all", "--output-mode", "json"])?;
        let known: Vec<Value> = serde_json::from_str(&printed).unwrap_or_default();
        let of_job = |job: &Submitted| {
            let is_own = |known: &&Value| known["id"].as_u64().is_some_and(|id| job.id == id.to_string());
            let found = known.iter().find(is_own);
            let counts = found.and_then(|found| found["task_stats"].as_object()).map(|stats| {
                let tasks = stats.iter().flat_map(|(state, count)| {
                    std::iter::repeat_n(state.clone(), count.as_u64().unwrap_or(0) as usize)
                });
                counted(tasks)
            });
            let text = counts.unwrap_or_else(|| "not known to the server".to_owned());
            format!("HyperQueue job {}, {}: {text}", job.id, job.what)
        };
        Ok(jobs.iter().map(of_job).collect())
    }

    fn cancel(&self, jobs: &[Submitted]) -> anyhow::Result<()> {
        let ids: Vec<&str> = jobs.iter().map(|job| job.id.as_str()).collect();
        output("hq", &["job", "cancel", &ids.join(",")]).map(|_| ())
    }
}
