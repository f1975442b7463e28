//! What settings of methods can be: the words in which all methods say it.

use std::fmt;

/// A setting that is impossible, by itself or at a site, and what would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Name of the setting.
    pub setting: &'static str,
    /// What is wrong and what would do, in a sentence without a full stop.
    pub message: String,
}

impl Problem {
    /// `message` says what is wrong and what would do.
    pub fn new(setting: &'static str, message: String) -> Problem {
        Problem { setting, message }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

pub(crate) type Checked = Result<(), Problem>;

/// Refuses a count below 1, or above what a weight could hold.
pub(crate) fn check_count(setting: &'static str, value: i64, limit: i64) -> Checked {
    if value < 1 {
        return Err(Problem::new(
            setting,
            format!("{setting} {value} is not positive; set `{setting}` to 1 or more"),
        ));
    }
    if value > limit {
        let message =
            format!("{setting} {value} exceeds {limit}, the values of a whole weight; lower `{setting}`");
        return Err(Problem::new(setting, message));
    }
    Ok(())
}

/// Refuses a rank that a weight cannot have.
pub(crate) fn check_rank(rank: i64, in_features: i64, out_features: i64) -> Checked {
    let limit = in_features.min(out_features);
    if rank > limit {
        let message = format!(
            "rank {rank} exceeds {limit}, the smaller side of its weight; lower `rank` or drop the layer"
        );
        return Err(Problem::new("rank", message));
    }
    check_count("rank", rank, limit)
}

/// Refuses a scale that is not a positive number, or that an f32 does not hold.
pub(crate) fn check_scale(setting: &'static str, value: f64) -> Checked {
    let held = value as f32;
    if held.is_finite() && held > 0.0 {
        return Ok(());
    }
    Err(Problem::new(
        setting,
        format!("`{setting}` is {value}; it must be a positive number, as an f32 has them"),
    ))
}

/// Refuses blocks that are not of one size.
pub(crate) fn check_blocks(blocks: i64, features: i64) -> Checked {
    if blocks < 1 || features % blocks != 0 {
        let message = format!("{blocks} blocks do not divide {features} features; set `blocks` to a divisor");
        return Err(Problem::new("blocks", message));
    }
    Ok(())
}
