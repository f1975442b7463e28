//! Stable Diffusion 1.5 and its evaluators at full size against diffusers and transformers, on the checkpoints with random
//! weights that `tools/goldens/full_size.py FOLDER` writes. Run by hand, as that script says.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use models::Frozen;
use models::diffusion::{CaptionEncoder, load_clip, load_unet, load_vae, load_vit};
use tch::{Device, Kind, Tensor};

/// Sums of thousands of products run in another order than in the reference, through some hundred layers.
const TOLERANCE: f64 = 1e-3;

/// Where the checkpoints are.
fn root() -> PathBuf {
    std::env::var_os("FULL_SIZE").map(PathBuf::from).expect("FULL_SIZE names the folder of full_size.py")
}

fn evaluator(name: &str) -> PathBuf {
    let mut folder = root().into_os_string();
    folder.push("-evaluators");
    Path::new(&folder).join(name)
}

fn tensors(folder: &Path) -> HashMap<String, Tensor> {
    Tensor::read_safetensors(folder.join("io.safetensors")).unwrap().into_iter().collect()
}

/// Loads and computes, and prints the seconds of each.
fn timed<N, T>(name: &str, load: impl FnOnce() -> N, compute: impl FnOnce(&N) -> T) -> T {
    let start = Instant::now();
    let network = load();
    let loaded = start.elapsed().as_secs_f64();
    let output = gradient_mode::off(|| compute(&network));
    println!("{name}: loaded in {loaded:.1} s, computed in {:.1} s", start.elapsed().as_secs_f64() - loaded);
    output
}

fn assert_close(what: &str, ours: &Tensor, reference: &Tensor) {
    assert_eq!(ours.size(), reference.size(), "{what}: shapes differ");
    let difference = (ours - reference).abs().max().double_value(&[]);
    let largest = reference.abs().max().double_value(&[]);
    println!("{what}: largest difference {difference:.1e}, largest value {largest:.1}");
    assert!(difference <= TOLERANCE, "{what}: differs by {difference:e}, allowed are {TOLERANCE:e}");
}

#[test]
#[ignore = "needs 4 GB of files that full_size.py writes"]
fn unet() {
    let io = tensors(&root().join("unet"));
    let output = timed(
        "unet",
        || load_unet(&root(), Device::Cpu).unwrap(),
        |unet| unet.network.forward(&io["sample"], &io["timesteps"], &io["context"], &Frozen),
    );
    assert_close("predicted noise", &output, &io["output"]);
}

#[test]
#[ignore = "needs files that full_size.py writes"]
fn vae() {
    let io = tensors(&root().join("vae"));
    let load = || load_vae(&root(), Device::Cpu).unwrap();
    let ((mean, log_variance), decoded) =
        timed("vae", load, |vae| (vae.network.encode(&io["image"]), vae.network.decode(&io["latent"])));
    assert_close("mean of the latent", &mean, &io["mean"]);
    assert_close("log variance of the latent", &log_variance, &io["logvar"]);
    assert_close("decoded picture", &decoded, &io["decoded"]);
}

#[test]
#[ignore = "needs files that full_size.py writes"]
fn text_encoder() {
    let io = tensors(&root().join("text_encoder"));
    let load = || CaptionEncoder::load(&root(), Device::Cpu).unwrap();
    let hidden = timed("text encoder", load, |captions| captions.encode_ids(&io["ids"], Kind::Float));
    assert_close("hidden states", &hidden, &io["hidden"]);
}

#[test]
#[ignore = "needs files that full_size.py writes"]
fn dino() {
    let folder = evaluator("dino-vits16");
    let io = tensors(&folder);
    let load = || load_vit(&folder, Device::Cpu).unwrap();
    let features = timed("DINO ViT-S/16", load, |vit| vit.network.forward(&io["image"]));
    assert_close("class token", &features, &io["features"]);
}

#[test]
#[ignore = "needs 2 GB of files that full_size.py writes"]
fn clip() {
    for name in ["clip-vit-base-patch32", "clip-vit-large-patch14"] {
        let folder = evaluator(name);
        let io = tensors(&folder);
        let load = || load_clip(&folder, Device::Cpu).unwrap();
        let [text, image] = timed(name, load, |clip| {
            let clip = &clip.network;
            [clip.text_features(&io["ids"], Kind::Float), clip.vision.forward(&io["image"])]
        });
        assert_close("text features", &text, &io["text_embeds"]);
        assert_close("image features", &image, &io["image_embeds"]);
    }
}
