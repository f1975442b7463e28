//! Axes: ranges that cannot degenerate, round ticks, and their place in a panel.

use crate::canvas::{Align, Canvas};
use crate::style::{INK, LABEL_SIZE, MUTED, RULE, TICK_SIZE};

/// Values beyond this are cut off: they would overflow in differences.
const LARGEST: f64 = 1e150;
const MOST_TICKS: usize = 12;
/// A value so many times the lower quartile is an outlier; a logarithmic axis shows as many decades.
const FAR: f64 = 1e4;
/// Scores, losses and distances are of the order of one: nothing up to this is an outlier.
const USUAL: f64 = 1e3;
/// Numbers from here on are written with an exponent.
const LONG: f64 = 1e7;

/// A finite interval with `low < high`, whatever it was made from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    pub low: f64,
    pub high: f64,
}

impl Range {
    /// The smallest range with all finite values; one value gets room around it, no value gives 0 to 1.
    pub fn covering(values: impl IntoIterator<Item = f64>) -> Self {
        let finite = values.into_iter().filter(|value| value.is_finite());
        let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value.max(-LARGEST)), high.max(value.min(LARGEST)))
        });
        if low > high {
            return Self { low: 0.0, high: 1.0 };
        }
        let centre = f64::midpoint(low, high);
        let least = (centre.abs() * 1e-6).max(1e-12);
        if high - low >= least {
            return Self { low, high };
        }
        let room = (centre.abs() * 0.1).max(0.05);
        Self { low: centre - room, high: centre + room }
    }

    /// The same without outliers, see [`outlier_limit`]: they would press all other values onto one line.
    pub fn of_bulk(values: impl IntoIterator<Item = f64>) -> Self {
        let values: Vec<f64> = values.into_iter().collect();
        let limit = outlier_limit(values.iter().copied());
        Self::covering(values.into_iter().filter(|value| value.abs() <= limit))
    }

    /// Widened by `share` of its length on each side.
    pub fn padded(self, share: f64) -> Self {
        let room = (self.high - self.low) * share;
        Self { low: self.low - room, high: self.high + room }
    }
}

/// The magnitude above which a value is so far from the others that no axis can show both.
pub fn outlier_limit(values: impl IntoIterator<Item = f64>) -> f64 {
    let magnitudes = values.into_iter().map(f64::abs);
    let mut magnitudes: Vec<f64> = magnitudes.filter(|value| value.is_finite() && *value > 0.0).collect();
    magnitudes.sort_by(f64::total_cmp);
    let quartile = magnitudes.get(magnitudes.len().saturating_sub(1) / 4);
    quartile.map_or(f64::INFINITY, |quartile| (FAR * quartile).max(USUAL))
}

/// The end of an axis that a value is beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Low,
    High,
}

impl Side {
    /// From the end back to the panel, for an axis that grows upwards.
    pub fn sign(self) -> f64 {
        if self == Self::High { 1.0 } else { -1.0 }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    Linear,
    Log,
    /// Powers of two, labelled as multipliers.
    Log2,
}

/// An axis from figure coordinate `from` (at `range.low`) to `to`.
#[derive(Clone, Copy, Debug)]
pub struct Axis {
    range: Range,
    scale: Scale,
    from: f64,
    to: f64,
}

impl Axis {
    pub fn linear(range: Range, from: f64, to: f64) -> Self {
        Self { range, scale: Scale::Linear, from, to }
    }

    /// `range` in the values themselves, all above zero.
    pub fn log(range: Range, from: f64, to: f64) -> Self {
        let low = range.low.max(1e-12);
        let high = range.high.max(low * 1.01);
        let range = Range { low: low.log10(), high: high.log10() };
        Self { range, scale: Scale::Log, from, to }
    }

    /// Multipliers in octaves; `range` in the values themselves, all above zero.
    pub fn log2(range: Range, from: f64, to: f64) -> Self {
        let low = range.low.max(1e-12);
        let high = range.high.max(low * 1.01);
        let range = Range { low: low.log2(), high: high.log2() };
        Self { range, scale: Scale::Log2, from, to }
    }

    fn scaled(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear => value,
            Scale::Log => value.max(1e-12).log10(),
            Scale::Log2 => value.max(1e-12).log2(),
        }
    }

    /// Where a value is beyond the axis. A logarithmic one goes down to zero: what is near it stands at its lower end.
    pub fn side_of(&self, value: f64) -> Option<Side> {
        let value = self.scaled(value);
        if value > self.range.high {
            return Some(Side::High);
        }
        (self.scale == Scale::Linear && value < self.range.low).then_some(Side::Low)
    }

    pub fn at(&self, value: f64) -> f64 {
        let value = self.scaled(value);
        let share = (value - self.range.low) / (self.range.high - self.range.low);
        self.from + (self.to - self.from) * share.clamp(0.0, 1.0)
    }

    /// Tick values with their labels, about `wanted` of them.
    pub fn ticks(&self, wanted: usize) -> Vec<(f64, String)> {
        match self.scale {
            Scale::Linear => linear_ticks(self.range, wanted),
            Scale::Log => log_ticks(self.range),
            Scale::Log2 => log2_ticks(self.range, wanted),
        }
    }

    /// Grid lines alone, for a horizontal axis over `top..bottom` whose labels stand elsewhere.
    pub fn draw_grid(&self, canvas: &mut Canvas, top: f64, bottom: f64, wanted: usize) {
        for (value, _) in self.ticks(wanted) {
            draw_upright(canvas, self.at(value), top, bottom);
        }
        canvas.path(&[(self.from, bottom), (self.to, bottom)], MUTED, 1.0, 1.2);
    }

    /// Grid lines, tick labels and a title below, for a horizontal axis over `top..bottom`.
    pub fn draw_below(&self, canvas: &mut Canvas, top: f64, bottom: f64, title: &str, wanted: usize) {
        for (value, label) in self.ticks(wanted) {
            let x = self.at(value);
            draw_upright(canvas, x, top, bottom);
            canvas.text(&label, (x, bottom + 17.0), TICK_SIZE, INK, Align::Centre);
        }
        canvas.path(&[(self.from, bottom), (self.to, bottom)], MUTED, 1.0, 1.2);
        let middle = f64::midpoint(self.from, self.to);
        canvas.text(title, (middle, bottom + 42.0), LABEL_SIZE, INK, Align::Centre);
    }

    /// The same with a name at each whole number from zero.
    pub fn draw_names_below(
        &self,
        canvas: &mut Canvas,
        top: f64,
        bottom: f64,
        title: &str,
        names: &[String],
    ) {
        for (index, name) in names.iter().enumerate() {
            let x = self.at(index as f64);
            draw_upright(canvas, x, top, bottom);
            canvas.text(name, (x, bottom + 17.0), TICK_SIZE, INK, Align::Centre);
        }
        canvas.path(&[(self.from, bottom), (self.to, bottom)], MUTED, 1.0, 1.2);
        let middle = f64::midpoint(self.from, self.to);
        canvas.text(title, (middle, bottom + 42.0), LABEL_SIZE, INK, Align::Centre);
    }

    /// Grid lines, tick labels and a title to the left of `left..right`, for a vertical axis.
    pub fn draw_left(&self, canvas: &mut Canvas, left: f64, right: f64, title: &str, wanted: usize) {
        let mut widest: f64 = 0.0;
        for (value, label) in self.ticks(wanted) {
            let y = self.at(value);
            canvas.path(&[(left, y), (right, y)], RULE, 1.0, 1.0);
            canvas.path(&[(left - 5.0, y), (left, y)], MUTED, 1.0, 1.0);
            canvas.text(&label, (left - 9.0, y), TICK_SIZE, INK, Align::Right);
            widest = widest.max(crate::canvas::text_width(&label, TICK_SIZE));
        }
        canvas.path(&[(left, self.from), (left, self.to)], MUTED, 1.0, 1.2);
        let middle = f64::midpoint(self.from, self.to);
        canvas.text_upwards(title, (left - widest - 24.0, middle), LABEL_SIZE, INK);
    }
}

/// A grid line with its tick.
fn draw_upright(canvas: &mut Canvas, x: f64, top: f64, bottom: f64) {
    canvas.path(&[(x, top), (x, bottom)], RULE, 1.0, 1.0);
    canvas.path(&[(x, bottom), (x, bottom + 5.0)], MUTED, 1.0, 1.0);
}

fn linear_ticks(range: Range, wanted: usize) -> Vec<(f64, String)> {
    let raw = (range.high - range.low) / wanted.clamp(1, MOST_TICKS) as f64;
    let power = 10_f64.powf(raw.log10().floor());
    let step = power
        * [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().find(|nice| nice * power >= raw * 0.999).unwrap_or(10.0);
    let first = (range.low / step).ceil();
    let decimals = (0..=8).find(|places| is_whole(step * 10_f64.powi(*places))).unwrap_or(8) as usize;
    let large = range.low.abs().max(range.high.abs()) >= 1e5 || step < 1e-8;
    (0..=MOST_TICKS)
        .map(|index| (first + index as f64) * step)
        .take_while(|value| *value <= range.high + step * 1e-6)
        .map(|value| (value, if large { format!("{value:.1e}") } else { signed(value, decimals) }))
        .collect()
}

fn log_ticks(range: Range) -> Vec<(f64, String)> {
    let (low, high) = (range.low.ceil() as i32, range.high.floor() as i32);
    let stride = ((high - low) / 7).max(1);
    let mut ticks: Vec<f64> = (low..=high).step_by(stride as usize).map(|power| 10_f64.powi(power)).collect();
    if ticks.len() < 3 {
        let powers = range.low.floor() as i32..=range.high.ceil() as i32;
        let between = |value: &f64| (range.low..=range.high).contains(&value.log10());
        ticks = powers
            .flat_map(|power| [1.0, 2.0, 5.0].map(|nice| nice * 10_f64.powi(power)))
            .filter(between)
            .collect();
    }
    ticks.into_iter().map(|value| (value, power_label(value))).collect()
}

/// Whole powers of two, 1 among them where it is in range; every second or third where all are too many.
fn log2_ticks(range: Range, wanted: usize) -> Vec<(f64, String)> {
    let (low, high) = ((range.low - 1e-6).ceil() as i32, (range.high + 1e-6).floor() as i32);
    let count = usize::try_from(high - low + 1).unwrap_or(0);
    let stride = count.div_ceil(wanted.max(1)).max(1) as i32;
    let shown = (low..=high).filter(|power| power.rem_euclid(stride) == 0).take(MOST_TICKS);
    shown.map(|power| (2_f64.powi(power), multiplier_label(2_f64.powi(power)))).collect()
}

/// A multiplier as people write it: ¼, ½, 1/8, 1, 64.
pub fn multiplier_label(value: f64) -> String {
    match value {
        0.25 => "¼".to_owned(),
        0.5 => "½".to_owned(),
        small if small > 0.0 && small < 1.0 && is_whole(1.0 / small) => format!("1/{:.0}", 1.0 / small),
        other => format!("{}", (other * 1000.0).round() / 1000.0),
    }
}

fn power_label(value: f64) -> String {
    if (1e-4..1e5).contains(&value) { format!("{value}") } else { format!("{value:.0e}") }
}

fn is_whole(value: f64) -> bool {
    (value - value.round()).abs() < 1e-6
}

/// A number with a true minus sign, and no sign on zero; a long one as "1.9e31".
pub fn signed(value: f64, decimals: usize) -> String {
    if value.abs() >= LONG {
        return format!("{value:.1e}").replace('-', "−");
    }
    let digits = format!("{:.decimals$}", value.abs());
    let zero = digits.chars().all(|digit| digit == '0' || digit == '.');
    if value < 0.0 && !zero { format!("−{digits}") } else { digits }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn degenerate_values_still_give_a_range() {
        let cases: [&[f64]; 6] =
            [&[], &[0.5], &[0.0, 0.0], &[f64::NAN, f64::INFINITY], &[f64::MAX, f64::MIN], &[1e9, 1e9]];
        for values in cases {
            let range = Range::covering(values.iter().copied());
            assert!(range.low < range.high && range.low.is_finite() && range.high.is_finite(), "{values:?}");
            let ticks = Axis::linear(range, 0.0, 100.0).ticks(5);
            assert!(ticks.len() <= MOST_TICKS + 1, "{values:?}: {} ticks", ticks.len());
        }
        assert_eq!(Range::covering([0.2, f64::NAN, 0.7]), Range { low: 0.2, high: 0.7 });
    }

    #[test]
    fn an_axis_follows_the_bulk_and_says_which_values_are_beyond_it() {
        let range = Range::of_bulk([0.0, 2.0, 3.0, 2.5, 1.9e31, f64::NAN]);
        assert_eq!(range, Range { low: 0.0, high: 3.0 });
        let axis = Axis::linear(range, 100.0, 0.0);
        let sides = [-1.0, 3.0, 1.9e31].map(|value| axis.side_of(value));
        assert_eq!(sides, [Some(Side::Low), None, Some(Side::High)]);
        assert_eq!(axis.at(1.9e31), 0.0);
        let usual = [0.001, 0.5, 900.0];
        assert_eq!(Range::of_bulk(usual), Range::covering(usual), "no outlier");
        let texts = [signed(1.9e31, 3), signed(-2e9, 2), signed(1_234_567.0, 1)];
        assert_eq!(texts, ["1.9e31", "−2.0e9", "1234567.0"]);
    }

    #[test]
    fn ticks_are_round_and_inside() {
        let labels = |low, high| -> Vec<String> {
            let axis = Axis::linear(Range { low, high }, 0.0, 1.0);
            axis.ticks(5).into_iter().map(|(_, label)| label).collect()
        };
        assert_eq!(labels(-0.11, 0.93), ["0.00", "0.25", "0.50", "0.75"]);
        assert_eq!(labels(0.0, 300.0), ["0", "100", "200", "300"]);
        assert_eq!(labels(-2.0, 2.0), ["−2", "−1", "0", "1", "2"]);
    }

    #[test]
    fn multipliers_are_labelled_at_powers_of_two_and_thinned_around_one() {
        let labels = |low, high, wanted| -> Vec<String> {
            let axis = Axis::log2(Range { low, high }, 0.0, 1.0);
            axis.ticks(wanted).into_iter().map(|(_, label)| label).collect()
        };
        assert_eq!(labels(0.25, 64.0, 9), ["¼", "½", "1", "2", "4", "8", "16", "32", "64"]);
        assert_eq!(labels(0.125, 64.0, 5), ["¼", "1", "4", "16", "64"]);
        assert_eq!(labels(0.1, 3.0, 9), ["1/8", "¼", "½", "1", "2"]);
        assert!(labels(1.0, 1.0, 9).len() < 3);
        assert_eq!([3.0, 0.2, 0.3].map(multiplier_label), ["3", "1/5", "0.3"]);
    }

    #[test]
    fn a_log_axis_puts_equal_ratios_at_equal_distances_and_survives_zero() {
        let axis = Axis::log(Range { low: 0.01, high: 100.0 }, 0.0, 100.0);
        assert!((axis.at(1.0) - 50.0).abs() < 1e-9);
        assert!((axis.at(0.1) - 25.0).abs() < 1e-9);
        assert_eq!(axis.at(0.0), 0.0);
        assert_eq!(axis.ticks(5).len(), 5);
        let flat = Axis::log(Range { low: 0.0, high: 0.0 }, 0.0, 100.0);
        assert!(flat.at(1.0).is_finite() && flat.ticks(5).len() < 20);
    }
}
