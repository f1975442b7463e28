//! A CSV read by column name; columns it does not know stay untouched.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::error::{Result, ResultsError};

/// A table of a results or plots folder.
pub struct Frame {
    path: PathBuf,
    names: Vec<String>,
    columns: HashMap<String, usize>,
    rows: Vec<csv::StringRecord>,
}

impl Frame {
    /// Reads a file with a header line.
    pub fn read(path: &Path) -> Result<Self> {
        let file = std::fs::File::open(path).map_err(|source| {
            ResultsError::read(path, source, "run the experiment first, it writes this file")
        })?;
        let bad =
            |error: csv::Error| ResultsError::Csv { path: path.to_path_buf(), message: error.to_string() };
        let mut reader = csv::Reader::from_reader(file);
        let names: Vec<String> = reader.headers().map_err(bad)?.iter().map(str::to_owned).collect();
        let columns = names.iter().enumerate().map(|(index, name)| (name.clone(), index)).collect();
        let rows = reader.records().collect::<std::result::Result<_, _>>().map_err(bad)?;
        Ok(Self { path: path.to_path_buf(), names, columns, rows })
    }

    /// A table that `delora plots` has written: it has no number that is not finite.
    pub fn read_drawn(path: &Path) -> Result<Self> {
        let frame = Self::read(path)?;
        let is_broken = |cell: &str| cell.trim().parse().is_ok_and(|value: f64| !value.is_finite());
        for (row, cells) in frame.rows.iter().enumerate() {
            if let Some((name, cell)) = frame.names.iter().zip(cells).find(|(_, cell)| is_broken(cell)) {
                let message =
                    format!("row {}, `{name}`: found {cell}; `delora plots` draws it again", row + 1);
                return Err(ResultsError::Csv { path: path.to_path_buf(), message });
            }
        }
        Ok(frame)
    }

    /// The file that it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Names of the columns in the order of the file.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether there is such a column.
    pub fn has(&self, column: &str) -> bool {
        self.columns.contains_key(column)
    }

    /// The first of `columns` that the file has; an error names the file and the first of them.
    pub fn one_of<'a>(&self, columns: &[&'a str]) -> Result<&'a str> {
        columns.iter().find(|column| self.has(column)).copied().ok_or_else(|| ResultsError::MissingColumn {
            path: self.path.clone(),
            column: columns[0].to_owned(),
            present: self.names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
        })
    }

    /// The cell's text; empty where the file has no such column.
    pub fn text(&self, row: usize, column: &str) -> &str {
        self.columns.get(column).and_then(|index| self.rows[row].get(*index)).unwrap_or("").trim()
    }

    /// The cell's number; `None` where it is empty, not a number, or not finite.
    pub fn number(&self, row: usize, column: &str) -> Option<f64> {
        self.text(row, column).parse().ok().filter(|value: &f64| value.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(text: &str) -> Frame {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trials.csv");
        std::fs::write(&path, text).unwrap();
        Frame::read(&path).unwrap()
    }

    #[test]
    fn empty_and_non_finite_cells_are_missing_and_zero_is_a_number() {
        let frame = frame("a,b\n0,\nNaN,inf\n1.5,x\n");
        let cells: Vec<_> = (0..3).flat_map(|row| [frame.number(row, "a"), frame.number(row, "b")]).collect();
        assert_eq!(cells, [Some(0.0), None, None, None, Some(1.5), None]);
        assert_eq!(frame.number(0, "c"), None);
    }

    #[test]
    fn a_drawn_table_with_a_number_that_is_not_finite_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("points.csv");
        std::fs::write(&path, "title,std\ninfinite,0.1\nlora,-inf\n").unwrap();
        let message = Frame::read_drawn(&path).err().unwrap().to_string();
        assert!(
            message.contains("points.csv` is") && message.contains("row 2, `std`: found -inf"),
            "{message}"
        );
        std::fs::write(&path, "title,std\ninfinite,0.1\nlora,\n").unwrap();
        assert_eq!(Frame::read_drawn(&path).unwrap().len(), 2);
    }

    #[test]
    fn a_missing_column_is_named_with_its_file() {
        let message = frame("a,b\n1,2\n").one_of(&["dino", "config.dino"]).unwrap_err().to_string();
        assert!(message.contains("trials.csv") && message.contains("`dino`"), "{message}");
        assert!(message.contains("`a`, `b`"), "{message}");
    }
}
