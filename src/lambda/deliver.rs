use super::{Envelope, ServeError};
use crate::adapters::lambda::{HttpError, put};
use std::time::{Duration, Instant};

/// As often as CDK tries (aws-cdk, `cfn-response.ts`).
const ATTEMPTS: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_ATTEMPT: Duration = Duration::from_secs(30);
const SHORTEST_ATTEMPT: Duration = Duration::from_millis(500);

/// Puts the answer where CloudFormation waits for it, and tries again while there is time.
///
/// # Errors
/// [`ServeError::NotDelivered`], without the URL.
pub(super) fn deliver(envelope: &Envelope, body: &[u8], left: Duration, log: &dyn Fn(&str)) -> Result<(), ServeError> {
    let end = Instant::now() + left;
    let mut attempt = 1;
    loop {
        let limit = limit(end.saturating_duration_since(Instant::now()), ATTEMPTS + 1 - attempt);
        let Err(error) = put(envelope.response_url.reveal(), body, limit) else { return Ok(()) };
        let pause = FIRST_PAUSE * 2_u32.pow(attempt - 1);
        let has_time = end.saturating_duration_since(Instant::now()) > pause + SHORTEST_ATTEMPT;
        if attempt == ATTEMPTS || !has_time || error == HttpError::BadUrl {
            return Err(ServeError::NotDelivered {
                place: envelope.response_url.place().to_owned(),
                attempts: attempt,
                error,
            });
        }
        log(&format!("the answer could not be delivered: {error}; trying again ({attempt} of {ATTEMPTS})"));
        std::thread::sleep(pause);
        attempt += 1;
    }
}

/// Each attempt gets an equal share of the time: in a VPC without a way out the first would use it all.
fn limit(left: Duration, attempts: u32) -> Duration {
    (left / attempts).clamp(SHORTEST_ATTEMPT, LONGEST_ATTEMPT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_attempts_fit_into_what_is_left() {
        let seconds = |left: f64, attempts: u32| limit(Duration::from_secs_f64(left), attempts).as_secs_f64();
        assert_eq!((seconds(10.0, 5), seconds(8.0, 4), seconds(800.0, 5), seconds(0.0, 1)), (2.0, 2.0, 30.0, 0.5));
    }
}
