//! A trial's identity follows every file that its task opens: model, tokenizer, instructions, exams.

use finetune::testing::unnoticed;
use runner::Workload;
use tch::Kind;

use crate::Instruct;
use crate::fixture::{self, lora, trial};
use crate::settings::Settings;
use crate::world::{Corpus, Exams, Network};

#[test]
fn a_trial_is_another_after_a_change_of_any_file_that_it_opens() {
    let folder = fixture::world();
    let config = trial(folder.path(), lora(), 1);
    let settings = Settings::read(&config).unwrap();
    let load = || {
        let network = Network::load(&settings.model, Kind::Float)?;
        Ok((Corpus::read(&settings, &network)?, Exams::read(&settings, &network)?))
    };
    let (opened, unnoticed) = unnoticed(load, || Instruct::new(String::new()).validate(&config)).unwrap();
    assert_eq!(unnoticed, [""; 0], "these change without a new identity");
    let named = ["model/config.json", "model/tokenizer.json", "alpaca.jsonl", "tasks.toml", "quiz.jsonl"];
    for name in named {
        let path = folder.path().join(name).display().to_string();
        assert!(opened.contains(&path), "{name} is not opened, but {opened:?}");
    }
}
