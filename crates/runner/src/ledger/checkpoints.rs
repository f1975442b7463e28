//! Checkpoints of a bank that is under way: folders in the bank's own, each named by the places of its trials.
//!
//! A checkpoint fits only the same trials in the same order. A bank that did not fit into memory has one for each of
//! its parts.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Result, RunnerError};
use crate::ledger::faults::boundary;
use crate::ledger::folder::entries;

const PREFIX: &str = "checkpoint-";

/// Folder of the checkpoint for trials at these places of a bank, in rising order: a hexadecimal digit for four places.
pub(crate) fn path(bank: &Path, places: &[usize]) -> PathBuf {
    let mut digits = vec![0u32; places.last().map_or(0, |last| last / 4) + 1];
    places.iter().for_each(|place| digits[place / 4] |= 1 << (place % 4));
    let name: String = digits.into_iter().filter_map(|digit| char::from_digit(digit, 16)).collect();
    bank.join(format!("{PREFIX}{name}"))
}

/// The places that a checkpoint's folder is named by; nothing for what is none.
fn places(path: &Path) -> Option<Vec<usize>> {
    let digits = path.file_name()?.to_str()?.strip_prefix(PREFIX)?;
    let mut places = Vec::new();
    for (index, digit) in digits.chars().enumerate() {
        let digit = digit.to_digit(16)?;
        places.extend((0..4).filter(|bit| digit & (1 << bit) != 0).map(|bit| 4 * index + bit));
    }
    Some(places)
}

pub(crate) fn is_one(path: &Path) -> bool {
    places(path).is_some()
}

/// Makes a checkpoint's folder in the bank's, which has to be there: one that another worker has taken must not come back.
pub(crate) fn open(path: &Path) -> Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other.and_then(|()| boundary("folder made", path)).map_err(RunnerError::write(path)),
    }
}

pub(crate) fn is_begun(path: &Path) -> bool {
    !entries(path).is_empty()
}

pub(crate) fn remove(path: &Path) -> Result<()> {
    let removed = fs::remove_dir_all(path).and_then(|()| boundary("checkpoint removed", path));
    removed.map_err(RunnerError::write(path))
}

/// The checkpoints in a bank's folder, each by the places of its trials.
pub(crate) fn begun(bank: &Path) -> Vec<Vec<usize>> {
    entries(bank).iter().filter_map(|path| places(path).filter(|_| is_begun(path))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_named_by_places_and_read_back() {
        let bank = Path::new("bank");
        for own in [vec![0], vec![0, 1, 2, 3], vec![4], vec![1, 6, 7, 130], (0..200).collect()] {
            let path = path(bank, &own);
            assert_eq!(places(&path), Some(own));
            assert!(path.file_name().unwrap().len() < 64);
        }
        for other in ["bank/pictures", "bank/checkpoint-xy", "bank/0123456789abcdef.json"] {
            assert_eq!(places(Path::new(other)), None, "{other}");
        }
    }
}
