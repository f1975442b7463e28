//! The rules of decision on simulated trials: how often they are wrong, and how often they decide.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal};
use rayon::prelude::*;
use results::Sample;
use results::stats::{self, MeanTest};

use crate::design::look_levels;
use crate::evidence::Evidence;
use crate::family::decide_at_looks;
use crate::hypothesis::{Bounds, Claimed, Hypothesis, Margin};
use crate::verdict::Verdict;

const MARGIN: f64 = 0.02;

fn normal(deviation: f64) -> Normal<f64> {
    Normal::new(0.0, deviation).unwrap()
}

/// Means over `seeds` seeds of each of `subjects` subjects, whose own effects differ by `between`.
fn subjects(random: &mut ChaCha8Rng, subjects: usize, seeds: usize, between: f64, within: f64) -> Vec<f64> {
    let subject = |random: &mut ChaCha8Rng| {
        let own = normal(between).sample(random);
        let noise: f64 = (0..seeds).map(|_| normal(within).sample(random)).sum();
        own + noise / seeds as f64
    };
    (0..subjects).map(|_| subject(random)).collect()
}

/// The share of `count` simulations in which something happens.
fn share(count: u64, happens: impl Fn(&mut ChaCha8Rng) -> bool + Sync) -> f64 {
    let of = |seed: u64| happens(&mut ChaCha8Rng::seed_from_u64(seed));
    (0..count).into_par_iter().filter(|seed| of(*seed)).count() as f64 / count as f64
}

#[test]
fn intervals_hold_the_truth_nineteen_times_in_twenty_with_few_units_too() {
    for (units, seeds) in [(3, 1), (5, 2), (10, 3), (28, 3)] {
        for (between, within) in [(0.0, 0.04), (0.02, 0.04), (0.04, 0.01)] {
            let covered = share(20_000, |random| {
                let (low, high) = stats::interval(&subjects(random, units, seeds, between, within)).unwrap();
                low <= 0.0 && 0.0 <= high
            });
            assert!((covered - 0.95).abs() < 0.006, "{units} × {seeds}, {between} {within}: {covered}");
        }
    }
}

#[test]
fn intervals_over_trainings_and_questions_hold_the_truth_too() {
    let normal = |deviation: f64, count: usize, random: &mut ChaCha8Rng| -> Vec<f64> {
        normal(deviation).sample_iter(random).take(count).collect()
    };
    for (units, items) in [(3, 60), (5, 60), (10, 200)] {
        for (between, of_items, rest) in
            [(0.0, 0.0, 0.4), (0.02, 0.0, 0.4), (0.0, 0.4, 0.2), (0.05, 0.2, 0.4)]
        {
            let covered = share(4_000, |random| {
                let of_item = normal(of_items, items, random);
                let rows: Vec<Vec<f64>> = normal(between, units, random)
                    .into_iter()
                    .map(|unit| {
                        let rest = normal(rest, items, random);
                        of_item.iter().zip(rest).map(|(item, rest)| unit + item + rest).collect()
                    })
                    .collect();
                let (low, high) = MeanTest::crossed(&rows).unwrap().interval(0.05);
                low <= 0.0 && 0.0 <= high
            });
            // Never too narrow; too wide where nothing differs between trainings and between questions.
            assert!(
                (0.94..0.995).contains(&covered),
                "{units} × {items}, {between} {of_items} {rest}: {covered}"
            );
        }
    }
}

#[test]
fn as_many_units_as_are_said_to_be_needed_decide_four_times_in_five() {
    for (difference, spread, level) in [(0.02, 0.04, 0.05), (0.02, 0.03, 0.005), (0.05, 0.05, 0.01)] {
        // Units of exactly this spread.
        let units = Sample::of(vec![-spread, spread, 0.0]).units_needed(difference, level).unwrap();
        let found = share(10_000, |random| {
            let values: Vec<f64> =
                subjects(random, units, 1, 0.0, spread).iter().map(|value| value + difference).collect();
            MeanTest::of(&values).unwrap().interval(level).0 > 0.0
        });
        assert!((0.78..0.84).contains(&found), "{units} units: {found}");
    }
}

/// A statement with its true mean.
#[derive(Clone, Copy)]
struct Statement {
    claimed: Claimed,
    truth: f64,
}

/// Whether a verdict is false: one that the truth contradicts.
fn is_false(statement: Statement, verdict: Verdict, way: &str) -> bool {
    let Statement { claimed, truth } = statement;
    match (claimed, verdict) {
        (_, Verdict::Undecided) => false,
        (Claimed::Above, Verdict::Reproduced) => truth <= 0.0,
        (Claimed::Above, Verdict::Alike) => truth <= 0.0 || truth >= MARGIN,
        (Claimed::Above, _) if way.starts_with("alike") => truth.abs() >= MARGIN,
        (Claimed::Above, _) => truth >= 0.0,
        (Claimed::Alike, Verdict::Reproduced) => truth.abs() >= MARGIN,
        (Claimed::Alike, _) => truth.abs() <= MARGIN,
        (Claimed::NotBelow, Verdict::Reproduced) => truth <= -MARGIN,
        (Claimed::NotBelow, _) => truth >= -MARGIN,
    }
}

/// How often a family of these statements has a false decision at any of three looks, and the share of all that it decides.
/// All share the trials of one method, so that their errors are correlated, as in a table that compares with LoRA.
fn family(count: u64, statements: &[Statement]) -> (f64, f64) {
    let (subjects_at, seeds) = ([10, 19, 28], 3);
    let levels: Vec<f64> = look_levels(&subjects_at).iter().map(|look| look.level).collect();
    let run = |random: &mut ChaCha8Rng| {
        let draw = |random: &mut ChaCha8Rng| subjects(random, 28, seeds, 0.015, 0.03);
        let baseline = draw(random);
        let of: Vec<Vec<f64>> = statements
            .iter()
            .map(|statement| {
                let own = draw(random);
                own.iter().zip(&baseline).map(|(own, other)| own - other + statement.truth).collect()
            })
            .collect();
        decide_at_looks(statements.len(), &levels, |look, index| {
            Some(Evidence {
                quantity: String::new(),
                hypothesis: Hypothesis {
                    claimed: statements[index].claimed,
                    margin: Margin::Absolute(MARGIN),
                },
                sample: Sample::of(of[index][..subjects_at[look]].to_vec()),
                references: Vec::new(),
                bounds: Bounds::default(),
                note: String::new(),
            })
        })
    };
    let outcomes: Vec<(bool, usize)> = (0..count)
        .into_par_iter()
        .map(|seed| {
            let settled = run(&mut ChaCha8Rng::seed_from_u64(seed));
            let found = || settled.iter().flatten().map(|settled| settled.decision).zip(statements);
            let is_wrong =
                found().any(|(decision, statement)| is_false(*statement, decision.verdict, decision.way));
            (is_wrong, found().filter(|(decision, _)| decision.verdict.is_decided()).count())
        })
        .collect();
    let wrong = outcomes.iter().filter(|(is_wrong, _)| *is_wrong).count() as f64 / count as f64;
    let decided: usize = outcomes.iter().map(|(_, decided)| decided).sum();
    (wrong, decided as f64 / (count as usize * statements.len()) as f64)
}

#[test]
fn a_ledger_without_any_difference_is_decided_falsely_at_most_once_in_twenty() {
    let null = [Statement { claimed: Claimed::Above, truth: 0.0 }; 8];
    let (wrong, _) = family(10_000, &null);
    assert!(wrong <= 0.05, "{wrong}");
    let alone = family(10_000, &null[..1]);
    assert!(alone.0 <= 0.05, "{}", alone.0);
}

#[test]
fn differences_on_the_edge_of_what_matters_are_decided_falsely_at_most_once_in_twenty() {
    let with = |claimed, truth| Statement { claimed, truth };
    let edges = [
        vec![with(Claimed::Above, MARGIN); 8],
        vec![with(Claimed::Alike, MARGIN); 8],
        vec![with(Claimed::NotBelow, -MARGIN); 8],
        [Claimed::Above, Claimed::Alike]
            .into_iter()
            .flat_map(|claimed| [0.0, MARGIN, -MARGIN, 3.0 * MARGIN].map(|truth| with(claimed, truth)))
            .collect(),
    ];
    for (index, statements) in edges.iter().enumerate() {
        let (wrong, _) = family(10_000, statements);
        assert!(wrong <= 0.05, "ledger {index}: {wrong}");
    }
}

#[test]
fn clear_differences_are_decided() {
    let clear = [Statement { claimed: Claimed::Above, truth: 3.0 * MARGIN }; 8];
    let (wrong, decided) = family(500, &clear);
    assert!(wrong < 0.01 && decided > 0.99, "{wrong} {decided}");
}
