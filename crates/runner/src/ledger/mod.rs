//! What a results folder holds: records of finished trials, checkpoints of banks under way, and the lock.

pub(crate) mod checkpoints;
mod clean;
mod compare;
mod faults;
mod folder;
mod lock;
mod owner;
mod records;
mod reuse;
mod stamp;
mod state;

pub use clean::{Leftover, LeftoverKind, Leftovers, leftovers};
pub use compare::Difference;
pub(crate) use compare::differences;
pub use folder::write_atomically;
pub(crate) use folder::{Folder, entries, make_folder};
pub(crate) use lock::{Lock, holder};
pub(crate) use records::{Ledger, Record, Row, records};
pub(crate) use reuse::reuse;
pub(crate) use stamp::{Stamp, utc_now};
pub use state::State;
