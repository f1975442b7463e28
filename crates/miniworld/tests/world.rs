//! The mini world is what its captions say, the same at every start, and keeps its subjects to itself.

use std::collections::{BTreeMap, BTreeSet};

use miniworld::objects::{CLASSES, is_live};
use miniworld::{SIZE, Scene, prompts, subjects, vocabulary};

#[test]
fn a_seed_gives_the_same_picture_and_caption_and_another_seed_another() {
    let (first, again, other) =
        (Scene::sample(7).render(), Scene::sample(7).render(), Scene::sample(8).render());
    assert_eq!(first.rgb, again.rgb);
    assert_ne!(first.rgb, other.rgb);
    assert_eq!(first.rgb.len(), SIZE * SIZE * 3);
    assert_eq!(Scene::sample(7).caption(3), Scene::sample(7).caption(3));
    let captions: BTreeSet<String> = (0..50).map(|seed| Scene::sample(7).caption(seed)).collect();
    assert!(captions.len() > 1, "the seed decides which words are dropped");
}

#[test]
fn looks_that_subjects_may_have_are_never_drawn_for_pretraining() {
    for seed in 0..2000 {
        assert!(!Scene::sample(seed).instance.is_held_out());
        let (first, second) = Scene::pair(seed);
        assert!(!first.instance.is_held_out());
        assert_eq!(first.instance, second.instance);
        let (anchor, same, other) = Scene::triplet(seed);
        assert!(anchor.instance.is_held_out() && other.instance.is_held_out());
        assert_eq!(anchor.instance, same.instance);
        assert_eq!(anchor.instance.class, other.instance.class);
        assert_ne!(anchor.instance, other.instance);
    }
    for subject in subjects() {
        assert!(subject.pictures().iter().all(|scene| scene.instance.is_held_out()), "{}", subject.name);
    }
}

#[test]
fn every_word_of_captions_and_prompts_is_in_the_vocabulary() {
    let known: BTreeSet<String> = vocabulary().into_iter().collect();
    let captions = (0..3000).map(|seed| Scene::sample(seed).caption(seed));
    let prompts = CLASSES.iter().flat_map(|class| prompts(class, "qwe", matches!(*class, "cat" | "dog")));
    for text in captions.chain(prompts) {
        for word in text.to_lowercase().split_whitespace() {
            assert!(known.contains(word), "`{word}` of `{text}`");
        }
    }
}

#[test]
fn the_object_fills_a_good_part_of_its_picture_and_is_labelled_with_its_class() {
    let mut shares = BTreeMap::new();
    for seed in 0..300 {
        let scene = Scene::sample(seed);
        let mask = scene.render().mask;
        let label = 1 + scene.instance.class as u8;
        let share = mask.iter().filter(|&&own| own == label).count() as f64 / mask.len() as f64;
        assert!(share > 0.03 && share < 0.7, "seed {seed}: the object covers {share:.2}");
        assert!(mask.iter().all(|&own| own == label || own > CLASSES.len() as u8));
        *shares.entry(scene.instance.class).or_insert(0.0) += share;
    }
    assert_eq!(shares.len(), CLASSES.len(), "every class is drawn");
}

#[test]
fn there_are_thirty_subjects_of_all_classes_with_four_to_six_different_pictures() {
    let subjects = subjects();
    let names: BTreeSet<&str> = subjects.iter().map(|subject| subject.name.as_str()).collect();
    assert_eq!((subjects.len(), names.len()), (30, 30));
    let classes: BTreeSet<&str> = subjects.iter().map(|subject| subject.class).collect();
    assert_eq!(classes.len(), CLASSES.len());
    for subject in &subjects {
        let pictures: BTreeSet<Vec<u8>> = subject.pictures().iter().map(|scene| scene.render().rgb).collect();
        assert!((4..=6).contains(&pictures.len()), "{}: {} pictures", subject.name, pictures.len());
    }
}

#[test]
fn a_prompt_changes_what_it_names_and_nothing_else_of_the_instance() {
    for class in 0..CLASSES.len() {
        let plain = Scene::from_prompt(class, 0, 5);
        for prompt in 0..25 {
            let scene = Scene::from_prompt(class, prompt, 5);
            if prompt < 10 || (10..20).contains(&prompt) && !is_live(class) {
                assert_eq!(scene.context.index, prompt);
                assert_eq!(scene.instance, plain.instance);
            }
            assert_eq!(scene.outfit.is_some(), (10..20).contains(&prompt) && is_live(class));
            assert_eq!(scene.attribute.is_some(), prompt >= 22);
            assert_eq!(scene.render().rgb == plain.render().rgb, prompt == 0);
        }
    }
}
