//! What all trials of a model and task share: the frozen encoder, and the examples as token ids.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use delora_core::Site;
use models::Loaded;
use models::roberta::{ClassificationHead, Encoder, EncoderConfig, load_encoder};
use tch::Device;

use crate::data::Split;
use crate::settings::Settings;
use crate::tasks::TextTask;
use crate::tokens::{Encoded, TextTokenizer};

/// A frozen encoder.
pub struct Network {
    pub encoder: Loaded<Encoder>,
    pub device: Device,
}

impl Network {
    pub fn load(folder: &Path) -> Result<Network> {
        let device = device::here();
        let encoder = load_encoder(folder, device).with_context(|| {
            format!(
                "{}: not a folder of a RoBERTa or BERT encoder in Hugging Face's layout",
                folder.display()
            )
        })?;
        Ok(Network { encoder, device })
    }

    pub fn config(&self) -> &EncoderConfig {
        self.encoder.network.config()
    }

    /// A head for the task, whose weights are the trials'.
    pub fn head(&self, task: &TextTask) -> ClassificationHead {
        ClassificationHead::alone(self.config(), task.num_labels() as i64, self.device)
    }

    /// What of the encoder can be adapted, and the head.
    pub fn sites(&self, head: &ClassificationHead) -> Vec<Site> {
        [finetune::sites(&self.encoder), finetune::head_sites(&head.linears())]
            .into_iter()
            .flatten()
            .collect()
    }
}

/// Examples of one split.
pub struct Examples {
    pub encoded: Vec<Encoded>,
    pub labels: Vec<f32>,
}

impl Examples {
    /// Tokens of the example of an index.
    pub fn length(&self) -> impl Fn(usize) -> usize + '_ {
        |row| self.encoded[row].ids.len()
    }
}

/// A task's training and validation examples.
pub struct Corpus {
    pub task: TextTask,
    pub train: Examples,
    /// GLUE's validation set, whole: each trial splits it by its own seed.
    pub validation: Examples,
}

impl Corpus {
    /// Errors: see [`crate::data::read`] and [`TextTokenizer`]; a tokenizer whose ids the encoder lacks.
    pub fn read(settings: &Settings, config: &EncoderConfig) -> Result<Corpus> {
        let longest = usize::try_from(config.max_tokens()).unwrap_or(0);
        if settings.max_length > longest {
            bail!(
                "max_length: found {}; the encoder in {} takes sequences of {longest} tokens",
                settings.max_length,
                settings.model.display()
            );
        }
        let task = settings.task()?;
        let tokenizer = TextTokenizer::open(&settings.model, settings.max_length)?;
        tokenizer.check(usize::try_from(config.vocab_size).unwrap_or(0))?;
        let examples = |split, limit: Option<usize>| -> Result<Examples> {
            let mut rows = settings.examples(&task, split)?;
            rows.truncate(limit.unwrap_or(usize::MAX));
            Ok(Examples {
                encoded: tokenizer.encode_all(rows.iter().map(|row| row.texts.as_slice())),
                labels: rows.iter().map(|row| row.label).collect(),
            })
        };
        Ok(Corpus {
            train: examples(Split::Train, settings.train_limit)?,
            validation: examples(Split::Validation, None)?,
            task,
        })
    }
}

/// Files that a trial's result depends on.
pub fn files(settings: &Settings) -> Result<Vec<PathBuf>> {
    let model = |name: &str| settings.model.join(name);
    let mut files = vec![model("config.json")];
    files.extend(models::weight_files(&settings.model)?);
    let tokenizers = ["tokenizer.json", "vocab.json", "merges.txt", "vocab.txt", "tokenizer_config.json"];
    files.extend(tokenizers.map(model).into_iter().filter(|path| path.is_file()));
    for split in [Split::Train, Split::Validation] {
        files.extend(settings.example_files(split)?);
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;
    use crate::settings::tests::{config, lora};

    fn mini(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/mini").join(name)
    }

    fn settings(change: impl Fn(&mut serde_json::Value)) -> Settings {
        let mut config = config(lora(), "mrpc", 1);
        change(&mut config);
        Settings::read(&config).unwrap()
    }

    #[test]
    fn a_checkpoint_of_another_architecture_is_refused_by_what_is_wrong_with_it() {
        let message = |folder: PathBuf| format!("{:#}", Network::load(&folder).err().unwrap());
        let other = message(mini("dino"));
        assert!(other.contains("dino: not a folder of a RoBERTa or BERT encoder"), "{other}");
        assert!(other.contains("config.json: not the expected configuration"), "{other}");
        let folder = tempfile::tempdir().unwrap();
        let copy = |from: PathBuf, name: &str| fs::copy(from, folder.path().join(name)).unwrap();
        copy(mini("encoder/config.json"), "config.json");
        copy(mini("dino/model.safetensors"), "model.safetensors");
        let foreign = message(folder.path().to_owned());
        assert!(
            foreign.contains("model.safetensors: tensor `roberta.") && foreign.contains("missing"),
            "{foreign}"
        );
        let absent = message(folder.path().join("none"));
        assert!(absent.contains("none/config.json: cannot be read"), "{absent}");
    }

    #[test]
    fn a_tokenizer_of_another_vocabulary_and_a_length_beyond_the_encoder_are_named() {
        let network = Network::load(&mini("encoder")).unwrap();
        let message =
            |settings: Settings| format!("{:#}", Corpus::read(&settings, network.config()).err().unwrap());
        let long = message(settings(|config| config["max_length"] = json!(65)));
        assert!(long.contains("max_length: found 65") && long.contains("sequences of 64 tokens"), "{long}");
        let folder = tempfile::tempdir().unwrap();
        for name in ["config.json", "tokenizer.json"] {
            fs::copy(mini("encoder").join(name), folder.path().join(name)).unwrap();
        }
        let mut small = network.config().clone();
        small.vocab_size -= 1;
        let with_folder = settings(|config| config["model"] = json!(folder.path()));
        let error = format!("{:#}", Corpus::read(&with_folder, &small).err().unwrap());
        assert!(error.contains("tokenizer.json") && error.contains(&small.vocab_size.to_string()), "{error}");
    }
}
