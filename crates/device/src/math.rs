//! How CUDA's libraries compute, which libtorch keeps once for a process.

use std::sync::{Condvar, Mutex};

use crate::ffi;

/// How CUDA's libraries compute. On a CPU it changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Math {
    /// Whether products and convolutions of f32 round their factors to TF32, of 10 bits.
    pub tf32: bool,
    /// Whether cuDNN tries its algorithms on each new shape and takes the fastest.
    pub tries_algorithms: bool,
}

/// The way in which work is under way now, and of how many threads.
static NOW: Mutex<Option<(Math, usize)>> = Mutex::new(None);
static IS_FREE: Condvar = Condvar::new();

/// Does `work` with libraries that compute as `math` says. Waits while other threads compute in another way.
pub fn with_math<T>(math: Math, work: impl FnOnce() -> T) -> T {
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            let mut now = NOW.lock().expect("nothing panics while it holds this");
            *now = now.take().and_then(|(math, threads)| (threads > 1).then(|| (math, threads - 1)));
            IS_FREE.notify_all();
        }
    }
    let mut now = NOW.lock().expect("nothing panics while it holds this");
    while now.is_some_and(|(other, _)| other != math) {
        now = IS_FREE.wait(now).expect("nothing panics while it holds this");
    }
    if now.is_none() {
        ffi::delora_device_set_math(math.tf32, math.tries_algorithms);
    }
    *now = Some((math, now.map_or(0, |(_, threads)| threads) + 1));
    drop(now);
    let _leave = Leave;
    work()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn threads_that_compute_in_two_ways_take_turns() {
        let counts = [AtomicUsize::new(0), AtomicUsize::new(0)];
        std::thread::scope(|scope| {
            for index in 0..8 {
                let counts = &counts;
                scope.spawn(move || {
                    let own = index % 2;
                    let math = Math { tf32: own == 1, tries_algorithms: false };
                    for _ in 0..50 {
                        with_math(math, || {
                            counts[own].fetch_add(1, Ordering::SeqCst);
                            assert_eq!(counts[1 - own].load(Ordering::SeqCst), 0);
                            counts[own].fetch_sub(1, Ordering::SeqCst);
                        });
                    }
                });
            }
        });
        let panics = std::panic::catch_unwind(|| {
            with_math(Math { tf32: true, tries_algorithms: true }, || panic!("out of memory"))
        });
        assert!(panics.is_err() && NOW.lock().unwrap().is_none());
    }
}
