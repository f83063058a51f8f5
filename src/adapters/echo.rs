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
    use std::io::{BufRead, BufReader, Write};

    #[tokio::test]
    async fn an_ipv6_address_is_told_from_nonsense() {
        let answers = [("2001:db8::7\n", true), ("<html>please log in</html>", false)];
        for (answer, is_address) in answers {
            let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let url = format!("http://{}/", listener.local_addr().unwrap());
            let server = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let request = BufReader::new(stream.try_clone().unwrap()).lines();
                assert!(request.map_while(Result::ok).any(|line| line.is_empty()));
                write!(
                    stream,
                    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{answer}",
                    answer.len()
                )
            });
            let error = HttpEcho.address(&url).await.unwrap_err();
            assert_eq!(matches!(error, EchoError::Ipv6 { .. }), is_address, "{error:?}");
            server.join().unwrap().unwrap();
        }
    }

    #[test]
    fn only_one_ipv4_address_is_an_answer() {
        assert_eq!(parse("203.0.113.7\n"), Some(Ipv4Addr::new(203, 0, 113, 7)));
        for wrong in ["", "::1", "203.0.113.7, 10.0.0.1", "<html>", "0.0.0.0", "127.0.0.1", "203.0.113.7/32"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
