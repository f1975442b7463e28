//! The inputs of one pass through the encoder.

use std::ops::Range;

use tch::{Device, Tensor};

use crate::tokens::Encoded;

/// Rows of all trials, trial-major, N rows padded to T tokens.
pub struct Pass {
    /// `[N, T]`
    pub ids: Tensor,
    /// `[N, T]`
    pub mask: Tensor,
    /// `[N, T]`
    pub types: Tensor,
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
        Pass {
            ids: finetune::padded(chosen.iter().map(|row| row.ids.as_slice()), pad, device),
            mask: finetune::mask(&lengths, device),
            types: finetune::padded(chosen.iter().map(|row| row.types.as_slice()), 0, device),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_has_its_rows_of_each_trial_one_trial_after_another() {
        let row = |length: i64| Encoded { ids: (1..=length).collect(), types: vec![1; length as usize] };
        let examples: Vec<Encoded> = [9, 2, 5, 3, 8, 1].map(row).into();
        let pass = Pass::new(&[vec![0, 2, 1], vec![4, 3, 5]], &(1..3), &examples, 7, Device::Cpu);
        let ids = Vec::<Vec<i64>>::try_from(pass.ids).unwrap();
        assert_eq!(ids, [[1, 2, 3, 4, 5], [1, 2, 7, 7, 7], [1, 2, 3, 7, 7], [1, 7, 7, 7, 7]]);
        let types = Vec::<Vec<i64>>::try_from(pass.types).unwrap();
        assert_eq!(types[1], [1, 1, 0, 0, 0]);
        let mask = Vec::<Vec<i64>>::try_from(pass.mask).unwrap();
        assert_eq!(mask, [[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 1, 1, 0, 0], [1, 0, 0, 0, 0]]);
    }
}
