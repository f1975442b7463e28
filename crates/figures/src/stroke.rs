//! Solid, dashed and dotted lines, cut into the parts that are inked.

use crate::canvas::Canvas;
use crate::style::Colour;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stroke {
    Solid,
    /// Inked and left out lengths in figure pixels.
    Dashed(f64, f64),
}

impl Stroke {
    pub fn draw(self, canvas: &mut Canvas, path: &[(f64, f64)], colour: Colour, width: f64) {
        match self {
            Self::Solid => canvas.path(path, colour, 1.0, width),
            Self::Dashed(dash, gap) => {
                for part in dashes(path, dash, gap).into_iter().filter(|part| part.len() > 1) {
                    canvas.path(&part, colour, 1.0, width);
                }
            }
        }
    }
}

/// The parts of a path that are drawn when it is dashed.
pub fn dashes(path: &[(f64, f64)], dash: f64, gap: f64) -> Vec<Vec<(f64, f64)>> {
    let mut parts = vec![vec![path[0]]];
    let (mut inked, mut left) = (true, dash);
    for ends in path.windows(2) {
        let (from, to) = (ends[0], ends[1]);
        let length = (to.0 - from.0).hypot(to.1 - from.1);
        let mut along = 0.0;
        while left < length - along {
            along += left;
            let share = along / length;
            let point = (from.0 + (to.0 - from.0) * share, from.1 + (to.1 - from.1) * share);
            if inked {
                parts.last_mut().expect("there is a part from the start").push(point);
            } else {
                parts.push(vec![point]);
            }
            inked = !inked;
            left = if inked { dash } else { gap };
        }
        left -= length - along;
        if inked {
            parts.last_mut().expect("there is a part from the start").push(to);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dashes_go_round_corners_and_leave_gaps_out() {
        let path = [(0.0, 0.0), (4.0, 0.0), (4.0, 8.0)];
        let parts = dashes(&path, 6.0, 2.0);
        assert_eq!(parts, [vec![(0.0, 0.0), (4.0, 0.0), (4.0, 2.0)], vec![(4.0, 4.0), (4.0, 8.0)]]);
        assert_eq!(dashes(&[(1.0, 1.0), (1.0, 1.0)], 6.0, 2.0), [vec![(1.0, 1.0), (1.0, 1.0)]]);
        assert_eq!(dashes(&[(0.0, 0.0), (100.0, 0.0)], 6.0, 4.0).len(), 10);
    }
}
