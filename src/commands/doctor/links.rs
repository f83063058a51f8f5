//! How each link is looked at, with what the other commands use as well.

use super::report::{Finding, Look, Sound};
use crate::bastion::{BastionAccess, BastionStatus, Reach};
use crate::commands::context::Context;
use crate::commands::environment::{self, Wish};
use crate::commands::{
    bastion as bastion_commands, database as database_commands, topology, tunnel as tunnel_commands,
};
use crate::config::{EnvironmentKind, Transport};
use crate::error::{CommandError, reach_hints, remedy_hint};
use crate::migrate::MigrationState;
use crate::system::SpawnSpec;
use crate::tunnel::{Remedy, TargetState, TunnelState};

/// Less time than this, and somebody's work may be cut short.
const SOON: jiff::SignedDuration = jiff::SignedDuration::from_hours(1);

pub(super) fn settings(context: &Context) -> Look {
    let settings = context.described()?;
    // It only looks: a question would be answered with a change.
    context.check_trust(settings)?;
    let kind = match settings.kind {
        EnvironmentKind::Personal => "personal",
        EnvironmentKind::Shared => "shared",
        EnvironmentKind::Protected => "protected",
    };
    let file = settings.file.as_ref().map(|file| format!(", {}", file.display())).unwrap_or_default();
    let who = format!("{} as {}", settings.environment, settings.alias.as_str());
    Ok(Sound::new(format!("{} {who}, {kind}{file}", settings.project.as_str())))
}

pub(super) fn ssh(context: &Context) -> Look {
    let version = SpawnSpec { program: "ssh".into(), args: vec!["-V".into()], ..SpawnSpec::default() };
    let missing = |_| CommandError::failed("`ssh` was not found on this machine").hint(remedy_hint(Remedy::InstallSsh));
    let said = context.host().processes.capture(&version).map_err(missing)?;
    let said = String::from_utf8_lossy(&said.stderr).trim().to_owned();
    if said.starts_with("OpenSSH") {
        return Ok(Sound::new(said));
    }
    Err(CommandError::failed(format!("`ssh` is not OpenSSH: {said}")).hint(remedy_hint(Remedy::InstallSsh)))
}

pub(super) async fn identity(context: &Context) -> Look {
    let aws = context.aws(&context.aws_target()?).await?;
    let caller = aws.caller().await?;
    Ok(Sound::new(format!("{}  {}", caller.arn, aws.region().unwrap_or_default())))
}

pub(super) async fn cluster(context: &Context) -> Look {
    let topology = topology::fresh_topology(context).await?;
    let cluster = &topology.cluster;
    Ok(Sound::new(format!("{}, writer {}:{}", cluster.id, cluster.writer_endpoint, cluster.port)))
}

pub(super) async fn password(context: &Context) -> Look {
    let settings = context.settings()?;
    let connection = environment::access(context, Wish::WRITER).await?.connection;
    let secret = topology::known_topology(context).and_then(|topology| topology.secret).filter(|_| !settings.iam);
    let source = secret.unwrap_or_else(|| "an IAM token".to_owned());
    Ok(Sound::new(format!("{}, from {source}", connection.user)))
}

pub(super) async fn bastion(context: &Context) -> Look {
    let found = bastion_commands::report(context).await?;
    let up = "`devdb bastion up` does what is missing";
    let id = found.instance_id.as_deref().unwrap_or_default();
    if found.state != BastionStatus::Running {
        let what = match found.state == BastionStatus::Absent {
            true => "there is none".to_owned(),
            false => format!("it is {}", found.state.name()),
        };
        return Err(CommandError::failed(what).hint(up));
    }
    // The report has just put down the way in, unless the key is missing.
    if BastionAccess::load(context.state_dir()?.path()).is_none() {
        return Err(CommandError::failed(format!("the key of {id} is not on this computer")).hint(up));
    }
    let now = context.host().clock.now();
    let left = found.expires_at.map(|expiry| (expiry, bastion_commands::time_left(expiry, now)));
    let address = found.public_ip.map(|address| address.to_string()).unwrap_or_default();
    let expires = left.as_ref().map(|(_, left)| format!(", expires {left}")).unwrap_or_default();
    let is_short = left.is_some_and(|(expiry, _)| expiry.duration_since(now) < SOON);
    Ok(Sound::new(format!("{id} at {address}{expires}"))
        .warn_if(!found.leftovers.is_empty(), "something is left of an earlier one", "`devdb bastion gc` removes it")
        .warn_if(is_short, "it powers itself off soon", "`devdb bastion extend` gives it more time"))
}

pub(super) async fn way_in(context: &Context) -> Look {
    let reach = bastion_commands::reach(context).await?;
    let way = match &reach {
        Reach::LetIn { address, port } => format!("port {port} takes connections from {address}"),
        Reach::Proxied { .. } => return logged_in(context, "ssh goes through a proxy or another host").await,
        Reach::ShutOut { .. } | Reach::AddressUnknown { .. } | Reach::NoGroup => {
            let mut words = reach_hints(&reach).into_iter();
            let error = CommandError::failed(words.next().unwrap_or_default());
            return Err(words.fold(error, CommandError::hint));
        }
    };
    let link = environment::link_spec(context).await?;
    if context.host().tools.ssh().reachable(&link).await {
        return logged_in(context, &way).await;
    }
    let silent = CommandError::failed(format!("port {} of {} takes no connection", link.ssh_port, link.address));
    Err(reach_hints(&reach).into_iter().fold(silent, CommandError::hint))
}

/// A port that takes connections is no way in yet.
async fn logged_in(context: &Context, way: &str) -> Look {
    let is_ready = bastion_commands::check_login(context).await?;
    let sound = Sound::new(format!("{way}, and the login works"));
    Ok(sound.warn_if(!is_ready, "its first boot has not finished yet", "`devdb bastion up` waits for it"))
}

pub(super) async fn tunnel(context: &Context) -> Look {
    let report = tunnel_commands::asked(context).await?;
    let is_direct = context.settings()?.transport == Transport::Direct;
    if report.state == TunnelState::Stopped {
        if let Some(cause) = report.cause {
            return Err(CommandError::failed(cause).hint("`devdb tunnel up` puts another one in its place"));
        }
        let is_down = || CommandError::failed("it is not up").hint("`devdb tunnel up` starts it");
        return Err(tunnel_commands::busy(context).await?.unwrap_or_else(is_down));
    }
    if !report.is_up() {
        let mut error = CommandError::failed(format!("it is {}", report.state.word()));
        error.causes.extend(report.cause.clone());
        return Err(error.hint(report.remedy.map_or("`devdb tunnel logs` tells what happened", remedy_hint)));
    }
    let writer = report.targets.first();
    let local = writer.and_then(|writer| writer.local.first()).map(|local| format!("{local}, "));
    let trip = writer.and_then(|writer| writer.rtt_ms).map(|trip| format!("{trip:.0} ms round trip"));
    let way = if is_direct { "the route is direct, " } else { "" };
    let said = format!("{way}{}{}", local.unwrap_or_default(), trip.unwrap_or_default());
    let lost = report.targets.iter().find(|target| target.state != TargetState::Up);
    let sound = Sound::new(said.trim_end_matches(", "));
    Ok(match lost {
        None => sound,
        Some(target) => {
            let cause = target.cause.as_deref().unwrap_or("it has not answered");
            sound.warn(format!("the {} is not up: {cause}", target.name), "`devdb tunnel logs` tells what happened")
        }
    })
}

/// Database and migrations, over one session.
pub(super) async fn database(context: &Context) -> [Finding; 2] {
    let opened = async {
        let connection = environment::environment_connection(context).await?;
        let session =
            database_commands::environment_session(context, &connection, database_commands::STATUS_LOCK_TIMEOUT)
                .await?;
        Ok::<_, CommandError>((connection, session))
    };
    let (connection, mut session) = match opened.await {
        Ok(opened) => opened,
        Err(error) => {
            return [
                Finding::of("database", Err(error)),
                Finding::unknown("migrations", "the database cannot be asked"),
            ];
        }
    };
    let how = database_commands::how_known(session.reached(), &connection);
    let sound = Sound::new(format!("{} as {}, {how}", connection.database, connection.user));
    let migrations = migrations(context, session.as_mut()).await;
    [Finding::of("database", Ok(sound)), Finding::of("migrations", migrations)]
}

async fn migrations(context: &Context, session: &mut dyn crate::migrate::MigrationDatabase) -> Look {
    let report = database_commands::ledger_status(context, session).await?;
    let count = |state| report.count(state);
    let said = format!("{} executed, {} pending", count(MigrationState::Executed), count(MigrationState::Pending));
    if let Some(problem) = &report.problem {
        return Err(
            CommandError::failed(problem.clone()).hint("`devdb migrate repair` shows what would mend it, and asks")
        );
    }
    let is_behind = count(MigrationState::Pending) > 0;
    Ok(Sound::new(said).warn_if(is_behind, "the database is behind the files", "`devdb migrate to latest` runs them"))
}
