//! Result tables, claims and experiment files under figures and the report.

use std::fs;
use std::path::Path;

use crate::case::{Case, Kind, Verdict};
use crate::worker::Shared;

pub const FIGURES: Kind = Kind { name: "figures", share: 8, attempt: figures };
pub const REPORT: Kind = Kind { name: "report", share: 2, attempt: report };

/// Committed results and figures that need no picture beside them.
const DRAWN: [(&str, &str); 17] = [
    ("table1/mini", "table1"),
    ("table1/mini", "table8"),
    ("table1/mini", "curves"),
    ("table3/mini", "table3"),
    ("ablation-table2/mini", "table2"),
    ("lr-sweep/mini", "robustness"),
    ("lr-sweep/mini", "dora_magnitude"),
    ("lambda-vs-angles/mini", "lambda_vs_angles"),
    ("prolonged/mini", "prolonged"),
    ("heatmap/mini", "heatmap"),
    ("delora-variants/mini", "variants"),
    ("glue/mini", "table4"),
    ("glue/small", "confusion"),
    ("instruct/mini", "table5"),
    ("instruct/mini", "mmlu_categories"),
    ("instruct/mini", "curves"),
    ("instruct-lr-sweep/mini", "instruct_robustness"),
];

fn is_table(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "csv")
}

fn figures(case: &mut Case, _: &mut Shared) -> Verdict {
    let (experiment, figure) = *case.random.pick(&DRAWN);
    case.what.push(format!("{figure} of {experiment}"));
    let results = case.linked(&Path::new("results").join(experiment), "results");
    let file = case.any_file(&results, is_table);
    case.damage(&file);
    // Tables may contradict each other; then either is named.
    case.blamed.push(results.display().to_string());
    let plots = case.folder.join("plots");
    match figures::render(&[figure.to_owned()], "mini", &results, &plots) {
        Err(error) => Verdict::Refused(format!("{:#}", anyhow::Error::from(error))),
        Ok(drawn) => match drawn.written.iter().find_map(|file| broken(file)) {
            Some(problem) => Verdict::Wrong(problem),
            None => refused(drawn.failed.into_iter().chain(drawn.left_out)),
        },
    }
}

/// What failed, if anything did: a refusal as another is.
fn refused<E: std::error::Error + Send + Sync + 'static>(
    failed: impl IntoIterator<Item = (String, E)>,
) -> Verdict {
    match failed.into_iter().next() {
        Some((_, error)) => Verdict::Refused(format!("{:#}", anyhow::Error::from(error))),
        None => Verdict::Taken,
    }
}

/// Says where a drawn file has a number that is none.
fn broken(file: &Path) -> Option<String> {
    let name = file.file_name()?.to_string_lossy().into_owned();
    let text = fs::read_to_string(file).ok()?;
    let marks: &[&str] = match file.extension()?.to_str()? {
        "svg" => &["=\"NaN", "=\"inf", "=\"-inf", ",NaN", ",inf", ",-inf"],
        "csv" => &[",NaN", ",inf", ",-inf"],
        "md" => &["NaN", " inf"],
        _ => return None,
    };
    let line = text.lines().find(|line| marks.iter().any(|mark| line.contains(mark)))?;
    Some(format!("{name} has a number that is none: {}", line.chars().take(200).collect::<String>()))
}

fn report(case: &mut Case, _: &mut Shared) -> Verdict {
    let names = ["table1", "glue", "instruct", "prolonged", "lr-sweep"];
    let name = *case.random.pick(&names);
    let results = case.linked(&Path::new("results").join(name), &format!("results/{name}"));
    let plots = case.linked(&Path::new("plots").join(name), &format!("plots/{name}"));
    let experiments = case.linked(Path::new("experiments"), "experiments");
    let claims = experiments.join("claims.toml");
    let of = case.random.below(4);
    let file = match of {
        0 => claims.clone(),
        1 => experiments.join(format!("{name}.toml")),
        2 => case.any_file(&plots, is_table),
        _ => case.any_file(&results, is_table),
    };
    case.damage(&file);
    case.blamed.push(case.folder.display().to_string());
    let page = report::render(&report::Request {
        experiments: &[experiments.join(format!("{name}.toml"))],
        experiment_folder: &experiments,
        claims: &claims,
        results: &case.folder.join("results"),
        plots: &case.folder.join("plots"),
        commit: "a commit",
        written: "today",
    });
    match page {
        Err(error) => Verdict::Refused(format!("{:#}", anyhow::Error::from(error))),
        Ok(page) => {
            let marks = ["NaN ±", "± NaN", ">NaN<", ">inf<", ">-inf<"];
            match marks.iter().find(|mark| page.html.contains(**mark)) {
                Some(mark) => Verdict::Wrong(format!("the page has `{mark}`")),
                None => refused(page.failed),
            }
        }
    }
}
