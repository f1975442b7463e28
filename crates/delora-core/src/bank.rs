//! A bank: trials of any methods, trained side by side over one frozen network.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use tch::{Device, Kind, Tensor};

use crate::adapter::Parameters;
use crate::class::{LinearClass, Site};
use crate::config::TrialConfig;
use crate::error::CoreError;
use crate::group::MethodGroup;
use crate::method::Method;

mod applied;
mod plan;

use applied::AppliedClass;

/// Adapters, optimizer and fate of trials that run through one frozen network with a leading `trials` axis.
///
/// A trial's result depends on its own config alone, never on the bank it is in.
pub struct Bank {
    pub(crate) classes: Vec<LinearClass>,
    /// Class and place in the class of each site.
    places: HashMap<String, (usize, usize)>,
    pub(crate) site_names: Vec<String>,
    pub(crate) groups: Vec<MethodGroup>,
    pub(crate) trials: Vec<TrialConfig>,
    order: Vec<usize>,
    pub(crate) steps: u64,
    /// What `forward` applies, by kind of activation and class; made once per step.
    applied: RefCell<HashMap<Kind, Rc<Vec<AppliedClass>>>>,
}

/// What is known of one site without a dense product, for each slot.
pub struct SiteReading {
    pub site: String,
    /// ‖W' − W‖ (Frobenius).
    pub distances: Vec<f64>,
    /// λ, where the method has one.
    pub strengths: Vec<Option<f64>>,
    /// What the distance cannot exceed at this λ, where the method has a bound.
    pub bounds: Vec<Option<f64>>,
}

impl Bank {
    /// Trials are sorted so that equal structures are neighbours (see [`Bank::order`]) and start from their seeds.
    ///
    /// Errors name the trial, the setting and what would be right.
    pub fn new(sites: &[Site], trials: &[TrialConfig], device: Device) -> Result<Bank, CoreError> {
        let (classes, places) = plan::classes(sites, device)?;
        let (order, runs) = plan::groups(trials, &classes)?;
        let sorted: Vec<TrialConfig> = order.iter().map(|&trial| trials[trial].clone()).collect();
        let mut groups = Vec::new();
        for (method, slots) in runs {
            let group = MethodGroup::new(method, slots.start, &sorted[slots.clone()], &classes, device);
            groups.push(group.map_err(|problem| plan::settings_error(method, order[slots.start], problem))?);
        }
        Ok(Bank {
            classes,
            places,
            site_names: sites.iter().map(|site| site.name.clone()).collect(),
            groups,
            trials: sorted,
            order,
            steps: 0,
            applied: RefCell::default(),
        })
    }

    /// For each slot the index that its trial had in the list given to `new`.
    pub fn order(&self) -> &[usize] {
        &self.order
    }

    pub fn num_trials(&self) -> usize {
        self.order.len()
    }

    /// Updates done so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    pub fn trial(&self, slot: usize) -> &TrialConfig {
        &self.trials[slot]
    }

    pub fn method(&self, slot: usize) -> &'static Method {
        self.group_of(slot).method
    }

    /// The adapted layer: `input` [trials, rows, in_features] gives [trials, rows, out_features], in `input`'s kind.
    ///
    /// One frozen product serves all trials whose methods act at the same places, whatever they are. Panics when `site` is unknown or `input` does not fit.
    pub fn forward(&self, site: &str, weight: &Tensor, bias: Option<&Tensor>, input: &Tensor) -> Tensor {
        let (class, place) = self.place(site).expect("the network was built with the bank's sites");
        self.applied(input.kind())[class].forward(place, weight, bias, input)
    }

    /// One update from `losses` [trials], whatever made them from `forward`'s outputs. Waits for nothing.
    ///
    /// A trial whose loss or gradient is not finite is quarantined (see [`Bank::health`]) and changes no other.
    pub fn step(&mut self, losses: &Tensor) {
        let finite = losses.isfinite(); // [trials]
        let healthy =
            Tensor::cat(&self.groups.iter().map(|group| group.optimizer.healthy()).collect::<Vec<_>>(), 0);
        let total = losses.where_scalarother(&finite.logical_and(&healthy), 0.0).sum(Kind::Float);
        let leaves: Vec<&Tensor> = self.groups.iter().flat_map(MethodGroup::leaves).collect();
        let gradients = if leaves.is_empty() || !total.requires_grad() {
            leaves.iter().map(|leaf| leaf.detach().zeros_like()).collect()
        } else {
            gradients_of(&total, &leaves)
        };
        self.applied.borrow_mut().clear();
        let mut gradients = gradients.into_iter();
        for group in &mut self.groups {
            let count = group.leaves().len();
            let own: Vec<Tensor> = gradients.by_ref().take(count).collect();
            group.update(self.steps, &own, &finite.narrow(0, group.first as i64, group.num_trials as i64));
        }
        self.steps += 1;
    }

    /// For each slot the step, counted from 0, whose loss or gradient was not finite. Waits for the device.
    pub fn health(&self) -> Vec<Option<u64>> {
        let steps: Vec<Tensor> = self.groups.iter().map(|group| group.optimizer.diverged_at()).collect();
        let steps = Vec::<i64>::try_from(Tensor::cat(&steps, 0)).expect("one integer per slot");
        steps.into_iter().map(|step| u64::try_from(step).ok()).collect()
    }

    /// ‖W' − W‖ (Frobenius) by site and slot. Waits for the device.
    pub fn distances(&self) -> Vec<(String, Vec<f64>)> {
        self.telemetry().into_iter().map(|reading| (reading.site, reading.distances)).collect()
    }

    /// Distances, strengths and bounds by site, in the order of the sites given to `new`. Waits for the device.
    pub fn telemetry(&self) -> Vec<SiteReading> {
        tch::no_grad(|| {
            let parameters: Vec<Vec<Parameters>> = self.groups.iter().map(MethodGroup::parameters).collect();
            let tables: Vec<[Vec<Vec<f64>>; 3]> =
                (0..self.classes.len()).map(|class| self.read_class(class, &parameters)).collect();
            let known = |value: &f64| (!value.is_nan()).then_some(*value);
            let reading = |site: &String| {
                let (class, place) = self.places[site];
                let [distances, strengths, bounds] = &tables[class];
                SiteReading {
                    site: site.clone(),
                    distances: distances[place].clone(),
                    strengths: strengths[place].iter().map(known).collect(),
                    bounds: bounds[place].iter().map(known).collect(),
                }
            };
            self.site_names.iter().map(reading).collect()
        })
    }

    /// The adapted weight W' of one trial, [out_features, in_features], by the method's definition.
    pub fn merged(&self, site: &str, slot: usize) -> Result<Tensor, CoreError> {
        let (class, place) = self.known_place(site, slot)?;
        let group = self.group_of(slot);
        let settings = [&self.trials[slot].method.settings];
        let alone = group.method.build(&settings, &self.classes[class].single(place));
        let adapter = alone.expect("the settings were checked when the bank was built");
        let trial = (slot - group.first) as i64;
        let own = |value: &Tensor| value.narrow(0, trial, 1).narrow(1, place as i64, 1);
        let weight = tch::no_grad(|| adapter.adapted_weight(&group.parameters()[class].map(own)));
        Ok(weight.squeeze_dim(0).squeeze_dim(0))
    }

    /// Trained parameters of one trial.
    pub fn num_parameters(&self, slot: usize) -> i64 {
        self.group_of(slot).stores.iter().filter(|store| store.trained).map(|store| store.count()).sum()
    }

    /// A copy of one parameter or constant of one trial, named and shaped as in the method's header.
    pub fn parameter(&self, site: &str, slot: usize, name: &str) -> Result<Tensor, CoreError> {
        Ok(self.parameter_view(site, slot, name)?.copy())
    }

    /// Replaces one parameter or constant of one trial, named and shaped as in the method's header.
    pub fn set_parameter(
        &mut self,
        site: &str,
        slot: usize,
        name: &str,
        value: &Tensor,
    ) -> Result<(), CoreError> {
        let mut own = self.parameter_view(site, slot, name)?;
        if own.size() != value.size() {
            return Err(CoreError::ParameterShape {
                site: site.to_owned(),
                name: name.to_owned(),
                given: value.size(),
                expected: own.size(),
            });
        }
        tch::no_grad(|| own.copy_(value));
        self.applied.borrow_mut().clear();
        Ok(())
    }

    /// Forgets what was made from the parameters, after they changed.
    pub(crate) fn refresh(&mut self) {
        self.applied.borrow_mut().clear();
    }

    fn applied(&self, kind: Kind) -> Rc<Vec<AppliedClass>> {
        if let Some(known) = self.applied.borrow().get(&kind) {
            return known.clone();
        }
        // Also when called without gradients: a later call of the same step may want them.
        let made = tch::with_grad(|| {
            let parameters: Vec<Vec<Parameters>> = self.groups.iter().map(MethodGroup::parameters).collect();
            let of_group = |(group, parameters): (&MethodGroup, &Vec<Parameters>), class: usize| {
                (group.num_trials as i64, group.adapters[class].factors(&parameters[class]))
            };
            let of_class = |class| {
                let groups = self.groups.iter().zip(&parameters).map(|pair| of_group(pair, class));
                AppliedClass::new(groups, &self.classes[class], kind)
            };
            Rc::new((0..self.classes.len()).map(of_class).collect::<Vec<_>>())
        });
        self.applied.borrow_mut().insert(kind, made.clone());
        made
    }

    /// Distances, strengths and bounds of one class, each by site and slot; NaN where there is none.
    fn read_class(&self, class: usize, parameters: &[Vec<Parameters>]) -> [Vec<Vec<f64>>; 3] {
        let sites = self.classes[class].num_sites();
        let mut columns: [Vec<Tensor>; 3] = Default::default();
        for (group, parameters) in self.groups.iter().zip(parameters) {
            let adapter = &group.adapters[class];
            let exact = parameters[class].map(|value| value.to_kind(Kind::Double));
            let distance = adapter.factors(&exact).distance(&self.classes[class]);
            let shape = [group.num_trials as i64, sites];
            let absent = || Tensor::full(shape, f64::NAN, (Kind::Double, distance.device()));
            let strength = group.strength(class, &exact).unwrap_or_else(absent);
            let bound = adapter.bound(&exact).unwrap_or_else(absent).to_kind(Kind::Double);
            for (column, values) in columns.iter_mut().zip([&distance, &strength, &bound]) {
                column.push(values.expand(shape, false));
            }
        }
        columns.map(|groups| {
            let by_site = Tensor::cat(&groups, 0).tr().contiguous(); // [sites, trials]
            Vec::<Vec<f64>>::try_from(by_site).expect("a matrix of f64")
        })
    }

    fn parameter_view(&self, site: &str, slot: usize, name: &str) -> Result<Tensor, CoreError> {
        let (class, place) = self.known_place(site, slot)?;
        let group = self.group_of(slot);
        let trial = slot - group.first;
        let found = group.stores.iter().find_map(|store| store.view(class, place, trial, name));
        found.ok_or_else(|| CoreError::UnknownParameter {
            site: site.to_owned(),
            slot,
            name: name.to_owned(),
            known: group.stores.iter().flat_map(|store| store.names(class)).collect::<Vec<_>>().join(", "),
        })
    }

    fn known_place(&self, site: &str, slot: usize) -> Result<(usize, usize), CoreError> {
        if slot >= self.num_trials() {
            return Err(CoreError::UnknownSlot { slot, trials: self.num_trials() });
        }
        self.place(site)
    }

    fn place(&self, site: &str) -> Result<(usize, usize), CoreError> {
        self.places.get(site).copied().ok_or_else(|| CoreError::UnknownSite { site: site.to_owned() })
    }

    fn group_of(&self, slot: usize) -> &MethodGroup {
        let holds = |group: &&MethodGroup| slot < group.first + group.num_trials;
        self.groups.iter().find(holds).expect("a slot below the number of trials")
    }
}

/// The gradient of `total` by each of `leaves`; zero where it does not depend on one.
fn gradients_of(total: &Tensor, leaves: &[&Tensor]) -> Vec<Tensor> {
    let gradients = Tensor::run_backward(&[total], leaves, false, false);
    let or_zero = |(gradient, leaf): (Tensor, &&Tensor)| {
        if gradient.defined() { gradient } else { leaf.detach().zeros_like() }
    };
    gradients.into_iter().zip(leaves).map(or_zero).collect()
}
