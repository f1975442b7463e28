//! What a trial's identity holds: what its result depends on, and nothing else.

use runner::{Selection, explain, plan, status};

use crate::study::{FILE, Study, column};

#[test]
fn another_bank_size_and_another_path_of_equal_contents_open_no_trial_again() {
    let study = Study::new(FILE);
    let file = |name: &str, text: &str| {
        let path = study.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        format!("data={:?}", path.to_str().unwrap())
    };
    let (one, same, other) = (file("one", "rows"), file("same", "rows"), file("other", "more rows"));
    assert_eq!(study.run(&[&one]).done, 8);
    let before = column(&study.rows("trials.csv"), "trial_id");
    for sets in [vec![one.as_str(), "bank=2"], vec![same.as_str()]] {
        let report = study.run(&sets);
        assert_eq!((report.done, report.skipped), (0, 8), "{sets:?}");
        assert_eq!(column(&study.rows("trials.csv"), "trial_id"), before);
    }
    assert_eq!(study.run(&[&other]).done, 8, "other contents are another trial");
}

#[test]
fn settings_that_change_no_result_are_no_axis_and_the_plan_says_so() {
    let study = Study::new(FILE);
    let experiment = study.experiment(&["nuisance.bank=2,4"]);
    let plan = plan(&experiment, &study.toy, &study.results(), &Selection::default()).unwrap();
    assert_eq!(plan.states.len(), 8);
    let text = plan.to_string();
    assert!(
        text.contains("note: trials that differ in `bank` alone have one result, and are run once"),
        "{text}"
    );
    assert_eq!(status(&experiment, &study.toy, &study.results()).unwrap().states.len(), 8);
}

#[test]
fn an_id_is_taken_apart_and_two_trials_are_compared() {
    let study = Study::new(FILE);
    study.run(&["bank=2"]);
    let ids = column(&study.rows("trials.csv"), "trial_id");
    let of = |id: &str| explain(&study.experiment(&["bank=2"]), &study.toy, &study.results(), id);
    let (first, last) = (of(&ids[0][..8]).unwrap(), of(&ids[7]).unwrap());
    let text = first.to_string();
    for part in [
        "is made of",
        "  config.method.rate = 0.1",
        "  inputs = \"digest\"",
        "and not of these",
        "  config.bank = 2",
    ] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    let differing: Vec<&str> = first.differences(&last).into_iter().map(|(key, ..)| key).collect();
    let expected =
        ["config.method.name", "config.method.rank", "config.method.rate", "config.seed", "config.subject"];
    assert_eq!(differing, expected);
    let error = of("").unwrap_err().to_string();
    assert!(error.contains("`delora status` lists them"), "{error}");
}
