//! PyTorch's own weight files (`pytorch_model.bin`): a zip archive of a pickled state dict and of the tensors' bytes.
//!
//! libtorch's reader, which tch offers, takes no `OrderedDict`, and every state dict is one. Here a small part of pickle is
//! read as data; nothing in a file is run.

use std::collections::HashMap;
use std::io::Cursor;
use std::ops::Range;
use std::path::Path;

use zip::{CompressionMethod, ZipArchive};

use super::error::WeightsError;
use super::pickle::{self, Pickled};
use super::stored::Stored;

/// What zip archives and the older format start with. The latter pickles a number first.
const ZIP: &[u8] = b"PK\x03\x04";
const LEGACY: &[u8] = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19";

pub(super) fn is_pickled(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "bin")
}

/// The tensors of the file at `path`, whose bytes are `file`.
pub(super) fn read(path: &Path, file: &[u8]) -> Result<Vec<Stored>, WeightsError> {
    if file.starts_with(LEGACY) {
        let convert = conversion(path);
        return Err(WeightsError::Legacy { path: path.to_owned(), convert });
    }
    if let Some(what) = stored::foreign(file) {
        return Err(WeightsError::Foreign { path: path.to_owned(), problem: format!("is {what}") });
    }
    if !file.starts_with(ZIP) {
        let problem = "no archive of PyTorch's".to_owned();
        return Err(WeightsError::DamagedArchive { path: path.to_owned(), problem });
    }
    let members =
        members(file).map_err(|problem| WeightsError::DamagedArchive { path: path.to_owned(), problem })?;
    tensors(file, &members).map_err(|problem| WeightsError::Pickle {
        path: path.to_owned(),
        problem,
        convert: conversion(path),
    })
}

/// A command that writes the file's tensors beside it as safetensors.
fn conversion(path: &Path) -> String {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let target = match name.as_str() {
        "pytorch_model.bin" => "model.safetensors".to_owned(),
        name => name.replace(".bin", ".safetensors"),
    };
    let target = path.with_file_name(target);
    format!(
        "python -c \"import torch; from safetensors.torch import save_file; \
         save_file({{name: value.contiguous().clone() for name, value in torch.load('{}', map_location='cpu').items()}}, '{}')\"",
        path.display(),
        target.display()
    )
}

/// Where each member's bytes are, by its name without the archive's own folder.
type Members = HashMap<String, Range<usize>>;

fn members(file: &[u8]) -> Result<Members, String> {
    let mut archive = ZipArchive::new(Cursor::new(file)).map_err(|error| error.to_string())?;
    let mut members = Members::new();
    for index in 0..archive.len() {
        let member = archive.by_index_raw(index).map_err(|error| error.to_string())?;
        if member.compression() != CompressionMethod::Stored {
            return Err(format!("its member `{}` is compressed", member.name()));
        }
        let start = usize::try_from(member.data_start()).map_err(|error| error.to_string())?;
        let end = usize::try_from(member.size()).ok().and_then(|size| start.checked_add(size));
        let end = end.filter(|&end| end <= file.len());
        let end = end.ok_or_else(|| format!("its member `{}` is cut short", member.name()))?;
        let name = member.name().split_once('/').map_or(member.name(), |(_, name)| name);
        members.insert(name.to_owned(), start..end);
    }
    Ok(members)
}

fn tensors(file: &[u8], members: &Members) -> Result<Vec<Stored>, String> {
    let bytes = |name: &str| members.get(name).cloned().ok_or_else(|| format!("has no member `{name}`"));
    if members.contains_key("byteorder") {
        let order = &file[bytes("byteorder")?];
        if order != b"little" {
            return Err(format!("its numbers are {}-endian", String::from_utf8_lossy(order)));
        }
    }
    let mut stored = Vec::new();
    for Pickled { name, storage, offset, shape, strides } in pickle::state_dict(&file[bytes("data.pkl")?])? {
        let member = bytes(&format!("data/{}", storage.key))?;
        let size = storage.dtype.bitsize() / 8;
        let extent = extent(&shape, &strides);
        let start = size.checked_mul(offset).and_then(|start| member.start.checked_add(start));
        let range = start.zip(extent).and_then(|(start, extent)| {
            let end = start.checked_add(size.checked_mul(extent)?)?;
            (end <= member.end).then_some(start..end)
        });
        let range =
            range.ok_or_else(|| format!("tensor `{name}` {shape:?} is larger than what is stored"))?;
        let is_dense = strides == dense(&shape);
        let tensor = Stored::dense(name, shape, storage.dtype, range);
        stored.push(if is_dense { tensor } else { tensor.strided(strides) });
    }
    Ok(stored)
}

/// Values from a tensor's first to behind its last one.
fn extent(shape: &[i64], strides: &[i64]) -> Option<usize> {
    if shape.len() != strides.len() || shape.iter().chain(strides).any(|&number| number < 0) {
        return None;
    }
    if shape.contains(&0) {
        return Some(0);
    }
    let last = shape
        .iter()
        .zip(strides)
        .try_fold(0i64, |last, (side, stride)| last.checked_add((side - 1).checked_mul(*stride)?));
    usize::try_from(last?.checked_add(1)?).ok()
}

/// Strides of rows one behind the other.
fn dense(shape: &[i64]) -> Vec<i64> {
    let mut strides = vec![1i64; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis].saturating_mul(shape[axis]);
    }
    strides
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_names_both_files() {
        for (from, to) in [
            ("a/pytorch_model.bin", "a/model.safetensors"),
            ("a/diffusion_pytorch_model.bin", "a/diffusion_pytorch_model.safetensors"),
        ] {
            let command = conversion(Path::new(from));
            assert!(command.contains(&format!("torch.load('{from}'")), "{command}");
            assert!(command.ends_with(&format!("'{to}')\"")), "{command}");
        }
    }

    #[test]
    fn a_tensor_ends_behind_its_last_value() {
        assert_eq!(extent(&[2, 3], &[3, 1]), Some(6));
        assert_eq!(extent(&[3, 2], &[1, 3]), Some(6));
        assert_eq!(extent(&[], &[]), Some(1));
        assert_eq!(extent(&[0, 7], &[7, 1]), Some(0));
        assert_eq!(extent(&[2, i64::MAX], &[i64::MAX, 1]), None);
        assert_eq!(extent(&[2], &[-1]), None);
    }
}
