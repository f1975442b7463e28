//! Checks sites and trials, and sorts them into groups and classes.

use std::collections::HashMap;
use std::fmt::Display;
use std::ops::Range;

use tch::Device;

use crate::class::Class;
use crate::config::TrialConfig;
use crate::error::CoreError;
use crate::group::HEAD;
use crate::method::{Adapts, Method};
use crate::methods::find_method;
use crate::parameter_group::Group;
use crate::site::{Part, PartShape, Role, Site, SiteShape, Start};
use crate::target::Target;

/// Trials of one method and structure, by slot, and what they do at each site.
pub struct PlannedGroup {
    pub method: &'static Method,
    pub slots: Range<usize>,
    variants: Vec<Option<u8>>,
}

/// The adapted sites by class, and where each went.
pub struct Classes {
    pub classes: Vec<Class>,
    /// For each class and group, whether the group acts there.
    pub acts: Vec<Vec<bool>>,
    /// Class and place in the class of each adapted site.
    pub places: HashMap<String, (usize, usize)>,
}

/// Refuses sites that no bank can have.
pub fn shapes(sites: &[Site]) -> Result<Vec<SiteShape>, CoreError> {
    if sites.is_empty() {
        return Err(CoreError::Empty { what: "site" });
    }
    let mut seen = std::collections::HashSet::new();
    let shape = |site: &Site| match (site.shape(), &site.part) {
        (Some(shape), _) => Ok(shape),
        (None, Part::Linear { weight, .. }) => {
            Err(CoreError::NotAMatrix { site: site.name.clone(), shape: weight.size() })
        }
        (None, _) => unreachable!("other sites always have a shape"),
    };
    let once = |site: &Site| {
        check_task_tensor(site)?;
        if seen.insert(site.name.clone()) {
            return shape(site);
        }
        Err(CoreError::DuplicateSite { site: site.name.clone() })
    };
    sites.iter().map(once).collect()
}

fn check_task_tensor(site: &Site) -> Result<(), CoreError> {
    let Part::TaskTensor { shape, group, start } = &site.part else { return Ok(()) };
    let problem = match start {
        _ if !HEAD.contains(group) => format!("its group is `{group}`; give it {}", listed(HEAD.iter())),
        Start::Normal { std } if !(std.is_finite() && *std > 0.0) => {
            format!("its start has a standard deviation of {std}; give a positive one, or `Start::Zero`")
        }
        Start::Given(values) if values.size() != *shape => {
            format!("its start has shape {:?}; give values of its own shape {shape:?}", values.size())
        }
        _ => return Ok(()),
    };
    Err(CoreError::TaskTensor { site: site.name.clone(), problem })
}

/// The order of trials by slot, and the groups that it makes.
pub fn groups(
    trials: &[TrialConfig],
    shapes: &[SiteShape],
) -> Result<(Vec<usize>, Vec<PlannedGroup>), CoreError> {
    if trials.is_empty() {
        return Err(CoreError::Empty { what: "trial" });
    }
    let keys: Vec<Key> =
        trials.iter().enumerate().map(|(index, trial)| key(index, trial)).collect::<Result<_, _>>()?;
    let mut order: Vec<usize> = (0..trials.len()).collect();
    order.sort_by(|&left, &right| keys[left].cmp(&keys[right]));
    let mut groups: Vec<PlannedGroup> = Vec::new();
    let has_head = shapes.iter().any(|site| matches!(site.part, PartShape::TaskTensor(_)));
    for slot in 0..order.len() {
        let (index, trial) = (order[slot], &trials[order[slot]]);
        let method = find_method(&trial.method.name)?;
        check_rates(index, trial, method, has_head)?;
        if slot > 0 && keys[order[slot]] == keys[order[slot - 1]] {
            groups.last_mut().expect("a group was begun").slots.end = slot + 1;
            continue;
        }
        let variants = variants(index, trial, method, shapes)?;
        groups.push(PlannedGroup { method, slots: slot..slot + 1, variants });
    }
    for group in &groups {
        for &index in &order[group.slots.clone()] {
            check_sites(index, &trials[index], group, shapes)?;
        }
    }
    Ok((order, groups))
}

/// Checks all that a trial's settings and the shapes of its network can tell, before any bank is made; without `shapes`
/// what its settings tell alone. A trial that has a rate for a head has a head.
pub fn check_trial(trial: &TrialConfig, shapes: &[SiteShape]) -> Result<(), CoreError> {
    key(0, trial)?;
    let method = find_method(&trial.method.name)?;
    check_rates(0, trial, method, trial.learning_rate.contains_key(&Group::Head))?;
    if shapes.is_empty() {
        return Ok(());
    }
    let group = PlannedGroup { method, slots: 0..1, variants: variants(0, trial, method, shapes)? };
    check_sites(0, trial, &group, shapes)
}

/// Sites of one shape that the same groups adapt in the same forms, together.
pub fn classes(sites: &[Site], shapes: &[SiteShape], groups: &[PlannedGroup], device: Device) -> Classes {
    let mut members: Vec<(ClassKey, Vec<&Site>)> = Vec::new();
    let mut places = HashMap::new();
    for (index, (site, shape)) in sites.iter().zip(shapes).enumerate() {
        let forms: Vec<Option<u8>> = groups.iter().map(|group| group.variants[index]).collect();
        if forms.iter().all(Option::is_none) {
            continue;
        }
        let key = (size(&shape.part), start(&site.part), forms);
        let class = members.iter().position(|(known, _)| *known == key).unwrap_or_else(|| {
            members.push((key, Vec::new()));
            members.len() - 1
        });
        places.insert(site.name.clone(), (class, members[class].1.len()));
        members[class].1.push(site);
    }
    Classes {
        acts: members.iter().map(|((_, _, forms), _)| forms.iter().map(Option::is_some).collect()).collect(),
        classes: members.iter().map(|(_, sites)| Class::new(sites, device)).collect(),
        places,
    }
}

/// Kind and sizes of a site, how it starts, and what each group of trials does there.
type ClassKey = ((&'static str, Vec<i64>), Option<(Group, String)>, Vec<Option<u8>>);

/// Group and kind of start of a task's tensor; those that agree in it are stacked.
fn start(part: &Part) -> Option<(Group, String)> {
    match part {
        Part::TaskTensor { group, start: Start::Given(_), .. } => Some((*group, "given".to_owned())),
        Part::TaskTensor { group, start, .. } => Some((*group, format!("{start:?}"))),
        _ => None,
    }
}

fn size(part: &PartShape) -> (&'static str, Vec<i64>) {
    match part {
        PartShape::Linear(shape) => ("linear", vec![shape.out_features, shape.in_features]),
        PartShape::Tensor(shape) => ("tensor", shape.clone()),
        PartShape::Hidden(shape) => ("hidden", vec![shape.features]),
        PartShape::TaskTensor(shape) => ("task tensor", shape.clone()),
    }
}

pub fn settings_error(method: &'static Method, trial: usize, problem: String) -> CoreError {
    CoreError::Settings { trial, method: method.name(), problem, defaults: method.defaults().to_string() }
}

/// Position of the method, structure with targets, and trained groups: what trials of a group have in common.
type Key = (usize, String, String);

/// The key of a trial, after everything about it alone was checked.
fn key(index: usize, trial: &TrialConfig) -> Result<Key, CoreError> {
    let method = find_method(&trial.method.name)?;
    let settings = &trial.method.settings;
    let structure = method.structure(settings).map_err(|problem| settings_error(method, index, problem))?;
    check_optimizer(index, trial)?;
    let targets = trial.targets.as_ref().map_or(String::new(), |targets| listed(targets.iter()));
    Ok((method.position(), format!("{structure}{targets}"), listed(trial.learning_rate.keys())))
}

/// What the method does at each site; somewhere it has to act.
fn variants(
    index: usize,
    trial: &TrialConfig,
    method: &'static Method,
    shapes: &[SiteShape],
) -> Result<Vec<Option<u8>>, CoreError> {
    let settings = &trial.method.settings;
    check_targets(index, trial, method, shapes)?;
    let variant = |shape| method.variant(settings, shape, trial.targets.as_deref());
    let variants: Result<Vec<Option<u8>>, String> = shapes.iter().map(variant).collect();
    let variants = variants.map_err(|problem| settings_error(method, index, problem))?;
    if variants.iter().any(Option::is_some) {
        let of_site = |(variant, site): (Option<u8>, &SiteShape)| match site.part {
            PartShape::TaskTensor(_) => Some(0),
            _ => variant,
        };
        return Ok(variants.into_iter().zip(shapes).map(of_site).collect());
    }
    let wanted = match (method.adapts, &trial.targets) {
        (Adapts::Linear, Some(targets)) => format!("linear layers of the roles {}", listed(targets.iter())),
        (Adapts::Linear, None) => "linear layers".to_owned(),
        (Adapts::Hidden, _) => "hidden states".to_owned(),
        (Adapts::Whole, _) => "tensors to train".to_owned(),
    };
    Err(CoreError::NoSite { trial: index, method: method.name(), wanted })
}

/// Every name among the targets has to fit a layer: it may be a role that is misspelt.
fn check_targets(
    index: usize,
    trial: &TrialConfig,
    method: &'static Method,
    shapes: &[SiteShape],
) -> Result<(), CoreError> {
    let layers = || {
        shapes.iter().filter_map(|site| match &site.part {
            PartShape::Linear(shape) => Some((site.name.as_str(), shape)),
            _ => None,
        })
    };
    let targets = trial.targets.iter().flatten().filter(|_| method.adapts == Adapts::Linear);
    let mut named = targets.filter(|target| matches!(target, Target::Named(_)));
    match named.find(|target| !layers().any(|(name, shape)| target.fits(name, shape))) {
        Some(target) => Err(CoreError::NoLayer {
            trial: index,
            target: target.to_string(),
            roles: listed(Role::ALL.iter()),
            example: layers().next().map_or(String::new(), |(name, _)| name.to_owned()),
        }),
        None => Ok(()),
    }
}

/// Asks the method about each size of site once.
fn check_sites(
    index: usize,
    trial: &TrialConfig,
    group: &PlannedGroup,
    shapes: &[SiteShape],
) -> Result<(), CoreError> {
    let mut checked: Vec<(&'static str, Vec<i64>)> = Vec::new();
    for (shape, variant) in shapes.iter().zip(&group.variants) {
        let size = size(&shape.part);
        if variant.is_none() || checked.contains(&size) {
            continue;
        }
        group.method.check(&trial.method.settings, shape).map_err(|problem| CoreError::Impossible {
            trial: index,
            method: group.method.name(),
            site: shape.name.clone(),
            problem,
        })?;
        checked.push(size);
    }
    Ok(())
}

fn check_rates(
    index: usize,
    trial: &TrialConfig,
    method: &'static Method,
    has_head: bool,
) -> Result<(), CoreError> {
    let name = method.name();
    let head: &[Group] = if has_head { &HEAD } else { &[] };
    let groups = [method.about.groups, head].concat();
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
    // Parameters and their optimizer are in f32.
    if holds && (value as f32).is_finite() {
        return Ok(());
    }
    Err(CoreError::OutOfRange { trial, setting: setting.to_owned(), value, requirement })
}

fn listed(items: impl Iterator<Item = impl Display>) -> String {
    items.map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}
