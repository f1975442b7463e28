//! A workload without a model: each trial walks down a noisy parabola, and the faults of real ones can be ordered.

use std::cell::{Cell, RefCell};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use runner::{
    AfterTraining, BankContext, CurvePoint, Estimate, Interrupted, MethodText, Outcome, Provenance,
    SettingError, Status, Trial, WorkerPlace, Workers, Workload, settings, write_atomically,
};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub steps: u64,
    pub seed: u64,
    pub subject: Value,
    pub method: Method,
    #[serde(default = "one")]
    pub rate_multiplier: f64,
    /// The most trials in a bank; absent: four.
    #[serde(default)]
    pub bank: Option<usize>,
    /// A file whose contents matter, and its name does not.
    #[serde(default)]
    pub data: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Method {
    #[serde(rename = "name")]
    _name: String,
    pub rate: f64,
    #[serde(default)]
    pub rank: u32,
    #[serde(default)]
    pub fault: Option<Fault>,
}

/// What goes wrong in the bank that the trial is in.
#[derive(Deserialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    Error,
    Panic,
    Silent,
    NotANumber,
    /// What a checkpoint holds is a little off.
    Forgetful,
    /// No more than two trials fit into memory.
    Hungry,
}

fn one() -> f64 {
    1.0
}

#[derive(Default)]
pub struct Toy {
    /// Time that each step of a bank takes.
    pub pause: Duration,
    /// Largest bank that fits into memory, if memory is short.
    pub memory: Option<usize>,
    /// Banks to run side by side; 0 and 1: in turn.
    pub workers: usize,
    /// Whether there is no memory for what follows training.
    pub unscored: bool,
    /// Whether a plan may ask for expected times.
    pub measured: bool,
    /// The place among the workers, which names the device.
    pub place: usize,
    /// Workers whose device breaks in their first bank.
    pub broken: Vec<usize>,
    /// Ids of every bank that was run by this workload itself, in order.
    pub banks: RefCell<Vec<Vec<String>>>,
    /// Step after which each bank stops at a checkpoint, as if asked to.
    pub stop_after: Option<u64>,
    /// A file that the first bank waits for, so that many workers begin together.
    pub hold: Option<PathBuf>,
    /// From the begin of the first bank to the end of the last that this workload ran itself.
    pub busy: Cell<Option<(Instant, Instant)>>,
    /// How long it paused in them.
    pub paused: Cell<Duration>,
    /// A file that gets a line with the id of each trial whenever its bank begins or goes on.
    pub log: Option<PathBuf>,
}

const SUBJECTS: [&str; 4] = ["ant", "bee", "cat", "dog"];
const METHODS: [&str; 3] = ["plain", "bounded", "wild"];

impl Workload for Toy {
    fn task(&self) -> &str {
        "toy"
    }

    fn expand(&self, key: &str, value: &Value, _config: &Value) -> Result<Option<Vec<Value>>> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Selection {
            first: usize,
            #[serde(default)]
            skip: usize,
        }
        if key != "subject" || value.get("first").is_none() {
            return Ok(None);
        }
        let Selection { first, skip } = settings(value).map_err(|error| error.under(key))?;
        Ok(Some(SUBJECTS.iter().skip(skip).take(first).map(|name| json!(name)).collect()))
    }

    fn methods(&self) -> Vec<MethodText> {
        let text = |name: &str| MethodText {
            name: name.to_string(),
            title: format!("A {name} walk"),
            formula: "x + rate · step".to_string(),
            parameters: "place".to_string(),
        };
        METHODS.into_iter().map(text).collect()
    }

    fn names(&self, key: &str) -> Option<Vec<String>> {
        let names: &[&str] = match key {
            "method" => &METHODS,
            "subject" => &SUBJECTS,
            _ => return None,
        };
        Some(names.iter().map(|name| name.to_string()).collect())
    }

    fn validate(&self, config: &Value) -> Result<String> {
        let name = config.pointer("/method/name").and_then(Value::as_str);
        if let Some(name) = name.filter(|name| !METHODS.contains(name)) {
            bail!(SettingError::unknown_name("method.name", "method", name, &METHODS));
        }
        let config: Config = settings(config)?;
        if config.method.rate <= 0.0 {
            let message = format!("found {}; a rate is above 0", config.method.rate);
            bail!(SettingError::new("method.rate", message));
        }
        Ok(match config.data {
            None => "digest".to_string(),
            Some(path) => std::fs::read_to_string(&path)
                .with_context(|| format!("{}: cannot be read", path.display()))?,
        })
    }

    fn bank_key(&self, config: &Value) -> String {
        config["steps"].to_string()
    }

    fn max_bank(&self, config: &Value) -> usize {
        settings::<Config>(config).ok().and_then(|config| config.bank).unwrap_or(4)
    }

    fn paths(&self) -> &'static [&'static str] {
        &["data"]
    }

    fn material(&self, mut config: Value) -> Value {
        config.as_object_mut().expect("a table").remove("bank");
        config
    }

    fn measures_bank(&self, _config: &Value) -> bool {
        self.measured
    }

    fn workers(&self) -> Option<Workers> {
        let (pause, memory, log, broken) = (self.pause, self.memory, self.log.clone(), self.broken.clone());
        let make = move |place: WorkerPlace| -> Box<dyn Workload> {
            let (log, broken) = (log.clone(), broken.clone());
            Box::new(Toy { pause, memory, log, broken, place: place.index, ..Toy::default() })
        };
        (self.workers > 1).then(|| Workers { most: self.workers, make: Box::new(make) })
    }

    fn run_bank(&self, trials: &[Trial], context: &BankContext) -> Result<Vec<Outcome>> {
        let begun = self.busy.get().map_or_else(
            || {
                while self.hold.as_ref().is_some_and(|file| !file.exists()) {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Instant::now()
            },
            |(first, _)| first,
        );
        let outcomes = self.walk(trials, context);
        self.busy.set(Some((begun, Instant::now())));
        outcomes
    }

    fn estimate(&self, _config: &Value, _bank: usize) -> Option<Estimate> {
        Some(Estimate {
            seconds: 30.0,
            memory_bytes: 1_000_000_000,
            trained_bytes: 100_000_000,
            frozen_bytes: 0,
        })
    }

    fn provenance(&self) -> Provenance {
        let device = if self.broken.is_empty() { "cpu".to_string() } else { format!("cpu:{}", self.place) };
        Provenance { device, libtorch: String::new() }
    }
}

impl Toy {
    fn pause(&self) {
        std::thread::sleep(self.pause);
        self.paused.set(self.paused.get() + self.pause);
    }

    fn walk(&self, trials: &[Trial], context: &BankContext) -> Result<Vec<Outcome>> {
        self.banks.borrow_mut().push(trials.iter().map(|trial| trial.id.clone()).collect());
        self.write_log(trials, context)?;
        if self.broken.contains(&self.place) {
            bail!("CUDA error: an illegal memory access was encountered");
        }
        let configs: Vec<Config> =
            trials.iter().map(|trial| settings(&trial.config)).collect::<Result<_, _>>()?;
        let hungry = configs.iter().any(|config| config.method.fault == Some(Fault::Hungry));
        if self.memory.or(hungry.then_some(2)).is_some_and(|memory| trials.len() > memory) {
            bail!("CUDA out of memory. Tried to allocate 2 GiB");
        }
        let path = context.checkpoint_dir.join("state.json");
        let mut state = match Walk::load(&path)? {
            Some(mut state) => {
                let forgetful = |slot: &usize| configs[*slot].method.fault == Some(Fault::Forgetful);
                (0..trials.len()).filter(forgetful).for_each(|slot| state.places[slot] += 1e-12);
                context.progress.step(state.step, configs[0].steps, "going on");
                state
            }
            None => Walk::new(trials.len()),
        };
        let (started, mut saved) = (Instant::now(), Instant::now());
        while state.step < configs[0].steps {
            self.pause();
            state.advance(&configs);
            context.progress.step(state.step, configs[0].steps, "walking");
            let stops = context.stopped() || self.stop_after == Some(state.step);
            if stops || saved.elapsed() >= context.checkpoint_every {
                write_atomically(
                    &path,
                    json!([state.step, state.places, state.losses]).to_string().as_bytes(),
                )?;
                saved = Instant::now();
            }
            if stops {
                return Err(Interrupted.into());
            }
        }
        if self.unscored {
            return Err(AfterTraining("out of memory".to_string()).into());
        }
        let train_seconds = started.elapsed().as_secs_f64() / trials.len() as f64;
        let mut late = Vec::new();
        for slot in (0..trials.len()).filter(|slot| !context.done[*slot]) {
            match configs[slot].method.fault {
                Some(Fault::Error) => return Err(anyhow!("the disk is gone").context("reading the pictures")),
                Some(Fault::Panic) => panic!("index out of bounds in slot {slot}"),
                Some(Fault::Silent) => continue,
                Some(Fault::NotANumber | Fault::Forgetful | Fault::Hungry) | None => {}
            }
            self.pause();
            let mut outcome = state.outcome(slot, &trials[slot], &configs[slot], context)?;
            outcome.train_seconds = train_seconds;
            // Half are reported at once and half at the end, since both are allowed.
            if slot % 2 == 0 { (context.finished)(outcome) } else { late.push(outcome) }
        }
        Ok(late)
    }

    fn write_log(&self, trials: &[Trial], context: &BankContext) -> Result<()> {
        let Some(log) = &self.log else { return Ok(()) };
        let open = trials.iter().zip(context.done).filter(|(_, done)| !**done);
        let lines: String = open.map(|(trial, _)| format!("{}\n", trial.id)).collect();
        Ok(OpenOptions::new().create(true).append(true).open(log)?.write_all(lines.as_bytes())?)
    }
}

/// Where every trial of a bank is.
struct Walk {
    step: u64,
    places: Vec<f64>,
    losses: Vec<Vec<f64>>,
}

const DIVERGED: f64 = 1e6;

impl Walk {
    fn new(slots: usize) -> Walk {
        Walk { step: 0, places: vec![1.0; slots], losses: vec![Vec::new(); slots] }
    }

    fn load(path: &Path) -> Result<Option<Walk>> {
        if !path.exists() {
            return Ok(None);
        }
        let (step, places, losses) = serde_json::from_slice(&std::fs::read(path)?)?;
        Ok(Some(Walk { step, places, losses }))
    }

    fn advance(&mut self, configs: &[Config]) {
        for (slot, config) in configs.iter().enumerate() {
            // The noise of a step comes from the trial's own seed and subject.
            let noise = blake3::hash(format!("{} {} {}", config.seed, config.subject, self.step).as_bytes())
                .as_bytes()[0];
            let place = &mut self.places[slot];
            *place -= config.method.rate * config.rate_multiplier * (*place + f64::from(noise) / 2560.0);
            self.losses[slot].push(*place * *place);
        }
        self.step += 1;
    }

    fn outcome(&self, slot: usize, trial: &Trial, config: &Config, context: &BankContext) -> Result<Outcome> {
        let losses = &self.losses[slot];
        let status = match losses.iter().position(|loss| *loss > DIVERGED) {
            Some(step) => Status::Diverged { step: step as u64, reason: None },
            None => Status::Done,
        };
        let mut outcome = Outcome::new(&trial.id, status);
        let score =
            if config.method.fault == Some(Fault::NotANumber) { f64::NAN } else { -losses[losses.len() - 1] };
        outcome.metrics.insert("score".to_string(), score);
        outcome.items.insert("score".to_string(), vec![score - 0.25, score, score + 0.25]);
        if let Status::Diverged { step, .. } = outcome.status {
            outcome.metrics.insert("diverged_step".to_string(), step as f64);
        }
        outcome.metrics.insert("num_parameters".to_string(), f64::from(config.method.rank));
        let point = |(step, value): (usize, &f64)| CurvePoint {
            step: step as u64,
            metric: "loss".to_string(),
            layer: None,
            value: *value,
        };
        outcome.curves = losses.iter().enumerate().map(point).collect();
        let picture = format!("{}.txt", trial.id);
        write_atomically(&context.artifacts_dir.join(&picture), trial.id.as_bytes())?;
        outcome.artifacts.insert("picture".to_string(), picture);
        if context.save_adapters {
            let adapter = format!("{}.adapter.txt", trial.id);
            write_atomically(&context.artifacts_dir.join(&adapter), format!("{losses:?}").as_bytes())?;
            outcome.artifacts.insert("adapter".to_string(), adapter);
        }
        Ok(outcome)
    }
}
