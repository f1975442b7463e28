//! Training loss and distance of the tracked layer against the step, a line with a band for each method.
//!
//! Of several ranks of a method each has its own line; those below the largest are dashed.

use results::{Band, Curves, Series, Status, Trial, Trials, band, counted, diverged, rank, smoothed};

use crate::axis::{Axis, Range, outlier_limit};
use crate::canvas::{Align, Canvas};
use crate::clipped::{self, Clipped};
use crate::drawing::Drawing;
use crate::error::Result;
use crate::figure::{Figure, Source};
use crate::plots::lines::apart;
use crate::stroke::dashes;
use crate::style::darker;
use crate::style::{
    ALARM, LABEL_SIZE, MUTED, Marker, NOTE_SIZE, RULE, TICK_SIZE, TITLE_SIZE, colour, marker,
};

pub const FIGURE: Figure = Figure { name: "curves", caption: "Loss and distance over the steps", draw };

const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 500.0;
const TOP: f64 = 52.0;
const BOTTOM: f64 = 396.0;
/// The loss is averaged over this share of the training.
const SMOOTHING: f64 = 0.1;
/// Losses of more methods than this lie on each other, and so would their bands.
const MOST_LOSS_BANDS: usize = 4;
/// Beyond this ratio of the methods' farthest distances their axis is logarithmic.
const LOG_RATIO: f64 = 100.0;
/// Length of the dashes of a method's second largest rank, and the gap after each.
const DASH: f64 = 9.0;
const GAP: f64 = 4.0;

/// One series in one panel.
struct Line<'a> {
    series: Series<'a>,
    /// How many larger ranks of the method there are.
    place: usize,
    bands: Vec<Band>,
    /// Last finite points of diverged trials.
    ends: Vec<(f64, f64)>,
}

/// `curves.svg` and `curves.png`.
fn draw(source: &Source) -> Result<Vec<Drawing>> {
    let Source { trials, results, .. } = *source;
    let loss = Curves::read(results, "loss")?;
    // Where no layer is tracked there may be the mean over all.
    let tracked = Curves::read(results, "distance");
    let (distance, is_mean) = match tracked {
        Ok(distance) => (distance, false),
        Err(missing) => (Curves::read(results, "mean_distance").map_err(|_| missing)?, true),
    };
    Ok(vec![Drawing::shapes(FIGURE.name, figure(trials, &loss, &distance, is_mean))])
}

fn figure(trials: &Trials, loss: &Curves, distance: &Curves, is_mean: bool) -> Canvas {
    let mut canvas = Canvas::new(WIDTH, HEIGHT);
    let losses = lines(trials, loss, SMOOTHING);
    let distances = lines(trials, distance, 0.0);
    let panel = Panel { left: 80.0, right: 376.0, heading: "Training loss", title: trials.task().loss };
    let banded = losses.len() <= MOST_LOSS_BANDS;
    panel.draw(&mut canvas, &losses, false, banded);
    let log = needs_log(&distances);
    let panel = Panel {
        left: 478.0,
        right: 762.0,
        heading: "Distance from pretrained",
        title: if is_mean { "mean ‖W′ − W‖ (Frobenius)" } else { "‖W′ − W‖ (Frobenius)" },
    };
    let ends = panel.draw(&mut canvas, &distances, log, true);
    draw_labels(&mut canvas, trials, &ends, panel.right);

    let layer = match distance.layer.as_ref() {
        Some(layer) => format!("Distance of {layer}."),
        None if is_mean => "Distance: mean over the adapted layers.".to_owned(),
        None => String::new(),
    };
    let series: Vec<Series> = losses.iter().map(|line| line.series).collect();
    let percent = SMOOTHING * 100.0;
    let extent = trials.extent(&series);
    let unbanded = if banded { "" } else { ", without bands" };
    let note = format!(
        "Lines: mean, bands: ± std over {extent}; loss smoothed over {percent:.0} % of the steps{unbanded}."
    );
    canvas.text(&note, (16.0, HEIGHT - 36.0), NOTE_SIZE, MUTED, Align::Left);
    canvas.text(&layer, (16.0, HEIGHT - 15.0), NOTE_SIZE, MUTED, Align::Left);
    canvas
}

fn lines<'a>(trials: &'a Trials, curves: &Curves, smoothing: f64) -> Vec<Line<'a>> {
    let all = trials.series();
    let points = |trial: &Trial| {
        let points = curves.by_trial.get(&trial.id)?;
        let window = (points.len() as f64 * smoothing).round().max(1.0) as usize;
        Some(smoothed(points, window))
    };
    let line = |(index, series): (usize, &Series<'a>)| {
        let of_series = || trials.of(*series);
        let done = of_series().filter(|trial| trial.status == Status::Done);
        let done: Vec<Vec<(f64, f64)>> = done.filter_map(points).collect();
        let broken = of_series().filter(|trial| trial.status == Status::Diverged);
        let ends = broken.filter_map(points).filter_map(|points| points.last().copied()).collect();
        let place = all[index + 1..].iter().filter(|larger| larger.method == series.method).count();
        Line { series: *series, place, bands: band(&done), ends }
    };
    let drawn = |line: &Line| !line.bands.is_empty() || !line.ends.is_empty();
    all.iter().enumerate().map(line).filter(drawn).collect()
}

/// Where a line ends, for its label.
struct End<'a> {
    series: Series<'a>,
    dashed: bool,
    y: f64,
}

struct Panel {
    left: f64,
    right: f64,
    heading: &'static str,
    title: &'static str,
}

impl Panel {
    /// Draws the lines and returns where each ends, for its label.
    fn draw<'a>(&self, canvas: &mut Canvas, lines: &[Line<'a>], log: bool, banded: bool) -> Vec<End<'a>> {
        let steps = lines.iter().flat_map(|line| line.bands.iter().map(|band| band.step));
        let steps = steps.chain(lines.iter().flat_map(|line| line.ends.iter().map(|(step, _)| *step)));
        let across = Axis::linear(Range::covering(steps.chain([0.0])), self.left, self.right);
        let up = up_axis(lines, log, banded);
        across.draw_below(canvas, TOP, BOTTOM, "training step", 4);
        up.draw_left(canvas, self.left, self.right, self.title, 5);
        let middle = f64::midpoint(self.left, self.right);
        canvas.text(self.heading, (middle, TOP - 26.0), TITLE_SIZE, crate::style::INK, Align::Centre);
        for line in lines.iter().filter(|_| banded) {
            draw_band(canvas, line, &across, &up);
        }
        for line in lines {
            let path: Vec<(f64, f64)> =
                line.bands.iter().map(|band| (across.at(band.step), up.at(band.mean))).collect();
            if path.len() > 1 {
                draw_line(canvas, &path, line);
            }
        }
        let end = |line: &Line<'a>| End {
            series: line.series,
            dashed: line.place > 0,
            y: draw_marks(canvas, line, &across, &up),
        };
        let ends = lines.iter().map(end).collect();
        self.draw_clipped(canvas, lines, &across, &up);
        ends
    }

    /// Arrows and values of what is beyond the vertical axis: of a line its peak, of crosses the outliers.
    fn draw_clipped(&self, canvas: &mut Canvas, lines: &[Line], across: &Axis, up: &Axis) {
        let limit = outlier_limit(values(lines));
        let mut count = 0;
        for line in lines {
            let mut clipped = Clipped::new(colour(line.series.method));
            let peak = line.bands.iter().max_by(|one, other| one.mean.abs().total_cmp(&other.mean.abs()));
            let peak = peak.map(|band| (band.step, band.mean));
            for (step, value) in peak.into_iter().chain(line.ends.iter().copied()) {
                if value.abs() > limit {
                    clipped.take(up, across.at(step), value);
                }
            }
            if !clipped.is_empty() {
                clipped.draw_upright(canvas, up, self.right, count);
                count += 1;
            }
        }
        if count > 0 {
            clipped::draw_note(canvas, (f64::midpoint(self.left, self.right), TOP - 8.0));
        }
    }
}

fn draw_line(canvas: &mut Canvas, path: &[(f64, f64)], line: &Line) {
    let colour = colour(line.series.method);
    if line.place == 0 {
        return canvas.path(path, colour, 1.0, 2.0);
    }
    for dash in dashes(path, DASH / line.place as f64, GAP) {
        canvas.path(&dash, colour, 1.0, 2.0);
    }
}

/// Markers along the line and a cross where a trial diverged; the height of the line's end.
fn draw_marks(canvas: &mut Canvas, line: &Line, across: &Axis, up: &Axis) -> f64 {
    let method = line.series.method;
    let colour = colour(method);
    let stagger = (rank(method) + line.place) % 5;
    let last = line.bands.len().saturating_sub(1);
    let mut marked: Vec<usize> =
        [0.18, 0.52].map(|share| (last as f64 * (share + 0.06 * stagger as f64)) as usize).into();
    marked.push(last);
    marked.dedup();
    for band in marked.into_iter().filter_map(|index| line.bands.get(index)) {
        canvas.marker(marker(method), (across.at(band.step), up.at(band.mean)), 5.0, colour);
    }
    for (step, value) in &line.ends {
        canvas.marker(Marker::Cross, (across.at(*step), up.at(*value)), 6.0, ALARM);
    }
    let end = line.bands.last().map(|band| band.mean).or(line.ends.last().map(|(_, value)| *value));
    end.map_or(BOTTOM, |value| up.at(value))
}

/// All means and ends.
fn values(lines: &[Line]) -> Vec<f64> {
    let means = lines.iter().flat_map(|line| line.bands.iter().map(|band| band.mean));
    means.chain(lines.iter().flat_map(|line| line.ends.iter().map(|(_, value)| *value))).collect()
}

/// The largest mean of each line, where it is above zero.
fn peaks(lines: &[Line]) -> Vec<f64> {
    let limit = outlier_limit(values(lines));
    let peak = |line: &Line| {
        let means = line.bands.iter().map(|band| band.mean);
        means.filter(|mean| *mean <= limit).fold(0.0, f64::max)
    };
    lines.iter().map(peak).filter(|peak| *peak > 0.0).collect()
}

/// Every line starts near zero; what a linear axis cannot show is methods that end far apart.
fn needs_log(lines: &[Line]) -> bool {
    let peaks = peaks(lines);
    let smallest = peaks.iter().copied().fold(f64::INFINITY, f64::min);
    peaks.iter().any(|peak| peak / smallest > LOG_RATIO)
}

fn up_axis(lines: &[Line], log: bool, banded: bool) -> Axis {
    let bands = lines.iter().flat_map(|line| &line.bands);
    let limit = outlier_limit(values(lines));
    let is_shown = |value: &f64| value.abs() <= limit;
    let ends = lines.iter().flat_map(|line| line.ends.iter().map(|(_, value)| *value));
    if log {
        let values = bands.map(|band| band.mean).chain(ends).filter(|value| *value > 0.0);
        let range = Range::covering(values.filter(is_shown));
        let smallest = peaks(lines).into_iter().fold(range.high, f64::min);
        let low = range.low.max(smallest / 30.0);
        return Axis::log(Range { low: low / 1.3, high: range.high * 1.5 }, BOTTOM, TOP);
    }
    // A trial that blew up must not flatten the others: its cross sits at the edge.
    let reach = if banded { 1.0 } else { 0.0 };
    let edges = |band: &Band| [band.mean - reach * band.std, band.mean + reach * band.std];
    let range = Range::covering(bands.flat_map(edges).filter(is_shown));
    let alone = lines.iter().all(|line| line.bands.is_empty());
    let range = if alone { Range::covering(ends.filter(is_shown)) } else { range };
    Axis::linear(range.padded(0.05), BOTTOM, TOP)
}

fn draw_band(canvas: &mut Canvas, line: &Line, across: &Axis, up: &Axis) {
    if line.bands.len() < 2 || line.bands.iter().all(|band| band.std == 0.0) {
        return;
    }
    let edge = |side: f64| {
        line.bands.iter().map(move |band| (across.at(band.step), up.at(band.mean + side * band.std)))
    };
    let lower: Vec<(f64, f64)> = edge(-1.0).collect();
    let outline: Vec<(f64, f64)> = edge(1.0).chain(lower.into_iter().rev()).collect();
    canvas.polygon(&outline, colour(line.series.method), 0.13);
}

/// Names right of the last panel, moved apart, each tied to its line's end.
fn draw_labels(canvas: &mut Canvas, trials: &Trials, ends: &[End], right: f64) {
    let mut labels: Vec<&End> = ends.iter().collect();
    labels.sort_by(|one, other| one.y.total_cmp(&other.y));
    let heights = apart(&labels.iter().map(|label| label.y).collect::<Vec<_>>(), TOP, BOTTOM);
    for (label, y) in labels.into_iter().zip(heights) {
        let method = label.series.method;
        canvas.path(&[(right + 8.0, label.y), (right + 22.0, y)], RULE, 1.0, 1.4);
        canvas.marker(marker(method), (right + 32.0, y), 5.0, colour(method));
        let lost = diverged(trials.of(label.series));
        let name = trials.title(label.series) + if label.dashed { " (dashed)" } else { "" };
        canvas.text(&name, (right + 43.0, y), TICK_SIZE, darker(colour(method)), Align::Left);
        if lost > 0 {
            let shift = crate::canvas::text_width(&name, TICK_SIZE) + 43.0 + 8.0;
            canvas.text(&format!("×{lost}"), (right + shift, y), TICK_SIZE, ALARM, Align::Left);
        }
    }
    let lost: usize = ends.iter().map(|end| diverged(trials.of(end.series))).sum();
    if lost > 0 {
        let text = format!("× {} diverged", counted(lost, "trial"));
        canvas.text(&text, (right + 26.0, TOP - 26.0), LABEL_SIZE, ALARM, Align::Left);
    }
}
