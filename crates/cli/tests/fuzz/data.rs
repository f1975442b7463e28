//! Rows of GLUE's tasks, of instructions and of exams, and the file that describes exams.

use std::fs;
use std::path::Path;

use llama_it::conversations::{self, Wording};
use llama_it::templates::Columns;
use llama_it::{Evaluation, tasks};
use roberta_glue::data::{self, Split};
use roberta_glue::tasks::{TASKS, TextTask};
use roberta_glue::tokens::TextTokenizer;

use crate::case::{Case, Kind, Verdict};
use crate::worker::Shared;

pub const GLUE: Kind = Kind { name: "rows of GLUE", share: 14, attempt: glue };
pub const INSTRUCTIONS: Kind = Kind { name: "instructions", share: 8, attempt: instructions };
pub const EXAMS: Kind = Kind { name: "exams", share: 10, attempt: exams };

/// Rows of a text file: enough to have each label.
const ROWS: usize = 40;

/// A task's validation set as a text file.
fn tsv(task: &TextTask) -> String {
    let examples =
        data::read(Path::new("assets/mini/glue"), task, Split::Validation).expect("the corpus can be read");
    let mut text = format!("{}\t{}\n", task.columns.join("\t"), task.label);
    for example in examples.into_iter().take(ROWS) {
        let label =
            task.label_names.get(example.label as usize).map_or(example.label.to_string(), String::clone);
        text += &[example.texts, vec![label]].concat().join("\t");
        text += "\n";
    }
    text
}

fn glue(case: &mut Case, _: &mut Shared) -> Verdict {
    let known: Vec<&TextTask> =
        TASKS.iter().filter(|task| Path::new("assets/mini/glue").join(&task.name).is_dir()).collect();
    let task = *case.random.pick(&known);
    let data = case.folder.join("data");
    if case.random.percent(50) {
        let folder = data.join(&task.name);
        fs::create_dir_all(&folder).expect("temporary files can be written");
        case.damage_from(&folder.join("dev.tsv"), tsv(task).as_bytes());
    } else {
        case.linked(&Path::new("assets/mini/glue").join(&task.name), &format!("data/{}", task.name));
        let file = case.any_file(&data, |path| path.to_string_lossy().contains("validation"));
        case.damage(&file);
    }
    // Where the file is gone, the folder lacks it.
    case.blamed.push(data.join(&task.name).display().to_string());
    let examples = match data::read(&data, task, Split::Validation) {
        Ok(examples) => examples,
        Err(error) => return Verdict::Refused(format!("{:#}", anyhow::Error::from(error))),
    };
    let tokenizer =
        TextTokenizer::open(Path::new("assets/mini/encoder"), 64).expect("the mini encoder can be read");
    let encoded = tokenizer.encode_all(examples.iter().map(|example| example.texts.as_slice()));
    let last = task.label_names.len().checked_sub(1).map_or(5.0, |last| last as f32);
    if let Some(example) = examples.iter().find(|example| !(0.0..=last).contains(&example.label)) {
        return Verdict::Wrong(format!("taken with the label {}", example.label));
    }
    match encoded.iter().any(|encoded| encoded.ids.is_empty() || encoded.ids.len() > 64) {
        true => Verdict::Wrong("taken with a text of no tokens, or of too many".to_owned()),
        false => Verdict::Taken,
    }
}

/// The first rows of a file of the mini world.
fn head(name: &str, rows: usize) -> String {
    let text =
        fs::read_to_string(Path::new("assets/mini/instruct").join(name)).expect("the corpus can be read");
    text.lines().take(rows).map(|line| format!("{line}\n")).collect()
}

fn instructions(case: &mut Case, _: &mut Shared) -> Verdict {
    let lines = head("alpaca.jsonl", ROWS);
    let cells = |separator: &str| {
        let row = |line: &str| {
            let row: serde_json::Value = serde_json::from_str(line).expect("the corpus has rows");
            ["instruction", "input", "output"].map(|name| row[name].to_string()).join(separator) + "\n"
        };
        format!(
            "{}\n{}",
            ["instruction", "input", "output"].join(separator),
            lines.lines().map(row).collect::<String>()
        )
    };
    let (name, text) = match *case.random.pick(&["jsonl", "json", "csv", "tsv"]) {
        "json" => ("rows.json", format!("[{}]", lines.trim().replace('\n', ",\n"))),
        "csv" => ("rows.csv", cells(",")),
        "tsv" => ("rows.tsv", cells("\t")),
        _ => ("rows.jsonl", lines),
    };
    let path = case.folder.join(name);
    case.damage_from(&path, text.as_bytes());
    match conversations::read(&path, &Wording::Alpaca, &Columns::default()) {
        Ok(rows) if rows.is_empty() => Verdict::Wrong("taken without rows".to_owned()),
        Ok(_) => Verdict::Taken,
        Err(error) => Verdict::Refused(format!("{:#}", anyhow::Error::from(error))),
    }
}

fn exams(case: &mut Case, _: &mut Shared) -> Verdict {
    for name in ["mmlu", "arc", "truthful_qa"] {
        let file = format!("{name}.jsonl");
        fs::write(case.folder.join(&file), head(&file, ROWS)).expect("temporary files can be written");
    }
    case.linked(Path::new("assets/mini/instruct/tasks.toml"), "tasks.toml");
    let folder = case.folder.clone();
    let of_tasks = case.random.percent(50);
    let file = case.any_file(&folder, |path| path.ends_with("tasks.toml") == of_tasks);
    case.damage(&file);
    let evaluation = Evaluation {
        data: folder.clone(),
        tasks: Some(folder.join("tasks.toml")),
        begin: false,
        limit: Some(8),
    };
    let tasks = match tasks::load(evaluation.tasks.as_deref()) {
        Ok(tasks) => tasks,
        Err(error) => return Verdict::Refused(format!("{:#}", anyhow::Error::from(error))),
    };
    // A description may be right by itself and not fit the rows.
    case.blamed.push(folder.display().to_string());
    for task in tasks {
        match task.questions(&evaluation) {
            Ok(questions) => {
                if let Some(question) = questions.iter().find(|own| own.choices.len() != own.is_true.len()) {
                    return Verdict::Wrong(format!("taken with {} choices", question.choices.len()));
                }
            }
            Err(error) => return Verdict::Refused(format!("{:#}", anyhow::Error::from(error))),
        }
    }
    Verdict::Taken
}
