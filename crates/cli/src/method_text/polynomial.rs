//! Polynomials of two sizes, from their values.

/// A polynomial of degree two in x and y with rational coefficients.
#[derive(Debug, PartialEq, Eq)]
pub struct Polynomial {
    /// Coefficients of x², xy, y², x, y and 1, each times `divisor`.
    coefficients: [i64; 6],
    divisor: i64,
}

const ONE: usize = 5;

impl Polynomial {
    /// The one that `value` is, of which it looks at multiples of `step`.
    pub fn of(step: i64, value: impl Fn(i64, i64) -> i64) -> Polynomial {
        let at = |x: i64, y: i64| value(x * step, y * step);
        let first = at(1, 1);
        // Second differences, then first differences less what they hold of the squares; in units of the step.
        let twice_xx = at(3, 1) - 2 * at(2, 1) + first;
        let twice_yy = at(1, 3) - 2 * at(1, 2) + first;
        let xy = at(2, 2) - at(2, 1) - at(1, 2) + first;
        let twice_x = 2 * (at(2, 1) - first - xy) - 3 * twice_xx;
        let twice_y = 2 * (at(1, 2) - first - xy) - 3 * twice_yy;
        let twice_rest = 2 * (first - xy) - twice_xx - twice_yy - twice_x - twice_y;
        Polynomial {
            coefficients: [
                twice_xx,
                2 * xy,
                twice_yy,
                twice_x * step,
                twice_y * step,
                twice_rest * step * step,
            ],
            divisor: 2 * step * step,
        }
    }

    /// With these names of x and y.
    pub fn text(&self, [x, y]: [&str; 2]) -> String {
        let powers =
            [format!("{x}²"), format!("{x}·{y}"), format!("{y}²"), x.to_owned(), y.to_owned(), String::new()];
        let mut text = String::new();
        for (index, power) in powers.iter().enumerate().filter(|(index, _)| self.coefficients[*index] != 0) {
            let coefficient = self.coefficients[index];
            let common = common_divisor(coefficient.abs(), self.divisor);
            let (size, divisor) = (coefficient.abs() / common, self.divisor / common);
            let sign = match (coefficient > 0, text.is_empty()) {
                (true, true) => "",
                (true, false) => " + ",
                (false, true) => "−",
                (false, false) => " − ",
            };
            text += sign;
            if index == ONE {
                text += &size.to_string();
            } else {
                text += &if size == 1 { power.clone() } else { format!("{size} {power}") };
            }
            if divisor != 1 {
                text += &format!("/{divisor}");
            }
        }
        if text.is_empty() { "0".to_owned() } else { text }
    }
}

fn common_divisor(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_polynomial_is_found_from_its_values() {
        let text = |value: fn(i64, i64) -> i64| Polynomial::of(12, value).text(["x", "y"]);
        assert_eq!(
            text(|x, y| 7 * x * x - 5 * x * y + 2 * y * y - x + 4 * y - 9),
            "7 x² − 5 x·y + 2 y² − x + 4 y − 9"
        );
        assert_eq!(text(|x, _| 4 * (x / 4) * (x / 4 - 1) / 2), "x²/8 − x/2");
        assert_eq!(text(|_, y| -3 * y), "−3 y");
        assert_eq!(text(|_, _| 0), "0");
    }
}
