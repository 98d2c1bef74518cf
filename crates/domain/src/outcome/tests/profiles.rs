//! Where the answers of n8n and Slack mean something of their own.

use super::*;

#[test]
fn n8n_without_an_active_workflow_is_held() {
    let real =
        r#"{"code":404,"message":"The requested webhook \"POST loads\" is not registered.","hint":"hush"}"#;
    let cut = real.split_once(".").unwrap().0;
    for (status, body, expected) in [
        (404, Some(real), H(false)),
        (404, Some(cut), H(false)),
        (404, None, H(false)),
        (404, Some(""), D(Validation)),
        (404, Some("404 page not found"), D(Validation)),
        (404, Some("the user is not registered"), D(Validation)),
        (410, Some(real), H(true)),
        (403, Some(real), D(ExternalApi)),
        (200, Some(real), Delivered),
        (500, Some(real), R(ExternalApi)),
    ] {
        let verdict = answered_as(Profile::N8n, status, None, body);
        assert_eq!(shape(&verdict), expected, "{status} {body:?}");
        assert!(!message(&verdict).contains("hush"));
        if expected == H(false) {
            let words = "HTTP 404 Not Found: n8n has no active workflow for this webhook";
            assert_eq!(message(&verdict), words);
        }
    }
    let other = answered_as(Profile::Generic, 404, None, Some(real));
    assert_eq!(shape(&other), D(Validation));
}

#[test]
fn slack_says_ok_or_one_word() {
    for (status, body, expected, words) in [
        (200, Some("ok"), Delivered, ""),
        (200, Some(" ok\n"), Delivered, ""),
        (200, Some(r#"{"ok": true}"#), Delivered, ""),
        (200, None, Delivered, ""),
        (
            200,
            Some(""),
            R(ExternalApi),
            "HTTP 200: the body is not Slack's \"ok\"",
        ),
        (
            200,
            Some("<html>hush"),
            R(ExternalApi),
            "HTTP 200: the body is not Slack's \"ok\"",
        ),
        (
            200,
            Some(r#"{"ok": "#),
            R(ExternalApi),
            "HTTP 200: the body is not Slack's \"ok\"",
        ),
        (
            200,
            Some(r#"{"ok": false, "error": "channel_not_found"}"#),
            D(Validation),
            "HTTP 200: Slack says channel_not_found",
        ),
        (
            200,
            Some(r#"{"ok": false, "error": "hush"}"#),
            R(ExternalApi),
            "HTTP 200: the body is not Slack's \"ok\"",
        ),
        (
            200,
            Some("rollup_error"),
            R(ExternalApi),
            "HTTP 200: Slack says rollup_error",
        ),
        (
            400,
            Some("invalid_payload"),
            D(Validation),
            "HTTP 400 Bad Request: Slack says invalid_payload",
        ),
        (
            400,
            Some("user_not_found"),
            D(Validation),
            "HTTP 400 Bad Request: Slack says user_not_found",
        ),
        (
            400,
            Some("invalid_blocks"),
            D(Validation),
            "HTTP 400 Bad Request: Slack says invalid_blocks",
        ),
        (
            400,
            Some("no_text"),
            D(Validation),
            "HTTP 400 Bad Request: Slack says no_text",
        ),
        (400, Some("hush"), D(Validation), "HTTP 400 Bad Request"),
        (
            403,
            Some("action_prohibited"),
            D(ExternalApi),
            "HTTP 403 Forbidden: Slack says action_prohibited",
        ),
        (
            403,
            Some("invalid_token"),
            D(ExternalApi),
            "HTTP 403 Forbidden: Slack says invalid_token",
        ),
        (
            403,
            Some("hush"),
            D(ExternalApi),
            "HTTP 403 Forbidden: access was refused",
        ),
        (
            404,
            Some("channel_not_found"),
            D(Validation),
            "HTTP 404 Not Found: Slack says channel_not_found",
        ),
        (
            404,
            Some("no_service"),
            D(Validation),
            "HTTP 404 Not Found: Slack says no_service",
        ),
        (
            404,
            Some("no_team"),
            D(Validation),
            "HTTP 404 Not Found: Slack says no_team",
        ),
        (404, None, D(Validation), "HTTP 404 Not Found"),
        (
            410,
            Some("channel_is_archived"),
            D(Validation),
            "HTTP 410 Gone: Slack says channel_is_archived",
        ),
        (410, None, D(Validation), "HTTP 410 Gone"),
        (
            500,
            Some("rollup_error"),
            R(ExternalApi),
            "HTTP 500 Internal Server Error: Slack says rollup_error",
        ),
        (503, Some("hush"), R(ExternalApi), "HTTP 503 Service Unavailable"),
        (504, Some("ok"), R(Timeout), "HTTP 504 Gateway Timeout"),
    ] {
        let verdict = answered_as(Profile::Slack, status, None, body);
        assert_eq!(shape(&verdict), expected, "{status} {body:?}");
        assert_eq!(message(&verdict), words, "{status} {body:?}");
    }
}

#[test]
fn slack_asks_for_time() {
    let verdict = answered_as(Profile::Slack, 429, Some("30"), Some("rate_limited"));
    let expected = Verdict::Retry {
        error: QuotaExceeded,
        message: "HTTP 429 Too Many Requests: Slack says rate_limited".to_owned(),
        not_before: Some(Duration::from_secs(30)),
    };
    assert_eq!(verdict, expected);
}

/// The profiles' own lines apart, every status is what it is for everybody.
#[test]
fn other_statuses_mean_the_same_for_all() {
    for status in 0..=999 {
        let generic = answered(status, None);
        if status != 404 {
            assert_eq!(answered_as(Profile::N8n, status, None, Some("x")), generic);
        }
        if status != 410 {
            assert_eq!(answered_as(Profile::Slack, status, None, None), generic);
        }
    }
}

#[test]
fn a_body_shows_in_no_text() {
    let answer = Answer {
        status: 400,
        retry_after: None,
        body: Some(b"hush"),
    };
    assert!(!format!("{answer:?}").contains("hush") && !format!("{answer:?}").contains("104"));
    // Neither does one that is no text at all.
    let answer = Answer {
        body: Some(b"\xff\xfe"),
        ..answer
    };
    for profile in [Profile::Generic, Profile::N8n, Profile::Slack] {
        let verdict = classify(
            profile,
            OnAmbiguous::Retry,
            true,
            Ok(answer),
            SystemTime::UNIX_EPOCH,
        );
        assert_eq!(message(&verdict), "HTTP 400 Bad Request");
    }
}
