//! What a training step costs: in banks of any size, and beside PEFT's, in one run.
//!
//! Cases of a group are measured in turn, round by round, so that a machine that slows down slows down all of them. What is
//! reported are medians, and ratios of them. Everything is written as CSV; figures and the report read that.

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod machine;
pub mod methods;
pub mod networks;
mod peer;
mod summary;

use std::path::Path;
use std::sync::Barrier;

use anyhow::{Context, Result};
use delora_core::{Bank, TrialConfig};
use finetune::testing::median;
use finetune::{fresh_peak, peak_resident_bytes};
use serde::Serialize;
use tch::Device;

pub use machine::Limits;
use methods::{METHODS, trial};
use networks::{Known, NETWORKS, Network, operations, seconds};
use peer::Peer;
pub use summary::{Cost, Ratio, costs, ratios};

/// Rounds over the cases of a group, and about how long a case is measured in each.
const ROUNDS: usize = 5;
const SECONDS_PER_CASE: f64 = 0.4;
const MOST_STEPS: f64 = 40.0;

/// Rows of a trial's batch, where one trial is measured beside PEFT.
const BATCHES: [i64; 3] = [1, 4, 32];
/// Trials of a bank, for what one more costs.
const SIZES: [usize; 6] = [1, 2, 4, 8, 16, 32];
/// What fills those banks; `mixed` are all of `SWEPT`.
const CURVES: [&str; 3] = ["lora", "delora", MIXED];
const MIXED: &str = "mixed";
/// The sweep: each of these methods at eight rates.
const SWEPT: [&str; 4] = ["lora", "dora", "delora", "ether_plus_one_sided"];
const SWEEP_TRIALS: usize = 32;

/// Who takes the steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// One bank of all trials, on all threads.
    Bank,
    /// A bank for each thread, side by side, as a run on a CPU does.
    Banks,
    /// PEFT, a trial after another, on all threads.
    Peft,
}

/// One line of `steps.csv`.
#[derive(Debug, Serialize)]
pub struct Line {
    pub table: &'static str,
    pub network: &'static str,
    pub batch: i64,
    pub method: &'static str,
    /// The form of the method that a peer has; empty for ours.
    pub peer: &'static str,
    pub by: By,
    pub trials: usize,
    pub steps: usize,
    /// Median, least and most of the rounds, of a step and trial.
    pub milliseconds: f64,
    pub least: f64,
    pub most: f64,
    /// Operations of linear layers and convolutions in a second, of 10⁹.
    pub gigaflops: f64,
    /// That by the rate of the machine's own matrix product.
    pub share: f64,
    /// The most memory that the first steps took beside networks and adapters, of 10⁶ bytes, in all; empty where others take it.
    pub megabytes: Option<f64>,
}

struct Case {
    table: &'static str,
    network: &'static Known,
    batch: i64,
    method: &'static str,
    peer: &'static str,
    by: By,
    trials: usize,
}

/// Takes steps of one case.
enum Steps {
    Bank(Box<Bank>),
    Banks(Vec<Vec<TrialConfig>>),
    Peft,
}

impl Steps {
    fn new(case: &Case, network: &dyn Network, device: Device, threads: usize) -> Result<Steps> {
        let configs = case.configs();
        Ok(match case.by {
            By::Bank => {
                let bank = Bank::new(network.sites(), &configs, device);
                let bank = bank.with_context(|| format!("{} on {}", case.method, case.network.name))?;
                Steps::Bank(Box::new(bank))
            }
            By::Banks => {
                let banks = configs.chunks(configs.len().div_ceil(threads));
                Steps::Banks(banks.map(<[TrialConfig]>::to_vec).collect())
            }
            By::Peft => Steps::Peft,
        })
    }
}

/// Where the bench finds things, and what it computes on.
pub struct Options<'a> {
    /// The project's folder, with `assets/mini` and `tools/bench`.
    pub root: &'a Path,
    pub device: Device,
    /// Leaves out what takes long: one round, and one batch.
    pub is_quick: bool,
}

impl Case {
    fn configs(&self) -> Vec<TrialConfig> {
        let method = |index: usize| match self.method {
            MIXED => SWEPT[index % SWEPT.len()],
            method => method,
        };
        (0..self.trials).map(|index| trial(method(index), self.network, index as u64)).collect()
    }
}

/// Measures all cases; `report` is told what is being measured.
pub fn run(options: &Options, report: &dyn Fn(&str)) -> Result<(Limits, Vec<Line>)> {
    let threads = tch::get_num_threads().max(1) as usize;
    report("the machine's limits");
    let first = Limits::measure(options.device, threads);
    // PEFT is measured on a CPU alone: its process would share the GPU with this one.
    let mut peer = match options.device {
        Device::Cpu => Peer::start(options.root, threads)?,
        _ => None,
    };
    let mut lines = Vec::new();
    for group in groups(options.is_quick) {
        let Case { table, network, batch, .. } = &group[0];
        report(&format!("{table}: {} at batch {batch}", network.name));
        lines.extend(measure(options, &group, threads, peer.as_mut())?);
    }
    let limits = first.best(&Limits::measure(options.device, threads));
    let all = limits.gemm.iter().map(|&(_, rate)| rate).fold(0.0, f64::max);
    lines.iter_mut().for_each(|line| line.share = line.gigaflops / all);
    Ok((limits, lines))
}

/// Cases that are measured in turn.
fn groups(is_quick: bool) -> Vec<Vec<Case>> {
    let unet = &NETWORKS[0];
    let mut groups = Vec::new();
    let batches = if is_quick { &BATCHES[..1] } else { &BATCHES };
    for network in &NETWORKS {
        for &batch in batches {
            let case =
                |method, peer, by| Case { table: "alone", network, batch, method, peer, by, trials: 1 };
            // A decoder of LLaMA's kind has no bias.
            let known = METHODS.iter().filter(|known| network.name != "decoder" || known.method != "bitfit");
            let of_method = |known: &methods::Measured| {
                let ours = std::iter::once(case(known.method, "", By::Bank));
                let peers = known.peers.iter().map(|peer| case(known.method, peer, By::Peft));
                ours.chain(peers).collect::<Vec<_>>()
            };
            groups.push(known.flat_map(of_method).collect());
        }
    }
    let sizes = if is_quick { &SIZES[..2] } else { &SIZES };
    let bank = |method, trials| Case {
        table: "banks",
        network: unet,
        batch: 1,
        method,
        peer: "",
        by: By::Bank,
        trials,
    };
    let curves = CURVES.iter().flat_map(|method| sizes.iter().map(move |&trials| bank(method, trials)));
    // What fills mixed banks, one by one.
    let alone = SWEPT.iter().filter(|method| !CURVES.contains(method)).map(|method| bank(method, 1));
    groups.push(curves.chain(alone).collect());
    let sweep =
        |method, peer, by, trials| Case { table: "sweep", network: unet, batch: 1, method, peer, by, trials };
    let peers = METHODS.iter().filter(|known| SWEPT.contains(&known.method));
    let peers = peers.flat_map(|known| known.peers.iter().map(|peer| sweep(known.method, peer, By::Peft, 1)));
    let ours = [By::Banks, By::Bank].map(|by| sweep(MIXED, "", by, SWEEP_TRIALS));
    groups.push(ours.into_iter().chain(peers).collect());
    groups
}

fn measure(
    options: &Options,
    group: &[Case],
    threads: usize,
    mut peer: Option<&mut Peer>,
) -> Result<Vec<Line>> {
    let assets = options.root.join("assets/mini");
    let network = group[0].network.load(&assets, options.device)?;
    let operations = operations(&*network);
    let cases = group.iter().filter(|case| case.by != By::Peft || peer.is_some());
    let begun = |case| Ok((case, Steps::new(case, &*network, options.device, threads)?, 1, Vec::new(), None));
    type Begun<'a> = (&'a Case, Steps, usize, Vec<f64>, Option<f64>);
    let mut cases = cases.map(begun).collect::<Result<Vec<Begun>>>()?;
    let rounds = if options.is_quick { 1 } else { ROUNDS };
    // The first two fill caches and say how many steps a round takes.
    for round in 0..rounds + 2 {
        for (case, steps, count, times, megabytes) in &mut cases {
            let before = (round == 0 && case.by == By::Bank).then(fresh_peak).flatten();
            let taken = take(options, &*network, case, steps, (*count, threads), peer.as_deref_mut())?;
            if let (Some(before), Some(peak)) = (before, peak_resident_bytes()) {
                *megabytes = Some(peak.saturating_sub(before) as f64 * 1e-6);
            }
            let one = taken / *count as f64;
            if round >= 2 {
                times.push(one);
            } else if round == 1 {
                *count = (SECONDS_PER_CASE / one).clamp(1.0, MOST_STEPS) as usize;
            }
        }
    }
    let line = |(case, _, steps, times, megabytes): Begun| {
        let per_trial = |seconds: f64| 1e3 * seconds / case.trials as f64;
        let milliseconds = per_trial(median(times.clone()));
        Line {
            table: case.table,
            network: case.network.name,
            batch: case.batch,
            method: case.method,
            peer: case.peer,
            by: case.by,
            trials: case.trials,
            steps,
            milliseconds,
            least: per_trial(times.iter().copied().fold(f64::INFINITY, f64::min)),
            most: per_trial(times.iter().copied().fold(0.0, f64::max)),
            gigaflops: operations * case.batch as f64 / milliseconds * 1e-6,
            share: f64::NAN,
            megabytes,
        }
    };
    Ok(cases.into_iter().map(line).collect())
}

/// Seconds of `count` steps.
fn take(
    options: &Options,
    network: &dyn Network,
    case: &Case,
    steps: &mut Steps,
    (count, threads): (usize, usize),
    peer: Option<&mut Peer>,
) -> Result<f64> {
    match steps {
        Steps::Bank(bank) => Ok(seconds(network, bank, case.batch, count)),
        Steps::Banks(banks) => side_by_side(options, case, banks, count, threads),
        Steps::Peft => {
            let peer = peer.expect("cases of a peer are measured where there is one");
            peer.seconds(case.network.name, case.peer, case.batch, count)
        }
    }
}

/// Seconds until the last of the banks is through, each with a network and an equal part of the threads of its own.
fn side_by_side(
    options: &Options,
    case: &Case,
    banks: &[Vec<TrialConfig>],
    count: usize,
    threads: usize,
) -> Result<f64> {
    let start = Barrier::new(banks.len());
    let assets = options.root.join("assets/mini");
    let of_bank = |configs: &[TrialConfig]| -> Result<f64> {
        tch::set_num_threads((threads / banks.len()).max(1) as i32);
        let made = case.network.load(&assets, options.device).and_then(|network| {
            let bank = Bank::new(network.sites(), configs, options.device)?;
            Ok((network, bank))
        });
        let warmed = made.map(|(network, mut bank)| {
            seconds(&*network, &mut bank, case.batch, 1);
            (network, bank)
        });
        start.wait();
        let (network, mut bank) = warmed?;
        Ok(seconds(&*network, &mut bank, case.batch, count))
    };
    let times = std::thread::scope(|scope| {
        let started: Vec<_> = banks.iter().map(|configs| scope.spawn(|| of_bank(configs))).collect();
        let times = started.into_iter().map(|thread| thread.join().expect("a bank does not panic"));
        times.collect::<Result<Vec<f64>>>()
    })?;
    Ok(times.into_iter().fold(0.0, f64::max))
}

/// Writes `machine.csv`, `steps.csv`, `ratios.csv` and `costs.csv` into a folder.
pub fn write(folder: &Path, limits: &Limits, lines: &[Line]) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("{}: cannot be made", folder.display()))?;
    let table = |name: &str, bytes: Vec<u8>| -> Result<()> {
        Ok(runner::write_atomically(&folder.join(name), &bytes)?)
    };
    table("machine.csv", csv_of(&limits.lines())?)?;
    table("steps.csv", csv_of(lines)?)?;
    table("ratios.csv", csv_of(&ratios(lines))?)?;
    table("costs.csv", csv_of(&costs(lines))?)
}

fn csv_of<T: Serialize>(rows: &[T]) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.serialize(row)?;
    }
    writer.into_inner().context("a table in memory is written")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_has_trials_that_its_network_takes() {
        let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/mini");
        for group in groups(true) {
            let network = group[0].network.load(&assets, Device::Cpu).unwrap();
            for case in group.iter().filter(|case| case.by != By::Peft) {
                let mut bank = Bank::new(network.sites(), &case.configs()[..1], Device::Cpu).unwrap();
                assert!(seconds(&*network, &mut bank, 1, 1) > 0.0, "{}", case.method);
                assert_eq!(bank.health(), [None], "{} on {}", case.method, case.network.name);
            }
        }
        assert!(operations(&*NETWORKS[0].load(&assets, Device::Cpu).unwrap()) > 1e9);
    }
}
