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
    /// One of several parts of the trials.
    pub shard: Option<Shard>,
    /// Leave failed trials alone, so that of many workers not each tries them again.
    pub leaves_failed: bool,
}

/// A part of the trials, chosen by their ids alone: for machines that share nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// From 1.
    index: u64,
    count: u64,
}

impl Shard {
    fn holds(self, id: &str) -> bool {
        u64::from_str_radix(id, 16).is_ok_and(|number| number % self.count == self.index - 1)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Shard, String> {
        let wrong =
            || format!("found `{text}`; write the number of a part and how many there are, as in 2/8");
        let (index, count) = text.split_once('/').ok_or_else(wrong)?;
        match (index.parse(), count.parse()) {
            (Ok(index @ 1..), Ok(count)) if index <= count => Ok(Shard { index, count }),
            _ => Err(wrong()),
        }
    }
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
            None if self.leaves_failed => matches!(state, State::Open | State::Damaged { .. }),
            None => !state.is_final(),
            Some(Only::Failed) => matches!(state, State::Failed { .. } | State::Damaged { .. }),
            Some(Only::Diverged) => matches!(state, State::Diverged { .. }),
            Some(Only::Unfinished) => *state == State::Open,
        };
        let is_named = self.trials.is_empty() || self.trials.contains(&trial.id);
        wanted && is_named && self.shard.is_none_or(|shard| shard.holds(&trial.id))
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
            let selection = Selection { only, ..Selection::default() };
            states.clone().map(|state| selection.takes(&trial, &state))
        };
        assert_eq!(taken(None), [true, false, false, true, true]);
        assert_eq!(taken(Some(Only::Failed)), [false, false, false, true, true]);
        assert_eq!(taken(Some(Only::Diverged)), [false, false, true, false, false]);
        assert_eq!(taken(Some(Only::Unfinished)), [true, false, false, false, false]);
        let other = Selection { trials: vec!["b".to_string()], ..Selection::default() };
        assert!(!other.takes(&trial, &State::Open));
        assert!(other.check(&[trial]).unwrap_err().to_string().contains("`b`"));
        let in_shards = |id: &str| -> Vec<usize> {
            let shards = (1..=3).map(|index| format!("{index}/3").parse::<Shard>().unwrap());
            shards.enumerate().filter(|(_, shard)| shard.holds(id)).map(|(index, _)| index).collect()
        };
        assert!(
            (0..50u64).all(|number| in_shards(&format!("{:016x}", number * 0x1234_5678_9abc)).len() == 1)
        );
        for wrong in ["0/3", "4/3", "1", "1/0", "a/b", "-1/3"] {
            assert!(wrong.parse::<Shard>().unwrap_err().contains("as in 2/8"), "{wrong}");
        }
        assert_eq!("diverged".parse(), Ok(Only::Diverged));
        assert_eq!("open".parse::<Only>().unwrap_err(), "found `open`; write failed, diverged, unfinished");
    }
}
