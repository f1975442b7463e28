//! Whether training has reached a trial at all: a check against results that are those of the start.

use tch::{Kind, Tensor};

use super::Bank;
use crate::group::HEAD;

/// Why a trial is not trained, though it has parameters to train.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Untrained {
    /// Every gradient was zero at every step.
    #[error("no gradient has reached what it trains")]
    NoGradient,
    /// Gradients came, and the values are those of the start.
    #[error(
        "what it trains is still as it was at the start; is the learning rate too small for 32-bit numbers?"
    )]
    NotMoved,
}

impl Bank {
    /// For each slot what shows that its method's parameters were not trained; a head's count where the method has
    /// none. Waits for the device.
    pub fn untrained(&self) -> Vec<Option<Untrained>> {
        let mut starts = self.starts.iter();
        let mut found = Vec::new();
        for group in &self.groups {
            let stores: Vec<_> = group.stores.iter().filter(|store| store.trained).collect();
            let is_head = |index: usize| stores[index].group.is_some_and(|group| HEAD.contains(&group));
            let alone = (0..stores.len()).all(is_head);
            let trials = group.num_trials;
            let (mut moved, mut reached) = (vec![false; trials], vec![false; trials]);
            for (index, store) in stores.iter().enumerate() {
                let start = starts.next().expect("a start for each leaf");
                if is_head(index) && !alone {
                    continue;
                }
                let changed = fingerprint(&store.values).ne_tensor(start).any_dim(1, false);
                let optimizer = &group.optimizer;
                let moments = [&optimizer.first_moments[index], &optimizer.second_moments[index]];
                let gradients = moments.map(|moment| moment.ne(0.0).any_dim(1, false));
                mark(&mut moved, &changed);
                mark(&mut reached, &gradients[0].logical_or(&gradients[1]));
            }
            found.extend(moved.into_iter().zip(reached).map(|(moved, reached)| match (reached, moved) {
                _ if stores.is_empty() => None,
                (false, _) => Some(Untrained::NoGradient),
                (true, false) => Some(Untrained::NotMoved),
                (true, true) => None,
            }));
        }
        found
    }
}

/// Values of all trials that are summed at once, so that their copies in f64 stay small.
const VALUES_AT_ONCE: i64 = 1 << 20;

/// Sums of each trial's values [trials, values] and of their squares, in f64, [trials, sums]: equal for equal values,
/// and different after a change such as training makes.
pub(super) fn fingerprint(values: &Tensor) -> Tensor {
    let at_once = (VALUES_AT_ONCE / values.size()[0].max(1)).max(1);
    let sums = values.detach().split(at_once, 1).into_iter().flat_map(|part| {
        let exact = part.to_kind(Kind::Double);
        [&exact, &exact.square()].map(|part| part.sum_dim_intlist([1i64].as_slice(), false, Kind::Double))
    });
    Tensor::stack(&sums.collect::<Vec<_>>(), 1)
}

fn mark(flags: &mut [bool], found: &Tensor) {
    let found = Vec::<bool>::try_from(found).expect("a truth value for each trial");
    flags.iter_mut().zip(found).for_each(|(flag, found)| *flag |= found);
}
