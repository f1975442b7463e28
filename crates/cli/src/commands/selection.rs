//! The arguments that choose among an experiment's trials.

use runner::{Only, Selection, Shard};

#[derive(clap::Args)]
pub struct SelectionArgs {
    /// Take only trials that are failed (damaged ones too), diverged (run anew) or unfinished
    #[arg(long, value_name = "STATE")]
    pub only: Option<Only>,
    /// Take only the trial of this id, as `delora status` lists it; may be repeated
    #[arg(long = "trial", value_name = "ID")]
    trials: Vec<String>,
    /// Take only a part of the trials, as in --shard 2/8, for machines that share no folder; `delora merge` joins their results
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
}

impl SelectionArgs {
    pub fn selection(&self) -> Selection {
        Selection { only: self.only, trials: self.trials.clone(), shard: self.shard, ..Selection::default() }
    }
}
