//! The `delora` program: experiments, figures, pretraining and a check of the machine.
//!
//! Start reading at [`Command`]; each subcommand is one file in `commands/`.

mod commands;
mod cuda;
mod doctor;
mod exit;
mod folder;
mod libtorch;
mod memory;
mod method_text;
mod params;
mod tasks;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use commands::{
    doctor as doctor_command, export, import, methods, params as params_command, plan, plots, pretrain, run,
    status, world,
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
    /// Show trials, banks, expected time and memory; run nothing
    Plan(plan::Args),
    /// Show which trials are finished, of a running experiment too
    Status(status::Args),
    /// Draw tables and figures again from the results
    Plots(plots::Args),
    /// Write a trial's adapter for PEFT or diffusers, or merged into its model
    Export(export::Args),
    /// Read an adapter that PEFT saved
    Import(import::Args),
    /// Train the small networks of `assets/mini`
    Pretrain(pretrain::Args),
    /// Write the mini world's subjects as folders of pictures
    World(world::Args),
    /// List the methods with all that is known of them, or show one
    Methods(methods::Args),
    /// Count the parameters that methods train, beside the paper's counts
    Params(params_command::Args),
    /// Say what was found on this machine and what is wrong with it
    Doctor(doctor_command::Args),
}

fn main() -> ExitCode {
    memory::keep_freed_memory();
    let cli = Cli::parse();
    let cuda = cuda::load();
    let result = match &cli.command {
        Command::Run(args) => run::run(args),
        Command::Plan(args) => plan::run(args).map(|()| ExitCode::SUCCESS),
        Command::Status(args) => status::run(args).map(|()| ExitCode::SUCCESS),
        Command::Plots(args) => plots::run(args).map(|()| ExitCode::SUCCESS),
        Command::Export(args) => export::run(args).map(|()| ExitCode::SUCCESS),
        Command::Import(args) => import::run(args).map(|()| ExitCode::SUCCESS),
        Command::Pretrain(args) => pretrain::run(args).map(|()| ExitCode::SUCCESS),
        Command::World(args) => world::run(args).map(|()| ExitCode::SUCCESS),
        Command::Methods(args) => methods::run(args).map(|()| ExitCode::SUCCESS),
        Command::Params(args) => params_command::run(args).map(|()| ExitCode::SUCCESS),
        Command::Doctor(args) => Ok(doctor_command::run(args, &cuda)),
    };
    result.unwrap_or_else(|error| {
        for line in exit::message(&error).lines() {
            eprintln!("error: {line}");
        }
        exit::error()
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_long_help_states_every_exit_code() {
        let help = Cli::command().render_long_help().to_string();
        for code in ["0 ", "1 ", "2 ", "3 ", "130 "] {
            assert!(help.contains(code), "{code} is missing in {help}");
        }
    }
}
