/// Which database answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// A name in the certificate, when the certificate was verified.
    pub certificate_name: Option<String>,
    pub encrypted: bool,
}
