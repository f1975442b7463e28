//! What DreamBooth's prompts say of a subject: one list for the scenes here and for the task that draws subjects.

use std::sync::LazyLock;

use serde::Deserialize;

/// What the prompts say of a subject, from the file of the task that draws them.
#[derive(Deserialize)]
pub struct Phrases {
    #[serde(borrow)]
    pub shared: [&'static str; 10],
    pub objects: [&'static str; 10],
    /// Clothes of living things.
    pub live: [&'static str; 10],
}

/// See [`Phrases`].
pub static PHRASES: LazyLock<Phrases> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../sd-driver/src/subject/prompts.json")).expect("it holds phrases")
});
