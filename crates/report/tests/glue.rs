//! Results on tasks of GLUE: the table that `figures` writes, and claims over a task or all of them.

mod rendered;

use std::fmt::Write;
use std::path::Path;

use rendered::{claim, draw, rendered, write};

const HEADER: &str = "trial_id,status,diverged_step,method,seed,config.batch,config.glue_task,config.method.name,config.seed,\
    score,confusion_0_0,confusion_0_1,confusion_1_0,confusion_1_1,num_parameters,train_seconds,commit,dirty,message";
const TASKS: [&str; 3] = ["mrpc", "cola", "rte"];

const CLAIMS: &str = include_str!("data/glue_claims.toml");

/// Five seeds; DeLoRA's scores are means of `levels` with a spread over seeds that is the same on every task;
/// its gain over the others is not.
fn trials() -> String {
    let mut trials = format!("{HEADER}\n");
    for (method, lead) in [("none", -10.0), ("lora", -1.0), ("delora", 0.0)] {
        for (task, (level, gain)) in TASKS.into_iter().zip([(0.886, 0.02), (0.647, 0.021), (0.774, 0.022)]) {
            for seed in 42..47 {
                let score = level + lead * gain + 0.001 * f64::from(seed - 44);
                writeln!(
                    trials,
                    "{method}{task}{seed},done,,{method},{seed},32,{task},{method},{seed},{score},60,10,5,65,294912,2,abc,false,"
                )
                .unwrap();
            }
        }
    }
    trials
}

fn page(root: &Path, scale: &str) -> String {
    let write = |path: &str, text: &str| write(root, path, text);
    let experiment = "name = \"glue\"\nquestion = \"?\"\nmetric = \"score\"\ninclude = [\"glue/rte.toml\"]\n";
    write("experiments/glue.toml", experiment);
    write("experiments/glue/rte.toml", "epochs = 80\n");
    write("experiments/claims.toml", CLAIMS);
    write(&format!("results/glue/{scale}/trials.csv"), &trials());
    draw(root, "glue", scale, &["table4", "confusion"]);
    rendered(root).unwrap()
}

#[test]
fn a_section_has_the_table_the_confusion_and_the_files_of_the_tasks() {
    let folder = tempfile::tempdir().unwrap();
    let page = page(folder.path(), "small");
    assert!(page.contains("Table 4, ours beside the paper") && page.contains("not to be compared with ours"));
    let is_bare = page.contains("<tr class=\"paper\">") && page.contains(">64.7 ± 2.33<");
    assert!(is_bare, "no difference at this scale");
    assert!(page.contains("Which label was taken for which") && page.contains("not equivalent"));
    assert!(page.contains("epochs = 80") && page.contains("<th scope=\"col\">task</th>"));
    assert!(page.contains("Head only") && !page.contains("No finetuning"));
    // Fifteen pairs over the tasks tell them apart, five on one task cannot.
    assert!(page.contains("▼</span>"), "LoRA is the baseline, the head alone is below it");
}

#[test]
fn claims_hold_over_the_tasks_that_were_run() {
    let folder = tempfile::tempdir().unwrap();
    let page = page(folder.path(), "small");
    let average = claim(&page, "average");
    assert!(average.contains("✓ reproduced") && average.contains(">3<"), "{average}");
    assert!(average.contains("score at 4 tasks: DeLoRA − LoRA"), "{average}");
    assert!(average.contains("Of the 4 tasks both have 3."), "{average}");
    let cola = claim(&page, "cola");
    assert!(cola.contains(">5<"), "of one task the seeds are units: {cola}");
    assert!(claim(&page, "printed").contains("shown, not judged"));
}

#[test]
fn at_the_papers_scale_an_average_is_judged_where_every_task_was_run() {
    let folder = tempfile::tempdir().unwrap();
    let page = page(folder.path(), "paper");
    let printed = claim(&page, "printed");
    // Tasks far apart do not widen the interval: only seeds do.
    assert!(printed.contains("✓ reproduced") && printed.contains(">0.769<"), "{printed}");
    let partly = claim(&page, "partly");
    assert!(partly.contains("shown, not judged") && partly.contains("Without stsb."), "{partly}");
    assert!(page.contains(">64.7 ± 2.33 (+0.0)<"), "ours less the paper's");
}
