//! Files appear whole: written beside their place, then renamed onto it.

use std::path::{Path, PathBuf};

use image::RgbImage;

use crate::canvas::Canvas;
use crate::error::{FiguresError, Result};
use crate::png;

/// Picture pixels per figure pixel, so that letters stay sharp on dense screens.
const DENSITY: u32 = 2;

pub fn write(path: &Path, bytes: &[u8]) -> Result<PathBuf> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let unfinished = folder.join(format!(".{name}.{}.tmp", std::process::id()));
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&unfinished, bytes))
        .and_then(|()| std::fs::rename(&unfinished, path))
        .map_err(|source| FiguresError::write(path, source))?;
    Ok(path.to_path_buf())
}

pub fn write_csv(path: &Path, header: &[String], rows: &[Vec<String>]) -> Result<PathBuf> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let written = std::iter::once(header)
        .chain(rows.iter().map(Vec::as_slice))
        .try_for_each(|row| writer.write_record(row));
    let bytes = written
        .map_err(std::io::Error::from)
        .and_then(|()| writer.into_inner().map_err(|error| error.into_error()))
        .map_err(|source| FiguresError::write(path, source))?;
    write(path, &bytes)
}

pub fn write_png(path: &Path, picture: &RgbImage) -> Result<PathBuf> {
    write(path, &png::encoded(picture).map_err(|error| FiguresError::drawing(path, error))?)
}

/// `folder/name.svg` and `folder/name.png`, from the same shapes.
pub fn write_figure(folder: &Path, name: &str, canvas: &Canvas) -> Result<Vec<PathBuf>> {
    let (svg, png) = (folder.join(format!("{name}.svg")), folder.join(format!("{name}.png")));
    let drawn = canvas.to_svg(&svg)?;
    let picture = canvas.to_image(DENSITY, &png)?;
    Ok(vec![write(&svg, drawn.as_bytes())?, write_png(&png, &picture)?])
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

pub fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/table.csv");
        write(&path, b"a long first version").unwrap();
        write_csv(&path, &owned(&["a", "b"]), &[owned(&["1", "x,y"])]).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a,b\n1,\"x,y\"\n");
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }
}
