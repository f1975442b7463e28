//! What a results folder holds: records of finished trials, checkpoints of banks under way, and the lock.

mod banks;
pub(crate) mod checkpoints;
mod clean;
mod compare;
mod desk;
mod explain;
mod faults;
mod folder;
mod lock;
mod merge;
mod older;
mod owner;
mod records;
mod reuse;
mod shared;
mod stamp;
mod state;
mod worker;

pub(crate) use banks::{BankList, Finished};
pub use clean::{Leftover, LeftoverKind, Leftovers, leftovers};
pub use compare::Difference;
pub(crate) use compare::differences;
pub(crate) use desk::{Desk, Lease, Step, banks};
pub use explain::{Explanation, explain};
pub use folder::write_atomically;
pub(crate) use folder::{Folder, entries, make_folder};
pub(crate) use lock::{Lock, holder};
pub use merge::{Merged, merge};
pub(crate) use older::take_over;
pub(crate) use records::{Ledger, Record, Row, records};
pub(crate) use reuse::reuse;
pub(crate) use stamp::Stamp;
pub use stamp::{shell_line, utc_now};
pub use state::State;
pub(crate) use worker::workers;
