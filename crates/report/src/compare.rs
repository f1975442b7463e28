//! Two groups of trials, paired by seed and subject.

use std::collections::{BTreeMap, BTreeSet};

use figures::stats;

use crate::claims::Side;
use crate::look;
use crate::results::{Results, Trial, short_name};

/// The differences of a metric between two sides, over the pairs that both finished.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Paired {
    pub differences: Vec<f64>,
    /// Of the pairs with a difference: how many subjects or tasks.
    pub subjects: usize,
    /// Mean of the side that is compared with, over the same pairs.
    pub reference: f64,
    /// Pairs that miss because a trial of either side diverged or failed.
    pub lost: usize,
}

impl Paired {
    /// Why there is nothing to pair is told as text.
    pub fn new(results: &Results, side: &Side, than: &Side, metric: &str) -> Result<Self, String> {
        let (ours, theirs) = (by_pair(results, side)?, by_pair(results, than)?);
        let mut paired = Self::default();
        let (mut reference, mut subjects) = (Vec::new(), BTreeSet::new());
        for (pair, trial) in &ours {
            let Some(other) = theirs.get(pair) else { continue };
            match (results.score(trial, metric), results.score(other, metric)) {
                (Some(score), Some(compared)) => {
                    paired.differences.push(score - compared);
                    reference.push(compared);
                    subjects.insert(pair.1);
                }
                _ if trial.status == "done" && other.status == "done" => {
                    return Err(format!("the trials have no `{metric}`"));
                }
                _ => paired.lost += 1,
            }
        }
        paired.subjects = subjects.len();
        paired.reference = stats::mean(&reference).unwrap_or_default();
        match (paired.differences.is_empty(), paired.lost) {
            (false, _) => Ok(paired),
            (true, 0) => {
                let subject = results.subject_noun();
                Err(format!("no seed and {subject} that both {} and {} ran", side.text(), than.text()))
            }
            (true, lost) => Err(format!("all {lost} pairs have a trial that diverged or failed")),
        }
    }

    pub fn mean(&self) -> f64 {
        stats::mean(&self.differences).unwrap_or_default()
    }

    pub fn interval(&self) -> Option<(f64, f64)> {
        stats::bootstrap_interval(&self.differences)
    }

    pub fn p(&self) -> Option<f64> {
        stats::permutation_p(&self.differences)
    }

    pub fn detectable(&self) -> Option<f64> {
        stats::detectable_difference(&self.differences)
    }
}

impl Side {
    /// As in "`lora` at learning_rate_multiplier 4".
    pub fn text(&self) -> String {
        let stated = |(key, values): &(String, Vec<String>)| match values.as_slice() {
            [value] => format!("{key} {value}"),
            values => format!("any of {} values of {key}", values.len()),
        };
        let at: Vec<String> = self.at.iter().map(stated).collect();
        if at.is_empty() {
            format!("`{}`", self.method)
        } else {
            format!("`{}` at {}", self.method, at.join(", "))
        }
    }

    /// As in "LoRA at multiplier 4".
    pub fn title(&self) -> String {
        let title = look::title(&self.method);
        if self.at.is_empty() { title.to_owned() } else { format!("{title} at {}", self.setting()) }
    }

    /// As in "multiplier 4", or "8 tasks"; "all" where nothing is restricted.
    pub fn setting(&self) -> String {
        let stated = |(key, values): &(String, Vec<String>)| match values.as_slice() {
            [value] => format!("{} {value}", short_name(key)),
            values => format!("{} {}s", values.len(), short_name(key)),
        };
        let at: Vec<String> = self.at.iter().map(stated).collect();
        if at.is_empty() { "all".to_owned() } else { at.join(", ") }
    }

    /// The values of a list, one of which a trial of this side has, by the setting's key path.
    pub fn listed(&self) -> Option<(&str, &[String])> {
        let list = self.at.iter().find(|(_, values)| values.len() > 1);
        list.map(|(key, values)| (key.as_str(), values.as_slice()))
    }

    /// The trials of the side that the summary compares.
    pub fn of<'a>(&self, results: &'a Results) -> Result<Vec<&'a Trial>, String> {
        if let Some((key, _)) = self.at.iter().find(|(key, _)| !results.has_setting(key)) {
            return Err(format!("its trials have no setting `{key}`"));
        }
        let holds = |trial: &&Trial| {
            let equal = |(key, values): &(String, Vec<String>)| {
                values.iter().any(|value| same(results.setting(trial, key), value))
            };
            trial.chosen && trial.method == self.method && self.at.iter().all(equal)
        };
        let trials: Vec<&Trial> = results.trials.iter().filter(holds).collect();
        if trials.is_empty() { Err(format!("no trial of {}", self.text())) } else { Ok(trials) }
    }
}

/// Settings are equal as numbers where they are numbers.
pub fn same(left: &str, right: &str) -> bool {
    match (left.parse::<f64>(), right.parse::<f64>()) {
        (Ok(left), Ok(right)) => left == right,
        _ => left == right,
    }
}

type Pair<'a> = (&'a str, &'a str);

/// The one trial of each seed and subject.
fn by_pair<'a>(results: &'a Results, side: &Side) -> Result<BTreeMap<Pair<'a>, &'a Trial>, String> {
    let mut pairs = BTreeMap::new();
    for trial in side.of(results)? {
        if pairs.insert((trial.seed.as_str(), trial.subject.as_str()), trial).is_some() {
            return Err(format!(
                "{} has several trials for one seed and {}; `at` must name the setting in which they differ",
                side.text(),
                results.subject_noun()
            ));
        }
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::results;

    fn side(method: &str, at: &[(&str, &str)]) -> Side {
        let at = at.iter().map(|(key, value)| ((*key).to_owned(), vec![(*value).to_owned()])).collect();
        Side { method: method.to_owned(), at }
    }

    const ROWS: &str = "a,done,,lora,0,cat,1,lora,16,0.5,1,2,c,\nb,done,,lora,1,cat,1,lora,16,0.3,1,2,c,\n\
        c,done,,lora,0,cat,4,lora,16,0.4,1,2,c,\nd,diverged,9,lora,1,cat,4,lora,16,0.1,1,2,c,\n\
        e,done,,delora,0,cat,1,delora,16,0.6,,2,c,\nf,done,,delora,1,cat,1,delora,16,0.5,,2,c,\n";

    #[test]
    fn pairs_share_seed_and_subject_and_a_diverged_trial_loses_its_pair() {
        let (_folder, results) = results(ROWS);
        let at = |multiplier| [("learning_rate_multiplier", multiplier)];
        let paired = Paired::new(&results, &side("delora", &[]), &side("lora", &at("1")), "dino").unwrap();
        assert!((paired.mean() - 0.15).abs() < 1e-12 && (paired.reference - 0.4).abs() < 1e-12);
        assert_eq!((paired.differences.len(), paired.lost), (2, 0));
        let paired = Paired::new(&results, &side("delora", &[]), &side("lora", &at("4.0")), "dino").unwrap();
        assert_eq!((paired.differences.len(), paired.lost), (1, 1));
    }

    #[test]
    fn what_cannot_be_paired_says_why() {
        let (_folder, results) = results(ROWS);
        let error = |side: &Side, than: &Side, metric| Paired::new(&results, side, than, metric).unwrap_err();
        let delora = side("delora", &[]);
        let lora = side("lora", &[]);
        assert!(error(&delora, &lora, "dino").contains("several trials for one seed and subject"));
        assert!(error(&delora, &side("oft", &[]), "dino").contains("no trial of `oft`"));
        assert!(error(&delora, &side("lora", &[("rate", "1")]), "dino").contains("no setting `rate`"));
        let one = side("lora", &[("learning_rate_multiplier", "1")]);
        assert!(error(&delora, &one, "distance").contains("have no `distance`"));
    }
}
