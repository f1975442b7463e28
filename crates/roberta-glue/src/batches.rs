//! Rows of a bank in passes through the network: bucketed by length, under a budget of tokens.
//!
//! Which examples a step has follows from a trial's seed alone. How they are put into passes changes no result: every
//! row is computed by itself, and a step's gradients are summed over its passes.

use std::ops::Range;

use delora_core::stream;
use rand::seq::SliceRandom;
use tch::{Device, Kind, Tensor};

use crate::tokens::Encoded;

/// The order in which a trial sees its `count` training examples in an epoch.
pub fn epoch_order(seed: u64, epoch: u64, count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    order.shuffle(&mut stream(seed, &format!("order of epoch {epoch}")));
    order
}

/// Examples of one step of one trial, longest first, so that a pass has rows of like lengths in all trials.
pub fn by_length(mut rows: Vec<usize>, examples: &[Encoded]) -> Vec<usize> {
    rows.sort_by_key(|&row| std::cmp::Reverse(examples[row].ids.len()));
    rows
}

/// Ranges of rows that pass together; `rows` has the same number of rows, longest first, for each trial.
pub fn passes(rows: &[Vec<usize>], examples: &[Encoded], tokens_per_pass: usize) -> Vec<Range<usize>> {
    let count = rows[0].len();
    let mut passes = Vec::new();
    let mut first = 0;
    while first < count {
        let longest =
            rows.iter().map(|rows| examples[rows[first]].ids.len()).max().expect("a bank has trials");
        let fitting = (tokens_per_pass / (longest * rows.len())).max(1);
        let end = (first + fitting).min(count);
        passes.push(first..end);
        first = end;
    }
    passes
}

/// The inputs of one pass, trial-major, N rows padded to T tokens.
pub struct Pass {
    /// `[N, T]`
    pub ids: Tensor,
    /// `[N, T]`
    pub mask: Tensor,
    /// `[N, T]`
    pub types: Tensor,
    /// Tokens of each row.
    pub lengths: Vec<i64>,
}

impl Pass {
    /// Rows `range` of each trial.
    pub fn new(
        rows: &[Vec<usize>],
        range: &Range<usize>,
        examples: &[Encoded],
        pad: i64,
        device: Device,
    ) -> Pass {
        let chosen: Vec<&Encoded> =
            rows.iter().flat_map(|rows| &rows[range.clone()]).map(|&row| &examples[row]).collect();
        let lengths: Vec<i64> = chosen.iter().map(|row| row.ids.len() as i64).collect();
        let longest = lengths.iter().max().copied().expect("a pass has rows") as usize;
        let padded = |values: fn(&Encoded) -> &[i64], fill: i64| {
            let mut all = Vec::with_capacity(chosen.len() * longest);
            for row in &chosen {
                all.extend_from_slice(values(row));
                all.resize(all.len() + longest - row.ids.len(), fill);
            }
            Tensor::from_slice(&all).view([chosen.len() as i64, longest as i64]).to_device(device)
        };
        let positions = Tensor::arange(longest as i64, (Kind::Int64, device));
        let mask = positions.lt_tensor(&Tensor::from_slice(&lengths).to_device(device).unsqueeze(1));
        Pass {
            ids: padded(|row| &row.ids, pad),
            mask: mask.to_kind(Kind::Int64),
            types: padded(|row| &row.types, 0),
            lengths,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examples(lengths: &[usize]) -> Vec<Encoded> {
        let row = |&length: &usize| Encoded { ids: (1..=length as i64).collect(), types: vec![0; length] };
        lengths.iter().map(row).collect()
    }

    #[test]
    fn an_epoch_has_every_example_once_in_the_order_of_its_seed() {
        let order = epoch_order(3, 0, 100);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
        assert_eq!(order, epoch_order(3, 0, 100));
        assert_ne!(order, epoch_order(3, 1, 100));
        assert_ne!(order, epoch_order(4, 0, 100));
    }

    #[test]
    fn passes_hold_every_row_within_the_budget_where_a_row_allows() {
        let examples = examples(&[9, 2, 5, 3, 8, 1]);
        let rows = vec![by_length(vec![0, 1, 2], &examples), by_length(vec![3, 4, 5], &examples)];
        assert_eq!(rows, [[0, 2, 1], [4, 3, 5]]);
        assert_eq!(passes(&rows, &examples, 1000), vec![0..rows[0].len()]);
        assert_eq!(passes(&rows, &examples, 20), [0..1, 1..3]);
        assert_eq!(passes(&rows, &examples, 1), [0..1, 1..2, 2..3]);
        let pass = Pass::new(&rows, &(1..3), &examples, 7, Device::Cpu);
        let ids = Vec::<Vec<i64>>::try_from(pass.ids).unwrap();
        assert_eq!(ids, [[1, 2, 3, 4, 5], [1, 2, 7, 7, 7], [1, 2, 3, 7, 7], [1, 7, 7, 7, 7]]);
        let mask = Vec::<Vec<i64>>::try_from(pass.mask).unwrap();
        assert_eq!(mask[2], [1, 1, 1, 0, 0]);
        assert_eq!(pass.lengths, [5, 2, 3, 1]);
    }
}
