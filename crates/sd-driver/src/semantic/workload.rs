//! The task as the runner sees it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

use anyhow::Result;
use delora_core::TrialConfig;
use finetune::{
    BankRun, Broken, Finetuning, Finished, Known, Latest, PassCost, Slot, Task, trained_bytes, untrained,
    without_multiplier,
};
use models::checkpoint::Checkpoint;
use models::palette::colored;
use models::unet::UNetConfig;
use runner::{BankContext, Estimate, Outcome};
use serde_json::{Value, json};
use tch::Kind;

use super::corpus::{Corpus, pictures};
use super::lesson::{Lesson, SHOWN, place_encoders, sites};
use super::pairs::{self, Pair};
use super::scores::Scorer;
use super::settings::{SemanticSettings, Settings, trial_of};
use super::world::{self, World};
use crate::REAL_IMAGES;
use crate::estimate::{BYTES_PER_PARAMETER, PASSES_PER_STEP, measure_rows};
use crate::pictures::write_sheet;
use crate::plan_check::check_drawing;

/// Semantic map to image: pictures that follow a label map and a caption (paper, Table 2).
pub type SemanticMap = Finetuning<SemanticTuning>;

/// What is this task's own, and is kept from bank to bank.
#[derive(Default)]
pub struct SemanticTuning {
    /// Networks and pairs of the last run, by all that they depend on.
    world: Latest<World>,
    corpus: Latest<Corpus>,
    /// Measured costs of the network's rows, by what they depend on.
    costs: Known<PassCost>,
}

impl SemanticTuning {
    fn world(&self, settings: &Settings) -> Result<Rc<World>> {
        let SemanticSettings { model, evaluators, condition_encoder, resolution, channels_last, .. } =
            &**settings;
        let key = format!("{model:?} {evaluators:?} {condition_encoder:?} {resolution} {channels_last}");
        self.world.get(key, || finetune::covered(&world::files(settings)?, || World::load(settings)))
    }

    fn corpus(&self, world: &World, settings: &Settings) -> Result<Rc<Corpus>> {
        let SemanticSettings { model, data, evaluators, resolution, train_limit, validation_limit, .. } =
            &**settings;
        let learns = settings.trains();
        let key = format!(
            "{model:?} {data:?} {evaluators:?} {resolution} {train_limit:?} {validation_limit:?} {learns}"
        );
        self.corpus.get(key, || {
            finetune::covered(&pairs::files(settings)?, || Corpus::load(world, settings, learns))
        })
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
    fn ground_truth(
        world: &World,
        corpus: &Corpus,
        slot: &Slot<SemanticSettings>,
        context: &BankContext,
    ) -> Result<Outcome> {
        let side = slot.settings.resolution;
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
        let file = format!("{}.png", slot.id);
        write_sheet(&shown.expect("there are validation pairs"), 1, &context.artifacts_dir.join(&file))?;
        let finished = Finished {
            metrics: scorer.scores(&corpus.real)?,
            artifacts: BTreeMap::from([("pictures".to_owned(), file)]),
            ..Finished::default()
        };
        Ok(untrained(slot.id, finished, &Broken::default()))
    }
}

impl Task for SemanticTuning {
    type Own = SemanticSettings;
    type Config = UNetConfig;
    const NAME: &'static str = "semantic-map";
    const PATHS: &'static [&'static str] =
        &["model", "data", "condition_encoder.pretrained", "evaluators.segmenter", "evaluators.features"];
    const PER_TRIAL: &'static [&'static str] = &["schedule"];
    const IMMATERIAL: &'static [&'static str] = &["checkpointing", "channels_last"];

    fn relevant(config: Value) -> Value {
        without_multiplier::<SemanticSettings>(config)
    }

    fn trial(settings: &Settings, _: u64) -> TrialConfig {
        trial_of(settings)
    }

    fn network_config(settings: &Settings) -> PathBuf {
        Checkpoint::at(&settings.model).config_file("unet")
    }

    fn check(settings: &Settings) -> Result<()> {
        check_drawing(&settings.model, "sampling", settings.sampling)
    }

    fn files(settings: &Settings) -> Result<Vec<PathBuf>> {
        let mut files = world::files(settings)?;
        files.extend(pairs::files(settings)?);
        Ok(files)
    }

    fn run(&self, bank: &BankRun<SemanticSettings>) -> Result<Vec<Outcome>> {
        let (shared, context) = (bank.shared(), bank.context);
        let world = self.world(shared)?;
        let corpus = self.corpus(&world, shared)?;
        if shared.common.method.name == REAL_IMAGES {
            let of_slot = |slot: &Slot<_>| Self::ground_truth(&world, &corpus, slot, context);
            return bank.slots().iter().map(of_slot).collect();
        }
        Self::write_inputs(&corpus, context)?;
        let lesson = |slots| Lesson::new(&world, &corpus, slots, &context.artifacts_dir, context.progress);
        if !shared.trains() {
            return lesson(bank.slots()).untrained();
        }
        bank.finetune(
            (&sites(&world, shared), &bank.trials(trial_of), world.device),
            |bank| place_encoders(bank, &world, shared),
            |slots| Ok(lesson(slots)),
        )
    }

    fn estimate(&self, settings: &Settings) -> Option<Estimate> {
        let world = self.world(settings).ok()?;
        let count = |split, limit| Some(pairs::list(&settings.data, split, limit).ok()?.len());
        let training = count("training", settings.train_limit)?;
        let validation = count("validation", settings.validation_limit)?;
        let common = &settings.common;
        let key = json!([common.bank, common.batch, settings.model]).to_string();
        let rows = common.bank.most().saturating_mul(common.batch);
        let measured = || Ok::<_, ()>(measure_rows(&world.diffusion, rows, common.precision.kind()));
        let cost = self.costs.get(key, measured).ok()?;
        let sites = sites(&world, settings);
        let trained_bytes = trained_bytes(&sites, &trial_of(settings), BYTES_PER_PARAMETER);
        let passes =
            if settings.trains() { settings.epochs as f64 * training as f64 * PASSES_PER_STEP } else { 0.0 };
        let drawing = match settings.common.method.name.as_str() {
            REAL_IMAGES => 0.0,
            _ => validation as f64 * settings.sampling.steps as f64 * 2.0,
        };
        let frozen_bytes = (world.diffusion.unet.bytes() + world.diffusion.vae.bytes()) as u64;
        Some(cost.estimate(passes + drawing, common.batch as f64, trained_bytes, frozen_bytes))
    }
}
