//! What all trials of a model share: the frozen decoder, the examples as token ids, and the questions.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use delora_core::Site;
use finetune::shortfall;
use models::Loaded;
use models::decoder::{Decoder, DecoderConfig, load_decoder};
use tch::{Device, Kind};

use crate::alpaca;
use crate::conversations::{self, Conversation, Wording};
use crate::examples::Example;
use crate::requests::{Places, Prompt, prompts};
use crate::settings::{Evaluation, Settings};
use crate::tasks::{self, Question, Task};
use crate::tokens::TextTokenizer;

/// A frozen decoder with its tokenizer.
pub struct Network {
    pub llama: Loaded<Decoder>,
    pub tokenizer: TextTokenizer,
    /// Of the weights, and in which the network computes.
    pub kind: Kind,
    pub device: Device,
}

impl Network {
    /// Errors: a folder that is not of a decoder of a known family; a tokenizer that is not its.
    pub fn load(folder: &Path, kind: Kind) -> Result<Network> {
        let device = device::here();
        let llama = load_decoder(folder, kind, device).with_context(|| {
            format!(
                "{}: not a folder of a Llama, Mistral or Qwen decoder in Hugging Face's layout",
                folder.display()
            )
        })?;
        let tokenizer = TextTokenizer::open(folder, llama.network.config())?;
        Ok(Network { llama, tokenizer, kind, device })
    }

    pub fn config(&self) -> &DecoderConfig {
        self.llama.network.config()
    }

    /// The longest sequence.
    pub fn max_length(&self) -> usize {
        usize::try_from(self.config().max_position_embeddings).unwrap_or(0)
    }

    /// What can be adapted.
    pub fn sites(&self) -> Vec<Site> {
        finetune::sites(&self.llama)
    }
}

/// Examples to learn from, to be tested on, and to be answered.
pub struct Corpus {
    pub train: Vec<Example>,
    pub test: Vec<Example>,
    /// The test set's conversations, in its order.
    pub conversations: Vec<Conversation>,
}

impl Corpus {
    /// Errors: see [`conversations::read`]; a length beyond the decoder's.
    pub fn read(settings: &Settings, network: &Network) -> Result<Corpus> {
        let longest = network.max_length();
        if settings.max_length > longest {
            bail!(
                "max_length: found {}; the positions of the decoder in {} end at {longest}",
                settings.max_length,
                settings.model.display()
            );
        }
        let all = conversations::read(&settings.instructions, &Wording::of(settings)?, &settings.columns)?;
        let [train, test] = alpaca::split(all.len(), settings.test_share);
        let chosen = |indices: Vec<usize>, limit: Option<usize>| -> Vec<Conversation> {
            indices.into_iter().take(limit.unwrap_or(usize::MAX)).map(|index| all[index].clone()).collect()
        };
        let (train, test) = (chosen(train, settings.train_limit), chosen(test, settings.test_limit));
        let examples = |conversations: &[Conversation]| -> Vec<Example> {
            let example =
                |own| Example::new(own, &network.tokenizer, settings.max_length, settings.loss_on());
            conversations.iter().map(example).collect()
        };
        let (train, of_test) = (examples(&train), examples(&test));
        if train.iter().all(|example| example.num_targets() == 0) {
            bail!(
                "max_length: found {}; no example in {} has a response within it",
                settings.max_length,
                settings.instructions.display()
            );
        }
        Ok(Corpus { train, test: of_test, conversations: test })
    }
}

/// Questions of one task.
pub struct Exam {
    pub task: Task,
    pub questions: Vec<Question>,
    /// Places of the choices among the prompts of all exams.
    pub places: Places,
}

/// All tasks' questions, their prompts together: tasks that share prompts share their reading.
pub struct Exams {
    pub exams: Vec<Exam>,
    pub prompts: Vec<Prompt>,
}

impl Exams {
    pub fn read(settings: &Settings, network: &Network) -> Result<Exams> {
        let Some(evaluation) = &settings.evaluation else {
            return Ok(Exams { exams: Vec::new(), prompts: Vec::new() });
        };
        let tasks = tasks::load(evaluation.tasks.as_deref())?;
        let asked = tasks.into_iter().map(|task| {
            let questions = task.questions(evaluation)?;
            Ok((task, questions))
        });
        let asked = asked.collect::<Result<Vec<(Task, Vec<Question>)>>>()?;
        let all: Vec<Question> = asked.iter().flat_map(|(_, questions)| questions.clone()).collect();
        let (prompts, places) = prompts(&all, &network.tokenizer, evaluation.begin, network.max_length())
            .with_context(|| format!("{}: the tasks do not fit the decoder", settings.model.display()))?;
        let mut places = places.into_iter();
        let exams = asked.into_iter().map(|(task, questions)| {
            let places = places.by_ref().take(questions.len()).collect();
            Exam { task, questions, places }
        });
        Ok(Exams { exams: exams.collect(), prompts })
    }
}

/// Where instructions or questions are fewer than the settings ask for at most.
pub fn shortfalls(settings: &Settings) -> Result<Vec<String>> {
    let [train, test] = alpaca::split(conversations::count(&settings.instructions)?, settings.test_share);
    let of = |set: &str| format!("the {set} set of {}", settings.instructions.display());
    let tested = settings.test_limit.unwrap_or(test.len()).min(test.len());
    let mut found = vec![
        shortfall("train_limit", settings.train_limit, train.len(), &of("training")),
        shortfall("test_limit", settings.test_limit, test.len(), &of("test")),
        shortfall("answers", Some(settings.answers), tested, &of("test")),
    ];
    if let Some(Evaluation { data, tasks, limit: limit @ Some(_), .. }) = &settings.evaluation {
        for task in tasks::load(tasks.as_deref())? {
            found.push(shortfall("evaluation.limit", *limit, task.count(data)?, &format!("`{}`", task.name)));
        }
    }
    Ok(found.into_iter().flatten().collect())
}

/// Files that a trial's result depends on.
pub fn files(settings: &Settings) -> Result<Vec<PathBuf>> {
    let model = |name: &str| settings.model.join(name);
    let mut files = vec![model("config.json"), model("tokenizer.json")];
    files.extend(models::weight_files(&settings.model)?);
    files.extend(conversations::files(settings)?);
    if let Some(Evaluation { data, tasks, .. }) = &settings.evaluation {
        for task in tasks::load(tasks.as_deref())? {
            files.extend(task.files(data)?);
        }
        files.extend(tasks.clone());
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::{Value, json};

    use super::*;
    use crate::fixture::{self, lora, trial};

    struct World(tempfile::TempDir);

    impl World {
        fn new() -> World {
            World(fixture::world())
        }

        fn at(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn settings(&self, change: impl Fn(&mut Value)) -> Settings {
            let mut config = trial(self.0.path(), lora(), 1);
            change(&mut config);
            Settings::read(&config).unwrap()
        }

        /// What loading everything says.
        fn problem(&self, change: impl Fn(&mut Value)) -> String {
            let settings = self.settings(change);
            let loaded = Network::load(&settings.model, Kind::Float).and_then(|network| {
                Corpus::read(&settings, &network)?;
                Exams::read(&settings, &network).map(drop)
            });
            format!("{:#}", loaded.unwrap_err())
        }

        /// `change` of the model's configuration.
        fn reconfigure(&self, change: impl Fn(&mut Value)) {
            let path = self.at("model/config.json");
            let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            change(&mut config);
            fs::write(path, config.to_string()).unwrap();
        }
    }

    #[test]
    fn a_tokenizer_of_another_checkpoint_and_a_folder_of_another_model_are_named() {
        let world = World::new();
        world.reconfigure(|config| config["vocab_size"] = json!(258));
        let message = world.problem(|_| ());
        assert!(message.contains("tensor `model.embed_tokens.weight` has shape [259, 32]"), "{message}");
        let world = World::new();
        let mut tokenizer = crate::fixture::tokenizer();
        tokenizer["model"]["vocab"]["more"] = json!(259);
        fs::write(world.at("model/tokenizer.json"), tokenizer.to_string()).unwrap();
        let message = world.problem(|_| ());
        assert!(message.contains("has 260 tokens, and the model's vocab_size is 259"), "{message}");
        world.reconfigure(|config| config["model_type"] = json!("gemma2"));
        let message = world.problem(|_| ());
        let is_named = message.contains("not a folder of a Llama, Mistral or Qwen decoder")
            && message.contains("gemma2");
        assert!(is_named, "{message}");
        fs::remove_file(world.at("model/tokenizer.json")).unwrap();
        world.reconfigure(|config| config["model_type"] = json!("llama"));
        assert!(world.problem(|_| ()).contains("there is no tokenizer.json"));
    }

    #[test]
    fn a_length_beyond_the_positions_is_refused_and_a_choice_that_leaves_no_room_too() {
        let world = World::new();
        let message = world.problem(|config| config["max_length"] = json!(257));
        assert!(message.contains("max_length: found 257") && message.contains("end at 256"), "{message}");
        let long = json!({"question": "?", "choices": ["a", "x".repeat(300), "b"], "labels": [1, 0, 0],
            "answer": 0, "subject": "cat"});
        fs::write(world.at("quiz.jsonl"), long.to_string()).unwrap();
        let message = world.problem(|_| ());
        assert!(message.contains("a choice of 301 tokens; the model takes 256"), "{message}");
        // A prompt that is too long loses its beginning.
        let long = json!({"question": "word ".repeat(100), "choices": ["a", "b", "c"], "labels": [1, 0, 0],
            "answer": 0, "subject": "cat"});
        fs::write(world.at("quiz.jsonl"), long.to_string()).unwrap();
        let settings = world.settings(|_| ());
        let network = Network::load(&settings.model, Kind::Float).unwrap();
        let exams = Exams::read(&settings, &network).unwrap();
        assert_eq!(exams.prompts[0].context.len() + exams.prompts[0].continuations[0].len(), 257);
        assert_eq!(exams.prompts[0].context.last(), network.tokenizer.encode("Q: A:").last());
    }

    #[test]
    fn a_limit_beyond_instructions_or_questions_is_named_with_what_is_used() {
        let world = World::new();
        assert!(shortfalls(&world.settings(|_| ())).unwrap().is_empty());
        let settings = world.settings(|config| {
            config["train_limit"] = json!(25);
            config["test_limit"] = json!(7);
            config["answers"] = json!(8);
            config["evaluation"]["limit"] = json!(10);
        });
        let said = shortfalls(&settings).unwrap();
        let of = |set: &str, found: usize| {
            let file = world.at("alpaca.jsonl");
            format!("the {set} set of {} has {found}: all of them are used", file.display())
        };
        assert_eq!(said[0], format!("train_limit is 25, and {}", of("training", 24)));
        assert_eq!(said[1], format!("test_limit is 7, and {}", of("test", 6)));
        assert_eq!(said[2], format!("answers is 8, and {}", of("test", 6)));
        assert_eq!(said[3], "evaluation.limit is 10, and `letters` has 9: all of them are used");
        assert_eq!(said.len(), 6, "each of three tasks");
    }

    #[test]
    fn a_row_that_is_no_instruction_is_named_by_its_line() {
        let world = World::new();
        let good = r#"{"instruction": "Say it", "input": "", "output": "it"}"#;
        let message = |bad: &[u8]| {
            fs::write(world.at("alpaca.jsonl"), [good.as_bytes(), b"\n", bad, b"\n"].concat()).unwrap();
            world.problem(|_| ())
        };
        let broken = message(b"{\"instruction\": \"Say it\", \"output\": ");
        assert!(broken.contains("alpaca.jsonl: line 2: not JSON"), "{broken}");
        let missing = message(br#"{"instruction": "Say it", "response": "it"}"#);
        let keys = "line 2: `output` is missing; the row has instruction, response";
        assert!(missing.contains(keys), "{missing}");
        let number = message(br#"{"instruction": "Say it", "output": 3}"#);
        assert!(number.contains("line 2: `output` is 3; it should be a text"), "{number}");
        let encoding = message(b"{\"instruction\": \"Say \xff\", \"output\": \"it\"}");
        assert!(encoding.contains("line 2: is not UTF-8"), "{encoding}");
        fs::write(world.at("alpaca.jsonl"), "").unwrap();
        assert!(world.problem(|_| ()).contains("alpaca.jsonl: has no rows"));
        let none = world.problem(|config| config["instructions"] = json!(world.at("none")));
        assert!(none.contains("none: there are no rows at any of data/train"), "{none}");
    }

    #[test]
    fn an_empty_response_is_a_response_that_ends_at_once() {
        let world = World::new();
        let rows = r#"[{"instruction": "Be silent", "input": "", "output": ""},
                       {"instruction": "Say it", "output": "it"}]"#;
        fs::write(world.at("alpaca.json"), rows).unwrap();
        let read = |loss_on: &str, max_length: usize| {
            let settings = world.settings(|config| {
                config["instructions"] = json!(world.at("alpaca.json"));
                config["loss_on"] = json!(loss_on);
                config["max_length"] = json!(max_length);
                config["test_share"] = json!(0.0);
            });
            let network = Network::load(&settings.model, Kind::Float).unwrap();
            Corpus::read(&settings, &network).map(|corpus| (corpus.train, network.tokenizer.ends[0]))
        };
        let (all, end) = read("all", 230).unwrap();
        let (mut response, _) = read("response", 230).unwrap();
        assert!(all.iter().all(|example| example.targets[0].start == 1 && example.ids.last() == Some(&end)));
        response.sort_by_key(Example::num_targets);
        assert_eq!([response[0].num_targets(), response[1].num_targets()], [1, 3]);
        // The end token goes first where an example is too long, then the response, then there is nothing to learn.
        let prompt = response[1].ids.len() - 3;
        let (cut, _) = read("response", prompt + 1).unwrap();
        assert!(cut.iter().any(|example| example.num_targets() == 1 && example.ids.last() != Some(&end)));
        let nothing = format!("{:#}", read("response", 20).err().unwrap());
        assert!(nothing.contains("max_length: found 20; no example"), "{nothing}");
        assert!(nothing.contains("alpaca.json"), "{nothing}");
    }
}
