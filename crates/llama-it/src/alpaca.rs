//! Instructions in Alpaca's form, and the text that a model is trained on.
//!
//! Template, split and sequence are those of the reference's `prepare_alpaca.py`: the response follows the prompt without
//! a blank.

use std::path::{Path, PathBuf};

use finetune::{RowError, find_rows, torch_permutation};

/// One instruction with the wanted response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    pub instruction: String,
    /// Empty: there is none.
    pub input: String,
    /// May be empty: then the model is to end at once.
    pub output: String,
}

impl Instruction {
    /// Everything in front of the response.
    pub fn prompt(&self) -> String {
        let Instruction { instruction, input, .. } = self;
        if input.is_empty() {
            format!(
                "Below is an instruction that describes a task. Write a response that appropriately completes the \
                 request.\n\n### Instruction:\n{instruction}\n\n### Response:"
            )
        } else {
            format!(
                "Below is an instruction that describes a task, paired with an input that provides further context. \
                 Write a response that appropriately completes the request.\n\n### Instruction:\n{instruction}\n\n\
                 ### Input:\n{input}\n\n### Response:"
            )
        }
    }
}

/// Files of the instructions at `path`: a file, or a data set's folder as on the hub.
pub fn files(path: &Path) -> Result<Vec<PathBuf>, RowError> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    find_rows(path, &["data/train", "train", "alpaca_data_cleaned_archive", "alpaca_data"].map(str::to_owned))
}

/// The seed of the reference's split, which is no trial's.
const SPLIT_SEED: u32 = 42;

/// Indices of the training set and of the test set, as PyTorch's `random_split` draws them: each part has the floor of its
/// share, and what remains is the first's.
pub fn split(count: usize, test_share: f64) -> [Vec<usize>; 2] {
    let test = (count as f64 * test_share).floor() as usize;
    let mut order = torch_permutation(SPLIT_SEED, count);
    let test = order.split_off(count - test);
    [order, test]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_ends_where_the_response_begins() {
        let own = |input: &str| Instruction {
            instruction: "Say it.".to_owned(),
            input: input.to_owned(),
            output: "it".to_owned(),
        };
        let without = own("").prompt();
        assert!(without.starts_with("Below is an instruction that describes a task. Write"), "{without}");
        assert!(without.ends_with("\n\n### Instruction:\nSay it.\n\n### Response:"), "{without}");
        let with = own("Hello.").prompt();
        assert!(
            with.contains("paired with an input that provides further context. Write a response"),
            "{with}"
        );
        assert!(with.ends_with("Say it.\n\n### Input:\nHello.\n\n### Response:"), "{with}");
    }

    #[test]
    fn the_split_is_the_references() {
        let [train, test] = split(51_759, 0.03865);
        assert_eq!((train.len(), test.len()), (49_759, 2_000));
        assert_eq!(train[..2], [19_581, 25_784]);
        assert_eq!(test[1_999], 491);
        let [train, test] = split(10, 0.0);
        assert_eq!((train.len(), test.len()), (10, 0));
    }
}
