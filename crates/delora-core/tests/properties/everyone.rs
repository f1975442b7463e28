//! Every method in every form, two trials of each, in one bank; and what a check finds of a method there.

use std::cell::OnceCell;

use delora_core::{Bank, METHODS, Method, ParameterName, SiteReading, SiteShape};
use serde_json::{Map, Value};

use crate::network::{Network, cases, pair, slot_of, uniform};

const RANK: i64 = 2;

/// What a check that did not fail has found of a method.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Finding {
    Holds,
    /// It holds as far as it applies; why it does not apply further.
    Partly(&'static str),
    /// Why there is nothing to check.
    Nothing(&'static str),
}

pub const NO_WEIGHT: Finding =
    Finding::Nothing("It changes hidden states; there is no weight W′ to speak of.");

pub struct Everyone {
    pub network: Network,
    pub bank: Bank,
    readings: OnceCell<Vec<SiteReading>>,
}

impl Everyone {
    /// At the start. `shape` is in_features, out_features and seed.
    pub fn new(shape: (i64, i64, u64), rate: f64) -> Everyone {
        let network = Network::new(shape.0, shape.1, shape.2);
        let trials = cases(RANK).into_iter().flat_map(|(method, settings)| pair(method, &settings, rate));
        let bank = network.bank(&trials.collect::<Vec<_>>());
        Everyone { network, bank, readings: OnceCell::new() }
    }

    pub fn trained(shape: (i64, i64, u64), rate: f64, steps: u64) -> Everyone {
        let mut everyone = Everyone::new(shape, rate);
        everyone.network.train(&mut everyone.bank, steps);
        everyone
    }

    /// Each trained value moved by itself, by up to a half: directions are in general position, which those that
    /// Adam has moved need not be, as its first steps go by signs alone.
    pub fn scattered(shape: (i64, i64, u64)) -> Everyone {
        let mut everyone = Everyone::new(shape, 0.0);
        let bank = &mut everyone.bank;
        for slot in 0..bank.num_trials() {
            for ParameterName { site, name, .. } in
                bank.parameter_names(slot).iter().filter(|own| own.trained)
            {
                let value = bank.parameter(site, slot, name).unwrap();
                let moved = &value + 0.5 * uniform(shape.2, &format!("{slot}/{site}/{name}"), &value.size());
                bank.set_parameter(site, slot, name, &moved).unwrap();
            }
        }
        everyone
    }

    pub fn holds_for_all(&self, check: impl Fn(&Everyone, &'static Method) -> Finding) {
        for method in METHODS {
            check(self, method);
        }
    }

    /// Of the trained trials.
    pub fn readings(&self) -> &[SiteReading] {
        self.readings.get_or_init(|| self.bank.telemetry())
    }

    /// The trials of a method.
    pub fn slots(&self, method: &Method) -> Vec<usize> {
        let slots: Vec<usize> = (0..self.bank.num_trials())
            .filter(|&slot| self.bank.method(slot).name() == method.name())
            .collect();
        assert!(slots.len() >= 2, "{} has no trials", method.name());
        slots
    }

    pub fn settings(&self, slot: usize) -> &Map<String, Value> {
        &self.bank.trial(slot).method.settings
    }

    /// The sites that a trial adapts.
    pub fn adapted(&self, slot: usize) -> Vec<SiteShape> {
        let (method, settings) = (self.bank.method(slot), self.settings(slot));
        let shapes = self.network.sites.iter().map(|site| site.shape().unwrap());
        shapes.filter(|shape| method.variant(settings, shape, None).unwrap().is_some()).collect()
    }

    pub fn label(&self, slot: usize) -> String {
        format!("{} {}", self.bank.trial(slot).method.name, Value::Object(self.settings(slot).clone()))
    }

    /// The bare network's slot.
    pub fn bare(&self) -> usize {
        slot_of(&self.bank, 0)
    }
}
