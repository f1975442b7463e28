//! What an experiment file sets for a trial of any task, and beside it what a task sets for its own.

use std::ops::Deref;

use delora_core::{Group, OptimizerConfig, Role, Schedule, Target, TrialConfig};
use device::Math;
use runner::{SettingError, settings_beside};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::bank_size::BankSize;
use crate::machine::Precision;
use crate::method::{MethodSettings, Rates, at_least_one, positive};

/// Multiplies the rates of all groups.
const ALL: &str = "all";
/// The method that trains nothing.
pub const NONE: &str = "none";

/// The settings that the trials of every task have.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Common {
    pub method: MethodSettings,
    pub seed: u64,
    #[serde(default = "one")]
    pub learning_rate_multiplier: f64,
    /// Group whose learning rate is multiplied, or `all`.
    #[serde(default = "all")]
    pub multiplied: String,
    #[serde(default)]
    pub optimizer: OptimizerConfig,
    /// The linear layers that linear methods adapt, by role or name; absent: those that the paper adapts in the task.
    #[serde(default)]
    pub targets: Option<Vec<Target>>,
    /// Examples per step and trial.
    pub batch: usize,
    #[serde(default)]
    pub precision: Precision,
    /// Whether cuDNN tries its algorithms on each new shape and takes the fastest; rounding may then differ from run to run.
    #[serde(default = "yes")]
    pub cudnn_benchmark: bool,
    /// Most trials in a bank.
    pub bank: BankSize,
    /// Steps at which the trial is scored on the way, the last step among them or not.
    #[serde(default)]
    pub evaluate_at: Vec<u64>,
    /// The layer whose distance from the pretrained weight is recorded.
    #[serde(default)]
    pub tracked_layer: Option<String>,
    /// Steps between two records of all layers' distances; absent: none is made.
    #[serde(default)]
    pub track_every: Option<u64>,
}

/// The fields of [`Common`].
const KEYS: [&str; 13] = [
    "method",
    "seed",
    "learning_rate_multiplier",
    "multiplied",
    "optimizer",
    "targets",
    "batch",
    "precision",
    "cudnn_benchmark",
    "bank",
    "evaluate_at",
    "tracked_layer",
    "track_every",
];

/// The common settings in which the trials of a bank may differ.
pub(crate) const PER_TRIAL: [&str; 5] =
    ["method", "seed", "learning_rate_multiplier", "multiplied", "optimizer"];

/// The common settings that change how fast a result comes, and not the result.
pub(crate) const IMMATERIAL: [&str; 2] = ["bank", "cudnn_benchmark"];

fn one() -> f64 {
    1.0
}

fn yes() -> bool {
    true
}

fn all() -> String {
    ALL.to_owned()
}

/// A task's own settings; its keys are none of [`Common`]'s, and unknown ones are refused.
pub trait OwnSettings: DeserializeOwned {
    /// Rows of the task that stand where a method stands and are none.
    const ROWS: &'static [&'static str] = &[];
    /// The rows and methods that train nothing.
    const UNTRAINED: &'static [&'static str] = &[NONE];
    /// Groups that every method trains in this task, beside its own.
    const GROUPS: &'static [Group] = &[];

    /// Refuses what cannot be meant, by its key.
    fn check(&self, common: &Common) -> Result<(), SettingError>;
}

/// Everything that decides a trial's result.
#[derive(Debug, Clone)]
pub struct Settings<Own> {
    pub common: Common,
    own: Own,
}

impl<Own> Deref for Settings<Own> {
    type Target = Own;

    fn deref(&self) -> &Own {
        &self.own
    }
}

impl<Own: OwnSettings> Settings<Own> {
    /// Reads and checks a resolved config.
    pub fn read(config: &Value) -> Result<Settings<Own>, SettingError> {
        let (mut common, mut own) = (Map::new(), Map::new());
        for (key, value) in config.as_object().into_iter().flatten() {
            let side = if KEYS.contains(&key.as_str()) { &mut common } else { &mut own };
            side.insert(key.clone(), value.clone());
        }
        let common: Common = settings_beside(&Value::Object(common), &[])?;
        let own: Own = settings_beside(&Value::Object(own), &KEYS)?;
        let settings = Settings { common, own };
        // The task first: which rates a method lacks follows from what is trained.
        settings.own.check(&settings.common)?;
        settings.common.check(&settings)?;
        Ok(settings)
    }

    /// Whether the trial trains anything.
    pub fn trains(&self) -> bool {
        !Own::UNTRAINED.contains(&self.common.method.name.as_str())
    }
}

impl Common {
    fn check<Own: OwnSettings>(&self, settings: &Settings<Own>) -> Result<(), SettingError> {
        at_least_one("batch", self.batch)?;
        at_least_one("track_every", self.track_every.unwrap_or(1) as usize)?;
        positive("learning_rate_multiplier", self.learning_rate_multiplier)?;
        self.method.check(Own::ROWS, Own::GROUPS)?;
        if settings.trains() { self.check_multiplied() } else { Ok(()) }
    }

    /// Refuses to multiply the rate of a group that the method has not.
    fn check_multiplied(&self) -> Result<(), SettingError> {
        let groups: Vec<String> = self.method.learning_rate.keys().map(Group::to_string).collect();
        let known: Vec<&str> = groups.iter().map(String::as_str).chain([ALL]).collect();
        if known.contains(&self.multiplied.as_str()) {
            return Ok(());
        }
        Err(SettingError::unknown_name("multiplied", "group of the method", &self.multiplied, &known))
    }

    /// Refuses to score the trial behind its last step.
    pub fn check_evaluate_at(&self, total_steps: u64) -> Result<(), SettingError> {
        match self.evaluate_at.iter().find(|step| **step > total_steps) {
            None => Ok(()),
            Some(late) => {
                let message = format!("found {late}; the training ends at step {total_steps}");
                Err(SettingError::new("evaluate_at", message))
            }
        }
    }

    /// How CUDA's libraries compute.
    pub fn math(&self) -> Math {
        Math { tf32: self.precision == Precision::Tf32, tries_algorithms: self.cudnn_benchmark }
    }

    /// The method's learning rates, multiplied.
    pub fn rates(&self) -> Rates {
        let rate = |(group, rate): (&Group, &f64)| {
            let is_multiplied = self.multiplied == ALL || self.multiplied == group.to_string();
            (*group, rate * if is_multiplied { self.learning_rate_multiplier } else { 1.0 })
        };
        self.method.learning_rate.iter().map(rate).collect()
    }

    /// The trial as delora-core takes it; `targets` are those of the task.
    pub fn trial(&self, schedule: Schedule, targets: &[Role]) -> TrialConfig {
        TrialConfig {
            method: self.method.config(),
            learning_rate: self.rates(),
            optimizer: self.optimizer.clone(),
            schedule,
            targets: Some(self.targets.clone().unwrap_or_else(|| Target::roles(targets))),
            seed: self.seed,
        }
    }

    /// The same as [`Common::trial`] for a task with a head, whose biases have the head's rate. Rates rise from 0 over this
    /// share of all steps, then fall to 0 on a line.
    pub fn trial_with_head(&self, warmup_ratio: f64, total_steps: u64, targets: &[Role]) -> TrialConfig {
        let warmup_steps = (warmup_ratio * total_steps as f64).round() as u64;
        let mut trial = self.trial(Schedule::Linear { warmup_steps, total_steps }, targets);
        if let Some(&rate) = trial.learning_rate.get(&Group::Head) {
            trial.learning_rate.insert(Group::HeadBias, rate);
        }
        trial
    }
}

/// The config of a trial that trains nothing, without what multiplies its rates: such trials are one.
pub fn without_multiplier<Own: OwnSettings>(mut config: Value) -> Value {
    let trains = Settings::<Own>::read(&config).is_ok_and(|settings| settings.trains());
    if let (false, Some(table)) = (trains, config.as_object_mut()) {
        table.retain(|key, _| key != "learning_rate_multiplier" && key != "multiplied");
    }
    config
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Epochs {
        epochs: u64,
    }

    impl OwnSettings for Epochs {
        fn check(&self, _: &Common) -> Result<(), SettingError> {
            at_least_one("epochs", self.epochs as usize)
        }
    }

    fn config() -> Value {
        let rates = json!({"angles": 1e-3, "strength": 1e-2});
        let method = json!({"name": "delora", "rank": 4, "lambda": 2.0, "learning_rate": rates});
        json!({"method": method, "seed": 1, "learning_rate_multiplier": 4.0, "batch": 1, "bank": 2, "epochs": 3})
    }

    fn read(change: impl Fn(&mut Value)) -> Result<Settings<Epochs>, String> {
        let mut config = config();
        change(&mut config);
        Settings::read(&config).map_err(|error| error.to_string())
    }

    #[test]
    fn every_field_of_the_common_settings_is_among_their_keys() {
        let common = serde_json::to_value(read(|_| {}).unwrap().common).unwrap();
        let mut keys = KEYS;
        keys.sort_unstable();
        assert_eq!(common.as_object().unwrap().keys().collect::<Vec<_>>(), keys);
        assert!(PER_TRIAL.iter().all(|key| KEYS.contains(key)));
    }

    #[test]
    fn the_multiplier_is_for_all_rates_or_for_one_group() {
        let rates = |settings: Settings<Epochs>| {
            let rates = settings.common.trial(Schedule::default(), &[Role::Query]).learning_rate;
            (rates[&Group::Angles], rates[&Group::Strength])
        };
        assert_eq!(rates(read(|_| {}).unwrap()), (4e-3, 4e-2));
        assert_eq!(rates(read(|config| config["multiplied"] = json!("strength")).unwrap()), (1e-3, 4e-2));
        let error = read(|config| config["multiplied"] = json!("magnitude")).unwrap_err();
        assert!(error.contains("multiplied") && error.contains("known: angles, strength, all"), "{error}");
        let of = |name: &str| without_multiplier::<Epochs>(read_config(name));
        assert!(of("delora").get("learning_rate_multiplier").is_some());
        assert!(of("none").get("learning_rate_multiplier").is_none());
    }

    fn read_config(name: &str) -> Value {
        let mut config = config();
        config["method"]["name"] = json!(name);
        if name == NONE {
            config["method"] = json!({"name": name});
        }
        config
    }

    #[test]
    fn an_unknown_key_is_compared_with_the_keys_of_both_sides() {
        let error = |key: &str| read(|config| config[key] = json!(3)).unwrap_err();
        assert_eq!(error("sede"), "sede: unknown key; did you mean `seed`?");
        assert_eq!(error("epoch"), "epoch: unknown key; did you mean `epochs`?");
        let error = read(|config| config["batch"] = json!(0)).unwrap_err();
        assert_eq!(error, "batch: found 0; it has to be at least 1");
        let error = read(|config| config["epochs"] = json!(0)).unwrap_err();
        assert_eq!(error, "epochs: found 0; it has to be at least 1");
        let settings = read(|config| config["evaluate_at"] = json!([0, 3])).unwrap();
        let error = settings.common.check_evaluate_at(2).unwrap_err().to_string();
        assert_eq!(error, "evaluate_at: found 3; the training ends at step 2");
    }
}
