//! Which trials share a bank, and which bank comes first.

use std::collections::{HashMap, VecDeque};

use crate::workload::{Estimate, Trial, Workload};

/// Trials by their places in the grid in banks by bank key, in even parts. A workload may have to measure how large banks are;
/// else they are as large as they can be, and the second value says so.
pub(crate) fn banks_of(
    trials: &[Trial],
    places: &[usize],
    workload: &dyn Workload,
    measures: bool,
) -> (Vec<Vec<usize>>, bool) {
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
    let (mut banks, mut is_any_unmeasured) = (Vec::new(), false);
    for members in groups {
        let configs = || members.iter().map(|index| &trials[*index].config);
        let is_unmeasured = !measures && configs().any(|config| workload.measures_bank(config));
        is_any_unmeasured |= is_unmeasured;
        let limits =
            configs().map(|config| if is_unmeasured { usize::MAX } else { workload.max_bank(config) });
        let count = members.len().div_ceil(limits.min().unwrap_or(1).max(1));
        let cut = |part: usize| members.len() * part / count;
        banks.extend((0..count).map(|part| members[cut(part)..cut(part + 1)].to_vec()));
    }
    (banks, is_any_unmeasured)
}

/// Lets banks that take longest begin first, so that workers end together. Only where the workload has measured something
/// anyway: an estimate may take longer than is gained.
pub(crate) fn longest_first(
    banks: Vec<Vec<usize>>,
    trials: &[Trial],
    workload: &dyn Workload,
) -> Vec<Vec<usize>> {
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
