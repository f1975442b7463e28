//! Figure 7, right: label maps, the real pictures of them, and what each method draws for them.

use std::path::{Path, PathBuf};

use crate::error::{FiguresError, Result};
use crate::grid::reason;
use crate::layout::REAL_IMAGES;
use crate::mosaic::{Group, Mosaic, Row, Tile};
use crate::series::Series;
use crate::tiles::{Pictures, prompt_tile};
use crate::trials::{Trial, Trials};

/// Label maps that are shown.
const COLUMNS: usize = 8;

/// `map_grid.png`, from `pictures/` of the results folder: the first seed of each method.
pub fn write_map_grid(trials: &Trials, results: &Path, plots: &Path) -> Result<Vec<PathBuf>> {
    let pictures = Pictures::of(results);
    let (path, mut captions) = pictures.prompts("validation")?;
    captions.truncate(COLUMNS);
    if captions.is_empty() {
        let remedy = "run the experiment again where its pictures are to be".to_owned();
        return Err(FiguresError::Nothing { path, what: "caption".to_owned(), remedy });
    }
    let by_seed = |trial: &&Trial| (trial.seed.parse::<u64>().unwrap_or(u64::MAX), trial.seed.clone());
    let row = |(name, file, missing): (String, String, &'static str)| -> Result<Row> {
        let drawn = pictures.of_trial(&file)?;
        let tile = |index: usize| {
            let picture = drawn.as_ref().and_then(|drawn| prompt_tile(drawn, index));
            Tile { picture: picture.ok_or(missing), caption: String::new() }
        };
        Ok(Row { name, tiles: (0..captions.len()).map(tile).collect() })
    };
    let mut series = trials.series();
    series.sort_by_key(|series| series.method != REAL_IMAGES);
    let of_series = |series: Series| {
        let trial = trials.of(series).min_by_key(by_seed)?;
        Some((trials.title(series), trial.id.clone(), reason(trial)))
    };
    let maps = ("Label map".to_owned(), "label-maps".to_owned(), "no map");
    let rows = std::iter::once(maps).chain(series.into_iter().filter_map(of_series));
    let rows = rows.map(row).collect::<Result<_>>()?;
    let note = "The first validation maps; one picture for each, of each method's first seed.".to_owned();
    let groups = vec![Group { heading: String::new(), titles: captions.clone() }];
    Mosaic { aside: None, groups, rows, note }.write(plots, "map_grid")
}
