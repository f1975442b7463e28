//! Label maps: a class number per pixel, 0 where there is none.

use std::io::BufReader;
use std::path::Path;

use anyhow::{Context, Result, bail};
use models::palette;
use png::{BitDepth, ColorType, Transformations};

/// A label map of its own size, row-major.
#[derive(Debug, PartialEq, Eq)]
pub struct Mask {
    pub width: u32,
    pub height: u32,
    pub labels: Vec<u8>,
}

impl Mask {
    /// Reads a PNG: grey values or palette indices are the labels, as in ADE20K's annotations; the colours of an RGB
    /// picture are looked up in ADE20K's palette.
    ///
    /// Errors name the file and a pixel whose label is above `classes` or whose colour is none of the palette's.
    pub fn read(path: &Path, classes: usize) -> Result<Mask> {
        let mask = decode(path).with_context(|| format!("{}: is no label map", path.display()))?;
        if let Some(place) = mask.labels.iter().position(|&label| usize::from(label) > classes) {
            let (x, y) = mask.pixel(place);
            bail!(
                "{}: pixel {x}, {y} has label {}; labels go to {classes}, and 0 is for unlabelled pixels",
                path.display(),
                mask.labels[place]
            );
        }
        Ok(mask)
    }

    /// The nearest pixel's label, on `side` × `side` pixels.
    pub fn resized(&self, side: u32) -> Vec<u8> {
        let nearest = |target: u32, length: u32| {
            ((f64::from(target) + 0.5) * f64::from(length) / f64::from(side)) as u32
        };
        let row = |y: u32| {
            let start = nearest(y, self.height) * self.width;
            (0..side).map(move |x| self.labels[(start + nearest(x, self.width)) as usize])
        };
        (0..side).flat_map(row).collect()
    }

    fn pixel(&self, place: usize) -> (usize, usize) {
        (place % self.width as usize, place / self.width as usize)
    }
}

fn decode(path: &Path) -> Result<Mask> {
    let mut decoder = png::Decoder::new(BufReader::new(models::inputs::open(path)?));
    decoder.set_transformations(Transformations::IDENTITY);
    let mut reader = decoder.read_info()?;
    let (width, height) = reader.info().size();
    let (color, depth) = reader.output_color_type();
    let mut bytes = vec![0; reader.output_buffer_size().context("the picture is too large")?];
    let line = reader.next_frame(&mut bytes)?.line_size;
    let mut mask = Mask { width, height, labels: Vec::with_capacity((width * height) as usize) };
    for row in bytes.chunks_exact(line) {
        match (color, depth) {
            (ColorType::Grayscale | ColorType::Indexed, depth) if depth != BitDepth::Sixteen => {
                let bits = depth as usize;
                let label = |x: usize| {
                    let (byte, place) = (row[x * bits / 8], x * bits % 8);
                    byte >> (8 - bits - place) & (0xff >> (8 - bits))
                };
                mask.labels.extend((0..width as usize).map(label));
            }
            (ColorType::Rgb, BitDepth::Eight) => {
                for pixel in row.chunks_exact(3) {
                    let color = [pixel[0], pixel[1], pixel[2]];
                    let Some(label) = palette::label(color) else {
                        let (x, y) = mask.pixel(mask.labels.len());
                        bail!("pixel {x}, {y} has the colour {color:?}, which is no class's");
                    };
                    mask.labels.push(label);
                }
            }
            _ => bail!(
                "found {color:?} of {} bits; labels are grey values or palette indices of up to 8 bits, or RGB colours of 8",
                depth as u8
            ),
        }
    }
    Ok(mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(
        name: &str,
        size: [u32; 2],
        color: ColorType,
        depth: BitDepth,
        bytes: &[u8],
    ) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("delora-mask-{}-{name}.png", std::process::id()));
        let mut encoder = png::Encoder::new(std::fs::File::create(&path).unwrap(), size[0], size[1]);
        encoder.set_color(color);
        encoder.set_depth(depth);
        if color == ColorType::Indexed {
            encoder.set_palette(vec![9; 48]);
        }
        encoder.write_header().unwrap().write_image_data(bytes).unwrap();
        path
    }

    fn read(name: &str, color: ColorType, depth: BitDepth, bytes: &[u8]) -> Result<Vec<u8>> {
        let path = written(name, [3, 2], color, depth, bytes);
        let mask = Mask::read(&path, 5);
        std::fs::remove_file(path).unwrap();
        Ok(mask?.labels)
    }

    #[test]
    fn grey_values_palette_indices_and_colours_are_labels() {
        let (grey, indexed, rgb) = (ColorType::Grayscale, ColorType::Indexed, ColorType::Rgb);
        assert_eq!(read("grey", grey, BitDepth::Eight, &[0, 1, 2, 3, 4, 5]).unwrap(), [0, 1, 2, 3, 4, 5]);
        let packed = [0x01, 0x20, 0x34, 0x50];
        assert_eq!(read("indexed", indexed, BitDepth::Four, &packed).unwrap(), [0, 1, 2, 3, 4, 5]);
        let colors: Vec<u8> = [5u8, 0, 1, 4, 3, 2].iter().flat_map(|&label| palette::color(label)).collect();
        assert_eq!(read("rgb", rgb, BitDepth::Eight, &colors).unwrap(), [5, 0, 1, 4, 3, 2]);
    }

    #[test]
    fn what_is_no_label_is_named_with_its_pixel() {
        let message = |error: anyhow::Error| format!("{error:#}");
        let high = read("high", ColorType::Grayscale, BitDepth::Eight, &[0, 0, 0, 0, 6, 0]).unwrap_err();
        assert!(message(high).contains("pixel 1, 1 has label 6; labels go to 5"));
        let color = read("color", ColorType::Rgb, BitDepth::Eight, &[7; 18]).unwrap_err();
        assert!(message(color).contains("pixel 0, 0 has the colour [7, 7, 7]"));
        let deep = read("deep", ColorType::Grayscale, BitDepth::Sixteen, &[0; 12]).unwrap_err();
        assert!(message(deep).contains("Grayscale of 16 bits"));
        let path = std::env::temp_dir().join(format!("delora-mask-{}-text.png", std::process::id()));
        std::fs::write(&path, "no picture").unwrap();
        let text = message(Mask::read(&path, 5).unwrap_err());
        std::fs::remove_file(&path).unwrap();
        assert!(text.contains("text.png: is no label map"), "{text}");
    }

    #[test]
    fn resizing_takes_the_nearest_label() {
        let mask = Mask { width: 4, height: 2, labels: vec![1, 2, 3, 4, 5, 6, 7, 8] };
        assert_eq!(mask.resized(2), [2, 4, 6, 8]);
        let one = Mask { width: 1, height: 1, labels: vec![3] };
        assert_eq!(one.resized(2), [3; 4]);
    }
}
