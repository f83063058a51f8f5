use crate::system::Clock;
use std::sync::Mutex;

/// A clock that moves only when it is told to. It starts at 2026-01-02T03:04:05Z.
pub struct FixedClock(Mutex<jiff::Timestamp>);

impl Default for FixedClock {
    fn default() -> Self {
        Self(Mutex::new(jiff::Timestamp::from_second(1_767_323_045).unwrap_or(jiff::Timestamp::UNIX_EPOCH)))
    }
}

impl FixedClock {
    pub fn advance(&self, by: std::time::Duration) {
        let mut now = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *now = now.checked_add(by).unwrap_or(*now);
    }
}

impl Clock for FixedClock {
    fn now(&self) -> jiff::Timestamp {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
