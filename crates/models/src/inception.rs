//! Inception-v3 as the Fréchet Inception distance wants it: features of the last pooling layer, 2048 a picture.
//!
//! The network and weights of the TensorFlow graph of 2015-12-05 in the layout of mseitzer/pytorch-fid
//! (`pt_inception-2015-12-05`): torchvision's Inception-v3, but that average pools leave the padding out of the mean
//! and that the last block has a max pool for an average pool. The classifier `fc` is not read.
//!
//! The published file is a pickle; in Python it becomes a `model.safetensors` by
//!
//! ```text
//! save_file({k: v for k, v in torch.load("pt_inception-2015-12-05-6726825d.pth").items() if v.dim()}, "model.safetensors")
//! ```
//!
//! with `from safetensors.torch import save_file`.

use std::path::Path;

use tch::{Device, Tensor, nn};

use crate::conv_norm::{ConvNorm, Window};
use crate::loaded::Loaded;
use crate::weights::{WeightsError, find_weights, load_named, naming};

const EPS: f64 = 1e-3;
/// Side of the pictures inside.
const SIDE: i64 = 299;

const POINT: Window = Window::POINT;
const SQUARE: Window = Window::same(3, 3);
const FIVE: Window = Window::same(5, 5);
const HALVING: Window = SQUARE.unpadded().with_stride(2);
const ROW: Window = Window::same(1, 7);
const COLUMN: Window = Window::same(7, 1);
const SHORT_ROW: Window = Window::same(1, 3);
const SHORT_COLUMN: Window = Window::same(3, 1);

/// A convolution, its norm and ReLU.
#[derive(Debug)]
struct Layer(ConvNorm);

impl Layer {
    fn new(path: nn::Path, channels: (i64, i64), window: Window) -> Layer {
        Layer(ConvNorm::new(&path / "conv", &path / "bn", channels, window, EPS))
    }

    fn forward(&self, input: &Tensor) -> Tensor {
        self.0.forward(input, false).relu()
    }
}

/// Windows of 3 × 3.
#[derive(Debug, Clone, Copy)]
enum Pool {
    /// The mean of those of a window's pixels that lie in the picture, stride 1.
    Mean,
    /// Stride 1.
    Max,
    /// Stride 2, without padding.
    MaxHalving,
}

impl Pool {
    fn forward(self, input: &Tensor) -> Tensor {
        match self {
            Pool::Mean => input.avg_pool2d([3, 3], [1, 1], [1, 1], false, false, None),
            Pool::Max => input.max_pool2d([3, 3], [1, 1], [1, 1], [1, 1], false),
            Pool::MaxHalving => input.max_pool2d([3, 3], [2, 2], [0, 0], [1, 1], false),
        }
    }
}

/// A way through a block: the pool, then `chain` layer by layer, then the layers of `fork` side by side.
#[derive(Debug)]
struct Branch {
    pool: Option<Pool>,
    chain: Vec<Layer>,
    fork: Vec<Layer>,
}

impl Branch {
    fn forward(&self, input: &Tensor) -> Tensor {
        let pooled = self.pool.map_or_else(|| input.shallow_clone(), |pool| pool.forward(input));
        let hidden = self.chain.iter().fold(pooled, |hidden, layer| layer.forward(&hidden));
        if self.fork.is_empty() {
            return hidden;
        }
        let ends: Vec<Tensor> = self.fork.iter().map(|layer| layer.forward(&hidden)).collect();
        Tensor::cat(&ends, 1)
    }
}

/// Branches whose features lie side by side.
#[derive(Debug)]
struct Block(Vec<Branch>);

impl Block {
    fn forward(&self, input: &Tensor) -> Tensor {
        let outputs: Vec<Tensor> = self.0.iter().map(|branch| branch.forward(input)).collect();
        Tensor::cat(&outputs, 1)
    }
}

/// Name, outputs and window of a layer.
type Spec<'a> = (&'a str, i64, Window);

/// Builds the branches of one block.
struct Branches<'a> {
    path: nn::Path<'a>,
    inputs: i64,
}

impl Branches<'_> {
    fn chain(&self, specs: &[Spec]) -> Branch {
        let mut inputs = self.inputs;
        let layer = |&(name, outputs, window): &Spec| {
            let layer = Layer::new(&self.path / name, (inputs, outputs), window);
            inputs = outputs;
            layer
        };
        Branch { pool: None, chain: specs.iter().map(layer).collect(), fork: Vec::new() }
    }

    /// A chain of layers, and behind it side by side the two layers `ends`, each with `outputs` features.
    fn forked(&self, specs: &[Spec], ends: [&str; 2], outputs: i64) -> Branch {
        let inputs = specs[specs.len() - 1].1;
        let end = |(name, window)| Layer::new(&self.path / name, (inputs, outputs), window);
        let fork = ends.into_iter().zip([SHORT_ROW, SHORT_COLUMN]).map(end).collect();
        Branch { fork, ..self.chain(specs) }
    }

    fn pooled(&self, pool: Pool, outputs: i64) -> Branch {
        Branch { pool: Some(pool), ..self.chain(&[("branch_pool", outputs, POINT)]) }
    }

    /// torchvision's `InceptionA`.
    fn a(&self, pooled: i64) -> Block {
        Block(vec![
            self.chain(&[("branch1x1", 64, POINT)]),
            self.chain(&[("branch5x5_1", 48, POINT), ("branch5x5_2", 64, FIVE)]),
            self.chain(&[
                ("branch3x3dbl_1", 64, POINT),
                ("branch3x3dbl_2", 96, SQUARE),
                ("branch3x3dbl_3", 96, SQUARE),
            ]),
            self.pooled(Pool::Mean, pooled),
        ])
    }

    /// `InceptionB`.
    fn b(&self) -> Block {
        Block(vec![
            self.chain(&[("branch3x3", 384, HALVING)]),
            self.chain(&[
                ("branch3x3dbl_1", 64, POINT),
                ("branch3x3dbl_2", 96, SQUARE),
                ("branch3x3dbl_3", 96, HALVING),
            ]),
            Branch { pool: Some(Pool::MaxHalving), ..self.chain(&[]) },
        ])
    }

    /// `InceptionC`.
    fn c(&self, inner: i64) -> Block {
        Block(vec![
            self.chain(&[("branch1x1", 192, POINT)]),
            self.chain(&[
                ("branch7x7_1", inner, POINT),
                ("branch7x7_2", inner, ROW),
                ("branch7x7_3", 192, COLUMN),
            ]),
            self.chain(&[
                ("branch7x7dbl_1", inner, POINT),
                ("branch7x7dbl_2", inner, COLUMN),
                ("branch7x7dbl_3", inner, ROW),
                ("branch7x7dbl_4", inner, COLUMN),
                ("branch7x7dbl_5", 192, ROW),
            ]),
            self.pooled(Pool::Mean, 192),
        ])
    }

    /// `InceptionD`.
    fn d(&self) -> Block {
        Block(vec![
            self.chain(&[("branch3x3_1", 192, POINT), ("branch3x3_2", 320, HALVING)]),
            self.chain(&[
                ("branch7x7x3_1", 192, POINT),
                ("branch7x7x3_2", 192, ROW),
                ("branch7x7x3_3", 192, COLUMN),
                ("branch7x7x3_4", 192, HALVING),
            ]),
            Branch { pool: Some(Pool::MaxHalving), ..self.chain(&[]) },
        ])
    }

    /// `InceptionE`.
    fn e(&self, pool: Pool) -> Block {
        Block(vec![
            self.chain(&[("branch1x1", 320, POINT)]),
            self.forked(&[("branch3x3_1", 384, POINT)], ["branch3x3_2a", "branch3x3_2b"], 384),
            self.forked(
                &[("branch3x3dbl_1", 448, POINT), ("branch3x3dbl_2", 384, SQUARE)],
                ["branch3x3dbl_3a", "branch3x3dbl_3b"],
                384,
            ),
            self.pooled(pool, 192),
        ])
    }
}

/// The network.
#[derive(Debug)]
pub struct Inception {
    /// Before the first pool and between the first and second.
    stems: [Vec<Layer>; 2],
    blocks: Vec<Block>,
}

impl Inception {
    /// Features of a picture.
    pub const FEATURES: i64 = 2048;

    /// Builds the network in `path` with fresh weights.
    pub fn new(path: &nn::Path) -> Inception {
        let layer = |name: &str, channels, window| Layer::new(path / name, channels, window);
        let branches = |name: &str, inputs| Branches { path: path / name, inputs };
        Inception {
            stems: [
                vec![
                    layer("Conv2d_1a_3x3", (3, 32), HALVING),
                    layer("Conv2d_2a_3x3", (32, 32), SQUARE.unpadded()),
                    layer("Conv2d_2b_3x3", (32, 64), SQUARE),
                ],
                vec![
                    layer("Conv2d_3b_1x1", (64, 80), POINT),
                    layer("Conv2d_4a_3x3", (80, 192), SQUARE.unpadded()),
                ],
            ],
            blocks: vec![
                branches("Mixed_5b", 192).a(32),
                branches("Mixed_5c", 256).a(64),
                branches("Mixed_5d", 288).a(64),
                branches("Mixed_6a", 288).b(),
                branches("Mixed_6b", 768).c(128),
                branches("Mixed_6c", 768).c(160),
                branches("Mixed_6d", 768).c(160),
                branches("Mixed_6e", 768).c(192),
                branches("Mixed_7a", 768).d(),
                branches("Mixed_7b", 1280).e(Pool::Mean),
                branches("Mixed_7c", 2048).e(Pool::Max),
            ],
        }
    }

    /// Features `[N, 2048]` of `pictures` `[N, 3, H, W]` in [0, 1], which are scaled to 299 × 299 bilinearly without
    /// anti-aliasing, as the reference does.
    pub fn forward(&self, pictures: &Tensor) -> Tensor {
        let mut hidden = pictures.upsample_bilinear2d([SIDE, SIDE], false, None, None) * 2.0 - 1.0;
        for stem in &self.stems {
            hidden = stem.iter().fold(hidden, |hidden, layer| layer.forward(&hidden));
            hidden = Pool::MaxHalving.forward(&hidden);
        }
        hidden = self.blocks.iter().fold(hidden, |hidden, block| block.forward(&hidden)); // [N, 2048, 8, 8]
        hidden.adaptive_avg_pool2d([1, 1]).flatten(1, 3)
    }
}

/// The network with the weights of the file at `path` or, where that is a folder, its `model.safetensors`.
///
/// Errors: as [`crate::load_weights`]. torchvision's own Inception-v3 is refused, as it has an auxiliary classifier.
pub fn load_inception(path: &Path, device: Device) -> Result<Loaded<Inception>, WeightsError> {
    let file = if path.is_dir() { find_weights(path)? } else { path.to_owned() };
    let store = nn::VarStore::new(device);
    let network = Inception::new(&store.root());
    load_named(&store, &file, &naming::INCEPTION)?;
    Ok(Loaded::built(network, store))
}
