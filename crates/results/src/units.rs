//! The units that intervals and tests count: what is independent of each other.

use std::collections::{BTreeMap, BTreeSet};

use crate::sweep::Replicate;

/// The unit of each of some trials, by seed and subject: the subject (or task) where there are several, since seeds of one
/// subject are not independent of each other, else the seed.
pub fn unit_of<'a>(replicates: &[Replicate<'a>]) -> impl Fn(Replicate<'a>) -> &'a str + use<'a> {
    let subjects: BTreeSet<&str> = replicates.iter().map(|(_, subject)| *subject).collect();
    let has_subjects = subjects.len() > 1;
    move |(seed, subject)| if has_subjects { subject } else { seed }
}

/// The mean of the values of each unit, in the order of the units' names.
pub fn unit_means(values: &[(Replicate, f64)]) -> Vec<f64> {
    let replicates: Vec<Replicate> = values.iter().map(|(replicate, _)| *replicate).collect();
    let unit = unit_of(&replicates);
    let mut by_unit: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for (replicate, value) in values {
        let (sum, count) = by_unit.entry(unit(*replicate)).or_default();
        *sum += value;
        *count += 1.0;
    }
    by_unit.into_values().map(|(sum, count)| sum / count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_of_several_subjects_are_averaged_and_those_of_one_are_units() {
        let values = [(("0", "dog"), 1.0), (("0", "cat"), 5.0), (("1", "dog"), 3.0)];
        assert_eq!(unit_means(&values), [5.0, 2.0]);
        assert_eq!(unit_means(&values[..1]), [1.0]);
        assert_eq!(unit_means(&[values[0], values[2]]), [1.0, 3.0]);
        assert!(unit_means(&[]).is_empty());
    }
}
