//! Colours of methods, those of the figures.

use figures::style::{self, Colour};

/// A method's colour as CSS writes it.
pub fn colour(method: &str) -> String {
    let Colour(red, green, blue) = style::colour(method);
    format!("#{red:02x}{green:02x}{blue:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colour_has_two_digits_for_each_part() {
        assert_eq!(colour("lora"), "#0072b2");
    }
}
