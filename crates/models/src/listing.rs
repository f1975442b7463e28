//! Listings of a checkpoint's tensors: names and shapes without values, with its `config.json`.
//!
//! Names that differ in numbers alone are one line: `blocks.{0-2,5}.norm.weight` stands for four tensors.
//! `tools/goldens/layouts.py` writes such files of public checkpoints.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::Dtype;
use serde::Deserialize;

use crate::weights::{Stored, WeightsError, read_json};

/// The file.
#[derive(Debug, Deserialize)]
pub struct Listing {
    pub config: serde_json::Value,
    /// Shapes by names, several of which may be one.
    tensors: BTreeMap<String, Vec<i64>>,
}

impl Listing {
    pub fn read(path: &Path) -> Result<Listing, WeightsError> {
        read_json(path)
    }

    /// Every tensor, as if it were stored in f32.
    pub fn tensors(&self) -> Vec<Stored> {
        let each = |(names, shape): (&String, &Vec<i64>)| {
            let stored = |name| Stored::dense(name, shape.clone(), Dtype::F32, 0..0);
            expanded(names).into_iter().map(stored).collect::<Vec<_>>()
        };
        self.tensors.iter().flat_map(each).collect()
    }
}

/// The names that `names` stands for. Braces that hold no numbers are taken as they are.
pub fn expanded(names: &str) -> Vec<String> {
    let parts = names.split_once('{').and_then(|(front, rest)| {
        let (numbers, back) = rest.split_once('}')?;
        Some((front, ranges(numbers)?, back))
    });
    let Some((front, numbers, back)) = parts else { return vec![names.to_owned()] };
    let backs = expanded(back);
    let with = |number: u32| backs.iter().map(move |back| format!("{front}{number}{back}"));
    numbers.into_iter().flat_map(with).collect()
}

fn ranges(text: &str) -> Option<Vec<u32>> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        (last.saturating_sub(first) < 10_000).then_some(first..=last)
    };
    let ranges: Vec<_> = text.split(',').map(range).collect::<Option<_>>()?;
    Some(ranges.into_iter().flatten().collect())
}

/// Lines for `rows` of a name and what is said of it: those that differ in one number alone and say the same are one, until
/// there are none. Gives the name, what is said, and how many it stands for.
pub fn grouped(rows: &[(String, String)]) -> Vec<(String, String, usize)> {
    let parts = |(name, said): &(String, String)| Group {
        parts: name
            .split('.')
            .map(|part| {
                part.parse().map_or(Part::Word(part.to_owned()), |number| Part::Numbers(vec![number]))
            })
            .collect(),
        said: said.clone(),
    };
    let mut groups: Vec<Group> = rows.iter().map(parts).collect();
    let longest = groups.iter().map(|group| group.parts.len()).max().unwrap_or(0);
    for place in 0..longest {
        let mut merged: Vec<Group> = Vec::new();
        let mut places: BTreeMap<Group, usize> = BTreeMap::new();
        for group in groups {
            let mut key = group.clone();
            let numbers = match key.parts.get_mut(place) {
                Some(Part::Numbers(numbers)) => std::mem::take(numbers),
                _ => Vec::new(),
            };
            let index = *places.entry(key).or_insert(merged.len());
            match merged.get_mut(index).map(|known| &mut known.parts[place]) {
                Some(Part::Numbers(known)) => known.extend(numbers),
                Some(Part::Word(_)) => {}
                None => merged.push(group),
            }
        }
        groups = merged;
    }
    let line = |group: Group| {
        let name = group.parts.iter().map(Part::text).collect::<Vec<_>>().join(".");
        let count = group.parts.iter().map(Part::len).product();
        (name, group.said, count)
    };
    groups.into_iter().map(line).collect()
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    parts: Vec<Part>,
    said: String,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Word(String),
    Numbers(Vec<u32>),
}

impl Part {
    fn len(&self) -> usize {
        match self {
            Part::Word(_) => 1,
            Part::Numbers(numbers) => numbers.len(),
        }
    }

    fn text(&self) -> String {
        let numbers = match self {
            Part::Word(word) => return word.clone(),
            Part::Numbers(numbers) if numbers.len() == 1 => return numbers[0].to_string(),
            Part::Numbers(numbers) => {
                let mut numbers = numbers.clone();
                numbers.sort_unstable();
                numbers
            }
        };
        let runs = numbers.chunk_by(|one, next| one + 1 == *next);
        let run = |run: &[u32]| match run {
            [one] => one.to_string(),
            run => format!("{}-{}", run[0], run[run.len() - 1]),
        };
        format!("{{{}}}", runs.map(run).collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grouped_names_stand_for_those_that_they_came_from() {
        let mut names: Vec<&str> =
            "a.0.b.0.weight a.0.b.1.weight a.1.b.0.weight a.1.b.1.weight a.3.b.0.weight a.3.b.1.weight \
            a.0.b.0.bias c d.7"
                .split(' ')
                .collect();
        let rows: Vec<_> = names.iter().map(|name| (name.to_string(), "[2]".to_owned())).collect();
        let lines = grouped(&rows);
        let text: Vec<&str> = lines.iter().map(|(name, ..)| name.as_str()).collect();
        assert_eq!(text, ["a.{0-1,3}.b.{0-1}.weight", "a.0.b.0.bias", "c", "d.7"]);
        assert_eq!(lines.iter().map(|(.., count)| count).sum::<usize>(), names.len());
        let mut again: Vec<String> = text.iter().flat_map(|text| expanded(text)).collect();
        again.sort();
        names.sort_unstable();
        assert_eq!(again, names);
    }

    #[test]
    fn what_is_said_keeps_lines_apart_and_odd_braces_stay() {
        let rows = [("a.0", "x"), ("a.1", "y")].map(|(name, said)| (name.to_owned(), said.to_owned()));
        assert_eq!(grouped(&rows).len(), 2);
        for odd in ["a.{b}.c", "a.{0-", "a.{0-4000000000}"] {
            assert_eq!(expanded(odd), [odd]);
        }
    }
}
