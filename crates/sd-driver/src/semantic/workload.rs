//! The task as the runner sees it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use anyhow::{Result, bail};
use delora_core::Bank;
use driver::{Digests, KnownSites, Latest, Proposed, trained_bytes};
use models::palette::colored;
use models::unet::UNetConfig;
use runner::{BankContext, Estimate, Outcome, Provenance, SettingError, Status, Trial, Workers, Workload};
use serde_json::Value;
use tch::Kind;

use super::bank_run::{BankRun, SHOWN};
use super::corpus::{Corpus, pictures};
use super::lesson::{place_encoders, sites};
use super::pairs::{self, Pair};
use super::scores::Scorer;
use super::settings::Settings;
use super::world::{self, World};
use crate::estimate::{BYTES_PER_PARAMETER, PASSES_PER_STEP, RowCost, measure_rows};
use crate::pictures::write_sheet;
use crate::plan_check::check_drawing;
use crate::settings::REAL_IMAGES;
use crate::training::Training;

const MULTIPLIER: &str = "learning_rate_multiplier";
const MULTIPLIED: &str = "multiplied";
/// What trials of a bank may differ in.
const OWN: [&str; 6] = ["method", "seed", MULTIPLIER, MULTIPLIED, "optimizer", "schedule"];

/// Semantic map to image: pictures that follow a label map and a caption (paper, Table 2).
#[derive(Default)]
pub struct SemanticMap {
    /// Networks and pairs of the last run, by all that they depend on.
    world: Latest<World>,
    corpus: Latest<Corpus>,
    digests: RefCell<Digests>,
    /// Where the networks of checked trials can be adapted.
    sites: KnownSites,
    /// Measured costs of the network's rows, by what they depend on.
    costs: RefCell<HashMap<String, RowCost>>,
    libtorch: String,
}

impl SemanticMap {
    /// `libtorch` is the version that runs, for the records.
    pub fn new(libtorch: String) -> SemanticMap {
        SemanticMap { libtorch, ..SemanticMap::default() }
    }

    fn world(&self, settings: &Settings) -> Result<Rc<World>> {
        let Settings { model, evaluators, condition_encoder, resolution, .. } = settings;
        let key = format!("{model:?} {evaluators:?} {condition_encoder:?} {resolution}");
        self.world.get(key, || driver::covered(&world::files(settings)?, || World::load(settings)))
    }

    fn corpus(&self, world: &World, settings: &Settings) -> Result<Rc<Corpus>> {
        let Settings { model, data, evaluators, resolution, train_limit, validation_limit, .. } = settings;
        let learns = settings.trains();
        let key = format!(
            "{model:?} {data:?} {evaluators:?} {resolution} {train_limit:?} {validation_limit:?} {learns}"
        );
        self.corpus
            .get(key, || driver::covered(&pairs::files(settings)?, || Corpus::load(world, settings, learns)))
    }

    /// The first label maps and their captions, for picture grids.
    fn write_inputs(corpus: &Corpus, context: &BankContext) -> Result<()> {
        let pairs = &corpus.validation[..corpus.validation.len().min(SHOWN)];
        let maps = colored(&corpus.labels(pairs)?, Kind::Float) * 2.0 - 1.0;
        write_sheet(&maps, 1, &context.artifacts_dir.join("label-maps.png"))?;
        let caption = |pair: &Pair| match pair.caption.as_str() {
            "" => "(no caption)\n".to_owned(),
            caption => format!("{caption}\n"),
        };
        let captions: String = pairs.iter().map(caption).collect();
        Ok(runner::write_atomically(
            &context.artifacts_dir.join("prompts-validation.txt"),
            captions.as_bytes(),
        )?)
    }

    /// The `Real Images` row: the segmenter on the validation pictures themselves, and the distance of as many training
    /// pictures from them.
    fn ground_truth(world: &World, corpus: &Corpus, trial: &Trial, context: &BankContext) -> Result<Outcome> {
        let side = Settings::read(&trial.config)?.resolution;
        let mut scorer = Scorer::new(world);
        let mut shown = None;
        for pairs in corpus.validation.chunks(SHOWN) {
            let pictures = pictures(world, pairs, side)?;
            scorer.segment(&pictures, &corpus.labels(pairs)?)?;
            shown.get_or_insert(pictures);
        }
        let others = &corpus.training[..corpus.training.len().min(corpus.validation.len())];
        for pairs in others.chunks(SHOWN) {
            scorer.describe(&pictures(world, pairs, side)?);
        }
        let mut outcome = Outcome::new(&trial.id, Status::Done);
        outcome.metrics = scorer.scores(&corpus.real)?;
        let file = format!("{}.png", trial.id);
        write_sheet(&shown.expect("there are validation pairs"), 1, &context.artifacts_dir.join(&file))?;
        outcome.artifacts.insert("pictures".to_owned(), file);
        Ok(outcome)
    }
}

impl Workload for SemanticMap {
    fn task(&self) -> &str {
        "semantic-map"
    }

    fn methods(&self) -> Vec<runner::MethodText> {
        driver::methods()
    }

    fn paths(&self) -> &'static [&'static str] {
        &["model", "data", "condition_encoder.pretrained", "evaluators.segmenter", "evaluators.features"]
    }

    fn expand(&self, _key: &str, _value: &Value, _config: &Value) -> Result<Option<Vec<Value>>> {
        Ok(None)
    }

    fn relevant(&self, mut config: Value) -> Value {
        let trains = Settings::read(&config).is_ok_and(|settings| settings.trains());
        if let (false, Some(table)) = (trains, config.as_object_mut()) {
            table.retain(|key, _| key != MULTIPLIER && key != MULTIPLIED);
        }
        config
    }

    fn validate(&self, config: &Value) -> Result<String> {
        let settings = Settings::read(config)?;
        let proposed = Proposed {
            method: &settings.method,
            trial: settings.trial(),
            tracked_layer: Some(&settings.tracked_layer),
        };
        self.sites.check(
            &settings.model.join("unet/config.json"),
            harness::sites_of::<UNetConfig>,
            &proposed,
        )?;
        check_drawing(&settings.model, settings.sampling, None)?;
        let mut files = world::files(&settings)?;
        files.extend(pairs::files(&settings)?);
        self.digests.borrow_mut().of(&files)
    }

    fn bank_key(&self, config: &Value) -> String {
        let kind = match Settings::read(config) {
            Ok(settings) if settings.trains() => "trained",
            Ok(settings) if settings.method.name == REAL_IMAGES => "real",
            _ => "untrained",
        };
        format!("{kind} {}", driver::shared(config, &OWN))
    }

    fn max_bank(&self, config: &Value) -> usize {
        Settings::read(config).map_or(1, |settings| settings.bank)
    }

    fn run_bank(&self, trials: &[Trial], context: &BankContext) -> Result<Vec<Outcome>> {
        let _mode = gradient_mode::switched_on();
        let read = |trial: &Trial| Settings::read(&trial.config);
        let settings = trials.iter().map(read).collect::<Result<Vec<Settings>, SettingError>>()?;
        let world = self.world(&settings[0])?;
        let corpus = self.corpus(&world, &settings[0])?;
        if settings[0].method.name == REAL_IMAGES {
            let of_trial = |trial| Self::ground_truth(&world, &corpus, trial, context);
            return trials.iter().map(of_trial).collect();
        }
        Self::write_inputs(&corpus, context)?;
        let (world, corpus) = (&*world, &*corpus);
        let run = BankRun { world, corpus, trials, settings: &settings, order: &[], context };
        if !settings[0].trains() {
            let order: Vec<usize> = (0..trials.len()).collect();
            return BankRun { order: &order, ..run }.untrained();
        }
        let sites = sites(world, &settings[0]);
        if !sites.iter().any(|site| site.name == settings[0].tracked_layer) {
            bail!("tracked_layer: `{}` is no layer of the model", settings[0].tracked_layer);
        }
        let configs: Vec<_> = settings.iter().map(Settings::trial).collect();
        let mut bank = Bank::new(&sites, &configs, world.device)?;
        place_encoders(&mut bank, world, &settings[0])?;
        let order = bank.order().to_vec();
        BankRun { order: &order, ..run }.run(&mut Training::resume(bank, &context.checkpoint_dir)?)
    }

    fn workers(&self) -> Option<Workers> {
        let libtorch = self.libtorch.clone();
        driver::workers(move || Box::new(SemanticMap::new(libtorch.clone())))
    }

    fn estimate(&self, config: &Value) -> Option<Estimate> {
        let settings = Settings::read(config).ok()?;
        let world = self.world(&settings).ok()?;
        let count = |split, limit| Some(pairs::list(&settings.data, split, limit).ok()?.len());
        let training = count("training", settings.train_limit)?;
        let validation = count("validation", settings.validation_limit)?;
        let mut costs = self.costs.borrow_mut();
        let key = format!("{} {} {:?}", settings.bank, settings.batch, settings.model);
        let kind = settings.precision.kind();
        let cost = *costs.entry(key).or_insert_with(|| {
            measure_rows(&world.diffusion, settings.bank.saturating_mul(settings.batch), kind)
        });
        let sites = sites(&world, &settings);
        let trained_bytes = trained_bytes(&sites, &settings.trial(), BYTES_PER_PARAMETER);
        let passes =
            if settings.trains() { settings.epochs as f64 * training as f64 * PASSES_PER_STEP } else { 0.0 };
        let drawing = match settings.method.name.as_str() {
            REAL_IMAGES => 0.0,
            _ => validation as f64 * settings.sampling.steps as f64 * 2.0,
        };
        Some(Estimate {
            seconds: cost.seconds * (passes + drawing),
            memory_bytes: cost
                .memory_bytes
                .saturating_mul(settings.batch as u64)
                .saturating_add(trained_bytes),
            trained_bytes,
            frozen_bytes: (world.diffusion.unet.bytes() + world.diffusion.vae.bytes()) as u64,
        })
    }

    fn provenance(&self) -> Provenance {
        driver::provenance(&self.libtorch)
    }
}
