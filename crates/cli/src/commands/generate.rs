//! `delora generate`: text from a decoder, with or without an adapter.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use delora_core::{AdapterFile, Bank, TrialConfig};
use llama_it::Network;
use llama_it::alpaca::Instruction;
use llama_it::generate::{Generator, Sampling};
use serde_json::json;
use tch::Kind;

#[derive(clap::Args)]
pub struct Args {
    /// Folder of a Llama, Mistral or Qwen decoder in Hugging Face's layout
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Adapter file of a decoder, as `run --save-adapters` writes it
    #[arg(long, value_name = "FILE")]
    adapter: Option<PathBuf>,
    /// Text to go on from; may be repeated
    #[arg(long, value_name = "TEXT", required_unless_present = "instruction")]
    prompt: Vec<String>,
    /// Instruction to answer, in Alpaca's template
    #[arg(long, value_name = "TEXT", conflicts_with = "prompt")]
    instruction: Option<String>,
    /// What the instruction is about
    #[arg(long, value_name = "TEXT", requires = "instruction", default_value = "")]
    input: String,
    /// Tokens of each text at most
    #[arg(long, value_name = "COUNT", default_value_t = 128)]
    max_tokens: usize,
    /// Logits are divided by it; 0: always the likeliest token
    #[arg(long, default_value_t = 0.0)]
    temperature: f64,
    /// Only the likeliest tokens that together have this probability
    #[arg(long, default_value_t = 1.0)]
    top_p: f64,
    /// Texts for each prompt
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    samples: usize,
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Compute in bf16, as GPUs do faster
    #[arg(long)]
    bf16: bool,
}

pub fn run(args: &Args) -> Result<()> {
    for text in texts(args)? {
        terminal::line(&text);
    }
    Ok(())
}

fn texts(args: &Args) -> Result<Vec<String>> {
    if !args.temperature.is_finite() || args.temperature < 0.0 {
        bail!("--temperature: found {}; it has to be 0 or more", args.temperature);
    }
    if !(args.top_p > 0.0 && args.top_p <= 1.0) {
        bail!("--top-p: found {}; it has to be above 0 and at most 1", args.top_p);
    }
    let kind = if args.bf16 { Kind::BFloat16 } else { Kind::Float };
    let network = Network::load(&args.model, kind)?;
    let prompts = match &args.instruction {
        None => args.prompt.clone(),
        Some(instruction) => {
            let (instruction, input) = (instruction.clone(), args.input.clone());
            vec![Instruction { instruction, input, output: String::new() }.prompt()]
        }
    };
    let longest = network.max_length();
    let encoded = prompts.iter().map(|prompt| {
        let mut ids = network.tokenizer.begin.clone();
        ids.extend(network.tokenizer.encode(prompt));
        if ids.len() >= longest {
            let found = ids.len();
            bail!("a prompt of {found} tokens; the positions of the decoder end at {longest}, shorten it");
        }
        Ok(ids)
    });
    let encoded = encoded.collect::<Result<Vec<_>>>()?;
    let rows: Vec<Vec<i64>> =
        encoded.iter().flat_map(|ids| std::iter::repeat_n(ids.clone(), args.samples)).collect();
    let bank = bank(&network, args)?;
    let sampling = Sampling { temperature: args.temperature, top_p: args.top_p };
    let generated =
        Generator { network: &network, bank: &bank }.generate(&rows, args.max_tokens, sampling, args.seed);
    let with_prompt = |(row, ids): (usize, &Vec<i64>)| {
        let text = network.tokenizer.decode(ids);
        if args.instruction.is_some() {
            return text.trim().to_owned();
        }
        // Decoded together, as a tokenizer may drop a blank between.
        network.tokenizer.decode(&[&rows[row][network.tokenizer.begin.len()..], ids].concat())
    };
    Ok(generated[0].iter().enumerate().map(with_prompt).collect())
}

/// A bank of one trial: the adapter's, or one that changes nothing.
fn bank(network: &Network, args: &Args) -> Result<Bank> {
    let sites = network.sites();
    let Some(path) = &args.adapter else {
        let none = json!({"method": {"name": "none"}, "learning_rate": {}, "seed": 0});
        let none: TrialConfig = serde_json::from_value(none).context("a trial without a method")?;
        return Ok(Bank::new(&sites, &[none], network.device)?);
    };
    let adapter = AdapterFile::load(path)?;
    let mut bank = Bank::new(&sites, &[adapter.trial()?], network.device)
        .with_context(|| format!("{}: does not fit the model", path.display()))?;
    bank.load_adapter(0, &adapter)?;
    Ok(bank)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn generate(words: &[&str]) -> Result<Vec<String>, String> {
        let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/mini/decoder");
        let model = model.display().to_string();
        let line = Line::parse_from([&["generate", "--model", &model, "--max-tokens", "8"], words].concat());
        texts(&line.args).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn a_text_goes_on_and_an_answer_comes_without_its_instruction() {
        let texts = generate(&["--prompt", "The nopa lives", "--prompt", "The"]).unwrap();
        assert_eq!(texts.len(), 2);
        assert!(
            texts[0].starts_with("The nopa lives") && texts[0].len() > "The nopa lives".len(),
            "{texts:?}"
        );
        let answer = generate(&["--instruction", "Where does the nopa live?"]).unwrap().remove(0);
        assert!(!answer.is_empty() && !answer.contains("### Response"), "{answer}");
        let warm = ["--prompt", "The", "--temperature", "1", "--samples", "4"];
        let texts = generate(&warm).unwrap();
        assert_eq!(texts, generate(&warm).unwrap());
        assert!(texts.iter().any(|text| *text != texts[0]), "{texts:?}");
    }

    #[test]
    fn what_cannot_be_meant_is_an_error() {
        let temperature = generate(&["--prompt", "a", "--temperature=-1"]).unwrap_err();
        assert!(temperature.contains("--temperature: found -1"), "{temperature}");
        let top_p = generate(&["--prompt", "a", "--top-p", "0"]).unwrap_err();
        assert!(top_p.contains("--top-p: found 0"), "{top_p}");
        let long = generate(&["--prompt", &"word ".repeat(2000)]).unwrap_err();
        assert!(long.contains("positions of the decoder end at"), "{long}");
        let adapter = generate(&["--prompt", "a", "--adapter", "/none"]).unwrap_err();
        assert!(adapter.contains("/none"), "{adapter}");
    }
}
