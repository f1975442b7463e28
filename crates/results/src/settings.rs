//! The settings in which trials differ, and what readers call them.

use std::collections::BTreeSet;

use crate::mmlu;
use crate::trials::{Trial, Trials};

/// Columns of `trials.csv` that end the metrics.
const AFTER_METRICS: &str = "train_seconds";
/// Settings that every table of trials has anyway, as method, subject or task, and seed.
const SHOWN_ANYWAY: [&str; 5] =
    ["config.method.name", "config.seed", "config.subject.name", "config.subject.class", crate::glue::COLUMN];

impl Trials {
    /// A setting's text; `setting` is its key path, as in `method.rank`.
    pub fn setting(&self, trial: &Trial, setting: &str) -> &str {
        self.text(trial, &format!("config.{setting}"))
    }

    /// Whether the trials have a setting.
    pub fn has_setting(&self, setting: &str) -> bool {
        self.has(&format!("config.{setting}"))
    }

    /// Whether trials differ in what they train on.
    pub fn has_subjects(&self) -> bool {
        self.all().iter().any(|trial| !trial.subject.is_empty())
    }

    /// Key paths of the settings in which trials differ, less method, subject and seed.
    pub fn varying(&self) -> Vec<&str> {
        let differs = |column: &&String| {
            let mut values = self.all().iter().map(|trial| self.text(trial, column));
            values.next().is_some_and(|first| values.any(|other| other != first))
        };
        let config = self.columns().iter().filter(|name| !SHOWN_ANYWAY.contains(&name.as_str()));
        config.filter(|name| name.starts_with("config.")).filter(differs).map(|name| &name[7..]).collect()
    }

    /// Columns of what was measured, in the order of the file, less the subjects of MMLU.
    pub fn metrics(&self) -> Vec<&str> {
        let names = self.columns();
        let after_config = names.iter().rposition(|name| name.starts_with("config.")).map_or(0, |at| at + 1);
        let metrics = names[after_config..].iter().map(String::as_str);
        let metrics = metrics.take_while(|name| *name != AFTER_METRICS);
        metrics.filter(|name| !mmlu::is_of_subject(name)).collect()
    }

    /// "rank 16, λ 4": the settings in which this trial may differ from others of its method.
    pub fn described(&self, trial: &Trial) -> String {
        let stated = self.varying().into_iter().filter_map(|setting| {
            let value = self.setting(trial, setting);
            (!value.is_empty()).then(|| format!("{} {value}", short_name(setting)))
        });
        stated.collect::<Vec<_>>().join(", ")
    }

    /// Methods in the order of the legends.
    pub fn methods(&self) -> Vec<&str> {
        let methods: BTreeSet<&str> = self.all().iter().map(|trial| trial.method.as_str()).collect();
        let mut methods: Vec<&str> = methods.into_iter().collect();
        methods.sort_by_key(|method| crate::methods::rank(method));
        methods
    }
}

/// A setting as readers know it: without the table that it stands in.
pub fn short_name(setting: &str) -> String {
    let known = [
        ("method.lambda", "λ"),
        ("method.learning_rate.angles", "rate of A, B"),
        ("method.learning_rate.strength", "rate of λ"),
        ("method.learning_rate.magnitude", "rate of m"),
        ("method.learning_rate.weight", "rate"),
        ("learning_rate_multiplier", "multiplier"),
        ("glue_task", "task"),
    ];
    let name = known.iter().find(|(path, _)| *path == setting).map(|(_, name)| (*name).to_owned());
    name.unwrap_or_else(|| setting.strip_prefix("method.").unwrap_or(setting).replace('_', " "))
}

#[cfg(test)]
mod tests {
    use crate::testing::trials;
    use crate::trials::Status;

    #[test]
    fn settings_that_vary_metrics_and_scores_are_told_apart() {
        let trials = trials(
            "trial_id,status,diverged_step,method,seed,subject,config.learning_rate_multiplier,config.method.name,config.method.rank,dino,distance,train_seconds,commit,message\n\
             a,done,,lora,0,cat,1,lora,16,0.5,1.0,2,abc,\nb,done,,lora,0,cat,4,lora,16,0.4,2.0,2,abc,\n\
             c,diverged,7,lora,1,cat,4,lora,16,0.1,9.0,2,abc,\nd,failed,,dora,0,cat,1,dora,16,,,0,abc,no memory\n",
        );
        assert_eq!(trials.varying(), ["learning_rate_multiplier"]);
        assert_eq!(trials.metrics(), ["dino", "distance"]);
        assert_eq!(trials.methods(), ["lora", "dora"]);
        assert_eq!(trials.described(&trials.all()[1]), "multiplier 4");
        let counts = [Status::Done, Status::Diverged, Status::Failed].map(|status| trials.count(status));
        assert_eq!(counts, [2, 1, 1]);
    }
}
