//! The task as the runner sees it.

use std::path::PathBuf;
use std::rc::Rc;

use anyhow::Result;
use delora_core::TrialConfig;
use finetune::{BankRun, DropoutRates, Finetuning, Known, Latest, PassCost, Task, shortfall};
use models::images::Preprocessor;
use models::vit::VitConfig;
use runner::{Estimate, Outcome};
use serde_json::json;

use crate::estimate::{Sizes, estimate, measure};
use crate::lesson::Lesson;
use crate::settings::{PictureSettings, Settings, trial_of};
use crate::world::{Corpus, Listings, Network, files};

/// Finetuning a vision transformer on labelled pictures.
pub type ImageClassification = Finetuning<PictureTuning>;

/// What is the task's own, and is kept from bank to bank.
#[derive(Default)]
pub struct PictureTuning {
    /// The transformer of the last run, by where it came from.
    network: Latest<Network>,
    /// Pictures of the last run, by all that they depend on.
    corpus: Latest<Corpus>,
    /// Measured seconds and bytes of a picture, by what they depend on.
    costs: Known<PassCost>,
    /// Numbers of pictures and classes, by where they are.
    sizes: Known<Sizes>,
}

impl PictureTuning {
    fn network(&self, settings: &Settings) -> Result<Rc<Network>> {
        self.network.get(format!("{:?}", settings.model), || {
            finetune::covered(&files(settings)?, || Network::load(&settings.model))
        })
    }

    fn corpus(&self, settings: &Settings, network: &Network) -> Result<Rc<Corpus>> {
        let PictureSettings { model, data, train_split, test_split, train_limit, test_limit, .. } =
            &**settings;
        let key = json!([model, data, train_split, test_split, train_limit, test_limit]).to_string();
        self.corpus.get(key, || {
            let listings = Listings::find(settings)?;
            let read = || Corpus::read(settings, &listings, &network.preprocessor);
            finetune::covered(&files(settings)?, read)
        })
    }

    fn sizes(&self, settings: &Settings) -> Result<Sizes> {
        let PictureSettings { data, train_split, test_split, .. } = &**settings;
        self.sizes.get(json!([data, train_split, test_split]).to_string(), || {
            let ([train, test], num_classes) = Listings::find(settings)?.labelled()?;
            Ok(Sizes { train: train.labels.len(), test: test.labels.len(), num_classes })
        })
    }
}

impl Task for PictureTuning {
    type Own = PictureSettings;
    type Config = VitConfig;
    const NAME: &'static str = "image-classification";
    const PATHS: &'static [&'static str] = &["model", "data"];
    const PER_TRIAL: &'static [&'static str] = &["warmup_ratio", "dropout"];
    const IMMATERIAL: &'static [&'static str] = &["pictures_per_pass"];

    fn trial(settings: &Settings, total_steps: u64) -> TrialConfig {
        trial_of(settings, total_steps)
    }

    fn network_config(settings: &Settings) -> PathBuf {
        settings.model.join("config.json")
    }

    fn check(settings: &Settings) -> Result<()> {
        let config: VitConfig = models::read_config(&Self::network_config(settings))?;
        Ok(Preprocessor::read(&settings.model, config.image_size as u32).map(drop)?)
    }

    fn dropout(settings: &Settings) -> Result<DropoutRates> {
        Ok(settings.dropout_rates())
    }

    fn files(settings: &Settings) -> Result<Vec<PathBuf>> {
        files(settings)
    }

    fn shortfalls(&self, settings: &Settings) -> Result<Vec<String>> {
        let &PictureSettings { train_limit, test_limit, ref train_split, ref test_split, .. } = &**settings;
        if train_limit.or(test_limit).is_none() {
            return Ok(Vec::new());
        }
        let sizes = self.sizes(settings)?;
        let found = [
            ("train_limit", train_limit, sizes.train, train_split),
            ("test_limit", test_limit, sizes.test, test_split),
        ];
        let said = found
            .map(|(key, limit, found, split)| shortfall(key, limit, found, &format!("the split `{split}`")));
        Ok(said.into_iter().flatten().collect())
    }

    fn run(&self, bank: &BankRun<PictureSettings>) -> Result<Vec<Outcome>> {
        let shared = bank.shared();
        let network = self.network(shared)?;
        let corpus = self.corpus(shared, &network)?;
        let head = network.head(corpus.num_classes);
        let steps_per_epoch = corpus.train.labels.len().div_ceil(shared.common.batch) as u64;
        let trials = bank.trials(|settings| trial_of(settings, shared.epochs * steps_per_epoch));
        bank.finetune(
            (&network.sites(&head), &trials, network.device),
            |_| Ok(()),
            |slots| Ok(Lesson::new(&network, &head, &corpus, slots)),
        )
    }

    fn estimate(&self, settings: &Settings) -> Option<Estimate> {
        let network = self.network(settings).ok()?;
        let sizes = self.sizes(settings).ok()?;
        let key = json!([settings.common.precision, settings.pictures_per_pass, settings.model]).to_string();
        let cost = self.costs.get(key, || Ok::<_, ()>(measure(&network, settings))).ok()?;
        Some(estimate(&network, sizes, cost, settings))
    }
}

#[cfg(test)]
mod tests {
    use runner::Workload;

    use super::*;
    use crate::settings::tests::{config, lora};

    #[test]
    fn a_limit_beyond_the_data_is_named_with_what_is_used() {
        let task = ImageClassification::default();
        let mut config = config(lora(), 1);
        assert!(task.shortfalls(&config).unwrap().is_empty(), "there is as much as is asked for");
        let sizes = task.own().sizes(&Settings::read(&config).unwrap()).unwrap();
        config["train_limit"] = json!(1_000_000);
        let wanted = format!(
            "train_limit is 1000000, and the split `train` has {}: all of them are used",
            sizes.train
        );
        assert_eq!(task.shortfalls(&config).unwrap(), [wanted]);
    }

    #[test]
    fn an_estimate_grows_with_what_is_trained_and_with_the_pictures() {
        let task = ImageClassification::default();
        let small = task.estimate(&config(lora(), 1), 1).unwrap();
        let mut more = config(json!({"name": "full", "learning_rate": {"weight": 1e-4, "head": 1e-3}}), 1);
        more["train_limit"] = json!(240);
        let large = task.estimate(&more, 1).unwrap();
        assert!(small.seconds > 0.0 && large.seconds > small.seconds);
        assert!(large.trained_bytes > small.trained_bytes && small.trained_bytes > 0);
        assert!(large.frozen_bytes > small.frozen_bytes);
    }
}
