//! Mutated inputs through the library entries of the program and through the program itself: no panic, no refusal
//! that leaves out the file, nothing non-finite taken.
//!
//! `FUZZ_INPUTS` inputs (few by default) of the seed `FUZZ_SEED`; `FUZZ_ONLY=INDEX` repeats one. Input `i` is the same
//! however many there are. Child processes with a limit on their memory try them, so that an abort, a hang or an
//! exhausted memory is seen and the next input goes on; what was faulty stays in a temporary folder.

mod adapters;
mod case;
mod damage;
mod data;
mod drawings;
mod experiments;
mod networks;
mod pictures;
mod program;
mod random;
mod runs;
mod tables;
mod values;
mod watch;
mod worker;

use std::collections::BTreeMap;

use case::Kind;

/// Kinds of inputs; each has its `share` of any inputs in a row as many as all shares.
pub const KINDS: &[Kind] = &[
    networks::NETWORKS,
    adapters::OURS,
    adapters::PEFT,
    experiments::FILES,
    experiments::SETS,
    data::GLUE,
    data::INSTRUCTIONS,
    data::EXAMS,
    drawings::FIGURES,
    drawings::REPORT,
    pictures::SUBJECTS,
    pictures::PAIRS,
    runs::RUNS,
    program::PROGRAM,
];

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}: no number")))
}

#[test]
fn no_mutated_input_panics_or_is_refused_without_its_name_or_gives_non_finite_numbers() {
    let (seed, inputs) = (number("FUZZ_SEED", 1), number("FUZZ_INPUTS", 200));
    let only = std::env::var("FUZZ_ONLY").is_ok().then(|| number("FUZZ_ONLY", 0));
    let range = only.map_or(0..inputs, |index| index..index + 1);
    let outcome = watch::run(seed, range);
    let mut lines = String::new();
    for (kind, (count, seconds)) in &outcome.counts {
        lines += &format!("{count:6} in {seconds:5.1} s  {kind}\n");
    }
    println!("{lines}{:.0} s", outcome.seconds);
    let mut grouped: BTreeMap<(&str, &str), Vec<&watch::Fault>> = BTreeMap::new();
    for fault in &outcome.faults {
        grouped.entry((&fault.kind, &fault.group)).or_default().push(fault);
    }
    let mut text = String::new();
    for ((kind, _), faults) in &grouped {
        let first = faults[0];
        text += &format!(
            "{} × {kind}: {}\n    first: FUZZ_SEED={seed} FUZZ_ONLY={} of {} in {}\n",
            faults.len(),
            first.message,
            first.index,
            first.what,
            first.folder.display()
        );
    }
    assert!(grouped.is_empty(), "{} faults of {} sorts:\n{text}", outcome.faults.len(), grouped.len());
}

/// Does nothing but in a child process of the test above.
#[test]
fn worker() {
    if std::env::var("FUZZ_WORKER").is_ok() {
        worker::work();
    }
}
