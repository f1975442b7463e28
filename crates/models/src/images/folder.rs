//! The pictures of a folder: one rule, wherever a folder of pictures is named.

use std::io::Read;
use std::path::{Path, PathBuf};

use image::ImageFormat;

use super::read::PictureError;

/// How names of files end that are read; what they hold decides, not the name.
const READ: [&str; 9] = ["jpg", "jpeg", "jpe", "jfif", "jif", "pjpeg", "pjp", "png", "webp"];
/// How names of pictures end that are not read.
const UNREAD: [&str; 24] = [
    "apng", "arw", "avif", "bmp", "cr2", "cr3", "dib", "dng", "gif", "hdr", "heic", "heif", "ico", "j2k",
    "jp2", "jxl", "nef", "orf", "psd", "raw", "svg", "tga", "tif", "tiff",
];
/// Bytes that tell a format.
const HEAD: u64 = 16;

/// The pictures of a folder, by name: its JPEG, PNG and WebP files, by their names or, whatever they are called, by what
/// they hold.
///
/// Files and folders whose name begins with a dot, such as the `._*` of a Mac, other folders, and files that are no
/// pictures are left out. Errors: a folder that cannot be read, and pictures of a kind that is not read, such as HEIC:
/// to leave them out would be to take fewer pictures than are there.
pub fn picture_files(folder: &Path) -> Result<Vec<PathBuf>, PictureError> {
    let failed = |source| PictureError::Folder { folder: folder.to_owned(), source };
    let (mut pictures, mut unread) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with('.') || path.is_dir() {
            continue;
        }
        let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        if READ.contains(&ending.as_str()) || holds_picture(&path) {
            pictures.push(path);
        } else if UNREAD.contains(&ending.as_str()) {
            unread.push(name);
        }
    }
    if !unread.is_empty() {
        unread.sort();
        return Err(PictureError::Unread { folder: folder.to_owned(), names: unread.join(", ") });
    }
    pictures.sort();
    Ok(pictures)
}

fn holds_picture(path: &Path) -> bool {
    let mut head = Vec::new();
    // What cannot be opened here is named when its picture is read.
    let opened = crate::inputs::open(path).and_then(|file| file.take(HEAD).read_to_end(&mut head));
    let formats = [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP];
    opened.is_ok() && image::guess_format(&head).is_ok_and(|format| formats.contains(&format))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        folder
    }

    fn names(folder: &Path) -> Vec<String> {
        let files = picture_files(folder).unwrap();
        files.iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn hidden_files_and_what_is_no_picture_are_left_out_and_every_name_of_a_jpeg_is_taken() {
        let folder =
            folder(&["c.JPG", "b.png", "a.jfif", "d.webp", "._c.JPG", ".DS_Store", "notes.txt", "Thumbs.db"]);
        std::fs::create_dir(folder.path().join("more.jpg")).unwrap();
        std::fs::write(folder.path().join("scan"), b"\x89PNG\r\n\x1a\n").unwrap();
        assert_eq!(names(folder.path()), ["a.jfif", "b.png", "c.JPG", "d.webp", "scan"]);
    }

    #[test]
    fn pictures_of_a_kind_that_is_not_read_are_an_error_with_their_names() {
        let folder = folder(&["a.jpg", "b.png", "f.avif", "e.gif", "d.HEIC", "c.tiff", "b.bmp", "._g.heic"]);
        let message = picture_files(folder.path()).unwrap_err().to_string();
        assert!(message.contains("b.bmp, c.tiff, d.HEIC, e.gif, f.avif"), "{message}");
        assert!(message.contains(folder.path().to_str().unwrap()) && message.contains("JPEG"), "{message}");
        assert!(!message.contains("._g"), "{message}");
    }
}
