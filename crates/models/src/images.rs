//! Pictures to tensors and back.

use image::{RgbImage, imageops::FilterType};
use tch::{Kind, Tensor};

/// Pictures `[N, 3, H, W]` in [-1, 1], all of one size.
///
/// Panics when `pictures` is empty or its sizes differ.
pub fn to_tensor(pictures: &[RgbImage]) -> Tensor {
    let (width, height) = pictures[0].dimensions();
    assert!(
        pictures.iter().all(|picture| picture.dimensions() == (width, height)),
        "pictures differ in size"
    );
    let bytes: Vec<u8> = pictures.iter().flat_map(|picture| picture.as_raw().iter().copied()).collect();
    from_bytes(&bytes, pictures.len(), height as usize, width as usize)
}

/// As [`to_tensor`], from rows of RGB bytes `[count, height, width, 3]`.
pub fn from_bytes(bytes: &[u8], count: usize, height: usize, width: usize) -> Tensor {
    Tensor::from_slice(bytes)
        .view([count as i64, height as i64, width as i64, 3])
        .permute([0, 3, 1, 2])
        .to_kind(Kind::Float)
        .contiguous()
        / 127.5
        - 1.0
}

/// Pictures of a tensor `[N, 3, H, W]` in [-1, 1]; values outside are clamped.
pub fn from_tensor(tensor: &Tensor) -> Vec<RgbImage> {
    let (count, _, height, width) = tensor.size4().expect("pictures are [N, 3, H, W]");
    let scaled = ((tensor.to_kind(Kind::Float).nan_to_num(0.0, 1.0, -1.0) + 1.0) * 127.5).clamp(0.0, 255.0);
    let bytes = scaled.round().to_kind(Kind::Uint8).permute([0, 2, 3, 1]).contiguous().view([count, -1]);
    let bytes = bytes.to_device(tch::Device::Cpu);
    (0..count)
        .map(|index| {
            let row = Vec::<u8>::try_from(bytes.get(index)).expect("a row of bytes");
            RgbImage::from_raw(width as u32, height as u32, row).expect("the row has H * W * 3 bytes")
        })
        .collect()
}

/// Pictures `[N, 3, H, W]` in [-1, 1] on `[width, height]` pixels, bilinear with anti-aliasing, as 8-bit pictures; those
/// that have this size stay as they are.
pub fn scaled(pictures: &Tensor, [width, height]: [u32; 2]) -> Tensor {
    if pictures.size()[2..] == [i64::from(height), i64::from(width)] {
        return pictures.shallow_clone();
    }
    let resize = |picture: &RgbImage| image::imageops::resize(picture, width, height, FilterType::Triangle);
    to_tensor(&from_tensor(pictures).iter().map(resize).collect::<Vec<_>>())
}

/// Shorter side to `size` (bilinear), then the centre square.
pub fn resize_and_crop(picture: &RgbImage, size: u32) -> RgbImage {
    let (width, height) = picture.dimensions();
    let scale = f64::from(size) / f64::from(width.min(height));
    let side = |length: u32| ((f64::from(length) * scale).round() as u32).max(size);
    let resized = image::imageops::resize(picture, side(width), side(height), FilterType::Triangle);
    let (left, top) = ((resized.width() - size) / 2, (resized.height() - size) / 2);
    image::imageops::crop_imm(&resized, left, top, size, size).to_image()
}

/// `preprocessor_config.json` of a vision tower: how its pictures are normalised.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Preprocessor {
    pub image_mean: [f64; 3],
    pub image_std: [f64; 3],
}

impl Preprocessor {
    /// `pictures` `[N, 3, H, W]` in [-1, 1] to `[N, 3, size, size]`, normalised. Other sizes are scaled bicubically
    /// with anti-aliasing; the pictures are taken to be square.
    pub fn apply(&self, pictures: &Tensor, size: i64) -> Tensor {
        let (_, _, height, width) = pictures.size4().expect("pictures are [N, 3, H, W]");
        let resized = if (height, width) == (size, size) {
            pictures.shallow_clone()
        } else {
            pictures.internal_upsample_bicubic2d_aa([size, size], false, None, None)
        };
        let constant = |values: &[f64; 3]| {
            Tensor::from_slice(values).to_kind(Kind::Float).to_device(pictures.device()).view([1, 3, 1, 1])
        };
        ((resized.to_kind(Kind::Float) + 1.0) * 0.5 - constant(&self.image_mean)) / constant(&self.image_std)
    }
}
