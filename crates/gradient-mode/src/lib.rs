//! Whether this thread records gradients: switched for the length of a closure, and put back however it ends.
//!
//! `tch::no_grad` and `tch::with_grad` leave the mode as they set it when their closure panics, which an out-of-memory
//! error does. Whoever catches the panic and goes on would then train nothing. Clippy refuses both (`clippy.toml`).

/// What `work` gives, computed without recording gradients.
pub fn off<T>(work: impl FnOnce() -> T) -> T {
    let _restored = tch::no_grad_guard();
    work()
}

/// What `work` gives, computed with gradients recorded, in whatever mode the caller is.
pub fn on<T>(work: impl FnOnce() -> T) -> T {
    let _restored = switched_on();
    work()
}

/// Switches recording on until the guard is dropped, which puts the mode back.
///
/// A bank starts with it: tch's own functions use `tch::no_grad` too, and may have panicked in the bank before.
#[allow(clippy::disallowed_methods)] // the guard restores the mode
pub fn switched_on() -> tch::NoGradGuard {
    let restored = tch::no_grad_guard();
    // The guard made inside remembers that recording was on, and switches it on when it is dropped.
    drop(tch::with_grad(tch::no_grad_guard));
    restored
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use tch::{Device, Kind, Tensor};

    use super::*;

    fn records() -> bool {
        let leaf = Tensor::zeros([1], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        (&leaf * 2.0).requires_grad()
    }

    #[test]
    fn a_guard_cures_a_mode_that_somebody_left_off_and_puts_back_what_it_found() {
        let left_off = tch::no_grad_guard();
        {
            let _mode = switched_on();
            assert!(records());
        }
        assert!(!records());
        drop(left_off);
        let _mode = switched_on();
        assert!(records());
    }

    #[test]
    fn the_mode_is_put_back_after_a_value_and_after_a_panic() {
        assert!(records());
        assert!(!off(records) && on(records));
        assert!(off(|| on(records)) && !on(|| off(records)));
        let after_inner = || {
            on(|| ());
            records()
        };
        assert!(!off(after_inner), "the outer mode is back");
        for mode in [off, on] as [fn(fn()); 2] {
            for outer in [true, false] {
                let after = || {
                    catch_unwind(AssertUnwindSafe(|| mode(|| panic!("out of memory")))).unwrap_err();
                    records()
                };
                assert_eq!(if outer { on(after) } else { off(after) }, outer);
            }
        }
    }
}
