//! The paper's split of GLUE's validation set, whose test labels are not public, into a half to tune on and a half to
//! report.
//!
//! The validation set is permuted by the run's seed, so each seed has other halves. The first k rows of the permutation
//! are the tuning half and the rest is the test half; for CoLA it is the other way round. k is half the set, rounded
//! down, but at most 1000 for MNLI, QNLI and QQP. The paper's code takes 1000 there without asking: the same wherever
//! the set has 2000 rows or more, as GLUE's have; a smaller one, such as a sample, is halved.

use finetune::numpy_permutation;

use crate::tasks::TextTask;

/// Row numbers (from 0) of the validation set, in the order in which the paper's code reads them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Halves {
    /// Chooses hyper-parameters and the best epoch.
    pub tuning: Vec<usize>,
    /// Is reported.
    pub test: Vec<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the validation set of `{task}` has {num_rows} example(s); two or more are needed, since one half chooses the \
     epoch and the other is reported"
)]
pub struct TooFewRows {
    task: String,
    num_rows: usize,
}

/// The two halves of a validation set of `num_rows` rows, by the run's seed.
pub fn halves(task: &TextTask, num_rows: usize, seed: u32) -> Result<Halves, TooFewRows> {
    if num_rows < 2 {
        return Err(TooFewRows { task: task.name.clone(), num_rows });
    }
    let first_size = (num_rows / 2).min(task.first_part_limit.unwrap_or(usize::MAX));
    let mut first = numpy_permutation(seed, num_rows);
    let rest = first.split_off(first_size);
    let (tuning, test) = if task.first_part_is_test { (rest, first) } else { (first, rest) };
    Ok(Halves { tuning, test })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::find;

    fn sizes(task: &str, num_rows: usize) -> (usize, usize) {
        let halves = halves(find(task).unwrap(), num_rows, 42).unwrap();
        (halves.tuning.len(), halves.test.len())
    }

    #[test]
    fn halves_have_the_papers_sizes() {
        assert_eq!(sizes("mnli", 9815), (1000, 8815));
        assert_eq!(sizes("sst2", 872), (436, 436));
        assert_eq!(sizes("mrpc", 408), (204, 204));
        assert_eq!(sizes("cola", 1043), (522, 521));
        assert_eq!(sizes("qnli", 5463), (1000, 4463));
        assert_eq!(sizes("qqp", 40430), (1000, 39430));
        assert_eq!(sizes("rte", 277), (138, 139));
        assert_eq!(sizes("stsb", 1500), (750, 750));
    }

    #[test]
    fn small_samples_of_the_large_tasks_are_halved() {
        assert_eq!(sizes("mnli", 2000), (1000, 1000));
        assert_eq!(sizes("qqp", 1999), (999, 1000));
        assert_eq!(sizes("qnli", 3), (1, 2));
    }

    #[test]
    fn the_permutation_begins_the_tuning_half_and_for_cola_the_test_half() {
        let rte = halves(find("rte").unwrap(), 277, 42).unwrap();
        assert_eq!(rte.tuning[..4], [30, 126, 220, 142]);
        let cola = halves(find("cola").unwrap(), 1043, 43).unwrap();
        assert_eq!(cola.test[..4], [297, 677, 285, 629]);
    }

    #[test]
    fn every_row_is_in_one_half_and_another_seed_moves_it() {
        let task = find("cola").unwrap();
        let one = halves(task, 101, 42).unwrap();
        let mut rows = [one.tuning.clone(), one.test.clone()].concat();
        rows.sort_unstable();
        assert!(rows.into_iter().eq(0..101));
        assert_ne!(one, halves(task, 101, 43).unwrap());
    }

    #[test]
    fn one_row_cannot_be_halved() {
        let message = halves(find("rte").unwrap(), 1, 42).unwrap_err().to_string();
        assert!(
            message.starts_with("the validation set of `rte` has 1 example(s); two or more"),
            "{message}"
        );
    }
}
