//! A recipe from its start to a folder that loads. Alone in its file, as libtorch's random numbers are the process's.

use std::path::Path;

use miniworld::pretrain::{Model, Options, run};
use models::roberta::load_encoder;
use tch::Device;

#[test]
fn two_steps_of_the_recipe_make_a_folder_that_loads_and_a_seed_makes_the_same() {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let weights = ["first", "again"].map(|name| {
        let folder = root.join("encoder").join(name);
        let _ = std::fs::remove_dir_all(&folder);
        let options = Options {
            out: folder.join("out"),
            work: folder.join("work"),
            photos: None,
            seed: 7,
            bf16: false,
            steps: Some(2),
        };
        run(Model::Encoder, &options).expect("the recipe runs");
        load_encoder(&options.out.join("encoder"), Device::Cpu).expect("an encoder");
        std::fs::read(options.out.join("encoder/model.safetensors")).expect("weights")
    });
    assert!(weights[0] == weights[1]);
}
