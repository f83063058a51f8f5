use super::bench::{Bench, scope};
use crate::bastion::{self, BastionAccess, BastionError, BastionReport, BastionStatus, LocalState, Reach, ShellError};
use crate::commands::context::Context;
use crate::error::{CommandError, ErrorKind, reach_hints};

/// The way to the bastion as AWS tells it now, whatever the cache says; the cache follows.
///
/// Where AWS cannot be asked (an expired login is no reason to be without a tunnel) the way that is known has to do:
/// nobody has contradicted it.
pub(crate) async fn bastion_access(context: &Context) -> Result<BastionAccess, CommandError> {
    match ask(context).await {
        Ok(seen) => with_proxy(context, way_in(context, &seen)?),
        Err(error) => match cached(context)? {
            Some(access) => {
                context.printer().warning(&format!("{}; using the way in that is known from before", error.message));
                with_proxy(context, access)
            }
            None => Err(error),
        },
    }
}

async fn ask(context: &Context) -> Result<BastionReport, CommandError> {
    let aws = context.aws(&context.aws_target()?).await?;
    let seen = bastion::status(&*aws, &scope(context.settings()?)).await?;
    refresh_cache(context, aws.region(), &seen)?;
    Ok(seen)
}

fn cached(context: &Context) -> Result<Option<BastionAccess>, CommandError> {
    let now = context.host().clock.now();
    Ok(BastionAccess::load(context.state_dir()?.path())
        .filter(|access| access.expires_at.is_none_or(|expiry| expiry > now) && access.key_file.is_file()))
}

/// Lets the cache follow what AWS has just said. Another region knows nothing of the bastion, and contradicts nothing.
pub(super) fn refresh_cache(
    context: &Context,
    region: Option<String>,
    seen: &BastionReport,
) -> Result<(), CommandError> {
    let state_dir = context.state_dir()?;
    let place = LocalState::new(state_dir.path()).place();
    if place.is_some_and(|place| Some(place.region) != region) {
        return Ok(());
    }
    if BastionAccess::load(state_dir.path()).is_some_and(|cached| cached.agrees_with(seen)) {
        return Ok(());
    }
    match way_in(context, seen) {
        Ok(access) => access.store(state_dir.path())?,
        Err(_) => BastionAccess::drop_cache(state_dir.path())?,
    }
    Ok(())
}

fn with_proxy(context: &Context, access: BastionAccess) -> Result<BastionAccess, CommandError> {
    let ssh = context.settings()?.ssh.clone();
    Ok(BastionAccess { proxy_command: ssh.proxy_command, proxy_jump: ssh.proxy_jump, ..access })
}

fn way_in(context: &Context, seen: &BastionReport) -> Result<BastionAccess, CommandError> {
    let settings = context.settings()?;
    let local = LocalState::new(context.state_dir()?.path());
    let up = "run `devdb bastion up`; it does what is missing";
    let (Some(instance_id), Some(public_ip), BastionStatus::Running) = (&seen.instance_id, seen.public_ip, seen.state)
    else {
        let what = format!("the bastion is not running ({})", seen.state.name());
        return Err(CommandError::new(ErrorKind::Failed, what).hint(up));
    };
    if local.generation().and_then(|generation| generation.instance_id).as_ref() != Some(instance_id) {
        return Err(CommandError::failed(format!("the key of {instance_id} is not on this computer")).hint(up));
    }
    Ok(BastionAccess {
        instance_id: instance_id.clone(),
        public_ip,
        public_dns: seen.public_dns.clone(),
        user: settings.bastion.ssh_user.clone(),
        port: settings.bastion.ssh_port,
        key_file: local.key_file(),
        known_hosts_file: local.known_hosts_file(),
        expires_at: seen.expires_at,
        place: local.place(),
        proxy_command: None,
        proxy_jump: None,
    })
}

/// An error of the way in; where nobody answers, with what the bastion's rules tell about that.
pub(super) async fn explained(context: &Context, error: BastionError) -> CommandError {
    match &error {
        BastionError::NoWayIn { source: ShellError::NoAnswer { timed_out: true, .. }, .. } => {
            with_the_rules_word(context, error.into()).await
        }
        _ => error.into(),
    }
}

/// Whether the bastion lets us in, found out with a login; false while its first boot goes on.
pub(crate) async fn check_login(context: &Context) -> Result<bool, CommandError> {
    let bench = Bench::fetch(context).await?;
    let access = bastion_access(context).await?;
    match bastion::check_login(&bench.workshop(&|_| {}), &access).await {
        Ok(is_ready) => Ok(is_ready),
        Err(error) => Err(explained(context, error).await),
    }
}

/// Whether the bastion's rules let us in, as AWS has them now.
pub(crate) async fn reach(context: &Context) -> Result<Reach, CommandError> {
    let bench = Bench::fetch(context).await?;
    let workshop = bench.workshop(&|_| {});
    Ok(bastion::reach(&workshop, &bench.scope(), bench.settings.bastion.ssh_port).await?)
}

/// ssh gets no answer from the bastion: what its rules tell about that, as the error's first advice.
pub(crate) async fn with_the_rules_word(context: &Context, mut error: CommandError) -> CommandError {
    let advice = match reach(context).await {
        Ok(reach) => reach_hints(&reach),
        Err(_) => vec!["if your address has changed, `devdb bastion allow-ip` lets the new one in".to_owned()],
    };
    error.hints.splice(0..0, advice);
    error
}
