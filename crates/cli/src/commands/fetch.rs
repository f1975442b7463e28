//! `delora fetch`: data sets and checkpoints from a hub, into the cache that Python shares.

mod links;
mod printed;
mod wanted;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::bail;
use hub::{Environment, Hub, Patience, Plan, Progress};

pub use wanted::remedy;
use wanted::{Wanted, experiment_file, unknown};

/// Scale of an experiment that is named without one: at the smaller ones most of it is in the repository.
const SCALE: &str = "paper";

const ENVIRONMENT: &str = "\
Files go where Python's huggingface_hub keeps them, and what is there already is not downloaded again. A download that
ended is gone on with by the same command.
Environment: HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE as in Python; HTTPS_PROXY and NO_PROXY;
SSL_CERT_FILE for certificates of your own.
Examples:
  delora fetch                               what there is, with sizes and licences
  delora fetch table3 --scale paper --list   what Table 3 needs, without asking the hub
  delora fetch table3 --scale paper          fetch it, and print the command to go on with
  delora fetch table3 --scale paper --link . the same; `delora run experiments/table3.toml --scale paper` finds it
  delora fetch glue --task cola,rte --model  two data sets and the encoder
  delora fetch hf:Qwen/Qwen2.5-0.5B          any model of the hub; hf:datasets/OWNER/NAME is a data set, @REVISION a branch,
                                             tag or commit
  delora fetch hf:datasets/stanfordnlp/imdb --include 'plain_text/*'   only files whose names are like that";

#[derive(clap::Args)]
#[command(after_help = ENVIRONMENT)]
pub struct Args {
    /// Bundles, experiments as `table3` or a file, or repositories as `hf:owner/name`; without a name, show what there is
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// All names are experiments, at this scale; without the option, names that are no bundles are, at scale `paper`
    #[arg(long, value_name = "NAME")]
    scale: Option<String>,
    /// Only these parts of a data set, as in `--task cola,rte`
    #[arg(long = "task", value_name = "TASK", value_delimiter = ',')]
    tasks: Vec<String>,
    /// Take only those files of a repository whose names are like GLOB, in which `*` stands for any text; may be repeated
    #[arg(long, value_name = "GLOB")]
    include: Vec<String>,
    /// Fetch the checkpoint too that is trained on the data set
    #[arg(long)]
    model: bool,
    /// Cache to use instead of the standard one, in the same layout
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// Make links in DIR/models and DIR/data, where experiments look; with `.` they need no further option
    #[arg(long, value_name = "DIR")]
    link: Option<PathBuf>,
    /// Files to download at a time
    #[arg(long, value_name = "N", default_value = "8")]
    jobs: NonZeroUsize,
    /// Show what is needed, as far as it is known without asking the hub
    #[arg(long, conflicts_with = "dry_run")]
    list: bool,
    /// Ask the hub, show files, sizes and licences; download nothing
    #[arg(long)]
    dry_run: bool,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let wanted = wanted(args)?;
    if args.names.is_empty() {
        terminal::print(printed::all());
        return Ok(());
    }
    if args.list {
        terminal::print(printed::list(&wanted));
        return Ok(());
    }
    let mut environment = Environment::of_process()?;
    if let Some(folder) = &args.to {
        environment.cache = std::path::absolute(folder)?;
    }
    let hub = Hub::new(&environment, Patience::default())?;
    let progress = Progress::on_stderr();
    let mut plans: Vec<Plan> = Vec::new();
    for wanted in &wanted.bundles {
        let plan = hub.plan(wanted.bundle, &wanted.parts, &progress)?;
        terminal::line(&plan);
        plans.push(plan);
    }
    terminal::print(printed::by_hand(&wanted));
    if args.dry_run {
        terminal::line(format_args!(
            "nothing was downloaded; without --dry-run the files go to {}",
            environment.cache.display()
        ));
        return Ok(());
    }
    hub.download(&plans, args.jobs, &progress)?;
    match &args.link {
        Some(root) => terminal::print(printed::links(&wanted, root, &links::make(root, &plans)?)),
        None => terminal::print(printed::settings(&wanted, &plans)),
    }
    Ok(())
}

/// What the names stand for, each once, and models if they are wanted.
fn wanted(args: &Args) -> anyhow::Result<Wanted> {
    let mut wanted = Wanted::default();
    let scale = args.scale.as_deref().unwrap_or(SCALE);
    if !args.include.is_empty() && !args.names.iter().any(|name| name.starts_with(hub::PREFIX)) {
        bail!(
            "--include chooses files of a repository, as in `delora fetch hf:OWNER/NAME --include '*.json'`"
        );
    }
    for name in &args.names {
        if name.starts_with(hub::PREFIX) {
            wanted.add(hub::repository(name, &args.include)?, &[], true);
            continue;
        }
        let bundle = hub::find(name).ok().filter(|_| args.scale.is_none());
        let by_hand = hub::by_hand(name).filter(|_| args.scale.is_none());
        if let Some(bundle) = bundle {
            wanted.add(bundle, &args.tasks, true);
            for model in bundle.models.iter().filter(|_| args.model) {
                wanted.add(hub::find(model)?, &[], true);
            }
        } else if let Some(entry) = by_hand {
            wanted.add_by_hand(entry);
        } else if let Some(file) = experiment_file(name) {
            wanted.add_experiment(file, scale, &args.tasks)?;
        } else {
            return Err(unknown(name, scale));
        }
    }
    let has_options = args.model
        || !args.tasks.is_empty()
        || !args.include.is_empty()
        || args.dry_run
        || args.list
        || args.to.is_some()
        || args.link.is_some()
        || args.scale.is_some();
    if args.names.is_empty() && has_options {
        bail!("name what to fetch, as in `delora fetch glue`; `delora fetch` alone shows what there is");
    }
    if !args.tasks.is_empty() && wanted.bundles.iter().all(|wanted| wanted.bundle.parts.is_empty()) {
        bail!("{} has no tasks to choose from; leave out --task", args.names.join(", "));
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn names(words: &[&str]) -> Result<Vec<&'static str>, String> {
        let line = Line::parse_from([&["fetch"], words].concat());
        let wanted = wanted(&line.args).map_err(|error| error.to_string())?;
        Ok(wanted.bundles.iter().map(|wanted| wanted.bundle.name).collect())
    }

    #[test]
    fn a_model_comes_with_its_data_once() {
        assert_eq!(names(&["glue"]).unwrap(), ["glue"]);
        assert_eq!(names(&["glue", "--model", "--task", "cola,rte"]).unwrap(), ["glue", "roberta-base"]);
        assert_eq!(names(&["roberta-base", "glue", "--model"]).unwrap(), ["roberta-base", "glue"]);
    }

    #[test]
    fn options_that_fit_nothing_are_errors() {
        for option in [&["--model"][..], &["--list"], &["--scale", "paper"]] {
            assert!(names(option).unwrap_err().contains("delora fetch glue"), "{option:?}");
        }
        assert!(names(&["roberta-base", "--task", "cola"]).unwrap_err().contains("has no tasks"));
    }

    #[test]
    fn a_name_that_stands_for_nothing_lists_what_there_is() {
        let message = names(&["glu"]).unwrap_err();
        assert!(
            message.contains("no bundle and no experiment `glu`; bundles are sd15, dino-vits16"),
            "{message}"
        );
        assert!(message.contains("upernet101"), "{message}");
        // With a scale, the name of a bundle is an experiment's.
        assert!(names(&["sd15", "--scale", "paper"]).unwrap_err().contains("no experiment `sd15`"));
    }
}
