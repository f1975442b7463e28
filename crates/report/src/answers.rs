//! What a finetuned language model answers: instructions with the answers of each method of one seed, and those before.
//!
//! A trial's answers lie beside its pictures as `pictures/<trial id>.answers.json`: a list of objects with `instruction`,
//! `input` (which may be empty), `reference` and `answer`.

use std::collections::BTreeMap;
use std::path::Path;

use results::{NONE, Trial, Trials, rank};
use serde::Deserialize;

use crate::error::{ReportError, Result};
use crate::html::{Row, Table, escape};

/// Instructions shown, at most.
const MOST_INSTRUCTIONS: usize = 6;
/// Longer texts are cut off; a model that repeats itself would fill the page.
const MOST_LETTERS: usize = 600;
/// The method whose answers are those before finetuning.
const BEFORE: &str = NONE;

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Answer {
    instruction: String,
    #[serde(default)]
    input: String,
    reference: String,
    answer: String,
}

/// The table of answers; nothing where no trial left any.
pub fn html(results: &Trials) -> Result<String> {
    let mut found: Vec<(&Trial, Vec<Answer>)> = Vec::new();
    for trial in of_first_seed(results) {
        let answers = read_answers(&path(results, trial))?;
        if found.iter().all(|(known, _)| known.method != trial.method) {
            found.push((trial, answers));
        }
    }
    let Some((first, _)) = found.first() else { return Ok(String::new()) };
    let seed = first.seed.as_str();
    found.sort_by_key(|(trial, _)| trial.method != BEFORE);
    let mut header = vec!["instruction".to_owned(), "reference".to_owned()];
    let when = |method: &str| if method == BEFORE { "before" } else { "after" };
    header.extend(found.iter().map(|(trial, _)| {
        format!("{}: {}", when(&trial.method), escape(results.method_title(&trial.method)))
    }));
    // Who answers what is matched by the instruction, as trials may be of different data.
    let by_question: Vec<BTreeMap<(&str, &str), &str>> = found
        .iter()
        .map(|(_, answers)| answers.iter().map(|one| (one.key(), one.answer.as_str())).collect())
        .collect();
    let row = |asked: &Answer| {
        let mut cells = vec![asked.question(), text(&asked.reference)];
        let of =
            |answers: &BTreeMap<_, &str>| answers.get(&asked.key()).map_or("–".to_owned(), |one| text(one));
        cells.extend(by_question.iter().map(of));
        Row::of(cells)
    };
    let table = Table {
        caption: format!("<b>Sample answers</b> of seed {}, before finetuning and after it", escape(seed)),
        header,
        rows: found[0].1.iter().take(MOST_INSTRUCTIONS).map(row).collect(),
        attributes: "class=\"answers\"".to_owned(),
    };
    Ok(table.html())
}

impl Answer {
    fn key(&self) -> (&str, &str) {
        (&self.instruction, &self.input)
    }

    fn question(&self) -> String {
        match self.input.as_str() {
            "" => text(&self.instruction),
            input => format!("{}<br><small>{}</small>", text(&self.instruction), text(input)),
        }
    }
}

/// Trials with answers of the smallest seed that has any, in the order of the legends; of a search the best settings.
fn of_first_seed(results: &Trials) -> Vec<&Trial> {
    let has = |trial: &&Trial| trial.chosen && path(results, trial).exists();
    let with_answers: Vec<&Trial> = results.all().iter().filter(has).collect();
    let number = |trial: &Trial| trial.seed.parse::<u64>().unwrap_or(u64::MAX);
    let trained = with_answers.iter().filter(|trial| trial.method != BEFORE);
    let Some(first) = trained.min_by_key(|trial| number(trial)).or(with_answers.first()) else {
        return Vec::new();
    };
    let has_before = with_answers.iter().any(|trial| trial.method == BEFORE && trial.seed == first.seed);
    // No finetuning is the same for every seed, and may have been asked with one of them only.
    let counts = |trial: &&Trial| trial.seed == first.seed || trial.method == BEFORE && !has_before;
    let mut of_seed: Vec<&Trial> = with_answers.iter().copied().filter(counts).collect();
    of_seed.sort_by_key(|trial| (rank(&trial.method), trial.method.as_str()));
    of_seed
}

fn path(results: &Trials, trial: &Trial) -> std::path::PathBuf {
    results.folder().join("pictures").join(format!("{}.answers.json", trial.id))
}

fn read_answers(path: &Path) -> Result<Vec<Answer>> {
    let written = results::read(path, "run the trial again, it writes its answers")?;
    serde_json::from_str(&written)
        .map_err(|error| ReportError::Answers { path: path.to_path_buf(), message: error.to_string() })
}

/// Escaped, cut off where it is long.
fn text(text: &str) -> String {
    let text = text.trim();
    let mut letters = text.chars();
    let kept: String = letters.by_ref().take(MOST_LETTERS).collect();
    let rest = if letters.next().is_some() { " …" } else { "" };
    if text.is_empty() { "<i>nothing</i>".to_owned() } else { format!("{}{rest}", escape(&kept)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::results;

    fn asked(instruction: &str, answer: &str) -> String {
        format!(
            "{{\"instruction\": \"{instruction}\", \"input\": \"\", \"reference\": \"yes\", \"answer\": \"{answer}\"}}"
        )
    }

    #[test]
    fn answers_of_the_first_seed_stand_beside_those_of_no_finetuning() {
        let (folder, results) = results(
            "a,done,,lora,7,,1,lora,16,0.5,1,2,c,\nb,done,,lora,3,,1,lora,16,0.5,1,2,c,\n\
             c,done,,none,1,,1,none,16,0.5,1,2,c,\nd,done,,delora,3,,1,delora,16,0.5,1,2,c,\n",
        );
        assert_eq!(html(&results).unwrap(), "");
        let pictures = folder.path().join("pictures");
        std::fs::create_dir(&pictures).unwrap();
        let write = |id: &str, answers: &[String]| {
            let text = format!("[{}]", answers.join(", "));
            std::fs::write(pictures.join(format!("{id}.answers.json")), text).unwrap();
        };
        write("a", &[asked("Say <b>.", "of seed 7")]);
        write("b", &(0..9).map(|index| asked(&format!("Ask {index}."), "b")).collect::<Vec<_>>());
        write("c", &[asked("Ask 1.", &"c".repeat(700)), asked("Ask 0.", "")]);
        write("d", &[asked("Ask 0.", "a <d>")]);
        let html = html(&results).unwrap();
        let place = |text: &str| html.find(text).unwrap_or_else(|| panic!("no {text}: {html}"));
        let columns = ["before: No finetuning", "after: LoRA", "after: DeLoRA"].map(place);
        assert!(columns.is_sorted_by(|left, right| left < right), "{columns:?}");
        assert!(html.contains("of seed 3") && !html.contains("of seed 7"), "{html}");
        assert!(place("Ask 1.") < place("Ask 0."), "in the order of the first column's trial");
        for text in ["a &lt;d&gt;", "<i>nothing</i>", "ccc …"] {
            assert!(html.contains(text), "{html}");
        }
        assert_eq!(html.matches("<tr>").count(), 1 + 2);
    }

    #[test]
    fn a_damaged_file_is_named() {
        let (folder, results) = results("a,done,,lora,1,,1,lora,16,0.5,1,2,c,\n");
        std::fs::create_dir(folder.path().join("pictures")).unwrap();
        std::fs::write(folder.path().join("pictures/a.answers.json"), "[{}]").unwrap();
        let message = html(&results).unwrap_err().to_string();
        assert!(message.contains("a.answers.json") && message.contains("instruction"), "{message}");
    }
}
