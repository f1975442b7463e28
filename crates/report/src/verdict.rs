//! What a test of the ledger found: a verdict, and the numbers that it rests on.

/// Below this many pairs random signs cannot give a p of 0.05 (2 / 2^n), and an interval means little.
const FEWEST_PAIRS: usize = 6;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    Reproduced,
    NotReproduced,
    NotDistinguishable,
    /// The paper's number beside one of another model.
    Shown,
    #[default]
    NotAttempted,
}

impl Verdict {
    pub const ALL: [Self; 5] =
        [Self::Reproduced, Self::NotReproduced, Self::NotDistinguishable, Self::Shown, Self::NotAttempted];

    pub fn text(self) -> &'static str {
        match self {
            Self::Reproduced => "reproduced",
            Self::NotReproduced => "not reproduced",
            Self::NotDistinguishable => "not distinguishable",
            Self::Shown => "shown, not judged",
            Self::NotAttempted => "not attempted",
        }
    }

    /// Tells verdicts apart without colour.
    pub fn mark(self) -> &'static str {
        match self {
            Self::Reproduced => "✓",
            Self::NotReproduced => "✗",
            Self::NotDistinguishable => "≈",
            Self::Shown => "○",
            Self::NotAttempted => "–",
        }
    }
}

/// What our results say of one claim at one scale.
#[derive(Clone, Debug, Default)]
pub struct Judgement {
    /// Empty where no results were looked at.
    pub scale: String,
    pub verdict: Verdict,
    /// What `value` is, as in "DINO of DeLoRA − LoRA".
    pub quantity: String,
    pub value: Option<f64>,
    pub interval: Option<(f64, f64)>,
    pub n: usize,
    pub p: Option<f64>,
    /// The smallest difference that these pairs could have shown.
    pub detectable: Option<f64>,
    pub paper: Option<f64>,
    pub note: String,
}

impl Judgement {
    pub fn not_attempted(scale: &str, note: String) -> Self {
        Self { note, ..Self::new(scale, Verdict::NotAttempted, String::new()) }
    }

    pub fn new(scale: &str, verdict: Verdict, quantity: String) -> Self {
        Self { scale: scale.to_owned(), verdict, quantity, ..Self::default() }
    }

    /// The same, undecided where there are too few pairs to decide anything.
    pub fn with_enough(mut self) -> Self {
        let decided = matches!(self.verdict, Verdict::Reproduced | Verdict::NotReproduced);
        if decided && self.n < FEWEST_PAIRS {
            self.verdict = Verdict::NotDistinguishable;
            self.note += &format!(
                "The interval is clear, but fewer than {FEWEST_PAIRS} pairs can do that by chance. "
            );
        }
        self
    }
}

/// Whether the whole interval is within `margin` of `target`, or none of it.
pub fn inside(interval: Option<(f64, f64)>, target: f64, margin: f64) -> Verdict {
    match interval {
        Some((low, high)) if low >= target - margin && high <= target + margin => Verdict::Reproduced,
        Some((low, high)) if low > target + margin || high < target - margin => Verdict::NotReproduced,
        _ => Verdict::NotDistinguishable,
    }
}

/// Whether the whole interval is above `least`, or none of it.
pub fn not_below(interval: Option<(f64, f64)>, least: f64) -> Verdict {
    match interval {
        Some((low, _)) if low >= least => Verdict::Reproduced,
        Some((_, high)) if high < least => Verdict::NotReproduced,
        _ => Verdict::NotDistinguishable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn not_below_has_no_upper_end() {
        let verdict = |low, high| not_below(Some((low, high)), -0.1);
        assert_eq!(verdict(-0.05, 3.0), Verdict::Reproduced);
        assert_eq!(verdict(-0.4, -0.2), Verdict::NotReproduced);
        assert_eq!(verdict(-0.2, 0.2), Verdict::NotDistinguishable);
    }

    #[test]
    fn only_an_interval_wholly_inside_or_outside_decides() {
        let verdict = |low, high| inside(Some((low, high)), 0.5, 0.1);
        assert_eq!(verdict(0.45, 0.55), Verdict::Reproduced);
        assert_eq!(verdict(0.61, 0.7), Verdict::NotReproduced);
        assert_eq!(verdict(0.1, 0.39), Verdict::NotReproduced);
        assert_eq!(verdict(0.35, 0.55), Verdict::NotDistinguishable);
        assert_eq!(verdict(0.1, 0.9), Verdict::NotDistinguishable);
        assert_eq!(inside(None, 0.5, 0.1), Verdict::NotDistinguishable);
    }

    #[test]
    fn fewer_than_six_pairs_decide_nothing() {
        let judged =
            |n, verdict| Judgement { n, ..Judgement::new("mini", verdict, String::new()) }.with_enough();
        for verdict in [Verdict::Reproduced, Verdict::NotReproduced] {
            assert_eq!(judged(6, verdict).verdict, verdict);
            assert_eq!(judged(5, verdict).verdict, Verdict::NotDistinguishable);
            assert!(judged(5, verdict).note.contains("fewer than 6 pairs"));
        }
        assert_eq!(judged(1, Verdict::Shown).verdict, Verdict::Shown);
    }
}
