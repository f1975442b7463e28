//! The object classes as lists of coloured shapes, in a frame that the object fills about to [-1, 1]².

mod outfits;

pub use outfits::outfit_parts;

use crate::raster::Shape::{Box, Capsule, Ellipse, Quad, Ring, Triangle};
use crate::raster::{Rgb, Shape};

/// What a part is coloured with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Ink {
    /// The instance's main colour, under its pattern.
    Main,
    /// The instance's second colour.
    Second,
    /// A colour of its own.
    Fixed(Rgb),
}

#[derive(Debug, Clone, Copy)]
pub struct Part {
    pub shape: Shape,
    pub ink: Ink,
}

/// The classes, in DreamBooth's words.
pub const CLASSES: [&str; 14] = [
    "backpack",
    "stuffed animal",
    "bowl",
    "can",
    "candle",
    "cat",
    "clock",
    "sneaker",
    "dog",
    "toy",
    "boot",
    "glasses",
    "teapot",
    "vase",
];

/// Whether DreamBooth's prompts for living things are meant for the class.
pub fn is_live(class: usize) -> bool {
    matches!(CLASSES[class], "cat" | "dog")
}

/// Sub-kinds of every class: two bodies that differ in kind, not in degree.
pub const KINDS: u8 = 2;

const DARK: Ink = Ink::Fixed([0.10, 0.09, 0.10]);
const WHITE: Ink = Ink::Fixed([0.97, 0.97, 0.95]);
const MAIN: Ink = Ink::Main;
const SECOND: Ink = Ink::Second;

struct Parts(Vec<Part>);

impl Parts {
    fn add(&mut self, ink: Ink, shape: Shape) {
        self.0.push(Part { shape, ink });
    }

    /// The shape `make(1)` and its mirror image `make(-1)`.
    fn both(&mut self, ink: Ink, make: impl Fn(f32) -> Shape) {
        self.add(ink, make(-1.0));
        self.add(ink, make(1.0));
    }
}

/// Parts of an object from back to front; `form` are the instance's proportions in [0, 1].
pub fn parts(class: usize, kind: u8, form: &[f32; 4]) -> Vec<Part> {
    let mut parts = Parts(Vec::new());
    let first = kind == 0;
    match CLASSES[class] {
        "backpack" => backpack(&mut parts, first, form),
        "stuffed animal" => stuffed_animal(&mut parts, first, form),
        "bowl" => bowl(&mut parts, first, form),
        "can" => can(&mut parts, first, form),
        "candle" => candle(&mut parts, first, form),
        "cat" => cat(&mut parts, first, form),
        "clock" => clock(&mut parts, first, form),
        "sneaker" => sneaker(&mut parts, first, form),
        "dog" => dog(&mut parts, first, form),
        "toy" => toy(&mut parts, first, form),
        "boot" => boot(&mut parts, first, form),
        "glasses" => glasses(&mut parts, first, form),
        "teapot" => teapot(&mut parts, first, form),
        _ => vase(&mut parts, first, form),
    }
    parts.0
}

fn range(t: f32, low: f32, high: f32) -> f32 {
    low + t * (high - low)
}

fn ellipse(x: f32, y: f32, rx: f32, ry: f32) -> Shape {
    Ellipse { center: [x, y], radii: [rx, ry] }
}

fn block(x: f32, y: f32, half_width: f32, half_height: f32, round: f32) -> Shape {
    Box { center: [x, y], half: [half_width, half_height], round }
}

fn line(from: [f32; 2], to: [f32; 2], radius: f32) -> Shape {
    Capsule { from, to, radius }
}

fn eyes(parts: &mut Parts, spacing: f32, y: f32, size: f32) {
    parts.both(WHITE, |side| ellipse(side * spacing, y, size * 1.35, size * 1.35));
    parts.both(DARK, |side| ellipse(side * spacing, y, size * 0.8, size));
}

fn backpack(parts: &mut Parts, first: bool, form: &[f32; 4]) {
    let width = range(form[0], 0.55, 0.75);
    parts.add(SECOND, Ring { center: [0.0, -0.85], radius: 0.2, width: 0.06 });
    parts.both(SECOND, |side| line([side * width, -0.3], [side * (width + 0.1), 0.6], 0.1));
    parts.add(MAIN, block(0.0, 0.05, width, 0.9, range(form[1], 0.25, 0.5)));
    if first {
        parts.add(SECOND, block(0.0, 0.45, width * 0.72, 0.36, 0.12));
        parts.add(DARK, line([-width * 0.6, 0.25], [width * 0.6, 0.25], 0.03));
    } else {
        parts.both(SECOND, |side| line([side * width * 0.5, -0.8], [side * width * 0.5, 0.9], 0.08));
        parts.add(WHITE, block(0.0, -0.05, 0.22, 0.18, 0.05));
    }
    parts.add(DARK, line([-width * 0.7, -0.42], [width * 0.7, -0.42], 0.035));
}

fn stuffed_animal(parts: &mut Parts, bear: bool, form: &[f32; 4]) {
    let ears = range(form[0], 0.18, 0.28);
    parts.both(MAIN, |side| line([side * 0.4, 0.25], [side * 0.8, range(form[1], 0.0, 0.5)], 0.17));
    parts.both(MAIN, |side| ellipse(side * 0.38, 0.85, 0.26, 0.2));
    parts.both(SECOND, |side| ellipse(side * 0.42, 0.87, 0.13, 0.12));
    if bear {
        parts.both(MAIN, |side| ellipse(side * 0.42, -0.78, ears, ears));
        parts.both(SECOND, |side| ellipse(side * 0.42, -0.78, ears * 0.5, ears * 0.5));
    } else {
        parts.both(MAIN, |side| {
            Triangle([[side * 0.12, -0.7], [side * 0.52, -0.5], [side * 0.45, -0.8 - ears]])
        });
    }
    parts.add(MAIN, ellipse(0.0, 0.42, range(form[2], 0.42, 0.56), 0.52));
    parts.add(SECOND, ellipse(0.0, 0.5, 0.28, 0.34));
    parts.add(MAIN, ellipse(0.0, -0.42, 0.52, 0.46));
    parts.add(SECOND, ellipse(0.0, -0.24, 0.24, 0.18));
    parts.add(DARK, ellipse(0.0, -0.32, 0.09, 0.07));
    parts.both(DARK, |side| ellipse(side * 0.22, -0.5, 0.07, 0.08));
}

fn bowl(parts: &mut Parts, first: bool, form: &[f32; 4]) {
    let depth = range(form[0], 0.55, 0.8);
    parts.add(MAIN, block(0.0, depth, 0.38, 0.13, 0.06));
    parts.add(MAIN, Quad([[-0.95, -0.2], [0.95, -0.2], [0.5, depth], [-0.5, depth]]));
    parts.add(MAIN, ellipse(0.0, depth * 0.45, 0.72, depth * 0.55));
    parts.add(SECOND, ellipse(0.0, -0.2, 0.97, 0.3));
    if first {
        let berry = |x: f32, y: f32| ellipse(x, y, 0.17, 0.16);
        for (x, y) in [(-0.5, -0.28), (0.5, -0.28), (-0.2, -0.42), (0.2, -0.4), (0.0, -0.22)] {
            parts.add(Ink::Fixed([0.75, 0.10, 0.18]), berry(x, y));
        }
    } else {
        parts.add(DARK, ellipse(0.0, -0.18, 0.8, 0.2));
    }
}

fn can(parts: &mut Parts, first: bool, form: &[f32; 4]) {
    let width = range(form[0], 0.42, 0.6);
    let silver = Ink::Fixed([0.78, 0.80, 0.83]);
    parts.add(silver, ellipse(0.0, 0.85, width, 0.14));
    parts.add(MAIN, block(0.0, 0.0, width, 0.85, 0.04));
    parts.add(silver, ellipse(0.0, -0.87, width, 0.15));
    parts.add(DARK, ellipse(0.1, -0.88, width * 0.32, 0.06));
    if first {
        parts.add(SECOND, ellipse(0.0, 0.02, width * 0.66, width * 0.66));
        parts.add(MAIN, ellipse(0.0, 0.02, width * 0.3, width * 0.3));
    } else {
        parts.add(SECOND, block(0.0, range(form[1], -0.3, 0.3), width, 0.24, 0.0));
        parts.add(WHITE, line([-width * 0.6, 0.0], [width * 0.6, 0.0], 0.07));
    }
}

fn candle(parts: &mut Parts, first: bool, form: &[f32; 4]) {
    let width = range(form[0], 0.3, 0.5);
    parts.add(Ink::Fixed([1.0, 0.60, 0.10]), ellipse(0.0, -0.78, 0.17, 0.27));
    parts.add(Ink::Fixed([1.0, 0.93, 0.45]), ellipse(0.0, -0.72, 0.09, 0.17));
    parts.add(DARK, line([0.0, -0.62], [0.0, -0.42], 0.035));
    if first {
        parts.add(SECOND, ellipse(0.0, 0.85, 0.75, 0.17));
        parts.add(MAIN, block(0.0, 0.2, width, 0.62, 0.08));
        parts.add(SECOND, ellipse(0.0, -0.42, width * 0.96, 0.09));
    } else {
        parts.add(SECOND, block(0.0, 0.3, width + 0.22, 0.62, 0.1));
        parts.add(MAIN, block(0.0, 0.0, width + 0.1, 0.42, 0.08));
        parts.add(WHITE, block(0.0, 0.5, 0.28, 0.16, 0.04));
    }
}

fn cat(parts: &mut Parts, sitting: bool, form: &[f32; 4]) {
    let ears = range(form[0], 0.8, 1.0);
    let width = range(form[1], 0.38, 0.5);
    parts.add(MAIN, line([0.4, 0.8], [0.85, range(form[2], -0.1, 0.4)], 0.1));
    if sitting {
        parts.add(MAIN, ellipse(0.0, 0.5, width, 0.52));
    } else {
        parts.add(MAIN, ellipse(0.1, 0.55, width + 0.2, 0.36));
    }
    parts.both(SECOND, |side| ellipse(side * 0.24, 0.92, 0.15, 0.1));
    parts.add(SECOND, ellipse(0.0, 0.35, 0.2, 0.26));
    parts.both(MAIN, |side| Triangle([[side * 0.1, -0.66], [side * 0.48, -0.4], [side * 0.44, -ears]]));
    parts.both(Ink::Fixed([0.93, 0.62, 0.62]), |side| {
        Triangle([[side * 0.22, -0.66], [side * 0.42, -0.54], [side * 0.4, -ears + 0.12]])
    });
    parts.add(MAIN, ellipse(0.0, -0.38, 0.5, 0.4));
    parts.add(SECOND, ellipse(0.0, -0.22, 0.2, 0.14));
    parts.both(Ink::Fixed([0.75, 0.88, 0.30]), |side| ellipse(side * 0.2, -0.44, 0.11, 0.1));
    parts.both(DARK, |side| ellipse(side * 0.2, -0.44, 0.04, 0.09));
    parts.add(Ink::Fixed([0.90, 0.45, 0.50]), ellipse(0.0, -0.28, 0.06, 0.045));
    parts.both(DARK, |side| line([side * 0.2, -0.22], [side * 0.6, -0.27], 0.018));
}

fn dog(parts: &mut Parts, floppy: bool, form: &[f32; 4]) {
    let width = range(form[1], 0.4, 0.52);
    let muzzle = range(form[2], 0.2, 0.3);
    parts.add(MAIN, line([0.42, 0.6], [0.8, 0.15], 0.08));
    parts.add(MAIN, ellipse(0.0, 0.5, width, 0.5));
    parts.both(MAIN, |side| line([side * 0.22, 0.5], [side * 0.24, 0.88], 0.13));
    parts.both(SECOND, |side| ellipse(side * 0.25, 0.92, 0.17, 0.1));
    parts.add(MAIN, ellipse(0.0, -0.38, 0.44, 0.44));
    if floppy {
        parts.both(SECOND, |side| ellipse(side * 0.48, -0.32, 0.15, range(form[0], 0.3, 0.42)));
    } else {
        parts.both(SECOND, |side| {
            Triangle([[side * 0.14, -0.7], [side * 0.46, -0.55], [side * 0.4, range(form[0], -0.95, -1.08)]])
        });
    }
    parts.add(SECOND, ellipse(0.0, -0.18, muzzle, 0.2));
    parts.add(DARK, ellipse(0.0, -0.26, 0.11, 0.08));
    parts.add(Ink::Fixed([0.92, 0.40, 0.45]), ellipse(0.0, 0.0, 0.08, 0.1));
    parts.both(DARK, |side| ellipse(side * 0.19, -0.48, 0.07, 0.08));
}

fn clock(parts: &mut Parts, bells: bool, form: &[f32; 4]) {
    let hand = range(form[0], 0.0, std::f32::consts::TAU);
    if bells {
        parts.both(SECOND, |side| ellipse(side * 0.45, -0.78, 0.26, 0.2));
        parts.both(DARK, |side| line([side * 0.4, 0.7], [side * 0.6, 0.95], 0.07));
    } else {
        parts.add(SECOND, block(0.0, 0.85, 0.75, 0.13, 0.05));
    }
    parts.add(MAIN, ellipse(0.0, 0.0, 0.85, 0.85));
    parts.add(Ink::Fixed([0.97, 0.96, 0.90]), ellipse(0.0, 0.0, 0.64, 0.64));
    for tick in 0..12 {
        let (sin, cos) = (tick as f32 * std::f32::consts::TAU / 12.0).sin_cos();
        parts.add(DARK, line([0.5 * cos, 0.5 * sin], [0.57 * cos, 0.57 * sin], 0.03));
    }
    let (sin, cos) = hand.sin_cos();
    parts.add(DARK, line([0.0, 0.0], [0.42 * cos, 0.42 * sin], 0.045));
    parts.add(SECOND, line([0.0, 0.0], [-0.28 * sin, 0.28 * cos], 0.055));
}

fn sneaker(parts: &mut Parts, low: bool, form: &[f32; 4]) {
    let top = if low { -0.2 } else { -0.65 };
    parts.add(MAIN, Quad([[-0.9, top], [-0.25, top], [-0.1, 0.45], [-0.95, 0.45]]));
    parts.add(MAIN, Quad([[-0.3, top + 0.02], [-0.1, top + 0.05], [0.7, 0.2], [-0.3, 0.45]]));
    parts.add(MAIN, ellipse(0.5, 0.32, 0.48, range(form[0], 0.2, 0.3)));
    parts.add(SECOND, ellipse(0.78, 0.36, 0.22, 0.17));
    parts.add(DARK, ellipse(-0.56, top, 0.34, 0.1));
    parts.add(WHITE, block(0.02, 0.58, 0.98, range(form[1], 0.12, 0.18), 0.1));
    for lace in 0..3 {
        let along = lace as f32 * 0.2;
        parts.add(
            WHITE,
            line([-0.12 + along, -0.05 + along * 0.6], [0.1 + along, -0.18 + along * 0.9], 0.045),
        );
    }
    parts.add(SECOND, line([-0.7, 0.28], [0.0, range(form[2], -0.05, 0.25)], 0.075));
}

fn toy(parts: &mut Parts, car: bool, form: &[f32; 4]) {
    if car {
        parts.add(MAIN, Quad([[-0.5, -0.5], [0.3, -0.5], [0.62, 0.1], [-0.75, 0.1]]));
        let window = Ink::Fixed([0.75, 0.90, 0.97]);
        parts.add(window, Quad([[-0.42, -0.36], [-0.12, -0.36], [-0.12, -0.02], [-0.56, -0.02]]));
        parts.add(window, Quad([[0.0, -0.36], [0.22, -0.36], [0.44, -0.02], [0.0, -0.02]]));
        parts.add(MAIN, block(0.0, 0.25, 0.98, range(form[0], 0.25, 0.34), 0.14));
        parts.add(SECOND, block(0.0, 0.3, 0.9, 0.07, 0.0));
        parts.both(DARK, |side| ellipse(side * 0.55, 0.58, 0.27, 0.27));
        parts.both(WHITE, |side| ellipse(side * 0.55, 0.58, 0.11, 0.11));
        parts.add(Ink::Fixed([1.0, 0.92, 0.4]), ellipse(0.9, 0.15, 0.09, 0.09));
        return;
    }
    parts.add(DARK, line([0.0, -0.7], [0.0, -0.95], 0.035));
    parts.add(SECOND, ellipse(0.0, -0.97, 0.08, 0.08));
    parts.both(SECOND, |side| line([side * 0.5, 0.1], [side * 0.82, range(form[0], -0.2, 0.4)], 0.09));
    parts.both(SECOND, |side| block(side * 0.25, 0.82, 0.15, 0.16, 0.03));
    parts.add(MAIN, block(0.0, 0.3, range(form[1], 0.45, 0.58), 0.42, 0.06));
    parts.add(MAIN, block(0.0, -0.42, 0.42, 0.32, 0.06));
    parts.add(SECOND, block(0.0, 0.32, 0.26, 0.2, 0.03));
    eyes(parts, 0.18, -0.48, 0.09);
    parts.add(DARK, block(0.0, -0.22, 0.22, 0.045, 0.0));
}

fn boot(parts: &mut Parts, laced: bool, form: &[f32; 4]) {
    let width = range(form[0], 0.32, 0.42);
    parts.add(MAIN, block(-0.3, -0.15, width, 0.78, 0.08));
    parts.add(MAIN, ellipse(0.25, 0.5, 0.62, range(form[1], 0.28, 0.36)));
    parts.add(MAIN, block(-0.3, 0.55, width, 0.25, 0.05));
    parts.add(DARK, block(0.1, 0.82, 0.82, 0.1, 0.05));
    parts.add(DARK, block(-0.5, 0.88, 0.24, 0.12, 0.02));
    if laced {
        for lace in 0..4 {
            let y = -0.6 + lace as f32 * 0.25;
            parts.add(WHITE, line([-0.25, y], [0.05, y + 0.06], 0.04));
        }
        parts.add(SECOND, block(-0.3, -0.85, width + 0.03, 0.1, 0.05));
    } else {
        parts.add(SECOND, block(-0.3, -0.8, width + 0.07, 0.2, 0.12));
        parts.add(SECOND, block(-0.3, range(form[2], 0.0, 0.25), width + 0.02, 0.08, 0.0));
    }
}

fn glasses(parts: &mut Parts, round: bool, form: &[f32; 4]) {
    let lens = range(form[0], 0.34, 0.42);
    parts.both(MAIN, |side| line([side * 0.85, -0.12], [side * 0.98, -0.42], 0.08));
    parts.add(MAIN, line([-0.2, -0.12], [0.2, -0.12], 0.08));
    if round {
        parts.both(MAIN, |side| ellipse(side * 0.52, 0.0, lens + 0.1, lens + 0.1));
        parts.both(SECOND, |side| ellipse(side * 0.52, 0.0, lens - 0.06, lens - 0.06));
    } else {
        parts.both(MAIN, |side| block(side * 0.52, 0.0, lens + 0.08, lens * 0.85, 0.1));
        parts.both(SECOND, |side| block(side * 0.52, 0.02, lens - 0.07, lens * 0.85 - 0.14, 0.06));
    }
    parts.both(WHITE, |side| line([side * 0.52 - 0.18, -0.02], [side * 0.52 - 0.06, -0.16], 0.04));
}

fn teapot(parts: &mut Parts, first: bool, form: &[f32; 4]) {
    let width = range(form[0], 0.52, 0.62);
    parts.add(MAIN, Ring { center: [-0.68, 0.05], radius: 0.28, width: 0.075 });
    parts.add(MAIN, line([0.4, 0.35], [0.88, range(form[1], -0.45, -0.2)], 0.11));
    parts.add(MAIN, ellipse(0.0, 0.25, width, 0.55));
    parts.add(SECOND, block(0.0, 0.78, 0.36, 0.08, 0.03));
    if first {
        parts.add(SECOND, ellipse(0.0, -0.3, 0.36, 0.14));
    } else {
        parts.add(SECOND, Triangle([[-0.4, -0.24], [0.4, -0.24], [0.0, -0.66]]));
    }
    parts.add(SECOND, ellipse(0.0, -0.52, 0.11, 0.11));
    parts.add(SECOND, ellipse(0.0, 0.25, range(form[2], 0.14, 0.26), 0.2));
}

fn vase(parts: &mut Parts, first: bool, form: &[f32; 4]) {
    let belly = range(form[0], 0.42, 0.6);
    let neck = range(form[1], 0.16, 0.26);
    if first {
        parts.add(MAIN, block(0.0, -0.45, neck, 0.45, 0.03));
        parts.add(MAIN, ellipse(0.0, 0.3, belly, 0.55));
        parts.add(SECOND, ellipse(0.0, -0.88, neck + 0.14, 0.1));
        parts.add(SECOND, block(0.0, 0.3, belly * 0.95, 0.09, 0.0));
    } else {
        parts.add(MAIN, Quad([[-belly, -0.75], [belly, -0.75], [neck + 0.08, 0.85], [-neck - 0.08, 0.85]]));
        parts.add(SECOND, ellipse(0.0, -0.75, belly, 0.14));
        parts.add(DARK, ellipse(0.0, -0.74, belly * 0.75, 0.08));
        parts.add(SECOND, ellipse(0.0, -0.1, 0.2, 0.2));
    }
    parts.add(DARK, block(0.0, 0.87, 0.26, 0.06, 0.02));
}
