//! Ctrl-C and SIGTERM: the first asks the run to stop at a checkpoint, the second ends it at once.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

/// Exit code of a run that was asked to stop, as shells give for Ctrl-C.
pub const EXIT_INTERRUPTED: i32 = 130;

static STOP: AtomicBool = AtomicBool::new(false);
static INSTALLED: Once = Once::new();

/// The flag that the first signal sets; installs the handler on the first call.
pub fn stop_flag() -> &'static AtomicBool {
    INSTALLED.call_once(|| {
        let handler = || {
            if STOP.swap(true, Ordering::SeqCst) {
                // Every result is on disk already, and what is being written is written under another name.
                std::process::exit(EXIT_INTERRUPTED);
            }
            terminal::notice("stopping at the next checkpoint; once more to stop at once");
        };
        if let Err(error) = ctrlc::set_handler(handler) {
            terminal::notice(format_args!(
                "signals are not handled, a stop may lose work since the last checkpoint: {error}"
            ));
        }
    });
    &STOP
}
