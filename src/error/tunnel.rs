//! The notice board's part for the tunnel.

use super::{CommandError, ErrorKind};
use crate::system::shell_word;
use crate::tunnel::{Obstacle, PortOwnerKind, Remedy, SpecError, TunnelError};

impl From<TunnelError> for CommandError {
    fn from(error: TunnelError) -> Self {
        let kind = match &error {
            TunnelError::Failed {
                remedy: Some(Remedy::HostKey | Remedy::Identity | Remedy::Authority | Remedy::Expired | Remedy::NoTls),
                ..
            }
            | TunnelError::Unreachable { remedy: Some(_), .. } => ErrorKind::Refused,
            _ => ErrorKind::Failed,
        };
        let shown = Self::from_error(kind, &error);
        match error {
            TunnelError::PortBusy { target, address, owner, free } => {
                let shown = match owner.map(|owner| owner.kind) {
                    Some(PortOwnerKind::Ssh) => shown.hint(
                        "`devdb tunnel kill-stale` tells whether that is a forgotten tunnel, and ends it if you agree",
                    ),
                    _ => shown,
                };
                match free {
                    Some(free) => shown.hint(format!(
                        "take a free port instead: set `{target}_port = {free}` under [environment.NAME.tunnel] in devdb.local.toml"
                    )),
                    None => shown.hint(format!("free port {}, or choose another `{target}_port`", address.port())),
                }
            }
            TunnelError::Failed { remedy: Some(remedy), .. }
            | TunnelError::Unreachable { remedy: Some(remedy), .. } => shown.hint(remedy_hint(remedy)),
            TunnelError::Unreachable { remedy: None, .. } => shown
                .hint("connect the VPN that leads into the VPC, or set `transport = \"ssh\"` to go through a bastion"),
            TunnelError::NotUp { obstacle: Obstacle::TakenDown, .. } => shown.hint("`devdb tunnel up` starts it again"),
            // `tunnel up` has asked AWS for the address; what is left is a rule, a route or the instance itself.
            TunnelError::NotUp { obstacle: Obstacle::Bastion, .. } => shown.hint(LOOK_AT_BASTION).hint(GOES_ON),
            TunnelError::Failed { remedy: None, .. } | TunnelError::NotUp { obstacle: Obstacle::Database, .. } => {
                shown.hint(GOES_ON)
            }
            TunnelError::NotStarted { last: Some(last), .. } => {
                let mut shown = shown;
                shown.causes.push(last);
                shown
            }
            TunnelError::Stale { .. } => shown.hint("`devdb tunnel down` ends it"),
            // That is what `devdb tunnel down` has just tried.
            TunnelError::NotEnded { pid } => shown
                .hint(format!("see with `ps -fp {pid}` that it is devdb's supervisor, then end it: `kill -9 {pid}`"))
                .hint("run the command again afterwards; it cleans up what the supervisor left"),
            TunnelError::ProcessNotEnded { pid } => {
                shown.hint(format!("see with `ps -fp {pid}` what it is waiting for; `kill -9 {pid}` has been tried"))
            }
            TunnelError::File { path, source } if source.kind() == std::io::ErrorKind::StorageFull => {
                let folder = path.parent().unwrap_or(&path).display().to_string();
                let folder = shell_word(&folder);
                shown.hint(format!("`df -h {folder}` shows the disk that is full; a tunnel that runs already goes on"))
            }
            // An address is no place for `ls`.
            TunnelError::File { path, source } if path.is_absolute() && is_closed(source.kind()) => {
                let folder = path.parent().unwrap_or(&path).display().to_string();
                let folder = shell_word(&folder);
                shown.hint(format!("`ls -la {folder}` shows who may write there; a tunnel that runs already goes on"))
            }
            TunnelError::ForeignFolder { .. } => shown.hint("set XDG_RUNTIME_DIR to a folder of your own"),
            _ => shown,
        }
    }
}

fn is_closed(kind: std::io::ErrorKind) -> bool {
    matches!(kind, std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem)
}

const LOOK_AT_BASTION: &str =
    "`devdb bastion up` looks at what AWS says (a new address, a bastion that is gone) and repairs the way in";
const GOES_ON: &str = "it keeps trying in the background; `devdb tunnel status` tells how it goes";

/// What to do about a tunnel that gave up.
pub(crate) fn remedy_hint(remedy: Remedy) -> &'static str {
    match remedy {
        Remedy::HostKey => {
            "somebody else may be answering in the bastion's place; `devdb bastion up` looks at what AWS says and repairs the way in"
        }
        Remedy::Authentication => {
            "`devdb bastion up` finds out why, and offers a new bastion; `devdb bastion up --replace` makes one at once"
        }
        Remedy::Identity => {
            "this is not the database that the settings name; compare `devdb config show` with the endpoint"
        }
        Remedy::Authority => {
            "name the right CA file (`ca_file` in devdb.toml; the RDS bundle is used without one); if it is right, something else answers in the database's place"
        }
        Remedy::Expired => "renew the server's certificate, and check this computer's clock: `date -u`",
        Remedy::NoTls => {
            "Aurora always offers TLS, so this is probably not the database that the settings name; compare `devdb config show` with the endpoint"
        }
        Remedy::Bastion => "`devdb up` makes a new bastion, and the tunnel follows it",
        Remedy::Credentials => "log in to AWS again; the tunnel repairs itself soon afterwards",
        Remedy::InstallSsh => "install OpenSSH's client (`openssh-client`) and try again",
    }
}

impl From<SpecError> for CommandError {
    fn from(error: SpecError) -> Self {
        let shown = Self::from_error(ErrorKind::Failed, &error);
        match error.what {
            "a path in the ssh configuration" => {
                shown.hint("set XDG_STATE_HOME to a folder whose path ssh can be given")
            }
            _ => shown.hint("`devdb config show --origin` tells where each value comes from"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hints(error: TunnelError) -> String {
        CommandError::from(error).hints.join("\n")
    }

    #[test]
    fn no_hint_sends_anybody_back_to_the_command_that_has_just_failed() {
        for remedy in [Remedy::HostKey, Remedy::Authentication] {
            let said = hints(TunnelError::Failed { cause: "refused".to_owned(), remedy: Some(remedy) });
            assert!(said.contains("devdb bastion up") && !said.contains("tunnel up"), "{said}");
        }
        let not_up = |obstacle| hints(TunnelError::NotUp { cause: "no answer".to_owned(), seconds: 45, obstacle });
        let said = not_up(Obstacle::Bastion);
        assert!(said.contains("devdb bastion up") && said.contains("devdb tunnel status"), "{said}");
        assert!(!not_up(Obstacle::Database).contains("bastion"));
        assert!(!not_up(Obstacle::TakenDown).contains("background"));
        let said = hints(TunnelError::NotEnded { pid: 4711 });
        assert!(said.contains("kill -9 4711") && !said.contains("tunnel down"), "{said}");
    }
}
