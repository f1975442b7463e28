//! `delora clean`: removes what an experiment's results do not need, after asking.

use std::io::BufRead;

use runner::{Leftover, leftovers};

use super::experiment::ExperimentArgs;
use crate::tasks::workload;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    experiment: ExperimentArgs,
    /// Remove without asking
    #[arg(long)]
    yes: bool,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let experiment = args.experiment.load()?;
    let workload = workload(&experiment.task)?;
    let found = leftovers(&experiment, workload.as_ref(), &args.experiment.results)?;
    if found.items.is_empty() {
        terminal::line("there is nothing to remove");
        return Ok(());
    }
    terminal::print(listing(&found.items));
    if !args.yes && !asked(&mut std::io::stdin().lock())? {
        terminal::line("nothing was removed");
        return Ok(());
    }
    let count = found.items.len();
    found.remove()?;
    terminal::line(format_args!("{count} removed"));
    Ok(())
}

/// Everything found, by kind, with sizes.
fn listing(items: &[Leftover]) -> String {
    let mut text = String::new();
    for group in items.chunk_by(|left, right| left.kind == right.kind) {
        let bytes: u64 = group.iter().map(|item| item.bytes).sum();
        text += &format!("{}: {}, {}\n", group[0].kind.title(), group.len(), size(bytes));
        for item in group {
            text += &format!("  {:>9}  {}\n", size(item.bytes), item.path.display());
        }
    }
    text
}

/// Whether the answer to the question is yes; no answer is no, and so is one to a question that nobody could read.
fn asked(input: &mut dyn BufRead) -> anyhow::Result<bool> {
    terminal::print("remove all of this? [y/N] ");
    if !terminal::is_read() {
        return Ok(false);
    }
    let mut answer = String::new();
    if input.read_line(&mut answer)? == 0 {
        terminal::line("");
    }
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// A size such as 512 B, 3.1 kB, 2.4 GB.
fn size(bytes: u64) -> String {
    let units = [(1e9, "GB"), (1e6, "MB"), (1e3, "kB")];
    match units.iter().find(|(unit, _)| bytes as f64 >= *unit) {
        Some((unit, name)) => format!("{:.1} {name}", bytes as f64 / unit),
        None => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use runner::LeftoverKind;

    #[test]
    fn only_yes_is_yes() {
        for (answer, expected) in [("y\n", true), ("YES\n", true), ("\n", false), ("n\n", false), ("", false)]
        {
            assert_eq!(asked(&mut answer.as_bytes()).unwrap(), expected, "{answer:?}");
        }
    }

    #[test]
    fn leftovers_are_listed_by_kind_with_sizes() {
        let item = |kind, path: &str, bytes| Leftover { kind, path: path.into(), bytes };
        let items = [
            item(LeftoverKind::Checkpoint, "checkpoints/a", 2_400_000_000),
            item(LeftoverKind::Checkpoint, "checkpoints/b", 3_100),
            item(LeftoverKind::Damaged, "damaged/c.1", 12),
        ];
        let expected = "checkpoints of interrupted banks, which would start over: 2, 2.4 GB\n     \
            2.4 GB  checkpoints/a\n     3.1 kB  checkpoints/b\n\
            damaged files, and what runs have set aside: 1, 12 B\n       12 B  damaged/c.1\n";
        assert_eq!(listing(&items), expected);
    }
}
