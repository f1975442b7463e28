//! What the ledger says of a trial.

use crate::ledger::records::Ledger;
use crate::workload::Status;

/// What the ledger says of a trial.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    Open,
    Done,
    Diverged {
        step: u64,
    },
    /// Run again by the next run.
    Failed {
        message: String,
    },
    /// Its file does not verify; run again by the next run.
    Damaged {
        reason: String,
    },
}

impl State {
    pub(crate) fn read(ledger: &Ledger, id: &str) -> State {
        match ledger.read_status(id) {
            Ok(None) => State::Open,
            Err(reason) => State::Damaged { reason },
            Ok(Some(Status::Done)) => State::Done,
            Ok(Some(Status::Diverged { step, .. })) => State::Diverged { step },
            Ok(Some(Status::Failed { message })) => State::Failed { message },
        }
    }

    /// Whether the next run leaves the trial alone.
    pub fn is_final(&self) -> bool {
        matches!(self, State::Done | State::Diverged { .. })
    }

    pub fn name(&self) -> &'static str {
        match self {
            State::Open => "open",
            State::Done => "done",
            State::Diverged { .. } => "diverged",
            State::Failed { .. } => "failed",
            State::Damaged { .. } => "damaged",
        }
    }
}
