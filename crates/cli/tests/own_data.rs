//! The experiments of docs/own-data.md on files as people have them: reviews in CSV, problems in JSON Lines, and chats.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The experiments of the page, each at most 25 lines long.
fn experiments() -> Vec<String> {
    let page = fs::read_to_string(root().join("docs/own-data.md")).unwrap();
    let blocks = page.split("```toml experiment\n").skip(1);
    let blocks: Vec<String> = blocks.map(|block| block.split("```").next().unwrap().to_owned()).collect();
    assert!(blocks.len() == 2 && blocks.iter().all(|block| block.lines().count() <= 25));
    blocks
}

/// `text` with the line that begins with each key replaced by other lines.
fn with_lines(text: &str, lines: &[(&str, &str)]) -> String {
    let line = |own: &str| {
        let found = lines.iter().find(|(key, _)| own.starts_with(&format!("{key} = ")));
        found.map_or_else(|| own.to_owned(), |(_, other)| (*other).to_owned()) + "\n"
    };
    let is_there = |key: &str| text.lines().any(|own| own.starts_with(&format!("{key} = ")));
    assert!(lines.iter().all(|(key, _)| is_there(key)));
    text.lines().map(line).collect()
}

fn run(folder: &Path, experiment: &str, sets: &[&str]) -> Output {
    run_with(folder, experiment, &["--no-figures"], sets)
}

fn run_with(folder: &Path, experiment: &str, options: &[&str], sets: &[&str]) -> Output {
    let file = folder.join("own.toml");
    fs::write(&file, experiment).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_delora"));
    command.current_dir(root()).env("OMP_NUM_THREADS", "1");
    command.arg("run").arg(&file).arg("--quiet").args(options);
    command.arg("--results").arg(folder.join("results"));
    for set in ["bank=3", "seeds=[0]", "epochs=1", "nuisance.learning_rate_multiplier=[1]"].iter().chain(sets)
    {
        command.args(["--set", set]);
    }
    command.output().unwrap()
}

/// The values of a column of the trials that were run.
fn column(folder: &Path, experiment: &str, name: &str) -> Vec<String> {
    let path = folder.join(format!("results/{experiment}/mini/trials.csv"));
    let mut reader = csv::Reader::from_path(path).unwrap();
    let place = reader.headers().unwrap().iter().position(|column| column == name).unwrap();
    reader.records().map(|record| record.unwrap()[place].to_owned()).collect()
}

fn assert_done(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn reviews_in_csv_are_learnt_and_a_row_without_a_known_label_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let reviews = |count: usize, label: &str| {
        let words = [("loga, \"dear\"", "positive"), ("dull zuna", "negative")];
        let row = |index: usize| {
            let (what, label) = words[index % 2];
            format!("\"The {} sees\na bean {index} times\",{label}\n", what.replace('"', "\"\""))
        };
        let rows: String = (0..count).map(row).collect();
        fs::write(folder.join(format!("{label}.csv")), format!("review,sentiment\n{rows}")).unwrap();
    };
    reviews(40, "train");
    reviews(20, "test");
    let [train, test] =
        ["train", "test"].map(|name| folder.join(name).with_extension("csv").display().to_string());
    let (train, test) = (format!("dataset.train = '{train}'"), format!("dataset.validation = '{test}'"));
    let experiment = with_lines(
        &experiments()[0],
        &[
            ("dataset.train", &train),
            ("dataset.validation", &test),
            ("dataset.columns", "dataset.columns = ['review']\ndataset.label = 'sentiment'"),
        ],
    );
    let output = run(folder, &experiment, &[]);
    assert_done(&output);
    assert_eq!(column(folder, "reviews", "status"), ["done"; 3]);
    assert!(column(folder, "reviews", "score").iter().all(|score| score.parse::<f64>().unwrap() >= 0.0));
    let file = folder.join("test.csv");
    let text = fs::read_to_string(&file).unwrap().replacen("positive", "mixed", 1);
    fs::write(&file, text).unwrap();
    let output = run(folder, &experiment, &[]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("test.csv: line 2: `sentiment` is `mixed`"), "{said}");
}

#[test]
fn problems_in_json_lines_and_chats_are_learnt_and_what_rows_lack_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let file = folder.join("rows.jsonl");
    let instructions = format!("instructions = '{}'", file.display());
    let problem = |index: usize| {
        format!(
            "{{\"query\": \"What is {index} + 1?\", \"response\": \"It is {}.\", \"type\": \"sum\"}}\n",
            index + 1
        )
    };
    fs::write(&file, (0..40).map(problem).collect::<String>()).unwrap();
    let problems = with_lines(
        &experiments()[1],
        &[
            ("instructions", &instructions),
            ("template", "template = \"Problem ({{ type }}): {{ query }}\\nSolution: \""),
            ("columns.output", "columns.output = 'response'"),
        ],
    );
    assert_done(&run(folder, &problems, &[]));
    assert_eq!(column(folder, "answers", "status"), ["done"; 3]);
    assert!(column(folder, "answers", "test_loss").iter().all(|loss| loss.parse::<f64>().unwrap() > 0.0));
    let output = run(folder, &problems.replace("query", "question"), &[]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("line 1: `template` cannot be filled") && said.contains("query, response, type"),
        "{said}"
    );

    let chat = |index: usize| {
        let turn = format!(
            "{{\"role\": \"user\", \"content\": \"And {index}?\"}}, {{\"role\": \"assistant\", \"content\": \"Yes.\"}}"
        );
        format!("{{\"messages\": [{turn}, {turn}]}}\n")
    };
    fs::write(&file, (0..40).map(chat).collect::<String>()).unwrap();
    let chats = with_lines(
        &experiments()[1],
        &[
            ("name", "name = \"chats\""),
            ("instructions", &instructions),
            ("template", "chat_template = true"),
            ("columns.output", "columns.messages = 'messages'"),
        ],
    );
    assert_done(&run(folder, &chats, &[]));
    assert_eq!(column(folder, "chats", "status"), ["done"; 3]);
    let strange =
        r#"{"messages": [{"role": "tool", "content": "?"}, {"role": "assistant", "content": "!"}]}"#;
    fs::write(&file, format!("{}{strange}\n", chat(0))).unwrap();
    let output = run(folder, &chats, &[]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("line 2") && said.contains("the roles are user and assistant, found tool"),
        "{said}"
    );
}

/// The last block of TOML on the page that describes exams.
fn exams() -> String {
    let page = fs::read_to_string(root().join("docs/own-data.md")).unwrap();
    let at = page.find("```toml\n[[task]]").unwrap() + "```toml\n".len();
    page[at..].split("```").next().unwrap().to_owned()
}

#[test]
fn exams_of_ones_own_have_a_table_and_a_figure() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("exams.toml"), exams()).unwrap();
    let sum = |index: usize| {
        let choices = format!("[\"{}\", \"{}\", \"none\"]", index + 2, index + 1);
        format!("{{\"question\": \"What is {index} + 1?\", \"choices\": {choices}, \"answer\": 1}}\n")
    };
    fs::write(folder.join("sums.jsonl"), (0..8).map(sum).collect::<String>()).unwrap();
    let (data, tasks) = (folder.display(), folder.join("exams.toml"));
    let instructions = "instructions = \"assets/mini/instruct/alpaca.jsonl\"";
    let evaluation =
        format!("{instructions}\nevaluation = {{ data = '{data}', tasks = '{}' }}", tasks.display());
    let experiment = with_lines(
        &experiments()[1],
        &[
            ("figures", "figures = ['exams']"),
            ("instructions", &evaluation),
            ("metric", "metric = 'average'"),
            ("direction", "direction = 'maximize'"),
        ],
    );
    let plots = folder.join("plots");
    assert_done(&run_with(
        folder,
        &experiment,
        &["--plots", &plots.display().to_string()],
        &["train_limit=32"],
    ));
    assert_eq!(column(folder, "answers", "sums"), column(folder, "answers", "average"));
    let drawn = plots.join("answers/mini");
    let table = fs::read_to_string(drawn.join("exams.md")).unwrap();
    assert!(table.contains("| sums") && table.contains("| DeLoRA"), "{table}");
    assert!(drawn.join("exams.png").is_file() && drawn.join("pairs.md").is_file());
}
