//! A trial's identity follows every file that its task opens: model, tokenizer, examples.

use std::path::Path;

use finetune::testing::{copy_folder, unnoticed};
use runner::Workload;
use serde_json::json;

use crate::Glue;
use crate::settings::Settings;
use crate::settings::tests::{config, lora};
use crate::world::{Corpus, Network};

#[test]
fn a_trial_is_another_after_a_change_of_any_file_that_it_opens() {
    let folder = tempfile::tempdir().unwrap();
    let mini = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/mini");
    for name in ["encoder", "glue/mrpc"] {
        copy_folder(&mini.join(name), &folder.path().join(name)).unwrap();
    }
    let mut config = config(lora(), "mrpc", 1);
    config["model"] = json!(folder.path().join("encoder"));
    config["data"] = json!(folder.path().join("glue"));
    let settings = Settings::read(&config).unwrap();
    let load = || Corpus::read(&settings, Network::load(&settings.model)?.config());
    let (opened, unnoticed) = unnoticed(load, || Glue::new(String::new()).validate(&config)).unwrap();
    assert_eq!(unnoticed, [""; 0], "these change without a new identity");
    let suffixes = ["encoder/config.json", "encoder/model.safetensors", "encoder/tokenizer.json", "parquet"];
    for suffix in suffixes {
        assert!(opened.iter().any(|path| path.ends_with(suffix)), "{suffix} is not opened, but {opened:?}");
    }
}
