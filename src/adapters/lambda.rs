//! Lambda's Runtime API and CloudFormation's response URL: plain HTTP, one request at a time, so a blocking client and no
//! framework (AWS Lambda developer guide, "Using the Lambda runtime API for custom runtimes").

use std::time::Duration;

const VERSION: &str = "2018-06-01";

/// No event is longer (developer guide, "Lambda quotas": 6 MB).
const LONGEST_EVENT: u64 = 8 * 1024 * 1024;

/// Why a request came to nothing. Never quotes the URL: the response URL is a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    #[error("it answered {status}")]
    Status { status: u16 },
    #[error("it did not answer in time")]
    TimedOut,
    #[error("its name could not be resolved")]
    UnknownHost,
    #[error("it could not be reached: {kind}")]
    Unreachable { kind: String },
    #[error("it is no address that can be asked")]
    BadUrl,
    #[error("TLS or HTTP failed")]
    Protocol,
}

impl From<ureq::Error> for HttpError {
    fn from(error: ureq::Error) -> Self {
        match error {
            ureq::Error::StatusCode(status) => Self::Status { status },
            ureq::Error::Timeout(_) => Self::TimedOut,
            ureq::Error::HostNotFound => Self::UnknownHost,
            ureq::Error::Io(error) => Self::Unreachable { kind: error.kind().to_string() },
            ureq::Error::ConnectionFailed => Self::Unreachable { kind: "connection failed".to_owned() },
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => Self::BadUrl,
            _ => Self::Protocol,
        }
    }
}

/// One event, as the Runtime API hands it over.
#[derive(Debug)]
pub(crate) struct Invocation {
    pub(crate) request_id: String,
    /// Milliseconds since the epoch.
    pub(crate) deadline: Option<i64>,
    pub(crate) event: Vec<u8>,
}

/// The Runtime API of the machine that this function runs on.
pub(crate) struct RuntimeApi {
    agent: ureq::Agent,
    base: String,
}

impl RuntimeApi {
    /// `address`: what Lambda puts into `AWS_LAMBDA_RUNTIME_API`, a host and a port.
    pub(crate) fn new(address: &str) -> Self {
        // It is next door, whatever proxy the function's variables name; and events may be hours apart.
        let agent = ureq::Agent::config_builder().proxy(None).build().into();
        Self { agent, base: format!("http://{address}/{VERSION}/runtime/invocation") }
    }

    /// Waits for the next event, for as long as it takes.
    pub(crate) fn next(&self) -> Result<Invocation, HttpError> {
        let mut answer = self.agent.get(format!("{}/next", self.base)).call()?;
        let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let request_id = header("lambda-runtime-aws-request-id").ok_or(HttpError::Protocol)?;
        let deadline = header("lambda-runtime-deadline-ms").and_then(|text| text.parse().ok());
        let event = answer.body_mut().with_config().limit(LONGEST_EVENT).read_to_vec()?;
        Ok(Invocation { request_id, deadline, event })
    }

    /// What the function returns.
    pub(crate) fn respond(&self, request_id: &str, value: &serde_json::Value) -> Result<(), HttpError> {
        self.post(&format!("{}/{request_id}/response", self.base), value)
    }

    /// The function's error. An asynchronous invocation, as CloudFormation's is, is tried again for it.
    pub(crate) fn fail(&self, request_id: &str, kind: &str, message: &str) -> Result<(), HttpError> {
        let error = serde_json::json!({ "errorType": kind, "errorMessage": message, "stackTrace": [] });
        self.post(&format!("{}/{request_id}/error", self.base), &error)
    }

    fn post(&self, url: &str, value: &serde_json::Value) -> Result<(), HttpError> {
        let request = self.agent.post(url).header("content-type", "application/json");
        request.send(value.to_string()).map(|_| ()).map_err(HttpError::from)
    }
}

/// Delivers an answer. The URL is signed for an empty content type (aws-cdk, `cfn-response.ts`).
pub(crate) fn put(url: &str, body: &[u8], limit: Duration) -> Result<(), HttpError> {
    let config = ureq::Agent::config_builder().max_redirects(0);
    // A limit for all of it makes ureq look the name up on a thread of its own, and panic where it gets none.
    let has_threads = std::thread::Builder::new().spawn(|| ()).is_ok();
    let config = if has_threads {
        config.timeout_global(Some(limit))
    } else {
        config.timeout_connect(Some(limit)).timeout_send_body(Some(limit)).timeout_recv_response(Some(limit))
    };
    let agent: ureq::Agent = config.build().into();
    let status = agent.put(url).header("content-type", "").send(body)?.status().as_u16();
    if (200..300).contains(&status) { Ok(()) } else { Err(HttpError::Status { status }) }
}
