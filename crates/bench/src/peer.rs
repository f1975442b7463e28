//! PEFT with diffusers and transformers, in a Python process that takes a step when it is asked to.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

const SCRIPT: &str = "tools/bench/peer.py";
const PYTHON: &str = ".tools/goldens/bin/python";

pub struct Peer {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts the process; none where `just goldens` has not installed what it needs. `root` is the project's folder.
    pub fn start(root: &Path, threads: usize) -> Result<Option<Peer>> {
        let python = root.join(PYTHON);
        if !python.exists() {
            return Ok(None);
        }
        let mut child = Command::new(&python)
            .arg(root.join(SCRIPT))
            .arg(threads.to_string())
            .env_remove("LD_LIBRARY_PATH") // that Python has a libtorch of its own
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("{}: cannot be started", python.display()))?;
        let to = child.stdin.take().expect("it is piped");
        let from = BufReader::new(child.stdout.take().expect("it is piped"));
        Ok(Some(Peer { child, to, from }))
    }

    fn ask(&mut self, question: &Value) -> Result<f64> {
        writeln!(self.to, "{question}").context("the peer has ended")?;
        let mut answer = String::new();
        self.from.read_line(&mut answer).context("the peer has ended")?;
        match answer.trim().parse() {
            Ok(number) => Ok(number),
            Err(_) => bail!("{SCRIPT}: {question}: answered {:?}, where a number is expected", answer.trim()),
        }
    }

    /// Seconds of `steps` training steps of one trial.
    pub fn seconds(&mut self, network: &str, method: &str, batch: i64, steps: usize) -> Result<f64> {
        self.ask(&json!({ "network": network, "method": method, "batch": batch, "steps": steps }))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
