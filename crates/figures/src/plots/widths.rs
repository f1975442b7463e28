//! Tables of robustness widths: how wide each method's range of good learning rates is.

use results::Sample;
use results::robustness::{Bound, Difference, Estimate, Robustness};
use results::sweep::{Line, Unchanged};

use crate::axis::{multiplier_label, signed};
use crate::drawing::{ends, full, listed, markdown};
use crate::tables::{ABSENT, with_sign};

/// Widths of one line by one score.
pub struct Row {
    title: String,
    method: String,
    robustness: Robustness,
    difference: Option<Difference>,
}

impl Row {
    /// A row for each line; `baseline` is the title of the one that the others are compared with.
    pub fn all(lines: &[Line], baseline: &str, unchanged: &Unchanged, score: &str) -> Vec<Self> {
        let baseline = lines.iter().find(|line| line.title == baseline);
        let row = |line: &Line| Self {
            title: line.title.clone(),
            method: line.method.to_owned(),
            robustness: Robustness::of(line, unchanged, score),
            difference: baseline
                .filter(|baseline| baseline.title != line.title)
                .and_then(|baseline| Difference::of(line, baseline, score)),
        };
        lines.iter().map(row).collect()
    }
}

pub fn csv_header() -> Vec<String> {
    let mut header = listed("method, title, n");
    for name in ["width", "gain_width"] {
        let parts = ["octaves", "lo", "hi", "censored_low", "censored_high", "best_multiplier", "from", "to"];
        header.extend(parts.map(|part| format!("{name}_{part}")));
    }
    header.extend(listed("baseline, n_pairs, difference_octaves, difference_lo, difference_hi"));
    header.extend(listed("difference_bound, expected, expected_lo, expected_hi"));
    header.extend(listed("expected_difference, expected_difference_lo, expected_difference_hi, score"));
    header
}

pub fn csv_row(row: &Row, baseline: &str, score: &str) -> Vec<String> {
    let mut cells = vec![row.method.clone(), row.title.clone(), row.robustness.n.to_string()];
    for estimate in [row.robustness.width, row.robustness.gain] {
        let width = estimate.map(|estimate| estimate.width);
        let interval = estimate.and_then(|estimate| estimate.interval);
        cells.push(full(width.map(|width| width.octaves())));
        cells.extend(ends(interval).map(full));
        let censored = [width.map(|width| width.censored.0), width.map(|width| width.censored.1)];
        cells.extend(censored.map(|side| side.map_or(String::new(), |side| side.to_string())));
        cells.extend(
            [width.map(|width| width.best), width.map(|width| width.from), width.map(|width| width.to)]
                .map(full),
        );
    }
    let difference = row.difference.as_ref();
    cells.push(difference.map_or("", |_| baseline).to_owned());
    cells.push(difference.map_or(String::new(), |difference| difference.n.to_string()));
    cells.push(full(difference.map(|difference| difference.octaves)));
    cells.extend(ends(difference.and_then(|difference| difference.interval)).map(full));
    cells.push(difference.map_or("", |difference| bound_name(difference.bound)).to_owned());
    for expected in [Some(&row.robustness.expected), difference.map(|difference| &difference.expected)] {
        cells.push(full(expected.and_then(Sample::mean)));
        cells.extend(ends(expected.and_then(Sample::interval)).map(full));
    }
    cells.push(score.to_owned());
    cells
}

/// Widths as Markdown; with `gained` those measured from no finetuning too.
pub fn table(rows: &[Row], baseline: &str, gained: bool) -> String {
    let mut header = listed("method, robustness width (octaves), 95 % interval, n, best multiplier, range");
    if !baseline.is_empty() {
        header.extend([format!("Δ vs {baseline}"), "95 % interval".to_owned()]);
    }
    if gained {
        header.extend(listed("gain width (octaves), 95 % interval"));
    }
    header.extend(listed("expected score, 95 % interval"));
    if !baseline.is_empty() {
        header.extend([format!("Δ vs {baseline}"), "95 % interval".to_owned()]);
    }
    let cells = |row: &Row| {
        let width = row.robustness.width;
        let mut cells = vec![row.title.clone()];
        cells.extend(estimated(width));
        cells.push(row.robustness.n.to_string());
        cells.push(width.map_or(ABSENT.to_owned(), |estimate| multiplier_label(estimate.width.best)));
        cells.push(width.map_or(ABSENT.to_owned(), |estimate| range(&estimate)));
        if !baseline.is_empty() {
            cells.extend(row.difference.as_ref().map_or([ABSENT, ABSENT].map(str::to_owned), compared));
        }
        if gained {
            cells.extend(estimated(row.robustness.gain));
        }
        cells.extend(expected(Some(&row.robustness.expected), signed));
        if !baseline.is_empty() {
            cells.extend(expected(row.difference.as_ref().map(|difference| &difference.expected), with_sign));
        }
        cells
    };
    let cells: Vec<Vec<String>> = rows.iter().map(cells).collect();
    markdown(&header, &cells)
}

/// Mean and interval of expected scores, or of differences of them.
fn expected(sample: Option<&Sample>, text: fn(f64, usize) -> String) -> [String; 2] {
    let ends = |(low, high): (f64, f64)| format!("{} to {}", text(low, 3), text(high, 3));
    [
        sample.and_then(Sample::mean).map_or(ABSENT.to_owned(), |mean| text(mean, 3)),
        sample.and_then(Sample::interval).map_or(ABSENT.to_owned(), ends),
    ]
}

/// Width and interval.
fn estimated(estimate: Option<Estimate>) -> [String; 2] {
    let Some(Estimate { width, interval }) = estimate else { return [ABSENT, ABSENT].map(str::to_owned) };
    let sign = if width.is_censored() { "≥ " } else { "" };
    let text = |(low, high): (f64, f64)| format!("{} to {}", signed(low, 1), signed(high, 1));
    [format!("{sign}{}", signed(width.octaves(), 1)), interval.map_or(ABSENT.to_owned(), text)]
}

fn bound_name(bound: Bound) -> &'static str {
    match bound {
        Bound::Exact => "",
        Bound::Lower => "lower",
        Bound::Upper => "upper",
        Bound::Unknown => "unknown",
    }
}

/// Difference and interval, with a sign where they are only bounds.
fn compared(difference: &Difference) -> [String; 2] {
    let sign = match difference.bound {
        Bound::Exact => "",
        Bound::Lower => "≥ ",
        Bound::Upper => "≤ ",
        Bound::Unknown => return ["both reach the end", ABSENT].map(str::to_owned),
    };
    let text = |(low, high): (f64, f64)| format!("{} to {}", with_sign(low, 1), with_sign(high, 1));
    [
        format!("{sign}{}", with_sign(difference.octaves, 1)),
        difference.interval.map_or(ABSENT.to_owned(), text),
    ]
}

/// "½ to 3.1", with a sign at an end that the sweep did not go beyond.
fn range(estimate: &Estimate) -> String {
    let width = estimate.width;
    let rounded = |multiplier: f64| {
        multiplier_label(if multiplier < 0.3 { multiplier } else { (multiplier * 100.0).round() / 100.0 })
    };
    let from = if width.censored.0 { "≤ " } else { "" };
    let to = if width.censored.1 { "≥ " } else { "" };
    format!("{from}{} to {to}{}", rounded(width.from), rounded(width.to))
}

/// What the tables say: `score` is what is kept, `replicate` what trials of different multipliers share, and
/// `start` what the gain is measured from.
pub fn explanation(score: &str, replicate: &str, start: &str, gained: bool) -> String {
    let gain = if gained {
        format!(
            " The gain width measures scores from that of {start} instead, so that it does not depend on where the score's zero is."
        )
    } else {
        String::new()
    };
    format!(
        "The robustness width is the number of octaves of learning rate around the best multiplier that keep at least 95 % \
         of the best mean {score}, measured from 0 and interpolated between the tested multipliers; “≥” where the \
         range reaches the end of those tested.{gain} The expected score is that of a rate drawn evenly over the octaves of the sweep, with an \
         interval by Student's t over units; it needs a score at every multiplier. Intervals of widths: percentile bootstrap over n replicates ({replicate}), drawn with \
         all their multipliers, and for differences jointly for both methods; where one of two widths is only a bound, so is their difference. \
         A diverged trial counts with its last finite score, else with that of {start}, and with neither is left out.\n"
    )
}
