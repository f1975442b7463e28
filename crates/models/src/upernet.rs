//! UPerNet over a ResNet with a deep stem: the segmentation network that scores generated pictures.
//!
//! Reference: CSAILVision/semantic-segmentation-pytorch, `resnet101` and `upernet`. Its two files of weights are one here,
//! with names under `encoder.` and `decoder.`; `tools/convert_upernet.py` joins them. Labels count from 1, as in ADE20K,
//! where 0 says that a pixel has none.

use std::path::Path;

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor, nn};

use crate::conv_norm::{ConvNorm, Window};
use crate::layers::Conv2d;
use crate::loaded::{Loaded, load_folder};
use crate::weights::{WeightsError, naming, read_config};

const EPS: f64 = 1e-5;
/// Outputs of a bottleneck by its planes.
const EXPANSION: i64 = 4;
/// Mean and standard deviation of ImageNet's red, green and blue in [0, 1].
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];

/// `config.json`; what it leaves out is as in the reference's `ade20k-resnet101-upernet`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UPerNetConfig {
    /// Widths of the three convolutions of the stem.
    pub stem_widths: [i64; 3],
    /// Bottlenecks of each stage.
    pub stage_blocks: [i64; 4],
    /// Inner widths of the bottlenecks of each stage, which make four times as many features.
    pub stage_planes: [i64; 4],
    /// Sides of the pyramid's pools.
    pub pool_scales: Vec<i64>,
    /// Features of each pool.
    pub pool_width: i64,
    /// Features of each level: 512 in the reference's `upernet`, 256 in its `upernet_lite`.
    pub fpn_width: i64,
    pub num_classes: i64,
    /// Shorter sides at which a picture is looked at, in pixels.
    pub short_sides: Vec<i64>,
    /// Longest side at which a picture is looked at.
    pub longest_side: i64,
    /// Sides are rounded up to multiples of this.
    pub side_multiple: i64,
}

impl Default for UPerNetConfig {
    fn default() -> UPerNetConfig {
        UPerNetConfig {
            stem_widths: [64, 64, 128],
            stage_blocks: [3, 4, 23, 3],
            stage_planes: [64, 128, 256, 512],
            pool_scales: vec![1, 2, 3, 6],
            pool_width: 512,
            fpn_width: 512,
            num_classes: 150,
            short_sides: vec![300, 375, 450, 525, 600],
            longest_side: 1000,
            side_multiple: 32,
        }
    }
}

impl UPerNetConfig {
    /// Heights and widths at which a picture of `height` × `width` pixels is looked at, one for each of `short_sides`.
    ///
    /// The reference does the same: the picture is scaled until its shorter side is right, or its longer one is `longest_side`; the
    /// sides lose their fractions and go up to the next multiple, so that the proportions change a little.
    pub fn evaluation_sizes(&self, height: i64, width: i64) -> Vec<[i64; 2]> {
        let (shorter, longer) = (height.min(width) as f64, height.max(width) as f64);
        let size = |&short_side: &i64| {
            let scale = (short_side as f64 / shorter).min(self.longest_side as f64 / longer);
            let whole = [height, width].map(|side| ((side as f64 * scale) as i64).max(1));
            whole.map(|side| (side - 1) / self.side_multiple * self.side_multiple + self.side_multiple)
        };
        self.short_sides.iter().map(size).collect()
    }

    pub(crate) fn checked(&self) -> Result<(), UPerNetError> {
        const MOST_BLOCKS: i64 = 1 << 10;
        const WIDEST: i64 = 1 << 12;
        const LONGEST: i64 = 1 << 16;
        let lists: [(&'static str, &[i64], i64); 7] = [
            ("stem_widths", &self.stem_widths, WIDEST),
            ("stage_blocks", &self.stage_blocks, MOST_BLOCKS),
            ("stage_planes", &self.stage_planes, WIDEST),
            ("pool_scales", &self.pool_scales, WIDEST),
            (
                "pool_width, fpn_width, num_classes",
                &[self.pool_width, self.fpn_width, self.num_classes],
                WIDEST,
            ),
            ("short_sides", &self.short_sides, LONGEST),
            ("longest_side, side_multiple", &[self.longest_side, self.side_multiple], LONGEST),
        ];
        let is_wrong =
            |sizes: &[i64], most| sizes.is_empty() || !sizes.iter().all(|size| (1..=most).contains(size));
        match lists.into_iter().find(|(_, sizes, most)| is_wrong(sizes, *most)) {
            Some((key, sizes, most)) => Err(UPerNetError::Sizes { key, found: sizes.to_vec(), most }),
            None => Ok(()),
        }
    }
}

/// What can be wrong with a folder of the network.
#[derive(Debug, thiserror::Error)]
pub enum UPerNetError {
    #[error(transparent)]
    Weights(#[from] WeightsError),
    #[error(
        "segmentation network: `{key}` is {found:?}; sizes are at least 1 and at most {most}, and lists are not empty"
    )]
    Sizes { key: &'static str, found: Vec<i64>, most: i64 },
}

/// Three convolutions around which the input passes.
#[derive(Debug)]
struct Bottleneck {
    layers: [ConvNorm; 3],
    /// What the input passes on its way around, where sizes change.
    shortcut: Option<ConvNorm>,
}

impl Bottleneck {
    fn new(path: &nn::Path, inputs: i64, planes: i64, stride: i64) -> Bottleneck {
        let outputs = planes * EXPANSION;
        let layer = |index: usize, channels, window| numbered(path, index, channels, window);
        let shortcut = path / "downsample";
        let window = Window::POINT.with_stride(stride);
        let shortcut = (stride != 1 || inputs != outputs)
            .then(|| ConvNorm::new(&shortcut / 0, &shortcut / 1, (inputs, outputs), window, EPS));
        Bottleneck {
            layers: [
                layer(1, (inputs, planes), Window::POINT),
                layer(2, (planes, planes), Window::same(3, 3).with_stride(stride)),
                layer(3, (planes, outputs), Window::POINT),
            ],
            shortcut,
        }
    }

    fn forward(&self, input: &Tensor, train: bool) -> Tensor {
        let [first, second, third] = &self.layers;
        let hidden = first.forward(input, train).relu();
        let hidden = third.forward(&second.forward(&hidden, train).relu(), train);
        match &self.shortcut {
            Some(shortcut) => (hidden + shortcut.forward(input, train)).relu(),
            None => (hidden + input).relu(),
        }
    }
}

/// `conv{index}` with `bn{index}`.
fn numbered(path: &nn::Path, index: usize, channels: (i64, i64), window: Window) -> ConvNorm {
    ConvNorm::new(path / format!("conv{index}"), path / format!("bn{index}"), channels, window, EPS)
}

#[derive(Debug)]
struct Encoder {
    stem: Vec<ConvNorm>,
    stages: Vec<Vec<Bottleneck>>,
}

impl Encoder {
    fn new(path: nn::Path, config: &UPerNetConfig) -> Encoder {
        let mut inputs = 3;
        let mut stem = Vec::new();
        for (index, &width) in config.stem_widths.iter().enumerate() {
            let window = Window::same(3, 3).with_stride(if index == 0 { 2 } else { 1 });
            stem.push(numbered(&path, index + 1, (inputs, width), window));
            inputs = width;
        }
        let mut stages = Vec::new();
        for (stage, (&blocks, &planes)) in config.stage_blocks.iter().zip(&config.stage_planes).enumerate() {
            let path = &path / format!("layer{}", stage + 1);
            let mut bottlenecks = Vec::new();
            for index in 0..blocks {
                let stride = if index == 0 && stage > 0 { 2 } else { 1 };
                bottlenecks.push(Bottleneck::new(&(&path / index), inputs, planes, stride));
                inputs = planes * EXPANSION;
            }
            stages.push(bottlenecks);
        }
        Encoder { stem, stages }
    }

    /// Features of each stage, at 1/4, 1/8, 1/16 and 1/32 of the picture's sides.
    fn forward(&self, pictures: &Tensor, train: bool) -> Vec<Tensor> {
        let start = pictures.shallow_clone();
        let stem = self.stem.iter().fold(start, |hidden, layer| layer.forward(&hidden, train).relu());
        let mut hidden = stem.max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false);
        let stage = |blocks: &Vec<Bottleneck>| {
            hidden =
                blocks.iter().fold(hidden.shallow_clone(), |hidden, block| block.forward(&hidden, train));
            hidden.shallow_clone()
        };
        self.stages.iter().map(stage).collect()
    }
}

#[derive(Debug)]
struct Decoder {
    pool_scales: Vec<i64>,
    pools: Vec<ConvNorm>,
    pyramid: ConvNorm,
    laterals: Vec<ConvNorm>,
    levels: Vec<ConvNorm>,
    fusion: ConvNorm,
    head: Conv2d,
}

impl Decoder {
    fn new(path: nn::Path, config: &UPerNetConfig) -> Decoder {
        let square = Window::same(3, 3);
        // A sequence of convolution, norm and ReLU numbers its parts.
        let layer =
            |path: nn::Path, channels, window| ConvNorm::new(&path / 0, &path / 1, channels, window, EPS);
        let features = config.stage_planes.map(|planes| planes * EXPANSION);
        let (width, last) = (config.fpn_width, features[3]);
        let pool = |index| layer(&path / "ppm_conv" / index, (last, config.pool_width), Window::POINT);
        let pools: Vec<ConvNorm> = (0..config.pool_scales.len()).map(pool).collect();
        let pooled = last + pools.len() as i64 * config.pool_width;
        let lateral = |index: usize| layer(&path / "fpn_in" / index, (features[index], width), Window::POINT);
        let level = |index: usize| layer(&path / "fpn_out" / index / 0, (width, width), square);
        Decoder {
            pool_scales: config.pool_scales.clone(),
            pools,
            pyramid: layer(&path / "ppm_last_conv", (pooled, width), square),
            laterals: (0..3).map(lateral).collect(),
            levels: (0..3).map(level).collect(),
            fusion: layer(&path / "conv_last" / 0, (4 * width, width), square),
            head: Conv2d::new(&path / "conv_last" / 1, (width, config.num_classes), 1, 1, 0),
        }
    }

    /// Logits `[N, classes, h, w]` in the size of the first of `stages`.
    fn forward(&self, stages: &[Tensor], train: bool) -> Tensor {
        let convolved = |layer: &ConvNorm, input: &Tensor| layer.forward(input, train).relu();
        let last = &stages[3];
        let mut pooled = vec![last.shallow_clone()];
        for (&scale, layer) in self.pool_scales.iter().zip(&self.pools) {
            pooled.push(convolved(layer, &resized_like(&last.adaptive_avg_pool2d([scale, scale]), last)));
        }
        let mut top = convolved(&self.pyramid, &Tensor::cat(&pooled, 1));
        let mut levels = vec![top.shallow_clone()];
        for index in (0..3).rev() {
            let lateral = convolved(&self.laterals[index], &stages[index]);
            top = &lateral + resized_like(&top, &lateral);
            levels.push(convolved(&self.levels[index], &top));
        }
        levels.reverse(); // the finest first
        let levels: Vec<Tensor> = levels.iter().map(|level| resized_like(level, &levels[0])).collect();
        self.head.forward(&convolved(&self.fusion, &Tensor::cat(&levels, 1)))
    }
}

/// `features` in the height and width of `other`.
fn resized_like(features: &Tensor, other: &Tensor) -> Tensor {
    let (_, _, height, width) = other.size4().expect("features are [N, C, h, w]");
    resized(features, [height, width])
}

/// `features` scaled bilinearly; corners are not aligned.
fn resized(features: &Tensor, size: [i64; 2]) -> Tensor {
    features.upsample_bilinear2d(size, false, None, None)
}

/// The network.
#[derive(Debug)]
pub struct UPerNet {
    config: UPerNetConfig,
    encoder: Encoder,
    decoder: Decoder,
}

impl UPerNet {
    /// Builds the network in `path` with fresh weights.
    ///
    /// Errors: a size below 1, an empty list.
    pub fn new(path: &nn::Path, config: &UPerNetConfig) -> Result<UPerNet, UPerNetError> {
        config.checked()?;
        Ok(UPerNet {
            config: config.clone(),
            encoder: Encoder::new(path / "encoder", config),
            decoder: Decoder::new(path / "decoder", config),
        })
    }

    pub fn config(&self) -> &UPerNetConfig {
        &self.config
    }

    /// Logits `[N, classes, h, w]` of `pictures` `[N, 3, H, W]` in [0, 1], at a quarter of their sides.
    ///
    /// With `train` the norms use the batch's statistics and move the running ones; the deepest features, at 1/32 of the
    /// sides, then need more than one value per channel in the batch.
    pub fn logits(&self, pictures: &Tensor, train: bool) -> Tensor {
        let constant = |values: &[f32; 3]| {
            Tensor::from_slice(values)
                .to_device(pictures.device())
                .to_kind(pictures.kind())
                .view([1, 3, 1, 1])
        };
        let normalised = (pictures - constant(&MEAN)) / constant(&DEVIATION);
        self.decoder.forward(&self.encoder.forward(&normalised, train), train)
    }

    /// Probabilities `[N, classes, height, width]` in f32: logits are scaled up first.
    pub fn probabilities(&self, pictures: &Tensor, size: [i64; 2]) -> Tensor {
        resized(&self.logits(pictures, false).to_kind(Kind::Float), size).softmax(1, Kind::Float)
    }

    /// Mean probabilities `[N, classes, height, width]` of pictures of `height` × `width` pixels, over the sizes of the
    /// configuration.
    ///
    /// `pictures_at` gives the pictures `[N, 3, H, W]` in [0, 1] for a size `[H, W]` it is asked for; the reference scales
    /// 8-bit pictures with PIL's bilinear filter.
    pub fn mean_probabilities(
        &self,
        [height, width]: [i64; 2],
        mut pictures_at: impl FnMut([i64; 2]) -> Tensor,
    ) -> Tensor {
        let sizes = self.config.evaluation_sizes(height, width);
        let share = 1.0 / sizes.len() as f64;
        let look = |size| self.probabilities(&pictures_at(size), [height, width]) * share;
        sizes.into_iter().map(look).reduce(|sum, scores| sum + scores).expect("a size at least")
    }

    /// Labels `[N, height, width]` from 1 to `num_classes`: the most probable by [`UPerNet::mean_probabilities`]; 0 where
    /// those are not finite, as the first of NaN is no class.
    pub fn segment(&self, size: [i64; 2], pictures_at: impl FnMut([i64; 2]) -> Tensor) -> Tensor {
        let probabilities = self.mean_probabilities(size, pictures_at);
        (probabilities.argmax(1, false) + 1) * probabilities.isfinite().all_dim(1, false)
    }
}

/// The network of a folder: `config.json` and `model.safetensors`, frozen and on `device`.
///
/// Errors: as [`crate::load_weights`]; a key of `config.json` that is not the network's; sizes below 1.
pub fn load_upernet(folder: &Path, device: Device) -> Result<Loaded<UPerNet>, UPerNetError> {
    let config: UPerNetConfig = read_config(&folder.join("config.json"))?;
    load_folder(folder, &naming::PLAIN, Kind::Float, device, |path| UPerNet::new(path, &config))
}
