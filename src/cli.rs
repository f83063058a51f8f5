//! The command line, as clap reads it. Help texts are the doc comments.

use crate::commands::Command;
use clap::{ArgAction, CommandFactory, Parser, ValueEnum};
use std::ffi::OsString;
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

/// Where the subcommand stands in `argv`: behind the program's name and the global options.
fn verb_at(argv: &[OsString]) -> Option<usize> {
    let command = Cli::command();
    let takes_value = |found: &dyn Fn(&clap::Arg) -> bool| {
        command.get_arguments().any(|argument| found(argument) && argument.get_action().takes_values())
    };
    let mut at = 1;
    loop {
        let word = argv.get(at)?.to_str()?;
        let value_follows = match word.strip_prefix("--") {
            Some("") => return None,
            Some(long) => takes_value(&|argument| argument.get_long() == Some(long)),
            // In `-qe dev` the value follows, in `-edev` it is there: only the last letter can still want one.
            None => match word.strip_prefix('-') {
                Some(letters) => {
                    let wants = |letter: char| takes_value(&|argument| argument.get_short() == Some(letter));
                    letters.chars().position(wants).is_some_and(|place| place + 1 == letters.chars().count())
                }
                None => return Some(at),
            },
        };
        at += if value_follows { 2 } else { 1 };
    }
}

/// The subcommand that this command line names, known before it is parsed.
pub(crate) fn verb(argv: &[OsString]) -> Option<&str> {
    argv.get(verb_at(argv)?)?.to_str()
}

/// Everything after `psql` is psql's: its `-e`, `-q` and `-v` mean something else there, and so does `--help`. Whoever
/// puts `--` there, as before the command of `exec`, means the same.
pub(crate) fn leave_to_psql(mut argv: Vec<OsString>) -> Vec<OsString> {
    if verb(&argv) == Some("psql")
        && let Some(at) = verb_at(&argv)
        && argv.get(at + 1).is_none_or(|next| next != "--")
    {
        argv.insert(at + 1, "--".into());
    }
    argv
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(line: &str) -> String {
        let argv = line.split(' ').map(OsString::from).collect();
        leave_to_psql(argv).join(" ".as_ref()).into_string().unwrap()
    }

    #[test]
    fn what_follows_psql_is_left_to_it_wherever_psql_stands() {
        assert_eq!(left("devdb psql -e -q --help"), "devdb psql -- -e -q --help");
        assert_eq!(left("devdb -q -e dev psql -e"), "devdb -q -e dev psql -- -e");
        assert_eq!(left("devdb -qe psql psql -v a=b"), "devdb -qe psql psql -- -v a=b");
        assert_eq!(left("devdb -epsql psql"), "devdb -epsql psql --");
        assert_eq!(
            left("devdb --profile psql --region=psql psql -- -x"),
            "devdb --profile psql --region=psql psql -- -x"
        );
        assert_eq!(left("devdb psql -- -- x"), "devdb psql -- -- x");
    }

    #[test]
    fn the_word_alone_makes_no_command_of_it() {
        for line in ["devdb exec -- psql -e", "devdb --profile psql env", "devdb -e psql status", "devdb -e", "devdb"] {
            assert_eq!(left(line), line);
        }
        assert_eq!(verb(&["devdb", "--color", "never", "exec"].map(OsString::from)), Some("exec"));
    }
}
