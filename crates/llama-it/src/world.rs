//! What all trials of a model share: the frozen decoder, the examples as token ids, and the questions.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use delora_core::Site;
use models::diffusion::Loaded;
use models::llama::{Llama, LlamaConfig, load_llama};
use tch::{Device, Kind};

use crate::alpaca::{self, Instruction};
use crate::examples::Example;
use crate::requests::{Places, Prompt, prompts};
use crate::settings::Settings;
use crate::tasks::{self, Question, Task};
use crate::tokens::TextTokenizer;

/// A frozen decoder with its tokenizer.
pub struct Network {
    pub llama: Loaded<Llama>,
    pub tokenizer: TextTokenizer,
    /// Of the weights, and in which the network computes.
    pub kind: Kind,
    pub device: Device,
}

impl Network {
    /// Errors: a folder that is not of a LLaMA decoder; a tokenizer that is not its.
    pub fn load(folder: &Path, kind: Kind) -> Result<Network> {
        let device = Device::cuda_if_available();
        let llama = load_llama(folder, kind, device).with_context(|| {
            format!("{}: not a folder of a LLaMA decoder in Hugging Face's layout", folder.display())
        })?;
        let tokenizer = TextTokenizer::open(folder, llama.network.config())?;
        Ok(Network { llama, tokenizer, kind, device })
    }

    pub fn config(&self) -> &LlamaConfig {
        self.llama.network.config()
    }

    /// The longest sequence.
    pub fn max_length(&self) -> usize {
        usize::try_from(self.config().max_position_embeddings).unwrap_or(0)
    }

    /// What can be adapted.
    pub fn sites(&self) -> Vec<Site> {
        harness::sites(&self.llama)
    }
}

/// Examples to learn from, to be tested on, and to be answered.
pub struct Corpus {
    pub train: Vec<Example>,
    pub test: Vec<Example>,
    /// The test set's instructions, in its order.
    pub instructions: Vec<Instruction>,
}

impl Corpus {
    /// Errors: see [`alpaca::read`]; a length beyond the decoder's.
    pub fn read(settings: &Settings, network: &Network) -> Result<Corpus> {
        let longest = network.max_length();
        if settings.max_length > longest {
            bail!(
                "max_length: found {}; the positions of the decoder in {} end at {longest}",
                settings.max_length,
                settings.model.display()
            );
        }
        let all = alpaca::read(&settings.instructions)?;
        let [train, test] = alpaca::split(all.len(), settings.test_share);
        let chosen = |indices: Vec<usize>, limit: Option<usize>| -> Vec<Instruction> {
            indices.into_iter().take(limit.unwrap_or(usize::MAX)).map(|index| all[index].clone()).collect()
        };
        let (train, test) = (chosen(train, settings.train_limit), chosen(test, settings.test_limit));
        let examples = |instructions: &[Instruction]| -> Vec<Example> {
            let example = |own| Example::new(own, &network.tokenizer, settings.max_length, settings.loss_on);
            instructions.iter().map(example).collect()
        };
        let (train, of_test) = (examples(&train), examples(&test));
        if train.iter().all(|example| example.num_targets() == 0) {
            bail!(
                "max_length: found {}; no example in {} has a response within it",
                settings.max_length,
                settings.instructions.display()
            );
        }
        Ok(Corpus { train, test: of_test, instructions: test })
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
        let evaluation = &settings.evaluation;
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

/// Files that a trial's result depends on.
pub fn files(settings: &Settings) -> Result<Vec<PathBuf>> {
    let model = |name: &str| settings.model.join(name);
    let mut files = vec![model("config.json"), model("tokenizer.json")];
    files.extend(models::weight_files(&model("model.safetensors"))?);
    files.extend(alpaca::files(&settings.instructions)?);
    for task in tasks::load(settings.evaluation.tasks.as_deref())? {
        files.extend(task.files(&settings.evaluation.data)?);
    }
    files.extend(settings.evaluation.tasks.clone());
    Ok(files)
}
