//! Folders of networks: configs, weights, tokenizers, preprocessors and schedules.

use std::path::Path;

use llama_it::Network;
use models::Loaded;
use models::diffusion::{StableDiffusion, load_clip, load_unet, load_vae, load_vit};
use models::images::Preprocessor;
use models::roberta::{Tokens, load_encoder};
use models::scheduler::{Ddim, DpmSolverPlusPlus, FinalStep, NoiseSchedule, ScheduleConfig};
use models::text::CaptionTokenizer;
use models::upernet::load_upernet;
use models::weights::Weights;
use models::{Adaptable, Frozen, read_config};
use tch::{Device, Kind as Numbers, Tensor};

use crate::case::{Case, Kind, Verdict};
use crate::worker::Shared;

pub const NETWORKS: Kind = Kind { name: "networks", share: 24, attempt };

const CPU: Device = Device::Cpu;
/// The smaller ones more often.
const FOLDERS: &str =
    "sd sd/unet sd/vae sd/vae sd/scheduler sd/scheduler clip dino dino encoder decoder segmenter";

fn attempt(case: &mut Case, _: &mut Shared) -> Verdict {
    let folders: Vec<&str> = FOLDERS.split(' ').collect();
    let name = *case.random.pick(&folders);
    let copy = case.linked(&Path::new("assets/mini").join(name), name);
    let is_config = case.random.percent(60);
    let file = case.any_file(&copy, |path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // Nothing reads the list of parts but as a sign of a whole checkpoint.
        name != "model_index.json" && (!is_config || name.ends_with("config.json"))
    });
    case.damage(&file);
    // A config may be right by itself and the weights beside it not.
    case.blamed.push(file.parent().expect("a file is in a folder").display().to_string());
    let root = case.folder.join("sd");
    let result = match name {
        "sd" => StableDiffusion::load(&root, CPU).map_err(full).and_then(|loaded| drawn(&loaded)),
        "sd/unet" => load_unet(&root, CPU).map_err(full).and_then(|loaded| finite(&loaded)),
        "sd/vae" => load_vae(&root, CPU).map_err(full).and_then(|loaded| {
            let pictures = gradient_mode::off(|| {
                loaded.network.decode(&Tensor::zeros(
                    [1, loaded.network.config().latent_channels, 4, 4],
                    (Numbers::Float, CPU),
                ))
            });
            tensor("a decoded picture", &pictures)
        }),
        "sd/scheduler" => schedule(&copy),
        "clip" => clip(&copy),
        "dino" => vision(&copy),
        "encoder" => encoder(&copy),
        "decoder" => decoder(&copy),
        _ => load_upernet(&copy, CPU).map_err(full).map(drop),
    };
    match result {
        Ok(()) if holds_non_finite(&file) => {
            Verdict::Wrong("taken with values that are not finite".to_owned())
        }
        Ok(()) => Verdict::Taken,
        Err(message) => match message.strip_prefix(BROKEN) {
            Some(broken) => Verdict::Wrong(broken.to_owned()),
            None => Verdict::Refused(message),
        },
    }
}

const BROKEN: &str = "not finite: ";

fn full(error: impl Into<anyhow::Error>) -> String {
    format!("{:#}", error.into())
}

fn tensor(what: &str, values: &Tensor) -> Result<(), String> {
    let is_finite = values.isfinite().all().int64_value(&[]) == 1;
    if is_finite { Ok(()) } else { Err(format!("{BROKEN}{what}")) }
}

fn finite<T: Adaptable>(loaded: &Loaded<T>) -> Result<(), String> {
    loaded.other_tensors().iter().try_for_each(|(name, value)| tensor(name, value))
}

/// Whether a weight file that was taken has NaN or infinite values.
fn holds_non_finite(file: &Path) -> bool {
    let is_weights = file.extension().is_some_and(|extension| extension == "safetensors");
    is_weights
        && Weights::open(file)
            .is_ok_and(|weights| weights.tensors().iter().any(|stored| weights.num_non_finite(stored) > 0))
}

/// One step of one picture.
fn drawn(loaded: &StableDiffusion) -> Result<(), String> {
    let config = loaded.unet.network.config();
    let sample = Tensor::zeros([1, config.in_channels, 8, 8], (Numbers::Float, CPU));
    let context = loaded.captions.encode(&["a photo of a cat"], Numbers::Float);
    let steps = Tensor::from_slice(&[1i64]);
    let noise = gradient_mode::off(|| loaded.unet.network.forward(&sample, &steps, &context, &Frozen));
    tensor("a predicted noise", &noise)?;
    tensor("a decoded picture", &gradient_mode::off(|| loaded.decode(&sample)))
}

fn schedule(folder: &Path) -> Result<(), String> {
    let config: ScheduleConfig = read_config(&folder.join("scheduler_config.json")).map_err(full)?;
    let schedule = NoiseSchedule::new(&config);
    let is_share = |&share: &f64| (0.0..=1.0).contains(&share);
    if !schedule.alphas_cumprod().iter().all(is_share) {
        return Err(format!("{BROKEN}a schedule of shares beyond 0 to 1"));
    }
    Ddim::new(&schedule, 4);
    DpmSolverPlusPlus::new(&schedule, 4, FinalStep::Zero);
    Ok(())
}

fn clip(folder: &Path) -> Result<(), String> {
    let loaded = load_clip(folder, CPU).map_err(full)?;
    let config: models::clip::ClipConfig = read_config(&folder.join("config.json")).map_err(full)?;
    let text = &config.text_config;
    let tokenizer = CaptionTokenizer::open(folder, text).map_err(full)?;
    let ids = tokenizer.encode_batch(&["a photo of a cat"]);
    tensor("features of a text", &gradient_mode::off(|| loaded.network.text_features(&ids, Numbers::Float)))?;
    let size = config.vision_config.image_size;
    pictures(folder, size).map(drop)
}

fn pictures(folder: &Path, size: i64) -> Result<Tensor, String> {
    let side = u32::try_from(size).map_err(full)?;
    let preprocessor = Preprocessor::read(folder, side).map_err(full)?;
    let values = preprocessor.apply(&[image::RgbImage::new(40, 30)]);
    tensor("a preprocessed picture", &values)?;
    Ok(values)
}

fn vision(folder: &Path) -> Result<(), String> {
    let loaded = load_vit(folder, CPU).map_err(full)?;
    let values = pictures(folder, loaded.network.config().image_size)?;
    tensor("features of a picture", &gradient_mode::off(|| loaded.network.forward(&values)))
}

fn encoder(folder: &Path) -> Result<(), String> {
    let loaded = load_encoder(folder, CPU).map_err(full)?;
    let config = loaded.network.config();
    let length = usize::try_from(config.max_tokens()).unwrap_or(0).min(16);
    let tokenizer = roberta_glue::tokens::TextTokenizer::open(folder, length).map_err(full)?;
    tokenizer.check(usize::try_from(config.vocab_size).unwrap_or(0)).map_err(full)?;
    let encoded = tokenizer.encode(&["the cat is red".to_owned(), "it is".to_owned()]);
    let ids = Tensor::from_slice(&encoded.ids).unsqueeze(0);
    let mask = Tensor::ones_like(&ids);
    let tokens = Tokens { ids: &ids, mask: &mask, types: None };
    tensor("hidden states", &gradient_mode::off(|| loaded.network.forward(&tokens, Numbers::Float, &Frozen)))
}

fn decoder(folder: &Path) -> Result<(), String> {
    let network = Network::load(folder, Numbers::Float).map_err(full)?;
    let ids = Tensor::from_slice(&network.tokenizer.encode("the cat is red")).unsqueeze(0);
    tensor("logits", &gradient_mode::off(|| network.llama.network.forward(&ids, Numbers::Float, &Frozen)))
}
