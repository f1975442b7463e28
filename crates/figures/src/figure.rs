//! What a figure is, and what it is drawn from.

use std::path::Path;

use results::Trials;

use crate::drawing::Drawing;
use crate::error::Result;
use crate::paper::Paper;

/// A figure: its name in an experiment file's `figures`, what it shows, and how it is drawn.
pub struct Figure {
    /// Name in experiment files, and of its files.
    pub name: &'static str,
    /// What it shows, for a reader.
    pub caption: &'static str,
    /// Draws it; an error about absent values says that it does not apply to these results.
    pub(crate) draw: fn(&Source) -> Result<Vec<Drawing>>,
}

/// What figures are drawn from.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The trials that count.
    pub trials: &'a Trials,
    pub paper: &'a Paper,
    /// Name of the scale, for headings.
    pub scale: &'a str,
    /// The results folder.
    pub results: &'a Path,
}

impl Source<'_> {
    /// The trials over some settings, whatever the summary chose for them.
    pub fn across(&self, settings: &[&str]) -> Result<Trials> {
        Ok(Trials::read_across(self.results, settings)?)
    }
}
