//! Latents of pictures, as a step draws them.

use anyhow::Result;
use models::diffusion::StableDiffusion;
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};
use tch::{Kind, Tensor};

/// Latents to learn from: means and standard deviations of a set of pictures, each `[pictures, C, h, w]`, on the CPU.
pub struct Moments {
    pub mean: Vec<f32>,
    pub deviation: Vec<f32>,
    pub count: usize,
}

impl Moments {
    pub fn of(diffusion: &StableDiffusion, pictures: &Tensor) -> Result<Moments> {
        let (mean, deviation) = diffusion.encode(pictures);
        let values =
            |tensor: Tensor| Vec::<f32>::try_from(tensor.to_kind(Kind::Float).contiguous().view([-1]));
        Ok(Moments { mean: values(mean)?, deviation: values(deviation)?, count: pictures.size()[0] as usize })
    }

    /// Appends the latents of one picture, drawn from its posterior.
    pub fn draw(&self, picture: usize, stream: &mut impl Rng, latents: &mut Vec<f32>) {
        let size = self.mean.len() / self.count;
        let start = picture * size;
        let pairs = self.mean[start..start + size].iter().zip(&self.deviation[start..start + size]);
        latents.extend(pairs.map(|(mean, deviation)| {
            let draw: f32 = StandardNormal.sample(&mut *stream);
            mean + deviation * draw
        }));
    }
}
