//! How the trials of a trained bank ended.

use delora_core::Bank;
use runner::Status;

/// For each slot: diverged where a loss or gradient was not finite, failed where nothing was trained, else done.
pub fn statuses(bank: &Bank) -> Vec<Status> {
    let ended = bank.health().into_iter().zip(bank.untrained());
    ended
        .map(|(diverged_at, untrained)| match (diverged_at, untrained) {
            (Some(step), _) => Status::Diverged { step },
            (None, Some(reason)) => {
                Status::Failed { message: format!("the trial trained nothing: {reason}") }
            }
            (None, None) => Status::Done,
        })
        .collect()
}
