//! The task as the runner sees it.

use std::path::PathBuf;
use std::rc::Rc;

use anyhow::Result;
use delora_core::TrialConfig;
use finetune::{BankRun, Finetuning, Known, Latest, PassCost, Task};
use models::decoder::DecoderConfig;
use runner::{Estimate, Outcome};
use serde_json::json;

use crate::estimate::{estimate, measure};
use crate::lesson::Lesson;
use crate::settings::{InstructSettings, Settings, trial_of};
use crate::world::{Corpus, Exams, Network, files, shortfalls};

/// Instruction tuning.
pub type Instruct = Finetuning<InstructionTuning>;

/// What is instruction tuning's own, and is kept from bank to bank.
#[derive(Default)]
pub struct InstructionTuning {
    /// The decoder of the last run, by where it came from.
    network: Latest<Network>,
    /// Examples and questions of the last run, by all that they depend on.
    corpus: Latest<Corpus>,
    exams: Latest<Exams>,
    /// Measured seconds and bytes of a token, by what they depend on.
    costs: Known<PassCost>,
    /// What [`shortfalls`] found, by all that it depends on.
    shortfalls: Known<Vec<String>>,
}

impl InstructionTuning {
    fn network(&self, settings: &Settings) -> Result<Rc<Network>> {
        let kind = settings.common.precision.kind();
        let key = json!([settings.model, settings.common.precision]).to_string();
        self.network
            .get(key, || finetune::covered(&files(settings)?, || Network::load(&settings.model, kind)))
    }

    fn corpus(&self, settings: &Settings, network: &Network) -> Result<Rc<Corpus>> {
        let InstructSettings {
            model,
            instructions,
            test_share,
            max_length,
            loss_on,
            columns,
            template,
            chat_template,
            train_limit,
            test_limit,
            ..
        } = &**settings;
        let texts = json!([instructions, columns, template, chat_template]);
        let key = json!([model, texts, test_share, max_length, loss_on, train_limit, test_limit]);
        self.corpus
            .get(key.to_string(), || finetune::covered(&files(settings)?, || Corpus::read(settings, network)))
    }

    fn exams(&self, settings: &Settings, network: &Network) -> Result<Rc<Exams>> {
        let key = json!([settings.model, settings.evaluation]).to_string();
        self.exams.get(key, || finetune::covered(&files(settings)?, || Exams::read(settings, network)))
    }
}

impl Task for InstructionTuning {
    type Own = InstructSettings;
    type Config = DecoderConfig;
    const NAME: &'static str = "instruct";
    const PATHS: &'static [&'static str] = &["model", "instructions", "evaluation.data", "evaluation.tasks"];
    const PER_TRIAL: &'static [&'static str] = &["schedule", "warmup_steps"];
    const IMMATERIAL: &'static [&'static str] = &["tokens_per_pass", "checkpointing"];

    fn trial(settings: &Settings, total_steps: u64) -> TrialConfig {
        trial_of(settings, total_steps)
    }

    fn network_config(settings: &Settings) -> PathBuf {
        settings.model.join("config.json")
    }

    fn files(settings: &Settings) -> Result<Vec<PathBuf>> {
        files(settings)
    }

    fn shortfalls(&self, settings: &Settings) -> Result<Vec<String>> {
        let InstructSettings {
            instructions, test_share, train_limit, test_limit, answers, evaluation, ..
        } = &**settings;
        let key = json!([instructions, test_share, train_limit, test_limit, answers, evaluation]).to_string();
        self.shortfalls.get(key, || shortfalls(settings))
    }

    fn run(&self, bank: &BankRun<InstructSettings>) -> Result<Vec<Outcome>> {
        let shared = bank.shared();
        let network = self.network(shared)?;
        let corpus = self.corpus(shared, &network)?;
        let exams = self.exams(shared, &network)?;
        let steps_per_epoch = corpus.train.len().div_ceil(shared.common.batch) as u64;
        let trials = bank.trials(|settings| trial_of(settings, shared.epochs * steps_per_epoch));
        bank.finetune(
            (&network.sites(), &trials, network.device),
            |_| Ok(()),
            |slots| Ok(Lesson::new(&network, &corpus, &exams, slots, &bank.context.artifacts_dir)),
        )
    }

    fn estimate(&self, settings: &Settings) -> Option<Estimate> {
        let network = self.network(settings).ok()?;
        let corpus = self.corpus(settings, &network).ok()?;
        let exams = self.exams(settings, &network).ok()?;
        let InstructSettings { tokens_per_pass, checkpointing, model, .. } = &**settings;
        let key = json!([settings.common.bank, tokens_per_pass, checkpointing, model]).to_string();
        let cost = self.costs.get(key, || Ok::<_, ()>(measure(&network, settings))).ok()?;
        Some(estimate(&network, &corpus, &exams, cost, settings))
    }
}
