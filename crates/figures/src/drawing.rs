//! What a figure returns, and the one place that writes it.
//!
//! Files appear whole: written beside their place, then renamed onto it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use image::RgbImage;

use crate::canvas::Canvas;
use crate::error::{FiguresError, Result};
use crate::png;

/// Picture pixels per figure pixel, so that letters stay sharp on dense screens.
const DENSITY: u32 = 2;

/// A file, or for shapes two, that a figure has drawn and nobody has written yet.
pub struct Drawing {
    name: String,
    content: Content,
}

enum Content {
    Text(String),
    Csv(Vec<String>, Vec<Vec<String>>),
    /// Written as SVG and PNG, from the same shapes.
    Shapes(Canvas),
    Picture(RgbImage),
}

impl Drawing {
    /// A file with this text.
    pub fn text(name: impl Into<String>, text: String) -> Self {
        Self { name: name.into(), content: Content::Text(text) }
    }

    /// A CSV with a header and rows.
    pub fn csv(name: impl Into<String>, header: Vec<String>, rows: Vec<Vec<String>>) -> Self {
        Self { name: name.into(), content: Content::Csv(header, rows) }
    }

    /// `name.svg` and `name.png`.
    pub fn shapes(name: impl Into<String>, canvas: Canvas) -> Self {
        Self { name: name.into(), content: Content::Shapes(canvas) }
    }

    /// `name.png`.
    pub fn picture(name: &str, picture: RgbImage) -> Self {
        Self { name: format!("{name}.png"), content: Content::Picture(picture) }
    }

    /// Writes it into a folder; returns the files.
    pub fn write(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        let path = folder.join(&self.name);
        let png = |path: PathBuf, picture: &RgbImage| {
            // Packing takes a second for a large picture, and reading one back a hundredth of that.
            if image::open(&path).is_ok_and(|there| there.to_rgb8() == *picture) {
                return Ok(path);
            }
            let bytes = png::encoded(picture).map_err(|error| FiguresError::drawing(&path, error))?;
            write(&path, &bytes)
        };
        Ok(match &self.content {
            Content::Text(text) => vec![write(&path, text.as_bytes())?],
            Content::Csv(header, rows) => vec![write(&path, &csv_bytes(&path, header, rows)?)?],
            Content::Picture(picture) => vec![png(path, picture)?],
            Content::Shapes(canvas) => {
                let [svg, bitmap] = ["svg", "png"].map(|kind| folder.join(format!("{}.{kind}", self.name)));
                let (drawn, picture) = (canvas.to_svg(&svg)?, canvas.to_image(DENSITY, &bitmap)?);
                vec![write(&svg, drawn.as_bytes())?, png(bitmap, &picture)?]
            }
        })
    }
}

/// Writes a file whole.
pub fn write(path: &Path, bytes: &[u8]) -> Result<PathBuf> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // Figures of one experiment are drawn side by side, and some share a file.
    static WRITTEN: AtomicUsize = AtomicUsize::new(0);
    let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
    let unfinished = folder.join(format!(".{name}.{}.{number}.tmp", std::process::id()));
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&unfinished, bytes))
        .and_then(|()| std::fs::rename(&unfinished, path))
        .map_err(|source| FiguresError::write(path, source))?;
    Ok(path.to_path_buf())
}

fn csv_bytes(path: &Path, header: &[String], rows: &[Vec<String>]) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut all = std::iter::once(header).chain(rows.iter().map(Vec::as_slice));
    all.try_for_each(|row| writer.write_record(row))
        .map_err(std::io::Error::from)
        .and_then(|()| writer.into_inner().map_err(|error| error.into_error()))
        .map_err(|source| FiguresError::write(path, source))
}

/// A Markdown table; `|` in a cell is escaped.
pub fn markdown(header: &[String], rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let rule: Vec<String> = header.iter().map(|_| "---".to_owned()).collect();
    let rows: String = rows.iter().map(|row| line(row)).collect();
    format!("{}{}{rows}", line(header), line(&rule))
}

/// The names of a list, as in "method, title, n".
pub fn listed(names: &str) -> Vec<String> {
    names.split(", ").map(str::to_owned).collect()
}

/// A number with all its digits, for a CSV; nothing where there is none.
pub fn full(value: Option<f64>) -> String {
    value.map_or(String::new(), |value| value.to_string())
}

/// The ends of an interval, for a CSV.
pub fn ends(interval: Option<(f64, f64)>) -> [Option<f64>; 2] {
    [interval.map(|(low, _)| low), interval.map(|(_, high)| high)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/table.csv");
        write(&path, b"a long first version").unwrap();
        let table =
            Drawing::csv("deep/table.csv", listed("a, b"), vec![vec!["1".to_owned(), "x,y".to_owned()]]);
        assert_eq!(table.write(folder.path()).unwrap(), std::slice::from_ref(&path));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a,b\n1,\"x,y\"\n");
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_picture_that_is_there_already_is_not_packed_again_and_another_replaces_it() {
        let folder = tempfile::tempdir().unwrap();
        let picture = |level| Drawing::picture("a", RgbImage::from_pixel(9, 7, image::Rgb([level, 2, 3])));
        let path = folder.path().join("a.png");
        // The same pixels in another packing stay as they are.
        RgbImage::from_pixel(9, 7, image::Rgb([1, 2, 3])).save(&path).unwrap();
        let packed = std::fs::read(&path).unwrap();
        assert_eq!(picture(1).write(folder.path()).unwrap(), std::slice::from_ref(&path));
        assert_eq!(std::fs::read(&path).unwrap(), packed);
        for broken in [packed.as_slice(), b"no picture"] {
            std::fs::write(&path, broken).unwrap();
            picture(200).write(folder.path()).unwrap();
            assert_eq!(image::open(&path).unwrap().to_rgb8().get_pixel(8, 6).0, [200, 2, 3]);
        }
    }
}
