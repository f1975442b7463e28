//! The task as the runner sees it.

use std::path::PathBuf;
use std::rc::Rc;

use anyhow::Result;
use delora_core::TrialConfig;
use finetune::{BankRun, DropoutRates, Finetuning, Known, Latest, PassCost, Task, shortfall};
use models::roberta::EncoderConfig;
use runner::{Estimate, Outcome};
use serde_json::json;

use crate::data::Split;
use crate::estimate::{estimate, measure};
use crate::lesson::Lesson;
use crate::settings::{GlueSettings, Settings, halves_of, trial_of};
use crate::tasks::{TASKS, TextTask};
use crate::world::{Corpus, Network, files};

/// GLUE.
pub type Glue = Finetuning<TextTuning<true>>;
/// A classification of texts, or a regression, on data of one's own.
pub type TextClassification = Finetuning<TextTuning<false>>;

/// What is these tasks' own, and is kept from bank to bank; `IS_GLUE` is which of the two.
#[derive(Default)]
pub struct TextTuning<const IS_GLUE: bool> {
    /// The encoder of the last run, by where it came from.
    network: Latest<Network>,
    /// Examples of the last task, by all that they depend on.
    corpus: Latest<Corpus>,
    /// Measured seconds and bytes of a token, by what they depend on.
    costs: Known<PassCost>,
    /// Tasks, with their numbers of training and validation examples, by where they are.
    counts: Known<(TextTask, [usize; 2])>,
}

impl<const IS_GLUE: bool> TextTuning<IS_GLUE> {
    fn network(&self, settings: &Settings) -> Result<Rc<Network>> {
        self.network.get(format!("{:?}", settings.model), || {
            finetune::covered(&files(settings)?, || Network::load(&settings.model))
        })
    }

    fn corpus(&self, settings: &Settings, network: &Network) -> Result<Rc<Corpus>> {
        let GlueSettings { model, data, glue_task, dataset, max_length, train_limit, .. } = &**settings;
        let key = json!([model, data, glue_task, dataset, max_length, train_limit]).to_string();
        self.corpus
            .get(key, || finetune::covered(&files(settings)?, || Corpus::read(settings, network.config())))
    }

    /// The task, and how many training and validation examples there are.
    fn counts(&self, settings: &Settings) -> Result<(TextTask, [usize; 2])> {
        let GlueSettings { data, glue_task, dataset, .. } = &**settings;
        self.counts.get(json!([data, glue_task, dataset]).to_string(), || {
            let task = settings.task()?;
            let count = |split| settings.examples(&task, split).map(|rows| rows.len());
            let counts = [count(Split::Train)?, count(Split::Validation)?];
            Ok((task, counts))
        })
    }
}

impl<const IS_GLUE: bool> Task for TextTuning<IS_GLUE> {
    type Own = GlueSettings;
    type Config = EncoderConfig;
    const NAME: &'static str = if IS_GLUE { "glue" } else { "text-classification" };
    const PATHS: &'static [&'static str] = &["model", "data", "dataset.train", "dataset.validation"];
    const PER_TRIAL: &'static [&'static str] = &["warmup_ratio", "dropout"];
    const IMMATERIAL: &'static [&'static str] = &["tokens_per_pass"];

    fn names(key: &str) -> Option<Vec<String>> {
        (key == "glue_task").then(|| TASKS.iter().map(|task| task.name.clone()).collect())
    }

    fn trial(settings: &Settings, total_steps: u64) -> TrialConfig {
        trial_of(settings, total_steps)
    }

    fn network_config(settings: &Settings) -> PathBuf {
        settings.model.join("config.json")
    }

    fn dropout(settings: &Settings) -> Result<DropoutRates> {
        Ok(settings.dropout.rates(&models::read_config(&Self::network_config(settings))?))
    }

    fn files(settings: &Settings) -> Result<Vec<PathBuf>> {
        files(settings)
    }

    fn shortfalls(&self, settings: &Settings) -> Result<Vec<String>> {
        let &GlueSettings { train_limit, validation_limit, test_limit, .. } = &**settings;
        if [train_limit, validation_limit, test_limit].iter().all(Option::is_none) {
            return Ok(Vec::new());
        }
        let (task, [training, validation]) = self.counts(settings)?;
        let halves = halves_of(settings, &task, validation, false)?;
        let found = [
            ("train_limit", train_limit, training, "training set"),
            ("validation_limit", validation_limit, halves.tuning.len(), "tuning half"),
            ("test_limit", test_limit, halves.test.len(), "test half"),
        ];
        let said = found.map(|(key, limit, found, what)| {
            shortfall(key, limit, found, &format!("the {what} of `{}`", task.name))
        });
        Ok(said.into_iter().flatten().collect())
    }

    fn run(&self, bank: &BankRun<GlueSettings>) -> Result<Vec<Outcome>> {
        let shared = bank.shared();
        let network = self.network(shared)?;
        let corpus = self.corpus(shared, &network)?;
        let head = network.head(&corpus.task);
        let steps_per_epoch = corpus.train.labels.len().div_ceil(shared.common.batch) as u64;
        let trials = bank.trials(|settings| trial_of(settings, shared.epochs * steps_per_epoch));
        bank.finetune(
            (&network.sites(&head), &trials, network.device),
            |_| Ok(()),
            |slots| Lesson::new(&network, &head, &corpus, slots),
        )
    }

    fn estimate(&self, settings: &Settings) -> Option<Estimate> {
        let network = self.network(settings).ok()?;
        let corpus = self.corpus(settings, &network).ok()?;
        let key = json!([settings.common.bank, settings.tokens_per_pass, settings.model]).to_string();
        let cost = self.costs.get(key, || Ok::<_, ()>(measure(&network, settings))).ok()?;
        Some(estimate(&network, &corpus, cost, settings))
    }
}

#[cfg(test)]
mod tests {
    use runner::Workload;

    use super::*;
    use crate::settings::tests::{config, lora};

    #[test]
    fn a_limit_beyond_the_data_is_named_with_what_is_used() {
        let glue = Glue::default();
        let mut config = config(lora(), "cola", 1);
        assert!(glue.shortfalls(&config).unwrap().is_empty(), "there is as much as is asked for");
        let (_, [training, validation]) = glue.own().counts(&Settings::read(&config).unwrap()).unwrap();
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
