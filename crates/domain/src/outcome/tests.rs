//! The classification as a table, and the arithmetic of the next step.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::failure::Phase;

mod profiles;

/// What a row of the table expects: R is a retry, D is dead, H is held, and true when the target is paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Ok,
    R(ErrorType),
    D(ErrorType),
    H(bool),
}
use ErrorType::{ExternalApi, QuotaExceeded, Timeout, Validation};
use Expected::{D, H, Ok as Delivered, R};

fn answered(status: u16, retry_after: Option<&str>) -> Verdict {
    answered_as(Profile::Generic, status, retry_after, None)
}

fn answered_as(profile: Profile, status: u16, retry_after: Option<&str>, body: Option<&str>) -> Verdict {
    let answer = Answer {
        status,
        retry_after,
        body: body.map(str::as_bytes),
    };
    classify(
        profile,
        OnAmbiguous::Dead,
        true,
        Ok(answer),
        SystemTime::UNIX_EPOCH,
    )
}

fn shape(verdict: &Verdict) -> Expected {
    match verdict {
        Verdict::Delivered => Delivered,
        Verdict::Retry { error, .. } => R(*error),
        Verdict::Dead { error, .. } => D(*error),
        Verdict::Hold { pause, .. } => H(*pause),
    }
}

fn message(verdict: &Verdict) -> &str {
    match verdict {
        Verdict::Delivered => "",
        Verdict::Retry { message, .. } | Verdict::Dead { message, .. } | Verdict::Hold { message, .. } => {
            message
        }
    }
}

/// The whole of u16, in order and without a gap.
#[test]
fn every_status_has_its_verdict() {
    let table = [
        (0..=199, R(ExternalApi)),
        (200..=299, Delivered),
        (300..=400, D(Validation)),
        (401..=401, D(ExternalApi)),
        (402..=402, D(Validation)),
        (403..=403, D(ExternalApi)),
        (404..=406, D(Validation)),
        (407..=407, D(ExternalApi)),
        (408..=408, R(Timeout)),
        (409..=409, R(ExternalApi)),
        (410..=410, H(true)),
        (411..=424, D(Validation)),
        (425..=425, R(ExternalApi)),
        (426..=428, D(Validation)),
        (429..=429, R(QuotaExceeded)),
        (430..=499, D(Validation)),
        (500..=503, R(ExternalApi)),
        (504..=504, R(Timeout)),
        (505..=u16::MAX, R(ExternalApi)),
    ];
    let mut next = 0u32;
    for (statuses, expected) in table {
        assert_eq!(u32::from(*statuses.start()), next, "a gap in the table");
        next = u32::from(*statuses.end()) + 1;
        for status in statuses {
            let verdict = answered(status, None);
            assert_eq!(shape(&verdict), expected, "{status}");
            let named = message(&verdict).contains(&status.to_string());
            assert_eq!(named, expected != Delivered, "{status}");
        }
    }
    assert_eq!(next, 65_536);
}

#[test]
fn messages_say_what_people_need() {
    for (status, expected) in [
        (
            301,
            "HTTP 301 Moved Permanently: redirects are not followed; \
             the target's url must be the final address",
        ),
        (
            399,
            "HTTP 399: redirects are not followed; the target's url must be the final address",
        ),
        (401, "HTTP 401 Unauthorized: the credentials were not accepted"),
        (404, "HTTP 404 Not Found"),
        (410, "HTTP 410 Gone: the receiver wants no more events"),
        (
            429,
            "HTTP 429 Too Many Requests: the receiver asks for fewer requests",
        ),
        (503, "HTTP 503 Service Unavailable"),
        (101, "HTTP 101: an interim response came as the final one"),
        (0, "HTTP 0: not a valid HTTP status"),
        (999, "HTTP 999: not a valid HTTP status"),
    ] {
        assert_eq!(message(&answered(status, None)), expected);
    }
}

#[test]
fn every_failure_has_its_verdict() {
    let text = || "why".to_owned();
    let all = [
        Failure::Resolve(text()),
        Failure::Connect(text()),
        Failure::Tls(text()),
        Failure::Timeout(Phase::Resolve),
        Failure::Timeout(Phase::Connect),
        Failure::Timeout(Phase::Response),
        Failure::AddressRefused(text()),
        Failure::Closed(text()),
        Failure::Protocol(text()),
        Failure::InvalidRequest(text()),
    ];
    for failure in &all {
        // No wildcard: a new failure must be given its line here.
        let expected = match failure {
            Failure::Timeout(_) => R(Timeout),
            Failure::Resolve(_) | Failure::Connect(_) | Failure::Tls(_) => R(ExternalApi),
            Failure::Closed(_) | Failure::Protocol(_) => R(ExternalApi),
            Failure::AddressRefused(_) | Failure::InvalidRequest(_) => D(Validation),
        };
        // Whatever is sent may be sent again, and what was not sent may be sent again in any case.
        for (on_ambiguous, sent) in [
            (OnAmbiguous::Retry, false),
            (OnAmbiguous::Retry, true),
            (OnAmbiguous::Dead, false),
        ] {
            for profile in [Profile::Generic, Profile::N8n, Profile::Slack] {
                let verdict = failed(profile, on_ambiguous, sent, failure);
                assert_eq!(shape(&verdict), expected, "{failure:?}");
                assert_eq!(message(&verdict), failure.to_string());
            }
        }
        // A request that was sent and may have arrived.
        let verdict = failed(Profile::Slack, OnAmbiguous::Dead, true, failure);
        let (error, remark) = match expected {
            R(error) => (error, "; the request was sent, so it may have been delivered"),
            D(error) => (error, ""),
            other => panic!("{other:?}"),
        };
        assert_eq!(shape(&verdict), D(error), "{failure:?}");
        assert_eq!(message(&verdict), format!("{failure}{remark}"));
    }
}

fn failed(profile: Profile, on_ambiguous: OnAmbiguous, sent: bool, failure: &Failure) -> Verdict {
    classify(profile, on_ambiguous, sent, Err(failure), SystemTime::UNIX_EPOCH)
}

#[test]
fn retry_after_counts_on_every_answer_that_is_retried() {
    for status in [408, 409, 425, 429, 500, 502, 503, 504, 599] {
        for (value, expected) in [
            (Some("7"), Some(Duration::from_secs(7))),
            (
                Some("Thu, 01 Jan 1970 00:01:00 GMT"),
                Some(Duration::from_secs(60)),
            ),
            (Some("in a while"), None),
            (None, None),
        ] {
            match answered(status, value) {
                Verdict::Retry { not_before, .. } => assert_eq!(not_before, expected, "{status}"),
                other => panic!("{status}: {other:?}"),
            }
        }
    }
    for status in [200, 301, 400, 404] {
        assert_eq!(answered(status, Some("7")), answered(status, None));
    }
}

const POLICY: RetryPolicy = RetryPolicy {
    base_ms: 1000,
    factor: 2.0,
    max_ms: 300_000,
    jitter: 0.0,
};
const CAP: Duration = Duration::from_secs(3600);

fn busy(not_before: Option<u64>) -> Verdict {
    Verdict::Retry {
        error: QuotaExceeded,
        message: "busy".to_owned(),
        not_before: not_before.map(Duration::from_secs),
    }
}

#[test]
fn the_longer_of_backoff_and_retry_after_counts_up_to_the_cap() {
    for (retry_count, not_before, expected) in [
        (0, None, 1),
        (1, None, 2),
        (2, None, 4),
        (2, Some(0), 4),
        (2, Some(3), 4),
        (2, Some(30), 30),
        (0, Some(3600), 3600),
        (0, Some(3601), 3600),
        (0, Some(u64::MAX), 3600),
    ] {
        let step = next_step(busy(not_before), retry_count, 3, &POLICY, CAP, 0.0);
        let expected = Step::Retry {
            delay: Duration::from_secs(expected),
            error: QuotaExceeded,
            message: "busy".to_owned(),
        };
        assert_eq!(step, expected);
    }
    let capped_at_zero = next_step(busy(Some(60)), 0, 3, &POLICY, Duration::ZERO, 0.0);
    assert!(matches!(capped_at_zero, Step::Retry { delay, .. } if delay.as_secs() == 1));
}

#[test]
fn retries_run_out_after_max_retries() {
    for (retry_count, max_retries, attempts) in [
        (0, 0, "1 attempt"),
        (3, 3, "4 attempts"),
        (5, 3, "6 attempts"),
        (u32::MAX, u32::MAX, "4294967296 attempts"),
    ] {
        let expected = Step::Dead {
            error: QuotaExceeded,
            message: format!("busy; gave up after {attempts}"),
            exhausted: true,
        };
        let step = next_step(busy(Some(1)), retry_count, max_retries, &POLICY, CAP, 0.0);
        assert_eq!(step, expected);
    }
    let last_retry = next_step(busy(None), 2, 3, &POLICY, CAP, 0.0);
    assert!(matches!(last_retry, Step::Retry { .. }));
}

#[test]
fn delivered_permanent_and_held_verdicts_do_not_depend_on_the_count() {
    for retry_count in [0, 3, u32::MAX] {
        let step = |verdict| next_step(verdict, retry_count, 3, &POLICY, CAP, 0.0);
        assert_eq!(step(Verdict::Delivered), Step::Delivered);
        let dead = Verdict::Dead {
            error: Validation,
            message: "no".to_owned(),
        };
        let expected = Step::Dead {
            error: Validation,
            message: "no".to_owned(),
            exhausted: false,
        };
        assert_eq!(step(dead), expected);
        for pause in [false, true] {
            let message = "later".to_owned();
            let held = Verdict::Hold {
                pause,
                message: message.clone(),
            };
            assert_eq!(step(held), Step::Hold { pause, message });
        }
    }
}

#[test]
fn error_types_have_the_names_of_the_tables() {
    let names = [Timeout, Validation, ExternalApi, QuotaExceeded].map(ErrorType::as_str);
    assert_eq!(names, ["timeout", "validation", "external_api", "quota_exceeded"]);
}
