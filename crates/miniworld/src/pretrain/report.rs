//! Held-out evaluations of the shipped networks: `REPORT.md` and two sheets of pictures beside it.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};
use image::{RgbImage, imageops};
use models::Frozen;
use models::clip::{Clip, ClipConfig};
use models::diffusion::{Conditions, SamplerName, Sampling, StableDiffusion, load_vae, load_vit};
use models::images::{from_bytes, from_tensor};
use models::segmentation::{Confusion, SegmentationScores};
use models::text::CaptionTokenizer;
use models::upernet::load_upernet;
use models::{load_weights, read_config};
use rand::RngExt;
use tch::{Kind, Tensor, nn};

use super::data::batch_stream;
use super::shipping::Options;
use super::trainer::device;
use super::{decoder, encoder};
use crate::objects::CLASSES;
use crate::{SIZE, Scene};

/// Scenes from this seed on are in no training set: training draws seeds from a stream, not from a range.
const HELD_OUT: u64 = 1 << 40;
/// Captions that each picture is compared with.
const CHOICES: usize = 20;

pub fn run(options: &Options) -> Result<()> {
    let mut text = String::from(
        "# The mini networks\n\nWritten by `delora pretrain --model report` from the files beside it.\n\n\
         | question | measured | wanted |\n|---|---|---|\n",
    );
    let [scenes, photos] = reconstruction(options)?;
    writeln!(text, "| VAE: PSNR on 256 held-out scenes | {scenes:.1} dB | ≥ 26 dB |")?;
    writeln!(text, "| VAE: PSNR on 256 held-out photographs | {photos:.1} dB | |")?;
    let triplets = triplets(options)?;
    writeln!(
        text,
        "| DINO: held-out triplets with the same instance closer than another of its class | {:.1} % | ≥ 90 % |",
        100.0 * triplets.right
    )?;
    writeln!(
        text,
        "| DINO: mean cosine, same instance / other of its class | {:.2} / {:.2} | |",
        triplets.same, triplets.other
    )?;
    let clip = Evaluator::load(options)?;
    let real = clip.retrieval_of_scenes();
    writeln!(text, "| CLIP: right caption of {CHOICES} for held-out scenes | {:.1} % | |", 100.0 * real)?;
    let generated = clip.retrieval_of_generated(options)?;
    writeln!(
        text,
        "| UNet: right caption of {CHOICES}, by CLIP, for generated pictures | {:.1} % | ≥ 60 % |",
        100.0 * generated
    )?;
    let maps = segmentation(options)?;
    writeln!(
        text,
        "| Segmenter: mIoU; accuracy on 256 held-out scenes | {:.1} %; {:.1} % | |",
        100.0 * maps.mean_iou,
        100.0 * maps.pixel_accuracy
    )?;
    let words = encoder::evaluate(options)?;
    writeln!(
        text,
        "| Encoder: words restored in held-out documents; always the commonest word | {:.1} %; {:.1} % | |",
        100.0 * words.right,
        100.0 * words.unigram_right
    )?;
    writeln!(
        text,
        "| Encoder: perplexity of these words; by their frequencies | {:.2}; {:.1} | |",
        words.perplexity, words.unigram_perplexity
    )?;
    writeln!(
        text,
        "| Encoder: whether two sentences belong together, held out | {:.1} % | |",
        100.0 * words.told
    )?;
    text += &decoder::evaluate(options)?.rows();
    let path = options.out.join("REPORT.md");
    terminal::print(&text);
    std::fs::write(&path, text).with_context(|| format!("{}: cannot be written", path.display()))
}

fn held_out(count: u64) -> Vec<Scene> {
    (0..count).map(|index| Scene::sample(HELD_OUT + index)).collect()
}

fn pictures_of(scenes: &[Scene]) -> Tensor {
    pictures_and_labels(scenes).0
}

/// Pictures `[N, 3, SIZE, SIZE]` in [-1, 1], and label maps `[N, SIZE, SIZE]`.
fn pictures_and_labels(scenes: &[Scene]) -> (Tensor, Tensor) {
    let (mut rgb, mut labels) = (Vec::new(), Vec::new());
    for rendered in scenes.iter().map(Scene::render) {
        rgb.extend(rendered.rgb);
        labels.extend(rendered.mask);
    }
    let labels = Tensor::from_slice(&labels).view([scenes.len() as i64, SIZE as i64, SIZE as i64]);
    (from_bytes(&rgb, scenes.len(), SIZE, SIZE).to_device(device()), labels.to_device(device()))
}

/// PSNR on scenes and on photographs, from the latents' means.
fn reconstruction(options: &Options) -> Result<[f64; 2]> {
    let vae = load_vae(&options.diffusion(), device())?.network;
    let psnr = |pictures: &Tensor| {
        let parts = pictures.split(32, 0);
        let errors = parts.iter().map(|part| {
            let decoded = gradient_mode::off(|| vae.decode(&vae.encode(part).0)).clamp(-1.0, 1.0);
            f64::try_from((decoded - part).square().sum(Kind::Double)).expect("a sum is a number")
        });
        let error = errors.sum::<f64>() / pictures.numel() as f64;
        10.0 * (4.0 / error).log10()
    };
    let scenes = held_out(256);
    let photos = options.photos("valid")?;
    let rgb: Vec<u8> = photos.iter().take(256).flat_map(|photo| photo.rgb.iter().copied()).collect();
    let photos = from_bytes(&rgb, rgb.len() / (SIZE * SIZE * 3), SIZE, SIZE).to_device(device());
    Ok([psnr(&pictures_of(&scenes)), psnr(&photos)])
}

/// How much of its label map the segmenter finds in a scene.
fn segmentation(options: &Options) -> Result<SegmentationScores> {
    let network = load_upernet(&options.out.join("segmenter"), device())?.network;
    let side = SIZE as i64;
    let mut confusion = Confusion::new(network.config().num_classes as usize);
    for scenes in held_out(256).chunks(32) {
        let (pictures, labels) = pictures_and_labels(scenes);
        let found = gradient_mode::off(|| network.segment([side, side], |_| (&pictures + 1.0) * 0.5));
        confusion.add(&found, &labels)?;
    }
    Ok(confusion.scores()?)
}

struct Triplets {
    right: f64,
    same: f64,
    other: f64,
}

fn triplets(options: &Options) -> Result<Triplets> {
    let folder = options.out.join("dino");
    let vit = load_vit(&folder, device())?.network;
    let features = |scenes: &[Scene]| unit(gradient_mode::off(|| vit.forward(&pictures_of(scenes))));
    let (mut anchors, mut same, mut other) = (Vec::new(), Vec::new(), Vec::new());
    for index in 0..500 {
        let (anchor, positive, negative) = Scene::triplet(HELD_OUT + index);
        anchors.push(anchor);
        same.push(positive);
        other.push(negative);
    }
    let anchors = features(&anchors);
    let cosine = |scenes: &[Scene]| {
        (&anchors * features(scenes)).sum_dim_intlist([-1i64].as_slice(), false, Kind::Float)
    };
    let (same, other) = (cosine(&same), cosine(&other));
    let mean = |tensor: &Tensor| f64::try_from(tensor.to_kind(Kind::Double).mean(Kind::Double));
    Ok(Triplets { right: mean(&same.gt_tensor(&other))?, same: mean(&same)?, other: mean(&other)? })
}

fn unit(features: Tensor) -> Tensor {
    &features / features.norm_scalaropt_dim(2.0, [-1i64].as_slice(), true)
}

struct Evaluator {
    clip: Clip,
    tokenizer: CaptionTokenizer,
}

impl Evaluator {
    fn load(options: &Options) -> Result<Evaluator> {
        let folder = options.out.join("clip");
        let config: ClipConfig = read_config(&folder.join("config.json"))?;
        let store = nn::VarStore::new(device());
        let clip = Clip::new(&store.root(), &config);
        load_weights(&store, &folder.join("model.safetensors"))?;
        let text = &config.text_config;
        let length = text.max_position_embeddings as usize;
        let tokenizer =
            CaptionTokenizer::from_file(&folder.join("tokenizer.json"), length, text.eos_token_id)?;
        Ok(Evaluator { clip, tokenizer })
    }

    /// Share of pictures whose own caption is the closest among 20 drawn without repetition.
    fn retrieval(&self, pictures: &Tensor, captions: &[String]) -> f64 {
        let ids = self.tokenizer.encode_batch(captions).to_device(device());
        let text = unit(gradient_mode::off(|| self.clip.text_features(&ids, Kind::Float)));
        let vision = unit(gradient_mode::off(|| self.clip.vision.forward(pictures)));
        let cosines = Vec::<Vec<f32>>::try_from(vision.matmul(&text.tr())).expect("a matrix of numbers");
        let mut stream = batch_stream(20, 0);
        let is_right = |&index: &usize| {
            let mut others = Vec::new();
            while others.len() < CHOICES - 1 {
                let other = stream.random_range(0..captions.len());
                if captions[other] != captions[index] && !others.contains(&other) {
                    others.push(other);
                }
            }
            others.iter().all(|&other| cosines[index][other] < cosines[index][index])
        };
        (0..captions.len()).filter(is_right).count() as f64 / captions.len() as f64
    }

    fn retrieval_of_scenes(&self) -> f64 {
        let scenes = held_out(400);
        let captions: Vec<String> =
            scenes.iter().zip(0u64..).map(|(scene, seed)| scene.caption(seed)).collect();
        self.retrieval(&pictures_of(&scenes), &captions)
    }

    /// Generates from captions of held-out scenes and from each class's prompts; writes both as sheets.
    fn retrieval_of_generated(&self, options: &Options) -> Result<f64> {
        let diffusion = StableDiffusion::load(&options.diffusion(), device())?;
        let captions: Vec<String> =
            (0..200).map(|index| Scene::sample(HELD_OUT + 1000 + index).caption(index)).collect();
        let pictures = generate(&diffusion, &captions);
        write_sheet(&pictures.narrow(0, 0, 60), 12, &options.out.join("captions.png"))?;
        let prompts: Vec<String> = CLASSES
            .iter()
            .flat_map(|class| {
                let all = crate::prompts(class, "", matches!(*class, "cat" | "dog"));
                [0, 1, 2, 6, 13, 17, 20, 21, 24].map(|index| all[index].clone())
            })
            .collect();
        write_sheet(&generate(&diffusion, &prompts), 9, &options.out.join("prompts.png"))?;
        Ok(self.retrieval(&pictures, &captions))
    }
}

/// One picture per caption, from noise of one seed.
fn generate(diffusion: &StableDiffusion, captions: &[String]) -> Tensor {
    let [channels, height, width] = diffusion.latent_shape();
    let mut stream = batch_stream(21, 0);
    let draws: Vec<f32> = rand_distr::Distribution::sample_iter(rand_distr::StandardNormal, &mut stream)
        .take(captions.len() * (channels * height * width) as usize)
        .collect();
    let noise = Tensor::from_slice(&draws).view([captions.len() as i64, channels, height, width]);
    let context = diffusion.captions.encode(captions, Kind::Float);
    let unconditional = diffusion.captions.encode(&[""], Kind::Float);
    let sampling = Sampling { steps: 20, guidance_scale: 4.0, sampler: SamplerName::DpmSolver };
    let parts: Vec<Tensor> = noise
        .to_device(device())
        .split(64, 0)
        .iter()
        .zip(context.split(64, 0))
        .map(|(noise, context)| {
            let conditions = Conditions { context: &context, unconditional: &unconditional, control: None };
            let latents = diffusion.sample(noise, conditions, sampling, &Frozen);
            diffusion.decode(&latents).clamp(-1.0, 1.0)
        })
        .collect();
    Tensor::cat(&parts, 0)
}

fn write_sheet(pictures: &Tensor, columns: usize, path: &Path) -> Result<()> {
    let tiles = from_tensor(pictures);
    let rows = tiles.len().div_ceil(columns);
    let mut sheet = RgbImage::new((columns * SIZE) as u32, (rows * SIZE) as u32);
    for (index, tile) in tiles.iter().enumerate() {
        let (column, row) = (index % columns, index / columns);
        imageops::replace(&mut sheet, tile, (column * SIZE) as i64, (row * SIZE) as i64);
    }
    sheet.save(path).with_context(|| format!("{}: cannot be written", path.display()))
}
