//! The task as the runner sees it.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use anyhow::{Result, bail};
use delora_core::{Bank, stream};
use driver::{Digests, KnownSites, Latest, Proposed};
use models::Frozen;
use models::images::{resize_and_crop, to_tensor};
use models::unet::UNetConfig;
use rand::RngExt;
use runner::{BankContext, Estimate, Outcome, Provenance, SettingError, Status, Trial, Workers, Workload};
use serde_json::{Value, json};

use crate::bank_run::{BankRun, SubjectData};
use crate::estimate::{RowCost, estimate, measure};
use crate::evaluate::Reference;
use crate::pictures::write_strip;
use crate::plan_check::check_drawing;
use crate::sampling::{Order, Plan, draw};
use crate::selection::Selection;
use crate::settings::{REAL_IMAGES, Settings};
use crate::subject;
use crate::training::{Moments, Training};
use crate::world::{self, World};

const MULTIPLIER: &str = "learning_rate_multiplier";
const MULTIPLIED: &str = "multiplied";
/// What trials of a bank may differ in.
const OWN: [&str; 7] = ["method", "seed", "subject", MULTIPLIER, MULTIPLIED, "optimizer", "schedule"];

/// Subject-driven generation.
#[derive(Default)]
pub struct SubjectDriven {
    /// The networks of the last run, by where they came from.
    world: Latest<World>,
    digests: RefCell<Digests>,
    /// Where the networks of checked trials can be adapted.
    sites: KnownSites,
    /// Class pictures by all that they depend on.
    classes: RefCell<HashMap<String, Rc<Moments>>>,
    /// Measured costs of the network's rows, by what they depend on.
    costs: RefCell<HashMap<String, RowCost>>,
    libtorch: String,
}

impl SubjectDriven {
    /// `libtorch` is the version that runs, for the records.
    pub fn new(libtorch: String) -> SubjectDriven {
        SubjectDriven { libtorch, ..SubjectDriven::default() }
    }

    fn world(&self, settings: &Settings) -> Result<Rc<World>> {
        let key = format!("{:?} {:?}", settings.model, settings.evaluators);
        self.world.get(key, || driver::covered(&world::files(settings)?, || World::load(settings)))
    }

    /// Reads a subject's pictures and leaves their centre squares beside the results.
    fn subject(&self, world: &World, settings: &Settings, context: &BankContext) -> Result<SubjectData> {
        let folder = subject::folder(settings);
        let originals = driver::covered(&subject::files(&folder)?, || subject::originals(&folder))?;
        let centres: Vec<_> =
            originals.iter().map(|picture| resize_and_crop(picture, settings.resolution)).collect();
        let name = &settings.subject.name;
        write_strip(&centres, &context.artifacts_dir.join(format!("subject-{name}.png")))?;
        let prompts = subject::prompts(settings, "[V]").join("\n") + "\n";
        runner::write_atomically(
            &context.artifacts_dir.join(format!("prompts-{name}.txt")),
            prompts.as_bytes(),
        )?;
        let pictures = to_tensor(&subject::training_pictures(&originals, settings)).to_device(world.device);
        Ok(SubjectData {
            moments: Moments::of(&world.diffusion, &pictures)?,
            reference: Reference::of(world, &originals),
        })
    }

    /// Pictures of the class, drawn by the base model: the same for every trial.
    fn class_moments(&self, world: &World, settings: &Settings) -> Result<Option<Rc<Moments>>> {
        let Some(prior) = settings.prior_preservation else { return Ok(None) };
        let class = &settings.subject.class;
        let key = json!([settings.model, class, prior.class_pictures, settings.sampling]).to_string();
        if let Some(moments) = self.classes.borrow().get(&key) {
            return Ok(Some(moments.clone()));
        }
        let kind = settings.precision.kind();
        let context = world.diffusion.captions.encode(&[format!("a photo of {class}")], kind);
        let seed = stream(0, &format!("pictures of class {class}")).random();
        let order = Order { contexts: vec![context], seed };
        let plan = Plan { pictures_per_prompt: prior.class_pictures, sampling: settings.sampling, kind };
        let drawn = draw(&world.diffusion, &Frozen, &[order], plan, |_, _| {});
        let moments = Rc::new(Moments::of(&world.diffusion, &drawn[0])?);
        self.classes.borrow_mut().insert(key, moments.clone());
        Ok(Some(moments))
    }

    fn train_and_draw(
        &self,
        world: &World,
        trials: &[Trial],
        settings: &[Settings],
        context: &BankContext,
    ) -> Result<Vec<Outcome>> {
        let subjects = self.subjects(world, settings, context)?;
        let sites = world.sites();
        if !sites.iter().any(|site| site.name == settings[0].tracked_layer) {
            bail!("tracked_layer: `{}` is no layer of the model", settings[0].tracked_layer);
        }
        let configs: Vec<_> = settings.iter().map(Settings::trial).collect();
        let bank = Bank::new(&sites, &configs, world.device)?;
        let order = bank.order().to_vec();
        let mut training = Training::resume(bank, &context.checkpoint_dir)?;
        let run = BankRun { world, trials, settings, subjects: &subjects, order: &order, context };
        if settings[0].trains() {
            let class = |&trial: &usize| self.class_moments(world, &settings[trial]);
            let classes = order.iter().map(class).collect::<Result<Vec<_>>>()?;
            run.train(&mut training, &classes)?;
        }
        run.finish(&mut training)
    }

    fn subjects(
        &self,
        world: &World,
        settings: &[Settings],
        context: &BankContext,
    ) -> Result<BTreeMap<String, SubjectData>> {
        let mut subjects = BTreeMap::new();
        for settings in settings {
            if !subjects.contains_key(&settings.subject.name) {
                subjects.insert(settings.subject.name.clone(), self.subject(world, settings, context)?);
            }
        }
        Ok(subjects)
    }
}

impl Workload for SubjectDriven {
    fn task(&self) -> &str {
        "subject-driven"
    }

    fn methods(&self) -> Vec<runner::MethodText> {
        driver::methods()
    }

    fn paths(&self) -> &'static [&'static str] {
        &["model", "data", "subject.folder", "evaluators.dino", "evaluators.clip", "evaluators.clip_b32"]
    }

    fn expand(&self, key: &str, value: &Value, config: &Value) -> Result<Option<Vec<Value>>> {
        if key != "subject" {
            return Ok(None);
        }
        let selection = match value {
            Value::String(name) => json!({ "name": name }),
            other => other.clone(),
        };
        let selection: Selection = runner::settings(&selection).map_err(|error| error.under("subject"))?;
        let subjects = selection.subjects(config)?;
        Ok(Some(subjects.iter().map(serde_json::to_value).collect::<Result<_, _>>()?))
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
        check_drawing(&settings.model, settings.sampling, settings.prior_preservation)?;
        let mut files = world::files(&settings)?;
        files.extend(subject::files(&subject::folder(&settings))?);
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
        let settings = trials
            .iter()
            .map(|trial| Settings::read(&trial.config))
            .collect::<Result<Vec<Settings>, SettingError>>()?;
        let world = self.world(&settings[0])?;
        if settings[0].method.name != REAL_IMAGES {
            return self.train_and_draw(&world, trials, &settings, context);
        }
        let subjects = self.subjects(&world, &settings, context)?;
        let outcomes = trials.iter().zip(&settings).map(|(trial, settings)| {
            let mut outcome = Outcome::new(&trial.id, Status::Done);
            outcome.metrics = subjects[&settings.subject.name].reference.scores_of_itself();
            outcome
        });
        Ok(outcomes.collect())
    }

    fn workers(&self) -> Option<Workers> {
        let libtorch = self.libtorch.clone();
        driver::workers(move || Box::new(SubjectDriven::new(libtorch.clone())))
    }

    fn estimate(&self, config: &Value) -> Option<Estimate> {
        let settings = Settings::read(config).ok()?;
        let world = self.world(&settings).ok()?;
        let mut costs = self.costs.borrow_mut();
        let key = format!("{} {} {:?}", settings.bank, settings.batch, settings.model);
        let cost = *costs.entry(key).or_insert_with(|| measure(&world, &settings));
        Some(estimate(&world, cost, &settings))
    }

    fn provenance(&self) -> Provenance {
        driver::provenance(&self.libtorch)
    }
}
