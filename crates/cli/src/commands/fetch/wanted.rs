//! What the names on the command line stand for: bundles, things that are fetched by hand, and experiments.

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use hub::{BUNDLES, BY_HAND, Bundle, ByHand};
use runner::Experiment;

use super::super::folders::below;

const EXPERIMENTS: &str = "experiments";
/// Folders in which experiment files have what is not in the repository.
pub const ROOTS: [&str; 2] = ["models", "data"];

/// What experiments name below them that no hub has, and the command that makes it.
const MADE_HERE: [(&str, &str); 2] =
    [("data/mini-pairs", "delora world --pairs"), ("models/all-MiniLM-L6-v2", "just minilm")];

/// All that is wanted, each thing once.
#[derive(Default)]
pub struct Wanted {
    pub bundles: Vec<WantedBundle>,
    pub by_hand: Vec<&'static ByHand>,
    pub experiments: Vec<WantedExperiment>,
}

pub struct WantedBundle {
    pub bundle: &'static Bundle,
    /// Names of its parts; all of them when none is named.
    pub parts: Vec<String>,
    /// It is named by itself, not only by an experiment.
    pub is_named: bool,
}

pub struct WantedExperiment {
    pub file: PathBuf,
    pub scale: String,
    pub needs: Vec<Need>,
}

/// A setting of an experiment that names what is not in the repository.
pub struct Need {
    pub key: String,
    pub place: String,
    pub what: What,
}

pub enum What {
    /// Several where they lie in one folder.
    Bundles(Vec<&'static Bundle>),
    ByHand(&'static ByHand),
    Unknown,
}

impl Wanted {
    /// Adds a bundle under its name, with parts of it if any are named.
    pub fn add(&mut self, bundle: &'static Bundle, parts: &[String], is_named: bool) {
        let parts = if bundle.parts.is_empty() { &[] } else { parts };
        match self.bundles.iter_mut().find(|known| known.bundle.name == bundle.name) {
            None => self.bundles.push(WantedBundle { bundle, parts: parts.to_vec(), is_named }),
            Some(known) => {
                known.is_named |= is_named;
                if known.parts.is_empty() || parts.is_empty() {
                    known.parts.clear();
                } else {
                    let more = parts.iter().filter(|part| !known.parts.contains(part));
                    let more: Vec<String> = more.cloned().collect();
                    known.parts.extend(more);
                }
            }
        }
    }

    pub fn add_by_hand(&mut self, entry: &'static ByHand) {
        if self.by_hand.iter().all(|known| known.name != entry.name) {
            self.by_hand.push(entry);
        }
    }

    /// Adds what an experiment needs; of data in parts those that it compares, or `tasks` if any are named.
    pub fn add_experiment(&mut self, file: PathBuf, scale: &str, tasks: &[String]) -> anyhow::Result<()> {
        let experiment = Experiment::load(&file, scale, &[])?;
        let needs = needs(&experiment);
        for need in &needs {
            match &need.what {
                What::Bundles(bundles) => {
                    for bundle in bundles {
                        let parts =
                            if tasks.is_empty() { compared(&experiment, bundle) } else { tasks.to_vec() };
                        self.add(bundle, &parts, false);
                    }
                }
                What::ByHand(entry) => self.add_by_hand(entry),
                What::Unknown => {}
            }
        }
        self.experiments.push(WantedExperiment { file, scale: scale.to_string(), needs });
        Ok(())
    }
}

/// What the settings name, in their order.
fn needs(experiment: &Experiment) -> Vec<Need> {
    let mut needs = Vec::new();
    for (key, texts) in experiment.texts() {
        for place in texts {
            if ROOTS.iter().any(|root| below(place, root).is_some()) {
                needs.push(Need { key: key.clone(), place: place.to_string(), what: what(place) });
            }
        }
    }
    needs
}

fn what(place: &str) -> What {
    let bundles: Vec<&Bundle> = BUNDLES.iter().filter(|bundle| bundle.place == place).collect();
    match BY_HAND.iter().find(|entry| entry.place == place) {
        _ if !bundles.is_empty() => What::Bundles(bundles),
        Some(entry) => What::ByHand(entry),
        None => What::Unknown,
    }
}

/// How to get what a setting of an experiment names, where that is known.
pub fn remedy(experiment: &Experiment, path: &str) -> Option<String> {
    let file = experiment.path();
    let name = file.file_stem().and_then(|stem| stem.to_str()).filter(|stem| {
        // Under its name `fetch` finds it only where experiments are.
        experiment_file(stem).is_some_and(|found| found == file)
    });
    let name = name.map_or_else(|| file.display().to_string(), str::to_string);
    let fetch = format!("just fetch {name} --scale {}", experiment.scale);
    match what(path) {
        What::Bundles(_) => Some(format!("`{fetch} --link .` puts it there")),
        What::ByHand(_) => Some(format!("`{fetch} --list` says how to get it")),
        What::Unknown => {
            let made = MADE_HERE.iter().find(|(place, _)| *place == path);
            made.map(|(_, command)| format!("`{command}` puts it there"))
        }
    }
}

/// The parts of a bundle that are values of a compared setting, if there is such a setting.
fn compared(experiment: &Experiment, bundle: &Bundle) -> Vec<String> {
    let is_part = |text: &&str| bundle.parts.iter().any(|part| part.name == *text);
    let texts = experiment.texts().into_iter().map(|(_, texts)| texts);
    let parts = texts.filter(|texts| !texts.is_empty()).find(|texts| texts.iter().all(is_part));
    parts.unwrap_or_default().into_iter().map(str::to_string).collect()
}

/// File of the experiment of this name, or at this path.
pub fn experiment_file(name: &str) -> Option<PathBuf> {
    if name.ends_with(".toml") {
        return Some(PathBuf::from(name));
    }
    let file = |name: &str| Path::new(EXPERIMENTS).join(format!("{name}.toml"));
    // The recipes of `just` have these shorter and longer names, too.
    let shorter = name.strip_prefix("ablation-").map(file);
    let files = [Some(file(name)), shorter, Some(file(&format!("ablation-{name}")))];
    files.into_iter().flatten().find(|file| file.is_file())
}

/// The error of a name that stands for nothing: it lists what there is.
pub fn unknown(name: &str, scale: &str) -> anyhow::Error {
    let mut found: Vec<String> = std::fs::read_dir(EXPERIMENTS)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .filter(|path| {
            Experiment::load(path, scale, &[]).is_ok_and(|experiment| !needs(&experiment).is_empty())
        })
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_string()))
        .collect();
    found.sort();
    let bundles = BUNDLES.iter().map(|bundle| bundle.name).chain(BY_HAND.iter().map(|entry| entry.name));
    let bundles: Vec<&str> = bundles.collect();
    let experiments = match found.is_empty() {
        true => format!("no experiment of scale `{scale}` is in ./{EXPERIMENTS}"),
        false => format!("experiments of scale `{scale}` are {}", found.join(", ")),
    };
    anyhow!(
        "there is no bundle and no experiment `{name}`; bundles are {}; {experiments}",
        bundles.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn experiments() -> impl Iterator<Item = PathBuf> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
    }

    fn wanted(name: &str) -> Wanted {
        let mut wanted = Wanted::default();
        let file = experiments().find(|file| file.file_stem().unwrap() == name).unwrap();
        wanted.add_experiment(file, "paper", &[]).unwrap();
        wanted
    }

    #[test]
    fn all_that_experiments_need_at_the_paper_s_scale_is_known() {
        let mut count = 0;
        for file in experiments() {
            let Ok(experiment) = Experiment::load(&file, "paper", &[]) else { continue };
            let needs = needs(&experiment);
            assert!(!needs.is_empty(), "{}", file.display());
            for Need { key, place, what } in needs {
                assert!(!matches!(what, What::Unknown), "{}: {key} = {place}", file.display());
            }
            count += 1;
        }
        assert!(count >= 8, "{count}");
    }

    #[test]
    fn table_3_needs_a_generator_pictures_and_two_evaluators() {
        let wanted = wanted("table3");
        let needs = wanted.experiments[0].needs.iter().map(|need| match &need.what {
            What::Bundles(bundles) => (need.key.as_str(), bundles[0].name),
            _ => panic!("{} is no bundle", need.key),
        });
        let mut needs: Vec<(&str, &str)> = needs.collect();
        needs.sort_unstable();
        let expected = [
            ("data", "dreambooth"),
            ("evaluators.clip", "clip-vit-large-patch14"),
            ("evaluators.dino", "dino-vits16"),
            ("model", "sd15"),
        ];
        assert_eq!(needs, expected);
        assert!(wanted.bundles.iter().all(|wanted| !wanted.is_named && wanted.parts.is_empty()));
    }

    #[test]
    fn table_2_needs_a_condition_encoder_and_what_no_hub_has() {
        let wanted = wanted("ablation-table2");
        let names: Vec<&str> = wanted.bundles.iter().map(|wanted| wanted.bundle.name).collect();
        assert!(
            names.contains(&"sd15") && names.contains(&"controlnet-seg") && names.len() == 2,
            "{names:?}"
        );
        let mut names: Vec<&str> = wanted.by_hand.iter().map(|entry| entry.name).collect();
        names.sort_unstable();
        assert_eq!(names, ["ade20k", "inception-fid", "upernet101"]);
    }

    #[test]
    fn of_data_in_parts_those_are_needed_that_are_compared() {
        let tasks = wanted("glue-lr-sweep")
            .bundles
            .iter()
            .find(|wanted| wanted.bundle.name == "glue")
            .unwrap()
            .parts
            .clone();
        assert_eq!(tasks, ["sst2", "mrpc", "cola", "stsb"]);
    }

    #[test]
    fn exams_in_one_folder_come_together_and_the_rest_is_fetched_by_hand() {
        let wanted = wanted("instruct");
        let mut names: Vec<&str> = wanted.bundles.iter().map(|wanted| wanted.bundle.name).collect();
        names.sort_unstable();
        assert_eq!(names, ["arc", "llama2-7b", "mmlu", "truthfulqa"]);
        assert_eq!(wanted.by_hand.iter().map(|entry| entry.name).collect::<Vec<_>>(), ["alpaca-cleaned"]);
    }
}
