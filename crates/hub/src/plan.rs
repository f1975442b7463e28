//! What will be fetched, before it is.

use std::fmt::{Display, Formatter};
use std::path::PathBuf;

use indicatif::DecimalBytes;

use crate::bundles::{Bundle, Kind};
use crate::listing::ListedFile;

/// Files of a bundle, at a commit of its repository.
pub struct Plan {
    pub bundle: &'static Bundle,
    pub commit: String,
    /// The licence that the hub states; unknown when the plan was made from the cache.
    pub licence_on_hub: Option<String>,
    pub files: Vec<PlannedFile>,
    /// Folder in which the files are, or will be, under their names.
    pub folder: PathBuf,
    /// Why the hub was not asked; then all files are in the cache.
    pub from_cache: Option<String>,
}

pub struct PlannedFile {
    pub(crate) listed: ListedFile,
    pub is_cached: bool,
}

impl PlannedFile {
    pub fn name(&self) -> &str {
        &self.listed.name
    }

    /// Bytes, if the hub says so.
    pub fn size(&self) -> Option<u64> {
        self.listed.size
    }
}

impl Plan {
    /// Bytes to download, as far as the hub states sizes.
    pub fn missing_bytes(&self) -> u64 {
        self.files.iter().filter(|file| !file.is_cached).filter_map(PlannedFile::size).sum()
    }

    fn num_missing(&self) -> usize {
        self.files.iter().filter(|file| !file.is_cached).count()
    }
}

/// Files with sizes, the licence, and what is missing.
impl Display for Plan {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        let Plan { bundle, commit, files, .. } = self;
        let kind = match bundle.kind {
            Kind::Model => "model",
            Kind::Dataset => "data set",
        };
        writeln!(
            formatter,
            "{}: {kind} {} at {}",
            bundle.name,
            bundle.repo,
            &commit[..12.min(commit.len())]
        )?;
        let licence = match (bundle.licence, &self.licence_on_hub) {
            ("", Some(on_hub)) => on_hub.clone(),
            ("", None) => "its page states none".to_owned(),
            (licence, Some(on_hub)) => format!("{licence} (on the hub: {on_hub})"),
            (licence, None) => licence.to_owned(),
        };
        writeln!(formatter, "  licence: {licence}")?;
        let width = files.iter().map(|file| file.name().len()).max().unwrap_or(0);
        for file in files {
            let size = file.size().map_or("unknown".to_string(), |size| DecimalBytes(size).to_string());
            let state = if file.is_cached { "in the cache" } else { "to download" };
            writeln!(formatter, "  {:width$}  {size:>9}  {state}", file.name())?;
        }
        let total: u64 = files.iter().filter_map(PlannedFile::size).sum();
        let files = if files.len() == 1 { "1 file".to_string() } else { format!("{} files", files.len()) };
        write!(formatter, "  {files}, {}; ", DecimalBytes(total))?;
        match (self.num_missing(), &self.from_cache) {
            (_, Some(reason)) => write!(formatter, "all from the cache: {reason}"),
            (0, None) => write!(formatter, "nothing to download"),
            (missing, None) => {
                write!(formatter, "{missing} to download, {}", DecimalBytes(self.missing_bytes()))
            }
        }
    }
}
