//! What trials had learnt at an earlier step, to come back to: the best epoch of each.

use tch::Tensor;

use super::Bank;
use crate::group::MethodGroup;

impl Bank {
    /// Keeps a copy of all that the chosen slots have learnt, in place of an older one. The first call keeps a copy for
    /// the others too. `chosen` has a truth value for each slot.
    ///
    /// ```
    /// # use delora_core::{Bank, Role, Site, TrialConfig, settings::Lora};
    /// # use tch::{Device, Kind, Tensor};
    /// # let weight = Tensor::randn([4, 6], (Kind::Float, Device::Cpu));
    /// # let site = Site::linear("layer", Role::Other, &weight, None);
    /// # let trial = TrialConfig::new(Lora { rank: 2, ..Default::default() }, 1e-2, 1);
    /// # let mut bank = Bank::new(&[site], &[trial], Device::Cpu)?;
    /// # let input = Tensor::randn([1, 5, 6], (Kind::Float, Device::Cpu));
    /// # let step = |bank: &mut Bank| {
    /// #     let losses = bank.forward("layer", &weight, None, &input).square().sum(Kind::Float).view(1);
    /// #     bank.step(&losses);
    /// # };
    /// step(&mut bank);
    /// let best = bank.merged("layer", 0)?;
    /// bank.keep(&[true]);
    /// step(&mut bank);
    /// assert_ne!(bank.merged("layer", 0)?, best);
    /// bank.recall();
    /// assert_eq!(bank.merged("layer", 0)?, best);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn keep(&mut self, chosen: &[bool]) {
        let copy = |leaf: &Tensor| leaf.detach().copy();
        let kept = self.kept.take().unwrap_or_else(|| self.leaves().map(|(_, leaf)| copy(leaf)).collect());
        for ((group, leaf), kept) in self.leaves().zip(&kept) {
            for row in (0..group.num_trials).filter(|row| chosen[group.first + row]) {
                kept.get(row as i64).copy_(&leaf.detach().get(row as i64));
            }
        }
        self.kept = Some(kept);
    }

    /// Puts back what [`Bank::keep`] kept; without that all stays.
    pub fn recall(&mut self) {
        let Some(kept) = &self.kept else { return };
        gradient_mode::off(|| {
            self.leaves().zip(kept).for_each(|((_, leaf), kept)| leaf.shallow_clone().copy_(kept));
        });
        self.refresh();
    }

    /// What is trained, [trials, values], with the group of its trials.
    fn leaves(&self) -> impl Iterator<Item = (&MethodGroup, &Tensor)> {
        self.groups.iter().flat_map(|group| group.leaves().into_iter().map(move |leaf| (group, leaf)))
    }
}
