//! Instructions about the mini world and exams that mirror MMLU, ARC and TruthfulQA: the same columns, as JSON Lines.
//!
//! Instructions ask about creatures of the training split, exams about held-out ones, of which a decoder has read in plain
//! text alone: what training on instructions can teach is to answer, not the answers.

pub mod alpaca;
pub mod exams;

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Context, Result};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use serde::Serialize;

use crate::knowledge::Base;
use crate::language::Stream;

const SEED: u64 = 0xA1FACA;

/// Rows of each file.
const INSTRUCTIONS: usize = 1500;
const MMLU: usize = 400;
const ARC: usize = 300;
const TRUTHFUL: usize = 200;

/// `count` rows of different `key`s, shuffled; `draw` gets a number that counts up.
fn rows<T>(count: usize, key: impl Fn(&T) -> String, mut draw: impl FnMut(usize) -> T) -> Vec<T> {
    let mut seen = HashSet::new();
    let mut rows = Vec::with_capacity(count);
    while rows.len() < count {
        let row = draw(rows.len());
        if seen.insert(key(&row)) {
            rows.push(row);
        }
    }
    rows
}

fn stream(number: u64) -> Stream {
    let mut stream = Stream::seed_from_u64(SEED);
    stream.set_stream(number);
    stream
}

/// The rows of `alpaca.jsonl`.
pub fn instructions(base: &Base) -> Vec<alpaca::Instruction> {
    let mut stream = stream(0);
    let key = |row: &alpaca::Instruction| format!("{}\n{}", row.instruction, row.input);
    let mut rows = rows(INSTRUCTIONS, key, |index| alpaca::instruction(&base.training, index, &mut stream));
    rows.shuffle(&mut stream);
    rows
}

/// The rows of `mmlu.jsonl`.
pub fn mmlu(base: &Base) -> Vec<exams::Mmlu> {
    let mut stream = stream(1);
    let key = |row: &exams::Mmlu| row.question.clone();
    rows(MMLU, key, |index| exams::mmlu(&base.held_out, index, &mut stream))
}

/// The rows of `arc.jsonl`.
pub fn arc(base: &Base) -> Vec<exams::Arc> {
    let mut stream = stream(2);
    let key = |row: &exams::Arc| format!("{}{:?}", row.question, row.choices.text);
    rows(ARC, key, |index| exams::arc(&base.held_out, index, &mut stream))
}

/// The rows of `truthful_qa.jsonl`.
pub fn truthful(base: &Base) -> Vec<exams::Truthful> {
    let mut stream = stream(3);
    let key = |row: &exams::Truthful| row.question.clone();
    rows(TRUTHFUL, key, |_| exams::truthful(&base.held_out, &mut stream))
}

/// Writes all files into `folder`.
pub fn write(folder: &Path) -> Result<()> {
    let base = Base::new();
    std::fs::create_dir_all(folder).with_context(|| format!("{}: cannot be made", folder.display()))?;
    write_lines(&folder.join("alpaca.jsonl"), &instructions(&base))?;
    write_lines(&folder.join("mmlu.jsonl"), &mmlu(&base))?;
    write_lines(&folder.join("arc.jsonl"), &arc(&base))?;
    write_lines(&folder.join("truthful_qa.jsonl"), &truthful(&base))
}

fn write_lines(path: &Path, rows: &[impl Serialize]) -> Result<()> {
    let mut text = String::new();
    for row in rows {
        text += &serde_json::to_string(row)?;
        text.push('\n');
    }
    std::fs::write(path, text).with_context(|| format!("{}: cannot be written", path.display()))
}
