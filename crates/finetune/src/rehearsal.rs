//! What a bank takes on a device, from a few updates of it.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Result, bail};
use runner::{BankContext, Estimate, Progress, Trial};
use serde_json::Value;

use crate::bank_size::fitting;
use crate::settings::Settings;
use crate::task::{BankRun, Task};
use crate::training::{Lesson, Training};

/// What an update of a bank took. As an error it ends a bank that was only rehearsed.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("a rehearsal ends after a few updates")]
pub(crate) struct Rehearsed {
    /// The most bytes that tensors held on the device, networks and all; 0 on a CPU, which does not say.
    peak: u64,
    /// What the fastest update took.
    seconds: f64,
}

/// The most updates of a rehearsal, and on a CPU, whose memory they do not measure, the seconds from which there are no more.
const UPDATES: u64 = 8;
const ENOUGH: f64 = 0.5;

impl Rehearsed {
    /// Makes the first updates of a bank, [`UPDATES`] where its training has as many, and measures those behind the first:
    /// they have moments of the optimizer and weights that were cast, and batches of several lengths.
    ///
    /// Errors: those of an update.
    pub fn of(training: &mut Training, lesson: &mut impl Lesson) -> Result<Rehearsed> {
        let here = device::here();
        let wait = |losses: tch::Tensor| drop(f64::try_from(losses.sum(tch::Kind::Float)));
        let last = lesson.total_steps().min(UPDATES);
        let mut update = |step| -> Result<f64> {
            let started = device::seconds();
            wait(lesson.update(&mut training.bank, step)?);
            Ok(device::seconds() - started)
        };
        let first = update(0)?;
        device::forget_peak(here);
        let (mut fastest, mut all) = (first, 0.0);
        for step in 1..last {
            if !here.is_cuda() && all > ENOUGH {
                break;
            }
            let seconds = update(step)?;
            (fastest, all) = (fastest.min(seconds), all + seconds);
        }
        let peak = device::memory(here).map_or(0, |memory| memory.peak);
        Ok(Rehearsed { peak, seconds: fastest })
    }
}

/// Makes a few updates of a bank of `count` such trials, far from any results.
pub(crate) fn rehearse<T: Task>(task: &T, config: &Value, count: usize) -> Result<Rehearsed> {
    struct Silent;
    impl Progress for Silent {
        fn step(&self, _: u64, _: u64, _: &str) {}
    }
    let _mode = gradient_mode::switched_on();
    let folder = tempfile::tempdir()?;
    let mut config = config.clone();
    T::shorten(&mut config);
    let (trials, settings): (Vec<_>, Vec<_>) = (0..count)
        .map(|index| {
            let trial =
                Trial { id: format!("rehearsal-{index}"), config: config.clone(), inputs: String::new() };
            Ok((trial, Settings::read(&config)?))
        })
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .unzip();
    let context = BankContext {
        checkpoint_dir: folder.path().to_owned(),
        artifacts_dir: folder.path().to_owned(),
        done: &vec![false; count],
        stop: &AtomicBool::new(false),
        progress: &Silent,
        checkpoint_every: Duration::MAX,
        save_adapters: false,
        finished: &|_| {},
    };
    let bank = BankRun { trials: &trials, settings, context: &context, is_rehearsal: true };
    match task.run(&bank) {
        Ok(_) => bail!("nothing was trained"),
        Err(error) => error.downcast::<Rehearsed>(),
    }
}

/// What banks take of a device, by the number of trials.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BankCost {
    /// Ascending. More trials lie on the line through the last two, fewer on lines between their neighbours: a peak is the
    /// largest of several phases' peaks, each a line, so no bank takes more.
    points: Vec<(usize, Rehearsed)>,
}

/// Trials of the banks that are rehearsed on a device, and on a CPU, which is asked for time alone.
const SIZES: [usize; 3] = [1, 3, 4];
const SIZES_ON_CPU: [usize; 3] = [1, 4, 8];
/// Seconds of an update from which a CPU is asked for no larger banks: calls of operators are nothing beside that.
const LONG: f64 = 2.0;

impl BankCost {
    /// Rehearses banks as far as they fit, of no more than `most` trials.
    ///
    /// Errors: those of the smallest; of others all but a lack of memory.
    pub fn measure(most: usize, rehearse: impl Fn(usize) -> Result<Rehearsed>) -> Result<BankCost> {
        let is_cpu = !device::here().is_cuda();
        let mut cost = BankCost { points: Vec::new() };
        let sizes = if is_cpu { SIZES_ON_CPU } else { SIZES };
        for size in sizes.into_iter().filter(|&size| size <= most.max(1)) {
            if is_cpu && cost.points.last().is_some_and(|(_, last)| last.seconds > LONG) {
                break;
            }
            match out_of_memory::within(|| rehearse(size)) {
                Ok(rehearsed) => cost.points.push((size, rehearsed?)),
                Err(problem) if cost.points.is_empty() => bail!(problem),
                Err(_) => break,
            }
        }
        Ok(cost)
    }

    /// Numbers of trials and seconds of an update, ascending.
    pub fn seconds(&self) -> Vec<(usize, f64)> {
        self.points.iter().map(|(size, rehearsed)| (*size, rehearsed.seconds)).collect()
    }

    /// Bytes that the trials of a bank of `size` share, such as networks, and bytes of each.
    fn shared_and_each(&self, size: usize) -> (u64, u64) {
        let segments = || self.points.windows(2);
        let Some(segment) = segments().find(|segment| size <= segment[1].0).or_else(|| segments().last())
        else {
            return (0, self.points[0].1.peak);
        };
        let [(small, less), (large, more)] = [segment[0], segment[1]];
        let each = more.peak.saturating_sub(less.peak) / (large - small) as u64;
        (less.peak.saturating_sub(each * small as u64), each)
    }

    /// The trials that fit in `room` bytes.
    pub fn fitting(&self, room: u64) -> usize {
        let (last, _) = self.points[self.points.len() - 1];
        let sizes = [last, 1].map(|size| (size, self.shared_and_each(size)));
        let counts = sizes.map(|(size, (shared, each))| (size, fitting(room, shared, each)));
        let [(least, of_large), (_, of_small)] = counts;
        if of_large >= least { of_large } else { of_small.min(least) }
    }

    /// `estimate` of a trial in a bank of `size` with the memory that was measured.
    pub fn correct(&self, estimate: Estimate, size: usize) -> Estimate {
        let (shared, each) = self.shared_and_each(size);
        let trained_bytes = estimate.trained_bytes.min(each);
        Estimate { memory_bytes: each, frozen_bytes: shared, trained_bytes, ..estimate }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    fn rehearsed(peak: u64, seconds: f64) -> Rehearsed {
        Rehearsed { peak, seconds }
    }

    #[test]
    fn a_bank_takes_what_lies_on_lines_through_those_that_were_rehearsed() {
        let points = vec![(1, rehearsed(130, 1.0)), (3, rehearsed(190, 2.0)), (4, rehearsed(250, 3.0))];
        let cost = BankCost { points };
        assert_eq!(
            [1, 2, 3, 4, 9].map(|size| cost.shared_and_each(size)),
            [(100, 30), (100, 30), (100, 30), (10, 60), (10, 60)]
        );
        assert_eq!([1000, 200, 150, 10].map(|room| cost.fitting(room)), [14, 2, 1, 1]);
        let estimate = Estimate { seconds: 2.0, memory_bytes: 1, trained_bytes: 40, frozen_bytes: 2 };
        let expected = Estimate { seconds: 2.0, memory_bytes: 30, trained_bytes: 30, frozen_bytes: 100 };
        assert_eq!(cost.correct(estimate, 2), expected);
    }

    #[test]
    fn a_cpu_is_asked_for_the_time_of_banks_that_fit_and_do_not_take_long() {
        device::enter(tch::Device::Cpu);
        let sizes = |most, each: f64| {
            let cost = BankCost::measure(most, |size| Ok(rehearsed(0, each * size as f64))).unwrap();
            cost.seconds().iter().map(|(size, _)| *size).collect::<Vec<_>>()
        };
        assert_eq!((sizes(32, 0.1), sizes(7, 0.1), sizes(0, 0.1)), (vec![1, 4, 8], vec![1, 4], vec![1]));
        assert_eq!((sizes(32, 1.0), sizes(32, 3.0)), (vec![1, 4], vec![1]));
    }

    #[test]
    fn banks_that_do_not_fit_are_left_out_and_other_errors_are_told() {
        let none = |size: usize| {
            if size > 1 {
                panic!("{}", "CUDA out of memory")
            } else {
                Ok(Rehearsed { peak: 7, seconds: 1.0 })
            }
        };
        assert_eq!(BankCost::measure(32, none).unwrap().shared_and_each(3), (0, 7));
        let error = BankCost::measure(32, |_| Err(anyhow!("no file"))).unwrap_err();
        assert_eq!(error.to_string(), "no file");
    }
}
