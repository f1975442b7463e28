//! Numbers as tables print them.

use serde::Deserialize;

/// A count in millions with some decimals, such as "3.2M".
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Printed {
    pub text: String,
    /// In the last decimal that is printed.
    units: i64,
    /// Parameters in one of them.
    unit: i64,
}

/// How a count gives what is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agreement {
    Rounded,
    /// The decimals behind those that are printed were dropped.
    Cut,
    No,
}

impl TryFrom<String> for Printed {
    type Error = String;

    fn try_from(text: String) -> Result<Printed, String> {
        let wrong = || format!("`{text}` is no count in millions, such as \"3.2M\"");
        let number = text.strip_suffix('M').ok_or_else(wrong)?;
        let decimals = number.split_once('.').map_or(0, |(_, decimals)| decimals.len() as u32);
        let units = number.replacen('.', "", 1).parse().map_err(|_| wrong())?;
        let unit = 1_000_000_i64.checked_div(10_i64.pow(decimals.min(6))).filter(|_| decimals <= 6);
        Ok(Printed { units, unit: unit.ok_or_else(wrong)?, text })
    }
}

impl Printed {
    pub fn agreement(&self, count: i64) -> Agreement {
        if (count + self.unit / 2) / self.unit == self.units {
            Agreement::Rounded
        } else if count / self.unit == self.units {
            Agreement::Cut
        } else {
            Agreement::No
        }
    }

    /// Whether a count is too large to be rounded to it.
    pub fn is_below(&self, count: i64) -> bool {
        (count + self.unit / 2) / self.unit > self.units
    }
}

/// With commas between thousands.
pub fn grouped(count: i64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(text: &str) -> Printed {
        Printed::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn counts_agree_by_rounding_by_cutting_or_not() {
        assert_eq!(printed("3.2M").agreement(3_188_736), Agreement::Rounded);
        assert_eq!(printed("3.2M").agreement(3_288_576), Agreement::Cut);
        assert_eq!(printed("1.04M").agreement(1_048_576), Agreement::Cut);
        assert_eq!(printed("125M").agreement(124_055_040), Agreement::No);
        assert_eq!(printed("0.06M").agreement(55_296), Agreement::Rounded);
        assert!(printed("0.4M").is_below(461_088) && !printed("0.4M").is_below(424_200));
        for wrong in ["3.2", "3,2M", "M", "3.2.1M", "0.1234567M"] {
            assert!(Printed::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn thousands_are_grouped() {
        for (count, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (6_738_415_616, "6,738,415,616")] {
            assert_eq!(grouped(count), text);
        }
    }
}
