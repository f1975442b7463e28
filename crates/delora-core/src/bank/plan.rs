//! Checks sites and trials, and sorts them into classes and groups.

use std::collections::HashMap;
use std::fmt::Display;
use std::ops::Range;

use tch::Device;

use crate::class::{LinearClass, Site};
use crate::config::TrialConfig;
use crate::error::CoreError;
use crate::method::Method;
use crate::methods::{METHODS, find_method};

type Places = HashMap<String, (usize, usize)>;

/// Each group's method and slots.
type Groups = Vec<(&'static Method, Range<usize>)>;

/// Sites by shape, and where each went.
pub fn classes(sites: &[Site], device: Device) -> Result<(Vec<LinearClass>, Places), CoreError> {
    if sites.is_empty() {
        return Err(CoreError::Empty { what: "site" });
    }
    let mut classes: Vec<LinearClass> = Vec::new();
    let mut places = HashMap::new();
    for Site { name, weight } in sites {
        let &[out_features, in_features] = weight.size().as_slice() else {
            return Err(CoreError::NotAMatrix { site: name.clone(), shape: weight.size() });
        };
        let same =
            |class: &LinearClass| (class.in_features, class.out_features) == (in_features, out_features);
        let class = classes.iter().position(same).unwrap_or_else(|| {
            classes.push(LinearClass::new(in_features, out_features));
            classes.len() - 1
        });
        if places.insert(name.clone(), (class, classes[class].weights.len())).is_some() {
            return Err(CoreError::DuplicateSite { site: name.clone() });
        }
        classes[class].push(name, weight, device);
    }
    Ok((classes, places))
}

/// The order of trials by slot, and the groups that it makes.
pub fn groups(trials: &[TrialConfig], classes: &[LinearClass]) -> Result<(Vec<usize>, Groups), CoreError> {
    if trials.is_empty() {
        return Err(CoreError::Empty { what: "trial" });
    }
    let keys: Result<Vec<_>, CoreError> =
        trials.iter().enumerate().map(|(index, trial)| key(index, trial, classes)).collect();
    let keys = keys?;
    let mut order: Vec<usize> = (0..trials.len()).collect();
    order.sort_by(|&left, &right| keys[left].cmp(&keys[right]));
    let mut groups: Groups = Vec::new();
    for slot in 0..order.len() {
        if slot > 0 && keys[order[slot]] == keys[order[slot - 1]] {
            groups.last_mut().expect("a group was begun").1.end = slot + 1;
        } else {
            groups.push((&METHODS[keys[order[slot]].0], slot..slot + 1));
        }
    }
    Ok((order, groups))
}

pub fn settings_error(method: &'static Method, trial: usize, problem: String) -> CoreError {
    CoreError::Settings { trial, method: method.name(), problem, defaults: method.defaults().to_string() }
}

/// What trials of a group have in common, after everything about the trial was checked.
fn key(
    index: usize,
    trial: &TrialConfig,
    classes: &[LinearClass],
) -> Result<(usize, String, String), CoreError> {
    let method = find_method(&trial.method.name)?;
    let settings = &trial.method.settings;
    let structure = method.structure(settings).map_err(|problem| settings_error(method, index, problem))?;
    for class in classes {
        method.check(settings, class.in_features, class.out_features).map_err(|problem| {
            CoreError::Impossible {
                trial: index,
                method: method.name(),
                site: class.names[0].clone(),
                problem,
            }
        })?;
    }
    check_rates(index, trial, method)?;
    check_optimizer(index, trial)?;
    let position =
        METHODS.iter().position(|known| known.name() == method.name()).expect("it was found there");
    Ok((position, structure.to_string(), listed(trial.learning_rate.keys())))
}

fn check_rates(index: usize, trial: &TrialConfig, method: &'static Method) -> Result<(), CoreError> {
    let (name, groups) = (method.name(), method.about.groups);
    let known = || listed(groups.iter());
    for (&group, &rate) in &trial.learning_rate {
        if !groups.contains(&group) {
            return Err(CoreError::UnknownGroup { trial: index, method: name, group, known: known() });
        }
        require(index, &format!("learning_rate.{group}"), rate, rate >= 0.0, "a number of 0 or more")?;
    }
    if trial.learning_rate.is_empty() && !groups.is_empty() {
        return Err(CoreError::NothingTrained { trial: index, method: name, known: known() });
    }
    Ok(())
}

fn check_optimizer(index: usize, trial: &TrialConfig) -> Result<(), CoreError> {
    let optimizer = &trial.optimizer;
    for beta in optimizer.betas {
        require(index, "optimizer.betas", beta, (0.0..1.0).contains(&beta), "at least 0 and below 1")?;
    }
    require(index, "optimizer.eps", optimizer.eps, optimizer.eps > 0.0, "a positive number")?;
    let decay = optimizer.weight_decay;
    require(index, "optimizer.weight_decay", decay, decay >= 0.0, "a number of 0 or more")?;
    if let Some(norm) = optimizer.clip_norm {
        require(index, "optimizer.clip_norm", norm, norm > 0.0, "a positive number, or absent")?;
    }
    Ok(())
}

fn require(
    trial: usize,
    setting: &str,
    value: f64,
    holds: bool,
    requirement: &'static str,
) -> Result<(), CoreError> {
    if holds && value.is_finite() {
        return Ok(());
    }
    Err(CoreError::OutOfRange { trial, setting: setting.to_owned(), value, requirement })
}

fn listed(items: impl Iterator<Item = impl Display>) -> String {
    items.map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}
