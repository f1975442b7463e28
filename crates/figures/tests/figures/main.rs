//! Every figure from made-up results: what it says, and that poor inputs neither hang it nor break it.

mod clipped;
mod glue;
mod instruct;
mod left_out;
mod others;
mod over_steps;
mod sweeps;
mod table3;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use figures::{Choice, Drawn, render, render_grid};
use image::{Rgb, RgbImage};
use tempfile::TempDir;

/// Methods, with spaces between.
const TABLE_1: &str = "lora lora_normalized delora multiplicative_relaxed \
    multiplicative_high_rank controllable_boundary ether_plus_one_sided";
const SUBJECTS: [&str; 3] = ["cat", "dog", "vase"];
const UPDATES: [&str; 3] = ["merged", "live", "zero_b"];
const NORMS: [&str; 3] = ["frobenius", "input_column", "none"];

struct Results(TempDir);

/// The files of figures that were all drawn, or why the first was not.
fn written(drawn: Drawn) -> figures::Result<Vec<PathBuf>> {
    match drawn.left_out.into_iter().chain(drawn.failed).next() {
        Some((_, error)) => Err(error),
        None => Ok(drawn.written),
    }
}

impl Results {
    fn new(trials: &str) -> Self {
        let header = "trial_id,status,diverged_step,method,seed,subject,config.rank,dino,clip_i,clip_t,diversity,\
            num_parameters,train_seconds,a_later_column";
        Self::of(&format!("{header}\n{trials}"))
    }

    /// A results folder with this `trials.csv`.
    fn of(trials: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("trials.csv"), trials).unwrap();
        Self(folder)
    }

    fn curves(self, rows: &str) -> Self {
        std::fs::write(self.0.path().join("curves.csv"), format!("trial_id,step,metric,layer,value\n{rows}"))
            .unwrap();
        self
    }

    fn render(&self, figures: &[&str]) -> figures::Result<Vec<PathBuf>> {
        let figures: Vec<String> = figures.iter().map(|figure| (*figure).to_owned()).collect();
        let drawn = render(&figures, "mini", self.0.path(), &self.plots())?;
        self.keep(&figures.join("-"));
        written(drawn)
    }

    /// With `FIGURES_KEEP` set to a folder, copies what was drawn there to be looked at, by test and figures.
    fn keep(&self, figures: &str) {
        let Some(folder) = std::env::var_os("FIGURES_KEEP").map(PathBuf::from) else { return };
        let test = std::thread::current().name().unwrap_or_default().replace("::", "-");
        let folder = folder.join(test).join(figures);
        std::fs::create_dir_all(&folder).unwrap();
        for file in std::fs::read_dir(self.plots()).into_iter().flatten().flatten() {
            std::fs::copy(file.path(), folder.join(file.file_name())).unwrap();
        }
    }

    fn plots(&self) -> PathBuf {
        self.0.path().join("plots")
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.plots().join(name)).unwrap()
    }
}

/// A number in −1 … 1 that looks random and is always the same.
fn wobble(key: &str) -> f64 {
    let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

fn row(method: &str, seed: &str, subject: &str, dino: &str, status: &str) -> String {
    format!(
        "{method}-{seed}-{subject},{status},,{method},{seed},{subject},4,{dino},{dino},0.27,0.3,1234,8.5,x\n"
    )
}

/// Two seeds and three subjects of every method of both tables, LoRA's last trial diverged.
fn usual_trials() -> String {
    let mut rows = String::new();
    for subject in SUBJECTS {
        rows += &row("real_images", "", subject, &format!("{}", 0.92 + 0.01 * wobble(subject)), "done");
    }
    let methods = TABLE_1.split(' ').chain(["dora", "dora_fixed_magnitude", "none"]);
    for (index, method) in methods.enumerate() {
        for (seed, subject) in [0, 1].into_iter().flat_map(|seed| SUBJECTS.map(|subject| (seed, subject))) {
            let level =
                if method == "none" { 0.03 } else { 0.5 + 0.01 * index as f64 + 0.05 * wobble(subject) };
            let dino = level + 0.02 * wobble(&format!("{method}{seed}{subject}"));
            let diverged = (method, seed, subject) == ("lora", 1, "vase");
            let (dino, status) =
                if diverged { (String::new(), "diverged") } else { (dino.to_string(), "done") };
            rows += &row(method, &seed.to_string(), subject, &dino, status);
        }
    }
    rows
}

fn usual_curves() -> String {
    let mut rows = String::new();
    for (index, method) in TABLE_1.split(' ').chain(["dora", "dora_fixed_magnitude"]).enumerate() {
        for (seed, subject) in [0, 1].into_iter().flat_map(|seed| SUBJECTS.map(|subject| (seed, subject))) {
            let id = format!("{method}-{seed}-{subject}");
            let last = if id == "lora-1-vase" { 90 } else { 300 };
            for step in (0..=last).step_by(10) {
                let noise = wobble(&format!("{id}{step}"));
                let loss = 0.3 + 0.5 * (-f64::from(step) / (60.0 + 10.0 * index as f64)).exp() + 0.08 * noise;
                let reach = (0.2 + 0.1 * index as f64) * (1.0 + 0.1 * wobble(&id));
                let distance = reach * f64::from(step) / (f64::from(step) + 80.0 - 8.0 * index as f64);
                writeln!(rows, "{id},{step},loss,,{loss}").unwrap();
                writeln!(rows, "{id},{step},distance,mid.attn1.to_out.0,{distance}").unwrap();
                writeln!(rows, "{id},{step},distance,mid.attn1.to_q,9.0").unwrap();
            }
        }
    }
    rows
}

/// The texts of an SVG in the order of drawing; the rest of its structure is a matter of pixels.
fn texts(svg: &str) -> String {
    let between =
        |part: &str| part.split_once('>')?.1.split_once("</text>").map(|(text, _)| text.trim().to_owned());
    svg.split("<text").skip(1).filter_map(between).collect::<Vec<_>>().join("\n")
}

fn picture_size(path: &Path) -> (u32, u32) {
    image::image_dimensions(path).unwrap()
}

#[test]
fn tables_state_ours_beside_the_papers_with_both_spreads() {
    let results = Results::new(&usual_trials());
    let written = results.render(&["table1", "table8"]).unwrap();
    assert_eq!(written.len(), 2 * (2 + 4) + 2);
    assert!(written.iter().all(|path| path.exists()));
    insta::assert_snapshot!("table1_md", results.text("table1.md"));
    insta::assert_snapshot!("table1_csv", results.text("table1.csv"));
    insta::assert_snapshot!("table8_md", results.text("table8.md"));
    insta::assert_snapshot!("pairs_md", results.text("pairs.md"));
    insta::assert_snapshot!("table1_dino_svg", texts(&results.text("table1-dino.svg")));
    insta::assert_snapshot!("table8_clip_i_svg", texts(&results.text("table8-clip_i.svg")));
    assert_eq!(picture_size(&results.plots().join("table1-dino.png")).0, 2000);
}

/// Pictures aside, which the texts of the SVG and the other tests cover.
#[test]
fn the_committed_results_give_the_committed_tables_and_figures() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let drawn = tempfile::tempdir().unwrap();
    let figures = ["table1", "table8", "curves"].map(str::to_owned);
    let all = render(&figures, "mini", &root.join("results/table1/mini"), drawn.path()).unwrap();
    let all = written(all).unwrap();
    let texts = all.iter().filter(|path| path.extension().is_some_and(|extension| extension != "png"));
    for path in texts {
        let name = path.file_name().unwrap();
        let committed = std::fs::read(root.join("plots/table1/mini").join(name)).unwrap();
        assert!(std::fs::read(path).unwrap() == committed, "{name:?} is out of date; run `just plots`");
    }
}

#[test]
fn the_same_results_give_the_same_files() {
    let [one, other] = [(); 2].map(|()| {
        let results = Results::new(&usual_trials()).curves(&usual_curves());
        let written = results.render(&["table8", "curves"]).unwrap();
        written.iter().map(|path| std::fs::read(path).unwrap()).collect::<Vec<_>>()
    });
    assert!(one == other);
}

#[test]
fn curves_follow_the_first_layer_and_mark_divergence() {
    let results = Results::new(&usual_trials()).curves(&usual_curves());
    results.render(&["curves"]).unwrap();
    insta::assert_snapshot!("curves_svg", texts(&results.text("curves.svg")));
}

#[test]
fn methods_that_end_more_than_two_decades_apart_get_a_log_axis() {
    let distances = |method: &str, reach: f64| -> String {
        let rows = (0..=8).map(|step| {
            let value = reach * f64::from(step) / 8.0;
            format!("{method}-0-cat,{step},loss,,0.5\n{method}-0-cat,{step},distance,q,{value}\n")
        });
        rows.collect()
    };
    for (reach, logarithmic) in [(30.0, false), (900.0, true)] {
        let trials = row("lora", "0", "cat", "0.5", "done") + &row("delora", "0", "cat", "0.5", "done");
        let results = Results::new(&trials).curves(&(distances("lora", reach) + &distances("delora", 0.8)));
        results.render(&["curves"]).unwrap();
        let drawn = texts(&results.text("curves.svg"));
        assert_eq!(drawn.lines().any(|line| line == "0.1"), logarithmic, "{drawn}");
    }
}

fn variant_trials() -> String {
    let header = "trial_id,status,method,seed,subject,method.initial_update,config.method.weight_norm,dino,clip_i,distance\n";
    let mut rows = header.to_owned();
    for (update, norm) in UPDATES.into_iter().flat_map(|update| NORMS.map(|norm| (update, norm))) {
        for (seed, subject) in [0, 1].into_iter().flat_map(|seed| SUBJECTS.map(|subject| (seed, subject))) {
            let id = format!("{update}-{norm}-{seed}-{subject}");
            let diverged = update == "live" && norm == "none";
            let (dino, status) = (0.5 + 0.08 * wobble(&id), if diverged { "diverged" } else { "done" });
            let distance = 0.8 + 0.2 * wobble(norm) + 0.02 * wobble(&id);
            writeln!(rows, "{id},{status},delora,{seed},{subject},{update},{norm},{dino},0.8,{distance}")
                .unwrap();
        }
    }
    rows + "r,done,real_images,,cat,,,0.92,0.9,\nn,done,none,0,cat,,,0.03,0.5,\n"
}

#[test]
fn variants_are_nine_rows_whichever_way_their_columns_are_named() {
    let results = Results::of(&variant_trials());
    results.render(&["variants"]).unwrap();
    insta::assert_snapshot!("variants_md", results.text("variants.md"));
    insta::assert_snapshot!("variants_svg", texts(&results.text("variants.svg")));
    assert_eq!(results.text("variants.csv").lines().count(), 10);
}

/// Pictures whose tile colour says which method and prompt they belong to.
fn draw_pictures(results: &Results) {
    let pictures = results.0.path().join("pictures");
    std::fs::create_dir_all(&pictures).unwrap();
    for (index, method) in TABLE_1.split(' ').chain(["dora", "none"]).enumerate() {
        let tile = |x: u32, y: u32| Rgb([(y / 64 * 5 + x / 64) as u8 * 10, 25 * index as u8, 128]);
        RgbImage::from_fn(320, 320, tile).save(pictures.join(format!("{method}-0-cat.png"))).unwrap();
    }
    RgbImage::from_fn(320, 64, |x, _| Rgb([200, (x / 64) as u8 * 50, 20]))
        .save(pictures.join("subject-cat.png"))
        .unwrap();
    let prompts: String = (0..25).fold(String::new(), |text, index| {
        text + [
            "a sks cat on a beach\n",
            "a sks cat with a wheat field in the background\n",
            "a cube shaped sks cat\n",
        ][index % 3]
    });
    std::fs::write(pictures.join("prompts-cat.txt"), prompts).unwrap();
}

#[test]
fn the_grid_has_a_row_per_method_and_the_chosen_prompts_in_columns() {
    let results = Results::new(&usual_trials());
    draw_pictures(&results);
    let written = results.render(&["grid"]).unwrap();
    let grid = image::open(&written[0]).unwrap().to_rgb8();
    let has = |colour: [u8; 3]| grid.pixels().any(|pixel| pixel.0 == colour);
    for prompt in [0_u8, 1, 2, 4, 6, 13, 20, 24] {
        assert!(has([prompt * 10, 25 * 2, 128]), "DeLoRA's picture of prompt {prompt}");
    }
    assert!(!has([30, 50, 128]), "prompt 3 was not chosen");
    assert!(has([200, 0, 20]) && has([200, 200, 20]), "the real pictures");

    let choice = Choice { prompts: vec![3, 99], ..Choice::default() };
    let written = render_grid(&choice, results.0.path(), &results.plots()).unwrap();
    let grid = image::open(&written[0]).unwrap().to_rgb8();
    assert!(grid.pixels().any(|pixel| pixel.0 == [30, 50, 128]));
    let unknown = Choice { subject: Some("teapot".to_owned()), ..Choice::default() };
    let message = render_grid(&unknown, results.0.path(), &results.plots()).unwrap_err().to_string();
    assert!(message.contains("trials.csv") && message.contains("subject"), "{message}");
}

#[test]
fn a_method_that_was_not_run_is_missing_and_one_that_only_diverged_has_no_score() {
    let trials = row("lora", "0", "cat", "0.5", "done") + &row("delora", "0", "cat", "0.9", "diverged");
    let results = Results::new(&trials);
    results.render(&["table8"]).unwrap();
    let table = results.text("table8.md");
    let line = |title: &str| {
        table.lines().find(|line| line.starts_with(&format!("| {title} |"))).unwrap().to_owned()
    };
    assert!(line("DoRA").contains("| missing |"), "{table}");
    assert!(line("DeLoRA").contains("| 0 | 1 |") && !line("DeLoRA").contains("0.9"), "{table}");
    let csv = results.text("table8.csv");
    assert!(csv.contains("dora,DoRA,m (W + BA)/‖W + BA‖ − W,0,0,,,,,,,,,,,,,,0.683,0.82\n"), "{csv}");
}

#[test]
fn poor_results_neither_hang_nor_panic() {
    let cases = [
        ("one trial", row("lora", "0", "cat", "0.5", "done")),
        ("equal values", row("lora", "0", "cat", "0.5", "done") + &row("lora", "1", "cat", "0.5", "done")),
        (
            "all diverged",
            row("lora", "0", "cat", "", "diverged") + &row("delora", "0", "cat", "inf", "diverged"),
        ),
        ("no numbers", row("lora", "0", "cat", "NaN", "done") + &row("delora", "0", "cat", "", "failed")),
        ("huge", row("lora", "0", "cat", "1e308", "done") + &row("lora", "1", "cat", "-1e308", "done")),
        ("unknown method", row("hira", "0", "cat", "0.5", "done")),
    ];
    let curves = [
        "",
        "lora-0-cat,0,loss,,0.5\nlora-0-cat,0,distance,q,0\n",
        "lora-0-cat,0,loss,,NaN\nlora-0-cat,,distance,q,\n",
        "lora-0-cat,5,loss,,1e300\nlora-0-cat,7,loss,,-1e300\nlora-0-cat,5,distance,q,0\nlora-0-cat,6,distance,q,1e300\n",
    ];
    for (name, trials) in cases {
        let tables = Results::new(&trials).render(&["table8"]);
        assert!(tables.is_ok(), "{name}: {tables:?}");
        for rows in curves {
            let results = Results::new(&trials).curves(rows);
            assert_eq!(results.render(&["curves"]).is_ok(), !rows.is_empty(), "{name}: {rows}");
        }
    }
}

#[test]
fn errors_name_the_file_and_what_is_missing() {
    let results = Results::new(&usual_trials());
    let message = |figures: &[&str]| results.render(figures).unwrap_err().to_string();
    assert!(message(&["table1", "tabel8"]).contains("`tabel8`"));
    assert!(message(&["tabel8"]).contains("`variants`"));
    assert!(!results.plots().exists(), "nothing is drawn before all names are known");
    assert!(message(&["curves"]).contains("curves.csv"));
    assert!(message(&["grid"]).contains("prompts-cat.txt"));
    let variants = message(&["variants"]);
    let column = "`config.method.initial_update`";
    assert!(variants.contains("trials.csv") && variants.contains(column), "{variants}");

    let empty = Results::new("");
    assert!(empty.render(&["table1"]).unwrap_err().to_string().contains("no trials"));
    std::fs::write(empty.0.path().join("trials.csv"), "trial_id,status,method,seed\na,done,lora,0\n")
        .unwrap();
    let message = empty.render(&["table1"]).unwrap_err().to_string();
    assert!(message.contains("trials.csv") && message.contains("`dino`"), "{message}");
}

#[test]
fn a_damaged_picture_is_named() {
    let results = Results::new(&usual_trials());
    draw_pictures(&results);
    let damaged = results.0.path().join("pictures/delora-0-cat.png");
    let whole = std::fs::read(&damaged).unwrap();
    std::fs::write(&damaged, &whole[..whole.len() / 2]).unwrap();
    let message = results.render(&["grid"]).unwrap_err().to_string();
    assert!(message.contains("delora-0-cat.png"), "{message}");
}
