//! Adapter files of ours and folders of PEFT's: read, merged and written again.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use delora_core::{AdapterFile, Bank, Role, Site, TrialConfig, from_peft, to_diffusers, to_peft};
use serde_json::{Value, json};
use tch::{Device, Tensor};

use crate::case::{Case, Kind, Verdict};
use crate::worker::Shared;

pub const OURS: Kind = Kind { name: "adapters of ours", share: 8, attempt: ours };
pub const PEFT: Kind = Kind { name: "adapters of PEFT's", share: 6, attempt: of_peft };

fn methods() -> Vec<Value> {
    vec![
        json!({"name": "lora", "rank": 2, "alpha": 3.0}),
        json!({"name": "delora", "rank": 2, "lambda": 4.0, "initial_update": "live", "weight_norm": "input_column"}),
        json!({"name": "dora", "rank": 2, "alpha": 3.0}),
        json!({"name": "ether", "blocks": 1}),
        json!({"name": "full"}),
    ]
}

/// Methods of [`methods`] that PEFT has.
const WITH_PEFT: [usize; 3] = [0, 1, 2];

fn sites(shared: &Shared) -> &[Site] {
    shared
        .sites
        .get_or_init(|| sd_driver::sites(Path::new("assets/mini/sd")).expect("the mini model can be read"))
}

/// The adapter of the method of an index, made once; every factor differs from its start.
fn original(shared: &Shared, index: usize) -> PathBuf {
    let path = shared.folder.join(format!("{index}.adapter"));
    if path.is_file() {
        return path;
    }
    let group = if methods()[index]["name"] == "full" { "weight" } else { "angles" };
    let trial: TrialConfig = serde_json::from_value(json!({
        "method": methods()[index], "learning_rate": {group: 0.1}, "targets": [Role::Key], "seed": 1,
    }))
    .expect("the trial is well formed");
    let mut bank = Bank::new(sites(shared), &[trial], Device::Cpu).expect("the method fits");
    for own in bank.parameter_names(0).into_iter().filter(|own| own.trained) {
        let value = bank.parameter(&own.site, 0, own.name).expect("it is there") + 0.01;
        bank.set_parameter(&own.site, 0, own.name, &value).expect("it is of its shape");
    }
    bank.adapter(0).expect("a bank can be saved").save(&path).expect("temporary files can be written");
    path
}

fn finite(tensors: &BTreeMap<String, Tensor>) -> Option<Verdict> {
    let broken = tensors.iter().find(|(_, value)| value.isfinite().all().int64_value(&[]) == 0)?;
    Some(Verdict::Wrong(format!("taken, and `{}` is not finite", broken.0)))
}

fn ours(case: &mut Case, shared: &mut Shared) -> Verdict {
    let index = case.random.below(methods().len());
    let path = case.linked(&original(shared, index), "trial.adapter");
    case.damage(&path);
    let sites = sites(shared);
    let adapter = match AdapterFile::load(&path) {
        Ok(adapter) => adapter,
        Err(error) => return Verdict::Refused(error.to_string()),
    };
    let merged = match adapter.bank(sites).and_then(|bank| bank.merged_tensors(0)) {
        Ok(merged) => merged,
        Err(error) => return Verdict::Refused(error.to_string()),
    };
    if let Some(wrong) = finite(&merged) {
        return wrong;
    }
    let written = || -> Result<()> {
        if adapter.method.name == "lora" {
            let out = case.folder.join("diffusers");
            fs::create_dir(&out)?;
            to_diffusers(&adapter, sites, "unet")?.save(&out)?;
        }
        if ["lora", "delora", "dora"].contains(&adapter.method.name.as_str()) {
            let out = case.folder.join("peft");
            fs::create_dir(&out)?;
            to_peft(&adapter, sites)?.save(&out)?;
            from_peft(&out, sites)?;
        }
        Ok(())
    };
    written().map_or_else(|error| Verdict::Refused(format!("{error:#}")), |()| Verdict::Taken)
}

fn of_peft(case: &mut Case, shared: &mut Shared) -> Verdict {
    let index = *case.random.pick(&WITH_PEFT);
    let original = original(shared, index);
    let exported = shared.folder.join(format!("{index}.peft"));
    let sites = sites(shared);
    if !exported.is_dir() {
        fs::create_dir(&exported).expect("temporary files can be written");
        let adapter = AdapterFile::load(&original).expect("it was written so");
        to_peft(&adapter, sites).expect("PEFT has the method").save(&exported).expect("files can be written");
    }
    let folder = case.linked(&exported, "peft");
    let file = case.any_file(&folder, |_| true);
    case.damage(&file);
    case.blamed.push(folder.display().to_string());
    match from_peft(&folder, sites) {
        Ok(imported) => finite(&imported.adapter.tensors).unwrap_or(Verdict::Taken),
        Err(error) => Verdict::Refused(error.to_string()),
    }
}
