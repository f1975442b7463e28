//! How libtorch and CUDA say that there is no memory, and work that may meet it.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// Calls of [`within`] that this thread is in.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Words of a message, in lower case.
const SIGNS: [&str; 10] = [
    "out of memory",
    "not enough memory",
    "can't allocate memory",
    "cannot allocate memory",
    "std::bad_alloc",
    // oneDNN's words on a CPU. It has others for what it cannot do.
    "could not create a primitive",
    "could not create a memory",
    "cublas_status_alloc_failed",
    "cudnn_status_alloc_failed",
    "cusolver_status_alloc_failed",
];

/// Whether a message is about a lack of memory, of a device or of the host.
pub fn is_told(message: &str) -> bool {
    sign(message).is_some()
}

/// Where a message says it.
fn sign(message: &str) -> Option<usize> {
    let message = message.to_ascii_lowercase();
    SIGNS.iter().find_map(|sign| message.find(sign))
}

/// What `work` gives, or what libtorch says where it has no memory for it.
///
/// Most functions of tch panic where libtorch throws. Any other panic goes on. One about memory prints nothing: whoever called
/// says what comes of it.
pub fn within<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    print_no_lack_of_memory();
    DEPTH.set(DEPTH.get() + 1);
    let done = catch_unwind(AssertUnwindSafe(work));
    DEPTH.set(DEPTH.get() - 1);
    done.map_err(|panic| lack_of_memory(&*panic).unwrap_or_else(|| resume_unwind(panic)))
}

fn print_no_lack_of_memory() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = take_hook();
        set_hook(Box::new(move |panic| {
            let is_expected = DEPTH.get() > 0 && lack_of_memory(panic.payload()).is_some();
            if !is_expected {
                print(panic);
            }
        }));
    });
}

/// What libtorch says about memory in a panic, if that is what it is about: the line from the sign on.
fn lack_of_memory(panic: &(dyn Any + Send)) -> Option<String> {
    let text = panic.downcast_ref::<String>()?;
    let sign = sign(text)?;
    let end = text[sign..].find(['\n', '\\']).map_or(text.len(), |length| sign + length);
    Some(text[sign..end].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_both_devices_count() {
        for message in [
            "CUDA out of memory. Tried to allocate 2 GiB",
            "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried",
            "Torch(\"could not create a primitive\")",
            "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        ] {
            assert!(is_told(message), "{message}");
        }
        assert!(!is_told("shape mismatch"));
    }

    #[test]
    fn a_lack_of_memory_is_an_error_and_any_other_panic_goes_on() {
        let told = within(|| panic!("{}", "Torch(\"CUDA Out of memory. Tried\\nException raised"));
        assert_eq!(told, Err::<(), _>("Out of memory. Tried".to_owned()));
        assert_eq!(within(|| 3), Ok(3));
        assert!(catch_unwind(|| within(|| panic!("{}", "shape mismatch"))).is_err());
    }
}
