//! Safetensors files, written whole or not at all.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensorError, SafeTensors};
use stored::num_non_finite;
use tch::{Device, Kind, Tensor};

use crate::error::CoreError;

/// What a file holds, on the CPU.
pub struct TensorFile {
    pub tensors: BTreeMap<String, Tensor>,
    pub metadata: HashMap<String, String>,
}

/// Whether a file may hold values that are NaN or infinite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Values {
    /// Weights and adapters: such a value would make all that is computed with them none.
    Finite,
    /// A bank in training, whose diverged trials are kept as they are.
    Any,
}

impl Values {
    /// Says which tensor may not be in such a file.
    fn check(self, name: &str, view: &TensorView) -> Result<(), String> {
        match num_non_finite(view.data(), view.dtype()) {
            count if count > 0 && self == Values::Finite => Err(format!(
                "tensor `{name}` has {count} values that are NaN or infinite; the training that made it diverged or the \
                 file is damaged: take another one"
            )),
            _ => Ok(()),
        }
    }
}

/// A file's bytes; says which tensor may not be in it.
pub fn encode<T: Borrow<Tensor>>(
    tensors: impl IntoIterator<Item = (impl AsRef<str>, T)>,
    metadata: HashMap<String, String>,
    values: Values,
) -> Result<Vec<u8>, String> {
    let stored = |(name, tensor): (_, T)| (name, Stored::of(tensor.borrow()));
    let stored: Vec<(_, Stored)> = tensors.into_iter().map(stored).collect();
    for (name, stored) in &stored {
        values.check(name.as_ref(), &stored.view())?;
    }
    let views = stored.iter().map(|(name, stored)| (name.as_ref(), stored.view()));
    safetensors::serialize(views, Some(metadata)).map_err(|error| error.to_string())
}

/// The header and tensors of `file`; says what is wrong with it, or what it is where it is no such file.
fn open(file: &[u8]) -> Result<(Option<HashMap<String, String>>, SafeTensors<'_>), String> {
    let problem = |error: SafeTensorError| {
        let what = stored::foreign(file).map(|what| format!("it is {what}"));
        what.or_else(|| stored::metadata_problem(file))
            .unwrap_or_else(|| format!("it is no whole safetensors file ({error}); fetch or copy it again"))
    };
    let (_, header) = SafeTensors::read_metadata(file).map_err(problem)?;
    Ok((header.metadata().clone(), SafeTensors::deserialize(file).map_err(problem)?))
}

/// What `file` holds; says what is wrong with it, or which tensor may not be in it or is of a kind that is not known here.
pub fn decode(file: &[u8], values: Values) -> Result<TensorFile, String> {
    let (metadata, stored) = open(file)?;
    let metadata = metadata.unwrap_or_default();
    let mut tensors = BTreeMap::new();
    for (name, view) in stored.iter() {
        let kind = kind_of(view.dtype());
        let kind = kind.ok_or_else(|| {
            let known = KINDS.map(|(_, dtype)| dtype.to_string()).join(", ");
            format!(
                "tensor `{name}` is stored as {}; read are {known}, and no quantized values",
                view.dtype()
            )
        })?;
        values.check(name, &view)?;
        let shape: Vec<i64> = view.shape().iter().map(|&size| size as i64).collect();
        tensors.insert(name.to_owned(), Tensor::from_data_size(view.data(), &shape, kind));
    }
    Ok(TensorFile { tensors, metadata })
}

/// Writes the file `original` again as `copy`, with the values of `changed` in their own kinds, as a half-precision
/// file would round small changes away; whatever else is in it stays as it is.
///
/// Errors when the file has no tensor of such a name and shape, and when a value of either is NaN or infinite.
pub fn copy_with(original: &Path, changed: &BTreeMap<String, Tensor>, copy: &Path) -> Result<(), CoreError> {
    let io = |path: &Path, source| CoreError::Io { path: path.to_owned(), source };
    let refused = |path: &Path, problem: String| {
        let place = format!("`{}`", path.display());
        CoreError::Adapter { place, problem }
    };
    let problem =
        |problem: String| refused(original, format!("{problem}; it is of another model than the adapter"));
    let file = fs::read(original).map_err(|source| io(original, source))?;
    let (metadata, stored) = open(&file).map_err(|problem| refused(original, problem))?;
    for (name, value) in changed {
        let view = stored.tensor(name).ok();
        let view =
            view.ok_or_else(|| problem(format!("tensor `{name}`, which the adapter changes, is missing")))?;
        if !view.shape().iter().map(|&size| size as i64).eq(value.size()) {
            let wanted = value.size();
            return Err(problem(format!(
                "tensor `{name}` is {:?}; the adapter's is {wanted:?}",
                view.shape()
            )));
        }
    }
    let replaced: BTreeMap<&str, Stored> =
        changed.iter().map(|(name, value)| (name.as_str(), Stored::of(value))).collect();
    for (name, view) in stored.iter() {
        Values::Finite.check(name, &view).map_err(|problem| refused(original, problem))?;
    }
    for (name, stored) in &replaced {
        Values::Finite.check(name, &stored.view()).map_err(|problem| refused(copy, problem))?;
    }
    let views = stored.iter().map(|(name, view)| (name, replaced.get(name).map_or(view, Stored::view)));
    let file = safetensors::serialize(views, metadata).map_err(|error| refused(copy, error.to_string()))?;
    write_whole(copy, &file).map_err(|source| io(copy, source))
}

/// Written beside `path`, forced to disk and renamed.
pub fn write_whole(path: &Path, contents: &[u8]) -> std::io::Result<()> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let mut file = File::create(&partial)?;
    file.write_all(contents)?;
    file.sync_all()?;
    fs::rename(&partial, path)
}

fn kind_of(dtype: Dtype) -> Option<Kind> {
    KINDS.iter().find(|(_, known)| *known == dtype).map(|(kind, _)| *kind)
}

/// A tensor as a file has it.
struct Stored {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Stored {
    fn of(tensor: &Tensor) -> Stored {
        let tensor = tensor.detach().to_device(Device::Cpu).contiguous();
        let mut bytes = vec![0; tensor.numel() * tensor.kind().elt_size_in_bytes()];
        tensor.copy_data_u8(&mut bytes, tensor.numel());
        let shape = tensor.size().iter().map(|&size| size as usize).collect();
        Stored { dtype: dtype_of(tensor.kind()), shape, bytes }
    }

    fn view(&self) -> TensorView<'_> {
        let view = TensorView::new(self.dtype, self.shape.clone(), &self.bytes);
        view.expect("bytes, shape and kind are one tensor's")
    }
}

const KINDS: [(Kind, Dtype); 6] = [
    (Kind::Float, Dtype::F32),
    (Kind::Double, Dtype::F64),
    (Kind::Half, Dtype::F16),
    (Kind::BFloat16, Dtype::BF16),
    (Kind::Int64, Dtype::I64),
    (Kind::Int, Dtype::I32),
];

fn dtype_of(kind: Kind) -> Dtype {
    let known = KINDS.iter().find(|(known, _)| *known == kind);
    known.expect("networks, adapters and banks hold no other kinds").1
}
