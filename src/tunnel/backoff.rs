use std::time::Duration;

/// Delays between attempts to open the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    pub first: Duration,
    pub cap: Duration,
    /// A link that lived this long wipes the slate.
    pub stable: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_millis(500), cap: Duration::from_secs(5), stable: Duration::from_secs(60) }
    }
}

impl Backoff {
    /// The pause before attempt `attempt` (0: the first one, at once), with full jitter: `random` in `0..1` stretches
    /// it over the whole range, so that a team whose Wi-Fi came back does not knock in step.
    ///
    /// Source of the scheme: AWS Architecture Blog, "Exponential Backoff And Jitter" (full jitter).
    pub fn delay(&self, attempt: u32, random: f64) -> Duration {
        if attempt == 0 {
            return Duration::ZERO;
        }
        let doubled = self.first.saturating_mul(1_u32.checked_shl(attempt - 1).unwrap_or(u32::MAX));
        doubled.min(self.cap).mul_f64(random.clamp(0.0, 1.0))
    }

    /// The attempt number that a loss begins with. Each second of a link's life makes up for one attempt and a stable
    /// minute for all of them: a link that is killed twice comes back at once, one that dies at once does not.
    pub fn attempts_after(&self, attempts: u32, lived: Duration) -> u32 {
        if lived >= self.stable { 0 } else { attempts.saturating_sub(lived.as_secs().try_into().unwrap_or(u32::MAX)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_attempt_is_made_at_once() {
        assert_eq!(Backoff::default().delay(0, 1.0), Duration::ZERO);
        assert_eq!(Backoff::default().delay(1, 1.0), Duration::from_millis(500));
        assert_eq!(Backoff::default().delay(4, 0.5), Duration::from_secs(2));
    }

    #[test]
    fn a_stable_minute_wipes_the_slate() {
        assert_eq!(Backoff::default().attempts_after(70, Duration::from_secs(59)), 11);
        assert_eq!(Backoff::default().attempts_after(1, Duration::from_secs(1)), 0);
        assert_eq!(Backoff::default().attempts_after(1, Duration::from_millis(900)), 1);
        assert_eq!(Backoff::default().attempts_after(70, Duration::from_secs(60)), 0);
    }

    proptest! {
        #[test]
        fn no_delay_exceeds_the_cap(attempt in 0..u32::MAX, random in 0.0..1.0_f64) {
            prop_assert!(Backoff::default().delay(attempt, random) <= Duration::from_secs(5));
        }
    }
}
