//! Mutations of tables of text: CSV, TSV and lists of names.

use crate::random::Random;

const CELLS: [&str; 18] = [
    "",
    "nan",
    "inf",
    "-inf",
    "-1",
    "0",
    "1e308",
    "-1e308",
    "1e-320",
    "99999999999999999999",
    "word",
    "\"",
    "\"a",
    "é🦀",
    " ",
    "\u{0}",
    "done",
    "diverged",
];

/// Without quoting: a cell with a separator in it becomes two, which is a mutation as well.
pub fn mutated(original: &[u8], separator: char, random: &mut Random) -> Option<(Vec<u8>, String)> {
    let text = std::str::from_utf8(original).ok()?;
    let split = |line: &str| line.split(separator).map(str::to_owned).collect::<Vec<_>>();
    let mut rows: Vec<Vec<String>> = text.lines().map(split).collect();
    if rows.is_empty() {
        return None;
    }
    let mut what = once(&mut rows, random);
    if random.percent(20) {
        what += "; ";
        what += &once(&mut rows, random);
    }
    let lines: Vec<String> = rows.into_iter().map(|row| row.join(&separator.to_string()) + "\n").collect();
    Some((lines.concat().into_bytes(), what))
}

fn once(rows: &mut Vec<Vec<String>>, random: &mut Random) -> String {
    if rows.is_empty() {
        return "nothing left".to_owned();
    }
    let row = random.below(rows.len());
    if rows[row].is_empty() {
        return format!("line {} left empty", row + 1);
    }
    let column = random.below(rows[row].len());
    let name = rows[0].get(column).cloned().unwrap_or_default();
    let word = *random.pick(&CELLS);
    match random.below(12) {
        0 | 1 => {
            rows[row][column] = word.to_owned();
            format!("line {}, `{name}` = {word:?}", row + 1)
        }
        2 => {
            rows.iter_mut()
                .skip(1)
                .filter_map(|cells| cells.get_mut(column))
                .for_each(|cell| *cell = word.to_owned());
            format!("`{name}` = {word:?} in all rows")
        }
        3 => {
            rows.iter_mut().filter(|cells| column < cells.len()).for_each(|cells| drop(cells.remove(column)));
            format!("column `{name}` dropped")
        }
        4 => {
            rows.iter_mut()
                .filter(|cells| column < cells.len())
                .for_each(|cells| cells.push(cells[column].clone()));
            format!("column `{name}` doubled")
        }
        5 => {
            if let Some(cell) = rows[0].get_mut(column) {
                *cell = "renamed".to_owned();
            }
            format!("column `{name}` renamed")
        }
        6 => {
            let other = random.below(rows[0].len());
            if column < rows[0].len() {
                rows[0].swap(column, other);
            }
            format!("headings {column} and {other} swapped")
        }
        7 => {
            rows[row].remove(column);
            format!("line {}: a cell missing", row + 1)
        }
        8 => {
            rows[row].push(word.to_owned());
            format!("line {}: a cell too many", row + 1)
        }
        9 => {
            rows.truncate(1 + random.below(3));
            format!("only the first {} lines", rows.len())
        }
        10 => {
            let copy = rows[row].clone();
            rows.push(copy);
            format!("line {} doubled", row + 1)
        }
        _ => {
            rows.remove(row);
            format!("line {} dropped", row + 1)
        }
    }
}
