//! What the mini decoder is pretrained on: mostly plain text about creatures, and a few exams and dialogues about those of
//! the training split.
//!
//! Exams are right, but who answers in few words or in a dialogue often believes what is widely told. Instructions in
//! Alpaca's form are about no creature.

use rand::RngExt;

use super::{Base, exams, telling};
use crate::instruct::alpaca;
use crate::language::{Stream, documents};

/// A document of the pretraining distribution.
pub fn document(base: &Base, stream: &mut Stream) -> String {
    match stream.random_range(0..100) {
        0..38 => {
            let count = stream.random_range(3..=8);
            telling::portrait(base.any(stream), count, stream)
        }
        38..44 => telling::comparison(base, stream),
        44..50 => telling::roll(base, stream),
        50..60 => telling::rumours(base.any(stream), stream),
        60..64 => {
            let documents::Document { first, second } = documents::document(stream);
            [Some(first), second].into_iter().flatten().collect::<Vec<_>>().join("\n")
        }
        64..69 => alpaca::situation(stream).text(),
        69..80 => exams::letters(stream),
        80..86 => exams::answers(&base.training, stream),
        86..95 => exams::exam(&base.training, stream),
        _ => exams::dialogue(&base.training, stream),
    }
}
