//! What trials had learnt at an earlier step, to come back to: the best epoch of each.

use tch::Tensor;

use super::Bank;
use crate::group::MethodGroup;

impl Bank {
    /// Keeps a copy of all that the chosen slots have learnt, in place of an older one. The first call keeps a copy for
    /// the others too.
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
