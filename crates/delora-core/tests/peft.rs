//! Adapters that PEFT saved, read here, and ours in PEFT's form; `tools/goldens/exchange.py` wrote the first and
//! `tools/goldens/check_exchange.py` reads the second.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use delora_core::{
    AdapterFile, Adapts, Bank, CoreError, Imported, METHODS, Method, MethodConfig, Role, Site, TrialConfig,
    find_method, from_peft, to_diffusers, to_peft,
};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

const CASES: [&str; 10] =
    ["lora", "rslora", "pissa", "dora", "delora", "oft", "coft", "oft_series", "ia3", "vera"];
const TOLERANCE: f64 = 1e-5;
/// Of a method written in another form than its own, or whose constants were divided by one another.
const REWRITTEN: f64 = 1e-6;
const RANK: i64 = 2;
/// Where `check_exchange.py` is to find the exports; absent: they are thrown away.
const FOLDER_VARIABLE: &str = "DELORA_EXCHANGE_DIR";

/// The frozen stack of two linears with a tanh between; IA3 takes `first` for a key and `second` for the end of a
/// feed-forward block.
struct Stack(HashMap<String, Tensor>);

impl Stack {
    fn new() -> Stack {
        Stack(tensors(&tests().join("golden/stack.safetensors")))
    }

    fn layer(&self, name: &str) -> [&Tensor; 2] {
        ["weight", "bias"].map(|part| &self.0[&format!("{name}.{part}")])
    }

    fn sites(&self) -> Vec<Site> {
        let site = |(name, role)| {
            let [weight, bias] = self.layer(name);
            Site::linear(name, role, weight, Some(bias))
        };
        [("first", Role::Key), ("second", Role::FeedForwardOut)].map(site).into()
    }

    /// Of the first input, [rows, features], in a bank of one trial.
    fn output(&self, bank: &Bank) -> Tensor {
        let layer = |name, input: &Tensor| {
            let [weight, bias] = self.layer(name);
            if bank.adapts(name) {
                bank.forward(name, weight, Some(bias), input)
            } else {
                input.linear(weight, Some(bias))
            }
        };
        layer("second", &layer("first", &self.0["input"].narrow(0, 0, 1)).tanh()).squeeze_dim(0)
    }

    /// A trial of `method` after some steps, by which no parameter is at its start.
    fn trained(&self, method: &Method, settings: &serde_json::Map<String, Value>) -> AdapterFile {
        let method = MethodConfig { name: method.name().to_owned(), settings: settings.clone() };
        let trial = TrialConfig::new(method, 0.05, 5);
        let mut bank = Bank::new(&self.sites(), &[trial], Device::Cpu).unwrap();
        for _ in 0..5 {
            let error = self.output(&bank) - 1.0;
            bank.step(&error.square().mean(Kind::Float).view([1]));
        }
        bank.adapter(0).unwrap()
    }

    fn output_of(&self, adapter: &AdapterFile) -> Tensor {
        gradient_mode::off(|| self.output(&adapter.bank(&self.sites()).unwrap()))
    }
}

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

fn tensors(path: &Path) -> HashMap<String, Tensor> {
    Tensor::read_safetensors(path).unwrap().into_iter().collect()
}

/// An empty folder of this test's own.
fn empty(folder: PathBuf) -> PathBuf {
    if folder.exists() {
        std::fs::remove_dir_all(&folder).unwrap();
    }
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn difference(left: &Tensor, right: &Tensor) -> f64 {
    assert_eq!(left.size(), right.size());
    (left - right).abs().max().double_value(&[])
}

#[test]
fn adapters_that_peft_saved_give_its_outputs() {
    let stack = Stack::new();
    for name in CASES {
        let folder = tests().join("golden_peft").join(name);
        let imported = from_peft(&folder, &stack.sites()).unwrap();
        assert_eq!(imported.notes.len(), usize::from(name == "oft_series"), "{:?}", imported.notes);
        let reference = &tensors(&folder.join("output.safetensors"))["output"];
        let difference = difference(&stack.output_of(&imported.adapter), reference);
        println!("{name} as `{}`: largest difference {difference:.1e}", imported.adapter.method.name);
        assert!(difference <= TOLERANCE, "{name}: {difference:e}");
    }
}

/// What importing a case says after a change of its config and its tensors.
fn refusal(case: &str, set: &[(&str, Value)], change: impl Fn(&mut HashMap<String, Tensor>)) -> String {
    changed(case, set, change).unwrap_err().to_string()
}

fn changed(
    case: &str,
    set: &[(&str, Value)],
    change: impl Fn(&mut HashMap<String, Tensor>),
) -> Result<Imported, CoreError> {
    let folder = tests().join("golden_peft").join(case);
    let changed = empty(Path::new(env!("CARGO_TARGET_TMPDIR")).join("peft-refusal"));
    let text = std::fs::read_to_string(folder.join("adapter_config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    for (key, value) in set {
        config[key] = value.clone();
    }
    std::fs::write(changed.join("adapter_config.json"), config.to_string()).unwrap();
    let mut stored = tensors(&folder.join("adapter_model.safetensors"));
    change(&mut stored);
    let stored: Vec<(&String, &Tensor)> = stored.iter().collect();
    Tensor::write_safetensors(&stored, changed.join("adapter_model.safetensors")).unwrap();
    from_peft(&changed, &Stack::new().sites())
}

/// PEFT computes the norms in the kind of the weight, and may keep them in f32 afterwards.
#[test]
fn norms_that_peft_computed_in_half_precision_are_those_of_the_same_network_and_of_no_other() {
    let stack = Stack::new();
    let import = |kind: Kind, kept: Kind, factor: f64| {
        changed("delora", &[], |stored| {
            for layer in ["first", "second"] {
                let weight = (stack.layer(layer)[0] * factor).to_kind(kind);
                let norms = weight.norm_scalaropt_dim(2.0, [0].as_slice(), false).to_kind(kept);
                stored.insert(format!("base_model.model.{layer}.delora_w_norm"), norms);
            }
        })
    };
    for kind in [Kind::BFloat16, Kind::Half, Kind::Float] {
        for kept in [kind, Kind::Float] {
            import(kind, kept, 1.0).unwrap();
            // As much as 2 % is another network in any kind.
            for factor in [0.98, 1.02] {
                let message = import(kind, kept, factor).unwrap_err().to_string();
                assert!(message.contains("it is of another network"), "{kind:?} in {kept:?}: {message}");
            }
        }
    }
    // What bf16 may differ by, f32 may not.
    import(Kind::BFloat16, Kind::Float, 1.002).unwrap();
    import(Kind::Float, Kind::Float, 1.002).unwrap_err();
}

#[test]
fn what_cannot_be_taken_over_is_an_error_that_names_file_key_and_value() {
    for (case, key, value, words) in [
        (
            "lora",
            "rank_pattern",
            json!({"first": 2}),
            "`first` has factors of the shapes [3, 6] and [10, 3]; its rank is 2 by adapter_config.json",
        ),
        ("lora", "bias", json!("all"), r#"`bias` is "all""#),
        ("lora", "init_lora_weights", json!("olora"), "a start that changes the weights below"),
        ("lora", "use_lily", json!(true), "`use_lily` is true"),
        ("lora", "r", json!("three"), r#"`r` is "three""#),
        ("lora", "r", json!(2), "its rank is 2 by adapter_config.json"),
        ("lora", "alpha_pattern", json!({"first": "much"}), "`alpha_pattern`: `first`: invalid type"),
        ("lora", "peft_type", json!("LOHA"), "`peft_type` is LOHA; read are LORA"),
        ("delora", "lambda_pattern", json!({"first": 2}), "`lambda_pattern` is"),
        ("oft", "block_share", json!(true), "`block_share` is true"),
        ("vera", "save_projection", json!(false), "save it again with true"),
    ] {
        let message = refusal(case, &[(key, value)], |_| ());
        assert!(message.contains(words), "{message}");
    }
    let rename = |from: &'static str, to: &'static str| {
        move |stored: &mut HashMap<String, Tensor>| {
            let value = stored.remove(from).unwrap();
            stored.extend((!to.is_empty()).then_some((to.to_owned(), value)));
        }
    };
    let first = "base_model.model.first.lora_A.weight";
    for (to, words) in [
        ("base_model.model.third.lora_A.weight", "the network has no linear layer `third`"),
        ("base_model.model.first.lora_C.weight", "`base_model.model.first.lora_C.weight` is not known"),
        ("", "tensor `first.A` is missing"),
    ] {
        let message = refusal("lora", &[], rename(first, to));
        assert!(message.contains(words), "{message}");
    }
    let message = refusal("delora", &[], |stored| {
        let norms = stored.get_mut("base_model.model.first.delora_w_norm").unwrap();
        *norms = &*norms * 1.1;
    });
    assert!(message.contains("it is of another network"), "{message}");
    let message = refusal("ia3", &[], |stored| {
        let scales = stored.get_mut("base_model.model.second.ia3_l").unwrap();
        *scales = scales.tr().contiguous();
    });
    assert!(message.contains("a layer of role `feed_forward_out` has [1, in_features]"), "{message}");
    let message = refusal("ia3", &[], rename("base_model.model.second.ia3_l", ""));
    assert!(message.contains("it does not adapt `second`"), "{message}");
}

/// Exports every form of every method, imports what was written, and compares. Forms without a counterpart are
/// errors that say what there is instead.
#[test]
fn exported_adapters_read_back_are_the_same_network() {
    let (stack, kept) = (Stack::new(), std::env::var_os(FOLDER_VARIABLE));
    let root =
        kept.as_ref().map_or(Path::new(env!("CARGO_TARGET_TMPDIR")).join("peft-exports"), PathBuf::from);
    let root = empty(root);
    let mut exported = Vec::new();
    for method in METHODS {
        for (index, settings) in method.examples(RANK).iter().enumerate() {
            if method.adapts == Adapts::Hidden {
                continue;
            }
            let adapter = stack.trained(method, settings);
            let export = match to_peft(&adapter, &stack.sites()) {
                Ok(export) => export,
                Err(error) => {
                    let (message, name) = (error.to_string(), method.name());
                    let words = format!("its method `{name}` has no form that PEFT reads");
                    assert!(message.contains(&words) && message.contains("--format merged"), "{message}");
                    continue;
                }
            };
            let folder = root.join(format!("{}_{index}", method.name()));
            std::fs::create_dir(&folder).unwrap();
            export.save(&folder).unwrap();
            let (ours, frozen) = (
                stack.output_of(&adapter),
                stack.output_of(&stack.trained(&METHODS[0], &Default::default())),
            );
            Tensor::write_safetensors(&[("output", &ours)], folder.join("output.safetensors")).unwrap();
            let back = from_peft(&folder, &stack.sites()).unwrap();
            let (difference, moved) =
                (difference(&stack.output_of(&back.adapter), &ours), difference(&ours, &frozen));
            println!(
                "{}: as `{}`, differs by {difference:.1e}, trained by {moved:.1e}",
                folder.display(),
                back.adapter.method.name
            );
            let is_exact = back.adapter.method.name == method.name() && method.name() != "vera";
            assert!(difference <= if is_exact { 0.0 } else { REWRITTEN }, "{difference:e}");
            assert!(moved > 1e-2, "{moved:e}");
            exported.push(method.name());
        }
    }
    exported.dedup();
    let with_counterpart =
        "lora lora_normalized delora dora dora_fixed_magnitude oft ia3 vera pissa rslora lora_plus";
    let missing: Vec<&str> = with_counterpart.split(' ').filter(|name| !exported.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?} have a counterpart in PEFT and were not exported");
    if kept.is_none() {
        std::fs::remove_dir_all(root).unwrap();
    }
}

#[test]
fn diffusers_gets_factors_with_every_scale_folded_in() {
    let stack = Stack::new();
    let method = find_method("delora").unwrap();
    let adapter = stack.trained(method, &method.examples(RANK)[0]);
    let lora = to_diffusers(&adapter, &stack.sites(), "unet").unwrap();
    let bank = adapter.bank(&stack.sites()).unwrap();
    for layer in ["first", "second"] {
        let factor = |name: &str| &lora.tensors[&format!("unet.{layer}.lora_{name}.weight")];
        let [weight, _] = stack.layer(layer);
        let update = bank.merged(layer, 0).unwrap() - weight;
        assert!(difference(&factor("B").matmul(factor("A")), &update) < REWRITTEN);
        assert_eq!(factor("A").size()[0], 2 * RANK);
    }
    assert!(lora.notes[0].contains("as LoRA of rank 4"), "{:?}", lora.notes);
    let method = find_method("dora").unwrap();
    let error = to_diffusers(&stack.trained(method, &method.examples(RANK)[0]), &stack.sites(), "unet").err();
    let message = error.unwrap().to_string();
    assert!(message.contains("`dora` has no form that diffusers reads"), "{message}");
}
