//! Titles and colours of methods, the same as in the figures.

/// Name, title and colour, in the order of the legends.
const METHODS: [(&str, &str, &str); 15] = [
    ("real_images", "Real Images", "#222222"),
    ("lora", "LoRA", "#0072b2"),
    ("lora_normalized", "Normalized LoRA", "#56b4e9"),
    ("delora", "DeLoRA", "#d55e00"),
    ("multiplicative_relaxed", "Relaxed multiplicative", "#cc79a7"),
    ("multiplicative_high_rank", "Boundary + high rank", "#882255"),
    ("controllable_boundary", "Controllable boundary", "#e69f00"),
    ("ether_plus_one_sided", "ETHER+ one-sided", "#009e73"),
    ("dora", "DoRA", "#332288"),
    ("dora_fixed_magnitude", "DoRA, fixed magnitude", "#8c8c2b"),
    ("full", "Full finetuning", "#555555"),
    ("oft", "OFT", "#d606eb"),
    ("ether", "ETHER", "#16b5b4"),
    ("ether_plus", "ETHER+", "#437130"),
    ("none", "No finetuning", "#7f7f7f"),
];

/// Of a method that is not listed the name is the title.
pub fn title(method: &str) -> &str {
    METHODS.iter().find(|(name, ..)| *name == method).map_or(method, |(_, title, _)| title)
}

pub fn colour(method: &str) -> &'static str {
    METHODS.iter().find(|(name, ..)| *name == method).map_or("#666666", |(_, _, colour)| colour)
}

/// Place in legends; unknown methods last.
pub fn rank(method: &str) -> usize {
    METHODS.iter().position(|(name, ..)| *name == method).unwrap_or(METHODS.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_and_colours_are_those_of_the_figures() {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../figures/src/style.rs");
        let source: String = std::fs::read_to_string(source).unwrap().split_whitespace().collect();
        for (name, title, colour) in METHODS {
            let start = source.find(&format!("(\"{name}\",style(")).unwrap_or_else(|| panic!("no {name}"));
            let entry = source[start..].split("Marker::").next().unwrap();
            let title: String = title.split_whitespace().collect();
            let channels: Vec<String> =
                [1, 3, 5].map(|at| format!("0x{}", colour[at..at + 2].to_uppercase())).to_vec();
            assert!(entry.contains(&format!("\"{title}\"")), "{title} in {entry}");
            assert!(entry.contains(&format!("Colour({})", channels.join(","))), "{channels:?} in {entry}");
        }
    }
}
