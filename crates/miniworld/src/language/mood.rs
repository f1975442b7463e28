//! Sentences of a good or a bad mood, in which the words alone often do not tell which.

use rand::RngExt;

use super::sentences::{Article, agreeing, phrase};
use super::situation::{Feature, Situation, Thing};
use super::words::PLACES;
use super::{Stream, pick, sentence};

const GOOD: [&str; 9] =
    ["cheerful", "bright", "lovely", "charming", "sunny", "lively", "happy", "pretty", "pleasant"];
const BAD: [&str; 9] = ["gloomy", "dull", "ugly", "dreary", "dirty", "shabby", "sad", "broken", "boring"];
const DEGREES: [&str; 5] = ["", "", "very", "really", "quite"];
/// What turns an adjective into its opposite, behind any verb or only behind "is".
const TURNS: [&str; 3] = ["hardly", "far from", "anything but"];
const TURNS_OF_IS: [&str; 2] = ["not", "never"];
/// How many clauses of a mood's sentence are turned.
const TURNS_SHARE: f64 = 0.3;
const LOOKS: [[&str; 2]; 4] = [["is", "are"], ["looks", "look"], ["seems", "seem"], ["feels", "feel"]];
const LINKS: [&str; 4] = ["but", "although", "even though", "and"];

/// Every word of moods besides those of the things that have them.
pub fn words() -> Vec<&'static str> {
    let verbs = LOOKS.as_flattened().iter();
    GOOD.iter()
        .chain(&BAD)
        .chain(&DEGREES)
        .chain(&TURNS)
        .chain(&TURNS_OF_IS)
        .chain(verbs)
        .chain(&LINKS)
        .copied()
        .collect()
}

/// "the red cat looks lovely", or "far from gloomy" with a chance of `turns`.
fn clause(good: bool, turns: f64, thing: &Thing, said: &[Feature], stream: &mut Stream) -> Vec<&'static str> {
    let turned = stream.random_bool(turns);
    let adjective = *pick(if good == turned { &BAD } else { &GOOD }, stream);
    let is_turned_by_not = turned && stream.random_bool(0.4);
    let looks = if is_turned_by_not { LOOKS[0] } else { *pick(&LOOKS, stream) };
    let before = match (turned, is_turned_by_not) {
        (false, _) => *pick(&DEGREES, stream),
        (true, false) => *pick(&TURNS, stream),
        (true, true) => *pick(&TURNS_OF_IS, stream),
    };
    let mut words = phrase(thing, said, Article::The, stream);
    words.extend([agreeing(looks, thing), before, adjective]);
    words
}

/// A sentence whose mood is `good` or bad: that of its only clause, of both, or of the main one of two that disagree.
pub fn mood(good: bool, stream: &mut Stream) -> String {
    let Situation { subject, other, place, .. } = Situation::draw(stream);
    let full = [Feature::Noun, *pick(&Feature::ADJECTIVES, stream)];
    let bare = [Feature::Noun];
    let form = stream.random_range(0..8);
    if form < 4 {
        let place = if form < 2 { PLACES[place] } else { "" };
        return sentence(&[vec![place], clause(good, TURNS_SHARE, &subject, &full, stream)].concat());
    }
    let main = clause(good, TURNS_SHARE, &subject, &bare, stream);
    let aside = clause(good == (form == 4), TURNS_SHARE, &other, &bare, stream);
    sentence(&match form {
        4 => [main, vec!["and"], aside].concat(),
        5 => [aside, vec![",", "but"], main].concat(),
        6 => [vec!["although"], aside, vec![","], main].concat(),
        _ => [main, vec![",", "even though"], aside].concat(),
    })
}

/// Two sentences of one mood, mostly of one thing.
pub fn moods(stream: &mut Stream) -> [String; 2] {
    let good = stream.random();
    if stream.random_bool(0.3) {
        return [mood(good, stream), mood(good, stream)];
    }
    let Situation { subject, place, .. } = Situation::draw(stream);
    let bare = [Feature::Noun];
    let first = clause(good, 0.5, &subject, &bare, stream);
    let second = clause(good, 0.2, &subject, &bare, stream);
    [sentence(&[vec![PLACES[place]], first].concat()), sentence(&second)]
}
