//! What `delora fetch` prints: what there is, what is wanted, and how to go on with it.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use hub::{BUNDLES, BY_HAND, Bundle, ByHand, Plan};

use super::super::folders::below;
use super::wanted::{Need, ROOTS, Wanted, WantedExperiment, What};

/// What can be fetched.
pub fn all() -> String {
    let mut text = String::new();
    for bundle in BUNDLES {
        text += &described(bundle);
        if !bundle.parts.is_empty() {
            let parts: Vec<&str> = bundle.parts.iter().map(|part| part.name).collect();
            line(&mut text, &format!("--task: {}", parts.join(", ")));
        }
        if !bundle.models.is_empty() {
            line(&mut text, &format!("--model: {}", bundle.models.join(", ")));
        }
    }
    text += "\nby hand, since no hub has them as such:\n";
    for entry in BY_HAND {
        text += &steps(entry);
    }
    text + "\n`delora fetch table3 --scale paper` fetches all that an experiment needs\n"
}

/// What is wanted, as far as it is known without asking the hub.
pub fn list(wanted: &Wanted) -> String {
    let mut text = String::new();
    for experiment in &wanted.experiments {
        let _ = writeln!(text, "{} at scale {} needs", experiment.file.display(), experiment.scale);
        let width = |text: fn(&Need) -> &String| {
            experiment.needs.iter().map(|need| text(need).len()).max().unwrap_or(0)
        };
        let (keys, places) = (width(|need| &need.key), width(|need| &need.place));
        for Need { key, place, what } in &experiment.needs {
            let names = match what {
                What::Bundles(bundles) => {
                    bundles.iter().map(|bundle| bundle.name).collect::<Vec<_>>().join(", ")
                }
                What::ByHand(entry) => format!("{} (by hand)", entry.name),
                What::Unknown => "what the experiment file says; it is not fetched".to_string(),
            };
            let _ = writeln!(text, "  {key:keys$}  {place:places$}  {names}");
        }
        if experiment.needs.is_empty() {
            text += "  nothing that is not in the repository\n";
        }
    }
    for wanted in &wanted.bundles {
        text += &described(wanted.bundle);
        if !wanted.parts.is_empty() {
            line(&mut text, &format!("of it: {}", wanted.parts.join(", ")));
        }
    }
    text += &by_hand(wanted);
    let (bundles, others) = (wanted.bundles.iter(), wanted.by_hand.iter());
    let bytes: u64 =
        bundles.map(|wanted| wanted.bundle.about_bytes).chain(others.map(|entry| entry.about_bytes)).sum();
    if bytes > 0 {
        let _ = writeln!(text, "in all about {}", gigabytes(bytes));
    }
    text
}

/// What is left to the user.
pub fn by_hand(wanted: &Wanted) -> String {
    wanted.by_hand.iter().map(|entry| steps(entry)).collect()
}

/// Where the files are, as commands and options of `delora run`.
pub fn settings(wanted: &Wanted, plans: &[Plan]) -> String {
    let mut text = String::new();
    let plan_of = |bundle: &Bundle| plans.iter().find(|plan| plan.bundle.name == bundle.name);
    for experiment in wanted.experiments.iter().filter(|experiment| !experiment.needs.is_empty()) {
        text += &run(experiment);
        for Need { key, what, .. } in &experiment.needs {
            let plan = match what {
                What::Bundles(bundles) => bundles.first().and_then(|bundle| plan_of(bundle)),
                What::ByHand(_) => None,
                What::Unknown => continue,
            };
            let value = plan.map_or("FOLDER".to_string(), value);
            let _ = write!(text, " \\\n    --set {key}={value}");
        }
        text += "\n";
    }
    let named = wanted.bundles.iter().filter(|wanted| wanted.is_named);
    let named: Vec<&Plan> = named.filter_map(|wanted| plan_of(wanted.bundle)).collect();
    let option = |plan: &&Plan| Some(format!("  --set {}={}", plan.bundle.setting?, value(plan)));
    let mut options: Vec<String> = named.iter().filter_map(option).collect();
    options.dedup();
    if !options.is_empty() {
        let _ = writeln!(text, "give the experiment these options:\n{}", options.join("\n"));
    }
    for plan in named.iter().filter(|plan| plan.bundle.setting.is_none()) {
        let _ = writeln!(text, "{} is in {}", plan.bundle.name, value(plan));
    }
    text
}

/// The links that were made below `root`, and commands that use them.
pub fn links(wanted: &Wanted, root: &Path, links: &[PathBuf]) -> String {
    let mut text = String::new();
    for link in links {
        let _ = writeln!(text, "linked {}", link.display());
    }
    let is_here = root.canonicalize().ok() == std::env::current_dir().ok();
    for experiment in wanted.experiments.iter().filter(|experiment| !experiment.needs.is_empty()) {
        text += &run(experiment);
        for name in ROOTS.iter().filter(|_| !is_here) {
            if experiment.needs.iter().any(|need| below(&need.place, name).is_some()) {
                let folder = quoted(&root.join(name).display().to_string());
                let _ = write!(text, " --{name} {folder}");
            }
        }
        text += "\n";
    }
    text
}

fn run(experiment: &WantedExperiment) -> String {
    let file = quoted(&experiment.file.display().to_string());
    format!("run the experiment with\n  delora run {file} --scale {}", experiment.scale)
}

/// Where a fetched bundle is, or what of it experiments take.
pub fn folder(plan: &Plan) -> PathBuf {
    match plan.bundle.inside {
        "" => plan.folder.clone(),
        inside => plan.folder.join(inside),
    }
}

/// What a setting names, as one word for a shell.
fn value(plan: &Plan) -> String {
    // <cache>/datasets--owner--name/snapshots/commit
    let cache = plan.folder.ancestors().nth(3).filter(|_| plan.bundle.in_cache);
    quoted(&cache.map_or_else(|| folder(plan), Path::to_path_buf).display().to_string())
}

fn described(bundle: &Bundle) -> String {
    let mut text = format!("{:22} {}\n", bundle.name, bundle.about);
    if bundle.about_bytes == 0 {
        line(&mut text, "size and licence are the hub's: --dry-run asks it");
        return text;
    }
    line(&mut text, &format!("about {} from {}", gigabytes(bundle.about_bytes), bundle.repo));
    let gated = if bundle.gated { ", to be accepted on the hub first" } else { "" };
    line(&mut text, &format!("licence: {}{gated}", bundle.licence));
    text
}

fn steps(entry: &ByHand) -> String {
    let mut text = format!("{:22} {}, about {}\n", entry.name, entry.about, gigabytes(entry.about_bytes));
    line(&mut text, &format!("licence: {}", entry.licence));
    for step in entry.steps {
        line(&mut text, step);
    }
    line(&mut text, &format!("experiments look for it in {}, or where `--set` says", entry.place));
    text
}

fn line(text: &mut String, more: &str) {
    let _ = writeln!(text, "{:22} {more}", "");
}

fn gigabytes(bytes: u64) -> String {
    match bytes {
        0..100_000_000 => format!("{} MB", bytes.div_ceil(1_000_000)),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

/// The path in quotes where a shell would not take it for one word.
fn quoted(path: &str) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || "/._-+@:,".contains(letter);
    if path.chars().all(plain) { path.to_string() } else { format!("'{}'", path.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_listed_with_its_licence() {
        let text = all();
        for bundle in BUNDLES {
            assert!(text.contains(bundle.name) && text.contains(bundle.licence), "{text}");
        }
        for entry in BY_HAND {
            assert!(text.contains(entry.name) && text.contains(entry.licence), "{text}");
        }
    }

    #[test]
    fn sizes_are_readable() {
        assert_eq!([900_000, 86_700_000, 4_270_000_000].map(gigabytes), ["1 MB", "87 MB", "4.3 GB"]);
    }

    #[test]
    fn folders_are_one_word_for_a_shell() {
        assert_eq!(quoted("/a/b-c.d"), "/a/b-c.d");
        assert_eq!(quoted("/my data/it's"), r"'/my data/it'\''s'");
    }
}
