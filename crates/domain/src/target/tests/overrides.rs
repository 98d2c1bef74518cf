//! What a company may have of its own, and what stays the platform's.

use super::*;

fn base(options: Value) -> TargetOptions {
    let mut all = json!({"url": "https://a.example:8443/hush"});
    all.as_object_mut()
        .unwrap()
        .extend(options.as_object().unwrap().clone());
    parse_http(&all).unwrap()
}

#[test]
fn a_company_may_have_its_own_path_headers_and_secret() {
    let base = base(json!({"signing": true}));
    let none = Override {
        url: None,
        headers: None,
        secret: None,
    };
    assert_eq!(parse_override(&base, &json!({})), Ok(none));
    let all =
        json!({"url": "https://A.example:8443/own?hush", "headers": {"X-Key": "hush"}, "secret": SECRET});
    let read = parse_override(&base, &all).unwrap();
    assert_eq!(read.url.as_deref(), Some("https://A.example:8443/own?hush"));
    assert_eq!(read.headers, Some(vec![("x-key".to_owned(), "hush".to_owned())]));
    assert_eq!(read.secret.as_deref(), Some(SECRET));
    assert!(!format!("{read:?}").contains("hush"));
}

#[test]
fn a_url_stays_at_the_platforms_place() {
    for wrong in [
        "http://a.example:8443/hush",
        "https://a.example/hush",
        "https://a.example:8444/hush",
        "https://b.example:8443/hush",
        "https://a.example.evil.example:8443/hush",
        "https://a.example.:8443/hush",
    ] {
        let problem = parse_override(&base(json!({})), &json!({ "url": wrong })).unwrap_err();
        let detail = "Allowed are URLs that begin with https://a.example:8443/; path and query are free.";
        assert_eq!(problem.detail.as_deref(), Some(detail), "{wrong}");
        assert!(!format!("{problem:?}").contains("hush"), "{problem:?}");
    }
    for wrong in [
        json!("https://hush@a.example:8443/"),
        json!(null),
        json!(["hush"]),
    ] {
        let problem = parse_override(&base(json!({})), &json!({ "url": wrong })).unwrap_err();
        assert!(!format!("{problem:?}").contains("hush"), "{problem:?}");
    }
}

#[test]
fn everything_else_is_the_platforms() {
    for name in allowed::all() {
        if ["url", "headers", "secret"].contains(&name) {
            continue;
        }
        let problem = parse_override(&base(json!({})), &json!({ name: "hush" })).unwrap_err();
        let message = format!("option \"{name}\" is the platform's and cannot be set for one company");
        assert_eq!(problem.message, message);
        assert!(!format!("{problem:?}").contains("hush"));
    }
    let unknown = parse_override(&base(json!({})), &json!({"header": "hush"})).unwrap_err();
    assert_eq!(unknown.hint.as_deref(), Some("Did you mean \"headers\"?"));
    assert!(parse_override(&base(json!({})), &json!("hush")).is_err());
}

#[test]
fn a_secret_needs_a_target_that_signs() {
    let slack = parse(
        "slack",
        Transport::Slack,
        &json!({"url": "https://a.example:8443/hush"}),
    )
    .unwrap();
    for target in [base(json!({})), slack] {
        let problem = parse_override(&target, &json!({ "secret": SECRET })).unwrap_err();
        assert!(problem.detail.is_some() && problem.hint.is_some());
        assert!(!format!("{problem:?}").contains("hush"));
    }
}

#[test]
fn targets_without_requests_have_no_versions() {
    for transport in [Transport::Realtime, Transport::Notify, Transport::Pull] {
        let base = parse("a", transport, &json!({})).unwrap();
        assert!(parse_override(&base, &json!({})).is_err());
    }
}
