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
        let answer = answer.map_err(|error| unreachable(error.into()))?.map_err(|error| unreachable(error.into()))?;
        let text = match answer {
            Answer::Text(text) => text,
            Answer::Elsewhere(to) => return Err(EchoError::Elsewhere { url: url.to_owned(), to: shortened(&to) }),
        };
        if let Ok(address) = text.trim().parse() {
            return Err(EchoError::Ipv6 { url: url.to_owned(), address });
        }
        parse(&text).ok_or_else(|| EchoError::NotAnAddress { url: url.to_owned(), answer: shortened(&text) })
    }
}

enum Answer {
    Text(String),
    /// It names another place.
    Elsewhere(String),
}

fn ask(url: &str) -> Result<Answer, ureq::Error> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        // Through a proxy the service would see the proxy, but ssh to the bastion does not go through it.
        .proxy(None)
        .ip_family(ureq::config::IpFamily::Ipv4Only)
        .timeout_global(Some(LIMIT))
        // Whom to believe is said by `echo_url` alone: the answer opens the bastion's port.
        .max_redirects(0)
        .build()
        .into();
    let mut response = agent.get(url).call()?;
    if response.status().is_redirection() {
        let to = response.headers().get("location").and_then(|to| to.to_str().ok()).unwrap_or("nowhere");
        return Ok(Answer::Elsewhere(to.to_owned()));
    }
    Ok(Answer::Text(response.body_mut().with_config().limit(LONGEST_ANSWER).read_to_string()?))
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

    /// Asks a service that says this once.
    async fn asked(answer: &'static str) -> Result<Ipv4Addr, EchoError> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let request = BufReader::new(stream.try_clone().unwrap()).lines();
            assert!(request.map_while(Result::ok).any(|line| line.is_empty()));
            stream.write_all(answer.as_bytes())
        });
        let found = HttpEcho.address(&url).await;
        let _ = server.join().unwrap();
        found
    }

    #[tokio::test]
    async fn an_ipv6_address_is_told_from_nonsense() {
        const HEAD: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
        let address = asked(answer(HEAD, "2001:db8::7\n")).await.unwrap_err();
        assert!(matches!(address, EchoError::Ipv6 { .. }), "{address:?}");
        let page = asked(answer(HEAD, "<html>please log in</html>")).await.unwrap_err();
        assert!(matches!(page, EchoError::NotAnAddress { .. }), "{page:?}");
    }

    fn answer(head: &str, body: &str) -> &'static str {
        format!("{head}{body}").leak()
    }

    #[tokio::test]
    async fn no_redirection_is_followed_and_no_long_answer_is_read() {
        // Also not where an address stands below it.
        let answer =
            "HTTP/1.1 302 Found\r\nLocation: http://198.51.100.66/ip\r\nContent-Length: 12\r\n\r\n203.0.113.7\n";
        let error = asked(answer).await.unwrap_err().to_string();
        assert!(error.ends_with("leads to http://198.51.100.66/ip, where nothing is asked"), "{error}");
        let long = format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n203.0.113.7{}", " ".repeat(1 << 20)).leak();
        assert!(matches!(asked(long).await.unwrap_err(), EchoError::Unreachable { .. }));
    }

    #[test]
    fn only_one_ipv4_address_is_an_answer() {
        assert_eq!(parse("203.0.113.7\n"), Some(Ipv4Addr::new(203, 0, 113, 7)));
        for wrong in ["", "::1", "203.0.113.7, 10.0.0.1", "<html>", "0.0.0.0", "127.0.0.1", "203.0.113.7/32"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
