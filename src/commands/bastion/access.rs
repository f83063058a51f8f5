use super::bench::scope;
use crate::bastion::{self, BastionAccess, BastionStatus, LocalState};
use crate::commands::context::Context;
use crate::error::{CommandError, ErrorKind};

/// The way to the bastion: from the cache while it has not expired, else from AWS.
pub(crate) async fn bastion_access(context: &Context) -> Result<BastionAccess, CommandError> {
    let settings = context.settings()?;
    let state_dir = context.state_dir()?;
    let now = context.host().clock.now();
    let cached = BastionAccess::load(state_dir.path())
        .filter(|access| access.expires_at.is_none_or(|expiry| expiry > now) && access.key_file.is_file());
    let access = match cached {
        Some(access) => access,
        None => asked(context).await?,
    };
    let ssh = settings.ssh.clone();
    Ok(BastionAccess { proxy_command: ssh.proxy_command, proxy_jump: ssh.proxy_jump, ..access })
}

async fn asked(context: &Context) -> Result<BastionAccess, CommandError> {
    let settings = context.settings()?;
    let aws = context.host().tools.aws(&context.aws_target()?).await?;
    let report = bastion::status(&*aws, &scope(settings)).await?;
    let local = LocalState::new(context.state_dir()?.path());
    let up = "run `devdb bastion up`; it does what is missing";
    let generation = local.generation().filter(|generation| generation.instance_id == report.instance_id);
    let (Some(instance_id), Some(public_ip), BastionStatus::Running) =
        (report.instance_id, report.public_ip, report.state)
    else {
        let what = format!("the bastion is not running ({})", report.state.name());
        return Err(CommandError::new(ErrorKind::Failed, what).hint(up));
    };
    if generation.is_none() {
        return Err(CommandError::failed(format!("the key of {instance_id} is not on this computer")).hint(up));
    }
    let access = BastionAccess {
        instance_id,
        public_ip,
        public_dns: report.public_dns,
        user: settings.bastion.ssh_user.clone(),
        port: settings.bastion.ssh_port,
        key_file: local.key_file(),
        known_hosts_file: local.known_hosts_file(),
        expires_at: report.expires_at,
        place: local.place(),
        proxy_command: None,
        proxy_jump: None,
    };
    access.store(local.dir())?;
    Ok(access)
}
