//! The paper's counts beside ours.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::Context;
use delora_core::{MethodConfig, Role};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::count::Model;
use super::printed::{Agreement, Printed, grouped};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Published {
    models: BTreeMap<String, Facts>,
    row: Vec<Row>,
}

/// What the paper says of a model.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    table: String,
    /// Roles of the linear layers that it adapts.
    pub targets: Vec<Role>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    model: String,
    label: String,
    method: MethodConfig,
    printed: Printed,
    open: Option<String>,
    note: Option<String>,
    nearest: Option<Reading>,
}

/// Another way to count.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reading {
    method: Option<MethodConfig>,
    #[serde(default)]
    also: Vec<Vec<i64>>,
    because: String,
}

fn published() -> Published {
    toml::from_str(include_str!("published.toml")).expect("the file is tested")
}

/// `None` where the paper trains no part of the model.
pub fn facts(model: &str) -> Option<Facts> {
    published().models.remove(model)
}

/// Every row that the paper states for a model: our count, what is printed, and where they differ why.
pub fn table(name: &str, model: &Model) -> anyhow::Result<String> {
    let Some(facts) = facts(name) else {
        return Ok("The paper trains no part of it; its tensors are what `delora check-weights` compares.\n"
            .to_owned());
    };
    let mut rows =
        vec![[&facts.table, "method", "settings", "parameters", "paper", "agrees"].map(str::to_owned)];
    let mut notes = Vec::new();
    for row in published().row.iter().filter(|row| row.model == name) {
        let count = model.count(&row.method, &facts.targets)?.total;
        let said = row.notes(model, &facts.targets, count)?;
        let mark = if said.is_empty() { String::new() } else { format!("  {}", notes.len() + 1) };
        notes.extend((!said.is_empty()).then(|| said.join(" ")));
        let agrees = match row.printed.agreement(count) {
            Agreement::Rounded => "yes",
            Agreement::Cut if row.nearest.is_none() => "cut",
            _ => "no",
        };
        rows.push([
            row.label.clone(),
            row.method.name.clone(),
            settings(&row.method.settings),
            grouped(count),
            row.printed.text.clone(),
            format!("{agrees}{mark}"),
        ]);
    }
    let mut text = aligned(&rows);
    for (index, note) in notes.iter().enumerate() {
        write!(text, "{}{}  {note}", if index == 0 { "\n" } else { "" }, index + 1)?;
        text.push('\n');
    }
    Ok(text)
}

impl Row {
    /// Sentences on what does not follow from the row alone.
    fn notes(&self, model: &Model, targets: &[Role], count: i64) -> anyhow::Result<Vec<String>> {
        let mut notes = Vec::new();
        let printed = &self.printed.text;
        if let Some(reading) = &self.nearest {
            let (other, agreement) = self.read(reading, model, targets, count)?;
            let gives = if agreement == Agreement::No { "still not" } else { "which is" };
            notes.push(format!("{}: {}, {gives} {printed}.", reading.because, grouped(other)));
        } else if self.printed.agreement(count) == Agreement::Cut {
            notes.push(format!("{} rounds up; the paper drops the digits behind {printed}.", grouped(count)));
        }
        if let Some(setting) = &self.open {
            let [first, last] = self.fitting(setting, model, targets)?;
            notes.push(format!("The paper does not state `{setting}`; {first} to {last} give {printed}."));
        }
        notes.extend(self.note.clone());
        Ok(notes.into_iter().map(capitalized).collect())
    }

    fn read(
        &self,
        reading: &Reading,
        model: &Model,
        targets: &[Role],
        count: i64,
    ) -> anyhow::Result<(i64, Agreement)> {
        let adapter = reading.method.as_ref().map(|method| model.count(method, targets)).transpose()?;
        let added: i64 = reading.also.iter().map(|shape| shape.iter().product::<i64>()).sum();
        let other = adapter.map_or(count, |adapter| adapter.total) + added;
        Ok((other, self.printed.agreement(other)))
    }

    /// The least and the largest value of a setting for which the count rounds to what is printed.
    fn fitting(&self, setting: &str, model: &Model, targets: &[Role]) -> anyhow::Result<[i64; 2]> {
        let mut fits = Vec::new();
        for value in 1.. {
            let mut method = self.method.clone();
            method.settings.insert(setting.to_owned(), json!(value));
            let count = model.count(&method, targets)?.total;
            if self.printed.is_below(count) {
                break;
            }
            fits.extend((self.printed.agreement(count) == Agreement::Rounded).then_some(value));
        }
        let first = fits.first().with_context(|| format!("no `{setting}` gives {}", self.printed.text))?;
        Ok([*first, fits[fits.len() - 1]])
    }
}

/// Settings as they are written on the command line.
pub fn settings(settings: &Map<String, Value>) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    settings.iter().map(|(name, value)| format!("{name}={}", text(value))).collect::<Vec<_>>().join(" ")
}

fn capitalized(text: String) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Columns two spaces apart, numbers to the right.
fn aligned(rows: &[[String; 6]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for row in rows {
        let cell = |(column, cell): (usize, &String)| {
            let padding = " ".repeat(width(column) - cell.chars().count());
            if matches!(column, 3 | 4) { padding + cell } else { cell.clone() + &padding }
        };
        let line: Vec<String> = row.iter().enumerate().map(cell).collect();
        text.push_str(line.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use delora_core::{PartShape, SiteShape};

    use super::*;

    #[test]
    fn each_row_of_the_paper_has_its_count() {
        let counts = [
            ("DreamBooth (full UNet)", 859_520_964),
            ("OFT n=4", 11_602_368),
            ("ETHER+", 398_592),
            ("LoRA r=4", 797_184),
            ("LoRA r=16", 3_188_736),
            ("DoRA r=16", 3_288_576),
            ("DeLoRA r=16", 3_188_864),
            ("Full FT", 124_055_040),
            ("BitFit", 102_144),
            ("IA3", 55_296),
            ("LoReFT", 18_444),
            ("RED", 18_432),
            ("LoRA", 294_912),
            ("AdapterFFN", 304_320),
            ("Adapter", 387_312),
            ("DeLoRA", 294_936),
            ("ETHER n=32", 262_144),
            ("ETHER+ n=32", 1_048_576),
            ("LoRA r=8", 4_194_304),
            ("DoRA r=8", 4_456_448),
            ("DeLoRA r=8", 4_194_368),
        ];
        let rows = published().row;
        assert_eq!(rows.len(), counts.len());
        let models = Model::names().into_iter().map(|name| (name, Model::find(name).unwrap()));
        let models: BTreeMap<&str, Model> = models.collect();
        for (row, (label, expected)) in rows.iter().zip(counts) {
            let (model, targets) = (&models[row.model.as_str()], facts(&row.model).unwrap().targets);
            let count = model.count(&row.method, &targets).unwrap().total;
            assert_eq!((row.label.as_str(), count), (label, expected));
            // Each is what the paper prints, or there is a reading that is.
            let agreement = match &row.nearest {
                Some(reading) => {
                    assert_ne!(row.printed.agreement(count), Agreement::Rounded, "{label} needs no reading");
                    row.read(reading, model, &targets, count).unwrap().1
                }
                None => row.printed.agreement(count),
            };
            assert_eq!(agreement == Agreement::Cut, label == "ETHER+ n=32", "{label}: {agreement:?}");
            assert_ne!(agreement, Agreement::No, "{label}");
        }
    }

    #[test]
    fn a_table_says_what_does_not_agree_and_what_is_open() {
        let table = |name: &str| table(name, &Model::find(name).unwrap()).unwrap();
        let (images, glue, llama) = (table("sd15"), table("roberta-base"), table("llama2-7b"));
        assert!(images.contains("not in Table 5): 3,188,736, which is 3.2M."), "{images}");
        assert!(glue.contains("124,647,170, which is 125M."), "{glue}");
        assert!(glue.contains("The paper does not state `bottleneck`; 9 to 11 give 0.4M."), "{glue}");
        assert!(glue.contains("The paper does not state `bottleneck`; 14 to 18 give 0.3M."), "{glue}");
        assert!(llama.contains("1,048,576 rounds up; the paper drops the digits behind 1.04M."), "{llama}");
        assert!(llama.lines().next().unwrap().starts_with("Table 5"), "{llama}");
    }

    #[test]
    fn every_model_whose_layers_can_be_adapted_is_in_the_paper_but_for_three() {
        let is_linear = |site: &SiteShape| matches!(site.part, PartShape::Linear(_));
        let has_layers = |name: &&str| Model::find(name).unwrap().shapes.sites.iter().any(is_linear);
        let is_other = |name: &&str| ["vit-base", "dino-vits16", "sd21"].contains(name);
        for name in Model::names().into_iter().filter(has_layers).filter(|name| !is_other(name)) {
            assert!(!facts(name).unwrap().targets.is_empty());
            assert!(published().row.iter().any(|row| row.model == name));
        }
    }
}
