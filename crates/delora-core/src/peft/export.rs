//! From our adapters to PEFT's.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use tch::{Kind, Tensor};

use super::folder::{DELORA, IA3, LORA, Names, OFT, PREFIX, PeftAdapter, TASK_VALUE, VERA, VERA_SHARED};
use super::low_rank;
use crate::adapter_file::AdapterFile;
use crate::bank::Bank;
use crate::error::CoreError;
use crate::methods::find_method;
use crate::norms::{column_norms, row_norms};
use crate::site::{Part, Role, Site};

/// Shares of VeRA's A between layers are scaled copies up to this difference, relative to A's largest value.
const SCALED_COPY: f64 = 1e-6;

/// The adapter in PEFT's form: the method's own where PEFT has it, else LoRA's where its update is an additive one
/// of low rank. W' is the same either way. `sites` are the network's.
pub fn to_peft(adapter: &AdapterFile, sites: &[Site]) -> Result<PeftAdapter, CoreError> {
    let is_plain_delora = || {
        let is = |key: &str, value: &str| setting(adapter, key) == value;
        is("initial_update", "zero_b") && is("weight_norm", "input_column")
    };
    let export = |tuner| Export::new(adapter, sites, tuner);
    let mut exported = match adapter.method.name.as_str() {
        "lora" => export("LORA")?.lora(false, false),
        "lora_plus" => Ok(export("LORA")?.lora(false, false)?.with_note(
            "LoRA+ differs from LoRA in how it is trained alone, which PEFT's config does not say",
        )),
        "rslora" => export("LORA")?.lora(true, false),
        "dora" => export("LORA")?.lora(false, true),
        "dora_fixed_magnitude" => Ok(export("LORA")?.lora(false, true)?.with_note(
            "PEFT trains DoRA's magnitudes: freeze `lora_magnitude_vector` to train on with them fixed",
        )),
        "delora" if is_plain_delora() => export("DELORA")?.delora(),
        "oft" => export("OFT")?.oft(),
        "ia3" => export("IA3")?.ia3(),
        "vera" => export("VERA")?.vera(),
        _ => as_lora(adapter, sites),
    }?;
    exported.add_head(adapter, sites)?;
    Ok(exported)
}

/// The adapter as LoRA, whatever its method: W' is the same. Errors when its update is not an additive one of low rank.
pub fn to_peft_lora(adapter: &AdapterFile, sites: &[Site]) -> Result<PeftAdapter, CoreError> {
    let mut exported = as_lora(adapter, sites)?;
    exported.add_head(adapter, sites)?;
    Ok(exported)
}

impl PeftAdapter {
    /// Adds the tensors of a task's head, whole: PEFT saves the modules that have them beside the adapter.
    fn add_head(&mut self, adapter: &AdapterFile, sites: &[Site]) -> Result<(), CoreError> {
        let mut modules: Vec<&str> = Vec::new();
        let is_head = |site: &&Site| matches!(site.part, Part::TaskTensor { .. });
        let bank = adapter.bank(sites)?;
        for site in sites.iter().filter(is_head) {
            let module = site.name.rsplit_once('.').map_or(site.name.as_str(), |(module, _)| module);
            if !modules.contains(&module) {
                modules.push(module);
            }
            let value = bank.parameter(&site.name, 0, TASK_VALUE)?;
            self.tensors.insert(format!("{PREFIX}{}", site.name), value);
        }
        if !modules.is_empty() {
            self.config.insert("modules_to_save".to_owned(), json!(modules));
        }
        Ok(())
    }

    fn with_note(mut self, note: &str) -> PeftAdapter {
        self.notes.push(note.to_owned());
        self
    }
}

/// Any additive update of low rank as plain LoRA.
fn as_lora(adapter: &AdapterFile, sites: &[Site]) -> Result<PeftAdapter, CoreError> {
    let updates = low_rank::updates(adapter, sites, "PEFT")?;
    let rank = low_rank::rank(&updates);
    let layers: Vec<&str> = updates.keys().map(String::as_str).collect();
    let mut config = config("LORA", &layers, adapter, sites)?;
    config.extend([("r".to_owned(), json!(rank)), ("lora_alpha".to_owned(), json!(rank))]);
    let notes = vec![low_rank::note(&adapter.method.name, rank)];
    let tensors = low_rank::named(updates, |layer| format!("{PREFIX}{layer}"));
    Ok(PeftAdapter { config, tensors, notes })
}

/// What every config says. Layers are named in full.
///
/// PEFT also takes a module whose name only ends in a dot and such a name, so a network with one
/// beside those that are adapted is an error.
fn config(
    tuner: &str,
    layers: &[&str],
    adapter: &AdapterFile,
    sites: &[Site],
) -> Result<Map<String, Value>, CoreError> {
    for site in sites.iter().filter(|site| !layers.contains(&site.name.as_str())) {
        if let Some(layer) = layers.iter().find(|layer| site.name.ends_with(&format!(".{layer}"))) {
            let problem = format!("PEFT would take `{}` for `{layer}`, whose name it ends in", site.name);
            return Err(CoreError::Adapter { place: adapter.place(), problem });
        }
    }
    let config = json!({
        "peft_type": tuner,
        "base_model_name_or_path": null,
        "task_type": null,
        "inference_mode": true,
        "target_modules": layers,
    });
    Ok(config.as_object().expect("it was written as an object").clone())
}

/// A setting of the adapter's method, or its default; null where it is absent.
fn setting(adapter: &AdapterFile, key: &str) -> Value {
    let defaults = || find_method(&adapter.method.name).map(|method| method.defaults()[key].clone());
    adapter.method.settings.get(key).cloned().unwrap_or_else(|| defaults().unwrap_or_default())
}

/// The number in JSON, as an integer where it is one: so people write it.
fn number(value: f64) -> Value {
    if value.fract() == 0.0 { json!(value as i64) } else { json!(value) }
}

struct Export<'a> {
    adapter: &'a AdapterFile,
    bank: Bank,
    /// The adapted layers: name, role, weight [out_features, in_features].
    layers: Vec<(&'a str, Role, &'a Tensor)>,
    config: Map<String, Value>,
    tensors: BTreeMap<String, Tensor>,
}

impl<'a> Export<'a> {
    fn new(adapter: &'a AdapterFile, sites: &'a [Site], tuner: &str) -> Result<Export<'a>, CoreError> {
        let bank = adapter.bank(sites)?;
        let layer = |site: &'a Site| match &site.part {
            Part::Linear { role, weight, .. } if bank.adapts(&site.name) => {
                Some((site.name.as_str(), *role, weight))
            }
            _ => None,
        };
        let layers: Vec<(&str, Role, &Tensor)> = sites.iter().filter_map(layer).collect();
        let names: Vec<&str> = layers.iter().map(|(name, ..)| *name).collect();
        let config = config(tuner, &names, adapter, sites)?;
        Ok(Export { adapter, bank, layers, config, tensors: BTreeMap::new() })
    }

    fn value(&self, layer: &str, name: &str) -> Result<Tensor, CoreError> {
        self.bank.parameter(layer, 0, name)
    }

    fn set<const N: usize>(&mut self, settings: [(&str, Value); N]) {
        self.config.extend(settings.map(|(key, value)| (key.to_owned(), value)));
    }

    /// `value` for every layer, under PEFT's name for `name`.
    fn put(
        &mut self,
        names: Names,
        name: &str,
        value: impl Fn(&Self, &str, Role, &Tensor) -> Result<Tensor, CoreError>,
    ) -> Result<(), CoreError> {
        let [_, ending] = names.iter().find(|[ours, _]| *ours == name).expect("it is one of them");
        for (layer, role, weight) in self.layers.clone() {
            let value = value(self, layer, role, weight)?;
            self.tensors.insert(format!("{PREFIX}{layer}{ending}"), value);
        }
        Ok(())
    }

    /// A parameter as it is, under PEFT's name.
    fn copy(&mut self, names: Names, name: &str) -> Result<(), CoreError> {
        self.put(names, name, |export, layer, _, _| export.value(layer, name))
    }

    fn finish(self) -> Result<PeftAdapter, CoreError> {
        Ok(PeftAdapter { config: self.config, tensors: self.tensors, notes: Vec::new() })
    }

    fn problem(&self, problem: String) -> CoreError {
        CoreError::Adapter { place: self.adapter.place(), problem }
    }

    /// LoRA, rsLoRA and DoRA.
    fn lora(mut self, use_rslora: bool, use_dora: bool) -> Result<PeftAdapter, CoreError> {
        self.copy(LORA, "A")?;
        self.copy(LORA, "B")?;
        let is_fixed = self.adapter.method.name == "dora_fixed_magnitude";
        if use_dora {
            self.put(LORA, "m", |export, layer, _, weight| {
                if is_fixed { Ok(row_norms(&weight.to_kind(Kind::Float))) } else { export.value(layer, "m") }
            })?;
        }
        let scale = |&(layer, ..): &(&str, Role, &Tensor)| Ok(self.value(layer, "scale")?.double_value(&[]));
        let scales: Vec<f64> = self.layers.iter().map(scale).collect::<Result<_, CoreError>>()?;
        let rank = self.value(self.layers[0].0, "A")?.size()[0];
        let divisor = if use_rslora { (rank as f64).sqrt() } else { rank as f64 };
        let others = self.layers.iter().zip(&scales).filter(|(_, scale)| **scale != scales[0]);
        let alphas = others
            .map(|((layer, ..), scale)| ((*layer).to_owned(), number(alpha(*scale, divisor))))
            .collect();
        let alphas = Value::Object(alphas);
        self.set([
            ("r", json!(rank)),
            ("lora_alpha", number(alpha(scales[0], divisor))),
            ("alpha_pattern", alphas),
            ("use_rslora", json!(use_rslora)),
            ("use_dora", json!(use_dora)),
        ]);
        self.finish()
    }

    fn delora(mut self) -> Result<PeftAdapter, CoreError> {
        self.copy(DELORA, "A")?;
        self.copy(DELORA, "B")?;
        self.put(DELORA, "lambda", |export, layer, _, _| Ok(export.value(layer, "lambda")?.view([1])))?;
        self.put(DELORA, "w_norm", |_, _, _, weight| Ok(column_norms(&weight.to_kind(Kind::Float))))?;
        let (rank, lambda) = (setting(self.adapter, "rank"), setting(self.adapter, "lambda"));
        self.set([("r", rank), ("delora_lambda", lambda)]);
        self.finish()
    }

    /// Our inverse in the Cayley map is exact, so PEFT's has to be.
    fn oft(mut self) -> Result<PeftAdapter, CoreError> {
        self.copy(OFT, "R")?;
        let (blocks, constraint) = (setting(self.adapter, "blocks"), setting(self.adapter, "constraint"));
        self.set([("r", blocks), ("oft_block_size", json!(0)), ("use_cayley_neumann", json!(false))]);
        if !constraint.is_null() {
            self.set([("coft", json!(true)), ("eps", constraint)]);
        }
        self.finish()
    }

    fn ia3(mut self) -> Result<PeftAdapter, CoreError> {
        self.put(IA3, "l", |export, layer, role, _| {
            Ok(export.value(layer, "l")?.view(if role == Role::FeedForwardOut { [1, -1] } else { [-1, 1] }))
        })?;
        let is_feedforward = |(_, role, _): &&(&str, Role, &Tensor)| *role == Role::FeedForwardOut;
        let feedforward: Vec<&str> =
            self.layers.iter().filter(is_feedforward).map(|(name, ..)| *name).collect();
        self.set([("feedforward_modules", json!(feedforward))]);
        self.finish()
    }

    /// PEFT cuts each layer's A from the columns of one, and B from the rows. Ours are such cuts but for A's bound,
    /// which depends on in_features; that ratio goes into d.
    fn vera(mut self) -> Result<PeftAdapter, CoreError> {
        let size = |axis: usize| move |(_, _, weight): &&(&str, Role, &Tensor)| weight.size()[axis];
        let widest = self.layers.iter().max_by_key(size(1)).expect("a method acts somewhere").0;
        let tallest = self.layers.iter().max_by_key(size(0)).expect("a method acts somewhere").0;
        let (a, b) = (self.value(widest, "A")?, self.value(tallest, "B")?);
        let ratio = |export: &Self, layer: &str| -> Result<f64, CoreError> {
            let (own_a, own_b) = (export.value(layer, "A")?, export.value(layer, "B")?);
            let cut = a.narrow(1, 0, own_a.size()[1]);
            let ratio = (&own_a * &cut).sum(Kind::Double).double_value(&[])
                / cut.square().sum(Kind::Double).double_value(&[]);
            let furthest = (&own_a - &cut * ratio).abs().max().double_value(&[]);
            let same_b = own_b == b.narrow(0, 0, own_b.size()[0]);
            if same_b && furthest <= SCALED_COPY * own_a.abs().max().double_value(&[]) {
                return Ok(ratio);
            }
            let problem =
                format!("A and B of `{layer}` are no cuts of one pair for all layers, which PEFT's VeRA has");
            Err(export.problem(problem))
        };
        self.put(VERA, "d", |export, layer, _, _| Ok(export.value(layer, "d")? * ratio(export, layer)?))?;
        self.copy(VERA, "b")?;
        let [shared_a, shared_b] = VERA_SHARED;
        self.tensors.extend([(shared_a.to_owned(), a), (shared_b.to_owned(), b)]);
        let (rank, start) = (setting(self.adapter, "rank"), setting(self.adapter, "initial_d"));
        self.set([("r", rank), ("d_initial", start), ("save_projection", json!(true))]);
        self.finish()
    }
}

/// The alpha that divided by `divisor` is `scale` in f32, in few digits where such a one is.
fn alpha(scale: f64, divisor: f64) -> f64 {
    let alpha = scale * divisor;
    let short = (alpha * 1e6).round() / 1e6;
    if (short / divisor) as f32 == scale as f32 { short } else { alpha }
}
