use crate::system::Clock;

/// The system's wall clock.
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the Clock that everybody else asks")]
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }
}
