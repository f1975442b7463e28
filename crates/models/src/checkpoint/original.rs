//! Names of tensors in single-file checkpoints of Stable Diffusion 1.x and 2.x, as CompVis and Stability AI published them.
//!
//! Each function gives diffusers' name of the file's tensor, or none where it is of another part. Reference: diffusers'
//! `loaders/single_file_utils.py`. OpenCLIP's text tower keeps its own names, which `weights::naming` knows.

use crate::weights::{Weights, WeightsError};

/// Where each part's names begin.
pub(super) const UNET: &[&str] = &["model.diffusion_model."];
pub(super) const VAE: &[&str] = &["first_stage_model."];
/// OpenAI's tower, of 1.x, and OpenCLIP's, of 2.x.
pub(super) const TEXT_ENCODER: &[&str] = &["cond_stage_model.transformer.", "cond_stage_model.model."];

/// Beginnings of names by which files of other kinds are known.
const OTHERS: [(&str, &str); 10] = [
    ("conditioner.embedders.", "Stable Diffusion XL"),
    ("model.diffusion_model.joint_blocks.", "Stable Diffusion 3"),
    ("joint_blocks.", "Stable Diffusion 3"),
    ("model.diffusion_model.double_blocks.", "FLUX"),
    ("double_blocks.", "FLUX"),
    ("lora_unet_", "a LoRA"),
    ("lora_te_", "a LoRA"),
    ("control_model.", "a ControlNet"),
    ("input_blocks.", "a denoiser alone"),
    ("down_blocks.", "a denoiser in diffusers' naming, which goes into a folder `unet`"),
];

/// Refuses a file that is of no Stable Diffusion 1.x or 2.x, and says what it is of.
pub(super) fn check(weights: &Weights) -> Result<(), WeightsError> {
    let has = |start: &str| weights.tensors().iter().any(|tensor| tensor.name.starts_with(start));
    let other = OTHERS.iter().find(|(start, _)| has(start)).map(|(_, kind)| format!("is of {kind}"));
    let problem = match other {
        Some(problem) => problem,
        None if has(UNET[0]) => return Ok(()),
        None => format!("has no tensor whose name begins with `{}`", UNET[0]),
    };
    let path = weights.path().to_owned();
    let problem =
        format!("{problem}; supported are single files of whole checkpoints of Stable Diffusion 1.x and 2.x");
    Err(WeightsError::Foreign { path, problem })
}

/// The denoiser's. `layers` is its `layers_per_block`.
pub(super) fn unet(name: &str, layers: i64) -> Option<String> {
    let name = strip(name, UNET)?;
    let (block, rest) = name.split_once('.')?;
    // Blocks are numbered across levels; each level has as many, its change of size included.
    let place = |index: i64| (index / (layers + 1), index % (layers + 1));
    let (number, inner) = rest.split_once('.')?;
    match block {
        "time_embed" => {
            let layer = match number {
                "0" => "linear_1",
                "2" => "linear_2",
                _ => return None,
            };
            Some(format!("time_embedding.{layer}.{inner}"))
        }
        "out" => {
            let layer = match number {
                "0" => "conv_norm_out",
                "2" => "conv_out",
                _ => return None,
            };
            Some(format!("{layer}.{inner}"))
        }
        "middle_block" => Some(match number {
            "0" => format!("mid_block.resnets.0.{}", residual(inner)),
            "1" => format!("mid_block.attentions.0.{inner}"),
            "2" => format!("mid_block.resnets.1.{}", residual(inner)),
            _ => return None,
        }),
        "input_blocks" => {
            let (part, inner) = inner.split_once('.')?;
            let index: i64 = number.parse().ok()?;
            if index == 0 {
                return Some(format!("conv_in.{inner}"));
            }
            let (level, layer) = place(index - 1);
            Some(match (part, inner.strip_prefix("op.")) {
                ("0", Some(inner)) => format!("down_blocks.{level}.downsamplers.0.conv.{inner}"),
                ("0", None) => format!("down_blocks.{level}.resnets.{layer}.{}", residual(inner)),
                _ => format!("down_blocks.{level}.attentions.{layer}.{inner}"),
            })
        }
        "output_blocks" => {
            let (part, inner) = inner.split_once('.')?;
            let (level, layer) = place(number.parse().ok()?);
            Some(match (part, inner.strip_prefix("conv.")) {
                ("0", _) => format!("up_blocks.{level}.resnets.{layer}.{}", residual(inner)),
                (_, Some(inner)) => format!("up_blocks.{level}.upsamplers.0.conv.{inner}"),
                (_, None) => format!("up_blocks.{level}.attentions.{layer}.{inner}"),
            })
        }
        _ => None,
    }
}

/// A tensor's name within one of the denoiser's residual blocks.
fn residual(name: &str) -> String {
    replaced(
        name,
        &[
            ("in_layers.0.", "norm1."),
            ("in_layers.2.", "conv1."),
            ("emb_layers.1.", "time_emb_proj."),
            ("out_layers.0.", "norm2."),
            ("out_layers.3.", "conv2."),
            ("skip_connection.", "conv_shortcut."),
        ],
    )
}

/// The VAE's, which has as many `levels`.
pub(super) fn vae(name: &str, levels: usize) -> Option<String> {
    let name = strip(name, VAE)?;
    let Some((half, rest)) = name.split_once('.').filter(|(half, _)| ["encoder", "decoder"].contains(half))
    else {
        return (!name.starts_with("loss.")).then(|| name.to_owned()); // quant_conv and post_quant_conv
    };
    let parts: Vec<&str> = rest.split('.').collect();
    let inner = match parts.as_slice() {
        ["norm_out", rest @ ..] => format!("conv_norm_out.{}", rest.join(".")),
        ["mid", "block_1", rest @ ..] => format!("mid_block.resnets.0.{}", shortcut(rest)),
        ["mid", "block_2", rest @ ..] => format!("mid_block.resnets.1.{}", shortcut(rest)),
        ["mid", "attn_1", rest @ ..] => {
            let names = [
                ("norm.", "group_norm."),
                ("q.", "to_q."),
                ("k.", "to_k."),
                ("v.", "to_v."),
                ("proj_out.", "to_out.0."),
            ];
            format!("mid_block.attentions.0.{}", replaced(&rest.join("."), &names))
        }
        ["down", level, "block", layer, rest @ ..] => {
            format!("down_blocks.{level}.resnets.{layer}.{}", shortcut(rest))
        }
        ["down", level, "downsample", rest @ ..] => {
            format!("down_blocks.{level}.downsamplers.0.{}", rest.join("."))
        }
        ["up", level, rest @ ..] => {
            // The original counts from the highest resolution on the way up too.
            let level = levels.checked_sub(1)?.checked_sub(level.parse().ok()?)?;
            match rest {
                ["block", layer, rest @ ..] => {
                    format!("up_blocks.{level}.resnets.{layer}.{}", shortcut(rest))
                }
                ["upsample", rest @ ..] => format!("up_blocks.{level}.upsamplers.0.{}", rest.join(".")),
                _ => return None,
            }
        }
        others => others.join("."), // conv_in and conv_out
    };
    Some(format!("{half}.{inner}"))
}

fn shortcut(parts: &[&str]) -> String {
    replaced(&parts.join("."), &[("nin_shortcut.", "conv_shortcut.")])
}

/// The text encoder's, which takes `layers` of the tower: of OpenCLIP's, the last one is left out.
pub(super) fn text_encoder(name: &str, layers: i64) -> Option<String> {
    let [openai, openclip] = TEXT_ENCODER else { unreachable!("it has two") };
    if let Some(name) = name.strip_prefix(openai) {
        // Some tools leave a part of the name out.
        let is_whole = name.starts_with("text_model.");
        return Some(if is_whole { name.to_owned() } else { format!("text_model.{name}") });
    }
    let name = name.strip_prefix(openclip)?;
    let beyond = format!("transformer.resblocks.{layers}.");
    let is_left_out = name.starts_with(&beyond) || name == "attn_mask";
    (!is_left_out).then(|| name.to_owned())
}

fn strip<'a>(name: &'a str, starts: &[&str]) -> Option<&'a str> {
    starts.iter().find_map(|start| name.strip_prefix(start))
}

/// `name` with the beginning that is in `names` replaced by what is beside it there.
fn replaced(name: &str, names: &[(&str, &str)]) -> String {
    let found = names.iter().find_map(|(theirs, ours)| Some((ours, name.strip_prefix(theirs)?)));
    found.map_or_else(|| name.to_owned(), |(ours, rest)| format!("{ours}{rest}"))
}
