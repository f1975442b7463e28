//! A bank on disk: parameters, constants, moments, quarantine and step, for a bit-identical continuation.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::json;
use tch::{Kind, Tensor};

use crate::bank::Bank;
use crate::error::CoreError;

impl Bank {
    /// Writes the bank's state; a file of that name is replaced whole or not at all.
    pub fn save(&self, path: &Path) -> Result<(), CoreError> {
        let stored: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = (self.tensors().into_iter())
            .map(|(name, tensor)| {
                let shape = tensor.size().iter().map(|&size| size as usize).collect();
                (name, dtype(tensor.kind()), shape, bytes(&tensor))
            })
            .collect();
        let views = stored.iter().map(|(name, dtype, shape, bytes)| {
            let view = TensorView::new(*dtype, shape.clone(), bytes)
                .expect("bytes, shape and kind are one tensor's");
            (name.clone(), view)
        });
        let metadata = HashMap::from([
            ("bank".to_owned(), self.identity()),
            ("steps".to_owned(), self.steps.to_string()),
        ]);
        let file = safetensors::serialize(views, Some(metadata)).map_err(|error| problem(path, error))?;
        write_whole(path, &file).map_err(|source| CoreError::Io { path: path.to_owned(), source })
    }

    /// Continues from what `save` wrote for a bank of the same sites and trials; a wrong file changes nothing.
    pub fn load_state(&mut self, path: &Path) -> Result<(), CoreError> {
        let file = fs::read(path).map_err(|source| CoreError::Io { path: path.to_owned(), source })?;
        let (_, header) = SafeTensors::read_metadata(&file).map_err(|error| problem(path, error))?;
        let metadata = header.metadata().clone().unwrap_or_default();
        if metadata.get("bank") != Some(&self.identity()) {
            return Err(problem(path, "it was written for other sites or trials"));
        }
        let steps = metadata.get("steps").and_then(|steps| steps.parse().ok());
        let steps = steps.ok_or_else(|| problem(path, "its number of steps is missing"))?;
        let stored = SafeTensors::deserialize(&file).map_err(|error| problem(path, error))?;
        let mut pairs = Vec::new();
        for (name, own) in self.tensors() {
            let view = stored.tensor(&name).map_err(|error| problem(path, error))?;
            let shape: Vec<i64> = view.shape().iter().map(|&size| size as i64).collect();
            if shape != own.size() || view.dtype() != dtype(own.kind()) {
                return Err(problem(path, format!("tensor `{name}` is {:?} {shape:?}", view.dtype())));
            }
            pairs.push((own.shallow_clone(), Tensor::from_data_size(view.data(), &shape, own.kind())));
        }
        tch::no_grad(|| pairs.iter_mut().for_each(|(own, value)| own.copy_(value)));
        self.steps = steps;
        self.refresh();
        Ok(())
    }

    /// Every tensor that a step reads or writes, sharing storage.
    fn tensors(&self) -> Vec<(String, Tensor)> {
        let mut tensors = Vec::new();
        for (index, group) in self.groups.iter().enumerate() {
            for store in &group.stores {
                let name = store.group.map_or("constants".to_owned(), |group| group.to_string());
                tensors.push((format!("{index}.{name}.values"), store.values.detach()));
            }
            let trained = group.stores.iter().filter(|store| store.trained).filter_map(|store| store.group);
            let optimizer = &group.optimizer;
            for ((name, first), second) in
                trained.zip(&optimizer.first_moments).zip(&optimizer.second_moments)
            {
                tensors.push((format!("{index}.{name}.first_moment"), first.shallow_clone()));
                tensors.push((format!("{index}.{name}.second_moment"), second.shallow_clone()));
            }
            tensors.push((format!("{index}.diverged_at"), optimizer.diverged_at.shallow_clone()));
        }
        tensors
    }

    /// Sites and trials, which a state belongs to.
    fn identity(&self) -> String {
        let places: Vec<_> = (self.classes.iter())
            .map(|class| json!([class.out_features, class.in_features, class.names]))
            .collect();
        json!({ "sites": places, "trials": self.trials }).to_string()
    }
}

fn dtype(kind: Kind) -> Dtype {
    match kind {
        Kind::Float => Dtype::F32,
        Kind::Int64 => Dtype::I64,
        other => unreachable!("a bank holds no {other:?} tensors"),
    }
}

fn bytes(tensor: &Tensor) -> Vec<u8> {
    let tensor = tensor.to_device(tch::Device::Cpu).contiguous();
    let mut bytes = vec![0; tensor.numel() * tensor.kind().elt_size_in_bytes()];
    tensor.copy_data_u8(&mut bytes, tensor.numel());
    bytes
}

/// Written beside `path`, forced to disk and renamed.
fn write_whole(path: &Path, contents: &[u8]) -> std::io::Result<()> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let mut file = File::create(&partial)?;
    file.write_all(contents)?;
    file.sync_all()?;
    fs::rename(&partial, path)
}

fn problem(path: &Path, problem: impl ToString) -> CoreError {
    CoreError::Checkpoint { path: path.to_owned(), problem: problem.to_string() }
}
