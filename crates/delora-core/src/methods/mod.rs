//! The registry: one file and one line per method, in the order of tables and legends.

mod adapter_houlsby;
mod adapter_pfeiffer;
mod bitfit;
mod bottleneck;
mod controllable_boundary;
mod delora;
mod dora;
mod dora_fixed_magnitude;
mod ether;
mod ether_plus;
mod ether_plus_one_sided;
mod full;
mod ia3;
mod lora;
mod lora_normalized;
mod lora_plus;
mod loreft;
mod multiplicative_high_rank;
mod multiplicative_relaxed;
mod none;
mod oft;
mod pissa;
mod red;
mod reflections;
mod rslora;
mod vera;

use crate::error::CoreError;
use crate::method::Method;

/// Lists the methods, and keeps the texts of their files for [`Method::header`].
macro_rules! registry {
    ($($name:ident,)+) => {
        pub static METHODS: &[Method] = &[$($name::METHOD),+];
        static FILES: &[&str] = &[$(include_str!(concat!(stringify!($name), ".rs"))),+];
    };
}

registry![
    none,
    lora,
    lora_normalized,
    delora,
    multiplicative_relaxed,
    multiplicative_high_rank,
    controllable_boundary,
    ether_plus_one_sided,
    dora,
    dora_fixed_magnitude,
    ether,
    ether_plus,
    oft,
    full,
    bitfit,
    ia3,
    loreft,
    red,
    adapter_houlsby,
    adapter_pfeiffer,
    vera,
    pissa,
    rslora,
    lora_plus,
];

impl Method {
    /// What the method's file says at its top: formula, symbols with their shapes, start, invariant, source and
    /// departures.
    pub fn header(&self) -> String {
        let file = METHODS.iter().zip(FILES).find(|(method, _)| method.name() == self.name());
        let (_, file) = file.expect("every method is in the registry");
        let lines = file.lines().map_while(|line| line.strip_prefix("//!"));
        lines.map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line))).collect()
    }
}

pub fn find_method(name: &str) -> Result<&'static Method, CoreError> {
    METHODS.iter().find(|method| method.name() == name).ok_or_else(|| CoreError::UnknownMethod {
        name: name.to_owned(),
        known: METHODS.iter().map(Method::name).collect::<Vec<_>>().join(", "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_titles_are_unique() {
        for texts in [|method: &Method| method.about.name, |method: &Method| method.about.title] {
            let mut seen: Vec<&str> = METHODS.iter().map(texts).collect();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), METHODS.len());
        }
    }

    #[test]
    fn headers_are_the_methods_own_and_say_what_every_header_says() {
        for method in METHODS {
            let header = method.header();
            for part in ["```text\n", "Start", "Source: ", "Departures: "] {
                assert!(header.contains(part), "{}: {part}", method.name());
            }
        }
        assert!(find_method("dora").unwrap().header().starts_with("DoRA"));
    }

    #[test]
    fn an_unknown_method_is_an_error_that_lists_the_known_ones() {
        let message = find_method("lorra").err().unwrap().to_string();
        assert!(message.contains("`lorra`") && message.contains("lora_normalized"), "{message}");
    }
}
