//! Examples from a text file with tab-separated cells. There is no quoting, as in GLUE's own files.

use std::path::Path;

use finetune::Place;

use super::row::{DataError, Example, find_columns, label, unknown_label};
use crate::tasks::TextTask;

pub(super) fn read(path: &Path, task: &TextTask) -> Result<Vec<Example>, DataError> {
    let place = |number| Place { path: path.to_path_buf(), unit: "line", number };
    let bytes =
        models::inputs::read(path).map_err(|source| DataError::Read { path: path.to_path_buf(), source })?;
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        DataError::Encoding { place: place(1 + before.iter().filter(|&&byte| byte == b'\n').count()) }
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = text.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let header: Vec<String> = lines.next().unwrap_or_default().into_iter().map(str::to_owned).collect();
    let (text_columns, label_column) = find_columns(path, task, &header)?;
    let rows = lines.zip(2..).map(|(cells, number)| {
        if cells.len() != header.len() {
            return Err(DataError::Cells { place: place(number), found: cells.len(), wanted: header.len() });
        }
        let texts = text_columns.iter().map(|&column| cells[column].to_owned()).collect();
        Ok(Example { texts, label: read_label(task, cells[label_column], || place(number))? })
    });
    rows.collect()
}

/// The label that a cell has, as its number or its name.
fn read_label(task: &TextTask, cell: &str, place: impl FnOnce() -> Place) -> Result<f32, DataError> {
    let by_name = task.label_names.iter().position(|name| name == cell);
    match (by_name, cell.parse()) {
        (Some(number), _) => Ok(number as f32),
        (None, Ok(number)) => label(task, number, place),
        (None, Err(_)) if cell.is_empty() => {
            Err(DataError::Null { place: place(), column: task.label.clone() })
        }
        (None, Err(_)) => Err(unknown_label(task, cell.to_owned(), place())),
    }
}
