//! A convolution without bias and the batch norm behind it, as evaluator networks have them.

use tch::{Kind, Tensor, nn};

/// Sizes of a convolution's window; heights come first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    pub kernel: [i64; 2],
    pub stride: i64,
    pub padding: [i64; 2],
}

impl Window {
    pub const POINT: Window = Window::same(1, 1);

    /// Odd sides, padded so that the picture keeps its size.
    pub const fn same(height: i64, width: i64) -> Window {
        Window { kernel: [height, width], stride: 1, padding: [height / 2, width / 2] }
    }

    pub const fn with_stride(self, stride: i64) -> Window {
        Window { stride, ..self }
    }

    pub const fn unpadded(self) -> Window {
        Window { padding: [0, 0], ..self }
    }
}

/// Share of a batch's mean and variance in the running ones, PyTorch's default.
const MOMENTUM: f64 = 0.1;

#[derive(Debug)]
pub(crate) struct ConvNorm {
    /// `[outputs, inputs, height, width]`
    kernel: Tensor,
    window: Window,
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    eps: f64,
}

impl ConvNorm {
    /// With fresh weights: the kernel from N(0, 2/fan-in), the norm as identity.
    pub fn new(
        convolution: nn::Path,
        norm: nn::Path,
        (inputs, outputs): (i64, i64),
        window: Window,
        eps: f64,
    ) -> ConvNorm {
        let [height, width] = window.kernel;
        let stdev = (2.0 / (inputs * height * width) as f64).sqrt();
        ConvNorm {
            kernel: convolution.randn("weight", &[outputs, inputs, height, width], 0.0, stdev),
            window,
            weight: norm.ones("weight", &[outputs]),
            bias: norm.zeros("bias", &[outputs]),
            running_mean: norm.zeros_no_train("running_mean", &[outputs]),
            running_var: norm.ones_no_train("running_var", &[outputs]),
            eps,
        }
    }

    /// `input` `[N, inputs, H, W]` gives `[N, outputs, H', W']`. With `train` the norm takes its mean and variance from
    /// the batch, in f32, and moves the running ones towards them; else it takes the running ones.
    pub fn forward(&self, input: &Tensor, train: bool) -> Tensor {
        let kind = input.kind();
        let Window { stride, padding, .. } = self.window;
        let output =
            input.conv2d(&self.kernel.to_kind(kind), None::<&Tensor>, [stride; 2], padding, [1, 1], 1);
        let normed = output.to_kind(Kind::Float).batch_norm(
            Some(&self.weight),
            Some(&self.bias),
            Some(&self.running_mean),
            Some(&self.running_var),
            train,
            MOMENTUM,
            self.eps,
            true,
        );
        normed.to_kind(kind)
    }
}
