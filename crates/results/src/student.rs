//! Student's t distribution.

/// Halvings of the bracket: enough for the last digit of a double.
const HALVINGS: usize = 100;
const LARGEST: f64 = 1e6;
/// Terms of the continued fraction, which converges much earlier.
const MOST_TERMS: usize = 300;
const TINY: f64 = 1e-300;

/// The t with P(T ≤ t) = `probability` at `degrees` degrees of freedom, both inside their ranges.
pub fn quantile(probability: f64, degrees: f64) -> f64 {
    if probability < 0.5 {
        return -quantile(1.0 - probability, degrees);
    }
    let (mut low, mut high) = (0.0, LARGEST);
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if cumulative(middle, degrees) < probability { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}

/// P(T ≤ t) for t from zero up: 1 − I(ν / (ν + t²); ν/2, ½) / 2, with the regularized incomplete beta
/// function I.
pub fn cumulative(t: f64, degrees: f64) -> f64 {
    1.0 - incomplete_beta(degrees / (degrees + t * t), degrees / 2.0, 0.5) / 2.0
}

/// I(x; a, b) by its continued fraction, as in Numerical Recipes, section 6.4.
fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(1.0 - x, b, a);
    }
    let front = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (1.0 - x).ln()).exp() / a;
    let nonzero = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / nonzero(1.0 - (a + b) * x / (a + 1.0));
    let mut fraction = d;
    for term in 1..=MOST_TERMS {
        let m = term as f64;
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut change = 1.0;
        for step in [even, odd] {
            d = 1.0 / nonzero(1.0 + step * d);
            c = nonzero(1.0 + step / c);
            change = d * c;
            fraction *= change;
        }
        if (change - 1.0).abs() < 1e-15 {
            break;
        }
    }
    front * fraction
}

/// ln Γ(x) for x above zero: recurrence up to 10, then Stirling's series.
fn ln_gamma(x: f64) -> f64 {
    if x < 10.0 {
        return ln_gamma(x + 1.0) - x.ln();
    }
    let inverse = 1.0 / (x * x);
    let series = (1.0 / 12.0 - inverse * (1.0 / 360.0 - inverse * (1.0 / 1260.0 - inverse / 1680.0))) / x;
    (x - 0.5) * x.ln() - x + (2.0 * std::f64::consts::PI).ln() / 2.0 + series
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_printed_tables() {
        let tabled = [
            (0.975, 1.0, 12.706),
            (0.975, 5.0, 2.571),
            (0.975, 9.0, 2.262),
            (0.975, 29.0, 2.045),
            (0.95, 2.0, 2.920),
            (0.8, 1.0, 1.376),
            (0.8, 5.0, 0.920),
            (0.8, 9.0, 0.883),
            (0.975, 1e6, 1.960),
        ];
        for (probability, degrees, expected) in tabled {
            let found = quantile(probability, degrees);
            assert!((found - expected).abs() < 6e-4, "{probability} {degrees}: {found}");
            assert!((quantile(1.0 - probability, degrees) + found).abs() < 1e-9);
        }
        assert!(quantile(0.5, 3.0).abs() < 1e-9);
    }
}
