//! The sandbox's API behind the API: faults, calls that were made, calls that are held. From the laptop only.

use serde_json::Value;

pub(crate) struct Api {
    endpoint: String,
}

impl Api {
    /// True outside of the laptop's network.
    pub(crate) fn is_out_of_reach() -> bool {
        std::env::var_os("AWS_ENDPOINT_URL").is_none()
    }

    pub(crate) fn new() -> Self {
        Self { endpoint: std::env::var("AWS_ENDPOINT_URL").unwrap() }
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        let answer = ureq::get(format!("{}/sandbox/{path}", self.endpoint)).call().unwrap();
        serde_json::from_reader(answer.into_body().into_reader()).unwrap()
    }

    pub(crate) fn arm(&self, fault: &str) {
        ureq::post(format!("{}/sandbox/faults", self.endpoint)).send(fault).unwrap();
    }
}
