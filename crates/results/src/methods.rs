//! What methods are called: `methods.csv` of a results folder, else the names of older results.

use std::path::Path;
use std::sync::LazyLock;

use crate::error::Result;
use crate::frame::Frame;

/// The row that trains nothing.
pub const NONE: &str = "none";
/// The row of real pictures, which is no method.
pub const REAL_IMAGES: &str = "real_images";

/// What a method is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MethodName {
    /// The method as experiment files write it.
    pub name: String,
    /// What tables and legends say.
    pub title: String,
    /// The weight update W' − W, or W' where the method replaces W, or h' where it acts on hidden states.
    pub formula: String,
}

/// The methods in the order of legends, named as in results from before the runner wrote `methods.csv`.
pub static METHODS: LazyLock<Vec<MethodName>> = LazyLock::new(|| {
    let mut reader = csv::Reader::from_reader(include_str!("../assets/methods.csv").as_bytes());
    let row = |row: csv::Result<csv::StringRecord>| {
        let row = row.expect("a test reads the list");
        MethodName::from([0, 1, 2].map(|cell| row[cell].to_owned()))
    };
    reader.records().map(row).collect()
});

impl From<[String; 3]> for MethodName {
    fn from([name, title, formula]: [String; 3]) -> Self {
        Self { name, title, formula }
    }
}

fn listed(name: &str) -> Option<&'static MethodName> {
    METHODS.iter().find(|method| method.name == name)
}

/// The title of a method without its results: that of the list, else its own name.
pub fn title(name: &str) -> &str {
    listed(name).map_or(name, |method| &method.title)
}

/// Place of a method in legends and picture grids: the list's order, other names last.
pub fn rank(name: &str) -> usize {
    METHODS.iter().position(|method| method.name == name).unwrap_or(METHODS.len())
}

/// Name, title and formula of each method that the runner has written beside its trials.
#[derive(Debug, Default)]
pub(crate) struct Methods(Vec<MethodName>);

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
        let row = |row| ["name", "title", "formula"].map(|column| frame.text(row, column).to_owned()).into();
        Ok(Self((0..frame.len()).map(row).collect()))
    }

    fn written(&self, method: &str) -> Option<&MethodName> {
        self.0.iter().find(|written| written.name == method)
    }

    pub fn title<'a>(&'a self, method: &'a str) -> &'a str {
        self.written(method).map_or_else(|| title(method), |written| &written.title)
    }

    pub fn formula(&self, method: &str) -> &str {
        self.written(method).or(listed(method)).map_or("", |method| &method.formula)
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
