//! Instruction tuning: the table, MMLU by category and subject, the learning rates, and the losses.

use super::*;

const METHODS: [&str; 8] = ["none", "full", "lora", "delora", "dora", "ether", "ether_plus", "vera"];

/// Names of MMLU's 57 subjects.
fn all() -> Vec<&'static str> {
    results::mmlu::subjects().map(|(name, _)| name).collect()
}

/// A results folder with a column for the accuracy and the number of questions of each subject.
fn results(subjects: &[&str], rows: &str) -> Results {
    let of = |start: &str| subjects.iter().map(|subject| format!("{start}{subject},")).collect::<String>();
    let header = format!(
        "trial_id,status,method,seed,config.learning_rate_multiplier,config.method.name,config.seed,average,mmlu,arc,arc_norm,mc1,mc2,\
         {}{}mean_distance,train_loss,test_loss,num_parameters,train_seconds\n",
        of("mmlu."),
        of("mmlu_count.")
    );
    Results::of(&(header + rows))
}

/// One trial whose accuracy is near `level`; without numbers where there is none.
fn trial(
    subjects: &[&str],
    method: &str,
    seed: u64,
    multiplier: &str,
    status: &str,
    level: Option<f64>,
) -> String {
    let id = format!("{method}-{seed}-{multiplier}");
    let number = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.4}"));
    let near =
        |what: &str, shift: f64| level.map(|level| level + shift + 0.02 * wobble(&format!("{id}{what}")));
    let accuracies: Vec<Option<f64>> =
        subjects.iter().map(|subject| near(&format!("{method}{subject}"), 0.1 * wobble(subject))).collect();
    let mmlu = level.map(|_| accuracies.iter().flatten().sum::<f64>() / subjects.len() as f64);
    let scores = [mmlu, near("arc", 0.03), near("mc1", -0.14), near("mc2", 0.0)];
    let average = level.map(|_| scores.iter().flatten().sum::<f64>() / 4.0);
    let mut cells =
        vec![id.clone(), status.to_owned(), method.to_owned(), seed.to_string(), multiplier.to_owned()];
    cells.extend([method.to_owned(), seed.to_string()]);
    cells.extend([average, mmlu, scores[1], near("norm", 0.05), scores[2], scores[3]].map(number));
    cells.extend(accuracies.into_iter().map(number));
    cells.extend((0..subjects.len()).map(|index| (100 + index).to_string()));
    let trained = level.filter(|_| method != "none");
    cells.extend(
        [trained.map(|level| 4.0 * level), trained.map(|_| 1.1), level.map(|level| 2.0 - level)].map(number),
    );
    cells.push(if method == "none" { String::new() } else { (65_536 * method.len()).to_string() });
    cells.push("3".to_owned());
    cells.join(",") + "\n"
}

/// Three seeds of every method; one of DoRA's diverged.
fn usual(subjects: &[&str]) -> String {
    let mut rows = String::new();
    for (index, method) in METHODS.iter().enumerate() {
        for seed in 1..4 {
            let lost = (*method, seed) == ("dora", 2);
            let status = if lost { "diverged" } else { "done" };
            let level = (!lost).then_some(if index == 0 { 0.36 } else { 0.4 + 0.01 * index as f64 });
            rows += &trial(subjects, method, seed, "1", status, level);
        }
    }
    rows
}

#[test]
fn the_table_has_ours_above_the_papers_in_its_order() {
    let subjects = all();
    let results = results(&subjects, &usual(&subjects));
    let written = results.render(&["table5", "mmlu_categories"]).unwrap();
    assert_eq!(written.len(), 6 + 4);
    insta::assert_snapshot!("md", results.text("table5.md"));
    insta::assert_snapshot!("csv", results.text("table5.csv"));
    insta::assert_snapshot!("pairs_md", results.text("pairs.md"));
    insta::assert_snapshot!("svg", texts(&results.text("table5.svg")));
    insta::assert_snapshot!("mmlu_md", results.text("mmlu_categories.md"));
    insta::assert_snapshot!("mmlu_svg", texts(&results.text("mmlu_categories.svg")));
    assert_eq!(results.text("mmlu_categories.csv").lines().count(), 1 + METHODS.len() * (1 + 4 + 57));
}

#[test]
fn categories_are_plain_means_and_the_weighted_one_counts_questions() {
    let header = "trial_id,status,method,seed,average,mmlu,arc,mc1,mc2,mmlu.virology,mmlu.anatomy,mmlu.philosophy,mmlu.tea,\
        mmlu_count.virology,mmlu_count.anatomy,mmlu_count.philosophy,mmlu_count.tea\n";
    let rows = "a,done,lora,0,0.5,0.45,0.5,0.5,0.5,0.2,0.6,0.4,0.6,300,100,100,0\n\
        b,done,dora,0,0.5,0.45,0.5,0.5,0.5,0.2,,0.4,0.6,300,100,100,0\n";
    let results = Results::of(&(header.to_owned() + rows));
    results.render(&["mmlu_categories"]).unwrap();
    let csv = results.text("mmlu_categories.csv");
    let row =
        |start: &str| csv.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{csv}"));
    assert_eq!(row("lora,LoRA,other,,"), "lora,LoRA,other,,2,400,1,40,,30,");
    assert_eq!(row("lora,LoRA,humanities,,"), "lora,LoRA,humanities,,1,100,1,40,,40,");
    // (0.2 · 300 + 0.6 · 100 + 0.4 · 100) / 500; the plain mean is the driver's.
    assert_eq!(row("lora,LoRA,,,"), "lora,LoRA,,,4,500,1,45,,32,");
    assert_eq!(row("lora,LoRA,,tea,"), "lora,LoRA,,tea,1,0,1,60,,,");
    assert_eq!(row("dora,DoRA,other,,"), "dora,DoRA,other,,2,400,0,,,,", "a subject was not asked");
    let table = results.text("mmlu_categories.md");
    assert!(table.starts_with("| method | humanities | other | MMLU | MMLU, by questions |"), "{table}");
    assert!(table.contains("| tea | – | 0 | 60.0 | 60.0 |"), "{table}");
}

#[test]
fn subjects_of_another_test_stand_alone() {
    let subjects = ["animals", "colours", "counting", "small_numbers"];
    let results = results(&subjects, &usual(&subjects));
    results.render(&["mmlu_categories", "table5"]).unwrap();
    insta::assert_snapshot!("mini_mmlu_svg", texts(&results.text("mmlu_categories.svg")));
    let table = results.text("mmlu_categories.md");
    assert!(table.starts_with("| method | MMLU | MMLU, by questions |\n"), "{table}");
    assert!(table.contains("| small numbers | – | 103 |"), "{table}");
    assert!(results.text("table5.md").contains("not to be compared with them"));
    render(&["table5".to_owned()], "paper", results.0.path(), &results.plots()).unwrap();
    assert!(!results.text("table5.md").contains("not to be compared"));
}

/// A sweep whose LoRA loses its score at high rates and at the highest diverges.
fn sweep(subjects: &[&str]) -> String {
    let mut rows = trial(subjects, "none", 1, "", "done", Some(0.36));
    for (method, breaks) in [("lora", 1.0), ("delora", 3.0), ("dora", 2.0), ("ether_plus", 4.0)] {
        for (octave, seed) in (-2..=4).flat_map(|octave| [1, 2].map(|seed| (octave, seed))) {
            let over = (f64::from(octave) - breaks).max(0.0);
            let level = 0.45 - 0.04 * over - 0.01 * f64::from(-octave).max(0.0);
            let lost = (method, octave, seed) == ("lora", 4, 2);
            let (status, level) = if lost { ("diverged", None) } else { ("done", Some(level)) };
            rows += &trial(subjects, method, seed, &2_f64.powi(octave).to_string(), status, level);
        }
    }
    rows
}

#[test]
fn learning_rates_have_a_panel_and_widths_for_each_benchmark() {
    let subjects = ["animals", "colours"];
    let results = results(&subjects, &sweep(&subjects));
    let written = results.render(&["instruct_robustness"]).unwrap();
    assert_eq!(written.len(), 5);
    insta::assert_snapshot!("robustness_svg", texts(&results.text("instruct_robustness.svg")));
    insta::assert_snapshot!("robustness_md", results.text("instruct_robustness.md"));
    let points = results.text("instruct_robustness-points.csv");
    let point = |start: &str| points.lines().find(|line| line.starts_with(start)).unwrap().to_owned();
    assert!(point("average,lora,LoRA,16,").contains(",2,1,0,1,0,2,"), "diverged is no finetuning: {points}");
    assert_eq!(results.text("instruct_robustness.csv").lines().count(), 1 + 5 * 4);
    assert!(points.starts_with("benchmark,method,"));
}

#[test]
fn curves_show_the_mean_distance_where_no_layer_is_tracked() {
    let subjects = ["animals"];
    let mut curves = String::new();
    for (index, method) in METHODS.iter().enumerate().skip(1) {
        for (seed, step) in (1..4).flat_map(|seed| (0..=60).step_by(5).map(move |step| (seed, step))) {
            let loss =
                1.0 + (-f64::from(step) / 20.0).exp() + 0.05 * wobble(&format!("{method}{seed}{step}"));
            let distance = 0.1 * (1.0 + index as f64) * (f64::from(step) / 60.0).sqrt();
            writeln!(curves, "{method}-{seed}-1,{step},loss,,{loss}").unwrap();
            writeln!(curves, "{method}-{seed}-1,{step},mean_distance,,{distance}").unwrap();
        }
    }
    let results = results(&subjects, &usual(&subjects)).curves(&curves);
    results.render(&["curves"]).unwrap();
    let drawn = texts(&results.text("curves.svg"));
    for text in [
        "loss (cross-entropy)",
        "mean ‖W′ − W‖ (Frobenius)",
        "mean over the adapted layers",
        "3 trials (3 seeds)",
    ] {
        assert!(drawn.contains(text), "{text}: {drawn}");
    }
}

#[test]
fn poor_results_give_a_figure_or_say_what_is_missing() {
    let subjects = ["animals", "virology"];
    let one = trial(&subjects, "lora", 1, "1", "done", Some(0.4));
    let lost = trial(&subjects, "lora", 1, "1", "diverged", None)
        + &trial(&subjects, "hira", 1, "1", "failed", None);
    for (name, rows, is_scored) in [("one", &one, true), ("lost", &lost, false)] {
        let results = results(&subjects, rows);
        for figure in ["table5", "instruct_robustness"] {
            let outcome = results.render(&[figure]);
            assert!(outcome.is_ok(), "{name}, {figure}: {outcome:?}");
        }
        assert_eq!(results.render(&["mmlu_categories"]).is_ok(), is_scored, "{name}");
    }
    let message = |results: &Results, figure| results.render(&[figure]).unwrap_err().to_string();
    assert!(
        message(&results(&[], &trial(&[], "lora", 1, "1", "done", Some(0.4))), "mmlu_categories")
            .contains("mmlu.<subject>")
    );
    let pictures = Results::new(&usual_trials());
    assert!(message(&pictures, "table5").contains("`mmlu`"));
    assert!(message(&pictures, "instruct_robustness").contains("`mmlu`"));
}
