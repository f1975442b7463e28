//! Picture files, resizing, and pictures to tensors and back.

mod folder;
mod preprocess;
mod read;
mod resize;

use image::RgbImage;
use tch::{Kind, Tensor};

pub use folder::picture_files;
pub use preprocess::{Preprocessor, PreprocessorError};
pub use read::{MAX_PIXELS, PictureError, decode_rgb, read_rgb};
pub use resize::{Filter, Window, resize, resize_window, with_shorter_side};

use preprocess::Middle;

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

/// Pictures `[count, 3, height, width]` in [-1, 1], from rows of RGB bytes `[count, height, width, 3]`.
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

/// Pictures `[N, 3, H, W]` in [-1, 1] on `[width, height]` pixels, as 8-bit pictures that Pillow scales bilinearly; those
/// that have this size stay as they are.
pub fn scaled(pictures: &Tensor, [width, height]: [u32; 2]) -> Tensor {
    if pictures.size()[2..] == [i64::from(height), i64::from(width)] {
        return pictures.shallow_clone();
    }
    let scaled = |picture: &RgbImage| resize(picture, width, height, Filter::Bilinear);
    to_tensor(&from_tensor(pictures).iter().map(scaled).collect::<Vec<_>>())
}

/// Shorter side to `size` (bilinear), then the centre square, as torchvision's `Resize` and `CenterCrop` on Pillow.
pub fn resize_and_crop(picture: &RgbImage, size: u32) -> RgbImage {
    resize_and_crop_at(picture, size, |slack| Middle::Even.start(slack))
}

/// The same as [`resize_and_crop`], with the square starting where `start` says, which is told how many pixels lie outside it: first
/// for the width, then for the height.
pub fn resize_and_crop_at(picture: &RgbImage, size: u32, mut start: impl FnMut(u64) -> u64) -> RgbImage {
    let (width, height) = with_shorter_side(picture, size);
    let mut window = |of: u64| Window { of, start: start(of - u64::from(size)), length: size };
    let (across, down) = (window(width), window(height));
    resize_window(picture, across, down, Filter::Bilinear)
}
