//! What a bank takes on a device, from a few updates of it.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use runner::{BankContext, Estimate, Progress, Trial};
use serde_json::Value;

use crate::bank_size::fitting;
use crate::settings::Settings;
use crate::task::{BankRun, Task};
use crate::training::{Lesson, Training};

/// What an update of a bank took. As an error it ends a bank that was only rehearsed.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("a rehearsal ends after a few updates")]
pub(crate) struct Rehearsed {
    /// The most bytes that tensors held on the device, networks and all.
    peak: u64,
}

/// Updates of a rehearsal.
const UPDATES: u64 = 8;

impl Rehearsed {
    /// Makes the first updates of a bank, [`UPDATES`] where its training has as many, and measures those behind the first:
    /// they have moments of the optimizer and weights that were cast, and batches of several lengths.
    ///
    /// Errors: those of an update; a device that does not say what it holds.
    pub fn of(training: &mut Training, lesson: &mut impl Lesson) -> Result<Rehearsed> {
        let here = device::here();
        let wait = |losses: tch::Tensor| drop(f64::try_from(losses.sum(tch::Kind::Float)));
        wait(lesson.update(&mut training.bank, 0)?);
        device::forget_peak(here);
        for step in 1..lesson.total_steps().min(UPDATES) {
            wait(lesson.update(&mut training.bank, step)?);
        }
        let memory = device::memory(here)
            .ok_or_else(|| anyhow!("{} does not say what it holds", device::name(here)))?;
        Ok(Rehearsed { peak: memory.peak })
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

/// What banks take of a device: bytes at the peak of an update, by the number of trials.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BankCost {
    /// Ascending. More trials lie on the line through the last two, fewer on lines between their neighbours: a peak is the
    /// largest of several phases' peaks, each a line, so no bank takes more.
    points: Vec<(usize, u64)>,
}

/// Trials of the banks that are rehearsed.
const SIZES: [usize; 3] = [1, 3, 4];

impl BankCost {
    /// Rehearses banks of [`SIZES`], as far as they fit.
    ///
    /// Errors: those of the smallest; of others all but a lack of memory.
    pub fn measure(rehearse: impl Fn(usize) -> Result<Rehearsed>) -> Result<BankCost> {
        let mut points = Vec::new();
        for size in SIZES {
            match out_of_memory::within(|| rehearse(size)) {
                Ok(rehearsed) => points.push((size, rehearsed?.peak)),
                Err(problem) if points.is_empty() => bail!(problem),
                Err(_) => break,
            }
        }
        Ok(BankCost { points })
    }

    /// Bytes that the trials of a bank of `size` share, such as networks, and bytes of each.
    fn shared_and_each(&self, size: usize) -> (u64, u64) {
        let segments = || self.points.windows(2);
        let Some(segment) = segments().find(|segment| size <= segment[1].0).or_else(|| segments().last())
        else {
            return (0, self.points[0].1);
        };
        let [(small, less), (large, more)] = [segment[0], segment[1]];
        let each = more.saturating_sub(less) / (large - small) as u64;
        (less.saturating_sub(each * small as u64), each)
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
    use super::*;

    #[test]
    fn a_bank_takes_what_lies_on_lines_through_those_that_were_rehearsed() {
        let peaks = |size: usize| Ok(Rehearsed { peak: [0, 130, 0, 190, 250][size] });
        let cost = BankCost::measure(peaks).unwrap();
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
    fn banks_that_do_not_fit_are_left_out_and_other_errors_are_told() {
        let none = |size: usize| {
            if size > 1 { panic!("{}", "CUDA out of memory") } else { Ok(Rehearsed { peak: 7 }) }
        };
        assert_eq!(BankCost::measure(none).unwrap().shared_and_each(3), (0, 7));
        let error = BankCost::measure(|_| Err(anyhow!("no file"))).unwrap_err();
        assert_eq!(error.to_string(), "no file");
    }
}
