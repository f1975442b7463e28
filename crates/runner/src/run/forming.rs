//! Which trials share a bank, and which bank comes first.

use std::collections::{HashMap, VecDeque};

use crate::workload::{Estimate, Trial, Workload};

/// Banks of trials, by their places in the grid.
#[derive(Default)]
pub(crate) struct Formed {
    /// Those that take longest come first, where several run at once and that is known.
    pub banks: Vec<Vec<usize>>,
    /// Whether a workload would have to measure how large they are, and was not asked: they are as large as they can be.
    pub is_unmeasured: bool,
    /// Why they are as large as they are, where updates were measured.
    pub reason: Option<String>,
}

/// Trials that may share a bank.
struct Sharing {
    places: Vec<usize>,
    /// The most in a bank.
    limit: usize,
    /// Measured updates, see [`Workload::update_seconds`].
    updates: Vec<(usize, f64)>,
}

/// Trials by their places in the grid in banks by bank key, in even parts. They are as large as the workload lets them be, or
/// where it has measured updates, as large as lets all of them end first. It measures only if it may.
pub(crate) fn form(trials: &[Trial], places: &[usize], workload: &dyn Workload, measures: bool) -> Formed {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut group_of: HashMap<String, usize> = HashMap::new();
    for place in places {
        let key = workload.bank_key(&trials[*place].config);
        let group = *group_of.entry(key).or_insert(groups.len());
        if group == groups.len() {
            groups.push(Vec::new());
        }
        groups[group].push(*place);
    }
    let mut formed = Formed::default();
    let sharing = groups.into_iter().map(|places| {
        let configs = || places.iter().map(|place| &trials[*place].config);
        let is_unmeasured = !measures && configs().any(|config| workload.measures_bank(config));
        formed.is_unmeasured |= is_unmeasured;
        let limits =
            configs().map(|config| if is_unmeasured { usize::MAX } else { workload.max_bank(config) });
        let limit = limits.min().unwrap_or(1).max(1);
        let is_measured = measures && configs().all(|config| workload.measures_bank(config));
        let updates = if is_measured {
            workload.update_seconds(configs().next().expect("a group has trials"))
        } else {
            Vec::new()
        };
        Sharing { places, limit, updates }
    });
    let mut groups: Vec<Sharing> = sharing.collect();
    let workers = workload.workers().map_or(1, |workers| workers.most);
    if groups.iter().any(|group| !group.updates.is_empty()) {
        let limit = quickest_limit(&groups, workers);
        groups
            .iter_mut()
            .filter(|group| !group.updates.is_empty())
            .for_each(|group| group.limit = group.limit.min(limit));
        formed.reason = Some(reason(&groups, workers));
    }
    formed.banks = groups.iter().flat_map(|group| parts(&group.places, group.limit)).collect();
    if measures && workers > 1 && formed.banks.len() > 1 {
        formed.banks = longest_first(formed.banks, trials, workload);
    }
    formed
}

/// Even parts of at most `limit` places.
fn parts(places: &[usize], limit: usize) -> Vec<Vec<usize>> {
    let count = places.len().div_ceil(limit);
    let cut = |part: usize| places.len() * part / count;
    (0..count).map(|part| places[cut(part)..cut(part + 1)].to_vec()).collect()
}

/// Seconds of an update of `trials` trials: on the line between the measured neighbours, or through the last two.
fn seconds_of(updates: &[(usize, f64)], trials: usize) -> f64 {
    let segments = || updates.windows(2);
    let Some(segment) = segments().find(|segment| trials <= segment[1].0).or_else(|| segments().last())
    else {
        return updates[0].1 * trials as f64 / updates[0].0 as f64;
    };
    let [(few, less), (many, more)] = [segment[0], segment[1]];
    less + (more - less) * (trials as f64 - few as f64) / (many - few) as f64
}

/// What counts as the same time: trials of one bank have more in common than updates.
const CLOSE: f64 = 1.05;

/// The limit with which the banks of measured groups end first on so many workers, each of which takes the longest that is left;
/// of those that are close the largest.
fn quickest_limit(groups: &[Sharing], workers: usize) -> usize {
    let measured: Vec<&Sharing> = groups.iter().filter(|group| !group.updates.is_empty()).collect();
    let end = |limit: usize| {
        let of_group = |group: &&Sharing| {
            let banks = parts(&group.places, limit.min(group.limit));
            banks.iter().map(|bank| seconds_of(&group.updates, bank.len())).collect::<Vec<_>>()
        };
        let mut banks: Vec<f64> = measured.iter().flat_map(of_group).collect();
        banks.sort_by(|left, right| right.total_cmp(left));
        let mut ends = vec![0.0f64; workers];
        for seconds in banks {
            let first =
                ends.iter_mut().min_by(|left, right| left.total_cmp(right)).expect("there is a worker");
            *first += seconds;
        }
        ends.into_iter().fold(0.0, f64::max)
    };
    let most = measured.iter().map(|group| group.limit.min(group.places.len())).max().unwrap_or(1);
    let ends: Vec<f64> = (1..=most).map(end).collect();
    let first = ends.iter().copied().fold(f64::INFINITY, f64::min);
    ends.iter().rposition(|end| *end <= CLOSE * first).map_or(1, |place| place + 1)
}

/// What was measured of the largest group, and what follows.
fn reason(groups: &[Sharing], workers: usize) -> String {
    let largest =
        groups.iter().filter(|group| !group.updates.is_empty()).max_by_key(|group| group.places.len());
    let Sharing { places, limit, updates } = largest.expect("a group was measured");
    let list = |of: &dyn Fn(&(usize, f64)) -> String| updates.iter().map(of).collect::<Vec<_>>().join(", ");
    let (counts, times) =
        (list(&|(trials, _)| trials.to_string()), list(&|(_, seconds)| format!("{:.3}", seconds)));
    let workers =
        if workers == 1 { "one bank at a time".to_owned() } else { format!("{workers} banks at once") };
    format!(
        "measured: an update of {counts} trials takes {times} s; with {workers}, {} trials end first in banks of {}",
        places.len(),
        parts(places, *limit).iter().map(Vec::len).max().unwrap_or(1),
    )
}

/// Lets banks that take longest begin first, so that workers end together. Only where the workload has measured something
/// anyway: an estimate may take longer than is gained.
fn longest_first(banks: Vec<Vec<usize>>, trials: &[Trial], workload: &dyn Workload) -> Vec<Vec<usize>> {
    let is_measured = |place: &usize| workload.measures_bank(&trials[*place].config);
    if !banks.iter().flatten().all(is_measured) {
        return banks;
    }
    let seconds = |bank: &Vec<usize>| -> Option<f64> {
        Some(estimates(trials, bank, workload)?.iter().map(|cost| cost.seconds).sum())
    };
    let Some(expected) = banks.iter().map(seconds).collect::<Option<Vec<f64>>>() else { return banks };
    let mut order: Vec<usize> = (0..banks.len()).collect();
    order.sort_by(|left, right| expected[*right].total_cmp(&expected[*left]));
    order.into_iter().map(|index| banks[index].clone()).collect()
}

/// Time and memory of each trial of a bank, if the workload knows them.
pub(crate) fn estimates(trials: &[Trial], bank: &[usize], workload: &dyn Workload) -> Option<Vec<Estimate>> {
    bank.iter().map(|place| workload.estimate(&trials[*place].config, bank.len())).collect()
}

/// Puts the halves of a part before the other parts.
pub(crate) fn split(parts: &mut VecDeque<Vec<usize>>, open: &[usize]) {
    let (left, right) = open.split_at(open.len().div_ceil(2));
    for half in [right, left].into_iter().filter(|half| !half.is_empty()) {
        parts.push_front(half.to_vec());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(count: usize, limit: usize, updates: &[(usize, f64)]) -> Sharing {
        Sharing { places: (0..count).collect(), limit, updates: updates.to_vec() }
    }

    #[test]
    fn an_update_between_measured_sizes_lies_on_the_line_between_them() {
        let updates = [(1, 3.0), (2, 4.0), (4, 8.0)];
        let seconds = [1, 2, 3, 4, 6].map(|trials| seconds_of(&updates, trials));
        assert_eq!(seconds, [3.0, 4.0, 6.0, 8.0, 12.0]);
        assert_eq!(seconds_of(&[(2, 5.0)], 4), 10.0);
    }

    #[test]
    fn banks_are_as_large_as_lets_all_end_first() {
        let largest = |groups: &[Sharing], workers| {
            let limit = quickest_limit(groups, workers);
            parts(&groups[0].places, limit.min(groups[0].limit)).iter().map(Vec::len).max().unwrap()
        };
        // What one more trial costs is a fifth of what a bank costs, so one worker takes all at once.
        let shared = [(1, 6.0), (2, 7.0), (8, 13.0)];
        assert_eq!(largest(&[group(9, 32, &shared)], 1), 9);
        // Two workers share them, and no bank is above what fits.
        assert_eq!(largest(&[group(9, 32, &shared)], 2), 5);
        assert_eq!(largest(&[group(9, 3, &shared)], 1), 3);
        // Where a bank gains nothing, all limits end at the same time, and the largest is taken; where it loses, none is.
        let [alike, dearer] = [[(1, 1.0), (2, 2.05)], [(1, 1.0), (2, 2.5)]];
        assert_eq!(largest(&[group(4, 32, &alike)], 1), 4);
        assert_eq!(largest(&[group(4, 32, &dearer)], 1), 1);
        // Three groups of four on two workers: in halves they end evenly.
        let two = [(1, 1.1), (4, 4.1)];
        assert_eq!(largest(&[group(4, 32, &two), group(4, 32, &two), group(4, 32, &two)], 2), 2);
        let text = reason(&[group(9, 5, &shared), group(30, 7, &[])], 2);
        let expected = "measured: an update of 1, 2, 8 trials takes 6.000, 7.000, 13.000 s; with 2 banks at once, 9 trials \
                        end first in banks of 5";
        assert_eq!(text, expected);
    }
}
