//! Which AWS account an environment is in: remembered at the first use, so that other credentials are noticed.

use super::context::Context;
use crate::bastion::Caller;
use crate::error::{CommandError, ErrorKind};
use crate::system::write_private;

const FILE: &str = "account";

/// Passes if the credentials are of the account that this environment was first used with; asks otherwise.
///
/// A profile's name says little: another file of the same name, or other variables, lead to another account, where
/// the same stack may have another database.
pub(crate) fn check(context: &Context, caller: &Caller) -> Result<(), CommandError> {
    let path = context.state_dir()?.file(FILE);
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    if known == caller.account {
        return Ok(());
    }
    if !known.is_empty() && !is_meant(context, &known, caller)? {
        let name = &context.settings()?.environment;
        return Err(CommandError::new(
            ErrorKind::Refused,
            format!("environment {name} is in account {known}, and the credentials are of {}", caller.account),
        )
        .hint("choose the profile of that account: `--profile NAME`, or AWS_PROFILE")
        .hint("if the environment has moved, `devdb trust` forgets the account"));
    }
    context.state_dir()?.ensure()?;
    Ok(write_private(&path, caller.account.as_bytes())?)
}

fn is_meant(context: &Context, known: &str, caller: &Caller) -> Result<bool, CommandError> {
    let name = &context.settings()?.environment;
    let question = format!(
        "environment {name} was in account {known} so far, and these credentials are of {}; has it moved there?",
        caller.account
    );
    Ok(context.confirm_in_person(&question)? == Some(true))
}

/// Forgets the account of the selected environment.
pub(crate) fn forget(context: &Context) -> Result<(), CommandError> {
    match std::fs::remove_file(context.state_dir()?.file(FILE)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
