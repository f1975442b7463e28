//! Clothes as lists of coloured shapes, in the frame of their wearer.

use super::{DARK, Ink, Part, Parts, WHITE, block, ellipse, line};
use crate::raster::Rgb;
use crate::raster::Shape::{Ring, Triangle};

/// The parts of an outfit, in front of the wearer's own.
pub fn outfit_parts(outfit: usize) -> Vec<Part> {
    let mut parts = Parts(Vec::new());
    let fixed = Ink::Fixed;
    let shirt = |parts: &mut Parts, color: Rgb| parts.add(fixed(color), ellipse(0.0, 0.48, 0.52, 0.42));
    let (crown, red) = (-0.72, [0.86, 0.10, 0.10]);
    match outfit {
        0 => {
            parts.add(fixed(red), ellipse(0.0, crown - 0.06, 0.36, 0.28));
            parts.add(fixed([0.66, 0.05, 0.05]), block(0.0, crown + 0.08, 0.58, 0.08, 0.06));
        }
        1 => {
            parts.add(fixed(red), Triangle([[-0.38, crown + 0.06], [0.38, crown + 0.06], [0.34, -1.22]]));
            parts.add(WHITE, block(0.0, crown + 0.06, 0.46, 0.11, 0.1));
            parts.add(WHITE, ellipse(0.38, -1.18, 0.14, 0.14));
        }
        2 => {
            let colors = [
                red,
                [0.98, 0.60, 0.10],
                [0.98, 0.90, 0.15],
                [0.20, 0.70, 0.25],
                [0.20, 0.35, 0.88],
                [0.55, 0.2, 0.7],
            ];
            for (index, color) in colors.into_iter().enumerate() {
                let x = -0.5 + 0.2 * index as f32;
                parts.add(fixed(color), block(x, 0.1, 0.11, 0.13, 0.02));
                parts.add(fixed(color), block(0.32, 0.24 + 0.1 * index as f32, 0.12, 0.055, 0.0));
            }
        }
        3 => {
            parts.add(DARK, block(0.0, crown + 0.05, 0.58, 0.07, 0.04));
            parts.add(DARK, block(0.0, crown - 0.24, 0.36, 0.28, 0.03));
            parts.add(fixed([0.93, 0.78, 0.25]), Ring { center: [0.2, -0.45], radius: 0.16, width: 0.045 });
        }
        4 => {
            shirt(&mut parts, [0.97, 0.97, 0.97]);
            parts.both(DARK, |side| ellipse(side * 0.1, 0.5, 0.05, 0.05));
            parts.both(WHITE, |side| ellipse(side * 0.22, crown - 0.32, 0.28, 0.22));
            parts.add(WHITE, block(0.0, crown - 0.08, 0.36, 0.2, 0.04));
            parts.add(fixed([0.80, 0.80, 0.82]), block(0.0, crown + 0.07, 0.37, 0.05, 0.0));
        }
        5 => {
            shirt(&mut parts, [0.20, 0.18, 0.16]);
            parts.add(fixed([0.95, 0.92, 0.20]), block(0.0, 0.42, 0.48, 0.07, 0.0));
            parts.add(fixed([0.95, 0.92, 0.20]), block(0.0, 0.66, 0.42, 0.06, 0.0));
            parts.add(fixed([0.92, 0.72, 0.08]), ellipse(0.0, crown, 0.44, 0.32));
            parts.add(fixed([0.78, 0.12, 0.08]), ellipse(0.0, crown, 0.13, 0.15));
        }
        6 => {
            shirt(&mut parts, [0.10, 0.16, 0.42]);
            parts.add(fixed([0.95, 0.82, 0.25]), ellipse(0.2, 0.36, 0.1, 0.1));
            parts.add(fixed([0.10, 0.16, 0.42]), block(0.0, crown - 0.08, 0.48, 0.18, 0.1));
            parts.add(DARK, block(0.0, crown + 0.11, 0.44, 0.06, 0.04));
            parts.add(fixed([0.95, 0.82, 0.25]), ellipse(0.0, crown - 0.08, 0.1, 0.1));
        }
        7 => {
            let pink = fixed([1.0, 0.35, 0.68]);
            parts.add(pink, line([-0.1, -0.45], [0.1, -0.45], 0.05));
            parts.both(pink, |side| Ring { center: [side * 0.22, -0.45], radius: 0.17, width: 0.06 });
        }
        8 => shirt(&mut parts, [0.98, 0.86, 0.12]),
        _ => {
            let purple = fixed([0.48, 0.15, 0.66]);
            shirt(&mut parts, [0.48, 0.15, 0.66]);
            parts.add(fixed([0.98, 0.88, 0.25]), ellipse(0.0, 0.5, 0.1, 0.1));
            parts.add(purple, Triangle([[-0.42, crown + 0.04], [0.42, crown + 0.04], [0.0, -1.4]]));
            parts.add(purple, block(0.0, crown + 0.05, 0.64, 0.08, 0.06));
            parts.add(fixed([0.98, 0.88, 0.25]), ellipse(0.0, crown - 0.2, 0.09, 0.09));
        }
    }
    parts.0
}
