//! Recipes from their starts to folders that load. Alone in its file, as libtorch's random numbers are the process's.

use std::path::Path;

use miniworld::pretrain::{Options, run};
use models::decoder::load_decoder;
use models::roberta::load_encoder;
use tch::{Device, Kind};

/// The files that two steps make, in a folder that `load` opens; made twice, and the same.
fn two_steps(name: &str, load: impl Fn(&Path)) {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let files = ["first", "again"].map(|time| {
        let folder = root.join(name).join(time);
        let _ = std::fs::remove_dir_all(&folder);
        let options = Options {
            out: folder.join("out"),
            work: folder.join("work"),
            photos: None,
            seed: 7,
            bf16: false,
            steps: Some(2),
        };
        run(name, &options).expect("the recipe runs");
        load(&options.out.join(name));
        ["model.safetensors", "tokenizer.json"]
            .map(|file| std::fs::read(options.out.join(name).join(file)).expect("a file"))
    });
    assert!(files[0] == files[1], "{name}");
}

#[test]
fn two_steps_of_a_recipe_make_a_folder_that_loads_and_a_seed_makes_the_same() {
    two_steps("encoder", |folder| {
        load_encoder(folder, Device::Cpu).expect("an encoder");
    });
    two_steps("decoder", |folder| {
        load_decoder(folder, Kind::Float, Device::Cpu).expect("a decoder");
    });
}
