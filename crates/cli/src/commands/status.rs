//! `delora status`: what the ledger says, trial by trial, once or for as long as a run takes.

use std::io::IsTerminal;
use std::path::Path;
use std::time::{Duration, Instant};

use runner::{Plan, State};

use super::experiment::ExperimentArgs;
use super::submit::jobs_folder;
use crate::engines::{by_engine, submitted};
use crate::tasks::workload;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    experiment: ExperimentArgs,
    /// Show counts again and again until every trial has its record: every 2 seconds, or as given
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", value_parser = seconds)]
    watch: Option<Duration>,
    /// Show what the id of a trial is made of, in place of the list; a beginning of it is enough
    #[arg(long, value_name = "ID", conflicts_with = "watch")]
    explain: Option<String>,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let experiment = args.experiment.load()?;
    let workload = workload(&experiment.task)?;
    if let Some(id) = &args.explain {
        terminal::print(runner::explain(&experiment, workload.as_ref(), &args.experiment.results, id)?);
        return Ok(());
    }
    let mut plan = runner::status(&experiment, workload.as_ref(), &args.experiment.results)?;
    match args.watch {
        Some(pause) => watch(&mut plan, pause),
        None => terminal::print(format_args!("{}{plan}", plan.listing())),
    }
    tell_queue(&jobs_folder(&experiment, &args.experiment.results)?)?;
    Ok(())
}

/// What engines say of the jobs that were submitted.
fn tell_queue(folder: &Path) -> anyhow::Result<()> {
    for (engine, jobs) in by_engine(&submitted(folder)?) {
        match engine.states(&jobs) {
            Ok(lines) => lines.iter().for_each(terminal::line),
            // The ledger is told from any machine, the queue where its programs are.
            Err(error) => terminal::line(format_args!("{}: {error:#}", engine.name())),
        }
    }
    Ok(())
}

/// Shows the state until nothing is open and no process runs, or nobody reads it: in place on a terminal, else a line
/// per change.
fn watch(plan: &mut Plan, pause: Duration) {
    let in_place = std::io::stdout().is_terminal();
    let begun = (Instant::now(), recorded(plan));
    let (mut drawn, mut last) = (0, String::new());
    loop {
        let text = if in_place { block(plan, begun) } else { line(plan) };
        if in_place {
            let up = if drawn > 0 { format!("\x1b[{drawn}A\x1b[J") } else { String::new() };
            terminal::print(format_args!("{up}{text}"));
            drawn = text.lines().count();
        } else if text != last {
            terminal::print(&text);
        }
        last = text;
        if is_over(plan) || !terminal::is_read() {
            return;
        }
        std::thread::sleep(pause);
        plan.refresh();
    }
}

/// Whether every trial has its record and no process is at work.
fn is_over(plan: &Plan) -> bool {
    plan.running.is_none() && recorded(plan) == plan.states.len()
}

fn recorded(plan: &Plan) -> usize {
    plan.states.iter().filter(|state| !matches!(state, State::Open | State::Damaged { .. })).count()
}

/// Counts and who is at work, as in "walk at scale mini: 3 done, 5 open; running is process 71 of box, since …".
fn line(plan: &Plan) -> String {
    let counts: Vec<String> = plan.counts().iter().map(|(name, count)| format!("{count} {name}")).collect();
    let running = match &plan.running {
        Some(holder) => format!("running is {holder}"),
        None => "no process is running".to_string(),
    };
    format!("{} at scale {}: {}; {running}\n", plan.experiment, plan.scale, counts.join(", "))
}

/// Failures that are shown in place.
const MOST_FAILURES: usize = 5;

/// The line, a bar with the time to go as trials end while this watches, and the last failures.
fn block(plan: &Plan, (started, at_start): (Instant, usize)) -> String {
    const WIDTH: usize = 40;
    let (all, now) = (plan.states.len(), recorded(plan));
    let filled = (WIDTH * now).checked_div(all).unwrap_or(WIDTH);
    let left = if now > at_start && now < all {
        let each = started.elapsed() / (now - at_start) as u32;
        format!("  about {} to go", runner::duration_text(each * (all - now) as u32))
    } else {
        String::new()
    };
    let mut text = line(plan);
    text += &format!("[{}{}] {now}/{all}{left}\n", "=".repeat(filled), " ".repeat(WIDTH - filled));
    let failed = plan.grid.trials.iter().zip(&plan.states).filter_map(|(trial, state)| match state {
        State::Failed { message } => Some(format!("{} failed: {message}", trial.id)),
        State::Damaged { reason } => Some(reason.clone()),
        _ => None,
    });
    // A line that wraps would be counted as one.
    let short = |text: String| text.replace('\n', " ").chars().take(78).collect::<String>();
    failed.take(MOST_FAILURES).for_each(|failure| text += &format!("{}\n", short(failure)));
    text
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| format!("`{text}` is not a number of seconds"))?;
    match Duration::try_from_secs_f64(number) {
        Ok(pause) if pause >= Duration::from_millis(100) => Ok(pause),
        _ => Err("write a number of seconds from 0.1 on".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_a_number_of_seconds() {
        assert_eq!(seconds("2"), Ok(Duration::from_secs(2)));
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for wrong in ["0", "-1", "2s", "nan", "1e300"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
