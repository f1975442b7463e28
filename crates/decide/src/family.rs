//! Decisions on all statements of a table or figure together, by Holm's correction.

use crate::evidence::Evidence;
use crate::hypothesis::Levels;
use crate::verdict::Verdict;

/// What the units of one statement decide beside the others of its family.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision {
    pub verdict: Verdict,
    /// In what way, where the verdict has several.
    pub way: &'static str,
    /// The smallest level at which the statement alone is decided.
    pub p: f64,
    /// The smallest level of the whole family at which Holm's procedure decides it.
    pub p_holm: f64,
}

/// Decides a family at a level: the statement with the smallest p at `level` / count, the next at `level` / (count − 1), and
/// so on up to the first that is not decided (Holm 1979). The probability of any false decision is at most `level`, where the
/// statements decided are not all decided falsely in direction; docs/statistics.md says what was simulated.
pub fn decide(family: &[&Evidence], level: f64) -> Vec<Decision> {
    let levels: Vec<Levels> = family.iter().map(|evidence| evidence.levels()).collect();
    let p: Vec<f64> =
        family.iter().zip(&levels).map(|(evidence, levels)| evidence.hypothesis.p(levels)).collect();
    let mut order: Vec<usize> = (0..family.len()).collect();
    order.sort_by(|one, other| p[*one].total_cmp(&p[*other]));
    let mut decisions =
        vec![Decision { verdict: Verdict::Undecided, way: "", p: 1.0, p_holm: 1.0 }; family.len()];
    let mut p_holm: f64 = 0.0;
    for (place, index) in order.into_iter().enumerate() {
        let open = (family.len() - place) as f64;
        p_holm = p_holm.max((p[index] * open).min(1.0));
        // Those with a smaller p have been decided if this one's corrected p is small enough: it is no smaller than theirs.
        let (verdict, way) = match p_holm <= level {
            true => family[index].hypothesis.outcome(&levels[index], level / open),
            false => (Verdict::Undecided, ""),
        };
        decisions[index] = Decision { verdict, way, p: p[index], p_holm };
    }
    decisions
}

/// What became of a statement over the looks: the last look that had evidence of it, and what that decided.
pub struct Settled {
    /// Place of the look.
    pub look: usize,
    pub decision: Decision,
    pub evidence: Evidence,
    /// How many statements were decided together with it.
    pub together: usize,
}

/// Decides the statements of a family look by look, each look at its own level; what an earlier look decided stays, and the
/// others are corrected among themselves. `evidence` gives that of a statement at a look; none where it has none there.
pub fn decide_at_looks(
    count: usize,
    levels: &[f64],
    mut evidence: impl FnMut(usize, usize) -> Option<Evidence>,
) -> Vec<Option<Settled>> {
    let mut settled: Vec<Option<Settled>> = (0..count).map(|_| None).collect();
    for (look, level) in levels.iter().enumerate() {
        let is_open = |index: &usize| {
            settled[*index].as_ref().is_none_or(|settled| !settled.decision.verdict.is_decided())
        };
        let open: Vec<usize> = (0..count).filter(is_open).collect();
        let found: Vec<(usize, Evidence)> =
            open.into_iter().filter_map(|index| Some((index, evidence(look, index)?))).collect();
        let decisions = decide(&found.iter().map(|(_, evidence)| evidence).collect::<Vec<_>>(), *level);
        let together = found.len();
        for ((index, evidence), decision) in found.into_iter().zip(decisions) {
            settled[index] = Some(Settled { look, decision, evidence, together });
        }
    }
    settled
}
