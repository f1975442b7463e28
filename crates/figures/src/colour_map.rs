//! Colours for numbers: from dark blue over grey to yellow, ever lighter, so that they can be read in grey
//! and by any sight.

use crate::style::{Colour, INK, WHITE};

/// Ten points of cividis (Nuñez, Anderton and Renslow 2018) at equal distances.
const ANCHORS: [Colour; 10] = [
    Colour(0x00, 0x20, 0x4D),
    Colour(0x00, 0x33, 0x6F),
    Colour(0x39, 0x48, 0x6B),
    Colour(0x57, 0x5C, 0x6D),
    Colour(0x70, 0x71, 0x73),
    Colour(0x8A, 0x87, 0x79),
    Colour(0xA6, 0x9D, 0x75),
    Colour(0xC4, 0xB5, 0x6C),
    Colour(0xE4, 0xCF, 0x5B),
    Colour(0xFF, 0xEA, 0x46),
];
/// Letters are white on colours darker than this.
const MIDDLE_LIGHTNESS: f64 = 54.0;

/// The colour of a share between 0 and 1; what lies beyond has the colour of the end.
pub fn colour(share: f64) -> Colour {
    let place = share.clamp(0.0, 1.0) * (ANCHORS.len() - 1) as f64;
    let below = (place as usize).min(ANCHORS.len() - 2);
    let part = place - below as f64;
    let mixed = |from: u8, to: u8| (f64::from(from) + (f64::from(to) - f64::from(from)) * part).round() as u8;
    let (from, to) = (ANCHORS[below], ANCHORS[below + 1]);
    Colour(mixed(from.0, to.0), mixed(from.1, to.1), mixed(from.2, to.2))
}

/// Letters that can be read on a colour.
pub fn ink_on(ground: Colour) -> Colour {
    if lightness(ground) < MIDDLE_LIGHTNESS { WHITE } else { INK }
}

/// CIELAB's L*, from 0 for black to 100 for white.
fn lightness(colour: Colour) -> f64 {
    let linear = |part: u8| {
        let part = f64::from(part) / 255.0;
        if part <= 0.040_45 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
    };
    let luminance = 0.2126 * linear(colour.0) + 0.7152 * linear(colour.1) + 0.0722 * linear(colour.2);
    if luminance > 0.008_856 { 116.0 * luminance.cbrt() - 16.0 } else { 903.3 * luminance }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lightness_grows_in_nearly_equal_steps() {
        let shades: Vec<f64> = (0..=40).map(|index| lightness(colour(f64::from(index) / 40.0))).collect();
        let steps: Vec<f64> = shades.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mean = (shades[40] - shades[0]) / 40.0;
        assert!(mean > 1.5, "{mean}");
        assert!(steps.iter().all(|step| (0.5 * mean..1.5 * mean).contains(step)), "{steps:?}");
    }

    #[test]
    fn ends_are_kept_and_letters_stand_out_everywhere() {
        assert_eq!((colour(-1.0), colour(2.0)), (ANCHORS[0], ANCHORS[9]));
        assert_eq!(colour(f64::NAN.clamp(0.0, 1.0).max(0.0)), ANCHORS[0]);
        for index in 0..=40 {
            let ground = colour(f64::from(index) / 40.0);
            assert!((lightness(ground) - lightness(ink_on(ground))).abs() > 38.0, "{index}");
        }
    }
}
