//! The table of what is checked of each method: `just proof`.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use delora_core::{METHODS, Method};

use crate::banks::Mixed;
use crate::everyone::{Everyone, Finding};
use crate::{adapters, formulas, golden, gradients};

/// in_features, out_features and seed.
const SHAPES: [(i64, i64, u64); 2] = [(16, 10, 1), (10, 14, 2)];

type Check = Box<dyn Fn(&'static Method) -> Finding>;

/// Banks of all methods, for each of the shapes and rates.
fn trained(rates: &[f64], steps: u64) -> Vec<Everyone> {
    let of = |shape| rates.iter().map(move |&rate| Everyone::trained(shape, rate, steps));
    SHAPES.into_iter().flat_map(of).collect()
}

/// `check` on each of the banks.
fn on(banks: Vec<Everyone>, check: fn(&Everyone, &Method) -> Finding) -> Check {
    Box::new(move |method| {
        let findings: Vec<Finding> = banks.iter().map(|everyone| check(everyone, method)).collect();
        assert!(findings.iter().all(|finding| *finding == findings[0]), "{}: {findings:?}", method.name());
        findings[0]
    })
}

fn columns() -> Vec<(&'static str, Check)> {
    let mixed = Mixed::trained((12, 16));
    vec![
        ("golden", Box::new(golden::golden)),
        ("gradient", Box::new(gradients::gradient)),
        ("bound", on(trained(&[0.01, 1.0, 100.0], 12), formulas::bound)),
        ("rank", on(SHAPES.map(Everyone::scattered).into(), formulas::rank)),
        ("count", on(trained(&[0.05], 0), formulas::count)),
        ("bank", Box::new(move |method| mixed.alone(method))),
        ("merge", on(trained(&[0.05], 4), formulas::merge)),
        ("export", Box::new(adapters::export)),
    ]
}

/// Footnotes in the order of their first mention.
#[derive(Default)]
struct Notes(BTreeMap<&'static str, usize>);

impl Notes {
    fn mark(&mut self, symbol: char, note: &'static str) -> String {
        let next = self.0.len() + 1;
        format!("{symbol} {}", self.0.entry(note).or_insert(next))
    }
}

#[test]
#[ignore = "the checks are tests of their own; this one is for `just proof`"]
fn table() {
    let columns = columns();
    let mut notes = Notes::default();
    let mut failed = Vec::new();
    let names: String = columns.iter().map(|(name, _)| format!("{name:<10}")).collect();
    println!("\n{:<26}{}", "", names.trim_end());
    for method in METHODS {
        let mut row = format!("{:<26}", method.name());
        for (name, check) in &columns {
            let cell = match catch_unwind(AssertUnwindSafe(|| check(method))) {
                Ok(Finding::Holds) => "✓".to_owned(),
                Ok(Finding::Partly(note)) => notes.mark('✓', note),
                Ok(Finding::Nothing(note)) => notes.mark('–', note),
                Err(_) => {
                    failed.push(format!("{name} of {}", method.name()));
                    "✗".to_owned()
                }
            };
            row += &format!("{cell:<10}");
        }
        println!("{}", row.trim_end());
    }
    let mut notes: Vec<(usize, &str)> = notes.0.into_iter().map(|(note, number)| (number, note)).collect();
    notes.sort_unstable();
    println!();
    notes.iter().for_each(|(number, note)| println!("{number}  {note}"));
    assert!(failed.is_empty(), "failed: {}", failed.join(", "));
}
