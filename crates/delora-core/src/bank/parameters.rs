//! Parameters and constants of single trials, by site and name.

use tch::Tensor;

use super::Bank;
use crate::error::CoreError;
use crate::group::HEAD;
use crate::site::Site;
use crate::store::Store;

/// A parameter or constant of a trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterName {
    /// The site's name.
    pub site: String,
    /// As the method's header calls it.
    pub name: &'static str,
    /// Whether the trial has a learning rate for it.
    pub trained: bool,
}

impl Bank {
    /// Trained parameters of one trial's method; a task's head is not counted.
    pub fn num_parameters(&self, slot: usize) -> i64 {
        let counts = |store: &&Store| store.trained && store.group.is_none_or(|group| !HEAD.contains(&group));
        self.group_of(slot).stores.iter().filter(counts).map(Store::count).sum()
    }

    /// Everything that one trial has at its sites, parameters and constants.
    pub fn parameter_names(&self, slot: usize) -> Vec<ParameterName> {
        let group = self.group_of(slot);
        let of_site = |site: &Site| -> Vec<ParameterName> {
            let Some(&(class, _)) = self.places.get(&site.name) else { return Vec::new() };
            let of_store = |store: &Store| -> Vec<ParameterName> {
                let named = |name| ParameterName { site: site.name.clone(), name, trained: store.trained };
                store.names(class).map(named).collect()
            };
            group.stores.iter().flat_map(of_store).collect()
        };
        self.sites.iter().flat_map(of_site).collect()
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
        let mut view = self.parameter_view(site, slot, name)?;
        if view.size() != value.size() {
            return Err(CoreError::ParameterShape {
                site: site.to_owned(),
                name: name.to_owned(),
                given: value.size(),
                expected: view.size(),
            });
        }
        gradient_mode::off(|| view.copy_(value));
        self.group_of(slot).constrain();
        self.applied.borrow_mut().clear();
        Ok(())
    }

    pub(crate) fn parameter_view(&self, site: &str, slot: usize, name: &str) -> Result<Tensor, CoreError> {
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
}
