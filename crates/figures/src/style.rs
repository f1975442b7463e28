//! How every figure looks: one colour, marker and title per method, one font, few sizes.
//!
//! The colours are told apart by people with any common colour blindness: Okabe and Ito's eight and three of
//! Tol's, and for the methods of the paper's other tables those that a search found to lie apart in each table.
//! Relatives share a hue (ETHER's greens, the adapters' browns). Marker and lightness tell methods apart in grey;
//! within a table of the paper the markers alone do.

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
    DiamondFrame,
    TriangleUpFrame,
    TriangleDownFrame,
    Plus,
    Cross,
}

/// How one method appears in every figure and table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MethodStyle {
    pub title: &'static str,
    /// The weight update W' − W, or W' where the method replaces W, or h' where it acts on hidden states.
    pub formulation: &'static str,
    pub colour: Colour,
    pub marker: Marker,
}

pub const METHODS: &[(&str, MethodStyle)] = &[
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
    ("full", style("Full finetuning", "ΔW of every tensor", Colour(0x55, 0x55, 0x55), Marker::Square)),
    ("oft", style("OFT", "(Q − I) W, QᵀQ = I", Colour(0xD6, 0x06, 0xEB), Marker::TriangleRight)),
    ("ether", style("ETHER", "−2uuᵀ W", Colour(0x16, 0xB5, 0xB4), Marker::TriangleDown)),
    (
        "ether_plus",
        style(
            "ETHER+",
            "(I − uuᵀ + vvᵀ) W (I − u′u′ᵀ + v′v′ᵀ) − W",
            Colour(0x43, 0x71, 0x30),
            Marker::TriangleUp,
        ),
    ),
    ("bitfit", style("BitFit", "0, biases trained", Colour(0xB1, 0x9C, 0x51), Marker::Plus)),
    ("ia3", style("IA3", "(diag(l) − I) W", Colour(0x82, 0x33, 0xCE), Marker::TriangleLeft)),
    ("loreft", style("LoReFT", "h + Rᵀ(Wh + b − Rh)", Colour(0x6F, 0x07, 0x0C), Marker::TriangleUpFrame)),
    ("red", style("RED", "diag(s) h + t", Colour(0x50, 0x10, 0x25), Marker::TriangleDownFrame)),
    (
        "adapter_houlsby",
        style("Adapter (Houlsby)", "h + U φ(Dh), twice a block", Colour(0x83, 0x42, 0x06), Marker::Frame),
    ),
    (
        "adapter_pfeiffer",
        style("Adapter-FFN", "h + U φ(Dh), once a block", Colour(0x79, 0x62, 0x41), Marker::DiamondFrame),
    ),
    ("vera", style("VeRA", "diag(b) B diag(d) A", Colour(0x05, 0x45, 0x4D), Marker::DiamondFrame)),
    ("pissa", style("PiSSA", "BA − B₀A₀", Colour(0x87, 0x9B, 0xE3), Marker::TriangleUpFrame)),
    ("rslora", style("rsLoRA", "(α/√r) BA", Colour(0x3D, 0xA5, 0x98), Marker::TriangleDownFrame)),
    ("lora_plus", style("LoRA+", "BA, B at its own rate", Colour(0x5A, 0x46, 0xCB), Marker::Plus)),
    (
        "encoder_only",
        style("Encoder only", "0, condition encoder trained", Colour(0xA9, 0xD1, 0x8E), Marker::DiamondFrame),
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
    fn an_unknown_method_keeps_its_own_name() {
        assert_eq!(title("hira"), "hira");
        assert_eq!(title("delora"), "DeLoRA");
        assert!(rank("hira") > rank("none"));
    }
}
