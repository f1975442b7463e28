//! How every figure looks: one colour, marker and title per method, one font, few sizes.
//!
//! The colours are told apart by people with any common colour blindness (Okabe and Ito's eight, and three
//! of Tol's); the markers and the lightness tell them apart in grey.

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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    Cross,
}

/// How one method appears in every figure and table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MethodStyle {
    pub title: &'static str,
    /// The weight update W' − W, or W' where the method replaces W.
    pub formulation: &'static str,
    pub colour: Colour,
    pub marker: Marker,
}

const METHODS: &[(&str, MethodStyle)] = &[
    ("real_images", style("Real Images", "", Colour(0x22, 0x22, 0x22), Marker::Cross)),
    ("lora", style("LoRA", "BA", Colour(0x00, 0x72, 0xB2), Marker::Circle)),
    ("lora_normalized", style("Normalized LoRA", "(λ/r) BΞA", Colour(0x56, 0xB4, 0xE9), Marker::Square)),
    ("delora", style("DeLoRA", "(‖W‖λ/r) BΞA", Colour(0xD5, 0x5E, 0x00), Marker::Diamond)),
    (
        "multiplicative_relaxed",
        style("Relaxed multiplicative", "(λ/r)(BΞA − DΦC) W", Colour(0xCC, 0x79, 0xA7), Marker::TriangleUp),
    ),
    (
        "multiplicative_high_rank",
        style("Boundary + high rank", "(λ/r)(UΣUᵀ − VΘVᵀ) W", Colour(0x88, 0x22, 0x55), Marker::TriangleDown),
    ),
    (
        "controllable_boundary",
        style("Controllable boundary", "λ(uuᵀ − vvᵀ) W", Colour(0xE6, 0x9F, 0x00), Marker::TriangleRight),
    ),
    (
        "ether_plus_one_sided",
        style("ETHER+ one-sided", "(uuᵀ − vvᵀ) W", Colour(0x00, 0x9E, 0x73), Marker::TriangleLeft),
    ),
    ("dora", style("DoRA", "m (W + BA)/‖W + BA‖ − W", Colour(0x33, 0x22, 0x88), Marker::Ring)),
    (
        "dora_fixed_magnitude",
        style("DoRA, fixed magnitude", "‖W‖ (W + BA)/‖W + BA‖ − W", Colour(0x8C, 0x8C, 0x2B), Marker::Frame),
    ),
    ("none", style("No finetuning", "0", Colour(0x7F, 0x7F, 0x7F), Marker::Cross)),
];

const fn style(
    title: &'static str,
    formulation: &'static str,
    colour: Colour,
    marker: Marker,
) -> MethodStyle {
    MethodStyle { title, formulation, colour, marker }
}

/// The look of a method by its registry name. One that is not listed is grey, a circle, under its own name.
pub fn method_style(name: &str) -> Option<&'static MethodStyle> {
    METHODS.iter().find(|(known, _)| *known == name).map(|(_, style)| style)
}

pub fn title(name: &str) -> &str {
    method_style(name).map_or(name, |style| style.title)
}

pub fn colour(name: &str) -> Colour {
    method_style(name).map_or(MUTED, |style| style.colour)
}

pub fn marker(name: &str) -> Marker {
    method_style(name).map_or(Marker::Circle, |style| style.marker)
}

/// Place of a method in legends and picture grids: the list's order, unknown names last.
pub fn rank(name: &str) -> usize {
    METHODS.iter().position(|(known, _)| *known == name).unwrap_or(METHODS.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lightness(colour: Colour) -> f64 {
        0.2126 * f64::from(colour.0) + 0.7152 * f64::from(colour.1) + 0.0722 * f64::from(colour.2)
    }

    #[test]
    fn no_two_methods_share_a_colour_or_a_title_and_in_grey_a_marker_or_lightness_differs() {
        for (index, (name, one)) in METHODS.iter().enumerate() {
            for (other_name, other) in &METHODS[index + 1..] {
                assert_ne!(one.colour, other.colour, "{name} and {other_name}");
                assert_ne!(one.title, other.title, "{name} and {other_name}");
                let apart = (lightness(one.colour) - lightness(other.colour)).abs() > 40.0;
                assert!(one.marker != other.marker || apart, "{name} and {other_name} look alike in grey");
            }
        }
    }

    #[test]
    fn an_unknown_method_keeps_its_own_name() {
        assert_eq!(title("hira"), "hira");
        assert_eq!(title("delora"), "DeLoRA");
        assert!(rank("hira") > rank("none"));
    }
}
