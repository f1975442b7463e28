//! PNG files without loss and without waste: palettes where they do, and filters and compression by trial.

use std::path::Path;

use image::RgbImage;
use oxipng::{BitDepth, ColorType, Deflater, Options, PngError, RawImage};

use crate::drawing::write;
use crate::error::{FiguresError, Result};

/// oxipng's levels: for a figure that is drawn again with every change, at a fast compression, less than a second; for
/// one that is kept, several.
const DRAWN: u8 = 1;
const FAST: Deflater = Deflater::Libdeflater { compression: 9 };
const KEPT: u8 = 4;

/// A picture as a file.
pub fn encoded(picture: &RgbImage) -> std::result::Result<Vec<u8>, PngError> {
    let (width, height) = picture.dimensions();
    let colours = ColorType::RGB { transparent_color: None };
    let raw = RawImage::new(width, height, colours, BitDepth::Eight, picture.as_raw().clone())?;
    raw.create_optimized_png(&Options { deflater: FAST, ..Options::from_preset(DRAWN) })
}

/// Bytes of a file before and after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packed {
    pub before: usize,
    pub after: usize,
}

/// Makes a PNG file smaller where that is possible; every pixel stays as it is.
///
/// An error where the file is no PNG, or, before anything is written, where a pixel would not stay.
pub fn pack_png(path: &Path) -> Result<Packed> {
    let before = results::read_bytes(path, "name a PNG file that is there")?;
    let bad = |message: String| FiguresError::picture(path, message);
    let after = oxipng::optimize_from_memory(&before, &Options::from_preset(KEPT))
        .map_err(|error| bad(error.to_string()))?;
    if after.len() >= before.len() {
        return Ok(Packed { before: before.len(), after: before.len() });
    }
    let pixels = |bytes: &[u8]| {
        let picture = image::load_from_memory(bytes).map_err(|error| bad(error.to_string()))?;
        Ok::<_, FiguresError>(picture.to_rgba16())
    };
    if pixels(&before)? != pixels(&after)? {
        return Err(bad("packing it would change its pixels; it was left as it is".to_owned()));
    }
    write(path, &after)?;
    Ok(Packed { before: before.len(), after: after.len() })
}

#[cfg(test)]
mod tests {
    use image::codecs::png::{CompressionType, FilterType, PngEncoder};

    use super::*;

    /// Few colours in a pattern, and as many as pixels.
    fn pictures() -> [RgbImage; 2] {
        let flat =
            RgbImage::from_fn(120, 80, |x, y| image::Rgb([(x / 40 * 90) as u8, (y / 40 * 200) as u8, 7]));
        let many =
            RgbImage::from_fn(120, 80, |x, y| image::Rgb([(x * 2) as u8, (y * 3) as u8, (x * y) as u8]));
        [flat, many]
    }

    #[test]
    fn a_file_has_every_pixel_of_its_picture() {
        for picture in pictures() {
            let bytes = encoded(&picture).unwrap();
            assert!(image::load_from_memory(&bytes).unwrap().to_rgb8() == picture);
        }
    }

    #[test]
    fn packing_makes_a_file_smaller_and_keeps_its_pixels() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        for picture in pictures() {
            let mut bytes = Vec::new();
            let encoder =
                PngEncoder::new_with_quality(&mut bytes, CompressionType::Fast, FilterType::NoFilter);
            picture.write_with_encoder(encoder).unwrap();
            std::fs::write(&path, &bytes).unwrap();
            let packed = pack_png(&path).unwrap();
            assert_eq!((packed.before, packed.after), (bytes.len(), std::fs::read(&path).unwrap().len()));
            assert!(packed.after < packed.before, "{packed:?}");
            assert!(image::open(&path).unwrap().to_rgb8() == picture);
            let again = pack_png(&path).unwrap();
            assert_eq!(
                again,
                Packed { before: packed.after, after: packed.after },
                "nothing is left to gain"
            );
        }
        std::fs::write(&path, "no picture").unwrap();
        assert!(pack_png(&path).unwrap_err().to_string().contains("a.png"));
        assert_eq!(std::fs::read(&path).unwrap(), b"no picture");
    }
}
