//! From losses to an update of all trials.

use tch::{Kind, Tensor};

use super::Bank;
use crate::group::MethodGroup;

const NO_GRADIENT: &str = "the losses do not depend on what the bank trains; were gradients switched off?";

impl Bank {
    /// One update from `losses` `[trials]`, whatever made them from `forward`'s outputs. Waits for nothing.
    ///
    /// A trial whose loss or gradient is not finite is quarantined (see [`Bank::health`]) and changes no other.
    pub fn step(&mut self, losses: &Tensor) {
        self.accumulate(losses);
        self.finish_step();
    }

    /// Adds the gradients of `losses` `[trials]`, a part of this step's, for the update to come.
    ///
    /// Panics when trials of the bank are trained and the losses need no gradient: the bank would train nothing.
    pub fn accumulate(&mut self, losses: &Tensor) {
        let finite = losses.isfinite(); // [trials]
        let total = self.total_of(losses, &finite);
        let leaves = self.all_leaves();
        let gradients = if leaves.is_empty() {
            Vec::new()
        } else {
            assert!(total.requires_grad(), "{NO_GRADIENT}");
            gradients_of(&total, &leaves, false)
        };
        self.refresh();
        self.add_pending(gradients, finite);
    }

    /// Adds the gradients of a network that is computed in pieces. On the way back each piece is computed a second time,
    /// so that only the inputs of the pieces are kept.
    ///
    /// `inputs` are the tensors that go into each piece. `piece(bank, index, inputs)` gives the outputs of one piece: the
    /// inputs of the next, or the losses `[trials]` of the last. Gives the losses, and panics where [`Bank::accumulate`]
    /// does.
    pub fn accumulate_recomputed(
        &mut self,
        inputs: &[Vec<Tensor>],
        piece: impl Fn(&Bank, usize, &[Tensor]) -> Vec<Tensor>,
    ) -> Tensor {
        let leaves = self.all_leaves();
        let mut sums: Vec<Tensor> = leaves.iter().map(|leaf| leaf.detach().zeros_like()).collect();
        let mut behind: Option<Vec<Tensor>> = None;
        let mut losses = None;
        let mut needs_gradient = leaves.is_empty();
        for (index, input) in inputs.iter().enumerate().rev() {
            let input: Vec<Tensor> =
                input.iter().map(|input| input.detach().set_requires_grad(index > 0)).collect();
            let outputs = piece(self, index, &input);
            let total = match &behind {
                None => {
                    let output = &outputs[0];
                    let detached = output.detach();
                    let total = self.total_of(output, &detached.isfinite());
                    losses = Some(detached);
                    total
                }
                Some(gradients) => {
                    let parts = outputs.iter().zip(gradients);
                    let parts = parts.map(|(output, gradient)| (output * gradient).sum(Kind::Float));
                    parts.reduce(|sum, part| sum + part).expect("a piece gives something")
                }
            };
            let mut wanted = leaves.clone();
            wanted.extend(input.iter().filter(|_| index > 0));
            if wanted.is_empty() || !total.requires_grad() {
                continue;
            }
            needs_gradient = true;
            // All pieces have what was made from the parameters in common.
            let mut gradients = gradients_of(&total, &wanted, true);
            behind = (index > 0).then(|| gradients.split_off(leaves.len()));
            sums.iter_mut().zip(gradients).for_each(|(sum, gradient)| drop(sum.g_add_(&gradient)));
        }
        assert!(needs_gradient, "{NO_GRADIENT}");
        let losses = losses.expect("a network has pieces");
        self.refresh();
        self.add_pending(sums, losses.isfinite());
        losses
    }

    fn all_leaves(&self) -> Vec<&Tensor> {
        self.groups.iter().flat_map(MethodGroup::leaves).collect()
    }

    /// The sum of the losses of trials that are sound.
    fn total_of(&self, losses: &Tensor, finite: &Tensor) -> Tensor {
        let healthy =
            Tensor::cat(&self.groups.iter().map(|group| group.optimizer.healthy()).collect::<Vec<_>>(), 0);
        losses.where_scalarother(&finite.logical_and(&healthy), 0.0).sum(Kind::Float)
    }

    fn add_pending(&mut self, gradients: Vec<Tensor>, finite: Tensor) {
        self.pending = Some(match self.pending.take() {
            None => (gradients, finite),
            Some((sums, all_finite)) => {
                let add = |(mut sum, gradient): (Tensor, Tensor)| sum.g_add_(&gradient);
                (sums.into_iter().zip(gradients).map(add).collect(), all_finite.logical_and(&finite))
            }
        });
    }

    /// The update from what was accumulated; panics when nothing was.
    pub fn finish_step(&mut self) {
        let (gradients, finite) = self.pending.take().expect("an update follows accumulated gradients");
        let mut gradients = gradients.into_iter();
        for group in &mut self.groups {
            let count = group.leaves().len();
            let part: Vec<Tensor> = gradients.by_ref().take(count).collect();
            group.update(self.steps, &part, &finite.narrow(0, group.first as i64, group.num_trials as i64));
        }
        self.steps += 1;
    }
}

/// The gradient of `total` by each of `leaves`; zero where it does not depend on one.
fn gradients_of(total: &Tensor, leaves: &[&Tensor], keep_graph: bool) -> Vec<Tensor> {
    let gradients = Tensor::run_backward(&[total], leaves, keep_graph, false);
    let or_zero = |(gradient, leaf): (Tensor, &&Tensor)| {
        if gradient.defined() { gradient } else { leaf.detach().zeros_like() }
    };
    gradients.into_iter().zip(leaves).map(or_zero).collect()
}
