//! The task as the runner sees it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use anyhow::Result;
use delora_core::{Bank, METHODS};
use driver::{Digests, KnownSites, Latest, Proposed};
use models::llama::LlamaConfig;
use runner::{BankContext, Estimate, Outcome, Provenance, SettingError, Trial, Workers, Workload};
use serde_json::{Value, json};

use crate::bank_run::BankRun;
use crate::estimate::{TokenCost, estimate, measure};
use crate::settings::Settings;
use crate::training::{Lesson, Training};
use crate::world::{Corpus, Exams, Network, files, shortfalls};

/// Instruction tuning.
#[derive(Default)]
pub struct Instruct {
    /// The decoder of the last run, by where it came from.
    network: Latest<Network>,
    /// Examples and questions of the last run, by all that they depend on.
    corpus: Latest<Corpus>,
    exams: Latest<Exams>,
    digests: RefCell<Digests>,
    /// Where the networks of checked trials can be adapted.
    sites: KnownSites,
    /// Measured seconds and bytes of a token, by what they depend on.
    costs: RefCell<HashMap<String, TokenCost>>,
    /// What [`shortfalls`] found, by all that it depends on.
    shortfalls: RefCell<HashMap<String, Vec<String>>>,
    libtorch: String,
}

impl Instruct {
    /// `libtorch` is the version that runs, for the records.
    pub fn new(libtorch: String) -> Instruct {
        Instruct { libtorch, ..Instruct::default() }
    }

    fn network(&self, settings: &Settings) -> Result<Rc<Network>> {
        let key = json!([settings.model, settings.precision]).to_string();
        self.network.get(key, || {
            driver::covered(&files(settings)?, || Network::load(&settings.model, settings.precision.kind()))
        })
    }

    fn corpus(&self, settings: &Settings, network: &Network) -> Result<Rc<Corpus>> {
        let Settings {
            model, instructions, test_share, max_length, loss_on, train_limit, test_limit, ..
        } = settings;
        let key = json!([model, instructions, test_share, max_length, loss_on, train_limit, test_limit]);
        self.corpus
            .get(key.to_string(), || driver::covered(&files(settings)?, || Corpus::read(settings, network)))
    }

    fn exams(&self, settings: &Settings, network: &Network) -> Result<Rc<Exams>> {
        let key = json!([settings.model, settings.evaluation]).to_string();
        self.exams.get(key, || driver::covered(&files(settings)?, || Exams::read(settings, network)))
    }
}

/// What trials of a bank may differ in.
const OWN: [&str; 6] =
    ["method", "seed", "learning_rate_multiplier", "optimizer", "schedule", "warmup_steps"];

impl Workload for Instruct {
    fn task(&self) -> &str {
        "instruct"
    }

    fn methods(&self) -> Vec<runner::MethodText> {
        driver::methods()
    }

    fn paths(&self) -> &'static [&'static str] {
        &["model", "instructions", "evaluation.data", "evaluation.tasks"]
    }

    fn expand(&self, _: &str, _: &Value, _: &Value) -> Result<Option<Vec<Value>>> {
        Ok(None)
    }

    fn names(&self, key: &str) -> Option<Vec<String>> {
        (key == "method").then(|| METHODS.iter().map(|method| method.about.name.to_owned()).collect())
    }

    fn validate(&self, config: &Value) -> Result<String> {
        let settings = Settings::read(config)?;
        let proposed = Proposed { method: &settings.method, trial: settings.trial(1), tracked_layer: None };
        self.sites.check(&settings.model.join("config.json"), harness::sites_of::<LlamaConfig>, &proposed)?;
        self.digests.borrow_mut().of(&files(&settings)?)
    }

    fn shortfalls(&self, config: &Value) -> Result<Vec<String>> {
        let settings = Settings::read(config)?;
        let Settings { instructions, test_share, train_limit, test_limit, answers, evaluation, .. } =
            &settings;
        let key = json!([instructions, test_share, train_limit, test_limit, answers, evaluation]).to_string();
        if let Some(known) = self.shortfalls.borrow().get(&key) {
            return Ok(known.clone());
        }
        let found = shortfalls(&settings)?;
        self.shortfalls.borrow_mut().insert(key, found.clone());
        Ok(found)
    }

    /// Trials that train nothing take no part in steps, so they are not with others.
    fn bank_key(&self, config: &Value) -> String {
        let is_untrained = Settings::read(config).is_ok_and(|settings| settings.is_untrained());
        format!("{is_untrained} {}", driver::shared(config, &OWN))
    }

    fn max_bank(&self, config: &Value) -> usize {
        Settings::read(config).map_or(1, |settings| settings.bank)
    }

    fn run_bank(&self, trials: &[Trial], context: &BankContext) -> Result<Vec<Outcome>> {
        let _mode = gradient_mode::switched_on();
        let settings = trials
            .iter()
            .map(|trial| Settings::read(&trial.config))
            .collect::<Result<Vec<Settings>, SettingError>>()?;
        let network = self.network(&settings[0])?;
        let corpus = self.corpus(&settings[0], &network)?;
        let exams = self.exams(&settings[0], &network)?;
        let unsorted: Vec<&Settings> = settings.iter().collect();
        let lesson = |settings| Lesson { network: &network, corpus: &corpus, settings };
        let total_steps = lesson(&unsorted).total_steps();
        let configs: Vec<_> = settings.iter().map(|own| own.trial(total_steps)).collect();
        let bank = Bank::new(&network.sites(), &configs, network.device)?;
        let order = bank.order().to_vec();
        let settings: Vec<&Settings> = order.iter().map(|&trial| &settings[trial]).collect();
        let mut training = Training::resume(bank, &context.checkpoint_dir)?;
        let run = BankRun { trials, order: &order, lesson: lesson(&settings), exams: &exams, context };
        run.run(&mut training)
    }

    fn workers(&self) -> Option<Workers> {
        let libtorch = self.libtorch.clone();
        driver::workers(move || Box::new(Instruct::new(libtorch.clone())))
    }

    fn estimate(&self, config: &Value) -> Option<Estimate> {
        let settings = Settings::read(config).ok()?;
        let network = self.network(&settings).ok()?;
        let corpus = self.corpus(&settings, &network).ok()?;
        let exams = self.exams(&settings, &network).ok()?;
        let mut costs = self.costs.borrow_mut();
        let Settings { bank, tokens_per_pass, checkpointing, .. } = settings;
        let key = json!([bank, tokens_per_pass, checkpointing, settings.model]).to_string();
        let cost = *costs.entry(key).or_insert_with(|| measure(&network, &settings));
        Some(estimate(&network, &corpus, &exams, cost, &settings))
    }

    fn provenance(&self) -> Provenance {
        driver::provenance(&self.libtorch)
    }
}
