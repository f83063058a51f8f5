//! The command line, as clap reads it. Help texts are the doc comments.

use crate::commands::Command;
use clap::{ArgAction, Parser, ValueEnum};
use std::path::PathBuf;

/// One command between your laptop and an Aurora PostgreSQL cluster in a private VPC
///
/// Provisions a bastion that only you can reach, keeps an SSH tunnel alive behind a local port,
/// puts the password into your shell, and runs Kysely-compatible SQL migrations.
#[derive(Debug, Parser)]
#[command(name = "devdb", version, disable_help_subcommand = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    Auto,
    Always,
    Never,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Globals {
    /// Use this [environment.NAME] of devdb.toml (default: dev)
    #[arg(short = 'e', long, global = true, value_name = "NAME")]
    pub(crate) environment: Option<String>,
    /// Use this AWS profile
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// Use this AWS region
    #[arg(long, global = true, value_name = "REGION")]
    pub(crate) region: Option<String>,
    /// Read this file instead of the nearest devdb.toml
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print one JSON document on stdout
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print results, warnings and errors only
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Print more detail
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Agree to what would be asked (never enough for a protected environment)
    #[arg(short = 'y', long, global = true)]
    pub(crate) yes: bool,
    /// Name the protected environment that may be changed
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) confirm: Option<String>,
    /// Never ask; fail where an answer is needed
    #[arg(long, global = true)]
    pub(crate) no_input: bool,
    /// Use colours
    #[arg(long, global = true, value_name = "WHEN", value_enum)]
    pub(crate) color: Option<ColorChoice>,
}
