//! SST-2's task: an attribute that many words have, of everything that a sentence speaks of. Colours are warm or cold, as
//! words of a review are kind or not.

use rand::RngExt;

use super::example::{Example, single};
use crate::instance::COLORS;
use crate::language::sentences::{placed, related};
use crate::language::situation::{Feature, Situation};
use crate::language::{Stream, pick};

const WARM: [&str; 6] = ["red", "orange", "yellow", "pink", "brown", "purple"];

/// A sentence about one thing or two, cold (0) or warm (1).
pub fn warmth(class: usize, stream: &mut Stream) -> Example {
    let has_warmth = |color: usize| WARM.contains(&COLORS[color].0) == (class == 1);
    loop {
        let situation = Situation::draw(stream);
        let [subject, other] = [situation.subject, situation.other].map(|thing| thing.get(Feature::Color));
        if !has_warmth(subject) || !has_warmth(other) {
            continue;
        }
        let colored = [Feature::Noun, Feature::Color];
        let said = [Feature::Noun, Feature::Color, *pick(&[Feature::Size, Feature::Pattern], stream)];
        let text = match stream.random_range(0..3) {
            0 => related(&situation, [&colored, &colored], stream),
            1 => placed(&situation, &colored, stream),
            _ => placed(&situation, &said, stream),
        };
        return single(text, class);
    }
}
