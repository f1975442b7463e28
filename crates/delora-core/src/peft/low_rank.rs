//! Updates of low rank, which any program that knows LoRA can use.

use std::collections::BTreeMap;
use std::path::Path;

use tch::Tensor;

use super::folder::save_tensors;
use crate::adapter_file::AdapterFile;
use crate::bank::Bank;
use crate::error::CoreError;
use crate::factors::LowRank;
use crate::method::Adapts;
use crate::methods::find_method;
use crate::site::{Part, Site};

const DIFFUSERS_FILE: &str = "pytorch_lora_weights.safetensors";

/// The file that diffusers' `load_lora_weights` reads.
pub struct DiffusersLora {
    /// For each adapted layer `<network>.<layer>.lora_A.weight` [rank, in_features] and `….lora_B.weight`
    /// [out_features, rank].
    pub tensors: BTreeMap<String, Tensor>,
    /// What is not as a reader would expect, in sentences.
    pub notes: Vec<String>,
}

impl DiffusersLora {
    /// Writes the file into `folder`, which exists.
    pub fn save(&self, folder: &Path) -> Result<(), CoreError> {
        save_tensors(&self.tensors, &folder.join(DIFFUSERS_FILE))
    }
}

/// The adapter as LoRA factors; `network` is diffusers' prefix, as in `unet`.
///
/// All scales are folded into A, as diffusers takes alpha to be the rank where the file says nothing else
/// (`get_peft_kwargs`). Errors when the method's update is not an additive one of low rank.
pub fn to_diffusers(
    adapter: &AdapterFile,
    sites: &[Site],
    network: &str,
) -> Result<DiffusersLora, CoreError> {
    let updates = updates(adapter, sites, "diffusers")?;
    let is_lora = ["lora", "lora_plus", "rslora"].contains(&adapter.method.name.as_str());
    let note = (!is_lora).then(|| note(&adapter.method.name, rank(&updates)));
    let notes = note.into_iter().collect();
    Ok(DiffusersLora { tensors: named(updates, |layer| format!("{network}.{layer}")), notes })
}

/// What all layers have.
pub(super) fn rank(updates: &BTreeMap<String, LowRank>) -> i64 {
    updates.values().next().map_or(0, |update| update.a.size()[0])
}

pub(super) fn note(method: &str, rank: i64) -> String {
    format!(
        "`{method}` is written as LoRA of rank {rank} with its scales folded in: it gives the same outputs, but \
         what would train on from it is LoRA"
    )
}

/// A and B of each layer, under the names that PEFT gives them behind `prefix(layer)`.
pub(super) fn named(
    updates: BTreeMap<String, LowRank>,
    prefix: impl Fn(&str) -> String,
) -> BTreeMap<String, Tensor> {
    let factors = |(layer, LowRank { a, b }): (String, LowRank)| {
        let prefix = prefix(&layer);
        [(format!("{prefix}.lora_A.weight"), a), (format!("{prefix}.lora_B.weight"), b)]
    };
    updates.into_iter().flat_map(factors).collect()
}

/// Whether a method acts at a site, which a task's tensor is not: every trial has that as its own.
pub(super) fn is_adapted(bank: &Bank, site: &Site) -> bool {
    !matches!(site.part, Part::TaskTensor { .. }) && bank.adapts(&site.name)
}

/// W' − W of each adapted layer, `a` [rank, in_features] and `b` [out_features, rank]; `reader` is for messages.
pub(super) fn updates(
    adapter: &AdapterFile,
    sites: &[Site],
    reader: &str,
) -> Result<BTreeMap<String, LowRank>, CoreError> {
    let bank = adapter.bank(sites)?;
    let method = find_method(&adapter.method.name)?;
    let refused = |why: &str| {
        let problem = format!("its method `{}` {why}", method.name());
        CoreError::Adapter { place: adapter.place(), problem }
    };
    if method.adapts == Adapts::Hidden {
        let why = format!(
            "changes hidden states: {reader} does not read it, and no merged weight can stand for it"
        );
        return Err(refused(&why));
    }
    let mut updates = BTreeMap::new();
    for site in sites.iter().filter(|site| is_adapted(&bank, site)) {
        let update = if method.adapts == Adapts::Linear { bank.update(&site.name, 0)? } else { None };
        let update = update.ok_or_else(|| {
            refused(&format!(
                "has no form that {reader} reads here, nor does it add an update of low rank; `--format merged` \
                 writes its weights"
            ))
        })?;
        updates.insert(site.name.clone(), update);
    }
    Ok(updates)
}
