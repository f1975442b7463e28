//! Resizing as Pillow does it, to the byte.
//!
//! A filter is widened by the factor by which a picture shrinks (anti-aliasing). Its weights are whole multiples of
//! 2⁻²², and rows are convolved first, then columns, with bytes between the two. Pillow 13 begins with the columns where
//! that is less work, which changes bytes; the versions that published scores come from do not, and neither do we.
//! Source: Pillow 12.0.0, `src/libImaging/Resample.c` and, for `Nearest`, `Geometry.c`.

use image::{ImageBuffer, Pixel, RgbImage};

/// How a value between pixels is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// The pixel itself: for label maps.
    Nearest,
    /// A triangle of one pixel to each side.
    Bilinear,
    /// Keys' cubic with a = -0.5, of two pixels to each side.
    Bicubic,
}

/// A part of an axis: `length` pixels from `start`, once the axis has been resized to `of` pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub of: u64,
    pub start: u64,
    pub length: u32,
}

impl Window {
    /// The whole axis.
    pub fn whole(of: u32) -> Window {
        Window { of: of.into(), start: 0, length: of }
    }
}

/// `picture` in another size, of at least one pixel.
pub fn resize<P: Pixel<Subpixel = u8>>(
    picture: &ImageBuffer<P, Vec<u8>>,
    width: u32,
    height: u32,
    filter: Filter,
) -> ImageBuffer<P, Vec<u8>> {
    resize_window(picture, Window::whole(width), Window::whole(height), filter)
}

/// A window of the resized picture: what a crop after [`resize`] gives, without the rest.
pub fn resize_window<P: Pixel<Subpixel = u8>>(
    picture: &ImageBuffer<P, Vec<u8>>,
    horizontal: Window,
    vertical: Window,
    filter: Filter,
) -> ImageBuffer<P, Vec<u8>> {
    let channels = usize::from(P::CHANNEL_COUNT);
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let rows = taps(height, vertical, filter);
    let first = rows.iter().map(|tap| tap.start).min().unwrap_or(0);
    let end = rows.iter().map(|tap| tap.start + tap.weights.len()).max().unwrap_or(0);
    let needed = &picture.as_raw()[first * width * channels..end * width * channels];
    let wide = convolve(needed, width, channels, &taps(width, horizontal, filter));
    let rows: Vec<Tap> = rows.into_iter().map(|tap| Tap { start: tap.start - first, ..tap }).collect();
    let bytes = convolve(&wide, end - first, horizontal.length as usize * channels, &rows);
    ImageBuffer::from_raw(horizontal.length, vertical.length, bytes)
        .expect("a byte per channel of the window")
}

/// Size `(width, height)` once the shorter side is `size`. The longer is cut to whole pixels, as torchvision's `Resize`
/// and transformers' processors do.
pub fn with_shorter_side(picture: &RgbImage, size: u32) -> (u64, u64) {
    let (width, height) = (u64::from(picture.width()), u64::from(picture.height()));
    let shorter = width.min(height);
    let side = |length: u64| u64::from(size) * length / shorter;
    (side(width), side(height))
}

const PRECISION_BITS: u32 = 32 - 8 - 2;

/// The pixels that make one, from `start`, and their weights in units of 2^-[`PRECISION_BITS`].
struct Tap {
    start: usize,
    weights: Vec<i32>,
}

/// What each pixel of the window is made of.
fn taps(size: usize, window: Window, filter: Filter) -> Vec<Tap> {
    let scale = size as f64 / window.of as f64;
    let (support, weight): (f64, fn(f64) -> f64) = match filter {
        Filter::Nearest => return nearest(scale, window),
        Filter::Bilinear => (1.0, triangle),
        Filter::Bicubic => (2.0, cubic),
    };
    let widened = scale.max(1.0);
    let support = support * widened;
    let tap = |index: u64| {
        let center = (index as f64 + 0.5) * scale;
        let start = ((center - support + 0.5) as i64).max(0) as usize;
        let end = ((center + support + 0.5) as usize).min(size);
        let weights = (start..end).map(|pixel| weight((pixel as f64 - center + 0.5) * (1.0 / widened)));
        let weights: Vec<f64> = weights.collect();
        let sum: f64 = weights.iter().sum();
        Tap { start, weights: weights.iter().map(|weight| whole(weight / sum)).collect() }
    };
    (window.start..window.start + u64::from(window.length)).map(tap).collect()
}

fn whole(weight: f64) -> i32 {
    let scaled = weight * f64::from(1 << PRECISION_BITS);
    (scaled + 0.5f64.copysign(scaled)) as i32
}

/// Pillow adds the scale up instead of multiplying, and so do we: sums of many steps round differently.
fn nearest(scale: f64, window: Window) -> Vec<Tap> {
    let mut position = scale * 0.5;
    let mut taps = Vec::with_capacity(window.length as usize);
    for index in 0..window.start + u64::from(window.length) {
        if index >= window.start {
            taps.push(Tap { start: position as usize, weights: vec![1 << PRECISION_BITS] });
        }
        position += scale;
    }
    taps
}

fn triangle(distance: f64) -> f64 {
    (1.0 - distance.abs()).max(0.0)
}

fn cubic(distance: f64) -> f64 {
    const A: f64 = -0.5;
    let distance = distance.abs();
    if distance < 1.0 {
        ((A + 2.0) * distance - (A + 3.0)) * distance * distance + 1.0
    } else if distance < 2.0 {
        (((distance - 5.0) * distance + 8.0) * distance - 4.0) * A
    } else {
        0.0
    }
}

/// `bytes` `[outer, size, inner]` to `[outer, taps, inner]`.
fn convolve(bytes: &[u8], size: usize, inner: usize, taps: &[Tap]) -> Vec<u8> {
    let mut sums = vec![0i32; inner];
    let mut output = Vec::with_capacity(bytes.len() / size * taps.len());
    for block in bytes.chunks_exact(size * inner) {
        for tap in taps {
            sums.fill(1 << (PRECISION_BITS - 1));
            for (weight, pixel) in tap.weights.iter().zip(block[tap.start * inner..].chunks_exact(inner)) {
                for (sum, byte) in sums.iter_mut().zip(pixel) {
                    *sum += weight * i32::from(*byte);
                }
            }
            output.extend(sums.iter().map(|sum| (sum >> PRECISION_BITS).clamp(0, 255) as u8));
        }
    }
    output
}

#[cfg(test)]
mod tests {
    use image::GrayImage;

    use super::*;

    fn waves(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| {
            image::Rgb([(x * 37 + y * 11) as u8, (x * x + 3 * y) as u8, (x * y * 5 + 90) as u8])
        })
    }

    #[test]
    fn a_window_is_a_crop_of_the_whole() {
        let picture = waves(61, 34);
        for filter in [Filter::Nearest, Filter::Bilinear, Filter::Bicubic] {
            let whole = resize(&picture, 47, 90, filter);
            let (across, down) =
                (Window { of: 47, start: 5, length: 31 }, Window { of: 90, start: 12, length: 40 });
            let window = resize_window(&picture, across, down, filter);
            assert_eq!(window, image::imageops::crop_imm(&whole, 5, 12, 31, 40).to_image(), "{filter:?}");
            assert_ne!(window, image::imageops::crop_imm(&whole, 6, 12, 31, 40).to_image(), "{filter:?}");
        }
    }

    #[test]
    fn the_own_size_changes_nothing_and_a_pixel_fills_any_size() {
        let picture = waves(13, 7);
        for filter in [Filter::Nearest, Filter::Bilinear, Filter::Bicubic] {
            assert_eq!(resize(&picture, 13, 7, filter), picture);
            let pixel = RgbImage::from_pixel(1, 1, image::Rgb([1, 200, 255]));
            assert!(resize(&pixel, 9, 5, filter).pixels().all(|pixel| pixel.0 == [1, 200, 255]));
        }
    }

    #[test]
    fn nearest_makes_no_new_labels() {
        let labels = GrayImage::from_fn(20, 10, |x, y| image::Luma([if x > 2 * y { 150 } else { 3 }]));
        let small = resize(&labels, 7, 3, Filter::Nearest);
        assert!(small.pixels().all(|label| [3, 150].contains(&label.0[0])));
        assert_eq!((small.get_pixel(6, 0).0, small.get_pixel(0, 2).0), ([150], [3]));
    }

    #[test]
    fn the_longer_side_is_cut_to_whole_pixels() {
        assert_eq!(with_shorter_side(&RgbImage::new(301, 200), 512), (770, 512)); // 770.56
        assert_eq!(with_shorter_side(&RgbImage::new(200, 301), 224), (224, 337)); // 337.12
        assert_eq!(with_shorter_side(&RgbImage::new(1, 65_535), 512), (512, 512 * 65_535));
    }
}
