//! Endless, seeded batches of pictures with captions, made ahead of time in a thread of their own.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::Tensor;

use crate::photos::Photo;
use crate::{SIZE, Scene};

/// Pictures as bytes and one caption each.
pub struct Batch {
    pub rgb: Vec<u8>,
    pub captions: Vec<String>,
}

impl Batch {
    /// Pictures `[N, 3, SIZE, SIZE]` in [-1, 1].
    pub fn pictures(&self) -> Tensor {
        models::images::from_bytes(&self.rgb, self.rgb.len() / (SIZE * SIZE * 3), SIZE, SIZE)
    }
}

/// What a batch is made of.
#[derive(Clone)]
pub struct Source {
    pub photos: Arc<Vec<Photo>>,
    /// Share of photographs in a batch; the rest are scenes.
    pub photo_share: f64,
    pub batch: usize,
    pub seed: u64,
}

/// The random stream of batch `index`: the same at every start, so that a resumed run sees what it would have.
pub fn batch_stream(seed: u64, index: u64) -> ChaCha8Rng {
    let mut stream = ChaCha8Rng::seed_from_u64(seed);
    stream.set_stream(index);
    stream
}

/// Batches from number `first` on, each made by `make`, a few ahead of the consumer.
pub fn prefetch<T: Send + 'static>(first: u64, make: impl Fn(u64) -> T + Send + 'static) -> Receiver<T> {
    let (sender, receiver) = sync_channel(4);
    std::thread::spawn(move || {
        let mut index = first;
        while sender.send(make(index)).is_ok() {
            index += 1;
        }
    });
    receiver
}

impl Source {
    /// Batch `index`: scenes and photographs, captioned.
    pub fn batch(&self, index: u64) -> Batch {
        let mut stream = batch_stream(self.seed, index);
        let mut batch = Batch {
            rgb: Vec::with_capacity(self.batch * SIZE * SIZE * 3),
            captions: Vec::with_capacity(self.batch),
        };
        for _ in 0..self.batch {
            if self.draws_photo(&mut stream) {
                let photo = &self.photos[stream.random_range(0..self.photos.len())];
                append(&mut batch.rgb, &photo.rgb, stream.random());
                batch.captions.push(photo.caption());
            } else {
                let scene = Scene::sample(stream.random());
                append(&mut batch.rgb, &scene.render().rgb, false);
                batch.captions.push(scene.caption(stream.random()));
            }
        }
        batch
    }

    /// Batch `index` of pairs: two pictures of one instance, or two crops of one photograph.
    pub fn pairs(&self, index: u64) -> [Vec<u8>; 2] {
        let mut stream = batch_stream(self.seed, index);
        let mut views = [Vec::new(), Vec::new()];
        for _ in 0..self.batch {
            if self.draws_photo(&mut stream) {
                let photo = &self.photos[stream.random_range(0..self.photos.len())];
                for view in &mut views {
                    view.extend(random_crop(&photo.rgb, &mut stream));
                }
            } else {
                let (first, second) = Scene::pair(stream.random());
                for (view, scene) in views.iter_mut().zip([first, second]) {
                    append(view, &scene.render().rgb, false);
                }
            }
        }
        views
    }

    fn draws_photo(&self, stream: &mut impl Rng) -> bool {
        !self.photos.is_empty() && stream.random_bool(self.photo_share)
    }
}

fn append(rgb: &mut Vec<u8>, picture: &[u8], mirrored: bool) {
    if !mirrored {
        rgb.extend_from_slice(picture);
        return;
    }
    for row in picture.chunks_exact(SIZE * 3) {
        row.chunks_exact(3).rev().for_each(|pixel| rgb.extend_from_slice(pixel));
    }
}

/// A random square of 50 to 100 % of the side, scaled back to full size, mirrored half the time.
fn random_crop(picture: &[u8], stream: &mut impl Rng) -> Vec<u8> {
    let side = stream.random_range(SIZE / 2..=SIZE) as u32;
    let spare = SIZE as u32 - side;
    let (left, top) = (stream.random_range(0..=spare), stream.random_range(0..=spare));
    let picture = image::RgbImage::from_raw(SIZE as u32, SIZE as u32, picture.to_vec())
        .expect("a photograph has SIZE * SIZE * 3 bytes");
    let crop = image::imageops::crop_imm(&picture, left, top, side, side).to_image();
    let filter = image::imageops::FilterType::Triangle;
    let resized = image::imageops::resize(&crop, SIZE as u32, SIZE as u32, filter);
    let mut rgb = Vec::with_capacity(picture.len());
    append(&mut rgb, resized.as_raw(), stream.random());
    rgb
}
