//! The notice board's part for the bastion.

use super::cloud::cloud_hints;
use super::{CommandError, ErrorKind};
use crate::bastion::{BastionError, Console, Defect, Reach};
use crate::system::shell_word;

impl From<BastionError> for CommandError {
    fn from(error: BastionError) -> Self {
        let failed = || Self::from_error(ErrorKind::Failed, &error);
        let refused = || Self::from_error(ErrorKind::Refused, &error);
        let again = "run the command again; it continues from what is there";
        match &error {
            BastionError::Cloud(cloud) => cloud_hints(failed(), cloud),
            BastionError::Echo(_) => failed()
                .hint("say your IPv4 address yourself: the same command with `--ip 203.0.113.7` (and your numbers)")
                .hint("or set `echo_url` in devdb.toml to a service that you can reach over IPv4"),
            BastionError::Cidr { .. } | BastionError::TooOpen { .. } => failed().hint("see `allow_cidrs` in [environment.NAME.bastion]"),
            BastionError::AnotherPrincipal { .. } => refused()
                .hint("choose another alias: `export DEVDB_ALIAS=…`, or `alias` in devdb.local.toml")
                .hint("if that was you with another role, log in with it and run `devdb bastion down` first"),
            BastionError::Elsewhere { here, there } => {
                let region =
                    if here.region == there.region { String::new() } else { format!(" --region {}", shell_word(&there.region)) };
                let profile = if here.account == there.account { "" } else { " --profile NAME" };
                let devdb = format!("devdb{region}{profile}");
                let shown = refused()
                    .hint(format!("that one: `{devdb} bastion status`, or `{devdb} bastion down` to remove it first"));
                let shown = match profile {
                    "" => shown,
                    _ => shown.hint(format!("NAME is a profile of account {}", there.account)),
                };
                shown.hint("to have one here as well, give this place an environment of its own in devdb.toml")
            }
            BastionError::NameTaken { .. } => {
                refused().hint("run the command again: it takes another name then")
            }
            BastionError::AnotherComputer { .. } => refused()
                .hint("let it finish; then run this command again to take the bastion over")
                .hint("if nothing runs there any more, `devdb bastion down` removes what it made"),
            BastionError::Absent { .. } => failed().hint("`devdb bastion up` makes one that lets you in"),
            BastionError::NotOffered { .. } => failed().hint("set `instance_type` in [environment.NAME.bastion]"),
            BastionError::NoCapacity { .. } => failed()
                .hint("capacity comes and goes: run the command again in some minutes; it continues")
                .hint("or set another `instance_type` in [environment.NAME.bastion]"),
            BastionError::RulesFull { filling, .. } => {
                let shown = if filling.holds_ours() {
                    failed().hint(
                        "`devdb bastion gc` removes your rules whose bastion is gone, `devdb bastion gc --all` everybody's",
                    )
                } else {
                    failed()
                };
                shown.hint(
                    "or ask for more under Service Quotas: Amazon VPC, inbound or outbound rules per security group",
                )
            }
            // EC2 user guide, "Instance terminates immediately": mostly a key that may not be used.
            BastionError::Died { reason: Some(reason), .. } if reason.starts_with("Client.InternalError") => failed()
                .hint("that is what a KMS key does whose policy does not let you (or EC2) use it; see `kms_key` in [environment.NAME.bastion] and the account's default key for volumes")
                .hint(again),
            BastionError::Died { .. } | BastionError::TooSlow { .. } => failed().hint(again),
            BastionError::NotReady { reach, console, .. } => reach
                .iter()
                .flat_map(reach_hints)
                .fold(with_console(failed(), console), Self::hint)
                .hint("run `devdb bastion up` again to go on waiting")
                .hint(REPLACE),
            BastionError::Defective { defect: Defect::HangsUp { .. }, console, .. } => with_console(failed(), console)
                .hint("a firewall or proxy on the way does that, too: try another network, or run the command again")
                .hint(REPLACE),
            BastionError::Defective { console, .. } => with_console(failed(), console)
                .hint(REPLACE)
                .hint("if the new one does the same, see `ami` and `ssh_user` in [environment.NAME.bastion]"),
            BastionError::HostKey { .. } => {
                refused().hint("`devdb bastion down`, then `devdb bastion up` makes a new one with a new key")
            }
            BastionError::NoWayIn { .. } => failed().hint(
                "`devdb bastion up` looks at what AWS says and repairs the way in: a new address of yours or of the bastion's",
            ),
            BastionError::BeyondCap { latest, now, .. } => match whole_minutes(*now, *latest) {
                Some(time) => failed().hint(format!("`devdb bastion extend {time}` takes what is left")),
                None => failed(),
            }
            .hint("`devdb bastion down`, then `devdb bastion up` makes a new one"),
            BastionError::NoDeadline { .. } => {
                failed().hint("`devdb bastion up` waits until its first boot is done, or asks to replace it")
            }
            BastionError::DeadlineNotKept { .. } => failed().hint(again),
            BastionError::TagBehind { source, .. } => {
                cloud_hints(failed(), source).hint("run the command again then; only the tag is missing")
            }
            BastionError::Ssh(_) => failed()
                .hint("install OpenSSH's client (`ssh -V` must work), or correct what is named above")
                .hint("if that is the bastion's key on this computer: `devdb bastion up --replace` makes both anew"),
            BastionError::Key(_) | BastionError::Template { .. } => Self::from_error(ErrorKind::Bug, &error),
            BastionError::Local { .. } => failed().hint("check the state folder's rights and the disk's space"),
        }
    }
}

/// It asks nothing, so that it does the same wherever it is pasted.
const REPLACE: &str = "`devdb bastion up --replace` puts a new one in its place";

fn with_console(mut shown: CommandError, console: &Console) -> CommandError {
    shown.causes.extend(console.lines());
    shown
}

/// What may be asked for until then, as a value on the command line; a minute less, because time passes.
fn whole_minutes(now: jiff::Timestamp, latest: jiff::Timestamp) -> Option<String> {
    let minutes = latest.duration_since(now).as_mins() - 1;
    (minutes > 0).then(|| format!("{}h{}m", minutes / 60, minutes % 60))
}

/// The finding and what to do about it.
pub(crate) fn reach_hints(reach: &Reach) -> Vec<String> {
    let advice = match reach {
        Reach::ShutOut { .. } => Some("`devdb bastion allow-ip` lets in the address that you have now".to_owned()),
        Reach::AddressUnknown { .. } => Some(
            "if you have another address now, say it: `devdb bastion allow-ip --ip 203.0.113.7` (with your numbers)"
                .to_owned(),
        ),
        Reach::LetIn { address, .. } => Some(format!(
            "if this network shows several addresses, let in all of them: `devdb bastion allow-ip --ip {address} --ip …`"
        )),
        Reach::Proxied { .. } => {
            Some("let it in with `devdb bastion allow-ip --ip 203.0.113.7` (with its numbers)".to_owned())
        }
        Reach::NoGroup => None,
    };
    std::iter::once(reach.to_string()).chain(advice).collect()
}
