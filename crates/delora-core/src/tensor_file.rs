//! Safetensors files, written whole or not at all.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use memmap2::Mmap;
use safetensors::tensor::{Dtype, Metadata, TensorInfo, TensorView};
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
    /// How many values are NaN or infinite, where they may not be.
    fn count(self, view: &TensorView) -> usize {
        match self {
            Values::Finite => num_non_finite(view.data(), view.dtype()),
            Values::Any => 0,
        }
    }

    /// Says which tensor may not be in such a file.
    fn check(self, name: &str, count: usize) -> Result<(), String> {
        match count {
            0 => Ok(()),
            count => Err(format!(
                "tensor `{name}` has {count} values that are NaN or infinite; the training that made it diverged or the \
                 file is damaged: take another one"
            )),
        }
    }
}

/// Values of a tensor that are taken from a device, checked and written at once.
const VALUES_AT_ONCE: i64 = 1 << 22;

/// Writes a file part by part, so that it may be larger than memory; a file of that name is replaced whole or not at all.
/// `refused` makes an error of what says which tensor may not be in it.
pub fn write<T: Borrow<Tensor>>(
    path: &Path,
    tensors: impl IntoIterator<Item = (impl Into<String>, T)>,
    metadata: HashMap<String, String>,
    values: Values,
    refused: impl Fn(&Path, String) -> CoreError,
) -> Result<(), CoreError> {
    let tensors: Vec<(String, T)> = tensors.into_iter().map(|(name, tensor)| (name.into(), tensor)).collect();
    let mut end = 0;
    let infos = tensors.iter().map(|(name, tensor)| {
        let tensor = tensor.borrow();
        let start = end;
        end += tensor.numel() * tensor.kind().elt_size_in_bytes();
        let shape = tensor.size().iter().map(|&size| size as usize).collect();
        (name.clone(), TensorInfo { dtype: dtype_of(tensor.kind()), shape, data_offsets: (start, end) })
    });
    let header =
        Metadata::new(Some(metadata), infos.collect()).map_err(|error| refused(path, error.to_string()))?;
    let mut header = serde_json::to_vec(&header).expect("names and shapes are plain data");
    header.resize(header.len().next_multiple_of(8), b' ');
    let io = |source| CoreError::Io { path: path.to_owned(), source };
    let file = Partial::of(path).map_err(io)?;
    let mut writer = BufWriter::new(&file.file);
    writer
        .write_all(&(header.len() as u64).to_le_bytes())
        .and_then(|()| writer.write_all(&header))
        .map_err(io)?;
    for (name, tensor) in &tensors {
        let tensor = tensor.borrow().detach().contiguous().view(-1);
        let count = non_finite_among(&tensor, values, |bytes| writer.write_all(bytes)).map_err(io)?;
        values.check(name, count).map_err(|problem| refused(path, problem))?;
    }
    writer.flush().map_err(io)?;
    drop(writer);
    file.finish(path).map_err(io)
}

/// Hands on the bytes of a flat tensor, part by part; how many values were NaN or infinite where that matters.
fn non_finite_among(
    tensor: &Tensor,
    values: Values,
    mut take: impl FnMut(&[u8]) -> std::io::Result<()>,
) -> std::io::Result<usize> {
    let mut count = 0;
    for part in tensor.split(VALUES_AT_ONCE, 0) {
        let stored = Stored::of(&part);
        count += values.count(&stored.view());
        take(&stored.bytes)?;
    }
    Ok(count)
}

/// The header and tensors of `file`; says what is wrong with it, or what it is where it is no such file.
pub fn open(file: &[u8]) -> Result<(Option<HashMap<String, String>>, SafeTensors<'_>), String> {
    let problem = |error: SafeTensorError| {
        let what = stored::foreign(file).map(|what| format!("it is {what}"));
        what.or_else(|| stored::metadata_problem(file))
            .unwrap_or_else(|| format!("it is no whole safetensors file ({error}); fetch or copy it again"))
    };
    let (_, header) = SafeTensors::read_metadata(file).map_err(problem)?;
    Ok((header.metadata().clone(), SafeTensors::deserialize(file).map_err(problem)?))
}

/// A file's bytes where they lie, to be taken part by part.
pub fn map(path: &Path) -> Result<Mmap, CoreError> {
    let io = |source| CoreError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(io)?;
    #[expect(unsafe_code, reason = "a file is only ever replaced whole, see Partial")]
    unsafe { Mmap::map(&file) }.map_err(io)
}

/// Whether a stored tensor has the shape and kind of `tensor`.
pub fn is_like(view: &TensorView, tensor: &Tensor) -> bool {
    view.dtype() == dtype_of(tensor.kind()) && view.shape().iter().map(|&size| size as i64).eq(tensor.size())
}

/// A stored tensor on the CPU; says if it is of a kind that is not known here.
pub fn tensor_of(name: &str, view: &TensorView) -> Result<Tensor, String> {
    let kind = kind_of(view.dtype()).ok_or_else(|| {
        let known = KINDS.map(|(_, dtype)| dtype.to_string()).join(", ");
        format!("tensor `{name}` is stored as {}; read are {known}, and no quantized values", view.dtype())
    })?;
    let shape: Vec<i64> = view.shape().iter().map(|&size| size as i64).collect();
    Ok(Tensor::from_data_size(view.data(), &shape, kind))
}

/// What `file` holds; says what is wrong with it, or which tensor may not be in it or is of a kind that is not known here.
pub fn decode(file: &[u8], values: Values) -> Result<TensorFile, String> {
    let (metadata, stored) = open(file)?;
    let metadata = metadata.unwrap_or_default();
    let mut tensors = BTreeMap::new();
    for (name, view) in stored.iter() {
        let tensor = tensor_of(name, &view)?;
        values.check(name, values.count(&view))?;
        tensors.insert(name.to_owned(), tensor);
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
        let count = Values::Finite.count(&view);
        Values::Finite.check(name, count).map_err(|problem| refused(original, problem))?;
    }
    for (name, stored) in &replaced {
        let count = Values::Finite.count(&stored.view());
        Values::Finite.check(name, count).map_err(|problem| refused(copy, problem))?;
    }
    let views = stored.iter().map(|(name, view)| (name, replaced.get(name).map_or(view, Stored::view)));
    let file = safetensors::serialize(views, metadata).map_err(|error| refused(copy, error.to_string()))?;
    write_whole(copy, &file).map_err(|source| io(copy, source))
}

/// Written beside `path`, forced to disk and renamed.
pub fn write_whole(path: &Path, contents: &[u8]) -> std::io::Result<()> {
    let mut partial = Partial::of(path)?;
    partial.file.write_all(contents)?;
    partial.finish(path)
}

/// A file that is being written beside its place; it goes where it is not finished.
struct Partial {
    file: File,
    /// Empty once it has its place.
    path: OsString,
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.path.is_empty() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Partial {
    fn of(path: &Path) -> std::io::Result<Partial> {
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        Ok(Partial { file: File::create(&partial)?, path: partial })
    }

    /// Forces it to disk and puts it in the place of `path`.
    fn finish(mut self, path: &Path) -> std::io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.path, path)?;
        self.path.clear();
        Ok(())
    }
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
