//! `delora fetch`: data sets and checkpoints from a hub, into the cache that Python shares.

use std::fmt::Write;
use std::path::PathBuf;

use anyhow::bail;
use hub::{BUNDLES, Bundle, Environment, Hub, Patience, Plan, Progress};

const ENVIRONMENT: &str = "\
Files go where Python's huggingface_hub keeps them, and what is there already is not downloaded again.
Environment: HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE as in Python; HTTPS_PROXY and NO_PROXY;
SSL_CERT_FILE for certificates of your own.";

#[derive(clap::Args)]
#[command(after_help = ENVIRONMENT)]
pub struct Args {
    /// What to fetch; without a name, show what there is
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Only these parts of a data set, as in `--task cola,rte`
    #[arg(long = "task", value_name = "TASK", value_delimiter = ',')]
    tasks: Vec<String>,
    /// Fetch the checkpoint too that is trained on the data set
    #[arg(long)]
    model: bool,
    /// Cache to use instead of the standard one, in the same layout
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// Show files, sizes and licences; download nothing
    #[arg(long)]
    dry_run: bool,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let bundles = chosen(args)?;
    if bundles.is_empty() {
        print!("{}", list());
        return Ok(());
    }
    let mut environment = Environment::of_process()?;
    if let Some(folder) = &args.to {
        environment.cache = std::path::absolute(folder)?;
    }
    let hub = Hub::new(&environment, Patience::default())?;
    let progress = Progress::on_stderr();
    let mut plans = Vec::new();
    for bundle in bundles {
        let tasks: &[String] = if bundle.parts.is_empty() { &[] } else { &args.tasks };
        let plan = hub.plan(bundle, tasks, &progress)?;
        println!("{plan}");
        plans.push(plan);
    }
    if args.dry_run {
        println!("nothing was downloaded; without --dry-run the files go to {}", environment.cache.display());
        return Ok(());
    }
    for plan in &plans {
        hub.download(plan, &progress)?;
    }
    print!("{}", settings(&plans));
    Ok(())
}

/// The bundles that are named, each once, and their models if they are wanted.
fn chosen(args: &Args) -> anyhow::Result<Vec<&'static Bundle>> {
    let mut bundles: Vec<&Bundle> = Vec::new();
    for name in &args.names {
        let bundle = hub::find(name)?;
        let models = if args.model { bundle.models } else { &[] };
        for name in [bundle.name].iter().chain(models) {
            if !bundles.iter().any(|known| known.name == *name) {
                bundles.push(hub::find(name)?);
            }
        }
    }
    if bundles.is_empty() && (args.model || !args.tasks.is_empty() || args.dry_run || args.to.is_some()) {
        bail!("name what to fetch, as in `delora fetch glue`; `delora fetch` alone shows what there is");
    }
    if !args.tasks.is_empty() && bundles.iter().all(|bundle| bundle.parts.is_empty()) {
        bail!("{} has no tasks to choose from; leave out --task", args.names.join(", "));
    }
    Ok(bundles)
}

/// What can be fetched.
fn list() -> String {
    let mut text = String::new();
    for bundle in BUNDLES {
        let size = bundle.about_bytes as f64 / 1e9;
        let gated = if bundle.gated { ", to be accepted on the hub first" } else { "" };
        let _ = writeln!(text, "{:14} {} ({}), about {size:.1} GB", bundle.name, bundle.about, bundle.repo);
        let _ = writeln!(text, "{:14} licence: {}{gated}", "", bundle.licence);
        if !bundle.parts.is_empty() {
            let parts: Vec<&str> = bundle.parts.iter().map(|part| part.name).collect();
            let _ = writeln!(text, "{:14} --task: {}", "", parts.join(", "));
        }
        if !bundle.models.is_empty() {
            let _ = writeln!(text, "{:14} --model: {}", "", bundle.models.join(", "));
        }
    }
    text
}

/// Where the files are, as options of `delora run`.
fn settings(plans: &[Plan]) -> String {
    let mut text = "give the experiment these options:\n".to_string();
    let option = |plan: &Plan| {
        // <cache>/datasets--owner--name/snapshots/commit
        let cache = plan.folder.ancestors().nth(3).filter(|_| plan.bundle.in_cache);
        let folder = cache.unwrap_or(&plan.folder).display().to_string();
        format!("  --set {}={}", plan.bundle.setting, quoted(&folder))
    };
    let mut options: Vec<String> = plans.iter().map(option).collect();
    options.dedup();
    for option in options {
        let _ = writeln!(text, "{option}");
    }
    text
}

/// As a shell takes for one word.
fn quoted(path: &str) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || "/._-+@:,".contains(letter);
    if path.chars().all(plain) { path.to_string() } else { format!("'{}'", path.replace('\'', r"'\''")) }
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
        let bundles = chosen(&line.args).map_err(|error| error.to_string())?;
        Ok(bundles.iter().map(|bundle| bundle.name).collect())
    }

    #[test]
    fn a_model_comes_with_its_data_once() {
        assert_eq!(names(&["glue"]).unwrap(), ["glue"]);
        assert_eq!(names(&["glue", "--model", "--task", "cola,rte"]).unwrap(), ["glue", "roberta-base"]);
        assert_eq!(names(&["roberta-base", "glue", "--model"]).unwrap(), ["roberta-base", "glue"]);
    }

    #[test]
    fn options_that_fit_nothing_are_errors() {
        assert!(names(&["--model"]).unwrap_err().contains("delora fetch glue"));
        assert!(names(&["roberta-base", "--task", "cola"]).unwrap_err().contains("has no tasks"));
        assert!(names(&["glu"]).unwrap_err().contains("there are glue, roberta-base"));
    }

    #[test]
    fn the_list_has_every_bundle_with_its_licence() {
        let text = list();
        for bundle in BUNDLES {
            assert!(text.contains(bundle.name) && text.contains(bundle.licence), "{text}");
        }
    }

    #[test]
    fn folders_are_one_word_for_a_shell() {
        assert_eq!(quoted("/a/b-c.d"), "/a/b-c.d");
        assert_eq!(quoted("/my data/it's"), r"'/my data/it'\''s'");
    }
}
