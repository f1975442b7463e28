//! Running the open trials of an experiment, in banks.

mod attempt;
mod forming;
mod plan;
mod progress;
mod report;
mod rounds;
mod selection;
mod session;
mod signal;
mod verify;

pub use plan::{Plan, PlannedBank, plan, status};
pub use progress::duration_text;
pub use report::{RunOptions, RunReport};
pub use rounds::{forget_failures, rebuild, run};
pub use selection::{Only, Selection, Shard};
pub use signal::{EXIT_INTERRUPTED, stop_flag};
pub use verify::{Verdict, Verification, verify_resume};
