//! Pieces of networks whose steps libtorch would take one by one, each as one function with a gradient of its own.
//!
//! Each computes what its steps in libtorch compute, to rounding. On a CPU with AVX2 or AVX-512, in f32, kernels of this
//! crate do it (`kernels.cpp`), for which frozen weights get no gradient; anywhere else libtorch does. A row's result does
//! not depend on the rows beside it.

use std::ffi::{CStr, c_char};

use tch::{Device, Kind, Tensor};
use torch_sys::C_tensor;

mod adapters;
mod networks;

pub use adapters::*;
pub use networks::*;

#[expect(unsafe_code, reason = "functions of src/functions.cpp, which catch what libtorch throws")]
mod ffi {
    use super::{C_tensor, c_char};

    unsafe extern "C" {
        pub safe fn delora_fused_message() -> *const c_char;
        pub safe fn delora_fused_lanes() -> i64;
        pub fn delora_fused_convolve(
            input: *const C_tensor,
            weights: *const C_tensor,
            turned: *const C_tensor,
            bias: *const C_tensor,
        ) -> *mut C_tensor;
        pub fn delora_fused_norm(
            input: *const C_tensor,
            weight: *const C_tensor,
            bias: *const C_tensor,
            groups: i64,
            eps: f64,
            silu: bool,
        ) -> *mut C_tensor;
        pub fn delora_fused_gate(input: *const C_tensor) -> *mut C_tensor;
        pub fn delora_fused_drop(
            input: *const C_tensor,
            kept: *const C_tensor,
            factors: *const C_tensor,
        ) -> *mut C_tensor;
        pub fn delora_fused_attend(
            query: *const C_tensor,
            key: *const C_tensor,
            value: *const C_tensor,
            mask: *const C_tensor,
            kept: *const C_tensor,
            factors: *const C_tensor,
            heads: i64,
        ) -> *mut C_tensor;
        pub fn delora_fused_largest(input: *const C_tensor, trials: i64) -> *mut C_tensor;
        pub fn delora_fused_adapt(
            tensors: *const *const C_tensor,
            num_tensors: i64,
            weight: *const C_tensor,
            bias: *const C_tensor,
            known: *const i64,
            num_known: i64,
            is_dropped: bool,
        ) -> *mut C_tensor;
        pub fn delora_fused_normalize(
            tensors: *const *const C_tensor,
            num_tensors: i64,
            scale: *const C_tensor,
            floor: f64,
        ) -> *mut C_tensor;
        pub fn delora_fused_adamw(
            values: *const *const C_tensor,
            of_trials: *const *const C_tensor,
            is_sound: *const C_tensor,
        );
    }
}

/// The tensor that a function of `functions.cpp` has made. Panics with what libtorch threw, as functions of tch do.
#[expect(unsafe_code, reason = "the tensor is new and ours, and the message ends with a zero")]
fn made(tensor: *mut C_tensor) -> Tensor {
    if tensor.is_null() {
        let message = unsafe { CStr::from_ptr(ffi::delora_fused_message()) };
        panic!("{}", message.to_string_lossy());
    }
    unsafe { Tensor::from_ptr(tensor) }
}

fn pointer(tensor: Option<&Tensor>) -> *const C_tensor {
    tensor.map_or(std::ptr::null(), Tensor::as_ptr)
}

/// Whether the kernels can take tensors in whose last axis, or channels, are `features`.
fn are_kernels_for(tensors: &[&Tensor], features: i64) -> bool {
    let lanes = ffi::delora_fused_lanes();
    lanes > 0
        && features % lanes == 0
        && tensors.iter().all(|tensor| tensor.kind() == Kind::Float && tensor.device() == Device::Cpu)
}

/// Whether the kernels take `input`, and pictures of as many channels as each of `channels`, which lie last in memory then.
pub fn are_kernels(input: &Tensor, channels: &[i64]) -> bool {
    are_kernels_for(&[input], 0) && channels.iter().all(|&channels| are_kernels_for(&[], channels))
}

fn are_frozen(tensors: &[&Tensor]) -> bool {
    tensors.iter().all(|tensor| !tensor.requires_grad() && tensor.is_contiguous())
}

#[cfg(test)]
mod tests;
