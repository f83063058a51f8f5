//! The question that an environment of a committed file has to pass.

use super::{rows, shown, table};
use crate::commands::context::Context;
use crate::config::{Claim, Settings, Standing, TrustStore};
use crate::error::{CommandError, ErrorKind};
use crate::ui::Paint;

impl Context {
    pub(crate) fn trust_store(&self) -> Result<TrustStore, CommandError> {
        Ok(TrustStore::locate(&self.host().surroundings.vars)?)
    }

    /// Whether everything in these settings counts already.
    pub(crate) fn is_trusted(&self, settings: &Settings) -> Result<bool, CommandError> {
        match &settings.claim {
            Some(claim) => Ok(self.trust_store()?.standing(claim).is_trusted()),
            None => Ok(true),
        }
    }

    /// Passes if everything in the settings is trusted; asks where it can.
    pub(crate) fn ask_for_trust(&self, settings: &Settings) -> Result<(), CommandError> {
        let Some(claim) = &settings.claim else { return Ok(()) };
        let store = self.trust_store()?;
        let standing = store.standing(claim);
        if standing.is_trusted() {
            return Ok(());
        }
        if !self.may_ask_in_person() {
            return Err(self.untrusted(claim, &standing));
        }
        self.printer().warning(told(claim, &standing).trim_end());
        match self.confirm_in_person("trust these values?")? {
            Some(true) => Ok(store.keep(claim)?),
            Some(false) => Err(CommandError::new(ErrorKind::Refused, format!("{} is not trusted", shown(&claim.file)))
                .hint("nothing of it was used; `devdb trust --show` shows its values again")),
            None => Err(self.untrusted(claim, &standing)),
        }
    }

    /// Passes if everything in the settings is trusted; asks nothing.
    pub(crate) fn check_trust(&self, settings: &Settings) -> Result<(), CommandError> {
        let Some(claim) = &settings.claim else { return Ok(()) };
        let standing = self.trust_store()?.standing(claim);
        if standing.is_trusted() { Ok(()) } else { Err(self.untrusted(claim, &standing)) }
    }

    fn untrusted(&self, claim: &Claim, standing: &Standing) -> CommandError {
        let told = told(claim, standing);
        CommandError::new(ErrorKind::Refused, told.trim_end().to_owned())
            .hint("if these values are yours to trust, run `devdb trust`")
            .hint("in CI, DEVDB_TRUSTED_CONFIG names the file that is trusted whatever it holds; `devdb trust --help` tells when that is safe")
    }
}

fn told(claim: &Claim, standing: &Standing) -> String {
    let file = shown(&claim.file);
    let first = match standing {
        Standing::Changed { .. } => format!("{file} has changed since it was trusted\n"),
        _ => format!("{file} is not trusted yet\n"),
    };
    let mut told = first + &table(&rows(claim, standing), 0, Paint { color: false });
    if let Standing::New { others } = standing {
        for other in others {
            told.push_str(&format!(
                "{} has the same project: this file would share its tunnel and its bastion's key\n",
                shown(other)
            ));
        }
    }
    told
}
