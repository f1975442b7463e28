//! Figures inside the page: SVG as it is, with ids of its own; PNG as data, scaled down where it is large.

use std::path::Path;

use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;

use crate::error::{ReportError, Result};
use crate::html::{data_uri, escape};

/// Wider pictures are scaled down to this; the page is 1100 pixels wide.
const MOST_PIXELS_WIDE: u32 = 1400;
/// Files up to this size are kept as they are.
const MOST_BYTES: usize = 400_000;
const JPEG_QUALITY: u8 = 85;

/// A drawing to stand in the page; `name` sets its ids apart from those of other drawings.
pub fn svg(path: &Path, name: &str, label: &str) -> Result<String> {
    let text = results::read(path, "draw it again with `delora plots`")?;
    let broken =
        || ReportError::Picture { path: path.to_path_buf(), message: "it has no `<svg>`".to_owned() };
    let start = text.find("<svg").ok_or_else(broken)?;
    let drawing = unique_ids(&text[start..], name);
    Ok(drawing.replacen("<svg", &format!("<svg role=\"img\" aria-label=\"{}\"", escape(label)), 1))
}

/// Every id with `name` before it, and every reference to it.
fn unique_ids(svg: &str, name: &str) -> String {
    let mut ids: Vec<&str> = svg.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut unique = svg.to_owned();
    for id in ids {
        unique = unique.replace(&format!(" id=\"{id}\""), &format!(" id=\"{name}-{id}\""));
        unique = unique.replace(&format!("url(#{id})"), &format!("url(#{name}-{id})"));
        unique = unique.replace(&format!("href=\"#{id}\""), &format!("href=\"#{name}-{id}\""));
    }
    unique
}

/// An `img` element with the picture in it.
pub fn png(path: &Path, label: &str) -> Result<String> {
    let bad = |message: String| ReportError::Picture { path: path.to_path_buf(), message };
    let bytes = results::read_bytes(path, "draw it again with `delora plots`")?;
    let picture =
        image::load_from_memory(&bytes).map_err(|error| bad(format!("{error}; draw it again")))?.to_rgb8();
    let (width, height) = picture.dimensions();
    let shown_width = width.min(MOST_PIXELS_WIDE);
    let address = if bytes.len() <= MOST_BYTES && shown_width == width {
        data_uri("image/png", &bytes)
    } else {
        let shown_height = (u64::from(height) * u64::from(shown_width) / u64::from(width)).max(1) as u32;
        let smaller = image::imageops::resize(&picture, shown_width, shown_height, FilterType::Triangle);
        let mut jpeg = Vec::new();
        JpegEncoder::new_with_quality(&mut jpeg, JPEG_QUALITY)
            .encode_image(&smaller)
            .map_err(|error| bad(error.to_string()))?;
        data_uri("image/jpeg", &jpeg)
    };
    Ok(format!("<img src=\"{address}\" alt=\"{}\" width=\"{shown_width}\">", escape(label)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_what_refers_to_them_get_the_name_of_the_figure() {
        let text = "<svg><g id=\"a\"/><g id=\"ab\"/><use href=\"#a\"/><path fill=\"url(#ab)\"/></svg>";
        let expected =
            "<svg><g id=\"x-a\"/><g id=\"x-ab\"/><use href=\"#x-a\"/><path fill=\"url(#x-ab)\"/></svg>";
        assert_eq!(unique_ids(text, "x"), expected);
    }

    #[test]
    fn the_prolog_of_a_drawing_is_left_out_and_a_label_put_in() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.svg");
        std::fs::write(&path, "<?xml version=\"1.0\"?>\n<svg width=\"1\"></svg>").unwrap();
        assert_eq!(
            svg(&path, "x", "A & B").unwrap(),
            "<svg role=\"img\" aria-label=\"A &amp; B\" width=\"1\"></svg>"
        );
        std::fs::write(&path, "nothing").unwrap();
        assert!(svg(&path, "x", "").unwrap_err().to_string().contains("a.svg` is not a usable picture"));
    }

    #[test]
    fn a_large_picture_is_scaled_down_and_a_small_one_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        let noise = |x: u32, y: u32| image::Rgb([(x * 7 + y * 13) as u8, (x * y) as u8, (x ^ y) as u8]);
        image::RgbImage::from_fn(2800, 400, noise).save(&path).unwrap();
        let large = png(&path, "Noise").unwrap();
        assert!(large.starts_with("<img src=\"data:image/jpeg;base64,") && large.contains("width=\"1400\""));
        image::RgbImage::from_fn(20, 10, noise).save(&path).unwrap();
        assert!(png(&path, "Noise").unwrap().starts_with("<img src=\"data:image/png;base64,"));
    }
}
