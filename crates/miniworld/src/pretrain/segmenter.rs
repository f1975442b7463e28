//! The evaluator of semantic map to image: a small UPerNet that says what is where in a scene, on pictures that are now and
//! then blurred and noisy, as generated ones are.

use anyhow::Result;
use models::upernet::{UPerNet, UPerNetConfig};
use rand::RngExt;
use tch::{Kind, Tensor, nn};

use super::data::{batch_stream, prefetch};
use super::dino::degrade;
use super::shipping::{Options, ship};
use super::trainer::{Schedule, Trainer, device};
use crate::{SIZE, Scene, pairs};

const SCHEDULE: Schedule =
    Schedule { steps: 1000, learning_rate: 4e-3, warmup_steps: 100, weight_decay: 0.01, ema: 0.99 };
const BATCH: usize = 32;

fn config() -> UPerNetConfig {
    UPerNetConfig {
        stem_widths: [12, 12, 24],
        stage_blocks: [1, 1, 1, 1],
        stage_planes: [12, 16, 24, 32],
        pool_scales: vec![1, 2],
        pool_width: 32,
        fpn_width: 40,
        num_classes: pairs::LABELS as i64,
        short_sides: vec![SIZE as i64],
        longest_side: SIZE as i64,
        side_multiple: 32,
    }
}

pub fn run(options: &Options) -> Result<()> {
    let config = config();
    let store = nn::VarStore::new(device());
    let network = UPerNet::new(&store.root(), &config)?;
    let schedule = Schedule { steps: options.steps.unwrap_or(SCHEDULE.steps), ..SCHEDULE };
    let mut trainer = Trainer::new(&store, schedule, &options.work.join("segmenter"))?;
    let seed = options.seed.wrapping_add(5);
    let batches = prefetch(trainer.step(), move |index| batch(seed, index));
    while !trainer.is_done() {
        let (rgb, labels) = batches.recv()?;
        let pictures = degrade(&models::images::from_bytes(&rgb, BATCH, SIZE, SIZE)).to_device(device());
        let logits = network.logits(&((pictures + 1.0) * 0.5).to_kind(options.kind()), true);
        let size = SIZE as i64;
        let logits = logits.to_kind(Kind::Float).upsample_bilinear2d([size, size], false, None, None);
        let labels = Tensor::from_slice(&labels).view([BATCH as i64, size, size]);
        let targets = labels.to_device(device()).to_kind(Kind::Int64) - 1;
        let loss = logits.cross_entropy_loss::<Tensor>(&targets, None, tch::Reduction::Mean, -100, 0.0);
        trainer.update(&loss, BATCH)?;
    }
    trainer.use_average();
    ship(&store, &config, "UPerNet", &options.out.join("segmenter"), "model.safetensors")
}

/// Pictures and label maps of batch `index`, as bytes.
fn batch(seed: u64, index: u64) -> (Vec<u8>, Vec<u8>) {
    let mut stream = batch_stream(seed, index);
    let (mut rgb, mut labels) = (Vec::new(), Vec::new());
    for _ in 0..BATCH {
        let rendered = Scene::sample(stream.random()).render();
        rgb.extend(rendered.rgb);
        labels.extend(rendered.mask);
    }
    (rgb, labels)
}
