//! What a test of the ledger found: a verdict, and the numbers that it rests on.

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    /// The statement holds here.
    Reproduced,
    /// It does not: the opposite holds, or nothing that matters where a difference was claimed.
    Refuted,
    /// A difference as claimed, but smaller than what matters.
    Alike,
    /// The units do not tell.
    Undecided,
    /// The paper's number beside one of another model.
    Shown,
    #[default]
    NotAttempted,
}

impl Verdict {
    pub const ALL: [Self; 6] =
        [Self::Reproduced, Self::Refuted, Self::Alike, Self::Undecided, Self::Shown, Self::NotAttempted];

    pub fn text(self) -> &'static str {
        match self {
            Self::Reproduced => "reproduced",
            Self::Refuted => "refuted",
            Self::Alike => "alike",
            Self::Undecided => "undecided",
            Self::Shown => "shown, not judged",
            Self::NotAttempted => "not attempted",
        }
    }

    /// Tells verdicts apart without colour.
    pub fn mark(self) -> &'static str {
        match self {
            Self::Reproduced => "✓",
            Self::Refuted => "✗",
            Self::Alike => "=",
            Self::Undecided => "≈",
            Self::Shown => "○",
            Self::NotAttempted => "–",
        }
    }

    /// Whether it settles the statement.
    pub fn is_decided(self) -> bool {
        matches!(self, Self::Reproduced | Self::Refuted | Self::Alike)
    }
}

/// What our results say of one claim at one scale.
#[derive(Clone, Debug, Default)]
pub struct Judgement {
    /// The folder of the results; empty where none were looked at.
    pub scale: String,
    pub verdict: Verdict,
    /// What `value` is, as in "DINO of DeLoRA − LoRA".
    pub quantity: String,
    pub value: Option<f64>,
    /// The 95 % interval of the value.
    pub interval: Option<(f64, f64)>,
    /// Independent units.
    pub n: usize,
    /// The smallest level at which the statement alone is decided, and at which its family decides it.
    pub p: Option<f64>,
    pub p_holm: Option<f64>,
    /// The smallest difference that matters.
    pub margin: Option<f64>,
    /// How many units would decide it, if the truth is what these show.
    pub needed: Option<usize>,
    pub paper: Option<f64>,
    /// Whether what decides was written down before the trials ran.
    pub is_registered: bool,
    pub note: String,
}

impl Judgement {
    pub fn not_attempted(scale: &str, note: String) -> Self {
        Self { scale: scale.to_owned(), note, ..Self::default() }
    }
}
