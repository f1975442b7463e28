//! The `delora` program: experiments, figures, pretraining and a check of the machine.
//!
//! Start reading at [`Command`]; each subcommand is one file in `commands/`.

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod commands;
mod doctor;
mod engines;
mod exit;
mod folder;
mod host;
mod libtorch;
mod memory;
mod method_text;
mod params;
mod tasks;
mod waiting;

use std::any::TypeId;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::{PathBufValueParser, TypedValueParser};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use commands::{
    adopt, bench, cancel, check_weights, clean, decide, diff, doctor as doctor_command, export, fetch,
    generate, import, merge, methods, params as params_command, plan, plots, pretrain,
    report as report_command, run, status, submit, verify_resume, weight_norms, world,
};

#[derive(Parser)]
#[command(
    name = "delora",
    version,
    about = "Reproduces DeLoRA: many small finetunings over one frozen network"
)]
#[command(after_long_help = exit::HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run what is open in an experiment, then draw its tables and figures
    Run(run::Args),
    /// Write down what is to be decided, run the trials that decide it, and say what they decided
    Decide(decide::Args),
    /// Start workers of an experiment through Slurm or HyperQueue, or print the lines that start them
    Submit(submit::Args),
    /// Take back what was submitted for an experiment
    Cancel(cancel::Args),
    /// Show trials, banks, expected time and memory; run nothing
    Plan(plan::Args),
    /// Show which trials are finished, of a running experiment too
    Status(status::Args),
    /// Show in what settings two trials of an experiment differ
    Diff(diff::Args),
    /// List what can be removed from an experiment's results, and remove it after asking
    Clean(clean::Args),
    /// Prove that interrupted runs of an experiment give the results of an undisturbed one
    VerifyResume(verify_resume::Args),
    /// Draw tables and figures again from the results
    Plots(plots::Args),
    /// Write one HTML file of results, figures and a verdict on each claim of the paper
    Report(report_command::Args),
    /// Write an adapter of Stable Diffusion for PEFT or diffusers, or merged into its model
    Export(export::Args),
    /// Read an adapter of Stable Diffusion that PEFT saved
    Import(import::Args),
    /// Go on from a text, or answer an instruction, with a decoder
    Generate(generate::Args),
    /// Download data sets and checkpoints of the paper's scale
    Fetch(fetch::Args),
    /// Train the small networks of `assets/mini`
    Pretrain(pretrain::Args),
    /// Write the mini world's subjects as folders of pictures
    World(world::Args),
    /// Take the finished trials of other folders of results into one, by identity
    Merge(merge::Args),
    /// Take the finished trials of committed tables back into the ledger, so that a run goes on from them
    Adopt(adopt::Args),
    /// List the methods with all that is known of them, or show one
    Methods(methods::Args),
    /// Count the parameters that methods train, beside the paper's counts
    Params(params_command::Args),
    /// Compare a checkpoint's tensors with those that its config asks for, and look for NaN
    CheckWeights(check_weights::Args),
    /// Measure the column norms of a checkpoint's attention projections, and draw them
    WeightNorms(weight_norms::Args),
    /// Measure what a training step costs, in banks of any size and beside PEFT, and the machine's limits
    Bench(bench::Args),
    /// Say what was found on this machine and what is wrong with it
    Doctor(doctor_command::Args),
}

/// The same command, in which `~` stands for the home folder in every argument that is a path: a shell replaces it only at
/// the beginning of a word, not in `--results=~/results`.
fn with_homes(command: clap::Command) -> clap::Command {
    let with_home = |argument: clap::Arg| {
        if argument.get_value_parser().type_id() != TypeId::of::<PathBuf>() {
            return argument;
        }
        argument.value_parser(PathBufValueParser::new().map(|path| runner::expand_home(&path)))
    };
    command.mut_args(with_home).mut_subcommands(with_homes)
}

fn main() -> ExitCode {
    memory::keep_freed_memory();
    let matches = with_homes(Cli::command()).get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    // The bench's peer is another program, but never at work at the same time.
    if !matches!(cli.command, Command::Bench(_)) {
        waiting::watch_for_others();
    }
    let gpu = match &cli.command {
        Command::Plan(args) => args.gpu(),
        Command::Submit(args) => args.gpu(),
        _ => None,
    };
    gpu.into_iter().for_each(device::become_gpu);
    let cuda = device::load_cuda();
    let result = match &cli.command {
        Command::Run(args) => run::run(args, cuda),
        Command::Decide(args) => decide::run(args, cuda),
        Command::Bench(args) => bench::run(args, cuda).map(|()| ExitCode::SUCCESS),
        Command::Submit(args) => submit::run(args, cuda).map(|()| ExitCode::SUCCESS),
        Command::Cancel(args) => cancel::run(args).map(|()| ExitCode::SUCCESS),
        Command::Plan(args) => plan::run(args, cuda).map(|()| ExitCode::SUCCESS),
        Command::Status(args) => status::run(args).map(|()| ExitCode::SUCCESS),
        Command::Diff(args) => diff::run(args).map(|()| ExitCode::SUCCESS),
        Command::Clean(args) => clean::run(args).map(|()| ExitCode::SUCCESS),
        Command::VerifyResume(args) => verify_resume::run(args, cuda),
        Command::Plots(args) => plots::run(args).map(|()| ExitCode::SUCCESS),
        Command::Report(args) => report_command::run(args).map(|()| ExitCode::SUCCESS),
        Command::Export(args) => export::run(args).map(|()| ExitCode::SUCCESS),
        Command::Import(args) => import::run(args).map(|()| ExitCode::SUCCESS),
        Command::Generate(args) => generate::run(args).map(|()| ExitCode::SUCCESS),
        Command::Fetch(args) => fetch::run(args).map(|()| ExitCode::SUCCESS),
        Command::Pretrain(args) => pretrain::run(args).map(|()| ExitCode::SUCCESS),
        Command::World(args) => world::run(args).map(|()| ExitCode::SUCCESS),
        Command::Adopt(args) => adopt::run(args).map(|()| ExitCode::SUCCESS),
        Command::Merge(args) => merge::run(args).map(|()| ExitCode::SUCCESS),
        Command::Methods(args) => methods::run(args).map(|()| ExitCode::SUCCESS),
        Command::Params(args) => params_command::run(args).map(|()| ExitCode::SUCCESS),
        Command::CheckWeights(args) => check_weights::run(args),
        Command::WeightNorms(args) => weight_norms::run(args).map(|()| ExitCode::SUCCESS),
        Command::Doctor(args) => Ok(doctor_command::run(args, cuda)),
    };
    // What a run computes is in its files; of all other commands what they print is what they are for.
    let lost = terminal::failure().filter(|_| !matches!(cli.command, Command::Run(_)));
    let lost = lost.map(|error| anyhow::anyhow!("cannot write to standard output: {error}"));
    result.and_then(|code| lost.map_or(Ok(code), Err)).unwrap_or_else(|error| {
        for line in exit::message(&error).lines() {
            terminal::notice(format_args!("error: {line}"));
        }
        exit::error()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_tilde_is_the_home_folder_in_every_path_argument() {
        let home = std::env::home_dir().unwrap();
        let mut count = 0;
        for command in Cli::command().get_subcommands() {
            for argument in command.get_arguments() {
                let is_path = argument.get_value_parser().type_id() == TypeId::of::<PathBuf>();
                let Some(long) = argument.get_long().filter(|_| is_path) else { continue };
                // What else a subcommand asks for is no matter here.
                let parser = with_homes(Cli::command()).ignore_errors(true);
                let words = ["delora", command.get_name(), &format!("--{long}=~/my folder")];
                let matches = parser.get_matches_from(words);
                let given = matches.subcommand_matches(command.get_name()).unwrap();
                let path = given.get_one::<PathBuf>(argument.get_id().as_str());
                assert_eq!(path, Some(&home.join("my folder")), "{} --{long}", command.get_name());
                count += 1;
            }
        }
        assert!(count >= 25, "{count}");
    }

    #[test]
    fn the_long_help_states_every_exit_code() {
        let help = Cli::command().render_long_help().to_string();
        for code in ["0 ", "1 ", "2 ", "3 ", "130 "] {
            assert!(help.contains(code), "{code} is missing in {help}");
        }
    }
}
