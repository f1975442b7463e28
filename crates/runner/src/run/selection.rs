//! Which trials of the grid a run takes: by their state in the ledger, and by id.

use std::str::FromStr;

use crate::error::{Result, RunnerError};
use crate::ledger::State;
use crate::settings::closest;
use crate::workload::Trial;

/// Trials in one state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Only {
    /// Those whose record says so, and those whose record is damaged.
    Failed,
    /// Those that diverged, from their start; the old record stays until there is a new result.
    Diverged,
    /// Those without a record.
    Unfinished,
}

impl Only {
    pub fn name(self) -> &'static str {
        match self {
            Only::Failed => "failed",
            Only::Diverged => "diverged",
            Only::Unfinished => "unfinished",
        }
    }
}

impl FromStr for Only {
    type Err = String;

    fn from_str(text: &str) -> Result<Only, String> {
        let all = [Only::Failed, Only::Diverged, Only::Unfinished];
        let known = all.into_iter().find(|only| only.name() == text);
        known.ok_or_else(|| format!("found `{text}`; write {}", all.map(Only::name).join(", ")))
    }
}

/// Which trials a run takes; by default every trial without a result.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    pub only: Option<Only>,
    /// Ids of trials; all trials when empty.
    pub trials: Vec<String>,
}

impl Selection {
    /// Fails on an id that is not in the grid.
    pub(crate) fn check(&self, trials: &[Trial]) -> Result<()> {
        let ids: Vec<&str> = trials.iter().map(|trial| trial.id.as_str()).collect();
        match self.trials.iter().find(|id| !ids.contains(&id.as_str())) {
            None => Ok(()),
            Some(id) => Err(RunnerError::NoTrial {
                id: id.clone(),
                remedy: match closest(id, &ids) {
                    Some(close) => format!("did you mean `{close}`?"),
                    None => "`delora status` lists them".to_string(),
                },
            }),
        }
    }

    pub(crate) fn takes(&self, trial: &Trial, state: &State) -> bool {
        let wanted = match self.only {
            None => !state.is_final(),
            Some(Only::Failed) => matches!(state, State::Failed { .. } | State::Damaged { .. }),
            Some(Only::Diverged) => matches!(state, State::Diverged { .. }),
            Some(Only::Unfinished) => *state == State::Open,
        };
        wanted && (self.trials.is_empty() || self.trials.contains(&trial.id))
    }

    /// Whether trials that have a result are run anew.
    pub(crate) fn again(&self) -> bool {
        self.only == Some(Only::Diverged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_choice_takes_its_states_and_no_others() {
        let states = [
            State::Open,
            State::Done,
            State::Diverged { step: 1 },
            State::Failed { message: String::new() },
            State::Damaged { reason: String::new() },
        ];
        let trial = Trial { id: "a".to_string(), config: serde_json::json!({}), inputs: String::new() };
        let taken = |only: Option<Only>| {
            let selection = Selection { only, trials: Vec::new() };
            states.clone().map(|state| selection.takes(&trial, &state))
        };
        assert_eq!(taken(None), [true, false, false, true, true]);
        assert_eq!(taken(Some(Only::Failed)), [false, false, false, true, true]);
        assert_eq!(taken(Some(Only::Diverged)), [false, false, true, false, false]);
        assert_eq!(taken(Some(Only::Unfinished)), [true, false, false, false, false]);
        let other = Selection { only: None, trials: vec!["b".to_string()] };
        assert!(!other.takes(&trial, &State::Open));
        assert!(other.check(&[trial]).unwrap_err().to_string().contains("`b`"));
        assert_eq!("diverged".parse(), Ok(Only::Diverged));
        assert_eq!("open".parse::<Only>().unwrap_err(), "found `open`; write failed, diverged, unfinished");
    }
}
