//! Pictures of a subject from their files to scores.

use std::path::Path;

use image::{Rgb, RgbImage};
use models::Frozen;
use models::images::{from_tensor, to_tensor};
use serde_json::{Value, json};
use tch::{Kind, Tensor};

use crate::moments::Moments;
use crate::sampling::{Order, Plan, draw};
use crate::subject::evaluate::{Reference, score};
use crate::subject::settings::Settings;
use crate::subject::subjects;
use crate::subject::world::World;

fn config(data: &Path, name: &str, class: &str) -> Value {
    let mini = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/mini");
    json!({
        "method": {"name": "none"}, "seed": 0, "subject": {"name": name, "class": class}, "identifier": "qwe",
        "model": mini.join("sd"), "data": data,
        "evaluators": {"dino": mini.join("dino"), "clip": mini.join("clip")},
        "resolution": 64, "train_steps": 1, "batch": 1,
        "sampling": {"steps": 2, "guidance_scale": 4.0}, "pictures_per_prompt": 1,
        "bank": 1, "tracked_layer": "x", "track_every": 1,
    })
}

fn world(change: impl Fn(&mut Value)) -> World {
    let mut config = config(Path::new("d"), "a", "cat");
    change(&mut config);
    World::load(&Settings::read(&config).unwrap()).unwrap()
}

fn scene(width: u32, height: u32, seed: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        Rgb([(x * 3 + seed * 50) as u8, (y * 2) as u8, (x + y * seed) as u8])
    })
}

#[test]
fn drawn_pictures_count_as_bytes_and_black_or_broken_ones_do_not_count() {
    let world = world(|_| {});
    let real = Reference::of(&world, &[scene(64, 64, 1), scene(90, 70, 2)]);
    let captions = ["a cat".to_owned(), "a dog".to_owned()];
    let good = to_tensor(&[scene(64, 64, 3)]);
    let alone = score(&world, &good, &captions[..1], 1, &real);
    // Less than half a byte away: the same file.
    assert_eq!(score(&world, &(&good + 0.003).clamp(-1.0, 1.0), &captions[..1], 1, &real), alone);
    assert_ne!(score(&world, &(&good + 0.05).clamp(-1.0, 1.0), &captions[..1], 1, &real), alone);
    for bad in [Tensor::full_like(&good, -0.999), Tensor::full_like(&good, f64::NAN)] {
        let both = score(&world, &Tensor::cat(&[&good, &bad], 0), &captions, 1, &real);
        assert!(both.keys().eq(alone.keys()), "{both:?}");
        // Two captions are encoded together, in products of another size, which some processors' kernels round otherwise.
        assert!(
            both.iter().all(|(name, value)| (value - alone[name]).abs() < 1e-6),
            "{both:?} and {alone:?}"
        );
        assert!(score(&world, &bad, &captions[..1], 1, &real).is_empty());
    }
    assert_eq!(from_tensor(&good), [scene(64, 64, 3)]);
}

#[test]
fn dino_has_two_preprocessings_and_a_second_clip_its_own_metrics() {
    let pictures = [scene(120, 64, 1), scene(64, 90, 2), scene(70, 70, 5)];
    let scores = |change: &dyn Fn(&mut Value)| Reference::of(&world(change), &pictures).scores_of_itself();
    let of = |name: &str| scores(&|config| config["evaluators"]["dino_preprocessing"] = json!(name));
    let (config, squash, crop) = (of("config"), of("squash"), of("crop"));
    assert!(
        config["dino"] != squash["dino"] && squash["dino"] != crop["dino"] && crop["dino"] != config["dino"]
    );
    assert_eq!(config["clip_i"], crop["clip_i"]);
    assert!(!config.contains_key("clip_i_b32"));
    let both = scores(&|config| config["evaluators"]["clip_b32"] = config["evaluators"]["clip"].clone());
    assert_eq!(both["clip_i_b32"], config["clip_i"]);
}

#[test]
fn the_mini_world_scores_its_own_pictures_as_the_committed_results_do() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/mini/subjects/dataset");
    let originals = subjects::originals(&data.join("backpack_purple_two_tone")).unwrap();
    let scores = Reference::of(&world(|_| {}), &originals).scores_of_itself();
    // results/table3/mini/trials.csv, real_images
    for (name, committed) in [("dino", 0.8820950627326966), ("clip_i", 0.5454951152205467)] {
        assert!((scores[name] - committed).abs() < 1e-5, "{name}: {} and {committed}", scores[name]);
    }
}

#[test]
fn bytes_move_a_committed_score_by_less_than_its_printed_digits() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/mini/subjects/dataset");
    let mut config = config(&data, "backpack_purple_two_tone", "backpack");
    config["sampling"] = json!({"steps": 8, "guidance_scale": 4.0});
    let settings = Settings::read(&config).unwrap();
    let world = World::load(&settings).unwrap();
    let reference = Reference::of(&world, &subjects::originals(&subjects::folder(&settings)).unwrap());
    let contexts =
        world.diffusion.captions.encode(&subjects::prompts(&settings, "qwe"), Kind::Float).split(1, 0);
    let plan = Plan { pictures_per_prompt: 1, sampling: settings.sampling, kind: Kind::Float };
    let drawn = draw(&world.diffusion, &Frozen, &[Order { contexts, seed: 0 }], plan, |_, _| {}).unwrap();
    let scores = score(&world, &drawn[0], &subjects::prompts(&settings, ""), 1, &reference);
    // results/table3/mini/trials.csv, none with seed 0: scored before pictures were made bytes.
    let committed = [
        ("dino", 0.11962192146480083),
        ("clip_i", 0.26533154921233654),
        ("clip_t", 0.734738404750824),
        ("diversity", 0.9503754723456223),
    ];
    for (name, committed) in committed {
        println!("{name}: {} now, {committed} committed", scores[name]);
        assert!((scores[name] - committed).abs() < 5e-4, "{name}: {} and {committed}", scores[name]);
    }
}

#[test]
fn defaults_do_not_enter_a_config() {
    let config = config(Path::new("d"), "a", "cat");
    let written = serde_json::to_value(&*Settings::read(&config).unwrap()).unwrap();
    assert_eq!(written["evaluators"], config["evaluators"]);
    assert!(written.get("random_crops").is_none());
}

#[test]
fn random_crops_are_as_many_of_every_picture_and_always_the_same() {
    let mut config = config(Path::new("d"), "a", "cat");
    config["random_crops"] = json!(5);
    let settings = Settings::read(&config).unwrap();
    let originals = [scene(200, 64, 1), scene(64, 64, 2)];
    let crops = subjects::training_pictures(&originals, &settings);
    assert_eq!(crops.len(), 10);
    assert!(crops.iter().all(|crop| crop.dimensions() == (64, 64)));
    assert!(crops[..5].iter().any(|crop| *crop != crops[0]), "all are cut at one place");
    assert!(crops[5..].iter().all(|crop| *crop == originals[1]));
    assert_eq!(subjects::training_pictures(&originals, &settings), crops);
    assert_eq!(subjects::training_pictures(&originals[1..], &settings), [originals[1].clone()]);
}

#[test]
#[ignore = "DELORA_HUB has to name the folder of `models` and `datasets`; `just test-hub` sets it"]
fn dreambooths_photographs_of_the_hub_go_the_whole_way() {
    let hub = std::env::var("DELORA_HUB").expect("DELORA_HUB names the folder of `models` and `datasets`");
    let data = Path::new(&hub).join("datasets/google--dreambooth/dataset");
    let world = world(|_| {});
    let (mut pictures, mut live) = (0, 0);
    let subjects = subjects::list(&data).unwrap();
    for own in &subjects {
        let mut config = config(&data, &own.name, &own.class);
        config["random_crops"] = json!(2);
        let settings = Settings::read(&config).unwrap();
        let originals = subjects::originals(&subjects::folder(&settings)).unwrap();
        let learned = subjects::training_pictures(&originals, &settings);
        assert!(learned.len() >= originals.len());
        let moments = Moments::of(&world.diffusion, &to_tensor(&learned)).unwrap();
        assert_eq!(moments.count, learned.len());
        assert!(moments.mean.iter().chain(&moments.deviation).all(|value| value.is_finite()));
        let prompts = subjects::prompts(&settings, "");
        assert_eq!(prompts.len(), 25);
        let is_live = prompts[10].ends_with("wearing a red hat");
        assert_eq!(is_live, own.name.starts_with("cat") || own.name.starts_with("dog"), "{}", own.name);
        let reference = Reference::of(&world, &originals);
        let real = reference.scores_of_itself();
        let shown = to_tensor(&learned[..2]);
        let scores = score(&world, &shown, &prompts[..2], 1, &reference);
        assert_eq!(real["pairs"], (originals.len() * (originals.len() - 1)) as f64);
        assert_eq!(scores["pairs"], (shown.size()[0] as usize * originals.len()) as f64);
        for (name, value) in real.iter().chain(&scores).filter(|(name, _)| *name != "pairs") {
            assert!((-1.001..=2.001).contains(value), "{}: {name} {value}", own.name);
        }
        pictures += originals.len();
        live += usize::from(is_live);
    }
    println!("{} subjects, {live} of them live, {pictures} pictures", subjects.len());
    assert!(subjects.len() > 20 && live > 5 && pictures > 100);
}
