//! The subject evaluator: a small ViT in DINO's layout, self-supervised by InfoNCE on pairs of pictures of one
//! instance and on pairs of crops of one photograph. Its feature is the class token, compared by cosine.

use anyhow::Result;
use models::vit::{Vit, VitConfig};
use tch::{Kind, Tensor, nn};

use super::data::{Source, prefetch};
use super::shipping::{Options, ship, ship_preprocessor};
use super::trainer::{Schedule, Trainer, device};
use crate::SIZE;

const SCHEDULE: Schedule =
    Schedule { steps: 600, learning_rate: 1.5e-3, warmup_steps: 60, weight_decay: 0.05, ema: 0.99 };
const BATCH: usize = 192;
const TEMPERATURE: f64 = 0.1;

fn config() -> VitConfig {
    VitConfig {
        hidden_size: 128,
        intermediate_size: 512,
        num_hidden_layers: 4,
        num_attention_heads: 4,
        image_size: SIZE as i64,
        patch_size: 8,
        hidden_act: models::Activation::Gelu,
        layer_norm_eps: 1e-6,
    }
}

pub fn run(options: &Options) -> Result<()> {
    let config = config();
    let store = nn::VarStore::new(device());
    let vit = Vit::new(&store.root(), &config);
    let schedule = Schedule { steps: options.steps.unwrap_or(SCHEDULE.steps), ..SCHEDULE };
    let mut trainer = Trainer::new(&store, schedule, &options.work.join("dino"))?;
    let source = Source {
        photos: options.photos("train")?,
        photo_share: 0.3,
        batch: BATCH,
        seed: options.seed.wrapping_add(1),
    };
    let batches = prefetch(trainer.step(), move |index| {
        source.pairs(index).map(|rgb| models::images::from_bytes(&rgb, BATCH, SIZE, SIZE))
    });
    while !trainer.is_done() {
        let features = batches.recv()?.map(|pictures| {
            let pictures = degrade(&pictures).to_device(device()).to_kind(options.kind());
            let feature = vit.forward(&pictures).to_kind(Kind::Float);
            &feature / feature.norm_scalaropt_dim(2.0, [-1i64].as_slice(), true)
        });
        let logits = features[0].matmul(&features[1].tr()) / TEMPERATURE; // [N, N]
        let targets = Tensor::arange(BATCH as i64, (Kind::Int64, logits.device()));
        let loss = (logits.cross_entropy_for_logits(&targets)
            + logits.tr().cross_entropy_for_logits(&targets))
            * 0.5;
        trainer.update(&loss, 2 * BATCH)?;
    }
    trainer.use_average();
    ship(&store, &config, "ViTModel", &options.out.join("dino"), "model.safetensors")?;
    ship_preprocessor(&options.out.join("dino"))
}

/// A little noise, and blur on a third of the pictures, so that a picture's softness says nothing about what it
/// shows: generated pictures are softer than drawn ones.
pub fn degrade(pictures: &Tensor) -> Tensor {
    let count = pictures.size()[0];
    let draw = Tensor::rand([count, 1, 1, 1], (Kind::Float, pictures.device()));
    let blurred = pictures.avg_pool2d([3, 3], [1, 1], [1, 1], false, false, None::<i64>);
    let pictures = blurred.where_self(&draw.lt(0.33), pictures);
    let noise =
        pictures.randn_like() * 0.1 * Tensor::rand([count, 1, 1, 1], (Kind::Float, pictures.device()));
    pictures + noise
}
