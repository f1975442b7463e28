//! What methods are called: `methods.csv` of a results folder, else the names of older results.

use std::path::Path;

use crate::error::Result;
use crate::frame::Frame;

/// The row that trains nothing.
pub const NONE: &str = "none";
/// The row of real pictures, which is no method.
pub const REAL_IMAGES: &str = "real_images";

/// A method of results that have no `methods.csv`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MethodName {
    /// As in experiment files.
    pub name: &'static str,
    /// As in tables and legends.
    pub title: &'static str,
    /// The weight update W' − W, or W' where the method replaces W, or h' where it acts on hidden states.
    pub formula: &'static str,
}

/// The methods in the order of legends, named as in results from before the runner wrote `methods.csv`.
pub const METHODS: &[MethodName] = &[
    method("real_images", "Real Images", ""),
    method("lora", "LoRA", "BA"),
    method("lora_normalized", "Normalized LoRA", "(λ/r) BΞA"),
    method("delora", "DeLoRA", "(‖W‖λ/r) BΞA"),
    method("multiplicative_relaxed", "Relaxed multiplicative", "(λ/r)(BΞA − DΦC) W"),
    method("multiplicative_high_rank", "Boundary + high rank", "(λ/r)(UΣUᵀ − VΘVᵀ) W"),
    method("controllable_boundary", "Controllable boundary", "λ(uuᵀ − vvᵀ) W"),
    method("ether_plus_one_sided", "ETHER+ one-sided", "(uuᵀ − vvᵀ) W"),
    method("dora", "DoRA", "m (W + BA)/‖W + BA‖ − W"),
    method("dora_fixed_magnitude", "DoRA, fixed magnitude", "‖W‖ (W + BA)/‖W + BA‖ − W"),
    method("full", "Full finetuning", "ΔW of every tensor"),
    method("oft", "OFT", "(Q − I) W, QᵀQ = I"),
    method("ether", "ETHER", "−2uuᵀ W"),
    method("ether_plus", "ETHER+", "(I − uuᵀ + vvᵀ) W (I − u′u′ᵀ + v′v′ᵀ) − W"),
    method("bitfit", "BitFit", "0, biases trained"),
    method("ia3", "IA3", "(diag(l) − I) W"),
    method("loreft", "LoReFT", "h + Rᵀ(Wh + b − Rh)"),
    method("red", "RED", "diag(s) h + t"),
    method("adapter_houlsby", "Adapter (Houlsby)", "h + U φ(Dh), twice a block"),
    method("adapter_pfeiffer", "Adapter-FFN", "h + U φ(Dh), once a block"),
    method("vera", "VeRA", "diag(b) B diag(d) A"),
    method("pissa", "PiSSA", "BA − B₀A₀"),
    method("rslora", "rsLoRA", "(α/√r) BA"),
    method("lora_plus", "LoRA+", "BA, B at its own rate"),
    method("encoder_only", "Encoder only", "0, condition encoder trained"),
    method("none", "No finetuning", "0"),
];

const fn method(name: &'static str, title: &'static str, formula: &'static str) -> MethodName {
    MethodName { name, title, formula }
}

fn listed(name: &str) -> Option<&'static MethodName> {
    METHODS.iter().find(|method| method.name == name)
}

/// The title of a method without its results: that of the list, else its own name.
pub fn title(name: &str) -> &str {
    listed(name).map_or(name, |method| method.title)
}

/// Place of a method in legends and picture grids: the list's order, other names last.
pub fn rank(name: &str) -> usize {
    METHODS.iter().position(|method| method.name == name).unwrap_or(METHODS.len())
}

/// Name, title and formula of each method that the runner has written beside its trials.
#[derive(Debug, Default)]
pub(crate) struct Methods(Vec<[String; 3]>);

impl Methods {
    /// Reads `methods.csv`; results from before there was one have no such file.
    pub fn read(results: &Path) -> Result<Self> {
        let path = results.join("methods.csv");
        if !path.exists() {
            return Ok(Self::default());
        }
        let frame = Frame::read(&path)?;
        for column in ["name", "title", "formula"] {
            frame.one_of(&[column])?;
        }
        let row = |row| ["name", "title", "formula"].map(|column| frame.text(row, column).to_owned());
        Ok(Self((0..frame.len()).map(row).collect()))
    }

    fn written(&self, method: &str) -> Option<&[String; 3]> {
        self.0.iter().find(|[name, ..]| name == method)
    }

    pub fn title<'a>(&'a self, method: &'a str) -> &'a str {
        self.written(method).map_or_else(|| title(method), |[_, title, _]| title)
    }

    pub fn formula(&self, method: &str) -> &str {
        let older = || listed(method).map_or("", |method| method.formula);
        self.written(method).map_or_else(older, |[_, _, formula]| formula)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_stand_once_and_an_unknown_method_keeps_its_own_name() {
        for (index, one) in METHODS.iter().enumerate() {
            assert!(METHODS[index + 1..].iter().all(|other| other.title != one.title), "{}", one.name);
        }
        assert_eq!(title("hira"), "hira");
        assert_eq!(title("delora"), "DeLoRA");
        assert!(rank("hira") > rank("none"));
    }

    #[test]
    fn what_the_runner_wrote_counts_before_the_list() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Methods::read(folder.path()).unwrap().title("dora"), "DoRA");
        let rows =
            "name,title,formula,parameters\nhira,HiRA,W ∘ BA,update\ndora,DoRA 2,m V,update magnitude\n";
        std::fs::write(folder.path().join("methods.csv"), rows).unwrap();
        let methods = Methods::read(folder.path()).unwrap();
        assert_eq!(["hira", "dora", "lora"].map(|name| methods.title(name)), ["HiRA", "DoRA 2", "LoRA"]);
        assert_eq!((methods.formula("hira"), methods.formula("lora")), ("W ∘ BA", "BA"));
    }
}
