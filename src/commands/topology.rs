use super::account;
use super::context::Context;
use crate::config::{Settings, Transport};
use crate::discovery::{DiscoveryError, Topology, Wanted, cache, discover};
use crate::error::CommandError;
use crate::system::toml_text;

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

/// The topology as AWS tells it now; kept for the next command. What cannot be decided is asked, once.
pub(crate) async fn fresh_topology(context: &Context) -> Result<Topology, CommandError> {
    let cached = Cache::of(context)?;
    let aws = context.aws(&context.aws_target()?).await?;
    let mut answers = cache::answers(&cached.path, &cached.wanted);
    let mut given_before = answers.list();
    let mut asked = Vec::new();
    let settings = context.settings()?;
    let search = with_answers(wanted(settings), &answers);
    let (caller, mut attempt) = tokio::join!(aws.caller(), discover(&*aws, &search));
    // Before anything is asked or kept.
    account::check(context, &caller?)?;
    let found = loop {
        match attempt {
            Err(DiscoveryError::Ambiguous { what, key, candidates }) => {
                let Some(chosen) = context.select(&format!("which {what}?"), &candidates)? else {
                    return Err(DiscoveryError::Ambiguous { what, key, candidates }.into());
                };
                let answer = candidates.into_iter().nth(chosen);
                match key {
                    "cluster" => answers.cluster = answer,
                    _ => answers.secret = answer,
                }
                asked.push(key);
            }
            // The one that was chosen then is gone; those that are there now may need no question.
            Err(error) if error.is_not_found() && !given_before.is_empty() => {
                answers = cache::Answers::default();
                given_before = Vec::new();
            }
            other => break other,
        }
        attempt = discover(&*aws, &with_answers(wanted(settings), &answers)).await;
    };
    if let Err(error) = &found
        && error.is_not_found()
    {
        cache::drop(&cached.path)?;
    }
    let topology = found?;
    context.state_dir()?.ensure()?;
    cache::store(&cached.path, &cached.wanted, &topology, &answers)?;
    tell_of_answers(context, &given_before, &answers.list(), !asked.is_empty());
    Ok(topology)
}

fn with_answers(wanted: Wanted, answers: &cache::Answers) -> Wanted {
    let cluster = wanted.cluster.or_else(|| answers.cluster.clone());
    let secret = wanted.secret.or_else(|| answers.secret.clone());
    Wanted { cluster, secret, ..wanted }
}

/// An answer holds until the settings change; whoever relies on an old one is told so.
fn tell_of_answers(context: &Context, before: &[(&str, String)], now: &[(&str, String)], asked: bool) {
    let printer = context.printer();
    for (key, value) in before {
        printer.status(&format!("  {key} {value}, as answered before"));
    }
    if asked {
        let lines: Vec<String> = now.iter().map(|(key, value)| format!("`{key} = {}`", toml_text(value))).collect();
        let lines = lines.join(" and ");
        printer.hint(&format!(
            "this computer will not ask again; {lines} under [environment.NAME] in devdb.toml answers for everybody"
        ));
    }
}
