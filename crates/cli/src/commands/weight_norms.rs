//! `delora weight-norms`: mean column norms of a checkpoint's attention projections, as in the paper's Figure 4.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use delora_core::Part;
use tch::Kind;

use super::plots::PlotsArgs;

const MINI: &str = "assets/mini/sd";

#[derive(clap::Args)]
pub struct Args {
    /// Folder of a checkpoint in Stable Diffusion's layout
    #[arg(long, value_name = "DIR", default_value = MINI)]
    model: PathBuf,
    /// Name of the folders below weight-norms/; by default the model folder's own, or `mini`
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Folder of all results
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: PathBuf,
    #[command(flatten)]
    plots: PlotsArgs,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let folder = if args.model == Path::new(MINI) { Some("mini".as_ref()) } else { args.model.file_name() };
    let folder = folder.map(|name| name.to_string_lossy().into_owned());
    let name = args.name.clone().or(folder).context("--name: missing, and --model ends in no name")?;
    let mut norms: BTreeMap<Projection, Vec<f64>> = BTreeMap::new();
    for site in sd_driver::sites(&args.model)? {
        let (Some(projection), Part::Linear { weight, .. }) = (Projection::of(&site.name), &site.part) else {
            continue;
        };
        // A column belongs to one input feature.
        let columns = weight.to_kind(Kind::Double).norm_scalaropt_dim(2.0, [0i64].as_slice(), false);
        norms.entry(projection).or_default().extend(Vec::<f64>::try_from(columns)?);
    }
    if norms.is_empty() {
        bail!("{}: its UNet has no attention projection", args.model.display());
    }
    let place = |root: &Path| root.join("weight-norms").join(&name);
    let table = place(&args.results).join("weight_norms.csv");
    std::fs::create_dir_all(place(&args.results))
        .with_context(|| format!("{}: cannot be made", place(&args.results).display()))?;
    runner::write_atomically(&table, &csv(&norms)?)?;
    terminal::line(table.display());
    for file in figures::render_weight_norms(&table, &place(&args.plots.folder(&args.results)))? {
        terminal::line(file.display());
    }
    Ok(())
}

/// All layers of one projection in one block of the UNet, in the network's order.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Projection {
    /// Down, middle, up.
    stage: u8,
    block: String,
    attention: String,
    projection: String,
}

impl Projection {
    /// `up_blocks.1.attentions.0.transformer_blocks.0.attn1.to_out.0` is `to_out` of `attn1` in `up_blocks.1`.
    fn of(site: &str) -> Option<Projection> {
        let parts: Vec<&str> = site.split('.').collect();
        let attention = parts.iter().position(|part| matches!(*part, "attn1" | "attn2"))?;
        let projection = *parts.get(attention + 1)?;
        let is_projection = matches!(projection, "to_q" | "to_k" | "to_v" | "to_out");
        let (stage, block) = match parts[0] {
            "down_blocks" => (0, parts[..2].join(".")),
            "mid_block" => (1, "mid_block".to_owned()),
            "up_blocks" => (2, parts[..2].join(".")),
            _ => return None,
        };
        is_projection.then(|| Projection {
            stage,
            block,
            attention: parts[attention].to_owned(),
            projection: projection.to_owned(),
        })
    }
}

fn csv(norms: &BTreeMap<Projection, Vec<f64>>) -> anyhow::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["block", "attention", "projection", "mean_column_norm", "std", "columns"])?;
    for (Projection { block, attention, projection, .. }, norms) in norms {
        let count = norms.len() as f64;
        let mean = norms.iter().sum::<f64>() / count;
        let squares: f64 = norms.iter().map(|norm| (norm - mean).powi(2)).sum();
        let std = (squares / (count - 1.0).max(1.0)).sqrt();
        let numbers = [mean.to_string(), std.to_string(), norms.len().to_string()];
        writer.write_record([block, attention, projection].into_iter().chain(&numbers))?;
    }
    Ok(writer.into_inner()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_belongs_to_its_block_attention_and_projection() {
        let words = |site| {
            Projection::of(site).map(|found| [found.block, found.attention, found.projection].join(" "))
        };
        let out = "up_blocks.1.attentions.0.transformer_blocks.0.attn1.to_out.0";
        assert_eq!(words(out).as_deref(), Some("up_blocks.1 attn1 to_out"));
        let key = "mid_block.attentions.0.transformer_blocks.0.attn2.to_k";
        assert_eq!(words(key).as_deref(), Some("mid_block attn2 to_k"));
        assert_eq!(words("down_blocks.0.attentions.0.transformer_blocks.0.ff.net.2"), None);
        assert_eq!(words("time_embedding.linear_1"), None);
    }

    #[test]
    fn blocks_are_in_the_networks_order() {
        let site = |block: &str| format!("{block}.attentions.0.transformer_blocks.0.attn1.to_q");
        let blocks = ["up_blocks.1", "mid_block", "down_blocks.2"].map(|block| Projection::of(&site(block)));
        let norms = blocks.into_iter().flatten().map(|projection| (projection, vec![1.0, 3.0])).collect();
        let text = String::from_utf8(csv(&norms).unwrap()).unwrap();
        let rows: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(rows[0], "down_blocks.2,attn1,to_q,2,1.4142135623730951,2");
        assert!(rows[1].starts_with("mid_block,") && rows[2].starts_with("up_blocks.1,"), "{rows:?}");
    }
}
