//! Engines that start workers on many machines: what they are given, what they say of it, and how it is taken back.
//!
//! An engine schedules processes and knows no trial; the results folder is where workers meet.

mod hyperqueue;
mod job;
mod shell;
mod slurm;

pub use job::{Engine, Job, Request, Submitted, submitted};

/// Every engine, by the name that `--engine` takes.
pub const ENGINES: [&dyn Engine; 3] = [&slurm::Slurm, &hyperqueue::HyperQueue, &shell::Shell];

pub fn find(name: &str) -> Option<&'static dyn Engine> {
    ENGINES.into_iter().find(|engine| engine.name() == name)
}

/// Jobs by their engine.
pub fn by_engine(jobs: &[Submitted]) -> Vec<(&'static dyn Engine, Vec<Submitted>)> {
    let of_engine = |engine: &'static dyn Engine| {
        let own: Vec<Submitted> = jobs.iter().filter(|job| job.engine == engine.name()).cloned().collect();
        (!own.is_empty()).then_some((engine, own))
    };
    ENGINES.into_iter().filter_map(of_engine).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;

    use super::job::{JOBS, Request, counted, output, remember, submitted};
    use super::*;

    fn job(folder: &Path) -> Job {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect();
        Job {
            name: "delora-walk-mini".to_owned(),
            folder: folder.to_owned(),
            directory: "/home/a user/delora".into(),
            workers: 3,
            worker: words("/opt/delora run walk.toml --worker"),
            figures: words("/opt/delora plots walk.toml"),
            variables: vec![("LD_LIBRARY_PATH".to_owned(), "/opt/torch lib".to_owned())],
            request: Request {
                cpus: 2,
                gpus: 1,
                gigabytes: 9,
                minutes: 90,
                partition: Some("gpu".to_owned()),
                account: None,
                sbatch: vec!["--constraint=a100".to_owned()],
                grace_seconds: 120,
            },
        }
    }

    #[test]
    fn a_script_asks_for_what_a_worker_needs_and_for_nothing_that_was_not_said() {
        let job = job(Path::new("/shared/jobs"));
        let files = find("slurm").unwrap().files(&job);
        let script = &files[0].1;
        for line in [
            "#SBATCH --array=1-3",
            "#SBATCH --partition=gpu",
            "#SBATCH --gres=gpu:1",
            "#SBATCH --cpus-per-task=2",
            "#SBATCH --mem=9G",
            "#SBATCH --time=01:30:00",
            "#SBATCH --signal=TERM@120",
            "#SBATCH --requeue",
            "#SBATCH --constraint=a100",
            "cd '/home/a user/delora'",
            "export LD_LIBRARY_PATH='/opt/torch lib'",
        ] {
            assert!(script.lines().any(|own| own == line), "no `{line}` in\n{script}");
        }
        assert!(!script.contains("--account") && files[1].1.contains("/opt/delora plots walk.toml"));
        let file = &find("hyperqueue").unwrap().files(&job)[0].1;
        let table: toml::Table = file.parse().unwrap();
        let tasks = table["task"].as_array().unwrap();
        assert_eq!(tasks.len(), 4, "{file}");
        assert_eq!(tasks[0]["request"][0]["resources"]["gpus/nvidia"].as_integer(), Some(1));
        assert_eq!(tasks[3]["deps"].as_array().unwrap().len(), 3);
        let lines = &find("shell").unwrap().files(&job)[0].1;
        assert_eq!(lines.matches("--worker").count(), 3, "{lines}");
        for (name, text) in files.iter().chain([&("lines.sh", lines.clone())]) {
            let path = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(path.path(), text).unwrap();
            let checked = Command::new("bash").arg("-n").arg(path.path()).output().unwrap();
            assert!(checked.status.success(), "{name}: {}", String::from_utf8_lossy(&checked.stderr));
        }
    }

    #[test]
    fn what_was_submitted_is_remembered_and_a_damaged_list_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let job = |engine: &str, id: &str| Submitted {
            engine: engine.to_owned(),
            id: id.to_owned(),
            what: "workers".to_owned(),
        };
        assert_eq!(submitted(folder.path()).unwrap(), []);
        remember(folder.path(), &[job("slurm", "7")]).unwrap();
        remember(folder.path(), &[job("hyperqueue", "1"), job("slurm", "9")]).unwrap();
        let all = submitted(folder.path()).unwrap();
        let ids: Vec<Vec<String>> = by_engine(&all)
            .into_iter()
            .map(|(_, jobs)| jobs.into_iter().map(|job| job.id).collect())
            .collect();
        assert_eq!(ids, [vec!["7".to_owned(), "9".to_owned()], vec!["1".to_owned()]]);
        std::fs::write(folder.path().join(JOBS), "[").unwrap();
        let message = format!("{:#}", submitted(folder.path()).unwrap_err());
        assert!(message.contains("jobs.json: is no list of jobs; move it away"), "{message}");
        let missing = output("no-such-program", &[]).unwrap_err().to_string();
        assert!(missing.contains("`no-such-program` cannot be started"), "{missing}");
        let states = ["running", "pending", "running"].map(str::to_owned).into_iter();
        assert_eq!(counted(states), "2 running, 1 pending");
    }
}
