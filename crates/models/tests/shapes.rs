//! Shapes without weights are those of the networks themselves.

use std::path::Path;

use delora_core::{PartShape, Role, SiteShape};
use models::diffusion::load_unet;
use models::read_config;
use models::shapes::{ARCHITECTURES, Shapes};
use models::unet::UNetConfig;
use tch::Device;

fn shapes(name: &str) -> Shapes {
    ARCHITECTURES.iter().find(|architecture| architecture.name == name).unwrap().shapes()
}

#[test]
fn shapes_at_a_width_are_those_of_the_real_network() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/mini/sd/unet");
    let file = "diffusion_pytorch_model.safetensors";
    let real = load_unet(folder.parent().unwrap(), Device::Cpu).unwrap();
    let real = Shapes::of(&real);
    let config: UNetConfig = read_config(&folder.join("config.json")).unwrap();
    let at_width = Shapes::of_config(&config).unwrap();
    assert_eq!(at_width, real);
    let stored = tch::Tensor::read_safetensors(folder.join(file)).unwrap();
    assert_eq!(real.num_tensors(), stored.len());
    assert_eq!(real.num_parameters(), stored.iter().map(|(_, tensor)| tensor.numel() as i64).sum::<i64>());
}

#[test]
fn the_full_size_networks_have_the_published_sizes() {
    for (name, parameters, tensors) in [
        ("sd15", 859_520_964, 686),
        ("roberta-base", 124_055_040, 5 + 12 * 16),
        ("llama2-7b", 6_738_415_616, 291),
        ("sd15-vae", 83_653_863, 248),
        ("sd15-text-encoder", 123_060_480, 196),
        // Query, key and value are three tensors here and one in the reference's 150.
        ("dino-vits16", 21_665_664, 150 + 12 * 4),
        ("clip-vit-base-patch32", 151_277_313, 398),
        ("clip-vit-base-patch32-vision", 87_849_216, 200),
        ("clip-vit-large-patch14", 427_616_513, 590),
        ("clip-vit-large-patch14-vision", 303_966_208, 392),
    ] {
        let shapes = shapes(name);
        assert_eq!((shapes.num_parameters(), shapes.num_tensors()), (parameters, tensors), "{name}");
    }
}

#[test]
fn stable_diffusion_has_128_attention_linears_of_the_published_sizes() {
    let shapes = shapes("sd15");
    let is_attention = |role| matches!(role, Role::Query | Role::Key | Role::Value | Role::Output);
    let linears = shapes.sites.iter().filter_map(|site| match site.part {
        PartShape::Linear(shape) => Some((&site.name, shape)),
        _ => None,
    });
    let attention = linears.clone().filter(|(_, shape)| is_attention(shape.role));
    let sum = attention.fold([0, 0, 0], |[count, outputs, inputs], (_, shape)| {
        [count + 1, outputs + shape.out_features, inputs + shape.in_features]
    });
    assert_eq!(sum, [128, 99_840, 99_456]);
    let name = "up_blocks.3.attentions.2.transformer_blocks.0.attn2.to_k";
    let (_, key) = linears.clone().find(|(linear, _)| *linear == name).unwrap();
    assert_eq!((key.out_features, key.in_features, key.has_bias), (320, 768, false));
}

#[test]
fn names_are_unique() {
    for architecture in &ARCHITECTURES {
        let shapes = architecture.shapes();
        let is_hidden = |site: &&SiteShape| matches!(site.part, PartShape::Hidden(_));
        let parts = shapes.sites.iter().filter(|site| !is_hidden(site));
        let mut names: Vec<&String> = parts.map(|site| &site.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "{}", architecture.name);
    }
}
