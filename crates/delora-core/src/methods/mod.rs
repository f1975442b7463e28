//! The registry: one file and one line per method, in the order of tables and legends.

mod controllable_boundary;
mod delora;
mod dora;
mod dora_fixed_magnitude;
mod ether_plus_one_sided;
mod lora;
mod lora_normalized;
mod multiplicative_high_rank;
mod multiplicative_relaxed;
mod none;

use crate::error::CoreError;
use crate::method::Method;

pub static METHODS: &[Method] = &[
    none::METHOD,
    lora::METHOD,
    lora_normalized::METHOD,
    delora::METHOD,
    multiplicative_relaxed::METHOD,
    multiplicative_high_rank::METHOD,
    controllable_boundary::METHOD,
    ether_plus_one_sided::METHOD,
    dora::METHOD,
    dora_fixed_magnitude::METHOD,
];

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
    fn an_unknown_method_is_an_error_that_lists_the_known_ones() {
        let message = find_method("lorra").err().unwrap().to_string();
        assert!(message.contains("`lorra`") && message.contains("lora_normalized"), "{message}");
    }
}
