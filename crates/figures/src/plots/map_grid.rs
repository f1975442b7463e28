//! Figure 7, right: label maps, the real pictures of them, and what each method draws for them.

use results::{REAL_IMAGES, Series};

use crate::drawing::Drawing;
use crate::error::{FiguresError, Result};
use crate::figure::{Figure, Source};
use crate::mosaic::{Group, Mosaic, Row, Tile};
use crate::plots::grid::{by_number, reason};
use crate::tiles::{Pictures, prompt_tile};

pub const FIGURE: Figure =
    Figure { name: "map_grid", caption: "Pictures for label maps: rows methods, columns maps", draw };

/// Label maps that are shown.
const COLUMNS: usize = 8;

/// `map_grid.png`, from `pictures/` of the results folder: the first seed of each method.
fn draw(source: &Source) -> Result<Vec<Drawing>> {
    let Source { trials, results, .. } = *source;
    let pictures = Pictures::of(results);
    let (path, mut captions) = pictures.prompts("validation")?;
    captions.truncate(COLUMNS);
    if captions.is_empty() {
        let remedy = "run the experiment again where its pictures are to be";
        return Err(FiguresError::nothing(&path, "caption", remedy));
    }
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
        let trial = trials.of(series).min_by_key(by_number)?;
        Some((trials.title(series), trial.id.clone(), reason(trial)))
    };
    let maps = ("Label map".to_owned(), "label-maps".to_owned(), "no map");
    let rows = std::iter::once(maps).chain(series.into_iter().filter_map(of_series));
    let rows = rows.map(row).collect::<Result<_>>()?;
    let note = "The first validation maps; one picture for each, of each method's first seed.".to_owned();
    let groups = vec![Group { heading: String::new(), titles: captions.clone() }];
    Mosaic { aside: None, groups, rows, note }.draw(FIGURE.name)
}
