//! The whole page, of small made-up results.

mod fixture;
mod rendered;

use fixture::Fixture;

#[test]
fn the_page_holds_every_part_and_nothing_from_elsewhere() {
    let fixture = Fixture::new();
    let page = fixture.page();
    let ids = "claims sweep-mini sweep-mini-tables sweep-mini-figures sweep-mini-curves sweep-mini-layers";
    for id in ids.split(' ') {
        assert!(page.contains(&format!(" id=\"{id}\"")), "{id}");
        assert!(page.contains(&format!("href=\"#{id}\"")), "{id} is not in the contents");
    }
    assert!(page.contains("<p class=\"question\">Which of them &lt;wins&gt;?</p>"));
    assert!(page.contains(
        "git checkout 0123456789012345678901234567890123456789\ndelora run experiments/sweep.toml"
    ));
    assert!(page.contains("diverged at step 7") && page.contains("failed: out of &lt;memory&gt;"));
    assert!(page.contains("question = &quot;Which of them &lt;wins&gt;?&quot;"), "the experiment file");
    for loads in ["http://", "https://", "src=\"/", "<link", "@import"] {
        // The name of SVG's vocabulary is no address to load.
        assert!(!page.replace("http://www.w3.org/2000/svg", "").contains(loads), "{loads}");
    }
}

#[test]
fn ids_stand_once_though_two_figures_share_one() {
    let page = Fixture::new().page();
    let mut ids: Vec<&str> = page.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all, "{ids:?}");
    assert!(page.contains("url(#sweep-mini-robustness-clip)"));
}

#[test]
fn verdicts_are_those_of_the_results() {
    let page = Fixture::new().page();
    for (id, parts) in [
        ("better", ["✓ reproduced (exploratory)", ">+0.100<"]),
        ("worse", ["✗ refuted", "The difference is the other way round"]),
        ("unclear", ["≈ undecided", ">6<"]),
        ("alike", ["✓ reproduced", ">0.050<"]),
        ("printed", ["shown, not judged", "0.701"]),
        ("elsewhere", ["no results of <code>other</code>", ""]),
        ("absent", ["no trial of", ""]),
        ("never", ["nobody can tell", ""]),
    ] {
        let row = rendered::claim(&page, id);
        assert!(parts.iter().all(|part| row.contains(part)), "{id}: {row}");
    }
}

#[test]
fn what_a_design_has_decided_comes_first_and_as_a_sentence() {
    let fixture = Fixture::new();
    let before = fixture.page();
    assert!(
        !before.contains("decided by designs") && before.contains("looked at while they came"),
        "{before}"
    );
    let design = r#"
        experiment = "sweep"
        scale = "mini"
        written = "2025-12-31T00:00:00Z"
        commit = "0123"
        along = "subject"
        values = ["cat", "dog", "vase", "can", "bowl", "boot"]
        trials_per_value = 3
        looks = [{ first = 3, level = 0.0125 }, { first = 6, level = 0.0375 }]

        [[statement]]
        id = "better"
        family = "Table 9"
        test = "dino of `delora` is above that of `lora`; less than 0.01 does not matter"

        [[statement]]
        id = "unclear"
        family = "Table 9"
        test = "dino of `dora` is above that of `lora`; less than 0.01 does not matter"

        [[statement]]
        id = "worse"
        family = "Table 9"
        test = "dino of `lora` is above that of `delora`; less than 0.02 does not matter"
    "#;
    std::fs::write(fixture.path("results/sweep/mini/design.toml"), design).unwrap();
    let page = fixture.page();
    let settled = &page[page.find("id=\"settled\"").unwrap()..page.find("<nav").unwrap()];
    assert!(settled.contains("decided by designs that were written before their trials ran"), "{settled}");
    assert!(settled.contains("✓ <a href=\"#claim-better\">") && settled.contains("+0.101"), "{settled}");
    let row = rendered::claim(&page, "better");
    assert!(row.contains("Look at 3 of 6 subjects, level 0.0125.") && !row.contains("exploratory"), "{row}");
    assert!(row.contains(">3</td>"), "decided at the first look, by three units: {row}");
    let later = rendered::claim(&page, "unclear");
    assert!(later.contains("Look at 6 of 6 subjects"), "{later}");
    let changed = rendered::claim(&page, "worse");
    assert!(changed.contains("not a statement of this design, or with another margin"), "{changed}");
}

#[test]
fn at_the_papers_scale_its_numbers_are_judged() {
    let fixture = Fixture::new();
    for root in ["results/sweep", "plots/sweep"] {
        std::fs::rename(fixture.path(root).join("mini"), fixture.path(root).join("paper")).unwrap();
    }
    let page = fixture.page();
    let row = rendered::claim(&page, "printed");
    assert!(row.contains("✗ refuted") && row.contains(">0.701<"), "{row}");
}

#[test]
fn what_is_missing_is_named() {
    let fixture = Fixture::new();
    std::fs::remove_dir_all(fixture.path("results")).unwrap();
    let message = fixture.render().unwrap_err().to_string();
    assert!(message.contains("no results of any experiment"), "{message}");
    let fixture = Fixture::new();
    std::fs::write(fixture.path("results/sweep/mini/trials.csv"), "trial_id\nx\n").unwrap();
    let message = fixture.render().unwrap_err().to_string();
    assert!(message.contains("trials.csv` has no column `status`"), "{message}");
    let fixture = Fixture::new();
    std::fs::write(fixture.path("experiments/claims.toml"), "[[claim]]\nid = \"a\"\nwho = 1\n").unwrap();
    let message = fixture.render().unwrap_err().to_string();
    assert!(message.contains("claims.toml`, line 3: unknown field `who`"), "{message}");
}

#[test]
fn an_experiment_that_cannot_be_shown_does_not_stop_the_others() {
    let fixture = Fixture::new();
    let paper = fixture.path("results/sweep/paper");
    std::fs::create_dir_all(&paper).unwrap();
    std::fs::write(paper.join("trials.csv"), "trial_id\nx\n").unwrap();
    let page = rendered::whole(&fixture.path("")).unwrap();
    let names: Vec<&str> = page.failed.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.contains(&"sweep at scale paper"), "{names:?}");
    assert!(page.failed.iter().all(|(_, error)| error.to_string().contains("has no column `status`")));
    assert!(page.html.contains("Cannot be shown") && page.html.contains("has no column `status`"));
    assert!(page.html.contains("Which of them &lt;wins&gt;?"), "the other scale is there");
}

#[test]
fn the_ledger_of_the_repository_is_sound_and_covers_every_table_and_figure() {
    let ledger = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments/claims.toml");
    let fixture = Fixture::new();
    std::fs::copy(ledger, fixture.path("experiments/claims.toml")).unwrap();
    let page = fixture.page();
    for place in (1..=8).map(|n| format!("Table {n}")).chain((2..=8).map(|n| format!("Figure {n}"))) {
        assert!(page.contains(&format!("<td>{place}")) || page.contains(&format!("and {place}")), "{place}");
    }
}

#[test]
fn the_ledgers_numbers_are_those_of_the_papers_tables() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments");
    let read =
        |name: &str| -> toml::Table { std::fs::read_to_string(folder.join(name)).unwrap().parse().unwrap() };
    let (paper, ledger) = (read("paper.toml"), read("claims.toml"));
    let (mut compared, mut glue, mut instruct, mut semantic) = (0, 0, 0, 0);
    for claim in ledger["claim"].as_array().unwrap() {
        let id = claim["id"].as_str().unwrap();
        let Some(numbers) = claim.get("test").and_then(|test| test.get("paper")) else { continue };
        let table = id.split('-').next().unwrap();
        let method = claim["test"]["method"].as_str().unwrap();
        let rows = paper[table].as_table().unwrap();
        let number = |value: &toml::Value| value.as_float().unwrap();
        if let Some(task) = claim["test"].get("at").and_then(|at| at.get("glue_task")) {
            let task = task.as_str().unwrap_or("avg");
            let printed = number(&rows[method][task]);
            assert!((100.0 * number(&numbers["score"]) - printed).abs() < 1e-9, "{id}");
            if let Some(std) = paper["table7"].get(method).and_then(|row| row.get(task)) {
                assert!((100.0 * number(&claim["test"]["within"]) - number(std)).abs() < 1e-9, "{id}");
            }
            glue += 1;
            continue;
        }
        if ["table5", "table2"].contains(&table) {
            for (metric, value) in numbers.as_table().unwrap() {
                let factor = if metric == "fid" { 1.0 } else { 100.0 };
                let printed = number(&rows[method][metric]);
                assert!((factor * number(value) - printed).abs() < 1e-9, "{id}, {metric}");
                *(if table == "table5" { &mut instruct } else { &mut semantic }) += 1;
            }
            continue;
        }
        let rank =
            claim["test"].get("at").and_then(|at| at.get("method.rank")).and_then(toml::Value::as_integer);
        let names = [
            rank.map(|rank| format!("{method}_r{rank}")),
            Some(method.to_owned()),
            Some(format!("{method}_r16")),
            Some(format!("{method}_n4")),
        ];
        let row =
            names.into_iter().flatten().find_map(|name| rows.get(&name)).unwrap_or_else(|| panic!("{id}"));
        for metric in ["dino", "clip_i"] {
            assert_eq!(numbers[metric], row[metric], "{id}, {metric}");
            compared += 1;
        }
    }
    let tables = "Tables 1, 3 and 8, where DeLoRA's row of Table 8 is that of Table 1";
    assert_eq!(compared, 2 * (7 + 8 + 2), "{tables}");
    assert_eq!(glue, 9 + 2 * 8, "Table 4: every average, and the tasks of LoRA and DeLoRA");
    assert_eq!(instruct, 6 * 5, "Table 5: every number");
    assert_eq!(semantic, 6 * 3, "Table 2: every number");
}
