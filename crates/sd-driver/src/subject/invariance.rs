//! The claim of the trial axis, tested on the shipped model: a trial's result does not depend on its bank.

use std::path::Path;

use delora_core::Bank;
use models::images::to_tensor;
use serde_json::{Value, json};

use crate::moments::Moments;
use crate::subject::dreambooth::{Examples, dreambooth_step, step_contexts};
use crate::subject::settings::{Settings, trial_of};
use crate::subject::subjects;
use crate::subject::world::World;

const LAYER: &str = "mid_block.attentions.0.transformer_blocks.0.attn2.to_k";

fn settings(method: Value, seed: u64, subject: &SubjectName) -> Settings {
    let mini = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/mini");
    let config = json!({
        "method": method, "seed": seed,
        "subject": {"name": subject.0, "class": subject.1},
        "optimizer": {"clip_norm": 1.0}, "identifier": "qwe",
        "model": mini.join("sd"), "data": mini.join("subjects/dataset"),
        "evaluators": {"dino": mini.join("dino"), "clip": mini.join("clip")},
        "resolution": 64, "train_steps": 20, "batch": 1,
        "sampling": {"steps": 2, "guidance_scale": 4.0}, "pictures_per_prompt": 1,
        "bank": 8, "tracked_layer": LAYER, "track_every": 20,
    });
    Settings::read(&config).unwrap()
}

struct SubjectName(String, String);

fn first_subjects() -> Vec<SubjectName> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/mini/subjects/dataset");
    subjects::list(&data).unwrap().into_iter().take(2).map(|own| SubjectName(own.name, own.class)).collect()
}

/// Trains a bank; gives the merged weight of `LAYER` and the divergence of each trial, in the order given.
fn train(world: &World, settings: &[Settings]) -> Vec<(tch::Tensor, Option<u64>)> {
    let sites = world.sites();
    let configs: Vec<_> = settings.iter().map(trial_of).collect();
    let mut bank = Bank::new(&sites, &configs, world.device).unwrap();
    let order = bank.order().to_vec();
    let moments: Vec<Moments> = order
        .iter()
        .map(|&trial| {
            let originals = subjects::originals(&subjects::folder(&settings[trial])).unwrap();
            let pictures = subjects::training_pictures(&originals, &settings[trial]);
            Moments::of(&world.diffusion, &to_tensor(&pictures)).unwrap()
        })
        .collect();
    let examples: Vec<Examples> = order
        .iter()
        .zip(&moments)
        .map(|(&trial, subject)| Examples {
            settings: &settings[trial],
            subject,
            subject_context: world
                .diffusion
                .captions
                .encode(&[format!("a photo of qwe {}", settings[trial].subject.class)], tch::Kind::Float),
            class: None,
        })
        .collect();
    let contexts = step_contexts(&examples);
    for step in 0..settings[0].train_steps {
        let _ = dreambooth_step(&world.diffusion, &examples, &contexts, &mut bank, step);
    }
    let health = bank.health();
    let of_trial = |trial: usize| {
        let slot = order.iter().position(|&own| own == trial).unwrap();
        (bank.merged(LAYER, slot).unwrap(), health[slot])
    };
    (0..settings.len()).map(of_trial).collect()
}

fn distance(left: &tch::Tensor, right: &tch::Tensor) -> f64 {
    f64::try_from((left - right).abs().max()).unwrap()
}

#[test]
fn a_trial_alone_equals_itself_in_a_mixed_bank_of_eight_beside_one_that_diverges() {
    let subjects = first_subjects();
    let delora = json!({"name": "delora", "rank": 4, "lambda": 4.0, "learning_rate": {"angles": 1e-2, "strength": 1e-2}});
    let lora =
        |rate: f64| json!({"name": "lora", "rank": 4, "alpha": 8.0, "learning_rate": {"angles": rate}});
    let dora = json!({"name": "dora", "rank": 4, "alpha": 8.0, "learning_rate": {"angles": 1e-3, "magnitude": 1e-3}});
    let ether = json!({"name": "ether_plus_one_sided", "learning_rate": {"angles": 1e-2}});
    let bank: Vec<Settings> = [
        (lora(1e30), 0, 0),
        (delora.clone(), 1, 0),
        (dora, 2, 1),
        (lora(1e-3), 3, 0),
        (ether, 4, 1),
        (delora, 5, 1),
        (lora(1e-4), 6, 1),
        (json!({"name": "none"}), 7, 0),
    ]
    .into_iter()
    .map(|(method, seed, subject)| settings(method, seed, &subjects[subject]))
    .collect();
    let world = World::load(&bank[0]).unwrap();
    let together = train(&world, &bank);
    assert!(together[0].1.is_some(), "a learning rate of 1e30 has to diverge");
    let pretrained = &together[7].0;
    for trial in [1, 2, 3, 4] {
        let alone = train(&world, std::slice::from_ref(&bank[trial]));
        let difference = distance(&alone[0].0, &together[trial].0);
        let moved = distance(&together[trial].0, pretrained);
        println!(
            "{}: alone against in the bank {difference:.1e}, moved {moved:.1e}",
            bank[trial].common.method.name
        );
        assert!(difference < 1e-4, "{}: {difference}", bank[trial].common.method.name);
        assert!(moved > 10.0 * difference.max(1e-5), "{} did not train", bank[trial].common.method.name);
        assert_eq!(together[trial].1, None);
    }
}
