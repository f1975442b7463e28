//! The ledger's tests against our results.
//!
//! A verdict needs an interval clear of what it is tested against; one that is not says "not distinguishable",
//! which is neither reproduced nor refuted. The paper's numbers are judged at its own scale only.

use std::path::PathBuf;

use results::{Pairs, Trial, Trials, metric_title, stats};

use crate::claims::{Claim, Decided, Holds, Margin, Side, Test};
use crate::compare::{paired, same};
use crate::drawn::{slope, width_above};
use crate::error::{ReportError, Result};
use crate::tables::PAPER_SCALE;
use crate::verdict::{Judgement, Verdict, inside, not_below};

/// Results and plots of an experiment at one scale.
pub struct Place {
    pub scale: String,
    pub results: PathBuf,
    pub plots: PathBuf,
}

/// One judgement for each scale with results, and for each number of the paper; at least one in any case.
pub fn judge(claim: &Claim, places: impl Fn(&str) -> Vec<Place>) -> Result<Vec<Judgement>> {
    let (experiment, test) = match &claim.decided {
        Decided::NotAttempted(reason) => return Ok(vec![Judgement::not_attempted("", reason.clone())]),
        Decided::By { experiment, test } => (experiment, test),
    };
    let places = places(experiment);
    if places.is_empty() {
        return Ok(vec![Judgement::not_attempted("", format!("no results of `{experiment}`"))]);
    }
    let mut judgements = Vec::new();
    for place in places {
        match judge_at(test, &place) {
            Ok(found) => judgements.extend(found),
            Err(Missing::Note(note)) => judgements.push(Judgement::not_attempted(&place.scale, note)),
            Err(Missing::Broken(error)) => return Err(error),
        }
    }
    Ok(judgements)
}

/// Why there is no verdict: something is not there yet, or a file cannot be read.
pub enum Missing {
    Note(String),
    Broken(ReportError),
}

impl From<String> for Missing {
    fn from(note: String) -> Self {
        Self::Note(note)
    }
}

impl<T: Into<ReportError>> From<T> for Missing {
    fn from(error: T) -> Self {
        Self::Broken(error.into())
    }
}

fn judge_at(test: &Test, place: &Place) -> std::result::Result<Vec<Judgement>, Missing> {
    Ok(match test {
        Test::Compared { side, than, metric, holds } => {
            let results = Trials::read_all(&place.results)?;
            let (pairs, judgement) = compared(&results, side, than, metric, &place.scale)?;
            vec![match *holds {
                Holds::Above => above(judgement),
                Holds::Within(margin) => similar(&pairs, judgement, margin, false),
                Holds::NotBelow(margin) => similar(&pairs, judgement, margin, true),
            }]
        }
        Test::Number { side, paper, within } => {
            number(&Trials::read_all(&place.results)?, side, paper, *within, &place.scale)?
        }
        Test::WidthAbove { method, than } => vec![width_above(place, method, than)?],
        Test::Growing { method } => vec![slope(place, method, None)?],
        Test::Flat { method, share } => vec![slope(place, method, Some(*share))?],
    })
}

fn compared(
    results: &Trials,
    side: &Side,
    than: &Side,
    metric: &str,
    scale: &str,
) -> std::result::Result<(Pairs, Judgement), String> {
    let paired = paired(results, side, than, metric)?;
    let title = |side: &Side| results.method_name(&side.method).to_owned();
    let quantity = match (side.method == than.method, side.at == than.at && !side.at.is_empty()) {
        (true, _) => {
            format!("{} of {}: {} − {}", metric_title(metric), title(side), side.setting(), than.setting())
        }
        (false, true) => {
            format!("{} at {}: {} − {}", metric_title(metric), side.setting(), title(side), title(than))
        }
        (false, false) => {
            format!("{}: {} − {}", metric_title(metric), side.title(results), than.title(results))
        }
    };
    let mut judgement = Judgement::new(scale, Verdict::NotDistinguishable, quantity);
    judgement.value = paired.mean();
    judgement.interval = paired.interval();
    judgement.n = paired.differences.len();
    judgement.p = paired.p();
    judgement.detectable = paired.detectable();
    if !paired.unscored.is_empty() {
        judgement.note = format!("{} more pairs have a trial without a score. ", paired.unscored.len());
    }
    if side.listed().is_some_and(|(_, values)| values.len() > paired.subjects) {
        judgement.note += &format!("Of the {} both have {}. ", side.setting(), paired.subjects);
    }
    Ok((paired, judgement))
}

fn above(mut judgement: Judgement) -> Judgement {
    let significant = judgement.p.is_some_and(|p| p <= stats::LEVEL);
    judgement.verdict = match judgement.interval {
        Some((low, _)) if low > 0.0 && significant => Verdict::Reproduced,
        Some((_, high)) if high < 0.0 && significant => Verdict::NotReproduced,
        _ => Verdict::NotDistinguishable,
    };
    judgement.note += match (judgement.verdict, judgement.interval) {
        (Verdict::NotDistinguishable, None) => "One pair shows no spread, so it decides nothing.",
        (Verdict::NotDistinguishable, Some((low, high))) if low > 0.0 || high < 0.0 => {
            "The interval is clear of zero, but p is above 0.05."
        }
        (Verdict::NotDistinguishable, _) => "The interval holds zero.",
        (Verdict::NotReproduced, _) => "The difference is the other way round.",
        _ => "",
    };
    judgement
}

/// Whether the difference lies within the margin, or with `one_sided` not below it.
fn similar(pairs: &Pairs, mut judgement: Judgement, margin: Margin, one_sided: bool) -> Judgement {
    let margin = match margin {
        Margin::Absolute(margin) => margin,
        Margin::Share(share) => share * stats::mean(&pairs.references).unwrap_or_default().abs(),
    };
    judgement.verdict = if one_sided {
        not_below(judgement.interval, -margin)
    } else {
        inside(judgement.interval, 0.0, margin)
    };
    judgement.note += &match one_sided {
        true => format!("Kept means at worst {margin:.3} below"),
        false => format!("Alike means within ±{margin:.3}"),
    };
    judgement.note += match judgement.verdict {
        Verdict::NotDistinguishable => "; the interval lies neither inside nor outside. ",
        _ => ". ",
    };
    judgement.with_enough()
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
        let mut judgement = Judgement::new(
            scale,
            Verdict::Shown,
            format!("{} of {}", metric_title(metric), side.title(results)),
        );
        judgement.value = stats::mean(&scores);
        judgement.interval = stats::bootstrap_interval(&scores);
        judgement.n = scores.len();
        judgement.paper = Some(*printed);
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
            judgement.verdict = inside(judgement.interval, *printed, within);
            judgement.note = format!("Alike means within ±{within:.3}. ");
        }
        judgement.with_enough()
    };
    Ok(paper.iter().map(judged).collect())
}

/// Scores of a side, and the values of its list that have none. Where it has a list, each value counts alike, and only
/// what trials of one value differ in is spread: their scores stand around the mean of the values' means.
fn levelled<'a>(
    results: &Trials,
    side: &'a Side,
    trials: &[&Trial],
    metric: &str,
) -> (Vec<f64>, Vec<&'a str>) {
    let scores_of = |keep: &dyn Fn(&Trial) -> bool| -> Vec<f64> {
        let kept = trials.iter().filter(|trial| keep(trial));
        kept.filter_map(|trial| results.score(trial, metric)).collect()
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
