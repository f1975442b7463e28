//! Values that would press all others against an axis: where they stand, and what is said of them.

use super::*;

const HUGE: &str = "1.9e31";

/// Heights of the marks of a colour: of polygons in an SVG, the topmost corner of each.
fn spread_of_lines(svg: &str) -> f64 {
    let heights: Vec<f64> = svg
        .split("points=\"")
        .skip(1)
        .filter_map(|part| part.split('"').next())
        .flat_map(|points| points.split_whitespace().filter_map(|point| point.split_once(',')))
        .filter_map(|(_, y)| y.parse().ok())
        .collect();
    heights.iter().copied().fold(f64::NEG_INFINITY, f64::max)
        - heights.iter().copied().fold(f64::INFINITY, f64::min)
}

#[test]
fn training_curves_follow_the_bulk_and_mark_what_they_clip() {
    let trials = ["lora", "delora", "dora"].map(|method| row(method, "0", "cat", "0.5", "done")).concat();
    let curves = |huge: &str| {
        let mut rows = String::new();
        for (index, method) in ["lora", "delora", "dora"].iter().enumerate() {
            for step in (0..=100).step_by(10) {
                let distance = f64::from(step) * 0.01 * (index + 1) as f64;
                let distance =
                    if *method == "lora" && step == 100 { huge.to_owned() } else { distance.to_string() };
                writeln!(
                    rows,
                    "{method}-0-cat,{step},loss,,0.5\n{method}-0-cat,{step},distance,q,{distance}"
                )
                .unwrap();
            }
        }
        rows
    };
    let drawn = |huge: &str| {
        let results = Results::new(&trials).curves(&curves(huge));
        results.render(&["curves"]).unwrap();
        results.text("curves.svg")
    };
    let (clipped, usual) = (drawn(HUGE), drawn("1.1"));
    let said = texts(&clipped);
    assert!(said.contains(HUGE) && said.contains("arrows: beyond the axis"), "{said}");
    assert!(said.lines().any(|line| line == "2"), "the axis goes to the others' values: {said}");
    assert!(!texts(&usual).contains("arrows"), "nothing is clipped");
    assert!(spread_of_lines(&clipped) > 0.8 * spread_of_lines(&usual));
}

#[test]
fn a_sweep_follows_the_bulk_and_marks_what_it_clips() {
    let header = "trial_id,status,method,seed,subject,config.learning_rate_multiplier,config.multiplied,dino,distance\n";
    let drawn = |huge: &str| {
        let mut rows = header.to_owned();
        for (method, reach) in [("lora", 1.0), ("dora", 1.5), ("delora", 2.0)] {
            rows += &format!("{method}-none,done,none,0,cat,,,0.1,\n");
            for multiplier in [0.5, 1.0, 2.0, 4.0] {
                let distance = (reach * multiplier).to_string();
                let distance = if (method, multiplier) == ("lora", 4.0) { huge } else { &distance };
                rows +=
                    &format!("{method}-{multiplier},done,{method},0,cat,{multiplier},all,0.5,{distance}\n");
            }
        }
        let results = Results::of(&rows);
        results.render(&["robustness"]).unwrap();
        texts(&results.text("robustness.svg"))
    };
    let clipped = drawn(HUGE);
    assert!(clipped.contains(HUGE) && clipped.contains("arrows: beyond the axis"), "{clipped}");
    assert!(clipped.lines().any(|line| line == "8"), "the axis goes to the others' values: {clipped}");
    assert!(!drawn("4.0").contains("arrows"));
}

#[test]
fn a_row_of_dots_marks_what_it_clips_and_its_numbers_stay_short() {
    let huge = row("lora", "0", "cat", HUGE, "done") + &row("lora", "0", "dog", "0.5", "done");
    let others =
        ["delora", "dora"].map(|method| SUBJECTS.map(|subject| row(method, "0", subject, "0.5", "done")));
    let results = Results::new(&(huge + &others.concat().concat()));
    results.render(&["table1"]).unwrap();
    let said = texts(&results.text("table1-dino.svg"));
    assert!(said.contains("arrows: beyond the axis") && said.contains("9.5e30 ± 1.3e31"), "{said}");
    let table = results.text("table1.md");
    let longest = table.lines().filter(|line| line.starts_with("| LoRA")).map(str::len).max().unwrap();
    assert!(longest < 200, "{table}");
}
