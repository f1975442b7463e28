//! The loss of a batch of examples, and its gradients with and without recomputation.

use delora_core::Bank;
use finetune::{BankHook, padded};
use models::Hook;
use models::decoder::Decoder;
use tch::{Device, Kind, Tensor};

use crate::examples::Example;

/// The inputs of one pass, N rows of T tokens, trial-major.
pub struct Batch {
    /// `[N, T]`
    pub ids: Tensor,
    /// The token behind each, `[N, T]`
    pub targets: Tensor,
    /// What each target's loss counts in its trial's, `[N, T]`: 0 at padding and at what is given.
    pub weights: Tensor,
}

impl Batch {
    /// The examples of `rows`, with the weight of each target of each.
    pub fn new(rows: &[(&Example, f32)], device: Device) -> Batch {
        let rows: Vec<&(&Example, f32)> = rows.iter().collect();
        let ids = rows.iter().map(|(example, _)| &example.ids[..example.ids.len() - 1]);
        let targets = rows.iter().map(|(example, _)| &example.ids[1..]);
        let ids = padded(ids, 0, device);
        let mut weights = vec![0f32; ids.numel()];
        let length = ids.size()[1] as usize;
        for (row, (example, weight)) in weights.chunks_mut(length).zip(&rows) {
            for targets in &example.targets {
                row[targets.start - 1..targets.end - 1].fill(*weight);
            }
        }
        Batch {
            targets: padded(targets, 0, device),
            weights: Tensor::from_slice(&weights).view_as(&ids).to_device(device),
            ids,
        }
    }
}

/// Each trial's loss `[trials]`: the weighted sum of its targets' cross-entropies, from `hidden` `[N, T, hidden_size]`
/// behind the last norm.
fn losses_of(llama: &Decoder, hidden: &Tensor, batch: &Batch, trials: i64, hook: &dyn Hook) -> Tensor {
    let logits = llama.logits(hidden, hook).to_kind(Kind::Float).flatten(0, 1);
    let own = logits.cross_entropy_loss::<&Tensor>(
        &batch.targets.flatten(0, 1),
        None,
        tch::Reduction::None,
        -100,
        0.0,
    );
    (own.view_as(&batch.weights) * &batch.weights).view([trials, -1]).sum_dim_intlist(
        [1i64].as_slice(),
        false,
        Kind::Float,
    )
}

/// Each trial's loss `[trials]` on a batch of `trials` equal parts.
pub fn losses(llama: &Decoder, batch: &Batch, trials: i64, kind: Kind, hook: &dyn Hook) -> Tensor {
    losses_of(llama, &llama.forward(&batch.ids, kind, hook), batch, trials, hook)
}

/// Adds the gradients of a batch to the bank's, keeping only what goes into each block. Gives the losses `[trials]`.
pub fn accumulate_recomputed(bank: &mut Bank, llama: &Decoder, batch: &Batch, kind: Kind) -> Tensor {
    let trials = bank.num_trials() as i64;
    let positions = llama.positions(batch.ids.size()[1], kind);
    let mut inputs = Vec::with_capacity(llama.num_layers() + 1);
    let piece = |bank: &Bank, index: usize, inputs: &[Tensor]| {
        let (hook, input) = (BankHook::new(bank), &inputs[0]);
        if index == llama.num_layers() {
            return vec![losses_of(llama, &llama.normed(input, &hook), batch, trials, &hook)];
        }
        let embedded = (index == 0).then(|| llama.embed(input, kind, &hook));
        vec![llama.layer(index, embedded.as_ref().unwrap_or(input), &positions, &hook)]
    };
    gradient_mode::off(|| {
        inputs.push(vec![batch.ids.shallow_clone()]);
        for index in 0..llama.num_layers() {
            inputs.push(piece(bank, index, &inputs[index]));
        }
    });
    bank.accumulate_recomputed(&inputs, piece)
}
