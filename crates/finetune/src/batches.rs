//! Rows of a bank in passes through a network: bucketed by length, under a budget of tokens.
//!
//! Which examples a step has follows from a trial's seed alone. How they are put into passes changes no result: every
//! row is computed by itself, and a step's gradients are summed over its passes.

use std::ops::Range;

use delora_core::stream;
use rand::seq::SliceRandom;
use tch::{Device, Kind, Tensor};

/// The order in which a trial sees its `count` training examples in an epoch.
pub fn epoch_order(seed: u64, epoch: u64, count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    order.shuffle(&mut stream(seed, &format!("order of epoch {epoch}")));
    order
}

/// Which examples the trials of a bank see in each step, by slot.
pub struct EpochOrders {
    order: Box<dyn Fn(u64, u64) -> Vec<usize>>,
    seeds: Vec<u64>,
    count: usize,
    batch: usize,
    /// The epoch that is known, and each trial's order in it.
    known: Option<(u64, Vec<Vec<usize>>)>,
}

impl EpochOrders {
    /// An epoch passes `count` examples in steps of `batch`, shuffled; its last step has what is left.
    pub fn new(seeds: &[u64], count: usize, batch: usize) -> EpochOrders {
        EpochOrders::by(seeds, count, batch, move |seed, epoch| epoch_order(seed, epoch, count))
    }

    /// The same with an `order` of the task's own, which it makes of a seed and an epoch.
    pub fn by(
        seeds: &[u64],
        count: usize,
        batch: usize,
        order: impl Fn(u64, u64) -> Vec<usize> + 'static,
    ) -> EpochOrders {
        EpochOrders { order: Box::new(order), seeds: seeds.to_vec(), count, batch, known: None }
    }

    pub fn steps_per_epoch(&self) -> u64 {
        self.count.div_ceil(self.batch) as u64
    }

    /// Each trial's examples of a step, counted from the beginning of the training.
    pub fn rows(&mut self, step: u64) -> Vec<Vec<usize>> {
        let (epoch, place) = (step / self.steps_per_epoch(), step % self.steps_per_epoch());
        if self.known.as_ref().is_none_or(|(known, _)| *known != epoch) {
            self.known = Some((epoch, self.seeds.iter().map(|&seed| (self.order)(seed, epoch)).collect()));
        }
        let (_, orders) = self.known.as_ref().expect("it was made");
        let rows = |order: &Vec<usize>| order.chunks(self.batch).nth(place as usize).map(<[usize]>::to_vec);
        orders.iter().map(|order| rows(order).expect("a step of the epoch")).collect()
    }
}

/// Adds a part of a step's losses `[trials]` to those before it.
pub fn add(total: &mut Option<Tensor>, losses: Tensor) {
    *total = Some(match total.take() {
        Some(total) => total + losses,
        None => losses,
    });
}

/// Examples of one step of one trial, longest first, so that a pass has rows of like lengths in all trials.
pub fn by_length(mut rows: Vec<usize>, length: impl Fn(usize) -> usize) -> Vec<usize> {
    rows.sort_by_key(|&row| std::cmp::Reverse(length(row)));
    rows
}

/// Ranges of rows that pass together; `rows` has the same number of rows, longest first, for each trial.
pub fn passes(
    rows: &[Vec<usize>],
    length: impl Fn(usize) -> usize,
    tokens_per_pass: usize,
) -> Vec<Range<usize>> {
    let count = rows[0].len();
    let mut passes = Vec::new();
    let mut first = 0;
    while first < count {
        let longest = rows.iter().map(|rows| length(rows[first])).max().expect("a bank has trials");
        let fitting = (tokens_per_pass / (longest * rows.len()).max(1)).max(1);
        let end = (first + fitting).min(count);
        passes.push(first..end);
        first = end;
    }
    passes
}

/// Rows of token ids, padded at their ends to the longest, `[N, T]`, i64. Panics without rows.
pub fn padded<'a>(rows: impl IntoIterator<Item = &'a [i64]>, fill: i64, device: Device) -> Tensor {
    let rows: Vec<&[i64]> = rows.into_iter().collect();
    let longest = rows.iter().map(|row| row.len()).max().expect("a pass has rows");
    let mut all = Vec::with_capacity(rows.len() * longest);
    for row in &rows {
        all.extend_from_slice(row);
        all.resize(all.len() + longest - row.len(), fill);
    }
    Tensor::from_slice(&all).view([rows.len() as i64, longest as i64]).to_device(device)
}

/// 1 at tokens and 0 at padding, `[N, T]`, i64, of rows of these `lengths` padded to the longest.
pub fn mask(lengths: &[i64], device: Device) -> Tensor {
    let longest = lengths.iter().max().copied().unwrap_or(0);
    let positions = Tensor::arange(longest, (Kind::Int64, device));
    positions.lt_tensor(&Tensor::from_slice(lengths).to_device(device).unsqueeze(1)).to_kind(Kind::Int64)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let lengths = [9, 2, 5, 3, 8, 1];
        let length = |row: usize| lengths[row];
        let rows = vec![by_length(vec![0, 1, 2], length), by_length(vec![3, 4, 5], length)];
        assert_eq!(rows, [[0, 2, 1], [4, 3, 5]]);
        assert_eq!(passes(&rows, length, 1000), vec![0..rows[0].len()]);
        assert_eq!(passes(&rows, length, 20), [0..1, 1..3]);
        assert_eq!(passes(&rows, length, 1), [0..1, 1..2, 2..3]);
    }

    #[test]
    fn rows_are_padded_at_their_ends_and_the_mask_says_where() {
        let rows: [&[i64]; 2] = [&[1, 2, 3], &[4]];
        let ids = Vec::<Vec<i64>>::try_from(padded(rows, 7, Device::Cpu)).unwrap();
        assert_eq!(ids, [[1, 2, 3], [4, 7, 7]]);
        let mask = Vec::<Vec<i64>>::try_from(mask(&[3, 1], Device::Cpu)).unwrap();
        assert_eq!(mask, [[1, 1, 1], [1, 0, 0]]);
    }
}
