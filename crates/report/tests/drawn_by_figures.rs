//! Widths and slopes of whole experiments, judged beside the figures that show them.

mod rendered;

use std::fmt::Write;
use std::path::Path;

use rendered::{claim, draw, rendered, write};

const CLAIMS: &str = include_str!("data/drawn_claims.toml");

const METHODS: [&str; 3] = ["lora", "dora", "delora"];
const HEADER: &str = "trial_id,status,diverged_step,method,seed,subject,config.learning_rate_multiplier,config.method.name,config.tracked_layer,dino,clip_i,clip_t,distance,train_seconds,commit,dirty";

/// Writes an experiment's file and its tables: six subjects of each method at each multiplier.
fn experiment(root: &Path, name: &str, multipliers: &[u32]) {
    let folder = format!("results/{name}/mini");
    let file = format!("name = \"{name}\"\nquestion = \"?\"\nmetric = \"dino\"\n");
    write(root, &format!("experiments/{name}.toml"), &file);
    let mut trials = format!("{HEADER}\n");
    let mut curves = "trial_id,step,metric,layer,value\n".to_owned();
    for method in METHODS {
        for multiplier in multipliers {
            for replicate in 0..6 {
                let id = format!("{method}{multiplier}x{replicate}");
                let (seed, subject) = (0, ["cat", "dog", "vase", "can", "bowl", "boot"][replicate]);
                let bounded = method == "delora";
                let octaves = f64::from(*multiplier).log2() - 2.0;
                let steep = if bounded { 1e-4 } else { 0.04 + 0.002 * replicate as f64 };
                let lost = steep * octaves.powi(2);
                let dino = 0.6 + 0.01 * replicate as f64 - lost;
                writeln!(trials, "{id},done,,{method},{seed},{subject},{multiplier},{method},a.to_out.0,{dino},0.4,0.6,1.5,2,abc,false").unwrap();
                for step in (0..=300).step_by(10) {
                    let grown = f64::from(step) / 100.0 * (1.0 + 0.01 * replicate as f64);
                    let still = 1.0 + 1e-6 * f64::from(step) * replicate as f64;
                    let distance = if bounded { grown.min(still) } else { grown };
                    writeln!(curves, "{id},{step},distance,a.to_out.0,{distance}").unwrap();
                    writeln!(curves, "{id},{step},loss,,0.1").unwrap();
                    if step % 100 == 0 {
                        writeln!(curves, "{id},{step},dino,,{dino}\n{id},{step},clip_t,,0.6").unwrap();
                    }
                }
            }
        }
    }
    write(root, &format!("{folder}/trials.csv"), &trials);
    write(root, &format!("{folder}/curves.csv"), &curves);
}

#[test]
fn widths_and_slopes_are_judged_and_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for (name, multipliers, figures) in [
        ("sweep", &[1, 4, 16, 64][..], &["robustness", "dora_magnitude"][..]),
        ("long", &[1][..], &["prolonged"][..]),
    ] {
        experiment(root, name, multipliers);
        draw(root, name, "mini", figures);
    }
    write(root, "experiments/claims.toml", CLAIMS);
    let page = rendered(root).unwrap();
    for id in ["wider", "wider-than-dora", "grows", "flat"] {
        let row = claim(&page, id);
        assert!(row.contains("✓ reproduced"), "{id}: {row}");
    }
    assert!(page.contains("<svg role=\"img\"") && page.contains("robustness width (octaves)"));
}
