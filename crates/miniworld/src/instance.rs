//! What makes an object itself, and the words for it.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::noise::hash;
use crate::objects::KINDS;
use crate::raster::Rgb;

/// Colours that captions name.
pub const COLORS: [(&str, Rgb); 12] = [
    ("red", [0.86, 0.10, 0.12]),
    ("purple", [0.52, 0.18, 0.70]),
    ("green", [0.15, 0.62, 0.22]),
    ("blue", [0.13, 0.32, 0.85]),
    ("yellow", [0.97, 0.85, 0.15]),
    ("orange", [0.96, 0.52, 0.10]),
    ("black", [0.13, 0.13, 0.14]),
    ("white", [0.94, 0.93, 0.91]),
    ("pink", [0.97, 0.50, 0.70]),
    ("brown", [0.47, 0.28, 0.14]),
    ("teal", [0.08, 0.58, 0.58]),
    ("gray", [0.53, 0.54, 0.55]),
];

/// Patterns that captions name; two more (plain and a patch) have no word.
pub const PATTERNS: [&str; 3] = ["striped", "spotted", "checkered"];
const PATTERN_COUNT: u8 = 5;
const TEXTURES: u8 = 3;

/// A change of an object that a caption can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attribute {
    Shiny,
    Wet,
    CubeShaped,
}

impl Attribute {
    pub fn words(self) -> &'static str {
        match self {
            Attribute::Shiny => "shiny",
            Attribute::Wet => "wet",
            Attribute::CubeShaped => "cube shaped",
        }
    }
}

/// What makes an object itself: the same in all its pictures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Instance {
    pub class: usize,
    pub(crate) kind: u8,
    pub(crate) main: usize,
    pub(crate) second: usize,
    pub(crate) pattern: u8,
    pub(crate) texture: u8,
    pub(crate) form: [f32; 4],
    /// Shift of the two colours from the named ones.
    pub(crate) tint: [f32; 6],
    pub(crate) frequency: f32,
}

impl Instance {
    fn sample(class: usize, stream: &mut impl Rng) -> Instance {
        let main = stream.random_range(0..COLORS.len());
        Instance {
            class,
            kind: stream.random_range(0..KINDS),
            main,
            second: (main + stream.random_range(1..COLORS.len())) % COLORS.len(),
            pattern: stream.random_range(0..PATTERN_COUNT),
            texture: stream.random_range(0..TEXTURES),
            form: stream.random(),
            tint: std::array::from_fn(|_| stream.random_range(-0.08..0.08)),
            frequency: stream.random_range(0.8..1.3),
        }
    }

    /// An eighth of all looks (class, kind, colours, pattern) is never seen in pretraining.
    pub fn is_held_out(&self) -> bool {
        let looks = (self.class * 2 + usize::from(self.kind)) * 5 + usize::from(self.pattern);
        hash((self.main * COLORS.len() + self.second) as i32, looks as i32, 0x5EED) < 0.125
    }

    pub(crate) fn sample_where(held_out: bool, class: usize, stream: &mut impl Rng) -> Instance {
        loop {
            let instance = Instance::sample(class, stream);
            if instance.is_held_out() == held_out {
                return instance;
            }
        }
    }

    pub(crate) fn colors(&self) -> [Rgb; 2] {
        let tinted = |color: usize, offset: usize| {
            std::array::from_fn(|channel| {
                (COLORS[color].1[channel] + self.tint[offset + channel]).clamp(0.03, 1.0)
            })
        };
        [tinted(self.main, 0), tinted(self.second, 3)]
    }

    /// Main or second colour, by the pattern at a point of the object's frame.
    pub(crate) fn patterned(&self, [x, y]: [f32; 2]) -> Rgb {
        let [main, second] = self.colors();
        let f = self.frequency;
        let is_second = match self.pattern {
            1 => ((x * 0.35 + y) * 2.7 * f).rem_euclid(1.0) < 0.36,
            2 => {
                let (u, v) = ((x * 2.1 * f).rem_euclid(1.0) - 0.5, (y * 2.1 * f).rem_euclid(1.0) - 0.5);
                u * u + v * v < 0.085
            }
            3 => ((x * 1.9 * f).floor() as i32 + (y * 1.9 * f).floor() as i32).rem_euclid(2) == 0,
            4 => y > 0.25 - 0.5 * (f - 1.0),
            _ => false,
        };
        if is_second { second } else { main }
    }
}

/// The instance of a held-out subject: `class` with looks drawn from `seed`.
pub(crate) fn held_out_instance(class: usize, seed: u64) -> Instance {
    Instance::sample_where(true, class, &mut ChaCha8Rng::seed_from_u64(seed))
}

/// Names of an instance's main colour and pattern.
pub(crate) fn looks(instance: &Instance) -> (&'static str, &'static str) {
    let pattern = ["plain", "striped", "spotted", "checkered", "two_tone"][usize::from(instance.pattern)];
    (COLORS[instance.main].0, pattern)
}
