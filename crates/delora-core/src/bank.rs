//! A bank: trials of any methods, trained side by side over one frozen network.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use tch::{Device, Kind, Tensor, nn};

use crate::adapter::{Adapter, Hidden, Parameters, TENSOR_VALUE};
use crate::class::{Class, LinearClass};
use crate::config::TrialConfig;
use crate::error::CoreError;
use crate::factors::Factors;
use crate::group::MethodGroup;
use crate::method::Method;
use crate::site::{Part, Site};

mod applied;
mod gradients;
mod kept;
mod merged;
pub(crate) mod parameters;
pub(crate) mod plan;
pub(crate) mod trained;

use applied::{AppliedClass, AppliedHidden, AppliedLinear, AppliedTensor};
use plan::{Classes, PlannedGroup};

/// Adapters, optimizer and fate of trials that run through one frozen network with a leading `trials` axis.
///
/// A trial's result depends on its own config alone, never on the bank it is in.
///
/// ```
/// use delora_core::settings::{Dora, Lora};
/// use delora_core::{Bank, Role, Site, TrialConfig};
/// use tch::{Device, Kind, Tensor};
///
/// let weight = Tensor::randn([4, 6], (Kind::Float, Device::Cpu));
/// let site = Site::linear("layer", Role::Query, &weight, None);
/// let dora = || Dora(Lora { rank: 2, ..Default::default() });
/// let trials = [1, 2].map(|seed| TrialConfig::new(dora(), 1e-2, seed));
/// let mut bank = Bank::new(&[site], &trials, Device::Cpu)?;
/// let input = Tensor::randn([2, 5, 6], (Kind::Float, Device::Cpu)); // [trials, rows, in_features]
/// for _ in 0..3 {
///     let output = bank.forward("layer", &weight, None, &input); // [trials, rows, out_features]
///     bank.step(&output.square().mean_dim([1, 2].as_slice(), false, Kind::Float)); // a loss for each trial
/// }
/// // The adapted weight by the method's definition gives what training computed.
/// let output = bank.forward("layer", &weight, None, &input);
/// for slot in 0..2 {
///     let merged = bank.merged("layer", slot)?;
///     let difference = output.get(slot as i64) - input.get(slot as i64).matmul(&merged.tr());
///     assert!(f64::try_from(difference.abs().max())? < 1e-5);
///     assert!(f64::try_from((merged - &weight).norm())? > 1e-3);
/// }
/// assert_eq!(bank.health(), [None, None]); // no loss was infinite or NaN
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Bank {
    /// All that may be adapted, and those of them that are, by class.
    sites: Vec<Site>,
    pub(crate) classes: Vec<Class>,
    /// Class and place in the class of each adapted site.
    places: HashMap<String, (usize, usize)>,
    pub(crate) groups: Vec<MethodGroup>,
    pub(crate) trials: Vec<TrialConfig>,
    order: Vec<usize>,
    pub(crate) steps: u64,
    /// Gradients of this step so far, of each group's leaves, and whose losses were finite, `[trials]`.
    pending: Option<(Vec<Tensor>, Tensor)>,
    /// Copies of each group's leaves, see [`Bank::keep`].
    pub(crate) kept: Option<Vec<Tensor>>,
    /// What tells each leaf's start from other values, see [`trained`].
    starts: Vec<Tensor>,
    /// What `forward` applies, by kind of activation and class; made once per step.
    applied: RefCell<HashMap<Kind, Rc<Vec<AppliedClass>>>>,
}

/// What is known of one adapted linear site without a dense product, for each slot.
pub struct SiteReading {
    /// The site's name.
    pub site: String,
    /// ‖W' − W‖ (Frobenius), where the trial adapts the site.
    pub distances: Vec<Option<f64>>,
    /// λ, where the method has one.
    pub strengths: Vec<Option<f64>>,
    /// What the distance cannot exceed at this λ, where the method has a bound.
    pub bounds: Vec<Option<f64>>,
}

/// Neighbouring trials of a bank, and the values that each of them has of one tensor.
pub struct TensorRun {
    /// How many trials.
    pub trials: i64,
    /// [trials, shape…]; absent: all have the frozen values.
    pub values: Option<Tensor>,
}

impl Bank {
    /// Trials are sorted so that equal structures are neighbours (see [`Bank::order`]) and start from their seeds.
    ///
    /// Errors name the trial, the setting and what would be right.
    pub fn new(sites: &[Site], trials: &[TrialConfig], device: Device) -> Result<Bank, CoreError> {
        let shapes = plan::shapes(sites)?;
        let (order, planned) = plan::groups(trials, &shapes)?;
        let sorted: Vec<TrialConfig> = order.iter().map(|&trial| trials[trial].clone()).collect();
        let Classes { classes, acts, places } = plan::classes(sites, &shapes, &planned, device);
        let mut groups = Vec::new();
        for (index, PlannedGroup { method, slots, .. }) in planned.iter().enumerate() {
            let acts: Vec<bool> = acts.iter().map(|groups| groups[index]).collect();
            let group =
                MethodGroup::new(method, slots.start, &sorted[slots.clone()], &classes, &acts, device);
            groups.push(group.map_err(|problem| plan::settings_error(method, order[slots.start], problem))?);
        }
        let starts = groups.iter().flat_map(MethodGroup::leaves).map(trained::fingerprint).collect();
        Ok(Bank {
            sites: sites.iter().map(Site::shared).collect(),
            classes,
            places,
            groups,
            trials: sorted,
            order,
            steps: 0,
            pending: None,
            kept: None,
            starts,
            applied: RefCell::default(),
        })
    }

    /// For each slot the index that its trial had in the list given to `new`.
    pub fn order(&self) -> &[usize] {
        &self.order
    }

    /// How many trials the bank has, which is how many slots.
    pub fn num_trials(&self) -> usize {
        self.order.len()
    }

    /// Updates done so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The trial in a slot. Panics where there is no such slot.
    pub fn trial(&self, slot: usize) -> &TrialConfig {
        &self.trials[slot]
    }

    /// The method of the trial in a slot. Panics where there is no such slot.
    pub fn method(&self, slot: usize) -> &'static Method {
        self.group_of(slot).method
    }

    /// Whether any trial adapts the site.
    pub fn adapts(&self, site: &str) -> bool {
        self.places.contains_key(site)
    }

    /// A layer of one's own network under this bank: `input` [trials, .., in_features] gives [trials, ..,
    /// out_features], in `input`'s kind. A layer that no trial adapts, or that is no site, stays as it is.
    ///
    /// The bank knows the layer by the storage of its weight, so the site has to be made from the layer itself and not
    /// from a copy. Panics when `input` does not fit, or has another number of trials.
    pub fn linear(&self, layer: &nn::Linear, input: &Tensor) -> Tensor {
        let is_layer = |site: &&Site| match &site.part {
            Part::Linear { weight, .. } => weight.data_ptr() == layer.ws.data_ptr(),
            _ => false,
        };
        let name = self.sites.iter().find(is_layer).map_or("", |site| &site.name);
        let mut shape = input.size();
        let rows =
            input.reshape([self.num_trials() as i64, -1, *shape.last().expect("an input has features")]);
        let output = self.forward(name, &layer.ws, layer.bs.as_ref(), &rows);
        *shape.last_mut().expect("an input has features") = layer.ws.size()[0];
        output.reshape(shape)
    }

    /// The linear layer `site`: `input` [trials, rows, in_features] gives [trials, rows, out_features], in `input`'s
    /// kind. `weight` [out_features, in_features] and `bias` `[out_features]` are the frozen ones.
    ///
    /// One frozen product serves all trials whose methods act at the same places, whatever they are; where no trial
    /// adapts the layer, that product is all. Panics when `site` is something else or `input` does not fit.
    pub fn forward(&self, site: &str, weight: &Tensor, bias: Option<&Tensor>, input: &Tensor) -> Tensor {
        self.forward_with(site, weight, bias, input, input)
    }

    /// The same as [`Bank::forward`], where additive updates of low rank get `dropped` in place of `input`: what dropout
    /// leaves of it, in the same shape.
    pub fn forward_with(
        &self,
        site: &str,
        weight: &Tensor,
        bias: Option<&Tensor>,
        input: &Tensor,
        dropped: &Tensor,
    ) -> Tensor {
        let Some(&(class, place)) = self.places.get(site) else {
            let kind = input.kind();
            return input.linear(&weight.to_kind(kind), bias.map(|bias| bias.to_kind(kind)).as_ref());
        };
        match &self.applied(input.kind())[class] {
            AppliedClass::Linear(applied) => applied.forward(place, weight, bias, [input, dropped]),
            _ => panic!("site `{site}` is no linear layer"),
        }
    }

    /// The hidden states as the trials' methods change them, in the shape [trials, batch, tokens, features] and kind
    /// of the old. Panics when `site` is no adapted hidden state.
    pub fn hidden(&self, site: &str, hidden: &Hidden) -> Tensor {
        let (class, place) = self.places[site];
        match &self.applied(hidden.values.kind())[class] {
            AppliedClass::Hidden(applied) => applied.forward(place, hidden),
            _ => panic!("site `{site}` is no hidden state"),
        }
    }

    /// Whether a method reads [`Hidden::normed`] at this site, in passes of this kind.
    pub fn reads_normed(&self, site: &str, kind: Kind) -> bool {
        self.places.get(site).is_some_and(|&(class, _)| match &self.applied(kind)[class] {
            AppliedClass::Hidden(applied) => applied.reads_normed,
            _ => false,
        })
    }

    /// The values that trials have of a tensor of the network or of the task, in `kind`, by runs of neighbouring trials in
    /// slot order. `None` where it is frozen for all.
    pub fn tensor(&self, site: &str, kind: Kind) -> Option<Vec<TensorRun>> {
        let &(class, place) = self.places.get(site)?;
        let applied = self.applied(kind);
        let AppliedClass::Tensor(applied) = &applied[class] else { return None };
        let run = |(trials, values): &(i64, Option<Vec<Tensor>>)| TensorRun {
            trials: *trials,
            values: values.as_ref().map(|values| values[place].shallow_clone()),
        };
        Some(applied.groups.iter().map(run).collect())
    }

    /// For each slot the step, counted from 0, whose loss or gradient was not finite. Waits for the device.
    pub fn health(&self) -> Vec<Option<u64>> {
        let steps: Vec<Tensor> = self.groups.iter().map(|group| group.optimizer.diverged_at()).collect();
        let steps = Vec::<i64>::try_from(Tensor::cat(&steps, 0)).expect("one integer per slot");
        steps.into_iter().map(|step| u64::try_from(step).ok()).collect()
    }

    /// ‖W' − W‖ (Frobenius) by site and slot. Waits for the device.
    pub fn distances(&self) -> Vec<(String, Vec<Option<f64>>)> {
        self.telemetry().into_iter().map(|reading| (reading.site, reading.distances)).collect()
    }

    /// Distances, strengths and bounds by adapted linear site, in the order of the sites given to `new`. Waits for
    /// the device.
    pub fn telemetry(&self) -> Vec<SiteReading> {
        gradient_mode::off(|| {
            let parameters: Vec<Vec<Parameters>> = self.groups.iter().map(MethodGroup::parameters).collect();
            let read = |(index, class): (usize, &Class)| match class {
                Class::Linear(class) => Some(self.read_class(index, class, &parameters)),
                _ => None,
            };
            let tables: Vec<Option<[Vec<Vec<f64>>; 3]>> = self.classes.iter().enumerate().map(read).collect();
            let known = |value: &f64| (!value.is_nan()).then_some(*value);
            let reading = |site: &Site| {
                let &(class, place) = self.places.get(&site.name)?;
                let values = |table: &Vec<Vec<f64>>| table[place].iter().map(known).collect();
                let [distances, strengths, bounds] = tables[class].as_ref()?.each_ref().map(values);
                Some(SiteReading { site: site.name.clone(), distances, strengths, bounds })
            };
            self.sites.iter().filter_map(reading).collect()
        })
    }

    /// Moves all parameters to where their methods allow them to be.
    pub(crate) fn constrain(&mut self) {
        self.groups.iter().for_each(MethodGroup::constrain);
        self.refresh();
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
        let made = gradient_mode::on(|| {
            let parameters: Vec<Vec<Parameters>> = self.groups.iter().map(MethodGroup::parameters).collect();
            let of_class = |class| self.apply_class(class, &parameters, kind);
            Rc::new((0..self.classes.len()).map(of_class).collect::<Vec<_>>())
        });
        self.applied.borrow_mut().insert(kind, made.clone());
        made
    }

    fn apply_class(&self, class: usize, parameters: &[Vec<Parameters>], kind: Kind) -> AppliedClass {
        let groups = self.groups.iter().zip(parameters);
        let groups = groups.map(|(group, parameters)| {
            (group.num_trials as i64, group.adapters[class].as_ref(), &parameters[class])
        });
        match &self.classes[class] {
            Class::Linear(class) => {
                let factors = |(trials, adapter, parameters): (i64, Option<&Adapter>, &Parameters)| {
                    let factors = match adapter {
                        Some(Adapter::Linear(adapter)) => adapter.factors(parameters),
                        _ => Factors::default(),
                    };
                    (trials, factors)
                };
                AppliedClass::Linear(AppliedLinear::new(groups.map(factors), class, kind))
            }
            Class::Tensor(_) | Class::TaskTensor(_) => {
                let values = groups.map(|(trials, adapter, parameters)| {
                    (trials, adapter.map(|_| parameters[TENSOR_VALUE].to_kind(kind).unbind(1)))
                });
                AppliedClass::Tensor(AppliedTensor { groups: values.collect() })
            }
            Class::Hidden(_) => {
                let mut reads_normed = false;
                let changes = groups.map(|(trials, adapter, parameters)| match adapter {
                    Some(Adapter::Hidden(adapter)) => {
                        reads_normed |= adapter.reads_normed();
                        (trials, Some(adapter.changes(parameters, kind)))
                    }
                    _ => (trials, None),
                });
                let groups = changes.collect();
                AppliedClass::Hidden(AppliedHidden { groups, reads_normed })
            }
        }
    }

    /// Distances, strengths and bounds of one class, each by site and slot; NaN where there is none.
    fn read_class(
        &self,
        index: usize,
        class: &LinearClass,
        parameters: &[Vec<Parameters>],
    ) -> [Vec<Vec<f64>>; 3] {
        let mut columns: [Vec<Tensor>; 3] = Default::default();
        for (group, parameters) in self.groups.iter().zip(parameters) {
            let shape = [group.num_trials as i64, class.num_sites()];
            let absent = || Tensor::full(shape, f64::NAN, (Kind::Double, class.device()));
            let [distance, strength, bound] = match &group.adapters[index] {
                Some(Adapter::Linear(adapter)) => {
                    let exact = parameters[index].map(|value| value.to_kind(Kind::Double));
                    let bound = adapter.bound(&exact).map(|bound| bound.to_kind(Kind::Double));
                    let distance = adapter.factors(&exact).distance(class);
                    let strength = group.strength(index, &exact);
                    [distance, strength.unwrap_or_else(absent), bound.unwrap_or_else(absent)]
                }
                _ => [absent(), absent(), absent()],
            };
            for (column, values) in columns.iter_mut().zip([&distance, &strength, &bound]) {
                column.push(values.expand(shape, false));
            }
        }
        columns.map(|groups| {
            let by_site = Tensor::cat(&groups, 0).tr().contiguous(); // [sites, trials]
            Vec::<Vec<f64>>::try_from(by_site).expect("a matrix of f64")
        })
    }

    fn known_place(&self, site: &str, slot: usize) -> Result<(usize, usize), CoreError> {
        self.known_slot(slot)?;
        let place = self.places.get(site).copied();
        place.ok_or_else(|| CoreError::UnknownSite { site: site.to_owned() })
    }

    pub(crate) fn known_slot(&self, slot: usize) -> Result<(), CoreError> {
        if slot >= self.num_trials() {
            return Err(CoreError::UnknownSlot { slot, trials: self.num_trials() });
        }
        Ok(())
    }

    fn device(&self) -> Device {
        self.classes[0].device()
    }

    fn group_of(&self, slot: usize) -> &MethodGroup {
        let holds = |group: &&MethodGroup| slot < group.first + group.num_trials;
        self.groups.iter().find(holds).expect("a slot below the number of trials")
    }
}
