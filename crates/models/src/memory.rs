//! Work that may need more memory than there is.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// What `work` gives, or what libtorch says where it has no memory for it.
///
/// Most functions of tch panic where libtorch throws. Any other panic goes on.
pub fn within_memory<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work))
        .map_err(|panic| lack_of_memory(&*panic).unwrap_or_else(|| resume_unwind(panic)))
}

/// What libtorch says about memory in a panic, if that is what it is about.
fn lack_of_memory(panic: &(dyn Any + Send)) -> Option<String> {
    let text = panic.downcast_ref::<String>()?;
    let sign = ["can't allocate memory", "out of memory"].into_iter().find_map(|sign| text.find(sign))?;
    let end = text[sign..].find(['\n', '\\']).map_or(text.len(), |length| sign + length);
    Some(text[sign..end].to_owned())
}
