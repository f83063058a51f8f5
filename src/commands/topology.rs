use super::context::Context;
use crate::config::{Settings, Transport};
use crate::discovery::{DiscoveryError, Topology, Wanted, cache, discover};
use crate::error::CommandError;

/// Where the cache stands, and what it must have been found for.
struct Cache {
    path: std::path::PathBuf,
    wanted: String,
}

impl Cache {
    fn of(context: &Context) -> Result<Self, CommandError> {
        let settings = context.settings()?;
        // What the settings leave open, the AWS SDK takes from these; another account has other endpoints.
        let vars = &context.host().surroundings.vars;
        let var = |name: &str| vars.get(name).filter(|value| !value.is_empty());
        let profile = settings.profile.as_ref().or(var("AWS_PROFILE"));
        let region = settings.region.as_ref().or(var("AWS_REGION")).or(var("AWS_DEFAULT_REGION"));
        let wanted = format!("{profile:?} {region:?} {:?}", wanted(settings));
        Ok(Self { path: context.state_dir()?.file(cache::FILE), wanted })
    }
}

fn wanted(settings: &Settings) -> Wanted {
    Wanted {
        stack: settings.stack.clone(),
        vpc: settings.vpc.clone(),
        cluster: settings.cluster.clone(),
        secret: settings.secret.clone(),
        subnet_name: (settings.transport == Transport::Ssh).then(|| settings.subnet_name.clone()),
    }
}

/// The topology, from the cache where it is warm: no call then.
///
/// Whoever learns from AWS that something in it is gone calls [`fresh_topology`].
pub(crate) async fn topology(context: &Context) -> Result<Topology, CommandError> {
    let cached = Cache::of(context)?;
    match cache::load(&cached.path, &cached.wanted) {
        Some(topology) => Ok(topology),
        None => fresh_topology(context).await,
    }
}

/// The topology if it is in the cache; nobody is asked.
pub(crate) fn known_topology(context: &Context) -> Option<Topology> {
    let cached = Cache::of(context).ok()?;
    cache::load(&cached.path, &cached.wanted)
}

/// The topology as AWS tells it now; kept for the next command. What cannot be decided is asked.
pub(crate) async fn fresh_topology(context: &Context) -> Result<Topology, CommandError> {
    let cached = Cache::of(context)?;
    let aws = context.host().tools.aws(&context.aws_target()?).await?;
    let mut wanted = wanted(context.settings()?);
    let found = loop {
        match discover(&*aws, &wanted).await {
            Err(DiscoveryError::Ambiguous { what, key, candidates }) => {
                let question = format!("which {what}?");
                let Some(chosen) = context.select(&question, &candidates)? else {
                    return Err(DiscoveryError::Ambiguous { what, key, candidates }.into());
                };
                let answer = candidates.into_iter().nth(chosen);
                match key {
                    "cluster" => wanted.cluster = answer,
                    _ => wanted.secret = answer,
                }
            }
            other => break other,
        }
    };
    if let Err(error) = &found
        && error.is_not_found()
    {
        cache::drop(&cached.path)?;
    }
    let topology = found?;
    context.state_dir()?.ensure()?;
    cache::store(&cached.path, &cached.wanted, &topology)?;
    Ok(topology)
}
