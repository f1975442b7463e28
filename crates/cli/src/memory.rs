//! The C allocator's settings.

/// Keeps freed memory in the process instead of giving it back to the system after every tensor.
///
/// libtorch allocates and frees large tensors at each step; with glibc's defaults each is mapped and cleared anew,
/// which took a quarter of the time of a training step on CPU.
#[allow(unsafe_code)] // two calls of the C library, before any other thread runs
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: mallopt only sets numbers inside the allocator.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 30);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
    }
}
