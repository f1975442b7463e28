//! How many trials a bank holds.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The most trials in a bank, as experiment files write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "Value", into = "Value")]
pub enum BankSize {
    Trials(usize),
    /// The number that lets a run end first, of those that there is memory for, which rehearsals measure.
    Auto,
}

/// The most trials of a bank whose size is [`BankSize::Auto`]: beyond it a trial costs as much in a bank as alone.
const MOST: usize = 32;
/// The share of free memory that a bank may take by measurement; workspaces of libraries come beside it.
const SHARE: f64 = 0.9;

const AUTO: &str = "auto";

impl BankSize {
    /// The most trials that there may be.
    pub fn most(self) -> usize {
        match self {
            BankSize::Trials(count) => count,
            BankSize::Auto => MOST,
        }
    }
}

/// The trials of a bank that fit in `room` bytes, where each takes `each` beside what they share; at least one, which
/// says itself if it does not fit.
pub(crate) fn fitting(room: u64, shared: u64, each: u64) -> usize {
    let left = (room as f64 * SHARE - shared as f64).max(0.0);
    ((left / each.max(1) as f64) as usize).clamp(1, MOST)
}

impl TryFrom<Value> for BankSize {
    type Error = String;

    fn try_from(value: Value) -> Result<BankSize, String> {
        match value.as_u64().and_then(|count| usize::try_from(count).ok()) {
            Some(count @ 1..) => Ok(BankSize::Trials(count)),
            None if value == AUTO => Ok(BankSize::Auto),
            _ => Err(format!("found {value}; it has to be a number of trials, at least 1, or \"{AUTO}\"")),
        }
    }
}

impl From<BankSize> for Value {
    fn from(size: BankSize) -> Value {
        match size {
            BankSize::Trials(count) => json!(count),
            BankSize::Auto => json!(AUTO),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bank_has_a_number_of_trials_or_as_many_as_fit() {
        for (written, size) in [(json!(3), BankSize::Trials(3)), (json!(AUTO), BankSize::Auto)] {
            assert_eq!(serde_json::from_value::<BankSize>(written.clone()).unwrap(), size);
            assert_eq!(serde_json::to_value(size).unwrap(), written);
        }
        for wrong in [json!(0), json!(-1), json!(1.5), json!("all"), json!(true)] {
            let error = serde_json::from_value::<BankSize>(wrong).unwrap_err().to_string();
            assert!(error.ends_with("it has to be a number of trials, at least 1, or \"auto\""), "{error}");
        }
    }

    #[test]
    fn trials_fill_what_is_left_of_memory() {
        assert_eq!(fitting(1000, 300, 100), 6);
        assert_eq!((fitting(1000, 950, 100), fitting(10, 3, 100), fitting(u64::MAX, 0, 1)), (1, 1, MOST));
    }
}
