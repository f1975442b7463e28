//! `delora doctor`: what was found on this machine, and what is wrong with it.

use device::Cuda;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::doctor::{Level, examine};
use crate::exit;

#[derive(clap::Args)]
pub struct Args {
    /// Folder of the pretrained models
    #[arg(long, value_name = "DIR", default_value = "assets/mini")]
    assets: PathBuf,
}

pub fn run(args: &Args, cuda: &Cuda) -> ExitCode {
    let findings = examine(cuda, &args.assets);
    for finding in &findings {
        let mark = match finding.level {
            Level::Ok => "ok  ",
            Level::Warn => "warn",
            Level::Fail => "fail",
        };
        terminal::line(format_args!("{mark}  {:<8}  {}", finding.subject, finding.found));
        if !finding.remedy.is_empty() {
            terminal::line(format_args!("{:16}→ {}", "", finding.remedy));
        }
    }
    let failed = findings.iter().filter(|finding| finding.level == Level::Fail).count();
    if failed == 0 {
        return ExitCode::SUCCESS;
    }
    terminal::line(format_args!("{failed} of {} checks failed", findings.len()));
    exit::error()
}
