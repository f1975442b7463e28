//! What results say of a test: a number for each independent unit.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use results::prolonged::{Growth, Points};
use results::robustness::{Scores, Width};
use results::sweep::{self, DINO, Line, Replicate, replicate};
use results::{Pairs, Sample, Status, Trial, Trials, all_curves, metric_title, stats, unit_means, unit_of};

use crate::claims::Test;
use crate::compare::{Side, paired};
use crate::error::DecideError;
use crate::hypothesis::{Bounds, Claimed, Hypothesis, Levels, Margin};

const DISTANCE: &str = "distance";

/// Results of an experiment at one scale.
#[derive(Clone)]
pub struct Place {
    pub scale: String,
    pub folder: PathBuf,
    trials: Trials,
    /// Distances of the tracked layer over steps, by trial.
    distances: Arc<BTreeMap<String, Points>>,
}

impl Place {
    pub fn read(folder: &Path, scale: &str) -> Result<Self, DecideError> {
        let trials = Trials::read_all(folder)?;
        let curves = all_curves(folder, trials.all())?;
        let of_distance = curves.into_iter().filter(|curve| curve.metric == DISTANCE);
        let by_trial = of_distance.map(|curve| (trials.all()[curve.trial].id.clone(), curve.points));
        let distances = Arc::new(by_trial.collect());
        Ok(Self { scale: scale.to_owned(), folder: folder.to_path_buf(), trials, distances })
    }

    pub fn trials(&self) -> &Trials {
        &self.trials
    }

    /// The same with those of its trials that are kept.
    pub fn only(&self, keep: impl Fn(&Trial) -> bool) -> Self {
        let (scale, folder) = (self.scale.clone(), self.folder.clone());
        Self { scale, folder, trials: self.trials.only(keep), distances: self.distances.clone() }
    }
}

/// A number for each unit, and what they are to show.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// What a unit's number is, as in "DINO: DeLoRA − LoRA".
    pub quantity: String,
    pub hypothesis: Hypothesis,
    pub sample: Sample,
    /// What a margin that is a share is a share of, unit by unit; empty for a margin that is none.
    pub references: Vec<f64>,
    pub bounds: Bounds,
    /// What a reader has to know beside the numbers.
    pub note: String,
}

impl Evidence {
    pub fn levels(&self) -> Levels {
        self.hypothesis.levels(&self.sample, &self.references, self.bounds)
    }

    /// The smallest difference that matters, beside the mean of the references.
    pub fn margin(&self) -> f64 {
        self.hypothesis.margin.mean(&self.references)
    }

    /// The units that would decide it at a level, if the truth is what these show.
    pub fn units_needed(&self, level: f64) -> Option<usize> {
        self.hypothesis.units_needed(&self.sample, &self.references, level)
    }

    fn new(quantity: String, hypothesis: Hypothesis, sample: Sample) -> Self {
        let (references, bounds, note) = (Vec::new(), Bounds::default(), String::new());
        Self { quantity, hypothesis, sample, references, bounds, note }
    }
}

/// Why there is no evidence: something is not there yet, or a file cannot be read.
#[derive(Debug)]
pub enum Missing {
    Note(String),
    Broken(DecideError),
}

impl From<String> for Missing {
    fn from(note: String) -> Self {
        Self::Note(note)
    }
}

impl<T: Into<DecideError>> From<T> for Missing {
    fn from(error: T) -> Self {
        Self::Broken(error.into())
    }
}

/// The evidence of a test on results; a number of the paper is no hypothesis of ours, and has none.
pub fn evidence(test: &Test, place: &Place) -> Result<Evidence, Missing> {
    match test {
        Test::Compared { side, than, metric, hypothesis } => {
            Ok(compared(&place.trials, side, than, metric, *hypothesis)?)
        }
        Test::WidthAbove { method, than, margin } => {
            let sweep = Sweep::of(&place.trials, method, than)?;
            sweep.width(Hypothesis { claimed: Claimed::Above, margin: *margin })
        }
        Test::CurveAbove { method, than, margin } => {
            let sweep = Sweep::of(&place.trials, method, than)?;
            sweep.expected(Hypothesis { claimed: Claimed::Above, margin: *margin })
        }
        Test::Growing { method, margin } => {
            slope(place, method, Hypothesis { claimed: Claimed::Above, margin: *margin })
        }
        Test::Flat { method, share } => {
            slope(place, method, Hypothesis { claimed: Claimed::Alike, margin: Margin::Share(*share) })
        }
        Test::Number { .. } => {
            Err(Missing::Note("a number of the paper is judged by its interval".to_owned()))
        }
    }
}

fn compared(
    results: &Trials,
    side: &Side,
    than: &Side,
    metric: &str,
    hypothesis: Hypothesis,
) -> Result<Evidence, String> {
    let pairs = paired(results, side, than, metric)?;
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
    let Pairs { units, unit_references, unscored, subjects, .. } = pairs;
    let of_items = units.items.first().map(Vec::len);
    let mut evidence = Evidence::new(quantity, hypothesis, units);
    evidence.references = unit_references;
    if let Some(count) = of_items {
        evidence.note = format!("Paired over {count} questions too. ");
    }
    if !unscored.is_empty() {
        evidence.note += &format!("{} more pairs have a trial without a score. ", unscored.len());
    }
    if side.listed().is_some_and(|(_, values)| values.len() > subjects) {
        evidence.note += &format!("Of the {} both have {subjects}. ", side.setting());
    }
    Ok(evidence)
}

/// DINO of two methods over learning rates, of the seeds and subjects that both have.
struct Sweep<'a> {
    titles: [String; 2],
    scores: [Scores<'a>; 2],
    shared: Vec<Replicate<'a>>,
}

impl<'a> Sweep<'a> {
    fn of(trials: &'a Trials, method: &str, than: &str) -> Result<Self, Missing> {
        let lines = sweep::lines(trials, DINO, |name| [method, than].contains(&name))?;
        let line = |name: &str| -> Result<&Line<'a>, Missing> {
            let mut found = lines.iter().filter(|line| line.method == name);
            match (found.next(), found.next()) {
                (Some(line), None) => Ok(line),
                (None, _) => Err(Missing::Note(format!("no trial of `{name}`"))),
                _ => Err(Missing::Note(format!("`{name}` has several ranks"))),
            }
        };
        let (ours, theirs) = (line(method)?, line(than)?);
        let scores = [Scores::of(ours, DINO), Scores::of(theirs, DINO)];
        let known = scores[1].replicates();
        let shared =
            scores[0].replicates().into_iter().filter(|replicate| known.contains(replicate)).collect();
        Ok(Self { titles: [ours.title.clone(), theirs.title.clone()], scores, shared })
    }

    fn quantity(&self, what: &str) -> String {
        format!("{what}: {} − {}", self.titles[0], self.titles[1])
    }

    /// The difference of the robustness widths in octaves. A width is of the mean curve, so a unit's number is its jackknife
    /// pseudo-value: n times the difference of all, less n − 1 times that without the unit (Tukey 1958).
    fn width(&self, hypothesis: Hypothesis) -> Result<Evidence, Missing> {
        let width = |scores: &Scores, of: &[Replicate]| scores.width(of, |_| 0.0);
        let octaves = |of: &[Replicate]| {
            let [ours, theirs] =
                self.scores.each_ref().map(|scores| width(scores, of).map_or(0.0, |width| width.octaves()));
            ours - theirs
        };
        let whole = self.scores.each_ref().map(|scores| width(scores, &self.shared));
        let [Some(ours), Some(theirs)] = whole else {
            return Err(Missing::Note("a method never scores above zero, so it has no width".to_owned()));
        };
        let unit = unit_of(&self.shared);
        let mut units: Vec<&str> = self.shared.iter().map(|replicate| unit(*replicate)).collect();
        units.sort_unstable();
        units.dedup();
        let (all, count) = (octaves(&self.shared), units.len() as f64);
        let pseudo_value = |left_out: &&str| {
            let others: Vec<Replicate> =
                self.shared.iter().copied().filter(|replicate| unit(*replicate) != *left_out).collect();
            count * all - (count - 1.0) * octaves(&others)
        };
        let values = if units.len() < 2 { vec![all] } else { units.iter().map(pseudo_value).collect() };
        let mut evidence =
            Evidence::new(self.quantity("robustness width in octaves"), hypothesis, Sample::of(values));
        evidence.bounds = Bounds { is_lower: ours.is_censored(), is_upper: theirs.is_censored() };
        let text =
            |width: &Width| format!("{}{:.1}", if width.is_censored() { "≥ " } else { "" }, width.octaves());
        evidence.note = format!("Widths {} and {}. ", text(&ours), text(&theirs));
        if theirs.is_censored() {
            evidence.note += "The sweep ends before the range does, so the difference is no lower bound. ";
        }
        Ok(evidence)
    }

    /// The difference of the scores that a rate drawn evenly over the octaves of the sweep can expect.
    fn expected(&self, hypothesis: Hypothesis) -> Result<Evidence, Missing> {
        let differences = self.scores[0].expected_above(&self.scores[1]);
        if differences.is_empty() {
            return Err(Missing::Note("no seed and subject has a score at every multiplier".to_owned()));
        }
        let quantity = self.quantity("expected DINO over the sweep");
        let mut evidence = Evidence::new(quantity, hypothesis, Sample::of(unit_means(&differences)));
        let octaves = self.scores[0].octaves();
        evidence.note = format!("Of a rate drawn evenly over {octaves:.0} octaves. ");
        Ok(evidence)
    }
}

/// The slope of the distance over the last third of training, per 100 steps, beside the distance at the end.
fn slope(place: &Place, method: &str, hypothesis: Hypothesis) -> Result<Evidence, Missing> {
    let of_method = |trial: &&Trial| trial.chosen && trial.method == method && trial.status == Status::Done;
    let trials = place.trials.all().iter().filter(of_method);
    let curves: Vec<(Replicate, Points)> = trials
        .filter_map(|trial| Some((replicate(trial), place.distances.get(&trial.id)?.clone())))
        .collect();
    if curves.is_empty() {
        return Err(Missing::Note(format!("no finished trial of `{method}` has a curve of its distance")));
    }
    let growth = Growth::of(&curves);
    let title = place.trials.method_name(method);
    let quantity = format!("slope of the distance of {title} per 100 steps");
    let mut evidence = Evidence::new(quantity, hypothesis, Sample::of(unit_means(&growth.slopes)));
    evidence.references = unit_means(&growth.distances);
    let end = stats::mean(&evidence.references).unwrap_or_default();
    evidence.note = format!("Distance at the end {end:.3}. ");
    Ok(evidence)
}
