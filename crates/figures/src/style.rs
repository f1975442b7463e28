//! How every figure looks: one colour and marker per method, one font, few sizes.
//!
//! The colours are told apart by people with any common colour blindness: Okabe and Ito's eight and three of
//! Tol's, and for the methods of the paper's other tables those that a search found to lie apart in each table.
//! Relatives share a hue (ETHER's greens, the adapters' browns). Marker and lightness tell methods apart in grey;
//! within a table of the paper the markers alone do.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

/// A colour in sRGB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour(pub u8, pub u8, pub u8);

pub const INK: Colour = Colour(0x22, 0x22, 0x22);
pub const MUTED: Colour = Colour(0x66, 0x66, 0x66);
pub const RULE: Colour = Colour(0xE4, 0xE4, 0xE4);
pub const WHITE: Colour = Colour(0xFF, 0xFF, 0xFF);
pub const ALARM: Colour = Colour(0xA5, 0x1D, 0x2D);

/// Heights of letters in figure pixels (em); a figure is 1000 such pixels wide.
pub const TITLE_SIZE: f64 = 19.0;
pub const LABEL_SIZE: f64 = 17.0;
pub const TICK_SIZE: f64 = 15.5;
pub const NOTE_SIZE: f64 = 14.0;

/// The embedded font, and for SVG those with the same letter widths.
pub const FONT_FAMILY: &str = "Arimo, 'Liberation Sans', Arial, Helvetica, sans-serif";
pub const FONT: &[u8] = include_bytes!("../assets/Arimo-Regular-subset.ttf");

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Marker {
    Circle,
    Square,
    Diamond,
    TriangleUp,
    TriangleDown,
    TriangleLeft,
    TriangleRight,
    Ring,
    Frame,
    DiamondFrame,
    TriangleUpFrame,
    TriangleDownFrame,
    Plus,
    Cross,
}

/// How a known method looks.
#[derive(Debug, Deserialize)]
struct Look {
    colour: [u8; 3],
    marker: Marker,
}

static LOOKS: LazyLock<BTreeMap<String, Look>> =
    LazyLock::new(|| toml::from_str(include_str!("../assets/looks.toml")).expect("a test reads the list"));

/// Colours of other methods: strong ones, so that none is grey on grey.
const PALETTE: [u32; 8] =
    [0xB0_3A_2E, 0x1F_61_8D, 0x1E_84_49, 0x9A_5B_00, 0x6C_34_83, 0x0E_76_6E, 0xC2_18_5B, 0x4A_5A_00];
const MARKERS: [Marker; 4] = [Marker::Ring, Marker::Frame, Marker::DiamondFrame, Marker::TriangleUpFrame];

/// A number that depends on the letters of a name and on nothing else (FNV-1a).
fn hash(name: &str) -> usize {
    let mix = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    name.bytes().fold(0x811c_9dc5, mix) as usize
}

/// The colour of a method by its name; an unknown one gets one of the palette, in every figure the same.
pub fn colour(name: &str) -> Colour {
    let [_, red, green, blue] = PALETTE[hash(name) % PALETTE.len()].to_be_bytes();
    let [red, green, blue] = LOOKS.get(name).map_or([red, green, blue], |look| look.colour);
    Colour(red, green, blue)
}

/// The marker of a method by its name, found as its colour is.
pub fn marker(name: &str) -> Marker {
    LOOKS.get(name).map_or_else(|| MARKERS[hash(name) % MARKERS.len()], |look| look.marker)
}

/// Names are dark enough to read on white whatever the line's colour.
pub fn darker(colour: Colour) -> Colour {
    let darker = |part: u8| (f64::from(part) * 0.75) as u8;
    Colour(darker(colour.0), darker(colour.1), darker(colour.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lightness(colour: Colour) -> f64 {
        0.2126 * f64::from(colour.0) + 0.7152 * f64::from(colour.1) + 0.0722 * f64::from(colour.2)
    }

    #[test]
    fn no_two_methods_share_a_colour_and_in_grey_a_marker_or_lightness_differs() {
        let names: Vec<&str> = results::METHODS.iter().map(|method| method.name.as_str()).collect();
        assert!(names.len() == LOOKS.len() && names.iter().all(|name| LOOKS.contains_key(*name)));
        for (index, name) in names.iter().enumerate() {
            for other in &names[index + 1..] {
                assert_ne!(colour(name), colour(other), "{name} and {other}");
                let apart = (lightness(colour(name)) - lightness(colour(other))).abs() > 40.0;
                assert!(marker(name) != marker(other) || apart, "{name} and {other} look alike in grey");
            }
        }
    }

    /// Methods that the paper's Tables 3, 4 and 5 and LoRA's relatives show side by side.
    const TOGETHER: [&[&str]; 4] = [
        &["full", "oft", "ether_plus", "lora", "dora", "delora"],
        &["full", "bitfit", "ia3", "loreft", "red", "adapter_houlsby", "adapter_pfeiffer", "lora", "delora"],
        &["ether", "ether_plus", "oft", "vera", "lora", "dora", "delora"],
        &["lora", "dora", "delora", "vera", "pissa", "rslora", "lora_plus"],
    ];

    /// How linear sRGB looks without red, green and blue cones: Machado et al. 2009, severity 1.
    const SIGHTS: [[[f64; 3]; 3]; 4] = [
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        [
            [0.152_286, 1.052_583, -0.204_868],
            [0.114_503, 0.786_281, 0.099_216],
            [-0.003_882, -0.048_116, 1.051_998],
        ],
        [
            [0.367_322, 0.860_646, -0.227_968],
            [0.280_085, 0.672_501, 0.047_413],
            [-0.011_820, 0.042_940, 0.968_881],
        ],
        [
            [1.255_528, -0.076_749, -0.178_779],
            [-0.078_411, 0.930_809, 0.147_602],
            [0.004_733, 0.691_367, 0.303_900],
        ],
    ];

    fn product(matrix: &[[f64; 3]; 3], vector: [f64; 3]) -> [f64; 3] {
        matrix.map(|row| row.iter().zip(vector).map(|(one, other)| one * other).sum())
    }

    /// CIELAB of a colour as a sight sees it.
    fn lab(colour: Colour, sight: &[[f64; 3]; 3]) -> [f64; 3] {
        let linear = |part: u8| {
            let part = f64::from(part) / 255.0;
            if part <= 0.040_45 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        };
        let seen =
            product(sight, [colour.0, colour.1, colour.2].map(linear)).map(|part| part.clamp(0.0, 1.0));
        let to_xyz_of_white = [[0.4339, 0.3762, 0.1899], [0.2126, 0.7152, 0.0722], [0.0177, 0.1095, 0.8728]];
        let root = |part: f64| if part > 0.008_856 { part.cbrt() } else { 7.787 * part + 16.0 / 116.0 };
        let [x, y, z] = product(&to_xyz_of_white, seen).map(root);
        [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
    }

    #[test]
    fn methods_of_one_table_differ_in_marker_and_for_every_sight_in_colour() {
        for names in TOGETHER {
            for (index, name) in names.iter().enumerate() {
                for other in &names[index + 1..] {
                    assert_ne!(marker(name), marker(other), "{name} and {other}");
                    for (blindness, sight) in SIGHTS.iter().enumerate() {
                        let (one, two) = (lab(colour(name), sight), lab(colour(other), sight));
                        let squares: f64 = one.iter().zip(two).map(|(one, two)| (one - two).powi(2)).sum();
                        assert!(squares.sqrt() > 15.0, "{name} and {other}, sight {blindness}: {squares}");
                    }
                }
            }
        }
    }

    #[test]
    fn an_unknown_method_has_a_colour_that_is_no_grey_and_always_the_same() {
        for name in ["hira", "", "vblora", "boft"] {
            let Colour(red, green, blue) = colour(name);
            assert!(red.max(green).max(blue) - red.min(green).min(blue) > 60, "{name}");
            assert_eq!((colour(name), marker(name)), (colour(name), marker(name)));
            assert!(LOOKS.keys().all(|known| colour(known) != colour(name)), "{name}");
        }
        assert_ne!(colour("hira"), colour("boft"));
    }
}
