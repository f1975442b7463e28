//! Figures along training: prolonged training and pictures over time.

use super::*;

const METHODS: [&str; 3] = ["lora", "dora", "delora"];
const SCORED: [u64; 6] = [0, 50, 100, 200, 300, 400];

/// LoRA and DoRA go on and lose their score, DeLoRA stays at its bound; DoRA's last trial diverges at step 320.
fn results() -> Results {
    let mut trials = "trial_id,status,diverged_step,method,seed,subject,dino\n".to_owned();
    let mut curves = String::new();
    for (index, method) in METHODS.iter().enumerate() {
        for (seed, subject) in [0, 1].into_iter().flat_map(|seed| SUBJECTS.map(|subject| (seed, subject))) {
            let id = format!("{method}-{seed}-{subject}");
            let broken = id == "dora-1-vase";
            let (status, last) = if broken { ("diverged", 320) } else { ("done", 400) };
            writeln!(trials, "{id},{status},,{method},{seed},{subject},0.5").unwrap();
            let (pace, reach) = ([0.004, 0.006, 0.0][index], 1.0 + 0.1 * wobble(&id));
            for step in (0..=last).step_by(2) {
                let at = f64::from(step);
                let noise = 0.004 * wobble(&format!("{id}{step}"));
                let distance = reach * (0.6 * (1.0 - (-at / 15.0).exp()) + pace * at + noise.abs());
                writeln!(curves, "{id},{step},distance,up.attn1.to_out.0,{distance}").unwrap();
            }
            for step in SCORED.into_iter().filter(|step| *step <= last as u64) {
                let at = step as f64;
                let lost = [0.0009, 0.0006, 0.00005][index] * (at - 100.0).max(0.0);
                let dino = 0.05 + 0.5 * (1.0 - (-at / 40.0).exp()) - lost
                    + 0.03 * wobble(&id)
                    + 0.01 * wobble(&format!("{id}{step}"));
                writeln!(curves, "{id},{step},dino,,{dino}\n{id},{step},clip_t,,{}", 0.75 - dino / 5.0)
                    .unwrap();
            }
        }
    }
    Results::of(&trials).curves(&curves)
}

#[test]
fn prolonged_training_is_three_panels_and_a_verdict_for_each_method() {
    let results = results();
    let written = results.render(&["prolonged"]).unwrap();
    assert_eq!(written.len(), 5);
    insta::assert_snapshot!("prolonged_svg", texts(&results.text("prolonged.svg")));
    insta::assert_snapshot!("prolonged_md", results.text("prolonged.md"));
    let csv = results.text("prolonged.csv");
    let line = |method: &str| csv.lines().find(|line| line.starts_with(method)).unwrap().to_owned();
    assert!(line("lora").contains(",still growing,") && line("delora").contains(",flat,"), "{csv}");
    assert!(line("dora").starts_with("dora,DoRA,5,1,"), "{csv}");
    let points = results.text("prolonged-points.csv");
    assert!(points.contains("dora,DoRA,distance,320,") && points.contains(",true\n"), "{points}");
}

#[test]
fn poor_curves_give_a_figure_or_name_what_is_missing() {
    let trials = row("lora", "0", "cat", "0.5", "done");
    let whole = "lora-0-cat,0,distance,q,0\nlora-0-cat,0,dino,,0.1\nlora-0-cat,0,clip_t,,0.2\n";
    for (name, trials) in [
        ("one trial", &trials),
        ("all diverged", &trials.replace("done", "diverged")),
        ("all failed", &trials.replace("done", "failed")),
    ] {
        let outcome = Results::new(trials).curves(whole).render(&["prolonged"]);
        assert!(outcome.is_ok(), "{name}: {outcome:?}");
    }
    let unscored = Results::new(&trials).curves("lora-0-cat,0,distance,q,0\n");
    let message = unscored.render(&["prolonged"]).unwrap_err().to_string();
    assert!(message.contains("`dino`") && message.contains("`evaluate_at`"), "{message}");
    let message = Results::new(&trials).render(&["prolonged"]).unwrap_err().to_string();
    assert!(message.contains("curves.csv"), "{message}");
}

#[test]
fn pictures_over_time_have_a_row_a_method_and_a_column_a_step() {
    let results = results();
    let pictures = results.0.path().join("pictures");
    std::fs::create_dir_all(&pictures).unwrap();
    let message = results.render(&["over_time"]).unwrap_err().to_string();
    assert!(message.contains("pictures") && message.contains("`evaluate_at`"), "{message}");

    std::fs::write(pictures.join("prompts-cat.txt"), "a qwe cat\na qwe cat in the snow\na blue qwe cat\n")
        .unwrap();
    RgbImage::from_pixel(320, 64, Rgb([1, 2, 3])).save(pictures.join("subject-cat.png")).unwrap();
    for (row, method) in METHODS.iter().enumerate() {
        for (column, step) in SCORED.iter().enumerate() {
            let tile = |x: u32, _| Rgb([30 * (x / 64) as u8, 50 * row as u8, 20 * column as u8]);
            let path = pictures.join(format!("{method}-0-cat-{step}.png"));
            RgbImage::from_fn(320, 64, tile).save(path).unwrap();
        }
    }
    std::fs::remove_file(pictures.join("dora-0-cat-400.png")).unwrap();
    let written = results.render(&["over_time"]).unwrap();
    let drawn = image::open(&written[0]).unwrap().to_rgb8();
    let has = |colour: [u8; 3]| drawn.pixels().any(|pixel| pixel.0 == colour);
    for (row, column) in [(0, 0), (0, 5), (1, 4), (2, 3)] {
        assert!(has([30, 50 * row, 20 * column]), "the middle prompt, row {row}, column {column}");
    }
    assert!(!has([30, 50, 100]), "this picture was removed");
    assert!(!has([60, 0, 0]), "another prompt");
    assert!(has([1, 2, 3]), "the real picture");
}
