//! The task as the runner sees it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use anyhow::Result;
use delora_core::{Bank, METHODS};
use driver::{Digests, KnownSites, Latest, Proposed};
use models::roberta::EncoderConfig;
use runner::{BankContext, Estimate, Outcome, Provenance, SettingError, Trial, Workers, Workload};
use serde_json::{Value, json};

use crate::bank_run::BankRun;
use crate::estimate::{estimate, measure};
use crate::settings::Settings;
use crate::tasks::TASKS;
use crate::training::{Lesson, Training};
use crate::world::{Corpus, Network, files};

/// GLUE.
#[derive(Default)]
pub struct Glue {
    /// The encoder of the last run, by where it came from.
    network: Latest<Network>,
    /// Examples of the last task, by all that they depend on.
    corpus: Latest<Corpus>,
    digests: RefCell<Digests>,
    /// Where the networks of checked trials can be adapted.
    sites: KnownSites,
    /// Measured seconds and bytes of a token, by what they depend on.
    costs: RefCell<HashMap<String, crate::estimate::TokenCost>>,
    libtorch: String,
}

impl Glue {
    /// `libtorch` is the version that runs, for the records.
    pub fn new(libtorch: String) -> Glue {
        Glue { libtorch, ..Glue::default() }
    }

    fn network(&self, settings: &Settings) -> Result<Rc<Network>> {
        self.network.get(format!("{:?}", settings.model), || {
            driver::covered(&files(settings)?, || Network::load(&settings.model))
        })
    }

    fn corpus(&self, settings: &Settings, network: &Network) -> Result<Rc<Corpus>> {
        let Settings { model, data, glue_task, max_length, train_limit, .. } = settings;
        let key = json!([model, data, glue_task, max_length, train_limit]).to_string();
        self.corpus
            .get(key, || driver::covered(&files(settings)?, || Corpus::read(settings, network.config())))
    }
}

/// What trials of a bank may differ in.
const OWN: [&str; 6] = ["method", "seed", "learning_rate_multiplier", "optimizer", "warmup_ratio", "dropout"];

impl Workload for Glue {
    fn task(&self) -> &str {
        "glue"
    }

    fn paths(&self) -> &'static [&'static str] {
        &["model", "data"]
    }

    fn expand(&self, _: &str, _: &Value, _: &Value) -> Result<Option<Vec<Value>>> {
        Ok(None)
    }

    fn names(&self, key: &str) -> Option<Vec<String>> {
        match key {
            "method" => Some(METHODS.iter().map(|method| method.about.name.to_owned()).collect()),
            "glue_task" => Some(TASKS.iter().map(|task| task.name.to_owned()).collect()),
            _ => None,
        }
    }

    fn validate(&self, config: &Value) -> Result<String> {
        let settings = Settings::read(config)?;
        let proposed = Proposed { method: &settings.method, trial: settings.trial(1), tracked_layer: None };
        self.sites.check(
            &settings.model.join("config.json"),
            harness::sites_of::<EncoderConfig>,
            &proposed,
        )?;
        self.digests.borrow_mut().of(&files(&settings)?)
    }

    fn bank_key(&self, config: &Value) -> String {
        driver::shared(config, &OWN).to_string()
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
        let head = network.head(settings[0].task());
        let unsorted: Vec<&Settings> = settings.iter().collect();
        let lesson = |settings| Lesson { network: &network, head: &head, corpus: &corpus, settings };
        let total_steps = lesson(&unsorted).total_steps();
        let configs: Vec<_> = settings.iter().map(|own| own.trial(total_steps)).collect();
        let bank = Bank::new(&network.sites(&head), &configs, network.device)?;
        let order = bank.order().to_vec();
        let settings: Vec<&Settings> = order.iter().map(|&trial| &settings[trial]).collect();
        let mut training = Training::resume(bank, &context.checkpoint_dir)?;
        let run = BankRun { trials, order: &order, lesson: lesson(&settings), context };
        run.run(&mut training)
    }

    fn workers(&self) -> Option<Workers> {
        let libtorch = self.libtorch.clone();
        driver::workers(move || Box::new(Glue::new(libtorch.clone())))
    }

    fn estimate(&self, config: &Value) -> Option<Estimate> {
        let settings = Settings::read(config).ok()?;
        let network = self.network(&settings).ok()?;
        let corpus = self.corpus(&settings, &network).ok()?;
        let mut costs = self.costs.borrow_mut();
        let key = format!("{} {} {:?}", settings.bank, settings.tokens_per_pass, settings.model);
        let cost = *costs.entry(key).or_insert_with(|| measure(&network, &settings));
        Some(estimate(&network, &corpus, cost, &settings))
    }

    fn provenance(&self) -> Provenance {
        driver::provenance(&self.libtorch)
    }
}
