//! The designs that are committed with their results.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use decide::Design;
use results::Trials;

fn folders() -> Vec<PathBuf> {
    let entries = |folder: &Path| -> Vec<PathBuf> {
        std::fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect()
    };
    let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../results");
    let experiments = entries(&results);
    let is_confirmatory =
        |path: &PathBuf| path.to_string_lossy().rsplit('/').next().unwrap().contains("-design");
    experiments.iter().flat_map(|experiment| entries(experiment)).filter(is_confirmatory).collect()
}

#[test]
fn a_design_is_older_than_its_first_trial() {
    let folders = folders();
    assert!(folders.len() >= 3, "{folders:?}");
    for folder in folders {
        let design = Design::read(&folder).unwrap();
        let design = design.unwrap_or_else(|| panic!("{} has no design.toml", folder.display()));
        assert!(!design.statement.is_empty() && !design.commit.is_empty(), "{}", folder.display());
        if !folder.join("trials.csv").exists() {
            continue;
        }
        let trials = Trials::read_all(&folder).unwrap();
        let first = trials.all().iter().map(|trial| trials.text(trial, "started")).min().unwrap();
        assert!(design.written.as_str() <= first, "{}: {} and {first}", folder.display(), design.written);
        // Texts of this form are ordered as their times are.
        assert!(design.written.len() == first.len() && first.ends_with('Z'), "{first}");
        let outside = trials.all().iter().filter(|trial| !design.is_of_first(trial, design.values.len()));
        assert_eq!(outside.count(), 0, "{}: trials of other subjects or seeds", folder.display());
    }
}

#[test]
fn no_search_has_seen_a_subject_or_seed_that_decides() {
    let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../results");
    let of = |trials: &Trials| -> BTreeSet<(String, String)> {
        trials
            .all()
            .iter()
            .flat_map(|trial| [("subject", &trial.subject), ("seed", &trial.seed)])
            .filter(|(_, value)| !value.is_empty())
            .map(|(kind, value)| (kind.to_owned(), value.clone()))
            .collect()
    };
    let searches = ["table1-search", "instruct-search"].map(|name| results.join(name).join("mini"));
    let seen: BTreeSet<_> =
        searches.iter().flat_map(|folder| of(&Trials::read_all(folder).unwrap())).collect();
    for folder in folders().into_iter().filter(|folder| folder.join("trials.csv").exists()) {
        let deciding = of(&Trials::read_all(&folder).unwrap());
        let both: Vec<_> = seen.intersection(&deciding).collect();
        assert!(both.is_empty(), "{}: {both:?}", folder.display());
    }
}
