//! `delora plan` with settings out of the ordinary.

use std::path::Path;
use std::process::Command;

#[test]
fn a_plan_of_sizes_beyond_all_bounds_is_a_plan() {
    let results = tempfile::tempdir().unwrap();
    for set in ["batch=1000000000000", "train_steps=9223372036854775807", "bank=9223372036854775807"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_delora"));
        command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."));
        let words = "plan experiments/table1.toml --scale smoke --set method=lora --set";
        command.args(words.split(' ')).arg(set);
        let output = command.arg("--results").arg(results.path()).output().unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert_eq!(output.status.code(), Some(0), "{set}: {said}");
        assert!(said.contains("expected time: ") && !said.contains("panicked"), "{set}: {said}");
    }
}
