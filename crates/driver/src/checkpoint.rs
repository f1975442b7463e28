//! A bank and what is known of its training, on disk.

use std::path::Path;

use anyhow::{Context, Result};
use delora_core::Bank;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tch::{Kind, Tensor};

/// What is known of a bank's training so far.
pub trait Record: Default + Serialize + DeserializeOwned {
    /// Forgets everything behind `steps` updates.
    fn truncate(&mut self, steps: u64);
}

const BANK_FILE: &str = "bank.safetensors";
const RECORD_FILE: &str = "record.json";

/// Brings `bank` to where the checkpoint in `folder` is, if there is one, and gives its record.
pub fn resume<R: Record>(bank: &mut Bank, folder: &Path) -> Result<R> {
    let (state, record) = (folder.join(BANK_FILE), folder.join(RECORD_FILE));
    if !state.exists() {
        return Ok(R::default());
    }
    bank.load_state(&state)?;
    let text = std::fs::read(&record).with_context(|| format!("{}: cannot be read", record.display()))?;
    let mut record: R =
        serde_json::from_slice(&text).with_context(|| format!("{}: is damaged", record.display()))?;
    // The record is written first, so it may be ahead of the bank.
    record.truncate(bank.steps());
    Ok(record)
}

/// Writes a checkpoint into `folder`.
pub fn save(bank: &Bank, record: &impl Record, folder: &Path) -> Result<()> {
    runner::write_atomically(&folder.join(RECORD_FILE), &serde_json::to_vec(record)?)?;
    Ok(bank.save(&folder.join(BANK_FILE))?)
}

/// Losses `[trials]` of each step since the last call, by step and slot. Waits for the device.
pub fn read_losses(unread: &mut Vec<Tensor>) -> Result<Vec<Vec<f32>>> {
    if unread.is_empty() {
        return Ok(Vec::new());
    }
    let losses = Tensor::stack(&std::mem::take(unread), 0).to_kind(Kind::Float); // [steps, trials]
    Ok(Vec::<Vec<f32>>::try_from(losses)?)
}
