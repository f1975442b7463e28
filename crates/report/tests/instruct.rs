//! Results of instruction tuning: the table, MMLU, the answers before and after, and claims over benchmarks.

mod rendered;

use std::fmt::Write;
use std::path::Path;

use rendered::{claim, draw, rendered, write};

const HEADER: &str = "trial_id,status,diverged_step,method,seed,config.method.name,config.seed,average,mmlu,arc,mc1,mc2,mmlu.anatomy,\
    mmlu_count.anatomy,num_parameters,train_seconds,commit,dirty,message";

const CLAIMS: &str = include_str!("data/instruct_claims.toml");

/// Six seeds; a diverged one of LoRA.
fn trials() -> String {
    let mut trials = format!("{HEADER}\n");
    for (method, level) in [("none", 0.36), ("lora", 0.40), ("delora", 0.414)] {
        for seed in 1..7 {
            let score = level + 0.001 * f64::from(seed % 3);
            let (status, scores) = match (method, seed) {
                ("lora", 6) => ("diverged", ",,,,".to_owned()),
                _ => ("done", [score; 5].map(|score| score.to_string()).join(",")),
            };
            writeln!(
                trials,
                "{method}{seed},{status},,{method},{seed},{method},{seed},{scores},{score},135,4096,2,abc,false,"
            )
            .unwrap();
        }
    }
    trials
}

fn page(root: &Path, scale: &str) -> String {
    let write = |path: &str, text: &str| write(root, path, text);
    write("experiments/instruct.toml", "name = \"instruct\"\nquestion = \"?\"\nmetric = \"average\"\n");
    write("experiments/claims.toml", CLAIMS);
    let results = format!("results/instruct/{scale}");
    write(&format!("{results}/trials.csv"), &trials());
    write(
        &format!("{results}/README.md"),
        "# instruct\n\n| method | average | mmlu.anatomy | mmlu_count.anatomy |\n| --- | --- | --- | --- |\n| lora | 0.4 | 0.4 | 135 |\n",
    );
    for (trial, answer) in
        [("none2", "as before"), ("lora2", "tuned"), ("delora2", "tuned at seed 2"), ("delora3", "later")]
    {
        let text = format!(
            "[{{\"instruction\": \"Name a colour.\", \"input\": \"\", \"reference\": \"red\", \"answer\": \"{answer}\"}}]"
        );
        write(&format!("{results}/pictures/{trial}.answers.json"), &text);
    }
    draw(root, "instruct", scale, &["table5", "mmlu_categories"]);
    rendered(root).unwrap()
}

#[test]
fn a_section_has_the_table_the_subjects_and_the_answers() {
    let folder = tempfile::tempdir().unwrap();
    let page = page(folder.path(), "mini");
    assert!(page.contains("Table 5, ours beside the paper") && page.contains("not to be compared with ours"));
    assert!(page.contains(">DeLoRA r=8 (paper)<") && page.contains(">41.42<"), "no difference at this scale");
    assert!(page.contains("MMLU by category and by subject") && page.contains(">anatomy<"));
    assert!(page.contains("instruct-mini-answers") && page.contains("before: No finetuning"));
    assert!(page.contains(">tuned at seed 2<") && !page.contains(">later<"), "the first seed");
    assert!(page.contains("<th scope=\"col\" class=\"n\">Avg</th>"), "metrics have their titles");
    assert!(!page.contains("mmlu.anatomy") && !page.contains("mmlu_count"), "no column for each subject");
    assert!(!page.contains("<th scope=\"col\">subject</th><th scope=\"col\" class=\"n\">seed</th>"));
    assert!(page.contains("\"settings\":\"seed 2\""), "nothing is trained on a subject");
}

#[test]
fn claims_are_paired_over_seeds_and_numbers_judged_at_the_papers_scale() {
    let folder = tempfile::tempdir().unwrap();
    let mini = page(folder.path(), "mini");
    let average = claim(&mini, "average");
    assert!(average.contains(">5<") && average.contains("1 more pairs"), "{average}");
    assert!(claim(&mini, "printed").contains("shown, not judged"));
    let folder = tempfile::tempdir().unwrap();
    let paper = page(folder.path(), "paper");
    let (first, rest) = paper.split_at(paper.find("id=\"claim-printed\"").unwrap() + 20);
    assert!(claim(first, "average").contains("Avg: DeLoRA − LoRA"));
    // 0.415 lies within a point of 0.4142, and not of 0.4421.
    assert!(claim(&paper, "printed").contains("✗ refuted"));
    assert!(claim(rest, "printed").contains("✓ reproduced") && paper.contains(">41.42 (+0.08)<"), "{rest}");
}
