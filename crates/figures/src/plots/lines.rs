//! Panels of lines with bands, and the lines' names at their right, for figures over a setting or a step.

use results::sweep;

use crate::axis::{Axis, Range, outlier_limit};
use crate::canvas::{Align, Canvas, text_width};
use crate::clipped::{self, Clipped};
use crate::plots::bounds;
use crate::plots::dots::Bound;
use crate::stroke::Stroke;
use crate::style::{self, ALARM, Colour, INK, MUTED, Marker, RULE, TICK_SIZE, TITLE_SIZE};

const LABEL_SPACING: f64 = 21.0;
/// From a panel's right edge to its lines' names, and from their markers to their letters.
const TO_MARKER: f64 = 36.0;
const TO_NAME: f64 = 52.0;
const LINE_WIDTH: f64 = 2.0;
const BAND_ALPHA: f64 = 0.13;
/// Up to this many points each has a marker.
const MOST_MARKED: usize = 16;
/// Height of a row of crosses at the lower edge of a panel.
const CROSS_ROW: f64 = 13.0;
const CROSS_SPACING: f64 = 6.0;
/// Length of the dashes of a method's second largest rank, and the gap after each.
const DASH: f64 = 9.0;
const GAP: f64 = 4.0;

/// How a line and its name look.
#[derive(Clone, Debug)]
pub struct Look {
    pub title: String,
    pub colour: Colour,
    pub marker: Marker,
    pub stroke: Stroke,
}

/// One line of a panel.
pub struct Line {
    pub look: Look,
    /// From left to right.
    pub dots: Vec<Dot>,
    /// Where trials diverged; without a height they stand in a row of the line's own at the lower edge, with
    /// one beyond the axis at the upper.
    pub crosses: Vec<(f64, Option<f64>)>,
}

#[derive(Clone, Copy, Debug)]
pub struct Dot {
    pub x: f64,
    /// Absent breaks the line.
    pub mean: Option<f64>,
    pub std: f64,
    /// Some trials are not in the mean.
    pub hollow: bool,
}

pub struct Panel<'a> {
    pub left: f64,
    pub right: f64,
    pub top: f64,
    pub bottom: f64,
    pub heading: &'a str,
    pub title: &'a str,
    pub bounds: &'a [Bound],
    /// Whether a linear axis starts at zero.
    pub from_zero: bool,
    /// A value that a linear axis reaches whatever the lines do, as for panels with one scale.
    pub reaching: Option<f64>,
}

/// How the horizontal axis is written below a panel.
pub enum Below<'a> {
    /// About so many ticks with their labels, and a title.
    Labels { title: &'a str, ticks: usize },
    /// The same grid without words, where a panel below has them for both.
    Grid { ticks: usize },
    /// A name at each whole number from zero, and a title.
    Names { title: &'a str, names: &'a [String] },
}

impl Look {
    /// The look of a line over the learning rate.
    pub fn of_line(line: &sweep::Line) -> Self {
        Self::new(line.method, line.title.clone(), line.larger)
    }

    /// A method's colour and marker; dashed where `larger` ranks of the method have lines too.
    pub fn new(method: &str, title: String, larger: usize) -> Self {
        let stroke = if larger == 0 { Stroke::Solid } else { Stroke::Dashed(DASH / larger as f64, GAP) };
        Self { title, colour: style::colour(method), marker: style::marker(method), stroke }
    }
}

impl Line {
    fn has_crosses_below(&self) -> bool {
        self.crosses.iter().any(|(_, height)| height.is_none())
    }

    fn crosses_beyond(&self, range: Range) -> impl Iterator<Item = f64> + '_ {
        let heights = self.crosses.iter().filter_map(|(_, height)| *height);
        heights.filter(move |height| *height > range.high)
    }

    /// The last mean, for the line's name; else the last cross.
    fn end(&self) -> Option<f64> {
        let last = self.dots.iter().rev().find_map(|dot| dot.mean);
        last.or_else(|| self.crosses.iter().rev().find_map(|(_, height)| *height))
    }
}

impl Panel<'_> {
    /// Draws the panel and returns where each line ends, for its name.
    pub fn draw(
        &self,
        canvas: &mut Canvas,
        lines: &[Line],
        across: &Axis,
        log: bool,
        below: &Below,
    ) -> Vec<f64> {
        let (range, limit) = self.range(lines, log);
        let beyond = |line: &Line| line.crosses_beyond(range).next().is_some();
        let rows_below = lines.iter().filter(|line| line.has_crosses_below()).count();
        let rows_above = lines.iter().filter(|line| beyond(line)).count();
        let floor = self.bottom - rows_below as f64 * CROSS_ROW;
        let ceiling = self.top + rows_above as f64 * CROSS_ROW;
        let axis = if log { Axis::log } else { Axis::linear };
        let up = axis(range, floor, ceiling);
        let ticks = ((self.bottom - self.top) / 34.0) as usize;
        up.draw_left(canvas, self.left, self.right, self.title, ticks.clamp(2, 6));
        for (from, to) in [(self.bottom, floor), (ceiling, self.top)] {
            canvas.path(&[(self.left, from), (self.left, to)], MUTED, 1.0, 1.2);
        }
        match below {
            Below::Labels { title, ticks } => {
                across.draw_below(canvas, self.top, self.bottom, title, *ticks);
            }
            Below::Grid { ticks } => across.draw_grid(canvas, self.top, self.bottom, *ticks),
            Below::Names { title, names } => {
                across.draw_names_below(canvas, self.top, self.bottom, title, names);
            }
        }
        let middle = f64::midpoint(self.left, self.right);
        canvas.text(self.heading, (middle, self.top - 22.0), TITLE_SIZE, INK, Align::Centre);
        for bound in self.bounds {
            canvas.dashes((self.left, up.at(bound.value)), (self.right, up.at(bound.value)), MUTED, 1.2);
        }
        // The first lines are drawn last, on top.
        for line in lines.iter().rev() {
            draw_band(canvas, line, across, &up);
        }
        for line in lines.iter().rev() {
            draw_line(canvas, line, across, &up);
        }
        let drawn: Vec<_> = lines.iter().flat_map(|line| paths(line, across, &up)).collect();
        bounds::draw_names(canvas, self, &up, &drawn);
        for (index, line) in lines.iter().enumerate().rev() {
            draw_markers(canvas, line, index, across, &up);
        }
        self.draw_crosses(canvas, lines, across, &up, (range, floor));
        self.draw_clipped(canvas, lines, across, &up, limit);
        lines.iter().map(|line| line.end().map_or(self.bottom, |value| up.at(value))).collect()
    }

    /// The values that the axis shows, and the magnitude above which a cross is an outlier of them.
    fn range(&self, lines: &[Line], log: bool) -> (Range, f64) {
        let limit = outlier_limit(means(lines));
        if log {
            let range = Range::of_bulk(means(lines).filter(|value| *value > 0.0));
            // What starts at zero must not stretch the axis: four decades below the top are enough.
            let low = range.low.max(range.high / 1e4);
            return (Range { low: low / 1.4, high: range.high * 1.4 }, limit);
        }
        let edges = lines.iter().flat_map(|line| &line.dots).filter_map(|dot| Some((dot.mean?, dot.std)));
        let edges = edges.flat_map(|(mean, std)| [mean - std, mean + std]);
        let bounds = self.bounds.iter().map(|bound| bound.value).chain(self.reaching);
        // A trial that blew up must not flatten the others: its cross stands above them.
        let ends = lines.iter().flat_map(|line| line.crosses.iter().filter_map(|(_, height)| *height));
        let range = if means(lines).next().is_some() {
            // The spread of a point with an outlier is one too.
            Range::covering(edges.chain(bounds).filter(|value| value.abs() <= limit))
        } else {
            Range::of_bulk(ends.chain(bounds))
        };
        let padded = range.padded(0.06);
        let from_zero = Range { low: 0.0, high: range.high * 1.06 };
        (if self.from_zero && range.high > 0.0 { from_zero } else { padded }, limit)
    }

    /// Arrows and values of means beyond the axis, and of crosses that are outliers.
    fn draw_clipped(&self, canvas: &mut Canvas, lines: &[Line], across: &Axis, up: &Axis, limit: f64) {
        let mut count = 0;
        for line in lines {
            let mut clipped = Clipped::new(line.look.colour);
            let means = line.dots.iter().filter_map(|dot| Some((dot.x, dot.mean?)));
            let crosses = line.crosses.iter().filter_map(|(x, height)| Some((*x, (*height)?)));
            for (x, value) in means.chain(crosses.filter(|(_, value)| value.abs() > limit)) {
                clipped.take(up, across.at(x), value);
            }
            if !clipped.is_empty() {
                clipped.draw_upright(canvas, up, self.right, count);
                count += 1;
            }
        }
        if count > 0 {
            clipped::draw_note(canvas, (f64::midpoint(self.left, self.right), self.top - 7.0));
        }
    }

    /// Crosses of several lines at one place stand beside each other; those without a height, or with one
    /// beyond the axis, in a row of each line's own at the lower or the upper edge.
    fn draw_crosses(
        &self,
        canvas: &mut Canvas,
        lines: &[Line],
        across: &Axis,
        up: &Axis,
        (range, floor): (Range, f64),
    ) {
        let lost: Vec<&Line> = lines.iter().filter(|line| !line.crosses.is_empty()).collect();
        let (mut below, mut above) = (floor + 0.5 * CROSS_ROW, self.top + 0.5 * CROSS_ROW);
        for (index, line) in lost.iter().enumerate() {
            let aside = (index as f64 - (lost.len() - 1) as f64 / 2.0) * CROSS_SPACING;
            for (x, height) in &line.crosses {
                let x = across.at(*x);
                let at = match height {
                    None => (x, below),
                    Some(value) if *value > range.high => (x, above),
                    Some(value) => (x + aside, up.at(*value)),
                };
                canvas.circle(at, 5.0, style::WHITE, 0.7);
                canvas.marker(Marker::Cross, at, 5.2, line.look.colour);
            }
            below += if line.has_crosses_below() { CROSS_ROW } else { 0.0 };
            above += if line.crosses_beyond(range).next().is_some() { CROSS_ROW } else { 0.0 };
        }
    }
}

fn draw_band(canvas: &mut Canvas, line: &Line, across: &Axis, up: &Axis) {
    for part in unbroken(&line.dots) {
        if part.len() < 2 || part.iter().all(|dot| dot.std == 0.0) {
            continue;
        }
        let edge = |side: f64| {
            part.iter().filter_map(move |dot| Some((across.at(dot.x), up.at(dot.mean? + side * dot.std))))
        };
        let lower: Vec<(f64, f64)> = edge(-1.0).collect();
        let outline: Vec<(f64, f64)> = edge(1.0).chain(lower.into_iter().rev()).collect();
        canvas.polygon(&outline, line.look.colour, BAND_ALPHA);
    }
}

fn draw_line(canvas: &mut Canvas, line: &Line, across: &Axis, up: &Axis) {
    for path in paths(line, across, up).filter(|path| path.len() > 1) {
        line.look.stroke.draw(canvas, &path, line.look.colour, LINE_WIDTH);
    }
}

/// Where each unbroken stretch of a line runs, in figure pixels.
fn paths(line: &Line, across: &Axis, up: &Axis) -> impl Iterator<Item = Vec<(f64, f64)>> {
    unbroken(&line.dots)
        .map(|part| part.iter().filter_map(|dot| Some((across.at(dot.x), up.at(dot.mean?)))).collect())
}

/// A marker at each point; of many points a few, at other places for each line, and the last.
fn draw_markers(canvas: &mut Canvas, line: &Line, index: usize, across: &Axis, up: &Axis) {
    let last = line.dots.len().saturating_sub(1);
    let mut marked: Vec<usize> = if line.dots.len() <= MOST_MARKED {
        (0..line.dots.len()).collect()
    } else {
        let stagger = 0.06 * (index % 5) as f64;
        [0.18, 0.52]
            .map(|share| (last as f64 * (share + stagger)) as usize)
            .into_iter()
            .chain([last])
            .collect()
    };
    marked.dedup();
    for dot in marked.into_iter().map(|index| line.dots[index]) {
        let Some(mean) = dot.mean else { continue };
        if up.side_of(mean).is_some() {
            continue;
        }
        let at = (across.at(dot.x), up.at(mean));
        canvas.marker(line.look.marker, at, 5.0, line.look.colour);
        if dot.hollow {
            canvas.circle(at, 3.4, style::WHITE, 1.0);
        }
    }
}

/// The stretches of points that all have a mean.
fn unbroken(dots: &[Dot]) -> impl Iterator<Item = &[Dot]> {
    dots.split(|dot| dot.mean.is_none()).filter(|part| !part.is_empty())
}

/// Width that the names of these lines need right of a panel.
pub fn names_width<'a>(looks: impl Iterator<Item = &'a Look>) -> f64 {
    looks.map(|look| text_width(&look.title, TICK_SIZE)).fold(0.0, f64::max) + TO_NAME + 14.0
}

/// Names right of a panel, moved apart, each tied to its line's end.
pub fn draw_names<'a>(
    canvas: &mut Canvas,
    looks: impl Iterator<Item = &'a Look>,
    ends: &[f64],
    panel: &Panel,
) {
    let mut names: Vec<(&Look, f64)> = looks.zip(ends.iter().copied()).collect();
    names.sort_by(|one, other| one.1.total_cmp(&other.1));
    let wanted: Vec<f64> = names.iter().map(|(_, end)| *end).collect();
    let heights = apart(&wanted, panel.top, panel.bottom);
    for ((look, end), y) in names.into_iter().zip(heights) {
        let right = panel.right;
        canvas.path(&[(right + 8.0, end), (right + 22.0, y)], RULE, 1.0, 1.4);
        if look.stroke != Stroke::Solid {
            let (from, to) = (right + TO_MARKER - DASH - 1.0, right + TO_MARKER + DASH + 1.0);
            look.stroke.draw(canvas, &[(from, y), (to, y)], look.colour, LINE_WIDTH);
        }
        canvas.marker(look.marker, (right + TO_MARKER, y), 5.0, look.colour);
        canvas.text(&look.title, (right + TO_NAME, y), TICK_SIZE, style::darker(look.colour), Align::Left);
    }
}

/// "× 3 diverged" in the upper right corner, where there are any.
pub fn draw_lost(canvas: &mut Canvas, lost: usize, y: f64) {
    if lost > 0 {
        let at = (canvas.width - 12.0, y);
        canvas.text(&format!("× {lost} diverged"), at, TICK_SIZE, ALARM, Align::Right);
    }
}

/// Sorted heights moved so that neighbours are `LABEL_SPACING` apart, inside `top..bottom` while they fit.
pub fn apart(wanted: &[f64], top: f64, bottom: f64) -> Vec<f64> {
    let mut heights = wanted.to_vec();
    for index in 1..heights.len() {
        heights[index] = heights[index].max(heights[index - 1] + LABEL_SPACING);
    }
    let mut limit = bottom;
    for height in heights.iter_mut().rev() {
        *height = height.min(limit);
        limit = *height - LABEL_SPACING;
    }
    let above = heights.first().map_or(0.0, |first| (top - first).max(0.0));
    heights.iter().map(|height| height + above).collect()
}

fn means(lines: &[Line]) -> impl Iterator<Item = f64> + '_ {
    lines.iter().flat_map(|line| line.dots.iter().filter_map(|dot| dot.mean))
}

/// Whether the means need a logarithmic axis: the largest is more than `ratio` times the smallest.
pub fn is_wide(lines: &[Line], ratio: f64) -> bool {
    let limit = outlier_limit(means(lines));
    let (low, high) = means(lines)
        .filter(|mean| *mean > 0.0 && *mean <= limit)
        .fold((f64::INFINITY, 0.0_f64), |(low, high), mean| (low.min(mean), high.max(mean)));
    high > low * ratio
}

/// Whether some lines end far from others; where all start at zero, a linear axis cannot show them together.
pub fn ends_apart(lines: &[Line], ratio: f64) -> bool {
    let limit = outlier_limit(means(lines));
    let peak = |line: &Line| {
        line.dots.iter().filter_map(|dot| dot.mean).filter(|mean| *mean <= limit).fold(0.0, f64::max)
    };
    let peaks: Vec<f64> = lines.iter().map(peak).filter(|peak| *peak > 0.0).collect();
    let smallest = peaks.iter().copied().fold(f64::INFINITY, f64::min);
    peaks.iter().any(|peak| peak / smallest > ratio)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_order_and_their_distance() {
        let (top, bottom) = (52.0, 396.0);
        let heights = apart(&[100.0, 101.0, 101.0, 380.0, 395.0], top, bottom);
        assert_eq!(heights[0], 100.0);
        assert!(heights.windows(2).all(|pair| pair[1] - pair[0] >= LABEL_SPACING - 1e-9), "{heights:?}");
        assert!(*heights.last().unwrap() <= bottom);
        assert!(apart(&[], top, bottom).is_empty());
    }

    #[test]
    fn a_line_breaks_where_it_has_no_mean() {
        let dot = |mean| Dot { x: 1.0, mean, std: 0.0, hollow: false };
        let dots = [dot(Some(1.0)), dot(Some(2.0)), dot(None), dot(Some(3.0))];
        let lengths: Vec<usize> = unbroken(&dots).map(<[Dot]>::len).collect();
        assert_eq!(lengths, [2, 1]);
    }
}
