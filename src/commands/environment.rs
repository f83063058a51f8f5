use super::account;
use super::bastion::access::bastion_access;
use super::context::Context;
use super::topology::{fresh_topology, known_topology, topology};
use super::way::{Holder, Way};
use crate::config::{self, Origin, Settings, Transport};
use crate::connection::{self, Connection, ConnectionError, DatabaseSecret, Endpoint, Login, Role, TokenLogin};
use crate::discovery::Topology;
use crate::error::{CommandError, ErrorKind};
use crate::system::{CloudError, Links, hex, read_plain, write_private};
use crate::tunnel::{
    self, HealSpec, HostName, LinkSpec, LoginName, ProxyCommand, ProxyJump, SshPath, SupervisorSpec, TargetSpec,
    TunnelReport, TunnelState,
};
use sha2::{Digest, Sha256};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

/// The certificate authorities that are shipped; written to the state folder so that PGSSLROOTCERT has a stable path.
const RDS_CA_BUNDLE: &str = include_str!("../../templates/rds-ca-bundle.pem");
/// Bytes; every authority of RDS takes 170 kB.
const LONGEST_CA_FILE: u64 = 16 * 1024 * 1024;
const RDS_CA_FILE: &str = "rds-ca-bundle.pem";

/// A database, and whether the way there is open.
pub(crate) struct Access {
    pub(crate) connection: Connection,
    pub(crate) way: Way,
}

/// Which of the environment's endpoints, and how to log in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish {
    pub(crate) role: Role,
    /// A token instead of the secret, whatever the settings say.
    pub(crate) iam: bool,
}

impl Wish {
    /// What a command takes that leaves nothing to choose.
    pub(crate) const WRITER: Self = Self { role: Role::Writer, iam: false };
}

/// The connection to the selected environment, as the running tunnel (or the settings) would have it.
pub(crate) async fn environment_connection(context: &Context) -> Result<Connection, CommandError> {
    Ok(access(context, Wish::WRITER).await?.connection)
}

/// Composes the connection: endpoint from discovery, password from the secret (or a token), local port from the
/// supervisor.
pub(crate) async fn access(context: &Context, wish: Wish) -> Result<Access, CommandError> {
    let settings = context.settings()?;
    let cached = topology(context).await?;
    let uses_token = wish.iam || settings.iam || cached.secret.is_none();
    let (topology, secret) = match uses_token {
        true => (cached, None),
        false => with_secret(context, cached).await.map(|(topology, secret)| (topology, Some(secret)))?,
    };
    let cluster = &topology.cluster;
    let host = endpoint_name(&topology, wish.role)?;
    let (local, way) = local_end(context, wish.role).await?;
    let endpoint = Endpoint { host, port: cluster.port, local };
    let login = Login {
        user: settings.user.clone(),
        database: settings.database.clone(),
        cluster_user: cluster.master_user.clone(),
        cluster_database: cluster.database.clone(),
    };
    let ca_file = ca_file(context)?;
    let connection = match secret {
        Some(secret) => connection::compose(endpoint, login, secret, ca_file)?,
        None => {
            let user = settings.iam_user.as_ref().or(settings.user.as_ref()).ok_or(ConnectionError::NoTokenUser)?;
            let who = TokenLogin { host: endpoint.host.clone(), port: endpoint.port, user: user.clone() };
            let aws = context.aws(&context.aws_target()?).await?;
            let token = aws.database_token(&who, context.host().clock.now()).await?;
            connection::compose_with_token(endpoint, user, login, token, ca_file)?
        }
    };
    Ok(Access { connection, way })
}

/// The secret that the topology names; a cache that AWS contradicts is dropped and discovered anew.
async fn with_secret(context: &Context, cached: Topology) -> Result<(Topology, DatabaseSecret), CommandError> {
    match secret(context, &cached).await {
        Ok(secret) => Ok((cached, secret?)),
        Err(CloudError::NotFound { .. }) => {
            let fresh = fresh_topology(context).await?;
            let secret = secret(context, &fresh).await??;
            Ok((fresh, secret))
        }
        Err(error) => Err(error.into()),
    }
}

async fn secret(context: &Context, topology: &Topology) -> Result<Result<DatabaseSecret, CommandError>, CloudError> {
    let id = topology.secret.as_deref().ok_or_else(|| CloudError::NotFound {
        what: format!("a secret for cluster `{}`", topology.cluster.id),
        source: None,
    })?;
    let target = match context.aws_target() {
        Ok(target) => target,
        Err(error) => return Ok(Err(error)),
    };
    let aws = context.aws(&target).await?;
    // An ARN names its account. Another account may have a secret of the same name, and the endpoint that is known from
    // before must not be sent its password.
    let content = if id.starts_with("arn:") {
        aws.secret(id).await?
    } else {
        let (caller, content) = tokio::join!(aws.caller(), aws.secret(id));
        if let Err(error) = account::check(context, &caller?) {
            return Ok(Err(error));
        }
        content?
    };
    let fault = |fault| ConnectionError::Secret { id: id.to_owned(), fault }.into();
    Ok(DatabaseSecret::read(&content).map_err(fault))
}

/// The environment's connection with the password as it is now, if that is another one than the server has just
/// refused: it was rotated in between.
pub(crate) async fn rotated(context: &Context, refused: &Connection) -> Option<Connection> {
    let now = environment_connection(context).await.ok()?;
    let password = now.password.filter(|password| refused.password.as_ref() != Some(password))?;
    Some(Connection { password: Some(password), ..refused.clone() })
}

fn endpoint_name(topology: &Topology, role: Role) -> Result<String, CommandError> {
    match role {
        Role::Writer => Ok(topology.cluster.writer_endpoint.clone()),
        Role::Reader => topology.cluster.reader_endpoint.clone().ok_or_else(|| {
            CommandError::failed(format!("cluster `{}` has no reader endpoint", topology.cluster.id))
                .hint("leave out `--reader`")
        }),
    }
}

/// The tunnel's local end for a role, and how the tunnel is; the running supervisor knows its port better than the
/// settings do.
async fn local_end(context: &Context, role: Role) -> Result<(Option<(IpAddr, u16)>, Way), CommandError> {
    let settings = context.settings()?;
    if settings.transport == Transport::Direct {
        return Ok((None, Way::Direct));
    }
    let configured = match role {
        Role::Writer => settings.tunnel.writer_port,
        Role::Reader => settings.tunnel.reader_port,
    };
    let report = tunnel_report(context).await?.unwrap_or_else(TunnelReport::stopped);
    // The supervisor says this over a socket that is the user's alone, so it is a proof of who holds the port.
    let bound = report.target(role.name()).and_then(|target| target.local.first().copied());
    let local = bound.unwrap_or_else(|| (Ipv4Addr::LOCALHOST, configured).into());
    let holder = match bound {
        Some(_) => Holder::Tunnel,
        None => Holder::of(context.host().processes.as_ref(), local),
    };
    Ok((Some((local.ip(), local.port())), Way::Tunnel { report: Box::new(report), holder }))
}

/// What the supervisor says, where there is one; no database is asked.
pub(crate) async fn tunnel_report(context: &Context) -> Result<Option<TunnelReport>, CommandError> {
    Ok(tunnel::status(context.state_dir()?.path(), context.host().processes.as_ref()).await)
}

/// The configured CA file, or the shipped bundle, at a stable path.
pub(crate) fn ca_file(context: &Context) -> Result<PathBuf, CommandError> {
    let settings = context.settings()?;
    let state = context.state_dir()?;
    let Some(path) = &settings.ca_file else {
        return kept(state.ensure()?.join(RDS_CA_FILE), RDS_CA_BUNDLE.as_bytes());
    };
    if !path.is_file() {
        return Err(CommandError::failed(format!("there is no CA file {}", path.display()))
            .hint("correct `ca_file` in devdb.toml, or leave it out to use the RDS bundle that devdb brings"));
    }
    let entry = settings.entries.get("ca_file").filter(|entry| matches!(entry.origin, Origin::File { .. }));
    let Some(entry) = entry else { return Ok(path.clone()) };
    // What was trusted is this content; another branch may bring another one while a tunnel or a shell still uses it.
    let content = read_plain(path, Links::Followed, LONGEST_CA_FILE).map_err(std::io::Error::from)?;
    let digest = hex(&Sha256::digest(&content));
    if settings.claim.as_ref().is_some_and(|it| it.has_moved_on(&settings.environment, "ca_file", entry, &digest)) {
        let what = format!("{} has changed while this command ran", path.display());
        return Err(CommandError::new(ErrorKind::Refused, what).hint("run the same command again"));
    }
    let name = format!("ca-{}.pem", &digest[..16]);
    kept(state.ensure()?.join(name), &content)
}

/// The file with this content; written where it is another one.
fn kept(path: PathBuf, content: &[u8]) -> Result<PathBuf, CommandError> {
    if !std::fs::read(&path).is_ok_and(|found| found == content) {
        write_private(&path, content)?;
    }
    Ok(path)
}

/// A database that cannot be used is first of all a question to the tunnel: if that is not up, its advice comes first.
pub(crate) async fn with_the_tunnels_word(context: &Context, mut error: CommandError) -> CommandError {
    let Ok(report) = tunnel_report(context).await else { return error };
    let is_ssh = context.settings().is_ok_and(|settings| settings.transport == Transport::Ssh);
    match report {
        Some(report) if report.state == TunnelState::Up => {}
        Some(_) => error.hints.insert(0, "`devdb tunnel status` tells what the tunnel is waiting for".to_owned()),
        None if is_ssh => error.hints.insert(0, "the tunnel is not up: run `devdb tunnel up`".to_owned()),
        None => {}
    }
    error
}

/// The local ports of the selected environment.
pub(crate) fn tunnel_ports(context: &Context) -> Result<Vec<u16>, CommandError> {
    let tunnel = &context.settings()?.tunnel;
    Ok(vec![tunnel.writer_port, tunnel.reader_port])
}

/// The names of the environment's databases, as far as they are known without asking anybody.
pub(crate) fn known_databases(context: &Context) -> Vec<HostName> {
    let cluster = known_topology(context).map(|topology| topology.cluster);
    let names = cluster.into_iter().flat_map(|cluster| [Some(cluster.writer_endpoint), cluster.reader_endpoint]);
    names.flatten().filter_map(|name| HostName::parse(&name).ok()).collect()
}

/// What the supervisor must know: the way in, the endpoints, the local ports. No secret.
pub(crate) async fn tunnel_spec(context: &Context) -> Result<SupervisorSpec, CommandError> {
    let settings = context.settings()?;
    let topology = topology(context).await?;
    let link = match settings.transport {
        Transport::Direct => None,
        Transport::Ssh => Some(link_spec(context).await?),
    };
    let ca_file = ca_file(context)?;
    Ok(SupervisorSpec {
        link,
        targets: tunnel_targets(context, &topology)?,
        ca_file: ca_file.clone(),
        hold_ms: u64::try_from(settings.tunnel.hold.as_millis()).unwrap_or(u64::MAX),
        serves_all_users: settings.tunnel.serves_all_users,
        heal: Some(heal_spec(context, ca_file)?),
    })
}

/// What the supervisor's child must know to mend the way: the settings as they are trusted now.
fn heal_spec(context: &Context, ca_file: PathBuf) -> Result<HealSpec, CommandError> {
    let settings = context.settings()?;
    let frozen = config::freeze(&Settings { ca_file: settings.ca_file.as_ref().map(|_| ca_file), ..settings.clone() });
    let values = frozen.into_iter().map(|(key, value)| Ok((key, serde_json::to_value(value)?)));
    Ok(HealSpec {
        folder: context.host().surroundings.cwd.clone(),
        environment: settings.environment.clone(),
        settings: values.collect::<Result<_, std::io::Error>>()?,
    })
}

/// The databases that a tunnel leads to, and their local ports.
pub(crate) fn tunnel_targets(context: &Context, topology: &Topology) -> Result<Vec<TargetSpec>, CommandError> {
    let (cluster, ports) = (&topology.cluster, &context.settings()?.tunnel);
    let writer = target(Role::Writer, &cluster.writer_endpoint, cluster.port, ports.writer_port);
    let reader = cluster.reader_endpoint.as_deref();
    let reader = reader.map(|host| target(Role::Reader, host, cluster.port, ports.reader_port));
    std::iter::once(writer).chain(reader).collect()
}

fn target(role: Role, host: &str, port: u16, local_port: u16) -> Result<TargetSpec, CommandError> {
    Ok(TargetSpec { name: role.name().to_owned(), host: HostName::parse(host)?, port, local_port })
}

/// The way through the bastion.
pub(crate) async fn link_spec(context: &Context) -> Result<LinkSpec, CommandError> {
    let access = bastion_access(context).await?;
    let ssh = &context.settings()?.ssh;
    Ok(LinkSpec {
        instance_id: HostName::parse(&access.instance_id)?,
        address: HostName::parse(&access.public_ip.to_string())?,
        ssh_port: access.port,
        user: LoginName::parse(&access.user)?,
        identity_file: SshPath::from_path(&access.key_file)?,
        known_hosts_file: SshPath::from_path(&access.known_hosts_file)?,
        proxy_command: ssh.proxy_command.as_deref().map(ProxyCommand::parse).transpose()?,
        proxy_jump: ssh.proxy_jump.as_deref().map(ProxyJump::parse).transpose()?,
    })
}
