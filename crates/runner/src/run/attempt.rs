//! One attempt at one bank: the workload's call, its outcomes on their way to the ledger, and how it ended.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;

use crate::error::{Result, RunnerError};
use crate::ledger::{Finished as Kept, Lease, Record, checkpoints, utc_now};
use crate::run::progress::BankProgress;
use crate::run::report::Run;
use crate::workload::{AfterTraining, BankContext, Interrupted, Outcome, Status, Trial, Workload};

pub(crate) struct Attempt<'a> {
    pub run: &'a Run<'a>,
    /// The bank, of which the trials may be a part.
    pub lease: &'a Lease<'a>,
    pub progress: &'a BankProgress<'a>,
    pub trials: &'a [Trial],
    /// Per trial, whether it is left alone: it was finished before.
    pub done: &'a [bool],
    /// Whether trials that have a result are run anew.
    pub again: bool,
}

#[derive(Debug, PartialEq)]
pub(crate) enum End {
    /// Every trial has a record; a retry of those that failed may go on from the checkpoint.
    Complete {
        keeps_checkpoint: bool,
    },
    Interrupted,
    /// Another worker has the bank now.
    Lost,
    /// Trials without a record should be tried in smaller banks.
    OutOfMemory {
        message: String,
    },
    /// The device computes nothing any more; what the bank saved goes on elsewhere.
    BrokenDevice {
        message: String,
    },
}

/// Slot in the bank and status of each trial that got its record.
type Finished = Vec<(usize, Status)>;

impl Attempt<'_> {
    pub fn run(&self, workload: &dyn Workload) -> Result<(End, Finished)> {
        let device = workload.provenance().device;
        let recorder =
            Recorder { attempt: self, device, started: utc_now(), state: Mutex::new(Recorded::default()) };
        let ended = self.run_with(workload, &recorder);
        let recorded = recorder.state.into_inner().expect("accept does not panic");
        // Whatever went wrong after another worker has taken the bank went wrong because of that.
        if recorded.is_lost || (ended.is_err() || recorded.error.is_some()) && !self.lease.is_held() {
            return Ok((End::Lost, recorded.finished));
        }
        match recorded.error {
            Some(error) => Err(error),
            None => Ok((ended?, recorded.finished)),
        }
    }

    fn run_with(&self, workload: &dyn Workload, recorder: &Recorder) -> Result<End> {
        let place = |trial: &Trial| self.lease.trials.iter().position(|id| *id == trial.id);
        let places: Vec<usize> = self.trials.iter().filter_map(place).collect();
        let checkpoint = checkpoints::path(&self.lease.path(), &places);
        let resumed = checkpoints::is_begun(&checkpoint);
        checkpoints::open(&checkpoint)?;
        let mut returned = self.call(workload, &checkpoint, recorder);
        if resumed
            && let Err(error) = &returned
            && self.could_not_go_on(error, recorder)
        {
            let aside = self.run.folder.set_aside(&checkpoint)?;
            self.progress.notice(&format!(
                "the bank starts over, since it cannot go on from its checkpoint, now in {}: {error:#}",
                aside.display()
            ));
            checkpoints::open(&checkpoint)?;
            returned = self.call(workload, &checkpoint, recorder);
        }
        if returned.is_err() && !self.lease.is_held() {
            return Ok(End::Lost);
        }
        let complete = |keeps_checkpoint| (End::Complete { keeps_checkpoint }, keeps_checkpoint);
        let (end, keeps_checkpoint) = match returned {
            Ok(outcomes) => {
                outcomes.into_iter().for_each(|outcome| recorder.accept(outcome));
                recorder.fail_the_rest("the workload returned no outcome for this trial");
                complete(false)
            }
            Err(error) if error.downcast_ref::<Interrupted>().is_some() => (End::Interrupted, true),
            Err(error) if error.downcast_ref::<AfterTraining>().is_some() => {
                recorder.fail_the_rest(&format!("{error:#}"));
                complete(true)
            }
            Err(error) => {
                let message = format!("{error:#}");
                if is_broken_device(&message) {
                    (End::BrokenDevice { message }, true)
                } else if out_of_memory::is_told(&message) && recorder.open() > 1 {
                    (End::OutOfMemory { message }, false)
                } else {
                    recorder.fail_the_rest(&message);
                    // A retry goes on from the checkpoint, unless the bank failed right after doing that: the
                    // checkpoint itself may then be what is wrong.
                    complete(!resumed)
                }
            }
        };
        if !keeps_checkpoint && recorder.is_whole() {
            checkpoints::remove(&checkpoint)?;
        }
        Ok(end)
    }

    /// Whether a bank failed before it made any progress, so that its checkpoint is what must be wrong.
    fn could_not_go_on(&self, error: &anyhow::Error, recorder: &Recorder) -> bool {
        !self.progress.has_moved()
            && error.downcast_ref::<Interrupted>().is_none()
            && !out_of_memory::is_told(&format!("{error:#}"))
            && !is_broken_device(&format!("{error:#}"))
            && recorder.is_untouched()
    }

    fn call(
        &self,
        workload: &dyn Workload,
        checkpoint: &Path,
        recorder: &Recorder,
    ) -> anyhow::Result<Vec<Outcome>> {
        let finished = |outcome| recorder.accept(outcome);
        let context = BankContext {
            checkpoint_dir: checkpoint.to_path_buf(),
            artifacts_dir: self.lease.path(),
            done: self.done,
            stop: self.run.stop,
            progress: self.progress,
            checkpoint_every: self.run.options.checkpoint_every,
            save_adapters: self.run.options.save_adapters,
            finished: &finished,
        };
        catch_unwind(AssertUnwindSafe(|| workload.run_bank(self.trials, &context)))
            .unwrap_or_else(|panic| Err(anyhow::anyhow!("the workload panicked: {}", panic_text(&*panic))))
    }
}

#[derive(Default)]
struct Recorded {
    finished: Finished,
    /// First reason for which an outcome could not be kept.
    error: Option<RunnerError>,
    /// Whether another worker has taken the bank, so that nothing more is kept.
    is_lost: bool,
}

struct Recorder<'a> {
    attempt: &'a Attempt<'a>,
    device: String,
    started: String,
    state: Mutex<Recorded>,
}

impl Recorder<'_> {
    fn accept(&self, outcome: Outcome) {
        let mut state = self.state.lock().expect("accept does not panic");
        let Some(slot) = self.attempt.trials.iter().position(|trial| trial.id == outcome.trial_id) else {
            let text = format!("it reported trial {}, which is not in the bank", outcome.trial_id);
            state.error.get_or_insert(RunnerError::Contract(text));
            return;
        };
        if self.attempt.done[slot] || state.finished.iter().any(|(known, _)| *known == slot) {
            return;
        }
        let outcome = finite(outcome);
        if self.attempt.again && matches!(outcome.status, Status::Failed { .. }) {
            // A failure is no result and replaces none.
            self.attempt.progress.finish_trial(&outcome.status);
            state.finished.push((slot, outcome.status));
            return;
        }
        let record = Record {
            experiment: self.attempt.run.experiment.name.clone(),
            task: self.attempt.run.experiment.task.clone(),
            config: self.attempt.trials[slot].config.clone(),
            inputs: self.attempt.trials[slot].inputs.clone(),
            stamp: self.attempt.run.stamp.over(&self.started, self.device.clone()),
            outcome,
        };
        let Run { ledger, .. } = self.attempt.run;
        match self.attempt.lease.finish(&record, ledger, self.attempt.again) {
            Ok(Kept::Lost) => state.is_lost = true,
            Ok(Kept::First | Kept::Known) => {
                self.attempt.progress.finish_trial(&record.outcome.status);
                state.finished.push((slot, record.outcome.status));
            }
            Err(error) => {
                state.error.get_or_insert(error);
            }
        }
    }

    fn rest(&self) -> Vec<usize> {
        let state = self.state.lock().expect("accept does not panic");
        let open =
            |slot: &usize| !self.attempt.done[*slot] && state.finished.iter().all(|(known, _)| known != slot);
        (0..self.attempt.trials.len()).filter(open).collect()
    }

    fn is_untouched(&self) -> bool {
        let state = self.state.lock().expect("accept does not panic");
        state.finished.is_empty() && state.error.is_none()
    }

    fn open(&self) -> usize {
        self.rest().len()
    }

    /// Whether every outcome so far was kept.
    fn is_whole(&self) -> bool {
        let state = self.state.lock().expect("accept does not panic");
        !state.is_lost && state.error.is_none()
    }

    fn fail_the_rest(&self, message: &str) {
        for slot in self.rest() {
            let status = Status::Failed { message: message.to_string() };
            self.accept(Outcome::new(&self.attempt.trials[slot].id, status));
        }
    }
}

/// The outcome without non-finite values, which no table holds; a `Done` trial with one has failed.
fn finite(mut outcome: Outcome) -> Outcome {
    let bad = outcome.metrics.iter().find(|(_, value)| !value.is_finite());
    if let (Status::Done, Some((metric, value))) = (&outcome.status, bad) {
        outcome.status = Status::Failed { message: format!("metric `{metric}` is {value}") };
    }
    outcome.metrics.retain(|_, value| value.is_finite());
    outcome.items.retain(|_, items| items.iter().all(|value| value.is_finite()));
    outcome.curves.retain(|point| point.value.is_finite());
    if !outcome.train_seconds.is_finite() {
        outcome.train_seconds = 0.0;
    }
    outcome
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| text.to_string());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without a message".to_string())
}

/// After any other error of CUDA's own the device answers each call of this process with the same one.
fn is_broken_device(message: &str) -> bool {
    message.contains("CUDA error:") && !out_of_memory::is_told(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finished_trial_with_a_metric_that_is_no_number_has_failed() {
        let mut outcome = Outcome::new("a", Status::Done);
        outcome.metrics.insert("dino".to_string(), f64::NAN);
        outcome.metrics.insert("clip".to_string(), 0.5);
        let kept = finite(outcome.clone());
        assert_eq!(kept.status, Status::Failed { message: "metric `dino` is NaN".to_string() });
        assert_eq!(kept.metrics.keys().collect::<Vec<_>>(), ["clip"]);
        outcome.status = Status::Diverged { step: 3, reason: None };
        assert_eq!(finite(outcome).status, Status::Diverged { step: 3, reason: None });
    }

    #[test]
    fn errors_of_cuda_mean_a_broken_device_but_for_a_lack_of_memory() {
        assert!(is_broken_device(
            "the workload panicked: CUDA error: an illegal memory access was encountered"
        ));
        assert!(!is_broken_device("CUDA error: out of memory") && !is_broken_device("shape mismatch"));
    }
}
