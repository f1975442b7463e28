//! Tests in words, as a design has them.

use crate::claims::Test;
use crate::hypothesis::{Claimed, Hypothesis, Margin};

impl Test {
    /// The test with its margin in words, as a design has it; none for a number of the paper, which no trial of ours decides.
    pub fn text(&self) -> Option<String> {
        let more = |margin: &Margin| match margin {
            Margin::Absolute(margin) => format!("{margin}"),
            Margin::Share(share) => format!("{} %", share * 100.0),
        };
        Some(match self {
            Self::Compared { side, than, metric, hypothesis: Hypothesis { claimed, margin } } => {
                let (side, than, margin) = (side.text(), than.text(), more(margin));
                match claimed {
                    Claimed::Above => format!(
                        "{metric} of {side} is above that of {than}; less than {margin} does not matter"
                    ),
                    Claimed::Alike => {
                        format!("{metric} of {side} and of {than} differ by less than {margin}")
                    }
                    Claimed::NotBelow => {
                        format!("{metric} of {side} is at worst {margin} below that of {than}")
                    }
                }
            }
            Self::WidthAbove { method, than, margin } => {
                let margin = more(margin);
                format!(
                    "the robustness width of `{method}` is above that of `{than}`; less than {margin} octaves do not matter"
                )
            }
            Self::CurveAbove { method, than, margin } => {
                let margin = more(margin);
                format!(
                    "the expected dino of `{method}` over the sweep is above that of `{than}`; less than {margin} does not matter"
                )
            }
            Self::Growing { method, margin } => {
                let margin = more(margin);
                format!(
                    "the distance of `{method}` grows in the last third; less than {margin} of its end per 100 steps does not matter"
                )
            }
            Self::Flat { method, share } => {
                let share = more(&Margin::Share(*share));
                format!(
                    "the distance of `{method}` grows by less than {share} of its end per 100 steps in the last third"
                )
            }
            Self::Number { .. } => return None,
        })
    }
}
