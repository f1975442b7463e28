//! Labelled horizontal lines of a panel, and where their names stand.

use crate::axis::{Axis, signed};
use crate::canvas::{Align, Canvas, text_width};
use crate::plots::dots::Bound;
use crate::plots::lines::Panel;
use crate::style::{MUTED, NOTE_SIZE};

/// Between a name and the panel's edges, and between it and lines above or below.
const MARGIN: f64 = 7.0;
const GAP: f64 = 4.0;
/// Places for a name from the left edge to the right one, less one.
const PLACES: usize = 12;

/// Each bound's name and value above or below its line, where the `drawn` paths leave most room for it.
pub fn draw_names(canvas: &mut Canvas, panel: &Panel, up: &Axis, drawn: &[Vec<(f64, f64)>]) {
    let level = |bound: &Bound| [panel.left, panel.right].map(|x| (x, up.at(bound.value))).to_vec();
    let mut drawn = drawn.to_vec();
    drawn.extend(panel.bounds.iter().map(level));
    for bound in panel.bounds {
        let label = format!("{} {}", bound.label, signed(bound.value, 2));
        let (width, y) = (text_width(&label, NOTE_SIZE), up.at(bound.value));
        let room = (panel.right - panel.left - width - 2.0 * MARGIN).max(0.0);
        let above = (y - panel.top >= 22.0).then_some(y - 12.0);
        let below = (panel.bottom - y >= 22.0).then_some(y + 12.0);
        let places = (0..=PLACES).flat_map(|step| {
            let x = panel.left + MARGIN + room * step as f64 / PLACES as f64;
            above.into_iter().chain(below).map(move |y| (x, y))
        });
        // Of equally free places the first, from left to right.
        let place = places.min_by_key(|(x, y)| {
            let height = 0.5 * NOTE_SIZE + GAP;
            covered(&drawn, (x - MARGIN, x + width + MARGIN), (y - height, y + height))
        });
        let place = place.unwrap_or((panel.left + MARGIN, y - 12.0));
        canvas.text(&label, place, NOTE_SIZE, MUTED, Align::Left);
    }
}

/// About how many figure pixels of `paths`, from left to right, lie in a rectangle.
fn covered(paths: &[Vec<(f64, f64)>], across: (f64, f64), up: (f64, f64)) -> usize {
    let pixels = |pair: &[(f64, f64)]| {
        let (from, to) = (pair[0], pair[1]);
        let count = (to.0 - from.0).hypot(to.1 - from.1).ceil().clamp(1.0, 1e4) as usize;
        let inside = |index: &usize| {
            let share = *index as f64 / count as f64;
            let (x, y) = (from.0 + (to.0 - from.0) * share, from.1 + (to.1 - from.1) * share);
            (across.0..=across.1).contains(&x) && (up.0..=up.1).contains(&y)
        };
        (0..=count).filter(inside).count()
    };
    paths.iter().flat_map(|path| path.windows(2)).map(pixels).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_under_a_name_is_counted_in_pixels() {
        let level = vec![(0.0, 10.0), (100.0, 10.0)];
        let steep = vec![(50.0, 0.0), (50.0, 100.0)];
        assert_eq!(covered(std::slice::from_ref(&level), (19.5, 40.5), (5.0, 15.0)), 21);
        assert_eq!(covered(&[level.clone(), steep.clone()], (44.5, 55.5), (4.5, 15.5)), 22);
        assert_eq!(covered(&[level, steep], (60.0, 90.0), (20.0, 90.0)), 0);
    }
}
