//! Figures over the learning-rate multiplier.

use super::*;

const MULTIPLIERS: [f64; 9] = [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];
const HEADER: &str = "trial_id,status,diverged_step,method,seed,subject,config.learning_rate_multiplier,config.multiplied,\
    config.method.rank,config.tracked_layer,dino,distance\n";

/// A method's multiplier at which it breaks, how fast its score falls, and its distance at the base rate.
struct Shape {
    method: &'static str,
    breaks: f64,
    fall: f64,
    distance: f64,
    bounded: bool,
}

const fn shape(method: &'static str, breaks: f64, fall: f64, distance: f64, bounded: bool) -> Shape {
    Shape { method, breaks, fall, distance, bounded }
}

const SHAPES: [Shape; 6] = [
    shape("lora", 8.0, 0.06, 0.9, false),
    shape("dora", 16.0, 0.05, 1.4, false),
    shape("dora_fixed_magnitude", 8.0, 0.07, 0.9, false),
    shape("ether_plus_one_sided", 1e9, 0.004, 0.8, true),
    shape("ether_plus", 1e9, 0.006, 1.1, true),
    shape("delora", 1e9, 0.0004, 1.2, true),
];

fn trial(
    id: &str,
    status: &str,
    replicate: (u64, &str),
    setting: (f64, &str),
    numbers: (&str, &str),
) -> String {
    let (method, ((seed, subject), (multiplier, multiplied))) =
        (id.split('-').next().unwrap(), (replicate, setting));
    let (dino, distance) = numbers;
    format!(
        "{id}-{seed}-{subject}-{multiplier},{status},,{method},{seed},{subject},{multiplier},{multiplied},16,mid.attn1.to_out.0,{dino},{distance}\n"
    )
}

fn replicates() -> impl Iterator<Item = (u64, &'static str)> {
    [0, 1].into_iter().flat_map(|seed| SUBJECTS.map(|subject| (seed, subject)))
}

/// Score and distance of a shape `octaves` above its base rate.
fn values(shape: &Shape, key: &str, octaves: f64) -> (f64, f64) {
    let level = 0.55 + 0.05 * wobble(key)
        - shape.fall * (octaves - 1.0).max(0.0).powi(2)
        - 0.09 * (0.5 - octaves).max(0.0);
    let distance = if shape.bounded {
        shape.distance * 2.0 * (1.0 - (-0.5 * octaves.exp2()).exp())
    } else {
        shape.distance * octaves.exp2().powf(0.9)
    };
    ((level + 0.02 * wobble(&format!("{key}{octaves}"))).max(0.02), distance * (1.0 + 0.1 * wobble(key)))
}

/// Trials with a CLIP-T that falls with every octave above the base rate, DeLoRA's less than the others';
/// none where a trial diverged and of real pictures.
fn with_prompts(rows: &str) -> String {
    let prompted = |row: &str| {
        let cells: Vec<&str> = row.split(',').collect();
        let (status, method, octaves) = (cells[1], cells[3], cells[6].parse().map_or(0.0, f64::log2));
        let fall = if method == "delora" { 0.005 } else { 0.09 };
        let clip_t = 0.72 - fall * octaves.max(0.0) + 0.02 * wobble(row);
        let known = status == "done" && method != "real_images";
        format!("{row},{}\n", if known { clip_t.to_string() } else { String::new() })
    };
    let (header, rows) = rows.split_once('\n').unwrap();
    format!("{header},clip_t\n{}", rows.lines().map(prompted).collect::<String>())
}

fn usual(shapes: &[Shape], with_bounds: bool) -> String {
    let mut rows = HEADER.to_owned();
    for shape in shapes {
        for ((seed, subject), multiplier) in replicates().flat_map(|key| MULTIPLIERS.map(|at| (key, at))) {
            let key = format!("{}{seed}{subject}", shape.method);
            let (dino, distance) = values(shape, &key, multiplier.log2());
            let lost = multiplier > shape.breaks || (multiplier == shape.breaks && seed == 1);
            let (dino, distance) = if lost {
                (String::new(), (distance * 3.0).to_string())
            } else {
                (dino.to_string(), distance.to_string())
            };
            let status = if lost { "diverged" } else { "done" };
            rows += &trial(shape.method, status, (seed, subject), (multiplier, "all"), (&dino, &distance));
        }
    }
    for (seed, subject) in replicates().filter(|_| with_bounds) {
        rows += &format!("none-{seed}-{subject},done,,none,{seed},{subject},,,,,0.0{},\n", subject.len());
        rows += &format!("real-{seed}-{subject},done,,real_images,{seed},{subject},,,,,0.9,\n");
    }
    rows
}

fn of(rows: &str) -> Results {
    Results::of(rows)
}

fn column(csv: &str, row: &str, name: &str) -> String {
    let mut lines = csv.lines();
    let index = lines.next().unwrap().split(',').position(|column| column == name).unwrap();
    let line = lines.find(|line| line.starts_with(row)).unwrap();
    line.split(',').nth(index).unwrap().to_owned()
}

#[test]
fn robustness_shows_scores_distances_and_what_diverged() {
    let results = of(&with_prompts(&usual(&SHAPES, true)));
    let written = results.render(&["robustness"]).unwrap();
    assert_eq!(written.len(), 5);
    insta::assert_snapshot!("robustness_svg", texts(&results.text("robustness.svg")));
    insta::assert_snapshot!("robustness_md", results.text("robustness.md"));
    insta::assert_snapshot!("robustness_points", results.text("robustness-points.csv"));
    let csv = results.text("robustness.csv");
    assert_eq!(column(&csv, "delora", "width_censored_high"), "true");
    assert_eq!(column(&csv, "lora", "difference_octaves"), "");
    assert!(column(&csv, "delora", "difference_lo").parse::<f64>().unwrap() > 0.0, "{csv}");
}

#[test]
fn without_clip_t_there_are_two_panels_and_one_table() {
    let results = of(&usual(&SHAPES, true));
    results.render(&["robustness"]).unwrap();
    let drawn = texts(&results.text("robustness.svg"));
    assert!(drawn.contains("DINO (mean cosine)") && !drawn.contains("CLIP-T"), "{drawn}");
    let table = results.text("robustness.md");
    assert_eq!((table.matches("| LoRA |").count(), table.contains("CLIP-T")), (1, false), "{table}");
    let csv = results.text("robustness.csv");
    assert!(csv.lines().skip(1).all(|line| line.ends_with(",dino")), "{csv}");
    assert_eq!(csv.lines().count(), 1 + SHAPES.len());
}

#[test]
fn a_method_that_forgets_the_prompt_is_wide_by_dino_and_narrow_by_the_product() {
    let mut rows = HEADER.replace('\n', ",clip_t\n");
    let mut add = |id, status, multiplier, dino, clip_t| {
        rows += &trial(id, status, (0, "cat"), (multiplier, ""), (dino, "1"))
            .replace('\n', &format!(",{clip_t}\n"));
    };
    for (multiplier, clip_t) in [(1.0, "0.7"), (2.0, "0.7"), (4.0, "0.1")] {
        add("dora", "done", multiplier, "0.6", clip_t);
    }
    add("lora", "done", 1.0, "-0.5", "-0.5");
    add("delora", "diverged", 1.0, "0.3", "");
    add("delora", "diverged", 2.0, "0.3", "0.5");
    rows += "none-0-cat,done,,none,0,cat,,,,,0.2,,0.7\n";
    let results = of(&rows);
    results.render(&["robustness"]).unwrap();
    let csv = results.text("robustness.csv");
    let scores: Vec<&str> = csv.lines().skip(1).filter_map(|line| line.rsplit(',').next()).collect();
    assert_eq!(scores, ["dino", "dino", "dino", "dino_x_clip_t", "dino_x_clip_t", "dino_x_clip_t"]);
    assert_eq!(column(&csv, "dora", "width_octaves"), "2");
    assert_eq!(column(&csv, "dora", "width_censored_high"), "true");

    let of_product = |line: &&str| line.starts_with("method,") || line.ends_with(",dino_x_clip_t");
    let product = csv.lines().filter(of_product).collect::<Vec<_>>().join("\n");
    // From 0.42 to 0.06 the product falls below 0.95 · 0.42 at 0.021 / 0.36 of the octave from 2 to 4.
    let width: f64 = column(&product, "dora", "width_octaves").parse().unwrap();
    assert!((width - (1.0 + 0.021 / 0.36)).abs() < 1e-9, "{width}");
    assert_eq!(column(&product, "dora", "width_censored_high"), "false");
    assert_eq!(column(&product, "lora", "width_octaves"), "", "two negative factors are no merit");

    let points = results.text("robustness-points.csv");
    let product_of = |start: &str| -> f64 {
        let line = points.lines().find(|line| line.starts_with(start)).unwrap();
        line.split(',').rev().nth(1).unwrap().parse().unwrap()
    };
    assert_eq!(product_of("lora,LoRA,1,"), 0.0);
    let half = product_of("delora,DeLoRA,1,");
    assert!((half - 0.14).abs() < 1e-9, "half a score is none: no finetuning's counts");
    assert!((product_of("delora,DeLoRA,2,") - 0.15).abs() < 1e-9, "both are its last finite ones");
}

#[test]
fn figure_five_is_of_three_methods_against_dora() {
    let results = of(&with_prompts(&usual(&SHAPES, true)));
    results.render(&["dora_magnitude"]).unwrap();
    insta::assert_snapshot!("dora_magnitude_svg", texts(&results.text("dora_magnitude.svg")));
    let table = results.text("dora_magnitude.md");
    assert!(table.contains("Δ vs DoRA") && !table.contains("| LoRA"), "{table}");
}

#[test]
fn without_no_finetuning_a_diverged_trial_is_left_out_and_its_mark_is_hollow() {
    let results = of(&usual(&SHAPES[..2], false));
    results.render(&["robustness"]).unwrap();
    let points = results.text("robustness-points.csv");
    let broken: Vec<&str> = points.lines().filter(|line| line.contains("6 of 6 diverged")).collect();
    assert!(broken.iter().all(|line| line.contains(",0,0,6,0,,,0,,")), "{points}");
    assert!(points.contains("3 of 6 diverged,0,0,3,3,0."), "{points}");
    let drawn = texts(&results.text("robustness.svg"));
    assert!(drawn.contains("Hollow"), "{drawn}");
    assert!(!results.text("robustness.md").contains("gain width"));
    // Where LoRA has no score left its range ends, and the sweep did go on: that is no censoring.
    assert_eq!(column(&results.text("robustness.csv"), "lora", "width_censored_high"), "false");
}

#[test]
fn a_last_finite_score_counts_before_that_of_no_finetuning() {
    let mut rows = HEADER.to_owned();
    rows += &trial("lora", "done", (0, "cat"), (1.0, ""), ("0.5", "1"));
    rows += &trial("lora", "diverged", (0, "cat"), (2.0, ""), ("0.3", "9"));
    rows += &trial("lora", "diverged", (0, "cat"), (4.0, ""), ("", ""));
    rows += "none-0-cat,done,,none,0,cat,,,,,0.125,\n";
    let results = of(&rows);
    results.render(&["robustness"]).unwrap();
    let points = results.text("robustness-points.csv");
    assert!(points.contains("lora,LoRA,2,1,1,1 of 1 diverged,1,0,0,1,0.3,"), "{points}");
    assert!(points.contains("lora,LoRA,4,1,1,1 of 1 diverged,0,1,0,1,0.125,"), "{points}");
    let drawn = texts(&results.text("robustness.svg")).replace('\n', " ");
    assert!(drawn.contains("last finite score, or that of no finetuning"), "{drawn}");
}

#[test]
fn lambda_and_angles_are_three_lines_of_one_method() {
    let shapes = [
        (shape("delora", 1e9, 0.006, 1.2, true), "all"),
        (shape("delora", 1e9, 0.004, 0.9, true), "angles"),
        (shape("delora", 1e9, 0.002, 0.6, true), "strength"),
    ];
    let mut rows = HEADER.to_owned();
    for (shape, multiplied) in &shapes {
        for ((seed, subject), multiplier) in replicates().flat_map(|key| MULTIPLIERS.map(|at| (key, at))) {
            let (dino, distance) = values(shape, &format!("{seed}{subject}"), multiplier.log2());
            let id = format!("delora-{multiplied}");
            rows += &trial(
                &id,
                "done",
                (seed, subject),
                (multiplier, multiplied),
                (&dino.to_string(), &distance.to_string()),
            );
        }
    }
    let results = of(&with_prompts(&rows));
    results.render(&["lambda_vs_angles", "robustness"]).unwrap();
    insta::assert_snapshot!("lambda_vs_angles_svg", texts(&results.text("lambda_vs_angles.svg")));
    let points = results.text("lambda_vs_angles-points.csv");
    assert_eq!(points.lines().count(), 1 + 3 * MULTIPLIERS.len());
    let all = results.text("robustness-points.csv");
    let is_of_six = |line: &str| line.split(',').nth(3) == Some("6");
    assert!(all.lines().skip(1).all(is_of_six), "only trials that multiply all: {all}");
}

/// Two methods over multiplier and λ, one over multiplier and rank.
fn mapped() -> String {
    let mut rows = HEADER.replace("config.method.rank", "config.method.rank,config.method.lambda");
    let settings =
        [("delora", [("16", "1"), ("16", "4"), ("16", "16")]), ("lora", [("4", ""), ("16", ""), ("64", "")])];
    for (method, seconds) in settings {
        for (index, (rank, lambda)) in seconds.into_iter().enumerate() {
            for ((seed, subject), multiplier) in replicates().flat_map(|key| MULTIPLIERS.map(|at| (key, at)))
            {
                let strength = multiplier.log2() + 2.0 * index as f64;
                let lost = method == "lora" && (strength > 7.0 || (strength == 7.0 && seed == 1));
                let dino = 0.6 - 0.012 * (strength - 3.0).powi(2)
                    + 0.02 * wobble(&format!("{seed}{subject}{strength}"));
                let (status, dino) =
                    if lost { ("diverged", String::new()) } else { ("done", dino.to_string()) };
                let id = format!("{method}{rank}{lambda}-{seed}{subject}{multiplier}");
                writeln!(
                    rows,
                    "{id},{status},,{method},{seed},{subject},{multiplier},,{rank},{lambda},q,{dino},1"
                )
                .unwrap();
            }
        }
    }
    rows
}

#[test]
fn a_heat_map_has_a_panel_a_method_and_hatches_what_diverged() {
    let results = of(&mapped());
    std::fs::write(results.0.path().join("summary.csv"), "method,best.method.lambda\ndelora,4\n").unwrap();
    let written = results.render(&["heatmap"]).unwrap();
    assert_eq!(written.len(), 3);
    insta::assert_snapshot!("heatmap_svg", texts(&results.text("heatmap.svg")));
    let csv = results.text("heatmap.csv");
    assert_eq!(csv.lines().count(), 1 + 2 * 3 * MULTIPLIERS.len());
    assert!(csv.contains("lora,LoRA,32,config.method.rank,16,6,3,3,3,"), "{csv}");
    assert!(csv.contains("lora,LoRA,64,config.method.rank,64,6,6,6,0,,\n"), "{csv}");
    assert!(csv.contains("delora,DeLoRA,1,config.method.lambda,4,6,0,0,6,"), "{csv}");
}

#[test]
fn lambdas_of_two_ranks_are_two_panels() {
    let rows = mapped() + &mapped().replace(",16,", ",8,").replace("delora16", "delora8");
    let results = of(&rows);
    results.render(&["heatmap"]).unwrap();
    let drawn = texts(&results.text("heatmap.svg"));
    assert!(drawn.contains("DeLoRA r=8") && drawn.contains("DeLoRA r=16"), "{drawn}");
}

#[test]
fn a_summary_that_chose_one_multiplier_does_not_hide_the_others() {
    let results = of(&usual(&SHAPES[..1], true));
    std::fs::write(results.0.path().join("summary.csv"), "method,best.learning_rate_multiplier\nlora,2\n")
        .unwrap();
    results.render(&["robustness"]).unwrap();
    assert_eq!(results.text("robustness-points.csv").lines().count(), 1 + MULTIPLIERS.len());
}

#[test]
fn poor_sweeps_give_a_figure_or_say_what_is_missing() {
    let one =
        |status, dino, multiplier: f64| trial("lora", status, (0, "cat"), (multiplier, ""), (dino, "1"));
    let drawn = [
        ("one trial", one("done", "0.5", 1.0)),
        ("one multiplier", one("done", "0.5", 4.0) + &one("done", "0.6", 4.0)),
        ("all diverged", one("diverged", "", 1.0) + &one("diverged", "", 2.0)),
        ("no score", one("done", "", 1.0)),
        ("negative scores", one("done", "-0.5", 1.0) + &one("done", "-0.6", 2.0)),
        ("huge", one("done", "1e308", 1.0) + &one("done", "-1e308", 1e12)),
        ("only failed beside one", one("failed", "", 1.0) + &one("done", "0.5", 2.0)),
        ("a multiplier that is none", one("done", "0.5", 1.0) + &one("done", "0.5", -2.0)),
    ];
    for (name, rows) in drawn {
        let outcome = of(&(HEADER.to_owned() + &rows)).render(&["robustness", "heatmap"]);
        assert!(outcome.is_ok(), "{name}: {outcome:?}");
    }
    let message = |rows: &str, figure: &str| of(rows).render(&[figure]).unwrap_err().to_string();
    let failed = message(&(HEADER.to_owned() + &one("failed", "", 1.0)), "robustness");
    assert!(failed.contains("trials.csv") && failed.contains("diverged"), "{failed}");
    let plain = "trial_id,status,method,seed,subject,dino\na,done,lora,0,cat,0.5\n";
    assert!(message(plain, "robustness").contains("`config.learning_rate_multiplier`"));
    let plain = "trial_id,status,method,seed,subject,dino,config.learning_rate_multiplier\na,done,delora,0,cat,0.5,1\n";
    assert!(message(plain, "lambda_vs_angles").contains("`config.multiplied`"));
}
