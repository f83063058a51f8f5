use super::{HostName, LinkSpec, Remedy, TargetSpec};
use async_trait::async_trait;
use jiff::Timestamp;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// A connection, whatever carries it.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

pub type BoxStream = Box<dyn Stream>;

/// Why a link could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// Somebody else may be answering; nothing was sent to them.
    #[error("the bastion showed a host key that is not the pinned one")]
    HostKey { said: String },
    #[error("the bastion did not accept the key")]
    Authentication { said: String },
    #[error("the bastion did not answer")]
    TimedOut { said: String },
    #[error("the bastion refused the connection")]
    Refused { said: String },
    #[error("this machine has no network")]
    NoNetwork { said: String },
    #[error("`ssh` was not found on this machine")]
    NoSsh,
    #[error("ssh failed")]
    Failed { said: String },
}

impl LinkError {
    /// What ssh itself said, on one line.
    pub fn said(&self) -> &str {
        match self {
            Self::NoSsh => "",
            Self::HostKey { said }
            | Self::Authentication { said }
            | Self::TimedOut { said }
            | Self::Refused { said }
            | Self::NoNetwork { said }
            | Self::Failed { said } => said,
        }
    }

    /// Set where retrying cannot help.
    pub fn remedy(&self) -> Option<Remedy> {
        match self {
            Self::HostKey { .. } => Some(Remedy::HostKey),
            Self::Authentication { .. } => Some(Remedy::Authentication),
            Self::NoSsh => Some(Remedy::InstallSsh),
            _ => None,
        }
    }
}

/// Why a link's ssh ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkEnd {
    /// Nothing came back from the bastion any more, or there was no way to it.
    #[error("ssh ended: {said}")]
    NoAnswer { said: String },
    /// It said something else, or was killed and said nothing.
    #[error("ssh ended{}", .said.as_ref().map(|said| format!(": {said}")).unwrap_or_default())]
    Other { said: Option<String> },
}

impl LinkEnd {
    /// Whether other links of the same way have likely ended as well.
    pub fn is_of_the_network(&self) -> bool {
        matches!(self, Self::NoAnswer { .. })
    }
}

/// What a link is opened with.
#[derive(Debug, Clone)]
pub struct LinkRequest {
    pub link: LinkSpec,
    pub targets: Vec<TargetSpec>,
    /// The environment's private folder for sockets; a path below it proves that an ssh is ours.
    pub folder: PathBuf,
}

impl LinkRequest {
    /// Whether the two want the same, whatever folder it lies in.
    pub fn leads_as(&self, other: &Self) -> bool {
        (&self.link, &self.targets) == (&other.link, &other.targets)
    }
}

/// Opens links to the bastion.
#[async_trait]
pub trait Ssh: Send + Sync {
    /// Authenticates, checks the pinned host key, and sets up one forward for each target.
    ///
    /// Never drop the future halfway: an ssh that has just been started would be left alone. It ends by itself.
    async fn open(&self, request: &LinkRequest) -> Result<Arc<dyn Link>, LinkError>;
    /// The newest link of this folder that was opened for the same and whose ssh lives, although the process that opened
    /// it was killed. Whether it leads anywhere by now is not asked.
    async fn resume(&self, request: &LinkRequest) -> Option<Arc<dyn Link>>;
    /// Whether the bastion's port takes a connection now. Cheap: it is asked twice a second while the network is away.
    async fn reachable(&self, link: &LinkSpec) -> bool;
}

/// The bastion's ready mark and deadline, as its first boot wrote them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BastionNotes {
    pub ready: bool,
    /// When it powers itself off.
    pub deadline: Option<Timestamp>,
}

/// One live ssh master with its forwards: a generation of the tunnel.
#[async_trait]
pub trait Link: Send + Sync {
    /// Opens a connection to the target with this index.
    async fn connect(&self, target: usize) -> std::io::Result<BoxStream>;
    /// Ends when the link has died, whatever the cause; returns at once for a dead one.
    async fn closed(&self);
    /// What the bastion says of itself. The session that this opens is also what makes sshd before 10.1 set
    /// TCP_NODELAY; without one, a reply in two pieces waits for Nagle and a delayed acknowledgement (146 ms instead
    /// of 56 ms at 50 ms round trip).
    async fn notes(&self) -> Option<BastionNotes>;
    /// Asks the ssh master itself whether it runs: no round trip, and no word about the bastion.
    async fn lives(&self) -> bool;
    /// Asks the bastion for a round trip. False: no answer within `limit`.
    async fn answers(&self, limit: Duration) -> bool;
    /// It is out of use, although connections may run through it still: nobody goes on with it ([`Ssh::resume`]).
    fn disown(&self);
    /// Ends the link and everything that runs through it; nothing of it is left afterwards.
    async fn close(&self);
    /// Why it ended, once it has.
    fn end(&self) -> LinkEnd;
    /// The ssh master's process.
    fn pid(&self) -> Option<u32>;
}

/// What answered at the other end.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeReport {
    /// One round trip, taken from the TLS handshake.
    pub round_trip: Duration,
    /// DNS names in the certificate.
    pub names: Vec<String>,
    /// Why the certificate is not to be believed, if it is not.
    pub distrust: Option<Distrust>,
    /// Why it takes no sessions now, in its own words: it is starting up or shutting down.
    pub unready: Option<String>,
}

/// Why a certificate is not to be believed, whomever it names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    #[error("the database's certificate was not issued by an authority in {}", ca_file.display())]
    UnknownIssuer { ca_file: PathBuf },
    #[error("the database's certificate has expired")]
    Expired,
    #[error("the database's certificate is not to be believed: {said}")]
    Other { said: String },
}

impl Distrust {
    fn remedy(&self) -> Remedy {
        match self {
            Self::UnknownIssuer { .. } => Remedy::Authority,
            Self::Expired => Remedy::Expired,
            Self::Other { .. } => Remedy::Identity,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// Accepted, then silence.
    #[error("the database did not answer within {} s", limit.as_secs())]
    Silent { limit: Duration },
    /// The local ssh has more to do than it can take: the database was not asked.
    #[error("ssh takes no further connection just now")]
    Busy,
    /// Accepted, then closed: the bastion could not reach the endpoint, or the endpoint refused.
    #[error("the database could not be reached from the bastion")]
    Closed,
    /// A direct route that does not lead there.
    #[error("the database could not be reached: {said}")]
    Unreachable { said: String },
    #[error("what answers is not PostgreSQL")]
    NotPostgres,
    #[error("the database offers no TLS")]
    NoTls,
    #[error("the TLS handshake with the database failed: {said}")]
    Tls { said: String },
    #[error("the certificate file {} could not be used: {said}", path.display())]
    Authority { path: PathBuf, said: String },
}

impl ProbeError {
    /// Set where something answers that must not be used: without a certificate nobody can tell which database it is.
    pub fn foreign(&self) -> Option<Foreign> {
        let remedy = match self {
            Self::NotPostgres => Remedy::Identity,
            Self::NoTls => Remedy::NoTls,
            Self::Authority { .. } => Remedy::Authority,
            Self::Silent { .. } | Self::Busy | Self::Closed | Self::Unreachable { .. } | Self::Tls { .. } => {
                return None;
            }
        };
        Some(Foreign { cause: self.to_string(), remedy })
    }

    fn absence(&self) -> Absence {
        match self {
            Self::Silent { .. } => Absence::Silent,
            Self::Closed => Absence::Refused,
            _ => Absence::Unknown,
        }
    }
}

/// Why nothing may be sent to what answers, and what helps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    pub cause: String,
    pub remedy: Remedy,
}

/// Why a database cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unusable {
    Foreign(Foreign),
    Down { cause: String, absence: Absence },
}

/// What is known of a database that cannot be used now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absence {
    /// Nothing came back, which may be the link's fault.
    Silent,
    /// It, or the bastion for it, took no connection.
    Refused,
    /// It is the wanted one, and takes no sessions yet, or no longer.
    Unready,
    /// It was not even asked, or did not get as far as an answer.
    Unknown,
}

/// What follows from an answer: the certificate's name and the round trip of the wanted database.
///
/// # Errors
/// [`Unusable`] when it is another one, or none.
pub fn judge(answer: &Result<ProbeReport, ProbeError>, host: &HostName) -> Result<(String, Duration), Unusable> {
    match answer {
        Ok(report) => match (identify(report, host), &report.unready) {
            (Ok(name), None) => Ok((name, report.round_trip)),
            (Ok(_), Some(said)) => Err(Unusable::Down {
                cause: format!("the database takes no sessions: {said}"),
                absence: Absence::Unready,
            }),
            (Err(foreign), _) => Err(Unusable::Foreign(foreign)),
        },
        Err(error) => Err(match error.foreign() {
            Some(foreign) => Unusable::Foreign(foreign),
            None => Unusable::Down { cause: error.to_string(), absence: error.absence() },
        }),
    }
}

/// Whether who answers is to be asked more.
pub type GoesOn<'a> = dyn Fn(&ProbeReport) -> bool + Send + Sync + 'a;

/// Asks a database who it is, without a password.
#[async_trait]
pub trait Probe: Send + Sync {
    /// SSLRequest, full TLS handshake; then, if `goes_on` says so of who answers, the start of a session as `pg_isready`
    /// begins one: a database that starts up refuses it, others ask for a password, and that is the end of it.
    ///
    /// It leaves no line in the log of a server that asks for passwords, as Aurora does; a bare SSLRequest does.
    ///
    /// Source: PostgreSQL documentation, "Frontend/Backend Protocol", SSL Session Encryption.
    async fn probe(
        &self,
        stream: BoxStream,
        host: &HostName,
        ca_file: &Path,
        goes_on: &GoesOn<'_>,
    ) -> Result<ProbeReport, ProbeError>;
}

/// Decides whether the database that answered is the wanted one; returns the certificate's name for it.
///
/// # Errors
/// [`Foreign`] when it is another one, or when nobody can tell.
pub fn identify(report: &ProbeReport, host: &HostName) -> Result<String, Foreign> {
    if let Some(distrust) = &report.distrust {
        return Err(Foreign { cause: distrust.to_string(), remedy: distrust.remedy() });
    }
    let wanted = host.as_str().to_ascii_lowercase();
    let covers = |name: &&String| {
        let name = name.to_ascii_lowercase();
        // RFC 6125 §6.4.3: a star stands for exactly one whole leftmost label.
        name == wanted
            || name.strip_prefix("*.").is_some_and(|rest| wanted.split_once('.').is_some_and(|(_, tail)| tail == rest))
    };
    report.names.iter().find(covers).cloned().ok_or_else(|| {
        let names = if report.names.is_empty() { "nobody".to_owned() } else { report.names.join(", ") };
        Foreign {
            cause: format!("the database's certificate is for {names}, not for {host}"),
            remedy: Remedy::Identity,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(names: &[&str]) -> ProbeReport {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        ProbeReport { round_trip: Duration::ZERO, names, distrust: None, unready: None }
    }

    #[test]
    fn the_certificate_must_name_the_endpoint() {
        let host = HostName::parse("db.cluster-x.eu-west-1.rds.amazonaws.com").unwrap();
        let exact = report(&["other", "DB.cluster-x.eu-west-1.rds.amazonaws.com"]);
        assert_eq!(identify(&exact, &host).unwrap(), "DB.cluster-x.eu-west-1.rds.amazonaws.com");
        assert!(identify(&report(&["*.cluster-x.eu-west-1.rds.amazonaws.com"]), &host).is_ok());
        assert!(identify(&report(&["*.eu-west-1.rds.amazonaws.com"]), &host).is_err());
        assert!(identify(&report(&["staging.cluster-y.eu-west-1.rds.amazonaws.com"]), &host).is_err());
        let distrusted = ProbeReport { distrust: Some(Distrust::Expired), ..exact };
        assert_eq!(identify(&distrusted, &host).unwrap_err().remedy, Remedy::Expired);
    }
}
