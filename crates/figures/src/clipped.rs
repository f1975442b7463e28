//! Marks of values beyond an axis: an arrow at its border and the value beside it.
//!
//! An axis follows the bulk of its values ([`Range::of_bulk`](crate::axis::Range::of_bulk)), so that an outlier does not
//! press all others onto one line; the arrow keeps it from being lost.

use crate::axis::{Axis, Side};
use crate::canvas::{Align, Canvas};
use crate::style::{Colour, MUTED, NOTE_SIZE, darker};

/// What explains the arrows, where there are any.
pub const NOTE: &str = "arrows: beyond the axis";

/// Of an arrow, from its tip.
const LENGTH: f64 = 9.0;
const HALF_WIDTH: f64 = 4.5;
/// Between the arrows of two rows or lines, and between their values.
const ASIDE: f64 = 8.0;
const VALUE_ROW: f64 = 13.0;
/// A value this near to the right edge stands left of its arrow.
const NEAR_EDGE: f64 = 60.0;

/// The values of one line or row that are beyond its axis.
pub struct Clipped {
    colour: Colour,
    /// Place along the other axis, border, and value.
    marks: Vec<(f64, Side, f64)>,
}

impl Clipped {
    pub fn new(colour: Colour) -> Self {
        Self { colour, marks: Vec::new() }
    }

    /// Whether `value` is beyond the axis; then it has its mark.
    pub fn take(&mut self, axis: &Axis, place: f64, value: f64) -> bool {
        let side = axis.side_of(value);
        self.marks.extend(side.map(|side| (place, side, value)));
        side.is_some()
    }

    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    fn farthest(&self) -> Option<&(f64, Side, f64)> {
        self.marks.iter().max_by(|one, other| one.2.abs().total_cmp(&other.2.abs()))
    }

    /// Arrows at the border of a vertical axis, and the farthest value; `index` counts the panel's lines that have some.
    pub fn draw_upright(&self, canvas: &mut Canvas, axis: &Axis, right: f64, index: usize) {
        let shift = index as f64 * ASIDE;
        for (x, side, value) in &self.marks {
            let (tip, down) = (axis.at(*value), side.sign());
            let x = (x + shift).min(right - HALF_WIDTH);
            let base = tip + down * LENGTH;
            canvas.polygon(&[(x, tip), (x - HALF_WIDTH, base), (x + HALF_WIDTH, base)], self.colour, 1.0);
        }
        if let Some((x, side, value)) = self.farthest() {
            let y = axis.at(*value) + side.sign() * (LENGTH + 8.0 + index as f64 * VALUE_ROW);
            let (x, align) = beside(x + shift, right);
            canvas.text(&format!("{value:.1e}"), (x, y), NOTE_SIZE, darker(self.colour), align);
        }
    }

    /// The same at the border of a horizontal axis; places are heights.
    pub fn draw_across(&self, canvas: &mut Canvas, axis: &Axis) {
        for (y, side, value) in &self.marks {
            let tip = axis.at(*value);
            let base = tip - side.sign() * LENGTH;
            canvas.polygon(&[(tip, *y), (base, y - HALF_WIDTH), (base, y + HALF_WIDTH)], self.colour, 1.0);
        }
        if let Some((y, side, value)) = self.farthest() {
            let x = axis.at(*value) - side.sign() * (LENGTH + 4.0);
            let align = if *side == Side::High { Align::Right } else { Align::Left };
            canvas.text(&format!("{value:.1e}"), (x, *y), NOTE_SIZE, darker(self.colour), align);
        }
    }
}

/// Where the value of an arrow at `x` stands.
fn beside(x: f64, right: f64) -> (f64, Align) {
    if x > right - NEAR_EDGE { (x - ASIDE, Align::Right) } else { (x + ASIDE, Align::Left) }
}

/// The note above a panel whose middle is `at`.
pub fn draw_note(canvas: &mut Canvas, at: (f64, f64)) {
    canvas.text(NOTE, at, NOTE_SIZE, MUTED, Align::Centre);
}
