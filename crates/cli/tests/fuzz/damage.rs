//! One file, damaged: in the terms of its format, or as bytes.

use std::path::Path;

use crate::random::Random;
use crate::{pictures, tables, values};

pub enum Damaged {
    Bytes(Vec<u8>),
    /// A folder is in the file's place.
    Folder,
    Absent,
}

const LFS_POINTER: &str = "version https://git-lfs.github.com/spec/v1\noid sha256:\
    4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n";
const PAGE: &str = "<!DOCTYPE html>\n<html><head><title>404</title></head><body>Not found</body></html>\n";
const NOT_UTF8: &[u8] = &[0xff, 0xfe, 0xc3, 0x28];

/// The file's new content, and what was done to it.
pub fn damaged(path: &Path, original: &[u8], random: &mut Random) -> (Damaged, String) {
    if random.percent(70)
        && let Some((bytes, what)) = by_format(path, original, random)
    {
        return (Damaged::Bytes(bytes), what);
    }
    as_bytes(original, random)
}

fn by_format(path: &Path, original: &[u8], random: &mut Random) -> Option<(Vec<u8>, String)> {
    match path.extension()?.to_str()? {
        "json" => values::json(original, random),
        "jsonl" => values::json_lines(original, random),
        "toml" => values::toml(original, random),
        "safetensors" | "adapter" => values::safetensors(original, random),
        "csv" | "txt" => tables::mutated(original, ',', random),
        "tsv" => tables::mutated(original, '\t', random),
        "png" | "jpg" => pictures::odd(random),
        _ => None,
    }
}

fn as_bytes(original: &[u8], random: &mut Random) -> (Damaged, String) {
    let size = original.len();
    let at = random.below(size);
    let bytes = |bytes: Vec<u8>, what: &str| (Damaged::Bytes(bytes), what.to_owned());
    match random.below(15) {
        0 => bytes(Vec::new(), "empty"),
        1 => bytes(original[..at].to_vec(), "truncated"),
        2 => bytes([&b"\xef\xbb\xbf"[..], original].concat(), "a byte order mark in front"),
        3 => bytes(carriage_returns(original), "CRLF"),
        4 => bytes([&original[..at], NOT_UTF8, &original[at..]].concat(), "bytes that are not UTF-8"),
        5 => bytes(LFS_POINTER.into(), "a Git LFS pointer"),
        6 => bytes(PAGE.into(), "an HTML page"),
        7 => (Damaged::Folder, "a folder in its place".to_owned()),
        8 => (Damaged::Absent, "absent".to_owned()),
        9 => {
            let end = (at + 1 + random.below(64)).min(size);
            bytes([&original[..at.min(end)], &original[end..]].concat(), "a piece cut out")
        }
        10 => {
            let end = (at + 1 + random.below(64)).min(size);
            bytes([&original[..end], &original[at.min(end)..]].concat(), "a piece doubled")
        }
        11 => lines(original, random),
        12 => bytes(vec![0; size.min(1 << 16)], "zeros"),
        _ => {
            let mut flipped = original.to_vec();
            for _ in 0..1 + random.below(4) {
                // Headers are at the ends of files.
                let place = match random.below(3) {
                    0 => random.below(size.min(256)),
                    1 => size.saturating_sub(1 + random.below(256)),
                    _ => random.below(size),
                };
                if let Some(byte) = flipped.get_mut(place) {
                    *byte ^= 1 << random.below(8);
                }
            }
            bytes(flipped, "bits flipped")
        }
    }
}

fn carriage_returns(original: &[u8]) -> Vec<u8> {
    original.iter().flat_map(|&byte| if byte == b'\n' { vec![b'\r', b'\n'] } else { vec![byte] }).collect()
}

fn lines(original: &[u8], random: &mut Random) -> (Damaged, String) {
    let mut lines: Vec<&[u8]> = original.split_inclusive(|&byte| byte == b'\n').collect();
    let (at, other) = (random.below(lines.len()), random.below(lines.len()));
    let what = match random.below(3) {
        0 => {
            lines.insert(other, lines.get(at).copied().unwrap_or_default());
            "a line doubled"
        }
        1 if !lines.is_empty() => {
            lines.remove(at);
            "a line removed"
        }
        _ if !lines.is_empty() => {
            lines.swap(at, other);
            "two lines swapped"
        }
        _ => "unchanged",
    };
    (Damaged::Bytes(lines.concat()), what.to_owned())
}
