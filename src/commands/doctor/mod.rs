//! `devdb doctor`: the chain between this computer and the database, link by link.

mod links;
mod report;

use super::context::Context;
use crate::config::Transport;
use crate::error::CommandError;
use crate::ui::ExitStatus;
use report::{DoctorReport, Finding};

/// Look at every link between this computer and the database, and say what helps
///
/// Settings, ssh, AWS, cluster, password, bastion, the way in, tunnel, database and migrations, each on a line of its
/// own. Nothing is changed. Exit code 3 when a link is broken; what only deserves attention is marked `warn`.
#[derive(Debug, clap::Args)]
pub(crate) struct DoctorArgs {}

pub(crate) async fn run(_args: &DoctorArgs, context: &Context) -> Result<ExitStatus, CommandError> {
    let step = context.printer().step("looking at every link");
    let findings = findings(context).await;
    drop(step);
    let report = DoctorReport::new(context, findings);
    let is_whole = report.is_whole();
    context.printer().report(&report)?;
    Ok(if is_whole { ExitStatus::Success } else { ExitStatus::No })
}

async fn findings(context: &Context) -> Vec<Finding> {
    let mut findings = vec![Finding::of("settings", links::settings(context))];
    if findings.iter().any(Finding::is_broken) {
        return findings;
    }
    let Ok(settings) = context.settings() else { return findings };
    let through_ssh = settings.transport == Transport::Ssh;
    if through_ssh {
        findings.push(Finding::of("ssh", links::ssh(context)));
    }
    let identity = Finding::of("aws", links::identity(context).await);
    let knows_us = !identity.is_broken();
    findings.push(identity);
    let unknown = |link| Finding::unknown(link, "AWS cannot be asked");
    let database = async {
        if !knows_us {
            return vec![unknown("cluster"), unknown("password")];
        }
        let cluster = Finding::of("cluster", links::cluster(context).await);
        let password = match cluster.is_broken() {
            true => Finding::unknown("password", "it is not known which cluster's"),
            false => Finding::of("password", links::password(context).await),
        };
        vec![cluster, password]
    };
    let way = async {
        if !through_ssh {
            return Vec::new();
        }
        if !knows_us {
            return vec![unknown("bastion"), unknown("way in")];
        }
        let bastion = Finding::of("bastion", links::bastion(context).await);
        let way = match bastion.is_broken() {
            true => Finding::unknown("way in", "there is no bastion to go to"),
            false => Finding::of("way in", links::way_in(context).await),
        };
        vec![bastion, way]
    };
    let (database, way, tunnel) = tokio::join!(database, way, links::tunnel(context));
    let has_password = database.iter().all(Finding::is_known);
    findings.extend(database);
    findings.extend(way);
    let tunnel = Finding::of("tunnel", tunnel);
    let is_open = !tunnel.is_broken();
    findings.push(tunnel);
    findings.extend(match (is_open, has_password) {
        (false, _) => ["database", "migrations"].map(|link| Finding::unknown(link, "there is no way to it")),
        (true, false) => ["database", "migrations"].map(|link| Finding::unknown(link, "nobody can log in")),
        (true, true) => links::database(context).await,
    });
    findings
}
