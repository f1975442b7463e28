//! Two groups of trials, paired by seed and subject.

use std::collections::BTreeSet;

use results::{Pairs, Status, Trial, Trials, short_name};

/// Trials of a method, all or those with certain settings (a key path of the config and the values it may have).
#[derive(Clone, Debug, PartialEq)]
pub struct Side {
    pub method: String,
    pub at: Vec<(String, Vec<String>)>,
}

/// The pairs of two sides by a metric; why there is nothing to pair is told as text.
pub fn paired(trials: &Trials, side: &Side, than: &Side, metric: &str) -> Result<Pairs, String> {
    let (ours, theirs) = (side.unrepeated(trials)?, than.unrepeated(trials)?);
    let pairs = Pairs::new(trials, ours.iter().copied(), theirs.iter().copied(), metric);
    let is_done = |id: &str| trials.all().iter().any(|trial| trial.id == id && trial.status == Status::Done);
    if pairs.unscored.iter().any(|(one, other)| is_done(one) && is_done(other)) {
        return Err(format!("the trials have no `{metric}`"));
    }
    match (pairs.differences.is_empty(), pairs.unscored.len()) {
        (false, _) => Ok(pairs),
        (true, 0) => {
            let subject = trials.task().noun;
            Err(format!("no seed and {subject} that both {} and {} ran", side.text(), than.text()))
        }
        (true, lost) => Err(format!("all {lost} pairs have a trial that diverged or failed")),
    }
}

impl Side {
    /// "`lora` at learning_rate_multiplier 4".
    pub fn text(&self) -> String {
        let at = self.stated(
            |key, value| format!("{key} {value}"),
            |key, count| format!("any of {count} values of {key}"),
        );
        if at.is_empty() { format!("`{}`", self.method) } else { format!("`{}` at {at}", self.method) }
    }

    /// "LoRA at multiplier 4".
    pub fn title(&self, trials: &Trials) -> String {
        let title = trials.method_name(&self.method);
        if self.at.is_empty() { title.to_owned() } else { format!("{title} at {}", self.setting()) }
    }

    /// "multiplier 4", or "8 tasks"; "all" where nothing is restricted.
    pub fn setting(&self) -> String {
        let at = self.stated(
            |key, value| format!("{} {value}", short_name(key)),
            |key, count| format!("{count} {}s", short_name(key)),
        );
        if at.is_empty() { "all".to_owned() } else { at }
    }

    /// Every restriction in words: to one value, or to a number of values.
    fn stated(&self, one: fn(&str, &str) -> String, several: fn(&str, usize) -> String) -> String {
        let stated = |(key, values): &(String, Vec<String>)| match values.as_slice() {
            [value] => one(key, value),
            values => several(key, values.len()),
        };
        self.at.iter().map(stated).collect::<Vec<_>>().join(", ")
    }

    /// The values of a list, one of which a trial of this side has, by the setting's key path.
    pub fn listed(&self) -> Option<(&str, &[String])> {
        let list = self.at.iter().find(|(_, values)| values.len() > 1);
        list.map(|(key, values)| (key.as_str(), values.as_slice()))
    }

    /// The trials of the side that the summary compares.
    pub fn of<'a>(&self, results: &'a Trials) -> Result<Vec<&'a Trial>, String> {
        if let Some((key, _)) = self.at.iter().find(|(key, _)| !results.has_setting(key)) {
            return Err(format!("its trials have no setting `{key}`"));
        }
        let holds = |trial: &&Trial| {
            let equal = |(key, values): &(String, Vec<String>)| {
                values.iter().any(|value| same(results.setting(trial, key), value))
            };
            trial.chosen && trial.method == self.method && self.at.iter().all(equal)
        };
        let trials: Vec<&Trial> = results.all().iter().filter(holds).collect();
        if trials.is_empty() { Err(format!("no trial of {}", self.text())) } else { Ok(trials) }
    }

    /// The same, where there is one for each seed and subject.
    fn unrepeated<'a>(&self, results: &'a Trials) -> Result<Vec<&'a Trial>, String> {
        let (trials, mut known) = (self.of(results)?, BTreeSet::new());
        if trials.iter().all(|trial| known.insert((&trial.seed, &trial.subject))) {
            return Ok(trials);
        }
        Err(format!(
            "{} has several trials for one seed and {}; `at` must name the setting in which they differ",
            self.text(),
            results.task().noun
        ))
    }
}

/// Settings are equal as numbers where they are numbers.
pub fn same(left: &str, right: &str) -> bool {
    match (left.parse::<f64>(), right.parse::<f64>()) {
        (Ok(left), Ok(right)) => left == right,
        _ => left == right,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with these rows, and its trials.
    fn results(rows: &str) -> (tempfile::TempDir, Trials) {
        let folder = tempfile::tempdir().unwrap();
        let header = "trial_id,status,diverged_step,method,seed,subject,config.learning_rate_multiplier,\
            config.method.name,config.method.rank,dino,distance,train_seconds,commit,message";
        std::fs::write(folder.path().join("trials.csv"), format!("{header}\n{rows}")).unwrap();
        let trials = Trials::read_all(folder.path()).unwrap();
        (folder, trials)
    }

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
        let pairs = |at: &[_]| paired(&results, &side("delora", &[]), &side("lora", at), "dino").unwrap();
        let both = pairs(&at("1"));
        assert!((both.units.mean().unwrap() - 0.15).abs() < 1e-12);
        assert_eq!((both.references, both.unscored.len()), (vec![0.5, 0.3], 0));
        let one = pairs(&at("4.0"));
        assert_eq!((one.differences.len(), one.unscored.len()), (1, 1));
    }

    #[test]
    fn what_cannot_be_paired_says_why() {
        let (_folder, results) = results(ROWS);
        let error = |side: &Side, than: &Side, metric| paired(&results, side, than, metric).unwrap_err();
        let delora = side("delora", &[]);
        let lora = side("lora", &[]);
        assert!(error(&delora, &lora, "dino").contains("several trials for one seed and subject"));
        assert!(error(&delora, &side("oft", &[]), "dino").contains("no trial of `oft`"));
        assert!(error(&delora, &side("lora", &[("rate", "1")]), "dino").contains("no setting `rate`"));
        let one = side("lora", &[("learning_rate_multiplier", "1")]);
        assert!(error(&delora, &one, "distance").contains("have no `distance`"));
    }
}
