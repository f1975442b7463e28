//! Picture files to RGB.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage};

/// What can be wrong with a picture file.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    #[error("{path}: cannot be read: {source}", path = path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{folder}: is no folder of pictures: {source}", folder = folder.display())]
    Folder { folder: PathBuf, source: std::io::Error },
    #[error(
        "{folder}: {names}: pictures of these kinds are not read; save them as JPEG, PNG or WebP, or move them away",
        folder = folder.display()
    )]
    Unread { folder: PathBuf, names: String },
    #[error("{path}: is no JPEG, PNG or WebP file", path = path.display())]
    Format { path: PathBuf },
    #[error("{path}: is damaged ({source}); fetch or copy it again", path = path.display())]
    Damaged { path: PathBuf, source: image::ImageError },
    #[error("{path}: ends before its picture does; fetch or copy it again", path = path.display())]
    CutShort { path: PathBuf },
    #[error("{path}: has {width} x {height} pixels, more than {MAX_PIXELS}; make it smaller", path = path.display())]
    TooLarge { path: PathBuf, width: u32, height: u32 },
}

/// Most pixels of a picture: where Pillow refuses too.
pub const MAX_PIXELS: u64 = 178_956_970;

/// The picture in a JPEG, PNG or WebP file, whatever its name ends in, upright.
///
/// It is read as by Pillow's `convert("RGB")` after `ImageOps.exif_transpose`: grey becomes three equal channels, palettes are looked
/// up, transparency is dropped and the colour below it kept, colour profiles are not applied, CMYK is taken to be
/// inverted as Adobe writes it, and of 16 bits the upper 8 are kept. Pillow cuts 16-bit grey off at 255 instead, which
/// leaves it white. Of an animation it is the first picture. One pixel is a picture too.
///
/// The decoder of JPEG is not Pillow's: of two photographs a tenth of the bytes differ, by at most 4 of 255.
///
/// Errors: a file that is unreadable, of another format, damaged or cut short, or of more than [`MAX_PIXELS`].
pub fn read_rgb(path: &Path) -> Result<RgbImage, PictureError> {
    let bytes =
        crate::inputs::read(path).map_err(|source| PictureError::Read { path: path.to_owned(), source })?;
    decode_rgb(bytes, path)
}

/// The picture in the bytes of a file, as [`read_rgb`] reads it; errors name `path` as the place that the bytes are from.
pub fn decode_rgb(bytes: Vec<u8>, path: &Path) -> Result<RgbImage, PictureError> {
    let format = match image::guess_format(&bytes) {
        Ok(format @ (ImageFormat::Jpeg | ImageFormat::Png | ImageFormat::WebP)) => format,
        _ => return Err(PictureError::Format { path: path.to_owned() }),
    };
    // The decoder would fill what is missing with grey.
    if format == ImageFormat::Jpeg && !has_end(&bytes) {
        return Err(PictureError::CutShort { path: path.to_owned() });
    }
    let damaged = |source| PictureError::Damaged { path: path.to_owned(), source };
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(Limits::no_limits());
    let mut decoder = reader.into_decoder().map_err(damaged)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(PictureError::TooLarge { path: path.to_owned(), width, height });
    }
    // Metadata that cannot be read turn nothing, as in Pillow.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut picture = eight_bits(DynamicImage::from_decoder(decoder).map_err(damaged)?);
    picture.apply_orientation(orientation);
    Ok(picture.into_rgb8())
}

/// The upper bytes of 16-bit values; the library would round.
fn eight_bits(picture: DynamicImage) -> DynamicImage {
    let upper = |values: &[u16]| values.iter().map(|value| (value >> 8) as u8).collect();
    let (width, height) = (picture.width(), picture.height());
    let made = match &picture {
        DynamicImage::ImageLuma16(picture) => {
            image::GrayImage::from_raw(width, height, upper(picture)).map(DynamicImage::from)
        }
        DynamicImage::ImageLumaA16(picture) => {
            image::GrayAlphaImage::from_raw(width, height, upper(picture)).map(DynamicImage::from)
        }
        DynamicImage::ImageRgb16(picture) => {
            RgbImage::from_raw(width, height, upper(picture)).map(DynamicImage::from)
        }
        DynamicImage::ImageRgba16(picture) => {
            image::RgbaImage::from_raw(width, height, upper(picture)).map(DynamicImage::from)
        }
        _ => None,
    };
    made.unwrap_or(picture)
}

/// Whether a JPEG file has the marker that ends its picture. What stands in a segment, such as a thumbnail's own end, is
/// skipped with it.
fn has_end(bytes: &[u8]) -> bool {
    const START: usize = 2;
    let mut place = START;
    while let [first, second, rest @ ..] = &bytes[place.min(bytes.len())..] {
        place += match (first, second) {
            (0xff, 0xd9) => return true,
            (0x00..=0xfe, _) | (_, 0x00 | 0x01 | 0xd0..=0xd7 | 0xff) => 1, // data, or a marker without a segment
            _ => match rest {
                [high, low, ..] => START + usize::from(u16::from_be_bytes([*high, *low])),
                _ => return false,
            },
        };
    }
    false
}

#[cfg(test)]
mod tests {
    use image::{ImageEncoder, Rgb};

    use super::*;

    fn waves() -> RgbImage {
        RgbImage::from_fn(40, 24, |x, y| Rgb([(x * 6) as u8, (y * 10) as u8, (x * y) as u8]))
    }

    fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Vec::new();
        picture.write_to(&mut Cursor::new(&mut bytes), format).unwrap();
        bytes
    }

    fn read(name: &str, bytes: &[u8]) -> Result<RgbImage, PictureError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        read_rgb(&path)
    }

    fn problem(name: &str, bytes: &[u8]) -> String {
        let error = read(name, bytes).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
        error
    }

    #[test]
    fn a_file_cut_short_anywhere_is_an_error() {
        let picture = DynamicImage::from(waves());
        for (name, format) in
            [("a.png", ImageFormat::Png), ("a.jpg", ImageFormat::Jpeg), ("a.webp", ImageFormat::WebP)]
        {
            let bytes = encoded(&picture, format);
            assert!(read(name, &bytes).is_ok());
            for kept in (0..bytes.len() - 12).step_by(7) {
                problem(name, &bytes[..kept]);
            }
        }
        let jpeg = encoded(&picture, ImageFormat::Jpeg);
        assert!(problem("b.jpg", &jpeg[..jpeg.len() - 30]).contains("ends before its picture does"));
        assert!(problem("b.jpg", b"").contains("is no JPEG, PNG or WebP file"));
    }

    #[test]
    fn the_end_of_a_thumbnail_does_not_count() {
        let jpeg = encoded(&DynamicImage::from(waves()), ImageFormat::Jpeg);
        // A segment that holds a whole picture, behind the first two bytes.
        let length = (jpeg.len() as u16 + 2).to_be_bytes();
        let whole = [&jpeg[..2], &[0xff, 0xe5], &length, &jpeg, &jpeg[2..]].concat();
        assert_eq!(read("a.jpg", &whole).unwrap(), read("a.jpg", &jpeg).unwrap());
        let cut = &whole[..whole.len() - 40];
        assert!(problem("a.jpg", cut).contains("ends before its picture does"));
    }

    #[test]
    fn damage_and_other_files_are_named() {
        let mut png = encoded(&DynamicImage::from(waves()), ImageFormat::Png);
        let middle = png.len() / 2;
        png[middle] ^= 0x55;
        assert!(problem("bent.png", &png).contains("is damaged"));
        assert!(problem("notes.jpg", b"these are not pixels").contains("is no JPEG, PNG or WebP file"));
        assert!(problem("old.jpg", b"GIF89a\x01\x00\x01\x00").contains("is no JPEG, PNG or WebP file"));
        let error = read_rgb(Path::new("nowhere.png")).unwrap_err().to_string();
        assert!(error.contains("nowhere.png: cannot be read"), "{error}");
    }

    #[test]
    fn a_file_is_what_it_holds_and_not_what_it_is_called() {
        let png = encoded(&DynamicImage::from(waves()), ImageFormat::Png);
        assert_eq!(read("called.jpg", &png).unwrap(), waves());
    }

    #[test]
    fn a_huge_picture_is_refused_before_it_is_unpacked() {
        let mut bytes = Vec::new();
        let png = image::codecs::png::PngEncoder::new(Cursor::new(&mut bytes));
        png.write_image(&[7], 1, 1, image::ExtendedColorType::L8).unwrap();
        let header = 16; // sizes stand behind the signature and the header chunk's length and name
        bytes[header..header + 8].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
        let sum = crc32(&bytes[header - 4..header + 13]);
        bytes[header + 13..header + 17].copy_from_slice(&sum.to_be_bytes());
        let error = problem("huge.png", &bytes);
        assert!(error.contains("65536 x 65536 pixels") && error.contains("178956970"), "{error}");
    }

    fn crc32(bytes: &[u8]) -> u32 {
        let folded = bytes.iter().fold(u32::MAX, |sum, byte| {
            (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0xedb8_8320 * (sum & 1)))
        });
        !folded
    }

    #[test]
    fn one_pixel_is_a_picture() {
        let pixel = RgbImage::from_pixel(1, 1, Rgb([9, 8, 7]));
        let png = encoded(&DynamicImage::from(pixel.clone()), ImageFormat::Png);
        assert_eq!(read("one.png", &png).unwrap(), pixel);
    }
}
