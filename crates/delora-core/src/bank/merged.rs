//! One trial's layers taken out of their bank: merged weights, and updates of low rank.

use std::collections::BTreeMap;

use tch::Tensor;

use super::Bank;
use crate::adapter::{Adapter, LinearAdapter, Parameters, TENSOR_VALUE};
use crate::class::{Class, LinearClass};
use crate::error::CoreError;
use crate::factors::{Factors, LowRank};
use crate::method::Adapts;
use crate::site::{Part, Site};

impl Bank {
    /// The adapted weight W' of one trial, [out_features, in_features], by the method's definition.
    pub fn merged(&self, site: &str, slot: usize) -> Result<Tensor, CoreError> {
        let (class, _) = self.layer(site, slot)?;
        let merged =
            self.by_definition(site, slot, |adapter, parameters| Some(adapter.adapted_weight(parameters)));
        Ok(merged.map_or_else(|| class.weights[0].shallow_clone(), |weight| alone(&weight)))
    }

    /// The adapted bias of one trial, `[out_features]`, where the layer has one.
    pub fn merged_bias(&self, site: &str, slot: usize) -> Result<Option<Tensor>, CoreError> {
        let (_, bias) = self.layer(site, slot)?;
        let merged = self.by_definition(site, slot, |adapter, parameters| adapter.adapted_bias(parameters));
        Ok(merged.map(|bias| alone(&bias)).or(bias))
    }

    /// Every tensor of the network that one trial has in a form of its own, by its state-dict name.
    ///
    /// Errors when the trial's method changes hidden states, which no weight can stand for.
    pub fn merged_tensors(&self, slot: usize) -> Result<BTreeMap<String, Tensor>, CoreError> {
        self.known_slot(slot)?;
        let group = self.group_of(slot);
        if group.method.adapts == Adapts::Hidden {
            return Err(CoreError::NotMergeable { method: group.method.name() });
        }
        let mut tensors = BTreeMap::new();
        for Site { name, part } in &self.sites {
            let adapted = self.places.get(name).filter(|(class, _)| group.adapters[*class].is_some());
            match part {
                _ if adapted.is_none() => {}
                Part::Linear { .. } => {
                    tensors.insert(format!("{name}.weight"), self.merged(name, slot)?);
                    let bias = self.merged_bias(name, slot)?;
                    tensors.extend(bias.map(|bias| (format!("{name}.bias"), bias)));
                }
                Part::Tensor { .. } | Part::TaskTensor { .. } => {
                    tensors.insert(name.clone(), self.parameter(name, slot, TENSOR_VALUE)?);
                }
                Part::Hidden(_) => {}
            }
        }
        Ok(tensors)
    }

    /// W' − W of one trial as b a, with `a` [rank, in_features] and `b` [out_features, rank], where the method adds
    /// such an update and does nothing else.
    pub fn update(&self, site: &str, slot: usize) -> Result<Option<LowRank>, CoreError> {
        self.layer(site, slot)?;
        Ok(self.by_definition(site, slot, |adapter, parameters| match adapter.factors(parameters) {
            factors @ Factors {
                update: Some(_),
                update_scales: _,
                input_scale: None,
                input: None,
                input_blocks: None,
                weight: None,
                row_scale: None,
                output: None,
                bias: None,
            } => factors.scaled_update().map(|LowRank { a, b }| LowRank { a: alone(&a), b: alone(&b) }),
            _ => None,
        }))
    }

    /// One linear site, as a class of its own, and its bias.
    fn layer(&self, site: &str, slot: usize) -> Result<(LinearClass, Option<Tensor>), CoreError> {
        self.known_slot(slot)?;
        let known = self.sites.iter().find(|known| known.name == site);
        let known = known.ok_or_else(|| CoreError::UnknownSite { site: site.to_owned() })?;
        let class = LinearClass::of(known, self.device());
        let class = class.ok_or_else(|| CoreError::NotLinear { site: site.to_owned() })?;
        let bias = class.biases[0].as_ref().map(Tensor::shallow_clone);
        Ok((class, bias))
    }

    /// What `definition` says of one trial at one linear site, with leading axes [1, 1]; `None` where the trial does
    /// not adapt it.
    fn by_definition<T>(
        &self,
        site: &str,
        slot: usize,
        definition: impl Fn(&dyn LinearAdapter, &Parameters) -> Option<T>,
    ) -> Option<T> {
        let &(class, place) = self.places.get(site)?;
        let group = self.group_of(slot);
        group.adapters[class].as_ref()?;
        let known = self.sites.iter().find(|known| known.name == site)?;
        let single = Class::new(&[known], self.device());
        let settings = [&self.trials[slot].method.settings];
        let built = group.method.build(&settings, &single);
        let Adapter::Linear(adapter) = built.expect("the settings were checked when the bank was built")
        else {
            return None;
        };
        let trial = (slot - group.first) as i64;
        let of_trial = |value: &Tensor| value.narrow(0, trial, 1).narrow(1, place as i64, 1);
        gradient_mode::off(|| definition(adapter.as_ref(), &group.parameters()[class].map(of_trial)))
    }
}

/// Without the leading axes [1, 1].
fn alone(value: &Tensor) -> Tensor {
    value.squeeze_dim(0).squeeze_dim(0)
}
