//! Exams as lm-evaluation-harness holds them.

use std::fs;
use std::path::{Path, PathBuf};

use delora_core::{Bank, TrialConfig};
use finetune::Finite;
use llama_it::requests::prompts;
use llama_it::scoring::Scorer;
use llama_it::tasks::{self, Question};
use llama_it::{Evaluation, Network, metrics};
use serde_json::{Value, json};
use tch::Kind;

/// Of a sum of log-probabilities, of which one may be of a hundred tokens.
const TOLERANCE: f64 = 1e-3;
/// Our names of the harness's tasks.
const TASKS: [(&str, &str); 4] =
    [("mmlu", "mmlu"), ("arc", "arc_challenge"), ("mc1", "truthfulqa_mc1"), ("mc2", "truthfulqa_mc2")];
/// Where the paper's tasks look for the rows of each file.
const PLACES: [(&str, &str); 3] = [
    ("mmlu", "cais/mmlu/all/test"),
    ("arc", "allenai/ai2_arc/ARC-Challenge/test"),
    ("truthful_qa", "truthfulqa/truthful_qa/multiple_choice/validation"),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/lm_eval")
}

fn expected(name: &str) -> Value {
    serde_json::from_slice(&fs::read(folder().join(name)).unwrap()).unwrap()
}

/// The rows as a data folder has them.
fn data() -> tempfile::TempDir {
    let data = tempfile::tempdir().unwrap();
    for (file, place) in PLACES {
        let target = data.path().join(format!("{place}.jsonl"));
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(folder().join(format!("{file}.jsonl")), target).unwrap();
    }
    data
}

fn untrained(network: &Network) -> Bank {
    let none = json!({"method": {"name": "none"}, "learning_rate": {}, "seed": 0});
    let none: TrialConfig = serde_json::from_value(none).unwrap();
    Bank::new(&network.sites(), &[none], network.device).unwrap()
}

fn close(what: &str, ours: f64, reference: &Value, tolerance: f64) {
    let reference = reference.as_f64().unwrap();
    assert!((ours - reference).abs() <= tolerance, "{what}: {ours}, the harness has {reference}");
}

/// Largest difference of a log-likelihood over all tasks.
fn compare(begin: bool, variant: &Value) -> f64 {
    let network = Network::load(&folder().join("model"), Kind::Float).unwrap();
    let (bank, data) = (untrained(&network), data());
    let evaluation = Evaluation { data: data.path().to_owned(), tasks: None, begin, limit: None };
    let mut largest: f64 = 0.0;
    for task in tasks::load(None).unwrap() {
        let theirs = TASKS.iter().find(|(ours, _)| *ours == task.name).unwrap().1;
        let Some(reference) = variant.get(theirs) else { continue };
        let questions: Vec<Question> = task.questions(&evaluation).unwrap();
        let (prompts, places) = prompts(&questions, &network.tokenizer, begin, network.max_length()).unwrap();
        let scorer = Scorer {
            llama: &network.llama.network,
            bank: &bank,
            kind: Kind::Float,
            device: network.device,
            tokens_per_pass: 4096,
        };
        let scored = scorer.score(&prompts).remove(0).unwrap();
        let of_question = |choices: &Vec<(usize, usize)>| {
            let own = choices.iter().map(|&(prompt, continuation)| scored[prompt][continuation]);
            Finite::new(own.collect(), theirs, "a log-likelihood").unwrap()
        };
        let ours: Vec<Finite> = places.iter().map(of_question).collect();
        let of_harness = reference["loglikelihoods"].as_array().unwrap();
        assert!(ours.len() >= 50 && ours.len() == of_harness.len(), "{theirs}: {} questions", ours.len());
        for (question, (ours, reference)) in ours.iter().zip(of_harness).enumerate() {
            assert_eq!(ours.len(), reference.as_array().unwrap().len());
            for (choice, value) in ours.iter().enumerate() {
                close(
                    &format!("{theirs}, question {question}, choice {choice}"),
                    *value,
                    &reference[choice],
                    TOLERANCE,
                );
                largest = largest.max((value - reference[choice].as_f64().unwrap()).abs());
            }
        }
        let metrics = metrics::of_tasks(&[(&task, &questions, ours)]).metrics;
        // Accuracies are equal; a share of probability is as near as the log-likelihoods.
        let tolerance = if task.name == "mc2" { 1e-5 } else { 1e-12 };
        let own = if task.name == "mmlu" { "mmlu_by_question" } else { &task.name };
        // The old harness has no mean over all of MMLU.
        if let Some(accuracy) = reference.get("acc") {
            close(own, metrics[own], accuracy, tolerance);
        }
        if task.name == "arc" {
            close("arc_norm", metrics["arc_norm"], &reference["acc_norm"], tolerance);
        }
        if task.name == "mmlu" {
            close("mmlu", metrics["mmlu"], &reference["acc_by_subject"], tolerance);
            for (subject, accuracy) in reference["subjects"].as_object().unwrap() {
                close(subject, metrics[&format!("mmlu.{subject}")], accuracy, tolerance);
            }
        }
    }
    largest
}

#[test]
fn log_likelihoods_and_scores_are_the_harnesss_with_and_without_a_begin_token() {
    let expected = expected("expected.json");
    for (name, begin) in [("plain", false), ("begin", true)] {
        let largest = compare(begin, &expected["variants"][name]);
        println!("{name}: largest difference of a log-likelihood {largest:.1e}");
        let cut = expected["variants"][name]["mmlu"]["truncated"].as_array().unwrap().len();
        assert!(cut > 0, "no prompt is too long, so nothing is shown of those that are");
    }
}

#[test]
fn the_harness_of_the_papers_time_says_the_same() {
    let largest = compare(false, &expected("expected_old.json")["variants"]["plain"]);
    println!("largest difference of a log-likelihood {largest:.1e}");
}

#[test]
fn prompts_are_the_harnesss_word_for_word() {
    let (expected, data) = (expected("expected.json"), data());
    let evaluation = Evaluation { data: data.path().to_owned(), tasks: None, begin: false, limit: None };
    for task in tasks::load(None).unwrap() {
        let theirs = TASKS.iter().find(|(ours, _)| *ours == task.name).unwrap().1;
        let shown = &expected["prompts"][theirs];
        let question = &task.questions(&evaluation).unwrap()[shown["index"].as_u64().unwrap() as usize];
        assert_eq!(question.prompt, shown["context"].as_str().unwrap(), "{theirs}");
        let choices: Vec<String> = question.choices.iter().map(|choice| format!(" {choice}")).collect();
        assert_eq!(json!(choices), shown["continuations"], "{theirs}");
    }
}
