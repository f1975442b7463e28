//! The ledger's statements against our results.
//!
//! Statements of a table or figure are decided together. Where a design stands beside the results, they are decided at its
//! looks, and what an earlier look decided stays; else once, by all trials that are there, at the level 0.05: such results
//! were looked at while they came, and their verdicts are *exploratory*. The paper's numbers are judged at its own scale only.

use std::collections::BTreeMap;

use results::sweep::replicate;
use results::{Sample, Trial, Trials, metric_title, stats, unit_means};

use crate::PAPER_SCALE;
use crate::claims::{Claim, Decided, Ledger, Test};
use crate::compare::{Side, same};
use crate::design::{Design, Look};
use crate::error::{DecideError, Result};
use crate::evidence::{Evidence, Missing, Place, evidence};
use crate::family::{Settled, decide_at_looks};
use crate::hypothesis::{Bounds, Claimed, Hypothesis, Margin};
use crate::verdict::{Judgement, Verdict};

/// A claim with its judgements: one for each place with results, and for each number of the paper; at least one.
pub type Judged = (Claim, Vec<Judgement>);

/// Judges every claim by the results at `places`, which gives those of an experiment.
///
/// A claim whose results cannot be used goes to `failed` with the reason.
pub fn judge(
    ledger: &Ledger,
    places: impl Fn(&str) -> Vec<Result<Place>>,
    failed: &mut Vec<(String, DecideError)>,
) -> Vec<Judged> {
    let mut judged: Vec<Judged> = ledger.claims.iter().map(|claim| (claim.clone(), Vec::new())).collect();
    let mut experiments: Vec<&str> = Vec::new();
    for claim in &ledger.claims {
        match &claim.decided {
            Decided::By { experiment, .. } if !experiments.contains(&experiment.as_str()) => {
                experiments.push(experiment);
            }
            _ => {}
        }
    }
    for experiment in experiments {
        for place in places(experiment) {
            let of = |claim: &Claim| matches!(&claim.decided, Decided::By { experiment: of, .. } if of == experiment);
            let outcome = place.and_then(|place| judge_at(&mut judged, &of, &place, failed));
            if let Err(error) = outcome {
                failed.push((format!("experiment `{experiment}`"), error));
            }
        }
    }
    for (claim, judgements) in judged.iter_mut().filter(|(_, judgements)| judgements.is_empty()) {
        let reason = match &claim.decided {
            Decided::NotAttempted(reason) => reason.clone(),
            Decided::By { experiment, .. } => format!("no results of `{experiment}`"),
        };
        judgements.push(Judgement::not_attempted("", reason));
    }
    judged
}

/// Adds the judgements of the claims that are `of` the results of one place.
fn judge_at(
    judged: &mut [Judged],
    of: &dyn Fn(&Claim) -> bool,
    place: &Place,
    failed: &mut Vec<(String, DecideError)>,
) -> Result<()> {
    let design = Design::read(&place.folder)?;
    let looks = match &design {
        Some(design) => design.taken(place.trials()).into_iter().map(Some).collect(),
        None => vec![None],
    };
    // By family, the claims that have evidence, by their place in the ledger.
    let mut families: BTreeMap<&str, Vec<(usize, &Test)>> = BTreeMap::new();
    let mut found: Vec<(usize, Vec<Judgement>)> = Vec::new();
    for (index, (claim, _)) in judged.iter().enumerate().filter(|(_, (claim, _))| of(claim)) {
        let Decided::By { test, .. } = &claim.decided else { continue };
        match test {
            Test::Number { side, paper, within } => {
                let judgements = number(place.trials(), side, paper, *within, &place.scale)
                    .unwrap_or_else(|note| vec![Judgement::not_attempted(&place.scale, note)]);
                found.push((index, judgements));
            }
            // What is no statement of the design as it was written is not decided by its trials.
            _ if design.as_ref().is_some_and(|design| !design.has(&claim.id, test)) => {
                let note = "not a statement of this design, or with another margin".to_owned();
                found.push((index, vec![Judgement::not_attempted(&place.scale, note)]));
            }
            _ => families.entry(claim.family()).or_default().push((index, test)),
        }
    }
    for claims in families.values() {
        for ((index, _), judgement) in claims.iter().zip(judge_family(claims, design.as_ref(), &looks, place))
        {
            match judgement {
                Ok(judgement) => found.push((*index, vec![judgement])),
                Err(error) => failed.push((format!("claim `{}`", judged[*index].0.id), error)),
            }
        }
    }
    for (index, judgements) in found {
        judged[index].1.extend(judgements);
    }
    Ok(())
}

/// One judgement for each claim of a family.
fn judge_family(
    claims: &[(usize, &Test)],
    design: Option<&Design>,
    looks: &[Option<Look>],
    place: &Place,
) -> Vec<Result<Judgement>> {
    let seen: Vec<Place> = looks
        .iter()
        .map(|look| {
            place.only(|trial| {
                design.zip(*look).is_none_or(|(design, look)| design.is_of_first(trial, look.first))
            })
        })
        .collect();
    let levels: Vec<f64> = looks.iter().map(|look| look.map_or(stats::LEVEL, |look| look.level)).collect();
    let mut missing: Vec<Option<Missing>> = claims.iter().map(|_| None).collect();
    let settled = decide_at_looks(claims.len(), &levels, |look, index| {
        let found = evidence(claims[index].1, &seen[look]);
        found.map_err(|why| missing[index] = Some(why)).ok()
    });
    let judged = |(settled, missing): (Option<Settled>, Option<Missing>)| match (settled, missing) {
        (Some(settled), _) => {
            Ok(judgement(&settled, place, design.zip(looks[settled.look]), levels[settled.look]))
        }
        (None, Some(Missing::Broken(error))) => Err(error),
        (None, Some(Missing::Note(note))) => Ok(Judgement::not_attempted(&place.scale, note)),
        // A design of which no look has all of its trials.
        (None, None) => Ok(Judgement {
            scale: place.scale.clone(),
            verdict: Verdict::Undecided,
            is_registered: true,
            note: "No look at the data has been reached yet. ".to_owned(),
            ..Judgement::default()
        }),
    };
    settled.into_iter().zip(missing).map(judged).collect()
}

fn judgement(settled: &Settled, place: &Place, look: Option<(&Design, Look)>, level: f64) -> Judgement {
    let Settled { decision, evidence, together, .. } = settled;
    let Evidence { quantity, sample, note, .. } = evidence;
    let needed = || evidence.units_needed(level / *together as f64);
    let mut note = note.clone();
    if !decision.way.is_empty() {
        note = format!("{}{}. {note}", decision.way[..1].to_uppercase(), &decision.way[1..]);
    }
    if let Some((design, look)) = look {
        let (whole, along) = (design.values.len(), &design.along);
        note += &format!("Look at {} of {whole} {along}s, level {:.4}. ", look.first, look.level);
    }
    Judgement {
        scale: place.scale.clone(),
        verdict: decision.verdict,
        quantity: quantity.clone(),
        value: sample.mean(),
        interval: sample.interval(),
        n: sample.len(),
        p: Some(decision.p),
        p_holm: Some(decision.p_holm),
        margin: Some(evidence.margin()),
        needed: if decision.verdict == Verdict::Undecided { needed() } else { None },
        is_registered: look.is_some(),
        note,
        ..Judgement::default()
    }
}

fn number(
    results: &Trials,
    side: &Side,
    paper: &[(String, f64)],
    within: f64,
    scale: &str,
) -> std::result::Result<Vec<Judgement>, String> {
    let trials = side.of(results)?;
    let judged = |(metric, printed): &(String, f64)| {
        let (scores, missing) = levelled(results, side, &trials, metric);
        let mut judgement = Judgement {
            scale: scale.to_owned(),
            verdict: Verdict::Shown,
            quantity: format!("{} of {}", metric_title(metric), side.title(results)),
            value: stats::mean(&scores),
            interval: stats::interval(&scores),
            n: scores.len(),
            paper: Some(*printed),
            ..Judgement::default()
        };
        if scores.is_empty() {
            return Judgement::not_attempted(
                scale,
                format!("no finished trial of {} has `{metric}`", side.text()),
            );
        }
        if !missing.is_empty() {
            judgement.note = format!("Without {}. ", missing.join(", "));
        }
        if scale != PAPER_SCALE {
            judgement.note += "Another model and other data than the paper's.";
        } else if missing.is_empty() {
            let difference = Sample::of(scores.iter().map(|score| score - printed).collect());
            let hypothesis = Hypothesis { claimed: Claimed::Alike, margin: Margin::Absolute(within) };
            let levels = hypothesis.levels(&difference, &[], Bounds::default());
            (judgement.verdict, _) = hypothesis.outcome(&levels, stats::LEVEL);
            judgement.margin = Some(within);
        }
        judgement
    };
    Ok(paper.iter().map(judged).collect())
}

/// Scores of a side by unit, and the values of its list that have none. Where it has a list, each value counts alike, and only
/// what trials of one value differ in is spread: their scores stand around the mean of the values' means.
fn levelled<'a>(
    results: &Trials,
    side: &'a Side,
    trials: &[&Trial],
    metric: &str,
) -> (Vec<f64>, Vec<&'a str>) {
    let scores_of = |keep: &dyn Fn(&Trial) -> bool| -> Vec<f64> {
        let kept = trials.iter().filter(|trial| keep(trial));
        let scored = kept.filter_map(|trial| Some((replicate(trial), results.score(trial, metric)?)));
        unit_means(&scored.collect::<Vec<_>>())
    };
    let Some((key, values)) = side.listed() else { return (scores_of(&|_| true), Vec::new()) };
    let (mut means, mut around, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    for value in values {
        let scores = scores_of(&|trial| same(results.setting(trial, key), value));
        match stats::mean(&scores) {
            Some(mean) => {
                means.push(mean);
                around.extend(scores.iter().map(|score| score - mean));
            }
            None => missing.push(value.as_str()),
        }
    }
    let level = stats::mean(&means).unwrap_or_default();
    (around.iter().map(|difference| level + difference).collect(), missing)
}
