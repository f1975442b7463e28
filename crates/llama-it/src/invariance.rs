//! A trial's result does not depend on its bank, on passes, on recomputation or on an interruption.

use std::path::Path;

use delora_core::Bank;
use finetune::BankHook;
use finetune::testing::{self, assert_goes_on, losses, run_bank, with};
use runner::{Outcome, Status};
use serde_json::{Value, json};
use tch::{Kind, Tensor};

use crate::Instruct;
use crate::fixture::{self, lora, trial};
use crate::generate::{Generator, Sampling};
use crate::requests::Prompt;
use crate::scoring::Scorer;
use crate::settings::{Settings, trial_of};
use crate::world::Network;

pub(crate) fn run(configs: &[Value]) -> (Vec<Outcome>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let outcomes =
        run_bank(&Instruct::new(String::new()), configs, folder.path(), (u64::MAX, false)).unwrap();
    let answers = outcomes
        .iter()
        .map(|outcome| std::fs::read_to_string(folder.path().join(&outcome.artifacts["answers"])).unwrap());
    let answers = answers.collect();
    (outcomes, answers)
}

fn assert_alike(left: &Outcome, right: &Outcome, what: &str) {
    testing::assert_alike(left, right, what, (left.metrics.keys().map(String::as_str), 1e-3));
}

fn bank(world: &Path) -> Vec<Value> {
    let wild = json!({"name": "lora", "rank": 4, "alpha": 8.0, "learning_rate": {"angles": 1e30}});
    let delora = json!({"name": "delora", "rank": 4, "lambda": 4.0,
        "learning_rate": {"angles": 1e-2, "strength": 1e-2}});
    let dora = json!({"name": "dora", "rank": 4, "alpha": 8.0,
        "learning_rate": {"angles": 2e-3, "magnitude": 2e-3}});
    let ether = json!({"name": "ether_plus", "blocks": 2, "learning_rate": {"angles": 1e-2}});
    let full = json!({"name": "full", "learning_rate": {"weight": 1e-3}});
    let methods = [wild, lora(), delora, dora, ether, full];
    methods.into_iter().zip(1..).map(|(method, seed)| trial(world, method, seed)).collect()
}

#[test]
fn a_trial_alone_equals_itself_in_a_mixed_bank_beside_one_that_diverges() {
    let world = fixture::world();
    let bank = bank(world.path());
    let (together, answers) = run(&bank);
    assert!(matches!(together[0].status, Status::Diverged { .. }), "{:?}", together[0].status);
    for trial in 1..bank.len() {
        let (alone, answer) = run(std::slice::from_ref(&bank[trial]));
        let name = bank[trial]["method"]["name"].as_str().unwrap();
        assert_alike(&alone[0], &together[trial], name);
        assert_eq!(answer[0], answers[trial], "{name}");
        assert_eq!(losses(&alone[0]).len(), 6);
        assert!(alone[0].metrics["mean_distance"] > 1e-3, "{name} has not moved");
    }
}

#[test]
fn results_do_not_depend_on_passes_or_on_recomputation() {
    let world = fixture::world();
    for trial in &bank(world.path())[1..] {
        let (whole, _) = run(std::slice::from_ref(trial));
        let name = trial["method"]["name"].as_str().unwrap();
        let (parts, _) = run(&[with(trial.clone(), "tokens_per_pass", json!(300))]);
        assert_alike(&whole[0], &parts[0], name);
        let (again, _) = run(&[with(trial.clone(), "checkpointing", json!(true))]);
        assert_alike(&whole[0], &again[0], name);
    }
    let by_example = with(trial(world.path(), lora(), 2), "loss_mean", json!("examples"));
    assert_ne!(losses(&run(&[by_example]).0[0]), losses(&run(&[trial(world.path(), lora(), 2)]).0[0]));
}

#[test]
fn an_interrupted_bank_goes_on_to_the_same_results() {
    let world = fixture::world();
    // Progress is told of each tenth step and of the last.
    let longer = |config: &Value| with(config.clone(), "epochs", json!(5));
    let bank: Vec<Value> = bank(world.path())[1..4].iter().map(longer).collect();
    let folder = tempfile::tempdir().unwrap();
    assert_goes_on(&Instruct::new(String::new()), &bank, folder.path()).unwrap();
}

/// A bank of trials whose parameters are away from their start.
fn trained(network: &Network, configs: &[Value]) -> Bank {
    let trials: Vec<_> =
        configs.iter().map(|config| trial_of(&Settings::read(config).unwrap(), 10)).collect();
    let mut bank = Bank::new(&network.sites(), &trials, network.device).unwrap();
    for slot in 0..bank.num_trials() {
        for own in bank.parameter_names(slot).into_iter().filter(|own| own.trained) {
            let value = bank.parameter(&own.site, slot, own.name).unwrap() + 0.05;
            bank.set_parameter(&own.site, slot, own.name, &value).unwrap();
        }
    }
    bank
}

#[test]
fn shared_prompts_score_as_each_choice_by_itself_does() {
    let world = fixture::world();
    let network = Network::load(&world.path().join("model"), Kind::Float).unwrap();
    let bank = trained(&network, &bank(world.path())[1..]);
    let tokens = |text: &str| network.tokenizer.encode(text);
    let prompt = |context: &str, continuations: &[&str]| Prompt {
        context: tokens(context),
        continuations: continuations.iter().map(|text| tokens(text)).collect(),
    };
    let prompts = [
        prompt("Q: one?\nA:", &[" yes", " n", " perhaps so", ""]),
        prompt("Which of these is the longer prompt?", &[" this one", " a"]),
        prompt("?", &[" short"]),
    ];
    let llama = &network.llama.network;
    let scorer = |tokens_per_pass| Scorer {
        llama,
        bank: &bank,
        kind: Kind::Float,
        device: network.device,
        tokens_per_pass,
    };
    let score = |tokens_per_pass| scorer(tokens_per_pass).score(&prompts).into_iter().map(Option::unwrap);
    let [shared, narrow] = [10_000, 1].map(|tokens_per_pass| score(tokens_per_pass).collect::<Vec<_>>());
    let hook = BankHook::new(&bank);
    let trials = bank.num_trials() as i64;
    for (index, prompt) in prompts.iter().enumerate() {
        for (place, continuation) in prompt.continuations.iter().enumerate() {
            let whole: Vec<i64> = prompt.context.iter().chain(continuation).copied().collect();
            let ids = Tensor::from_slice(&whole).unsqueeze(0).repeat([trials, 1]);
            let logs = gradient_mode::off(|| llama.logits(&llama.forward(&ids, Kind::Float, &hook), &hook));
            let logs = logs.log_softmax(-1, Kind::Double);
            for slot in 0..bank.num_trials() {
                let of_token = |at: usize| logs.double_value(&[slot as i64, at as i64 - 1, whole[at]]);
                let alone: f64 = (prompt.context.len()..whole.len()).map(of_token).sum();
                for scored in [&shared, &narrow] {
                    let gap = (scored[slot][index][place] - alone).abs();
                    assert!(gap < 1e-4, "slot {slot}, prompt {index}, continuation {place}: {gap}");
                }
            }
        }
    }
    assert_ne!(shared[0][0][0], shared[1][0][0], "trials differ");
}

#[test]
fn sampling_with_a_cache_is_sampling_without_and_a_row_does_not_see_others() {
    let world = fixture::world();
    let network = Network::load(&world.path().join("model"), Kind::Float).unwrap();
    let bank = trained(&network, &bank(world.path())[1..3]);
    let prompts = ["A cat", "The old dog says"].map(|text| network.tokenizer.encode(text)).to_vec();
    let generator = Generator { network: &network, bank: &bank };
    let greedy = generator.generate(&prompts, 12, Sampling::GREEDY, 1);
    let (llama, hook) = (&network.llama.network, BankHook::new(&bank));
    for (row, prompt) in prompts.iter().enumerate() {
        let mut rows = vec![prompt.clone(); 2];
        for step in 0..12 {
            let length = rows[0].len() as i64;
            let ids = Tensor::from_slice(&rows.concat()).view([2, length]);
            let logits = gradient_mode::off(|| llama.logits(&llama.forward(&ids, Kind::Float, &hook), &hook));
            let next = Vec::<i64>::try_from(logits.select(1, length - 1).argmax(-1, false)).unwrap();
            for slot in 0..2 {
                if let Some(&token) = greedy[slot][row].get(step) {
                    assert_eq!(token, next[slot], "slot {slot}, row {row}, step {step}");
                }
                rows[slot].push(next[slot]);
            }
        }
    }
    assert!(greedy.iter().flatten().any(|ids| ids.len() > 3));
    let warm = Sampling { temperature: 1.0, top_p: 0.9 };
    let sampled = generator.generate(&prompts, 12, warm, 1);
    assert_eq!(sampled, generator.generate(&prompts, 12, warm, 1));
    assert_ne!(sampled, generator.generate(&prompts, 12, warm, 2));
    assert_eq!(sampled[0][0], generator.generate(&prompts[..1], 12, warm, 1)[0][0]);
}
