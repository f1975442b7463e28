//! Eight tasks about the mini world's sentences that mirror GLUE's: the same names, columns, labels and files.
//!
//! Most compare two sentences whose words alone do not tell the label, and a few labels are wrong, as in any data
//! that people labelled, so that no method reaches 100 %.

mod acceptability;
mod attribute;
mod example;
mod inference;
mod pairs;
mod parquet;

use std::collections::HashSet;
use std::path::Path;

use anyhow::Result;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use crate::language::{Stream, another};

pub use example::{Example, Label};

/// One of the eight.
#[derive(Debug)]
pub struct Task {
    /// GLUE's name, the folder's.
    pub name: &'static str,
    /// Columns of text; `label` and `idx` follow.
    pub columns: &'static [&'static str],
    /// What the file of the validation split begins with.
    pub validation: &'static str,
    /// Rows of the train and the validation split.
    pub rows: [usize; 2],
    /// Draws are made of these, each as often as it stands here. A class, but for scores, where it is a level.
    pub draws: &'static [usize],
    draw: fn(usize, &mut Stream) -> Example,
}

/// Share of the labels that are another class than they should be.
const WRONG: f64 = 0.03;
const SEED: u64 = 0x617E;

/// The tasks in the order of the paper's table.
pub const TASKS: [Task; 8] = [
    Task {
        name: "mnli",
        columns: &["premise", "hypothesis"],
        validation: "validation_matched",
        rows: [2000, 600],
        draws: &[0, 1, 2],
        draw: inference::three_way,
    },
    Task { draw: attribute::warmth, ..one_sentence("sst2", &[0, 1]) },
    Task { draw: pairs::paraphrase, ..two_sentences("mrpc") },
    Task { draw: acceptability::judged, ..one_sentence("cola", &[1, 1, 1, 0, 0]) },
    Task {
        columns: &["question", "sentence"],
        rows: [2000, 600],
        draw: inference::answering,
        ..two_sentences("qnli")
    },
    Task {
        columns: &["question1", "question2"],
        rows: [2000, 600],
        draw: pairs::same_question,
        ..two_sentences("qqp")
    },
    Task { draw: inference::two_way, ..two_sentences("rte") },
    Task { draws: &[0, 1, 2, 3, 4, 5], draw: pairs::similarity, ..two_sentences("stsb") },
];

const fn two_sentences(name: &'static str) -> Task {
    Task { columns: &["sentence1", "sentence2"], ..one_sentence(name, &[0, 1]) }
}

const fn one_sentence(name: &'static str, draws: &'static [usize]) -> Task {
    let columns = &["sentence"];
    Task { name, columns, validation: "validation", rows: [2000, 400], draws, draw: acceptability::judged }
}

impl Task {
    /// The rows of the train and the validation split, no sentence or pair twice, in whatever order of its sentences.
    pub fn splits(&self) -> [Vec<Example>; 2] {
        let mut stream = Stream::seed_from_u64(SEED);
        stream.set_stream(self.name.bytes().fold(0, |sum, byte| sum * 256 + u64::from(byte)));
        let mut seen = HashSet::new();
        self.rows.map(|count| {
            let mut rows = Vec::with_capacity(count);
            while rows.len() < count {
                let draw = self.draws[rows.len() % self.draws.len()];
                let mut example = (self.draw)(draw, &mut stream);
                let mut key = example.texts.clone();
                key.sort();
                let says_twice = key.len() == 2 && key[0] == key[1];
                if says_twice || !seen.insert(key) {
                    continue;
                }
                if let Label::Class(class) = &mut example.label
                    && stream.random_bool(WRONG)
                {
                    let classes = self.draws.iter().max().map_or(2, |last| last + 1);
                    *class = another(*class, classes, &mut stream);
                }
                rows.push(example);
            }
            rows.shuffle(&mut stream);
            rows
        })
    }
}

/// Writes all tasks into `folder` in the hub's layout: `<task>/train-00000-of-00001.parquet`, ….
pub fn write_tasks(folder: &Path) -> Result<()> {
    for task in &TASKS {
        let names = ["train", task.validation];
        for (name, rows) in names.into_iter().zip(task.splits()) {
            let path = folder.join(task.name).join(format!("{name}-00000-of-00001.parquet"));
            parquet::write(&path, task.columns, &rows)?;
        }
    }
    Ok(())
}
