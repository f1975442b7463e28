//! The task as the runner sees it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use anyhow::Result;
use delora_core::{Bank, METHODS};
use driver::{Digests, KnownSites, Latest, Proposed, shortfall};
use models::roberta::EncoderConfig;
use runner::{BankContext, Estimate, Outcome, Provenance, SettingError, Trial, Workers, Workload};
use serde_json::{Value, json};

use crate::bank_run::BankRun;
use crate::data::{self, Split};
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
    /// Numbers of training and validation examples, by task and where they are.
    counts: RefCell<HashMap<String, [usize; 2]>>,
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

    /// How many training and validation examples there are.
    fn counts(&self, settings: &Settings) -> Result<[usize; 2]> {
        let key = json!([settings.data, settings.glue_task]).to_string();
        if let Some(counts) = self.counts.borrow().get(&key) {
            return Ok(*counts);
        }
        let count = |split| data::read(&settings.data, settings.task(), split).map(|rows| rows.len());
        let counts: [usize; 2] = [count(Split::Train)?, count(Split::Validation)?];
        self.counts.borrow_mut().insert(key, counts);
        Ok(counts)
    }
}

/// What trials of a bank may differ in.
const OWN: [&str; 6] = ["method", "seed", "learning_rate_multiplier", "optimizer", "warmup_ratio", "dropout"];

impl Workload for Glue {
    fn task(&self) -> &str {
        "glue"
    }

    fn methods(&self) -> Vec<runner::MethodText> {
        driver::methods()
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

    fn shortfalls(&self, config: &Value) -> Result<Vec<String>> {
        let settings = Settings::read(config)?;
        let Settings { train_limit, validation_limit, test_limit, ref glue_task, .. } = settings;
        if [train_limit, validation_limit, test_limit].iter().all(Option::is_none) {
            return Ok(Vec::new());
        }
        let [training, validation] = self.counts(&settings)?;
        let unlimited = Settings { validation_limit: None, test_limit: None, ..settings.clone() };
        let halves = unlimited.halves(validation)?;
        let found = [
            shortfall("train_limit", train_limit, training, &format!("the training set of `{glue_task}`")),
            shortfall(
                "validation_limit",
                validation_limit,
                halves.tuning.len(),
                &format!("the tuning half of `{glue_task}`"),
            ),
            shortfall(
                "test_limit",
                test_limit,
                halves.test.len(),
                &format!("the test half of `{glue_task}`"),
            ),
        ];
        Ok(found.into_iter().flatten().collect())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::{config, lora};

    #[test]
    fn a_limit_beyond_the_data_is_named_with_what_is_used() {
        let glue = Glue::default();
        let mut config = config(lora(), "cola", 1);
        assert!(glue.shortfalls(&config).unwrap().is_empty(), "there is as much as is asked for");
        let [training, validation] = glue.counts(&Settings::read(&config).unwrap()).unwrap();
        config["train_limit"] = json!(1_000_000);
        config["test_limit"] = json!(999_999);
        let said = glue.shortfalls(&config).unwrap();
        let wanted = [
            format!(
                "train_limit is 1000000, and the training set of `cola` has {training}: all of them are used"
            ),
            format!(
                "test_limit is 999999, and the test half of `cola` has {}: all of them are used",
                validation / 2
            ),
        ];
        assert_eq!(said, wanted);
    }
}
