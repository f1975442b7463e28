//! What a trial's settings and the shapes of its network tell before anything runs.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use delora_core::{CoreError, SiteShape, Target, TrialConfig, check_trial, find_method};
use runner::{SettingError, closest};

use crate::method::MethodSettings;

/// Where networks can be adapted, read once for each.
#[derive(Default)]
pub struct KnownSites(RefCell<HashMap<PathBuf, Rc<Sites>>>);

#[derive(Default)]
struct Sites {
    names: BTreeSet<String>,
    /// One of each shape, for trials that ask for no names: thousands of trials are checked.
    shapes: Vec<SiteShape>,
    all: Vec<SiteShape>,
}

/// A trial's own settings, as it was written and as delora-core takes it.
pub struct Proposed<'a> {
    pub method: &'a MethodSettings,
    pub trial: TrialConfig,
    /// Layer whose distance is recorded, where the task records one.
    pub tracked_layer: Option<&'a str>,
}

impl KnownSites {
    /// Refuses what cannot be: settings of the method, rates and the optimizer by themselves, and at the layers of the
    /// network that `config` describes, of which `read` gives the shapes. What it cannot read is for the loader to say.
    pub fn check(
        &self,
        config: &Path,
        read: impl FnOnce(&Path) -> Option<Vec<SiteShape>>,
        proposed: &Proposed,
    ) -> Result<(), SettingError> {
        let Proposed { method, trial, tracked_layer } = proposed;
        method.check_settings()?;
        let sites = self.of(config, read);
        if let Some(layer) =
            tracked_layer.filter(|layer| !sites.shapes.is_empty() && !sites.names.contains(*layer))
        {
            let names: Vec<&str> = sites.names.iter().map(String::as_str).collect();
            let near =
                closest(layer, &names).map_or(String::new(), |near| format!("; did you mean `{near}`?"));
            return Err(SettingError::new(
                "tracked_layer",
                format!("`{layer}` is no layer of the model{near}"),
            ));
        }
        if find_method(&trial.method.name).is_err() {
            return Ok(()); // a row of the task that is no method
        }
        let is_named = |target: &Target| matches!(target, Target::Named(_));
        let by_name = trial.targets.iter().flatten().any(is_named);
        check_trial(trial, if by_name { &sites.all } else { &sites.shapes })
            .map_err(|error| setting_error(error, trial))
    }

    fn of(&self, config: &Path, read: impl FnOnce(&Path) -> Option<Vec<SiteShape>>) -> Rc<Sites> {
        if let Some(known) = self.0.borrow().get(config) {
            return known.clone();
        }
        let all = read(config).unwrap_or_default();
        let mut sites =
            Sites { names: all.iter().map(|site| site.name.clone()).collect(), shapes: Vec::new(), all };
        for site in &sites.all {
            if sites.shapes.iter().all(|known| known.part != site.part) {
                sites.shapes.push(site.clone());
            }
        }
        let sites = Rc::new(sites);
        self.0.borrow_mut().insert(config.to_owned(), sites.clone());
        sites
    }
}

/// The error with the key of the setting that it is of.
fn setting_error(error: CoreError, trial: &TrialConfig) -> SettingError {
    match error {
        CoreError::Impossible { site, problem, .. } => {
            let key = format!("method.{}", problem.setting);
            SettingError::new(key, format!("{problem} (at `{site}`)"))
        }
        CoreError::OutOfRange { setting, value, requirement, .. } => {
            let is_rate = setting.starts_with("learning_rate.");
            let key = if is_rate { format!("method.{setting}") } else { setting };
            SettingError::new(key, format!("found {value:?}; it has to be {requirement}"))
        }
        CoreError::NoLayer { target, roles, example, .. } => {
            let right = format!("roles are {roles}, and a layer is called `{example}`");
            SettingError::new(
                "targets",
                format!("`{target}` is no role and fits no linear layer of the model; {right}"),
            )
        }
        CoreError::NoSite { method, wanted, .. } => {
            let has_layers = trial.method.settings.contains_key("layers");
            let key = match (has_layers, &trial.targets) {
                (true, _) => "method.layers",
                (false, Some(_)) if wanted.contains("roles") => "targets",
                _ => "method.name",
            };
            let message = format!("`{method}` finds nothing to adapt: the network has no {wanted}");
            SettingError::new(key, message)
        }
        other => SettingError::new("method", other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use delora_core::{Group, METHODS, Place, Role};
    use serde_json::{Map, Value, json};

    use super::*;

    fn network(_: &Path) -> Option<Vec<SiteShape>> {
        let linear = |name: &str, role| SiteShape::linear(name, role, [24, 16], true);
        let roles =
            [Role::Query, Role::Key, Role::Value, Role::Output, Role::FeedForwardIn, Role::FeedForwardOut];
        let mut sites: Vec<SiteShape> = roles.iter().map(|&role| linear(&role.to_string(), role)).collect();
        for place in [Place::AttentionOutput, Place::FeedForwardOutput, Place::BlockOutput] {
            sites.push(SiteShape::hidden(&format!("{place:?}"), place, 0, 16));
        }
        Some(sites)
    }

    /// Checks a method with these settings on top of its rates.
    fn check(name: &str, settings: Value, change: impl FnOnce(&mut TrialConfig)) -> Result<(), SettingError> {
        let groups = find_method(name).unwrap().about.groups;
        let rates: Map<String, Value> = groups.iter().map(|group| (group.to_string(), json!(1e-3))).collect();
        let mut method = json!({"name": name, "learning_rate": rates});
        method.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        let method: MethodSettings = serde_json::from_value(method).unwrap();
        let mut trial = TrialConfig {
            method: method.config(),
            learning_rate: method.learning_rate.clone(),
            optimizer: Default::default(),
            schedule: Default::default(),
            targets: Some(delora_core::Target::roles(&[Role::Query, Role::Value])),
            seed: 0,
        };
        change(&mut trial);
        let proposed = Proposed { method: &method, trial, tracked_layer: Some("query") };
        KnownSites::default().check(Path::new("config.json"), network, &proposed)
    }

    #[test]
    fn every_setting_of_every_method_refuses_absurd_numbers_by_its_name() {
        let mut refused = 0;
        for method in METHODS {
            for example in method.examples(2) {
                check(method.name(), Value::Object(example), |_| {}).unwrap();
            }
            for setting in method.setting_names() {
                for absurd in [json!(-1), json!(0), json!(1e300), json!(-1e300), json!(1e-300), json!(null)] {
                    // An absent setting and null are one.
                    if absurd.is_null() && method.defaults().get(setting).is_none() {
                        continue;
                    }
                    let error = check(method.name(), json!({ (*setting): absurd }), |_| {}).err();
                    let error = error.unwrap_or_else(|| panic!("{}.{setting} = {absurd}", method.name()));
                    assert_eq!(error.key, format!("method.{setting}"), "{}: {error}", method.name());
                    refused += 1;
                }
            }
        }
        for (name, setting) in
            [("rank", "lora"), ("rank", "vera"), ("bottleneck", "adapter_houlsby"), ("blocks", "oft")]
                .map(|(setting, name)| (name, setting))
        {
            for huge in [1_000_000_i64, i64::MAX, i64::MIN] {
                let error = check(name, json!({ (setting): huge }), |_| {}).unwrap_err();
                assert_eq!(error.key, format!("method.{setting}"), "{name}: {error}");
            }
        }
        assert!(refused > 150, "{refused}");
    }

    #[test]
    fn a_setting_of_another_name_or_type_is_named_itself() {
        let error = check("lora", json!({"rnk": 4}), |_| {}).unwrap_err();
        assert_eq!(error.to_string(), "method.rnk: unknown key; did you mean `rank`?");
        let error = check("lora", json!({"rank": 4, "alpha": "eight"}), |_| {}).unwrap_err();
        assert!(error.key == "method.alpha" && error.message.contains("eight"), "{error}");
    }

    #[test]
    fn rates_optimizer_targets_and_tracked_layer_that_cannot_be_are_named_by_key() {
        let key = |change: fn(&mut TrialConfig)| check("lora", json!({"rank": 4}), change).unwrap_err().key;
        let rates: [fn(&mut TrialConfig); 3] = [
            |trial| _ = trial.learning_rate.insert(Group::Angles, -1e-3),
            |trial| _ = trial.learning_rate.insert(Group::Angles, f64::NAN),
            |trial| _ = trial.learning_rate.insert(Group::Angles, 1e300),
        ];
        for rate in rates {
            assert_eq!(key(rate), "method.learning_rate.angles");
        }
        assert_eq!(key(|trial| trial.optimizer.weight_decay = -0.1), "optimizer.weight_decay");
        assert_eq!(key(|trial| trial.optimizer.betas = [0.9, 1.0]), "optimizer.betas");
        assert_eq!(key(|trial| trial.optimizer.eps = 0.0), "optimizer.eps");
        assert_eq!(key(|trial| trial.optimizer.clip_norm = Some(0.0)), "optimizer.clip_norm");
        assert_eq!(key(|trial| trial.targets = Some(Vec::new())), "targets");
        assert_eq!(key(|trial| trial.targets = Some(delora_core::Target::roles(&[Role::Other]))), "targets");
        let layers = check("loreft", json!({"layers": [7]}), |_| {}).unwrap_err();
        assert_eq!(layers.key, "method.layers");
        let rank = check("lora", json!({"rank": 17}), |_| {}).unwrap_err().to_string();
        assert!(rank.contains("method.rank: rank 17 exceeds 16") && rank.contains("at `query`"), "{rank}");
        let method: MethodSettings = serde_json::from_value(json!({"name": "real_images"})).unwrap();
        let trial = TrialConfig {
            method: method.config(),
            learning_rate: Default::default(),
            optimizer: Default::default(),
            schedule: Default::default(),
            targets: None,
            seed: 0,
        };
        let proposed = Proposed { method: &method, trial, tracked_layer: Some("qeury") };
        let error = KnownSites::default().check(Path::new("c"), network, &proposed).unwrap_err().to_string();
        assert_eq!(error, "tracked_layer: `qeury` is no layer of the model; did you mean `query`?");
    }
}
