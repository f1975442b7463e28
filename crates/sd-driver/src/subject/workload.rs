//! The task as the runner sees it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

use anyhow::Result;
use delora_core::{TrialConfig, stream};
use finetune::{
    BankRun, Broken, Finetuning, Finished, Known, Latest, PassCost, Task, untrained, without_multiplier,
};
use models::Frozen;
use models::checkpoint::Checkpoint;
use models::images::{resize_and_crop, to_tensor};
use models::unet::UNetConfig;
use rand::RngExt;
use runner::{BankContext, Estimate, Outcome};
use serde_json::{Value, json};

use crate::REAL_IMAGES;
use crate::moments::Moments;
use crate::pictures::write_strip;
use crate::plan_check::check_drawing;
use crate::sampling::{Order, Plan, draw};
use crate::subject::estimate::{estimate, measure};
use crate::subject::evaluate::Reference;
use crate::subject::lesson::{Lesson, SubjectData, examples};
use crate::subject::selection::Selection;
use crate::subject::settings::{Settings, SubjectDrivenSettings, trial_of};
use crate::subject::subjects;
use crate::subject::world::{self, World};

/// Subject-driven generation.
pub type SubjectDriven = Finetuning<SubjectTuning>;

/// What is subject-driven generation's own, and is kept from bank to bank.
#[derive(Default)]
pub struct SubjectTuning {
    /// The networks of the last run, by where they came from.
    world: Latest<World>,
    /// Class pictures by all that they depend on.
    classes: Known<Rc<Moments>>,
    /// Measured costs of the network's rows, by what they depend on.
    costs: Known<PassCost>,
}

impl SubjectTuning {
    fn world(&self, settings: &Settings) -> Result<Rc<World>> {
        let key = format!("{:?} {:?} {}", settings.model, settings.evaluators, settings.channels_last);
        self.world.get(key, || finetune::covered(&world::files(settings)?, || World::load(settings)))
    }

    /// Reads a subject's pictures and leaves their centre squares beside the results.
    fn subject(&self, world: &World, settings: &Settings, context: &BankContext) -> Result<SubjectData> {
        let folder = subjects::folder(settings);
        let originals = finetune::covered(&subjects::files(&folder)?, || subjects::originals(&folder))?;
        let centres: Vec<_> =
            originals.iter().map(|picture| resize_and_crop(picture, settings.resolution)).collect();
        let name = &settings.subject.name;
        write_strip(&centres, &context.artifacts_dir.join(format!("subject-{name}.png")))?;
        let prompts = subjects::prompts(settings, "[V]").join("\n") + "\n";
        runner::write_atomically(
            &context.artifacts_dir.join(format!("prompts-{name}.txt")),
            prompts.as_bytes(),
        )?;
        let pictures = to_tensor(&subjects::training_pictures(&originals, settings)).to_device(world.device);
        Ok(SubjectData {
            moments: Moments::of(&world.diffusion, &pictures)?,
            reference: Reference::of(world, &originals),
        })
    }

    /// Pictures of the class, drawn by the base model: the same for every trial.
    fn class_moments(&self, world: &World, settings: &Settings) -> Result<Option<Rc<Moments>>> {
        let Some(prior) = settings.prior_preservation else { return Ok(None) };
        let class = &settings.subject.class;
        let sampling = prior.sampling.unwrap_or(settings.sampling);
        let key = json!([settings.model, class, prior.class_pictures, sampling]).to_string();
        let moments = self.classes.get(key, || {
            let kind = settings.common.precision.kind();
            let context = world.diffusion.captions.encode(&[format!("a photo of {class}")], kind);
            let seed = stream(0, &format!("pictures of class {class}")).random();
            let order = Order { contexts: vec![context], seed };
            let plan = Plan { pictures_per_prompt: prior.class_pictures, sampling, kind };
            let drawn = draw(&world.diffusion, &Frozen, &[order], plan, |_, _| {})?;
            anyhow::Ok(Rc::new(Moments::of(&world.diffusion, &drawn[0])?))
        });
        moments.map(Some)
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

impl Task for SubjectTuning {
    type Own = SubjectDrivenSettings;
    type Config = UNetConfig;
    const NAME: &'static str = "subject-driven";
    const PATHS: &'static [&'static str] =
        &["model", "data", "subject.folder", "evaluators.dino", "evaluators.clip", "evaluators.clip_b32"];
    const PER_TRIAL: &'static [&'static str] = &["subject", "schedule"];
    const IMMATERIAL: &'static [&'static str] = &["checkpointing", "channels_last"];

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

    fn relevant(config: Value) -> Value {
        without_multiplier::<SubjectDrivenSettings>(config)
    }

    fn trial(settings: &Settings, _: u64) -> TrialConfig {
        trial_of(settings)
    }

    fn network_config(settings: &Settings) -> PathBuf {
        Checkpoint::at(&settings.model).config_file("unet")
    }

    fn check(settings: &Settings) -> Result<()> {
        let of_class = settings.prior_preservation.and_then(|prior| prior.sampling);
        check_drawing(&settings.model, "sampling", settings.sampling)?;
        of_class.map_or(Ok(()), |sampling| {
            check_drawing(&settings.model, "prior_preservation.sampling", sampling)
        })
    }

    fn shorten(config: &mut Value) {
        if let Some(pictures) = config.pointer_mut("/prior_preservation/class_pictures") {
            *pictures = json!(1);
        }
    }

    fn files(settings: &Settings) -> Result<Vec<PathBuf>> {
        let mut files = world::files(settings)?;
        files.extend(subjects::files(&subjects::folder(settings))?);
        Ok(files)
    }

    fn run(&self, bank: &BankRun<SubjectDrivenSettings>) -> Result<Vec<Outcome>> {
        let shared = bank.shared();
        let world = self.world(shared)?;
        let subjects = self.subjects(&world, &bank.settings, bank.context)?;
        if shared.common.method.name == REAL_IMAGES {
            let outcomes = bank.slots().into_iter().map(|slot| {
                let metrics = subjects[&slot.settings.subject.name].reference.scores_of_itself();
                untrained(slot.id, Finished { metrics, ..Finished::default() }, &Broken::default())
            });
            return Ok(outcomes.collect());
        }
        let trials = bank.trials(trial_of);
        bank.finetune(
            (&world.sites(), &trials, world.device),
            |_| Ok(()),
            |slots| {
                let examples = if shared.trains() {
                    let classes = slots.iter().map(|slot| self.class_moments(&world, slot.settings));
                    Some(examples(&world, &slots, &subjects, classes.collect::<Result<_>>()?))
                } else {
                    None
                };
                Ok(Lesson {
                    world: &world,
                    slots,
                    subjects: &subjects,
                    examples,
                    artifacts_dir: &bank.context.artifacts_dir,
                    progress: bank.context.progress,
                })
            },
        )
    }

    fn estimate(&self, settings: &Settings) -> Option<Estimate> {
        let world = self.world(settings).ok()?;
        let key = json!([settings.common.bank, settings.common.batch, settings.model]).to_string();
        let cost = self.costs.get(key, || Ok::<_, ()>(measure(&world, settings))).ok()?;
        Some(estimate(&world, cost, settings))
    }
}
