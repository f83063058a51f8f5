use crate::bastion::{AddressEcho, EchoError};
use async_trait::async_trait;
use std::net::Ipv4Addr;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(5);
/// No answer that is longer can be an address.
const LONGEST_ANSWER: u64 = 256;

/// Asks a web service such as <https://checkip.amazonaws.com>.
pub(crate) struct HttpEcho;

#[async_trait]
impl AddressEcho for HttpEcho {
    async fn address(&self, url: &str) -> Result<Ipv4Addr, EchoError> {
        let asked = url.to_owned();
        let answer = tokio::task::spawn_blocking(move || ask(&asked)).await;
        let unreachable = |source| EchoError::Unreachable { url: url.to_owned(), source };
        let text = answer.map_err(|error| unreachable(error.into()))?.map_err(|error| unreachable(error.into()))?;
        if let Ok(address) = text.trim().parse() {
            return Err(EchoError::Ipv6 { url: url.to_owned(), address });
        }
        parse(&text).ok_or_else(|| EchoError::NotAnAddress { url: url.to_owned(), answer: shortened(&text) })
    }
}

fn ask(url: &str) -> Result<String, ureq::Error> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        // Through a proxy the service would see the proxy, but ssh to the bastion does not go through it.
        .proxy(None)
        .ip_family(ureq::config::IpFamily::Ipv4Only)
        .timeout_global(Some(LIMIT))
        .build()
        .into();
    agent.get(url).call()?.body_mut().with_config().limit(LONGEST_ANSWER).read_to_string()
}

/// Strict: one IPv4 address and a line end. A login page of a hotel's network is not an address.
fn parse(text: &str) -> Option<Ipv4Addr> {
    let address: Ipv4Addr = text.trim().parse().ok()?;
    (!address.is_unspecified() && !address.is_loopback() && !address.is_broadcast()).then_some(address)
}

fn shortened(text: &str) -> String {
    let line: String =
        text.trim().chars().take(40).map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    if text.trim().chars().count() > 40 { format!("{line}…") } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_ipv4_address_is_an_answer() {
        assert_eq!(parse("203.0.113.7\n"), Some(Ipv4Addr::new(203, 0, 113, 7)));
        for wrong in ["", "::1", "203.0.113.7, 10.0.0.1", "<html>", "0.0.0.0", "127.0.0.1", "203.0.113.7/32"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
