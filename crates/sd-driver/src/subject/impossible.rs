//! What cannot be is refused before anything is loaded.

use runner::Workload;
use serde_json::{Value, json};

use crate::SubjectDriven;
use crate::subject::broken::config;

#[test]
fn settings_that_cannot_be_are_refused_before_anything_is_loaded() {
    let workload = SubjectDriven::new(String::new());
    workload.validate(&config("lora", 1e-3)).unwrap();
    let problem = |pointer: &str, value: Value| {
        let mut config = config("lora", 1e-3);
        *config.pointer_mut(pointer).unwrap() = value;
        workload.validate(&config).unwrap_err().to_string()
    };
    for (pointer, value, key) in [
        ("/method/rank", json!(-1), "method.rank:"),
        ("/method/rank", json!(0), "method.rank:"),
        ("/method/rank", json!(100_000), "method.rank:"),
        ("/method/alpha", json!(0.0), "method.alpha:"),
        ("/method/alpha", json!(-8.0), "method.alpha:"),
        ("/method/learning_rate/angles", json!(-1e-3), "method.learning_rate.angles:"),
        ("/method/learning_rate/angles", json!(1e300), "method.learning_rate.angles:"),
        ("/train_steps", json!(0), "train_steps:"),
        ("/tracked_layer", json!("mid_block"), "tracked_layer:"),
        ("/batch", json!(0), "batch:"),
        ("/bank", json!(0), "bank:"),
    ] {
        let message = problem(pointer, value);
        assert!(message.starts_with(key), "{message}");
    }
}
