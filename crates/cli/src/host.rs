//! The network that an adapter is of, found by its folder: a denoiser, a text encoder or vision transformer with its head, or a decoder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use delora_core::{AdapterFile, Part, PeftAdapter, Site, Target, copy_with};
use models::checkpoint::Checkpoint;
use models::decoder::ModelType;
use models::diffusion::load_vit;
use models::roberta::{ClassificationHead, load_encoder};
use models::vit::Vit;
use models::weights::class_of;
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor, nn};

use crate::folder;

/// A network in a folder of Hugging Face's layout.
pub struct Host {
    folder: PathBuf,
    kind: HostKind,
    /// What can be adapted, and what trials train besides, under Hugging Face's names.
    pub sites: Vec<Site>,
}

enum HostKind {
    /// The denoiser of Stable Diffusion.
    Denoiser,
    /// With as many labels where it has a head.
    Encoder {
        labels: Option<i64>,
    },
    /// With as many labels where it has a head.
    VisionTransformer {
        labels: Option<i64>,
    },
    Decoder,
}

/// What transformers' names of a vision transformer under a head have in front of ours.
const VIT: &str = "vit.";

/// The head's last layer, `[labels, features]`, of RoBERTa and of BERT.
const HEADS: [&str; 2] = ["classifier.out_proj.weight", "classifier.weight"];

impl Host {
    /// The network of `folder`. `rows` gives the first size of a head's tensor that the adapter has, by its name in the network.
    pub fn open(folder: &Path, rows: impl Fn(&str) -> Option<i64>) -> Result<Host> {
        let new = |kind, sites| Ok(Host { folder: folder.to_owned(), kind, sites });
        if Checkpoint::at(folder).config_file("unet").is_file() {
            return new(HostKind::Denoiser, sd_driver::sites(folder)?);
        }
        let path = folder.join("config.json");
        ensure!(
            path.is_file(),
            "--model {}: has neither unet/config.json, as Stable Diffusion has, nor config.json, as an encoder or a decoder has",
            folder.display()
        );
        let config: Value = models::read_json(&path)?;
        let labels = HEADS.iter().find_map(|name| rows(name));
        // The mini model's config names its class alone.
        let is_vit = class_of(&config).is_some_and(|class| class.starts_with("ViT"));
        match config["model_type"].as_str().unwrap_or(if is_vit { "vit" } else { "" }) {
            "roberta" | "bert" => {
                let encoder = load_encoder(folder, Device::Cpu)?;
                let head = labels
                    .map(|labels| ClassificationHead::alone(encoder.network.config(), labels, Device::Cpu));
                let head = head.iter().flat_map(|head| finetune::head_sites(&head.linears()));
                let sites = finetune::sites(&encoder).into_iter().chain(head).collect();
                new(HostKind::Encoder { labels }, sites)
            }
            "vit" => {
                let vit = load_vit(folder, Device::Cpu)?;
                let config = vit.network.config();
                let classifier =
                    |labels| Vit::classifier(&nn::VarStore::new(Device::Cpu).root(), config, labels);
                let head = labels.map(classifier);
                let head = head.iter().flat_map(|head| finetune::head_sites(&[head]));
                let named = |site: Site| Site { name: format!("{VIT}{}", site.name), ..site };
                let sites = finetune::sites(&vit).into_iter().map(named).chain(head).collect();
                new(HostKind::VisionTransformer { labels }, sites)
            }
            _ if serde_json::from_value::<ModelType>(config["model_type"].clone()).is_err() => bail!(
                "--model {}: its `model_type` is {}; adapters of Stable Diffusion, of RoBERTa and BERT, of vision transformers, and of \
                 Llama, Mistral and Qwen are exported and imported",
                folder.display(),
                config["model_type"]
            ),
            _ => {
                let decoder = models::decoder::load_decoder(folder, Kind::Float, Device::Cpu)
                    .with_context(|| format!("--model {}", folder.display()))?;
                new(HostKind::Decoder, finetune::sites(&decoder))
            }
        }
    }

    /// [`Host::open`] for an adapter of ours, which then has Hugging Face's names.
    pub fn of(folder: &Path, adapter: AdapterFile) -> Result<(Host, AdapterFile)> {
        let rows = |name: &str| adapter.tensors.get(&format!("{name}.value")).map(|value| value.size()[0]);
        let host = Host::open(folder, rows)?;
        let adapter =
            host.renamed(adapter, |name| format!("{VIT}{name}"), |pattern| format!("(?:{VIT})(?:{pattern})"));
        Ok((host, adapter))
    }

    /// `adapter`, which has Hugging Face's names, with ours.
    pub fn ours(&self, adapter: AdapterFile) -> AdapterFile {
        let own = |name: &str| name.strip_prefix(VIT).unwrap_or(name).to_owned();
        self.renamed(adapter, own, str::to_owned)
    }

    /// `adapter` with other names of what is no head, and other regular expressions among its targets.
    fn renamed(
        &self,
        mut adapter: AdapterFile,
        name: impl Fn(&str) -> String,
        pattern: impl Fn(&str) -> String,
    ) -> AdapterFile {
        if !matches!(self.kind, HostKind::VisionTransformer { .. }) {
            return adapter;
        }
        let is_head = |name: &str| HEADS.iter().any(|head| name.split('.').next() == head.split('.').next());
        let own = |own: String| if is_head(&own) { own } else { name(&own) };
        adapter.tensors = adapter.tensors.into_iter().map(|(tensor, value)| (own(tensor), value)).collect();
        let target = |target: Target| match (&target, target.to_string()) {
            (Target::Role(_), _) => target,
            (Target::Named(_), text) => {
                let renamed = match text.strip_prefix("regex:") {
                    Some(expression) => format!("regex:{}", pattern(expression)),
                    // What ends so fits in front of any name.
                    None => text.strip_prefix(VIT).unwrap_or(&text).to_owned(),
                };
                Target::parse(&renamed).expect("it was a target before")
            }
        };
        adapter.targets = adapter.targets.map(|all| all.into_iter().map(target).collect());
        adapter
    }

    /// [`Host::open`] for an adapter in a folder of PEFT's.
    pub fn of_peft(folder: &Path, adapter: &Path) -> Result<Host> {
        let path = adapter.join("adapter_model.safetensors");
        // What is wrong with the file is for its reader to say.
        let stored = Tensor::read_safetensors(&path).unwrap_or_default();
        let rows = |name: &str| {
            let own = format!("base_model.model.{name}");
            stored.iter().find(|(key, _)| *key == own).and_then(|(_, value)| value.size().first().copied())
        };
        Host::open(folder, rows)
    }

    /// What a reader of PEFT's files has to know of the network.
    pub fn describe(&self, peft: &mut PeftAdapter) {
        let mut set = |key: &str, value: Value| _ = peft.config.insert(key.to_owned(), value);
        match self.kind {
            HostKind::Denoiser => {}
            HostKind::Encoder { labels: None } => set("task_type", json!("FEATURE_EXTRACTION")),
            HostKind::Encoder { labels: Some(_) } => {
                let has_pooler = self.sites.iter().any(|site| site.name.starts_with("bert.pooler."));
                set("task_type", json!("SEQ_CLS"));
                set(
                    "modules_to_save",
                    if has_pooler { json!(["classifier", "pooler"]) } else { json!(["classifier"]) },
                );
            }
            // PEFT has no task type for pictures.
            HostKind::VisionTransformer { labels } => {
                if labels.is_some() {
                    set("modules_to_save", json!(["classifier"]));
                }
            }
            HostKind::Decoder => set("task_type", json!("CAUSAL_LM")),
        }
    }

    /// diffusers' name of the network that it adapts.
    pub fn in_diffusers(&self) -> Result<&'static str> {
        match self.kind {
            HostKind::Denoiser => Ok("unet"),
            _ => bail!(
                "--format diffusers is for adapters of Stable Diffusion; PEFT reads this one: --format peft"
            ),
        }
    }

    /// Writes the checkpoint with the adapter in its weights, which are f32 where they changed.
    pub fn merge(&self, adapter: &AdapterFile, out: &Path) -> Result<()> {
        let changed = adapter.bank(&self.sites)?.merged_tensors(0)?;
        match self.kind {
            HostKind::Denoiser => {
                let checkpoint = Checkpoint::at(&self.folder);
                if let Some(file) = checkpoint.file() {
                    let names = checkpoint.original_unet_names()?;
                    let changed =
                        changed.into_iter().map(|(name, value)| (names[&name].clone(), value)).collect();
                    let name = file.file_name().expect("a file has a name");
                    return Ok(copy_with(file, &changed, &out.join(name))?);
                }
                copy_but_unet(&self.folder, out)?;
                Ok(copy_with(&unet_file(&self.folder)?, &changed, &out.join(UNET_FILE))?)
            }
            HostKind::Encoder { labels } | HostKind::VisionTransformer { labels } => {
                self.write_whole(changed, out, |config| {
                    let Some(labels) = labels else { return };
                    let of = |index: i64| (index.to_string(), json!(format!("LABEL_{index}")));
                    let class = match (&self.kind, config["model_type"].as_str()) {
                        (HostKind::VisionTransformer { .. }, _) => "ViTForImageClassification",
                        (_, Some("bert")) => "BertForSequenceClassification",
                        _ => "RobertaForSequenceClassification",
                    };
                    config["architectures"] = json!([class]);
                    config["id2label"] = Value::Object((0..labels).map(of).collect());
                    config["label2id"] = Value::Object(
                        (0..labels).map(|index| (format!("LABEL_{index}"), json!(index))).collect(),
                    );
                })
            }
            HostKind::Decoder => self.write_whole(changed, out, |_| ()),
        }
    }

    /// All tensors of the network under its own names, with what else its folder has.
    fn write_whole(
        &self,
        mut tensors: BTreeMap<String, Tensor>,
        out: &Path,
        change: impl Fn(&mut Value),
    ) -> Result<()> {
        for site in &self.sites {
            let frozen = match &site.part {
                Part::Linear { weight, bias, .. } => {
                    let bias = bias.as_ref().map(|bias| (format!("{}.bias", site.name), bias));
                    [Some((format!("{}.weight", site.name), weight)), bias]
                }
                Part::Tensor { value } => [Some((site.name.clone(), value)), None],
                Part::Hidden(_) | Part::TaskTensor { .. } => [None, None],
            };
            for (name, value) in frozen.into_iter().flatten() {
                tensors.entry(name).or_insert_with(|| value.shallow_clone());
            }
        }
        let tensors: Vec<(String, Tensor)> = tensors.into_iter().collect();
        models::save_weights(&tensors, Kind::Float, &out.join("model.safetensors"))?;
        let mut config: Value = models::read_json(&self.folder.join("config.json"))?;
        change(&mut config);
        // The weights are f32 now.
        for key in ["dtype", "torch_dtype"] {
            if let Some(kind) = config.get_mut(key) {
                *kind = json!("float32");
            }
        }
        fs::write(out.join("config.json"), serde_json::to_string_pretty(&config)? + "\n")?;
        let is_other = |path: &Path| {
            let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            path.is_file()
                && ["json", "txt", "model", "jinja"].contains(&ending)
                && name != "config.json"
                && !name.ends_with(".index.json")
        };
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if is_other(&path) {
                let target = out.join(path.file_name().expect("an entry has a name"));
                fs::copy(&path, target).with_context(|| format!("{}: cannot be copied", path.display()))?;
            }
        }
        Ok(())
    }
}

/// The denoiser's weights in a checkpoint that is written.
const UNET_FILE: &str = "unet/diffusion_pytorch_model.safetensors";

/// The one file of the denoiser's weights, whose other tensors are copied as they are.
fn unet_file(model: &Path) -> Result<PathBuf> {
    let path = models::find_weights(&model.join("unet"))?;
    let is_whole = path.is_file() && path.extension().is_some_and(|extension| extension == "safetensors");
    ensure!(
        is_whole,
        "{}: the adapter can be merged into a whole safetensors file alone; export it for PEFT, or convert the weights",
        path.display()
    );
    Ok(path)
}

/// Everything of a checkpoint but the denoiser's weights, of which a folder may hold several forms.
fn copy_but_unet(model: &Path, out: &Path) -> Result<()> {
    let copy = |from: PathBuf, to: PathBuf| {
        fs::copy(&from, to).map(drop).with_context(|| format!("{}: cannot be copied", from.display()))
    };
    for entry in fs::read_dir(model).with_context(|| format!("{}: cannot be read", model.display()))? {
        let path = entry?.path();
        let target = out.join(path.file_name().expect("an entry has a name"));
        if path.ends_with("unet") {
            fs::create_dir(&target).with_context(|| format!("{}: cannot be made", target.display()))?;
            copy(path.join("config.json"), target.join("config.json"))?;
        } else if path.is_dir() {
            folder::copy(&path, &target)?;
        } else if path.ends_with("model_index.json") {
            copy(path, target)?;
        }
    }
    Ok(())
}
