//! The Fréchet distance between two sets of features, taken as normal distributions: FID with Inception's features.
//!
//! ```text
//! d = |μ₁ − μ₂|² + Tr(Σ₁ + Σ₂ − 2 √(Σ₁ Σ₂))
//! ```
//!
//! Covariances divide by n − 1. They are kept as factors, Σ = Fᵀ F, and then Tr √(Σ₁ Σ₂) is the sum of the singular
//! values of F₁ F₂ᵀ: the eigenvalues of Σ₁ Σ₂ = F₁ᵀ F₁ F₂ᵀ F₂ other than 0 are those of (F₁ F₂ᵀ)(F₁ F₂ᵀ)ᵀ. So no matrix has
//! its square root taken, and fewer pictures than features are nothing special. pytorch-fid takes the root of the
//! product, which costs half of the digits where a covariance is singular.

use tch::{Device, Kind, Tensor};

/// Features of which there is no distance.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrechetError {
    #[error("features of {found} pictures: a covariance needs 2 at least, and some thousand to mean much")]
    TooFew { found: i64 },
    #[error("features of picture {picture} are not finite")]
    NotFinite { picture: i64 },
    #[error("features of {left} and {right} values cannot be compared; they are of different networks")]
    Sizes { left: i64, right: i64 },
}

/// Mean and covariance of features, in f64 on the CPU.
#[derive(Debug)]
pub struct Moments {
    /// `[D]`
    mean: Tensor,
    /// `[min(N, D), D]`; the covariance is its transpose times itself.
    factor: Tensor,
}

impl Moments {
    /// Mean and covariance of `features` `[N, D]`.
    ///
    /// Errors: fewer than two rows; values that are not finite.
    pub fn of(features: &Tensor) -> Result<Moments, FrechetError> {
        let (count, size) = features.size2().expect("features are [N, D]");
        if count < 2 {
            return Err(FrechetError::TooFew { found: count });
        }
        let features = features.detach().to_device(Device::Cpu).to_kind(Kind::Double);
        let broken = features.isfinite().all_dim(1, false).logical_not();
        if broken.any().int64_value(&[]) != 0 {
            let picture = broken.to_kind(Kind::Int64).argmax(0, false).int64_value(&[]);
            return Err(FrechetError::NotFinite { picture });
        }
        let mean = features.mean_dim([0i64].as_slice(), false, Kind::Double);
        let centred = (features - &mean) / ((count - 1) as f64).sqrt();
        // Rows beyond D are rotated away, which leaves the covariance as it is.
        let factor = if count > size { Tensor::linalg_qr(&centred, "r").1 } else { centred };
        Ok(Moments { mean, factor })
    }

    fn size(&self) -> i64 {
        self.mean.size()[0]
    }

    /// Fréchet distance between two sets of features.
    ///
    /// Errors: features of other sizes.
    pub fn distance(&self, other: &Moments) -> Result<f64, FrechetError> {
        if self.size() != other.size() {
            return Err(FrechetError::Sizes { left: self.size(), right: other.size() });
        }
        let square = |tensor: &Tensor| tensor.square().sum(Kind::Double).double_value(&[]);
        let shared = self.factor.matmul(&other.factor.tr()).svd(true, false).1; // singular values
        let shared = shared.sum(Kind::Double).double_value(&[]);
        Ok(square(&(&self.mean - &other.mean)) + square(&self.factor) + square(&other.factor) - 2.0 * shared)
    }
}
