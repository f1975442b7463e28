//! A task as the runner sees it, once for all tasks.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;

use anyhow::{Result, ensure};
use delora_core::{Bank, METHODS, Site, TrialConfig};
use models::config::Config;
use models::shapes::Scalable;
use runner::{
    AfterTraining, BankContext, Estimate, MethodText, Outcome, Provenance, SettingError, Status, Trial,
    Workers, Workload,
};
use serde_json::{Map, Value};
use tch::Device;

use crate::bank_size::BankSize;
use crate::digests::Digests;
use crate::dropout::{DROPOUT_DRAWS, DropoutRates};
use crate::feasible::{KnownSites, Proposed};
use crate::finite::{Broken, End};
use crate::latest::Known;
use crate::machine::{provenance, workers};
use crate::method::methods;
use crate::network::sites_of;
use crate::rehearsal::{BankCost, Rehearsed};
use crate::settings::{IMMATERIAL, OwnSettings, PER_TRIAL, Settings};
use crate::status::statuses;
use crate::telemetry::{add_curves, csv};
use crate::training::{Finished, Lesson, Training};

/// What is a task's own; [`Finetuning`] is the rest.
pub trait Task: Default + 'static {
    type Own: OwnSettings;
    /// What describes the network that is adapted.
    type Config: Scalable + Config;

    /// Value of `task` in experiment files.
    const NAME: &'static str;
    /// Settings that name files or folders, see [`Workload::paths`].
    const PATHS: &'static [&'static str];
    /// Settings of the task's own in which the trials of a bank may differ.
    const PER_TRIAL: &'static [&'static str];

    /// The values that a setting stands for, see [`Workload::expand`]; `None` leaves it as it is.
    fn expand(&self, _key: &str, _value: &Value, _config: &Value) -> Result<Option<Vec<Value>>> {
        Ok(None)
    }

    /// Every name that a setting can have, see [`Workload::names`]; those of `method` are known.
    fn names(_key: &str) -> Option<Vec<String>> {
        None
    }

    /// The config without settings that cannot change its result, see [`Workload::relevant`].
    fn relevant(config: Value) -> Value {
        config
    }

    /// Settings of the task's own that change how fast a result comes, and not the result.
    const IMMATERIAL: &'static [&'static str] = &[];

    /// The trial as delora-core takes it, of a training of `total_steps` steps.
    fn trial(settings: &Settings<Self::Own>, total_steps: u64) -> TrialConfig;

    /// The file of [`Task::Config`].
    fn network_config(settings: &Settings<Self::Own>) -> PathBuf;

    /// Refuses what the settings and small files of the model tell by themselves.
    fn check(_settings: &Settings<Self::Own>) -> Result<()> {
        Ok(())
    }

    /// What a trial drops out while it trains.
    fn dropout(_settings: &Settings<Self::Own>) -> Result<DropoutRates> {
        Ok(DropoutRates::default())
    }

    /// Every file that a trial's loaders open.
    fn files(settings: &Settings<Self::Own>) -> Result<Vec<PathBuf>>;

    /// Where there is less than a setting asks for at most, see [`Workload::shortfalls`].
    fn shortfalls(&self, _settings: &Settings<Self::Own>) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// Leaves out of a config what takes time before the first update, for a bank that is rehearsed.
    fn shorten(_config: &mut Value) {}

    /// Trains and scores a bank: see [`BankRun::finetune`].
    fn run(&self, bank: &BankRun<Self::Own>) -> Result<Vec<Outcome>>;

    /// Time and memory of one trial, if known.
    fn estimate(&self, settings: &Settings<Self::Own>) -> Option<Estimate>;
}

/// A task with all that tasks have in common.
#[derive(Default)]
pub struct Finetuning<T> {
    /// The task's own, with the networks that it keeps from bank to bank.
    task: RefCell<Rc<T>>,
    digests: RefCell<Digests>,
    /// Where the networks of checked trials can be adapted.
    sites: KnownSites,
    /// What rehearsed banks took, by all that it depends on; an error's text where none could be rehearsed.
    pub(crate) costs: Known<Result<BankCost, String>>,
    libtorch: String,
}

impl<T: Task> Finetuning<T> {
    /// `libtorch` is the version that runs, for the records.
    pub fn new(libtorch: String) -> Finetuning<T> {
        Finetuning { libtorch, ..Finetuning::default() }
    }

    /// What the task keeps.
    pub fn own(&self) -> Rc<T> {
        self.task.borrow().clone()
    }
}

impl<T: Task> Workload for Finetuning<T> {
    fn task(&self) -> &str {
        T::NAME
    }

    fn methods(&self) -> Vec<MethodText> {
        methods()
    }

    fn paths(&self) -> &'static [&'static str] {
        T::PATHS
    }

    fn expand(&self, key: &str, value: &Value, config: &Value) -> Result<Option<Vec<Value>>> {
        self.own().expand(key, value, config)
    }

    fn names(&self, key: &str) -> Option<Vec<String>> {
        match key {
            "method" => {
                let methods = METHODS.iter().map(|method| method.about.name);
                Some(methods.chain(T::Own::ROWS.iter().copied()).map(str::to_owned).collect())
            }
            _ => T::names(key),
        }
    }

    fn relevant(&self, config: Value) -> Value {
        T::relevant(config)
    }

    fn material(&self, mut config: Value) -> Value {
        if let Some(table) = config.as_object_mut() {
            table.retain(|key, _| !IMMATERIAL.iter().chain(T::IMMATERIAL).any(|other| other == key));
            // Whether distances are recorded decides which metrics there are, how often they are does not.
            if let Some(every) = table.get_mut("track_every").filter(|every| !every.is_null()) {
                *every = true.into();
            }
        }
        config
    }

    fn validate(&self, config: &Value) -> Result<String> {
        let settings = Settings::read(config)?;
        let proposed = Proposed {
            method: &settings.common.method,
            trial: T::trial(&settings, 1),
            tracked_layer: settings.common.tracked_layer.as_deref(),
        };
        self.sites.check(&T::network_config(&settings), sites_of::<T::Config>, &proposed)?;
        T::check(&settings)?;
        let files = self.digests.borrow_mut().of(&T::files(&settings)?)?;
        let drops = settings.trains() && !T::dropout(&settings)?.are_zero();
        Ok(if drops { format!("{files} dropout {DROPOUT_DRAWS}") } else { files })
    }

    fn shortfalls(&self, config: &Value) -> Result<Vec<String>> {
        self.own().shortfalls(&Settings::read(config)?)
    }

    /// Trials that train nothing take no part in steps, so they are not with others, and each kind of them by itself.
    fn bank_key(&self, config: &Value) -> String {
        let settings = Settings::<T::Own>::read(config);
        let untrained = settings.ok().filter(|settings| !settings.trains());
        let kind = untrained.map_or(String::new(), |settings| settings.common.method.name);
        let mut shared = config.as_object().cloned().unwrap_or_else(Map::new);
        shared.retain(|key, _| !PER_TRIAL.iter().chain(T::PER_TRIAL).any(|own| own == key));
        format!("{kind} {}", Value::Object(shared))
    }

    fn max_bank(&self, config: &Value) -> usize {
        let Ok(Settings { common, .. }) = Settings::<T::Own>::read(config) else { return 1 };
        let most = common.bank.most();
        if common.bank != BankSize::Auto {
            return most;
        }
        match (self.bank_cost(config), device::memory(device::here())) {
            (Some(Ok(cost)), Some(memory)) => cost.fitting(memory.free + memory.held).min(most),
            (Some(Ok(_)), None) => self.fitting_on_cpu(config).min(most),
            // Not even one trial, which its run will say.
            (Some(Err(problem)), _) if out_of_memory::is_told(&problem) => 1,
            // A bank that cannot be rehearsed for another reason says why when it is run.
            _ => most,
        }
    }

    fn measures_bank(&self, config: &Value) -> bool {
        Settings::<T::Own>::read(config).is_ok_and(|settings| settings.common.bank == BankSize::Auto)
    }

    fn update_seconds(&self, config: &Value) -> Vec<(usize, f64)> {
        self.bank_cost(config).and_then(Result::ok).map_or(Vec::new(), |cost| cost.seconds())
    }

    fn run_bank(&self, trials: &[Trial], context: &BankContext) -> Result<Vec<Outcome>> {
        let _mode = gradient_mode::switched_on();
        let settings = trials.iter().map(|trial| Settings::read(&trial.config));
        let settings = settings.collect::<Result<Vec<_>, SettingError>>()?;
        let math = settings[0].common.math();
        let bank = BankRun { trials, settings, context, is_rehearsal: false };
        device::with_math(math, || self.own().run(&bank))
    }

    fn rest(&self) {
        self.task.take();
        device::give_back();
    }

    fn workers(&self) -> Option<Workers> {
        let libtorch = self.libtorch.clone();
        workers(move || Box::new(Finetuning::<T>::new(libtorch.clone())))
    }

    fn estimate(&self, config: &Value, bank: usize) -> Option<Estimate> {
        let settings = Settings::read(config).ok()?;
        let measure = || device::with_math(settings.common.math(), || self.own().estimate(&settings));
        // Without memory for a pass nothing is known; the run says so by itself.
        let estimate = out_of_memory::within(measure).ok()??;
        if !device::here().is_cuda() {
            return Some(estimate);
        }
        match self.bank_cost(config) {
            Some(Ok(cost)) => Some(cost.correct(estimate, bank)),
            Some(Err(problem)) if out_of_memory::is_told(&problem) => None,
            _ => Some(estimate),
        }
    }

    fn provenance(&self) -> Provenance {
        provenance(&self.libtorch)
    }
}

/// The trials of a bank in the runner's order, with their settings.
pub struct BankRun<'a, Own> {
    pub trials: &'a [Trial],
    pub settings: Vec<Settings<Own>>,
    pub context: &'a BankContext<'a>,
    /// Whether a few updates are made to see what they take, and nothing else.
    pub(crate) is_rehearsal: bool,
}

/// A slot of a bank: its trial and the trial's settings.
pub struct Slot<'a, Own> {
    pub id: &'a str,
    pub settings: &'a Settings<Own>,
    /// Whether an earlier run has finished the trial, so that its files and outcome are there.
    pub is_done: bool,
}

impl<Own> Clone for Slot<'_, Own> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Own> Copy for Slot<'_, Own> {}

impl<Own: OwnSettings> BankRun<'_, Own> {
    /// What the trials of the bank have in common, in the settings of the first.
    pub fn shared(&self) -> &Settings<Own> {
        &self.settings[0]
    }

    /// Each trial in the runner's order.
    pub fn slots(&self) -> Vec<Slot<'_, Own>> {
        let trials = self.trials.iter().zip(&self.settings).zip(self.context.done);
        trials.map(|((trial, settings), &is_done)| Slot { id: &trial.id, settings, is_done }).collect()
    }

    /// Each trial as delora-core takes it.
    pub fn trials(&self, trial: impl Fn(&Settings<Own>) -> TrialConfig) -> Vec<TrialConfig> {
        self.settings.iter().map(trial).collect()
    }

    /// Trains a bank of `trials` that adapts `sites`, and reports every trial that was not finished before. `place` sets
    /// first values that are not the bank's own; `lesson` gets the trials by slot.
    pub fn finetune<'b, L: Lesson>(
        &'b self,
        (sites, trials, device): (&[Site], &[TrialConfig], Device),
        place: impl FnOnce(&mut Bank) -> Result<()>,
        lesson: impl FnOnce(Vec<Slot<'b, Own>>) -> Result<L>,
    ) -> Result<Vec<Outcome>> {
        let common = &self.shared().common;
        if let Some(layer) = &common.tracked_layer {
            let is_there = sites.iter().any(|site| site.name == *layer);
            ensure!(is_there, "tracked_layer: `{layer}` is no layer of the model");
        }
        let mut bank = Bank::new(sites, trials, device)?;
        place(&mut bank)?;
        let trials = self.slots();
        let slots: Vec<Slot<Own>> = bank.order().iter().map(|&trial| trials[trial]).collect();
        let mut lesson = lesson(slots.clone())?;
        common.check_evaluate_at(lesson.total_steps())?;
        let mut training = Training::resume(bank, &self.context.checkpoint_dir)?;
        if self.is_rehearsal {
            return Err(Rehearsed::of(&mut training, &mut lesson)?.into());
        }
        if self.shared().trains() {
            training.run(&mut lesson, common, self.context)?;
        }
        let finished = out_of_memory::within(|| lesson.finish(&mut training)).map_err(AfterTraining)?;
        let finished = finished.map_err(|error| match format!("{error:#}") {
            lack if out_of_memory::is_told(&lack) => AfterTraining(lack).into(),
            _ => error,
        })?;
        let last = lesson.total_steps();
        if common.evaluate_at.contains(&last) {
            let scores = finished.iter().map(|finished| finished.metrics.clone()).collect();
            training.record.scores.insert(last, scores);
        }
        let trained = statuses(&training.bank);
        let mut outcomes = Vec::new();
        for (index, (slot, finished)) in slots.iter().zip(finished).enumerate() {
            if !slot.is_done {
                outcomes.push(self.outcome(slot, finished, &training, (index, &trained[index]))?);
            }
        }
        Ok(outcomes)
    }

    fn outcome(
        &self,
        slot: &Slot<Own>,
        finished: Finished,
        training: &Training,
        (index, trained): (usize, &Status),
    ) -> Result<Outcome> {
        let Training { bank, record } = training;
        let Finished { metrics, items, artifacts } = finished;
        let mut outcome = Outcome { metrics, items, artifacts, ..Outcome::new(slot.id, Status::Done) };
        outcome.metrics.insert("num_parameters".to_owned(), bank.num_parameters(index) as f64);
        add_curves(record, index, slot.settings.common.tracked_layer.as_deref(), &mut outcome);
        for metric in ["distance", "mean_distance"] {
            let is_last = |point: &&runner::CurvePoint| point.metric == metric && point.step == bank.steps();
            if let Some(value) = outcome.curves.iter().rfind(is_last).map(|point| point.value) {
                outcome.metrics.entry(metric.to_owned()).or_insert(value);
            }
        }
        let (trains, steps) = (slot.settings.trains(), bank.steps());
        End { slot: index, trains, steps, trained, broken: &record.broken }.conclude(&mut outcome);
        outcome.train_seconds = record.seconds / self.trials.len() as f64;
        let mut write = |kind: &str, bytes: &[u8], extension: &str| -> Result<()> {
            let file = format!("{}.{extension}", slot.id);
            runner::write_atomically(&self.context.artifacts_dir.join(&file), bytes)?;
            outcome.artifacts.insert(kind.to_owned(), file);
            Ok(())
        };
        if let Some(text) = csv(record, index) {
            write("telemetry", text.as_bytes(), "telemetry.csv")?;
        }
        if self.context.save_adapters && trains && outcome.status == Status::Done {
            let file = format!("{}.adapter.safetensors", slot.id);
            bank.adapter(index)?.save(&self.context.artifacts_dir.join(&file))?;
            outcome.artifacts.insert("adapter".to_owned(), file);
        }
        Ok(outcome)
    }
}

/// The outcome of a trial without a bank, which trains nothing. `broken` is of its slot 0.
pub fn untrained(id: &str, finished: Finished, broken: &Broken) -> Outcome {
    let Finished { metrics, items, artifacts } = finished;
    let mut outcome = Outcome { metrics, items, artifacts, ..Outcome::new(id, Status::Done) };
    End { slot: 0, trains: false, steps: 0, trained: &Status::Done, broken }.conclude(&mut outcome);
    outcome
}
