//! Networks at full size have the names and shapes of the public checkpoints, as `tools/goldens/layouts.py` lists them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use models::listing::Listing;
use models::networks::Network;
use models::shapes::ARCHITECTURES;
use models::weights::Matching;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/layouts").join(name).with_extension("json")
}

/// Name and, where a listing is of an older generation, another one.
const LISTINGS: [(&str, &str); 12] = [
    ("sd15-unet", "sd15"),
    ("sd15-vae", "sd15-vae"),
    ("sd15-vae-legacy", "sd15-vae"),
    ("sd15-text-encoder", "sd15-text-encoder"),
    ("sd21-unet", "sd21"),
    ("sd21-text-encoder", "sd21-text-encoder"),
    ("dino-vits16", "dino-vits16"),
    ("dino-vits16-facebook", "dino-vits16"),
    ("clip-vit-base-patch32", "clip-vit-base-patch32"),
    ("clip-vit-large-patch14", "clip-vit-large-patch14"),
    ("roberta-base", "roberta-base"),
    ("llama2-7b", "llama2-7b"),
];

#[test]
fn public_checkpoints_fit_without_a_difference() {
    for (listing, architecture) in LISTINGS {
        let file = Listing::read(&path(listing)).unwrap();
        let network = Network::of(&file.config).unwrap();
        let asked = network.read(&file.config).unwrap();
        let (stored, layout) = (file.tensors(), asked.shapes.layout());
        let matching = Matching::of(&layout, network.naming, &stored);
        assert_eq!(matching.missing, [], "{listing}");
        assert_eq!(matching.misshapen, [], "{listing}");
        let names =
            |indices: &[usize]| indices.iter().map(|&index| stored[index].name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&matching.unexpected), Vec::<String>::new(), "{listing}");
        assert_eq!(matching.found.len(), layout.len());
        println!("{listing}: {} tensors, {} left aside", stored.len(), matching.left_aside.len());
        let (known, differences) = network.published(&asked).unwrap();
        assert_eq!((known.name, differences), (architecture, Vec::new()), "{listing}");
    }
}

#[test]
fn what_a_listing_counts_is_what_it_holds_and_is_published() {
    for (listing, parameters, tensors) in [
        ("sd15-unet", 859_520_964, 686),
        ("sd15-vae", 83_653_863, 248),
        ("sd15-vae-legacy", 83_653_863, 248),
        ("sd15-text-encoder", 123_060_480 + 77, 196 + 1),
        ("dino-vits16-facebook", 21_665_664, 150),
        ("llama2-7b", 6_738_415_616, 291),
    ] {
        let stored = Listing::read(&path(listing)).unwrap().tensors();
        let values: i64 = stored.iter().map(|tensor| tensor.num_values()).sum();
        assert_eq!((values, stored.len()), (parameters, tensors), "{listing}");
        let counted: serde_json::Value = models::read_json(&path(listing)).unwrap();
        assert_eq!(counted["num_tensors"], tensors, "{listing}");
        assert_eq!(counted["num_parameters"], parameters, "{listing}");
    }
}

#[test]
fn both_generations_of_the_vae_are_the_same_tensors() {
    let shapes = |listing: &str| {
        let stored = Listing::read(&path(listing)).unwrap().tensors();
        stored.into_iter().map(|tensor| (tensor.name, tensor.shape)).collect::<BTreeMap<_, _>>()
    };
    let (new, old) = (shapes("sd15-vae"), shapes("sd15-vae-legacy"));
    let differ = |one: &BTreeMap<_, _>, other: &BTreeMap<_, _>| {
        one.iter().filter(|(name, _)| !other.contains_key::<String>(name)).count()
    };
    // Four projections with a weight and a bias, in the encoder and in the decoder.
    assert_eq!((differ(&new, &old), differ(&old, &new)), (16, 16));
}

#[test]
fn another_networks_tensors_are_missing_unexpected_and_misshapen() {
    let vae = Listing::read(&path("sd15-vae")).unwrap();
    let network = Network::of(&vae.config).unwrap();
    let layout = network.read(&vae.config).unwrap().shapes.layout();
    let unet = Listing::read(&path("sd15-unet")).unwrap().tensors();
    let matching = Matching::of(&layout, network.naming, &unet);
    assert_eq!((matching.missing.len(), matching.unexpected.len(), matching.found.len()), (248, 686, 0));
    let mut narrow = vae.config.clone();
    narrow["block_out_channels"] = serde_json::json!([64, 128, 256, 256]);
    let layout = network.read(&narrow).unwrap().shapes.layout();
    let matching = Matching::of(&layout, network.naming, &vae.tensors());
    assert!(matching.missing.is_empty() && matching.unexpected.is_empty());
    // All but quant_conv, post_quant_conv, and the biases of the last layers of encoder and decoder.
    assert_eq!(matching.misshapen.len(), 248 - 6);
}

#[test]
fn configs_that_are_unknown_or_impossible_are_refused_by_what_is_wrong() {
    let unet = Listing::read(&path("sd15-unet")).unwrap().config;
    let dino = Listing::read(&path("dino-vits16")).unwrap().config;
    let llama = Listing::read(&path("llama2-7b")).unwrap().config;
    let refusal = |config: &serde_json::Value, key: &str, value: serde_json::Value| {
        let mut config = config.clone();
        config[key] = value;
        let read = Network::of(&config).and_then(|network| network.read(&config));
        read.err().unwrap_or_else(|| panic!("{key} is not refused"))
    };
    for (config, key, value, words) in [
        (&unet, "_class_name", "UNet2DModel".into(), "`UNet2DModel`; known are UNet2DConditionModel"),
        (&unet, "_class_name", serde_json::Value::Null, "names no class"),
        (&unet, "attention_head_dim", serde_json::json!([5, 10]), "has 2 entries"),
        (&unet, "block_out_channels", serde_json::json!([]), "`block_out_channels` is empty"),
        (&unet, "block_out_channels", serde_json::json!([320, 0, 1, 1]), "`block_out_channels` is 0"),
        (&unet, "up_block_types", serde_json::json!(["UpBlock2D"]), "`up_block_types` has 1 entries"),
        (&dino, "patch_size", 0.into(), "`patch_size` 0 does not fit"),
        (&dino, "hidden_size", "wide".into(), "invalid type: string"),
        (&llama, "num_attention_heads", 0.into(), "num_attention_heads"),
    ] {
        let message = refusal(config, key, value);
        assert!(message.contains(words), "{key}: {message}");
    }
}

#[test]
fn sizes_of_public_checkpoints_with_other_settings_are_told_apart() {
    let mut config = Listing::read(&path("dino-vits16")).unwrap().config;
    config["layer_norm_eps"] = serde_json::json!(1e-6);
    let network = Network::of(&config).unwrap();
    let (known, differences) = network.published(&network.read(&config).unwrap()).unwrap();
    assert_eq!(known.name, "dino-vits16");
    assert_eq!(differences, ["`layer_norm_eps` is 1e-6, not 1e-12"]);
    config["num_hidden_layers"] = 11.into();
    assert!(network.published(&network.read(&config).unwrap()).is_none());
    assert_eq!(ARCHITECTURES.len(), 13);
}
