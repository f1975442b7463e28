//! A saved adapter is the trial itself, and a file that does not fit changes nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use delora_core::{AdapterFile, Adapts, Bank, METHODS, Method, copy_with, find_method, from_peft, to_peft};
use serde_json::json;
use tch::{Kind, Tensor};

use crate::everyone::Finding;
use crate::network::{Network, cases, difference, everything, slot_of, trial};

const RANK: i64 = 2;

/// A file of this test's own.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.adapter.safetensors"))
}

fn outputs(network: &Network, bank: &Bank) -> Tensor {
    let input = crate::network::uniform(9, "adapter", &[8, network.in_features]);
    gradient_mode::off(|| network.output(bank, &input.repeat([bank.num_trials() as i64, 1, 1])))
}

/// A trained adapter, saved and loaded into a fresh bank of another seed, gives the same outputs; so it does by way of
/// PEFT's files, where PEFT has a form for it.
pub fn export(method: &Method) -> Finding {
    let network = Network::new(12, 16, 7);
    let (path, folder) = (file("identity"), Path::new(env!("CARGO_TARGET_TMPDIR")).join("peft-identity"));
    std::fs::create_dir_all(&folder).unwrap();
    let forms = method.examples(RANK);
    let mut in_peft = 0;
    for settings in &forms {
        let mut trained = network.bank(&[trial(method, settings, 0.02, 3)]);
        network.train(&mut trained, 5);
        let adapter = trained.adapter(0).unwrap();
        adapter.save(&path).unwrap();
        let read = AdapterFile::load(&path).unwrap();
        assert_eq!((&read.method, &read.targets, read.seed), (&adapter.method, &adapter.targets, 3));
        let mut fresh = network.bank(&[trial(method, settings, 0.1, 4)]);
        let (before, wanted) = (outputs(&network, &fresh), outputs(&network, &trained));
        fresh.load_adapter(0, &read).unwrap();
        assert_eq!(outputs(&network, &fresh), wanted, "{} {settings:?}", method.name());
        assert_eq!(before == wanted, method.name() == "none", "{}: nothing was trained", method.name());
        assert_eq!(outputs(&network, &read.bank(&network.sites).unwrap()), wanted);
        if let Ok(peft) = to_peft(&adapter, &network.sites) {
            peft.save(&folder).unwrap();
            let read = from_peft(&folder, &network.sites).unwrap().adapter;
            let gap = difference(&outputs(&network, &read.bank(&network.sites).unwrap()), &wanted);
            assert!(gap < 1e-5, "{} {settings:?}: {gap} by way of PEFT", method.name());
            in_peft += 1;
        }
    }
    if in_peft == forms.len() {
        return Finding::Holds;
    }
    assert_eq!(in_peft, 0, "{}: PEFT has some of its forms", method.name());
    Finding::Partly("In its own file; PEFT has no form for it.")
}

#[test]
fn an_adapter_saved_and_loaded_gives_the_same_outputs() {
    for method in METHODS {
        export(method);
    }
}

#[test]
fn an_adapter_goes_from_slot_to_slot_and_leaves_its_neighbours_alone() {
    let network = Network::new(12, 16, 7);
    let trials: Vec<_> = (cases(RANK).iter().enumerate())
        .map(|(index, (method, settings))| trial(method, settings, 0.02, index as u64))
        .collect();
    let mut trained = network.bank(&trials);
    network.train(&mut trained, 3);
    let mut fresh = network.bank(&trials);
    let untouched = slot_of(&fresh, 1);
    let start = everything(&fresh, untouched);
    for slot in (0..trials.len()).filter(|slot| *slot != untouched) {
        fresh.load_adapter(slot, &trained.adapter(slot).unwrap()).unwrap();
    }
    for slot in 0..trials.len() {
        let wanted = if slot == untouched { &start } else { &everything(&trained, slot) };
        let own = everything(&fresh, slot);
        assert!(own.iter().zip(wanted).all(|(own, wanted)| own.value == wanted.value), "slot {slot}");
    }
}

#[test]
fn what_does_not_fit_is_named_and_changes_nothing() {
    let network = Network::new(12, 16, 8);
    let lora = find_method("lora").unwrap();
    let config = trial(lora, &lora.examples(RANK)[0], 0.1, 1);
    let adapter = || {
        let mut bank = network.bank(std::slice::from_ref(&config));
        network.train(&mut bank, 2);
        AdapterFile { path: Some("some/file".into()), ..bank.adapter(0).unwrap() }
    };
    let mut bank = network.bank(std::slice::from_ref(&config));
    let start = outputs(&network, &bank);
    let mut refusal = |change: &dyn Fn(&mut AdapterFile)| {
        let mut adapter = adapter();
        change(&mut adapter);
        let message = bank.load_adapter(0, &adapter).unwrap_err().to_string();
        assert_eq!(outputs(&network, &bank), start, "{message}");
        message
    };
    let put = |name: &'static str, value: Tensor| {
        move |adapter: &mut AdapterFile| drop(adapter.tensors.insert(name.to_owned(), value.shallow_clone()))
    };
    let zeros = |shape: [i64; 2], kind: Kind| Tensor::zeros(shape, (kind, tch::Device::Cpu));
    for (change, words) in [
        (
            &put("first.A", zeros([3, 12], Kind::Float)) as &dyn Fn(&mut AdapterFile),
            "adapter `some/file`: tensor `first.A` is Float [3, 12]; wanted is Float [2, 12]",
        ),
        (&put("first.A", zeros([2, 12], Kind::Double)), "is Double [2, 12]"),
        (&put("third.A", zeros([2, 12], Kind::Float)), "tensor `third.A` belongs to no layer"),
        (
            &|adapter| drop(adapter.tensors.remove("second.B")),
            "`second.B` is missing; wanted is Float [16, 2]",
        ),
        (&|adapter| adapter.method.name = "rslora".to_owned(), "it is of method `rslora`"),
        (&|adapter| drop(adapter.method.settings.insert("rank".to_owned(), json!(4))), "\"rank\":4"),
    ] {
        let message = refusal(change);
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn methods_of_hidden_states_have_an_adapter_and_no_other_form() {
    let network = Network::new(12, 16, 8);
    for (method, settings) in cases(RANK) {
        let bank = network.bank(&[trial(method, &settings, 0.1, 1)]);
        let merged = bank.merged_tensors(0);
        if method.adapts != Adapts::Hidden {
            let names: Vec<String> = merged.unwrap().into_keys().collect();
            assert_eq!(names.contains(&"norm.bias".to_owned()), method.adapts == Adapts::Whole);
            continue;
        }
        assert!(merged.unwrap_err().to_string().contains("so there is no merged weight"));
        let adapter = bank.adapter(0).unwrap();
        let message = to_peft(&adapter, &network.sites).err().unwrap().to_string();
        assert!(message.contains("changes hidden states: PEFT does not read it"), "{message}");
    }
}

#[test]
fn a_copy_of_a_file_has_the_changed_tensors_unrounded_and_the_others_as_they_were() {
    let (path, copy) = (file("original"), file("copy"));
    let value = crate::network::uniform(1, "value", &[3, 2]);
    let stored =
        [("a", value.to_kind(Kind::Half)), ("b", value.shallow_clone()), ("c", value.to_kind(Kind::Int64))];
    Tensor::write_safetensors(&stored, &path).unwrap();
    let changed = |name: &str, value: Tensor| [(name.to_owned(), value)].into();
    copy_with(&path, &changed("a", &value * 2.0), &copy).unwrap();
    let written: BTreeMap<String, Tensor> = Tensor::read_safetensors(&copy).unwrap().into_iter().collect();
    assert_eq!((written["a"].kind(), &written["a"]), (Kind::Float, &(&value * 2.0)));
    assert!(written["b"] == value && written["c"] == stored[2].1);
    let message = copy_with(&path, &changed("d", value.shallow_clone()), &copy).unwrap_err().to_string();
    assert!(message.contains("tensor `d`, which the adapter changes, is missing"), "{message}");
    let message = copy_with(&path, &changed("a", value.tr()), &copy).unwrap_err().to_string();
    assert!(message.contains("is [3, 2]; the adapter's is [2, 3]"), "{message}");
    [path, copy].iter().for_each(|path| std::fs::remove_file(path).unwrap());
}

#[test]
fn a_file_of_another_kind_or_format_is_refused() {
    let path = file("other");
    let error = || AdapterFile::load(&path).unwrap_err().to_string();
    std::fs::write(&path, b"torn").unwrap();
    assert!(error().contains("other.adapter.safetensors"), "{}", error());
    Tensor::write_safetensors(&[("a", Tensor::zeros([2], (Kind::Float, tch::Device::Cpu)))], &path).unwrap();
    assert!(error().contains("it is no adapter file"), "{}", error());
    let network = Network::new(12, 16, 8);
    let lora = find_method("lora").unwrap();
    let bank = network.bank(&[trial(lora, &lora.examples(RANK)[0], 0.1, 1)]);
    bank.adapter(0).unwrap().save(&path).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let mark = br#"\"format\":1"#;
    let start = bytes.windows(mark.len()).position(|part| part == mark).unwrap();
    bytes[start + mark.len() - 1] = b'2';
    std::fs::write(&path, bytes).unwrap();
    assert!(error().contains("it has format 2; this program reads format 1"), "{}", error());
    std::fs::remove_file(path).unwrap();
}
