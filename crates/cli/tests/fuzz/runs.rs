//! Short runs with settings out of the ordinary.

use crate::case::{Case, Kind, Verdict};
use crate::pictures::run;
use crate::worker::Shared;

pub const RUNS: Kind = Kind { name: "runs", share: 1, attempt };

const KEYS: &str = "learning_rate_multiplier optimizer.weight_decay optimizer.clip_norm optimizer.betas \
    warmup_ratio warmup_steps train_limit epochs";
const VALUES: [&str; 9] = ["0", "1", "2", "-1", "1e-30", "1e8", "1e15", "1e30", "[0.9,0.9]"];

fn attempt(case: &mut Case, shared: &mut Shared) -> Verdict {
    let keys: Vec<&str> = KEYS.split(' ').collect();
    let (file, key, value) =
        (*case.random.pick(&["glue", "instruct"]), *case.random.pick(&keys), *case.random.pick(&VALUES));
    let method = *case.random.pick(&["lora", "delora", "dora"]);
    let mut sets = vec![format!("{key}={value}"), format!("method={method}"), "seeds=0".to_owned()];
    if file != "instruct" {
        sets.push("glue_task=cola".to_owned());
    }
    let file = if file == "instruct" { "experiments/instruct.toml" } else { "experiments/glue.toml" };
    case.what.push(format!("{file} --set {}", sets.join(" --set ")));
    // A rate that is too small for f32 shows when the trial has run, and is told with the trial's id.
    case.blamed.extend(["--set", "the trial trained nothing"].map(str::to_owned));
    run(case, shared, file, &sets)
}
