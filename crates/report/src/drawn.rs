//! Tests on tables that `figures` writes to `plots/`: robustness widths, and slopes of long training.

use results::{Frame, title};

use crate::judge::{Missing, Place};
use crate::verdict::{Judgement, Verdict, inside};

/// Tables of robustness widths; the second compares with DoRA.
const WIDTH_TABLES: [&str; 2] = ["robustness.csv", "dora_magnitude.csv"];
/// What the paper measures widths by; `figures` adds others.
const SCORE: &str = "dino";
const SLOPE_TABLE: &str = "prolonged.csv";

/// A table of `plots/`; that it is not there is a reason, not an error.
fn plotted(place: &Place, name: &str) -> std::result::Result<Frame, Missing> {
    let path = place.plots.join(name);
    if !path.exists() {
        return Err(Missing::Note(format!("`{name}` was not drawn; `delora plots` writes it")));
    }
    Ok(Frame::read_drawn(&path)?)
}

/// The row of a method; of a table with several scores that of the paper's.
fn row_of(frame: &Frame, method: &str, file: &str) -> std::result::Result<usize, Missing> {
    let is_scored = |row: &usize| ["", SCORE].contains(&frame.text(*row, "score"));
    let of_method = |row: &usize| frame.text(*row, "method") == method && is_scored(row);
    let rows: Vec<usize> = (0..frame.len()).filter(of_method).collect();
    match rows.as_slice() {
        [row] => Ok(*row),
        [] => Err(Missing::Note(format!("`{file}` has no row of `{method}`"))),
        _ => Err(Missing::Note(format!("`{file}` has several rows of `{method}`"))),
    }
}

/// The difference of two robustness widths, from the table whose baseline is `than`, else from the two intervals.
pub fn width_above(place: &Place, method: &str, than: &str) -> std::result::Result<Judgement, Missing> {
    let quantity = format!("robustness width in octaves: {} − {}", title(method), title(than));
    let mut judgement = Judgement::new(&place.scale, Verdict::NotDistinguishable, quantity);
    let mut drawn = plotted(place, WIDTH_TABLES[0])?;
    let mut rows = (row_of(&drawn, method, WIDTH_TABLES[0])?, row_of(&drawn, than, WIDTH_TABLES[0])?);
    if let Ok(other) = plotted(place, WIDTH_TABLES[1]) {
        let both =
            row_of(&other, method, WIDTH_TABLES[1]).ok().zip(row_of(&other, than, WIDTH_TABLES[1]).ok());
        if let Some(both) =
            both.filter(|(row, than)| other.text(*row, "baseline") == other.text(*than, "title"))
        {
            (drawn, rows) = (other, both);
        }
    }
    let (row, than_row) = rows;
    let interval = |row, name: &str| {
        drawn.number(row, &format!("{name}_lo")).zip(drawn.number(row, &format!("{name}_hi")))
    };
    let widths = drawn.number(row, "width_octaves").zip(drawn.number(than_row, "width_octaves"));
    let (ours, theirs) =
        widths.ok_or_else(|| "a method never scores above zero, so it has no width".to_owned())?;
    judgement.value = Some(ours - theirs);
    let paired = drawn.text(row, "baseline") == drawn.text(than_row, "title");
    if paired {
        judgement.n = drawn.number(row, "n_pairs").unwrap_or(0.0) as usize;
        judgement.interval = interval(row, "difference");
    } else {
        let n = [row, than_row].map(|row| drawn.number(row, "n").unwrap_or(0.0) as usize);
        judgement.n = n[0].min(n[1]);
        // The widest that the two intervals allow.
        let both = interval(row, "width").zip(interval(than_row, "width"));
        judgement.interval = both.map(|(ours, theirs)| (ours.0 - theirs.1, ours.1 - theirs.0));
    }
    let censored =
        |row| ["low", "high"].iter().any(|side| drawn.text(row, &format!("width_censored_{side}")) == "true");
    judgement.note = format!(
        "Widths {}{ours:.1} and {}{theirs:.1}. ",
        if censored(row) { "≥ " } else { "" },
        if censored(than_row) { "≥ " } else { "" }
    );
    // A width that the sweep cuts off is a lower bound: it can be above another, never below.
    judgement.verdict = match judgement.interval {
        Some((low, _)) if low > 0.0 && !censored(than_row) => Verdict::Reproduced,
        Some((_, high)) if high < 0.0 && !censored(row) => Verdict::NotReproduced,
        _ => Verdict::NotDistinguishable,
    };
    if judgement
        .interval
        .is_some_and(|(low, high)| low > 0.0 && censored(than_row) || high < 0.0 && censored(row))
    {
        judgement.note += "The sweep ends before the range does, so the difference is no lower bound. ";
    }
    Ok(judgement.with_enough())
}

/// The slope of the distance in the last third: above zero, or with `share` below that share of the end per 100 steps.
pub fn slope(place: &Place, method: &str, share: Option<f64>) -> std::result::Result<Judgement, Missing> {
    let drawn = plotted(place, SLOPE_TABLE)?;
    let row = row_of(&drawn, method, SLOPE_TABLE)?;
    let quantity = format!("slope of the distance of {} per 100 steps", title(method));
    let mut judgement = Judgement::new(&place.scale, Verdict::NotDistinguishable, quantity);
    judgement.value = drawn.number(row, "slope_per_100_steps");
    judgement.interval = drawn.number(row, "slope_lo").zip(drawn.number(row, "slope_hi"));
    judgement.n = drawn.number(row, "n").unwrap_or(0.0) as usize;
    let end = drawn
        .number(row, "distance_mean")
        .ok_or_else(|| format!("`{SLOPE_TABLE}` has no distance of `{method}`"))?;
    judgement.note = format!("Distance at the end {end:.3}. ");
    judgement.verdict = match (share, judgement.interval) {
        (None, Some((low, _))) if low > 0.0 => Verdict::Reproduced,
        (None, Some((_, high))) if high < 0.0 => Verdict::NotReproduced,
        (Some(share), interval) => {
            judgement.note += &format!("Flat means within ±{:.3}, {}% of that. ", share * end, share * 100.0);
            inside(interval, 0.0, share * end)
        }
        _ => Verdict::NotDistinguishable,
    };
    Ok(judgement.with_enough())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "method,title,n,width_octaves,width_lo,width_hi,width_censored_low,width_censored_high,baseline,n_pairs,difference_octaves,difference_lo,difference_hi";

    fn place(files: &[(&str, &str)]) -> (tempfile::TempDir, Place) {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let plots = folder.path().to_path_buf();
        (folder, Place { scale: "mini".to_owned(), results: plots.clone(), plots })
    }

    fn width(rows: &str) -> Judgement {
        let (_folder, place) = place(&[("robustness.csv", &format!("{HEADER}\n{rows}"))]);
        width_above(&place, "delora", "lora").ok().unwrap()
    }

    #[test]
    fn a_width_that_the_sweep_cuts_off_is_never_called_smaller() {
        let lora = "lora,LoRA,6,3,2.5,3,false,true,,,,,\n";
        let narrower = width(&format!("{lora}delora,DeLoRA,6,1,0.8,1.2,false,false,LoRA,6,-2,-2.4,-1.6\n"));
        assert_eq!(narrower.verdict, Verdict::NotReproduced, "{}", narrower.note);
        let wider = width(&format!("{lora}delora,DeLoRA,6,5,4.8,5.2,false,false,LoRA,6,2,1.6,2.4\n"));
        assert_eq!(wider.verdict, Verdict::NotDistinguishable);
        assert!(wider.note.contains("Widths 5.0 and ≥ 3.0. The sweep ends before"), "{}", wider.note);
    }

    #[test]
    fn widths_by_another_score_are_not_judged() {
        let rows = "lora,LoRA,6,1,0.9,1.1,false,false,,,,,,dino\ndelora,DeLoRA,6,4,3.9,4.1,false,false,LoRA,6,3,2.9,3.1,dino\n\
            lora,LoRA,6,5,4.9,5.1,false,false,,,,,,dino_x_clip_t\ndelora,DeLoRA,6,1,0.9,1.1,false,false,LoRA,6,-4,-4.1,-3.9,dino_x_clip_t\n";
        let (_folder, place) = place(&[("robustness.csv", &format!("{HEADER},score\n{rows}"))]);
        let judged = width_above(&place, "delora", "lora").ok().unwrap();
        assert_eq!((judged.verdict, judged.value), (Verdict::Reproduced, Some(3.0)));
    }

    #[test]
    fn without_a_paired_difference_the_two_intervals_must_lie_apart() {
        let rows = |delora: &str| {
            width(&format!(
                "lora,LoRA,6,1.5,1,2,false,false,,,,,\ndelora,DeLoRA,6,{delora},false,false,DoRA,6,0,0,0\n"
            ))
        };
        let apart = rows("4,3,5");
        assert_eq!((apart.verdict, apart.interval), (Verdict::Reproduced, Some((1.0, 4.0))));
        assert_eq!(rows("2.5,1.8,3").verdict, Verdict::NotDistinguishable);
    }

    #[test]
    fn a_slope_is_growing_above_zero_and_flat_within_its_margin() {
        let rows = "method,n,slope_per_100_steps,slope_lo,slope_hi,distance_mean\na,6,0.1,0.05,0.2,1\nb,6,0.001,-0.01,0.01,1\nc,3,0.1,0.05,0.2,1\n";
        let (_folder, place) = place(&[("prolonged.csv", rows)]);
        let verdict = |method, share| slope(&place, method, share).ok().unwrap().verdict;
        let grows = ["a", "b", "c"].map(|method| verdict(method, None));
        assert_eq!(grows, [Verdict::Reproduced, Verdict::NotDistinguishable, Verdict::NotDistinguishable]);
        let is_flat = ["a", "b"].map(|method| verdict(method, Some(0.02)));
        assert_eq!(is_flat, [Verdict::NotReproduced, Verdict::Reproduced]);
        assert!(
            matches!(slope(&place, "d", None), Err(Missing::Note(note)) if note.contains("no row of `d`"))
        );
    }

    #[test]
    fn a_table_that_was_not_drawn_is_a_reason() {
        let (_folder, place) = place(&[]);
        assert!(
            matches!(width_above(&place, "a", "b"), Err(Missing::Note(note)) if note.contains("delora plots"))
        );
    }
}
