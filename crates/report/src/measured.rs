//! What a section of the page is about: every trial of an experiment at one scale, and its curves.

use std::path::{Path, PathBuf};

use results::{Curve, Trials, all_curves};

use crate::error::Result;

/// The results of one folder.
pub struct Measured {
    pub folder: PathBuf,
    pub trials: Trials,
    pub curves: Vec<Curve>,
}

impl Measured {
    pub fn read(folder: &Path) -> Result<Self> {
        let trials = Trials::read_all(folder)?;
        let curves = all_curves(folder, trials.all())?;
        Ok(Self { folder: folder.to_path_buf(), trials, curves })
    }
}
