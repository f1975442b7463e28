//! Figures that do not apply to some results, and figures that fail: the others are drawn.

use super::*;

/// Names of the figures that were left out, why, and the names of those that failed.
fn drawn(results: &Results, names: &[&str]) -> (Vec<String>, Vec<String>, Vec<String>) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let drawn = render(&names, "mini", results.0.path(), &results.plots()).unwrap();
    assert!(drawn.written.iter().all(|path| path.exists()));
    let left_out = drawn.left_out.into_iter().map(|(name, error)| (name, error.to_string()));
    let (left_out, why) = left_out.unzip();
    (left_out, why, drawn.failed.into_iter().map(|(name, _)| name).collect())
}

#[test]
fn exams_of_ones_own_leave_the_papers_tables_out_and_draw_the_rest() {
    let results =
        Results::new("").curves("a,0,loss,,1.5\na,8,loss,,1.0\na,0,mean_distance,,0\na,8,mean_distance,,2\n");
    let trials = "trial_id,status,method,seed,config.learning_rate_multiplier,my_exam,average,num_parameters\n\
        a,done,lora,1,1,0.5,0.5,100\nb,done,none,1,1,0.4,0.4,\n";
    std::fs::write(results.0.path().join("trials.csv"), trials).unwrap();
    let (left_out, why, failed) =
        drawn(&results, &["table5", "mmlu_categories", "instruct_robustness", "curves"]);
    assert_eq!(left_out, ["table5", "mmlu_categories", "instruct_robustness"]);
    assert!(why[0].contains("trials.csv") && why[0].contains("no column `mmlu`"), "{why:?}");
    assert!(failed.is_empty() && results.plots().join("curves.svg").exists());
}

#[test]
fn one_task_of_glue_leaves_out_what_it_has_not() {
    let trials = "trial_id,status,method,seed,config.glue_task,score,num_parameters\n\
        a,done,lora,42,stsb,0.8,100\nb,done,none,42,stsb,0.1,\n";
    let results = Results::of(trials);
    let (left_out, why, failed) = drawn(&results, &["confusion", "glue_robustness", "table4"]);
    assert_eq!(left_out, ["confusion", "glue_robustness"]);
    assert!(why[0].contains("a regression such as stsb has none"), "{why:?}");
    assert!(failed.is_empty() && results.text("table4.md").contains("STS-B"));
}

#[test]
fn untrained_methods_alone_leave_out_what_training_records() {
    let results = Results::new(&row("none", "0", "cat", "0.1", "done")).curves("");
    let (left_out, why, failed) = drawn(&results, &["curves", "prolonged", "table1"]);
    assert_eq!(left_out, ["curves", "prolonged"]);
    assert!(why[0].contains("no row with metric `loss`"), "{why:?}");
    assert!(failed.is_empty() && results.text("table1.md").contains("missing"));
}

#[test]
fn a_figure_that_fails_does_not_stop_the_others() {
    let results = Results::new(&usual_trials());
    draw_pictures(&results);
    std::fs::write(results.0.path().join("pictures/delora-0-cat.png"), "no picture").unwrap();
    std::fs::write(results.0.path().join("curves.csv"), "trial_id,step\na,b,c,d,e\n").unwrap();
    let (left_out, why, failed) = drawn(&results, &["grid", "curves", "table8"]);
    assert!(left_out.is_empty(), "{why:?}");
    assert_eq!(failed, ["grid", "curves"]);
    assert!(results.plots().join("table8.md").exists());
}
