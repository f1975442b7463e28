//! The tensors of a network's weight files, mapped into memory: one is read when it is copied.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use safetensors::{Dtype, SafeTensors};
use tch::{Kind, Tensor};

use super::error::WeightsError;
use super::{archive, files};

/// A tensor of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The name that the file gives it.
    pub name: String,
    pub shape: Vec<i64>,
    pub dtype: Dtype,
    /// Which of the files.
    file: usize,
    /// Where its values are in the file.
    bytes: Range<usize>,
    /// Distances between neighbours along each axis, in values, where rows do not lie one behind the other.
    strides: Option<Vec<i64>>,
}

impl Stored {
    /// A tensor whose values lie in order.
    pub fn dense(name: String, shape: Vec<i64>, dtype: Dtype, bytes: Range<usize>) -> Stored {
        Stored { name, shape, dtype, file: 0, bytes, strides: None }
    }

    pub(super) fn strided(self, strides: Vec<i64>) -> Stored {
        Stored { strides: Some(strides), ..self }
    }

    /// Its kind, if that is one that networks are computed in.
    pub fn kind(&self) -> Option<Kind> {
        match self.dtype {
            Dtype::F64 => Some(Kind::Double),
            Dtype::F32 => Some(Kind::Float),
            Dtype::F16 => Some(Kind::Half),
            Dtype::BF16 => Some(Kind::BFloat16),
            _ => None,
        }
    }

    pub fn num_values(&self) -> i64 {
        self.shape.iter().product()
    }
}

/// Weights of one network in one file or several.
#[derive(Debug)]
pub struct Weights {
    /// What errors name that are about all files.
    pub(super) whole: PathBuf,
    files: Vec<(PathBuf, Mmap)>,
    tensors: Vec<Stored>,
}

impl Weights {
    /// `path`, or the shards that `<path>.index.json` lists where that is there. Reads no values.
    ///
    /// Errors: a file that is not there, cut short, or of another format.
    pub fn open(path: &Path) -> Result<Weights, WeightsError> {
        let parts = files::parts(path)?;
        let whole = parts.index.unwrap_or_else(|| path.to_owned());
        let (mut files, mut tensors) = (Vec::new(), Vec::new());
        for (file, path) in parts.files.into_iter().enumerate() {
            let bytes = map(&path)?;
            let stored = match archive::is_pickled(&path) {
                true => archive::read(&path, &bytes)?,
                false => header(&path, &bytes)?,
            };
            tensors.extend(stored.into_iter().map(|tensor| Stored { file, ..tensor }));
            files.push((path, bytes));
        }
        tensors.sort_by(|one, two| one.name.cmp(&two.name));
        Ok(Weights { whole, files, tensors })
    }

    /// Those tensors that `ours` gives a name, under it.
    pub fn renamed(mut self, ours: impl Fn(&str) -> Option<String>) -> Weights {
        let named = |tensor: Stored| Some(Stored { name: ours(&tensor.name)?, ..tensor });
        self.tensors = self.tensors.into_iter().filter_map(named).collect();
        self.tensors.sort_by(|one, two| one.name.cmp(&two.name));
        self
    }

    /// The file, or the index of the files.
    pub fn path(&self) -> &Path {
        &self.whole
    }

    /// Every tensor, by name.
    pub fn tensors(&self) -> &[Stored] {
        &self.tensors
    }

    /// The files, without their index.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|(path, _)| path.as_path())
    }

    pub fn num_bytes(&self) -> u64 {
        self.files.iter().map(|(_, bytes)| bytes.len() as u64).sum()
    }

    /// Kinds in which tensors are stored.
    pub fn dtypes(&self) -> BTreeSet<Dtype> {
        self.tensors.iter().map(|tensor| tensor.dtype).collect()
    }

    pub(super) fn path_of(&self, tensor: &Stored) -> &Path {
        &self.files[tensor.file].0
    }

    /// How many of a tensor's values are NaN or infinite; 0 for whole numbers. One pass over its bytes.
    pub fn num_non_finite(&self, tensor: &Stored) -> usize {
        match (tensor.kind(), &tensor.strides) {
            (None, _) => 0,
            (Some(_), None) => ::stored::num_non_finite(self.bytes(tensor), tensor.dtype),
            (Some(kind), Some(_)) => {
                let finite = self.read(tensor, kind).isfinite().sum(Kind::Int64).int64_value(&[]);
                (tensor.num_values() - finite) as usize
            }
        }
    }

    fn bytes(&self, tensor: &Stored) -> &[u8] {
        &self.files[tensor.file].1[tensor.bytes.clone()]
    }

    /// The values, in the kind in which they are stored, on the CPU.
    pub(super) fn read(&self, tensor: &Stored, kind: Kind) -> Tensor {
        let bytes = self.bytes(tensor);
        match &tensor.strides {
            None => Tensor::from_data_size(bytes, &tensor.shape, kind),
            Some(strides) => {
                let flat = [(bytes.len() / kind.elt_size_in_bytes()) as i64];
                let flat = Tensor::from_data_size(bytes, &flat, kind);
                flat.as_strided(&tensor.shape, strides, 0).contiguous()
            }
        }
    }
}

/// The tensors of a safetensors file.
fn header(path: &Path, bytes: &Mmap) -> Result<Vec<Stored>, WeightsError> {
    let damaged = |source| {
        let what = ::stored::foreign(bytes).map(|what| format!("is {what}"));
        match what.or_else(|| ::stored::metadata_problem(bytes)) {
            Some(problem) => WeightsError::Foreign { path: path.to_owned(), problem },
            None => WeightsError::Damaged { path: path.to_owned(), source },
        }
    };
    let (length, header) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
    let start = 8 + length;
    let tensor = |(name, info): (String, &safetensors::tensor::TensorInfo)| {
        let shape = info.shape.iter().map(|&side| side as i64).collect();
        let (from, to) = info.data_offsets;
        Stored::dense(name, shape, info.dtype, start + from..start + to)
    };
    Ok(header.tensors().into_iter().map(tensor).collect())
}

#[expect(
    unsafe_code,
    reason = "a mapped file must not shrink while it is read, as with any reader of weights"
)]
fn map(path: &Path) -> Result<Mmap, WeightsError> {
    let failed = |source| WeightsError::Read { path: path.to_owned(), source };
    let file = crate::inputs::open(path).map_err(failed)?;
    // SAFETY: weights are written whole, by renaming, so nobody changes the file under the map.
    unsafe { Mmap::map(&file) }.map_err(failed)
}
