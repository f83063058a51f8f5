//! The way to a database, and who stands at its local end.

use super::context::Context;
use crate::connection::{ClientKind, Connection};
use crate::error::{CommandError, ErrorKind, remedy_hint};
use crate::system::{Processes, SocketUser};
use crate::tunnel::{TunnelReport, TunnelState};
use std::net::SocketAddr;

/// How a database is reached.
pub(crate) enum Way {
    /// Nothing of devdb lies in between.
    Direct,
    /// Through the tunnel, as its supervisor reports it; [`TunnelState::Stopped`] where none runs.
    Tunnel { report: Box<TunnelReport>, holder: Holder },
}

/// Who holds the tunnel's local port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holder {
    /// The running supervisor.
    Tunnel,
    /// No process does.
    Free,
    /// Another process of this user: a tunnel of their own, perhaps.
    Own,
    Other {
        uid: Option<u32>,
    },
}

impl Holder {
    pub(super) fn of(processes: &dyn Processes, local: SocketAddr) -> Self {
        match processes.port_user(local) {
            None => Self::Free,
            Some(SocketUser::Trusted) => Self::Own,
            Some(SocketUser::Other { uid }) => Self::Other { uid },
        }
    }
}

impl Way {
    pub(crate) fn is_open(&self) -> bool {
        match self {
            Self::Direct => true,
            Self::Tunnel { report, .. } => report.is_up(),
        }
    }

    /// Refuses to hand out the password where another user's process would be sent it, or might be by a client that
    /// verifies no certificate. `again` is the command that starts the tunnel first.
    pub(crate) fn check(&self, connection: &Connection, client: ClientKind, again: &str) -> Result<(), CommandError> {
        let Self::Tunnel { holder, .. } = self else { return Ok(()) };
        let local = connection.hostaddr.map(|ip| SocketAddr::new(ip, connection.port).to_string()).unwrap_or_default();
        if let Holder::Other { uid } = holder {
            let uid = uid.map(|uid| format!(" (uid {uid})")).unwrap_or_default();
            let what = format!("another user{uid} listens at {local}, and would be sent the password");
            return Err(CommandError::new(ErrorKind::Refused, what)
                .hint("`devdb tunnel ports` tells more, and `devdb tunnel up` names a free port"));
        }
        if client == ClientKind::Node && *holder != Holder::Tunnel {
            let what = format!(
                "the tunnel is not up, and node-postgres verifies no certificate: what listens at {local} would be sent the password"
            );
            return Err(CommandError::new(ErrorKind::Refused, what)
                .hint(again)
                .hint("with templates/node-postgres.ts it verifies, and takes what `--client libpq` sets"));
        }
        Ok(())
    }

    /// Says why nothing will answer, if that is so.
    pub(crate) fn warn_unless_open(&self, context: &Context) {
        let printer = context.printer();
        match self {
            Self::Tunnel { report, holder: Holder::Own } if report.state == TunnelState::Stopped => {
                printer.warning("the tunnel is not up, and another process of yours holds its port");
                printer.hint("`devdb tunnel ports` shows which; `devdb tunnel up` ends it if it is a stale ssh");
            }
            Self::Tunnel { report, .. } if report.state == TunnelState::Stopped => {
                printer.warning("the tunnel is not up, so nothing will answer yet");
                printer.hint("run `devdb tunnel up`");
            }
            Self::Tunnel { report, .. } if !report.is_up() => {
                let cause = report.cause.as_ref().map(|cause| format!(": {cause}")).unwrap_or_default();
                printer.warning(&format!("the tunnel is {}{cause}", report.state.word()));
                printer.hint(report.remedy.map_or("`devdb tunnel status` tells more", remedy_hint));
            }
            Self::Direct | Self::Tunnel { .. } => {}
        }
    }
}
