//! `delora export`: adapters in the forms that other programs read.

use std::path::PathBuf;

use anyhow::Result;
use delora_core::{AdapterFile, to_diffusers, to_peft, to_peft_lora};

use crate::folder;
use crate::host::Host;

#[derive(clap::Args)]
pub struct Args {
    /// Adapter file, as `run --save-adapters` and `import` write it
    adapter: PathBuf,
    /// The checkpoint that the adapter was trained on: Stable Diffusion, RoBERTa, BERT, a vision transformer, or a decoder
    #[arg(long, value_name = "PATH")]
    model: PathBuf,
    #[arg(long, value_enum)]
    format: Format,
    /// Folder to write, which is not there yet
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Format {
    /// adapter_config.json and adapter_model.safetensors for `PeftModel.from_pretrained`, in the method's own form where PEFT has it
    Peft,
    /// The same as LoRA, whatever the method, where the update is an additive one of low rank
    Lora,
    /// The checkpoint again, with the adapter in its weights, which are f32 where they changed
    Merged,
    /// pytorch_lora_weights.safetensors for `load_lora_weights`, of Stable Diffusion, where the update is an additive one of low rank
    Diffusers,
}

pub fn run(args: &Args) -> Result<()> {
    let (host, adapter) = Host::of(&args.model, AdapterFile::load(&args.adapter)?)?;
    let notes = write(&adapter, &host, args)?;
    notes.iter().for_each(|note| terminal::line(format_args!("note: {note}")));
    terminal::line(args.out.display());
    Ok(())
}

/// Returns what a reader should know.
fn write(adapter: &AdapterFile, host: &Host, args: &Args) -> Result<Vec<String>> {
    match args.format {
        Format::Peft | Format::Lora => {
            let write = if matches!(args.format, Format::Peft) { to_peft } else { to_peft_lora };
            let mut export = write(adapter, &host.sites)?;
            host.describe(&mut export);
            folder::write_whole(&args.out, |folder| Ok(export.save(folder)?))?;
            Ok(export.notes)
        }
        Format::Diffusers => {
            let export = to_diffusers(adapter, &host.sites, host.in_diffusers()?)?;
            folder::write_whole(&args.out, |folder| Ok(export.save(folder)?))?;
            Ok(export.notes)
        }
        Format::Merged => {
            folder::write_whole(&args.out, |folder| host.merge(adapter, folder))?;
            Ok(Vec::new())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use std::fs;
    use std::path::Path;

    use delora_core::{Bank, Part, Role, Site, TrialConfig};
    use serde_json::json;
    use tch::{Device, Tensor};

    use super::*;
    use crate::commands::import;

    fn mini() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/mini/sd")
    }

    fn adapter(method: serde_json::Value) -> AdapterFile {
        adapter_of(&mini(), method)
    }

    /// A trial of the keys of a UNet, every factor of which differs from its start.
    fn adapter_of(model: &Path, method: serde_json::Value) -> AdapterFile {
        let trial: TrialConfig = serde_json::from_value(json!({
            "method": method, "learning_rate": {"angles": 0.1}, "targets": [Role::Key.to_string()], "seed": 1,
        }))
        .unwrap();
        let mut bank = Bank::new(&sd_driver::sites(model).unwrap(), &[trial], Device::Cpu).unwrap();
        for parameter in bank.parameter_names(0).into_iter().filter(|parameter| parameter.trained) {
            let value = bank.parameter(&parameter.site, 0, parameter.name).unwrap() + 0.01;
            bank.set_parameter(&parameter.site, 0, parameter.name, &value).unwrap();
        }
        bank.adapter(0).unwrap()
    }

    fn weights(sites: &[Site]) -> BTreeMap<&str, &Tensor> {
        sites
            .iter()
            .filter_map(|site| match &site.part {
                Part::Linear { weight, .. } => Some((site.name.as_str(), weight)),
                Part::Tensor { value } => Some((site.name.as_str(), value)),
                Part::Hidden(_) | Part::TaskTensor { .. } => None,
            })
            .collect()
    }

    #[test]
    fn an_adapter_goes_out_and_comes_back_and_a_merged_model_is_a_model() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        let export = |adapter: &str, format, out: &str| {
            run(&Args { adapter: at(adapter), model: mini(), format, out: at(out) })
        };
        let lora = adapter(json!({"name": "lora", "rank": 2, "alpha": 3.0}));
        lora.save(&at("lora")).unwrap();
        export("lora", Format::Peft, "peft").unwrap();
        import::run(&import::Args { folder: at("peft"), model: mini(), out: at("back") }).unwrap();
        let back = AdapterFile::load(&at("back")).unwrap();
        assert_eq!(back.method, lora.method);
        assert_eq!(back.tensors, lora.tensors);
        export("lora", Format::Diffusers, "diffusers").unwrap();
        assert!(at("diffusers/pytorch_lora_weights.safetensors").is_file());
        export("lora", Format::Merged, "merged").unwrap();
        let (before, after) = (sd_driver::sites(&mini()).unwrap(), sd_driver::sites(&at("merged")).unwrap());
        let bank = lora.bank(&before).unwrap();
        for (name, weight) in weights(&after) {
            let frozen = weights(&before)[name];
            let wanted =
                if bank.adapts(name) { bank.merged(name, 0).unwrap() } else { frozen.shallow_clone() };
            assert_eq!(*weight, wanted, "{name}");
            assert_eq!(weight == frozen, !bank.adapts(name), "{name}");
        }
        assert!(at("merged/vae/config.json").is_file() && at("merged/model_index.json").is_file());
        let message = format!("{:#}", export("lora", Format::Peft, "peft").unwrap_err());
        assert!(message.contains("peft: is there already"), "{message}");
    }

    #[test]
    fn a_single_file_comes_back_merged_under_its_own_names() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for case in ["single_file_1", "single_file_2"] {
            let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/tests/golden").join(case);
            let model = golden.join("model.safetensors");
            let lora = adapter_of(&model, json!({"name": "lora", "rank": 2, "alpha": 3.0}));
            let bank = lora.bank(&sd_driver::sites(&model).unwrap()).unwrap();
            lora.save(&at(case)).unwrap();
            let out = at(&format!("{case}-merged"));
            let merged = Args { adapter: at(case), model, format: Format::Merged, out: out.clone() };
            run(&merged).unwrap();
            // With the configs beside it, it is a checkpoint again, of which only what the adapter changed differs.
            crate::folder::copy(&golden.join("unet"), &out.join("unet")).unwrap();
            let after = sd_driver::sites(&out.join("model.safetensors")).unwrap();
            for (name, weight) in weights(&after).into_iter().filter(|(name, _)| bank.adapts(name)) {
                assert_eq!(*weight, bank.merged(name, 0).unwrap(), "{case}: {name}");
            }
            let stored =
                |path: &Path| Tensor::read_safetensors(path).unwrap().into_iter().collect::<BTreeMap<_, _>>();
            let (before, after) = (stored(&merged.model), stored(&out.join("model.safetensors")));
            assert_eq!(before.len(), after.len());
            let changed = before.iter().filter(|(name, value)| after[*name] != **value).count();
            assert_eq!(
                changed,
                bank.parameter_names(0).iter().filter(|own| own.name == "B").count(),
                "{case}"
            );
        }
    }

    #[test]
    fn a_broken_adapter_is_neither_exported_nor_imported() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        let lora = adapter(json!({"name": "lora", "rank": 2, "alpha": 3.0}));
        let args = |format| Args { adapter: at("lora"), model: mini(), format, out: at("out") };
        lora.save(&at("lora")).unwrap();
        run(&Args { out: at("peft"), ..args(Format::Peft) }).unwrap();
        // B is as `adapter` moves it, throughout.
        let moved = 0.01f32.to_le_bytes();
        for file in [at("lora"), at("peft/adapter_model.safetensors")] {
            let mut bytes = fs::read(&file).unwrap();
            let place = bytes.windows(4).rposition(|part| part == moved).unwrap();
            bytes[place..place + 4].copy_from_slice(&f32::NAN.to_le_bytes());
            fs::write(&file, bytes).unwrap();
        }
        for format in [Format::Merged, Format::Peft, Format::Diffusers] {
            let message = format!("{:#}", run(&args(format)).unwrap_err());
            assert!(message.contains("lora") && message.contains("has 1 values that are NaN"), "{message}");
        }
        let import = import::Args { folder: at("peft"), model: mini(), out: at("out") };
        let message = format!("{:#}", import::run(&import).unwrap_err());
        assert!(message.contains("adapter_model.safetensors") && message.contains("NaN"), "{message}");
        assert!(!at("out").exists());
    }

    #[test]
    fn what_cannot_be_written_is_named_and_leaves_no_folder() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        adapter(json!({"name": "ether", "blocks": 1})).save(&at("ether")).unwrap();
        let args = |format| Args { adapter: at("ether"), model: mini(), format, out: at("out") };
        for (format, reader) in
            [(Format::Peft, "PEFT"), (Format::Lora, "PEFT"), (Format::Diffusers, "diffusers")]
        {
            let message = format!("{:#}", run(&args(format)).unwrap_err());
            assert!(message.contains(&format!("`ether` has no form that {reader} reads")), "{message}");
            assert!(message.contains("--format merged"), "{message}");
        }
        let wrong = Args { model: mini().join("vae"), ..args(Format::Peft) };
        let message = format!("{:#}", run(&wrong).unwrap_err());
        assert!(message.contains("vae: its `model_type` is null"), "{message}");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }
}
