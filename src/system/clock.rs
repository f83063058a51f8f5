/// Wall-clock time; expiry and tags are computed from it.
pub trait Clock: Send + Sync {
    /// The current time, UTC.
    fn now(&self) -> jiff::Timestamp;
}
