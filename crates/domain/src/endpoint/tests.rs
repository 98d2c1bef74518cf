//! URLs that are accepted and how they are read; URLs that are refused without being repeated.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::arbitrary::Source;

#[test]
fn urls_are_taken_apart() {
    use Scheme::{Http, Https};
    for (url, scheme, host, port, authority, path_and_query) in [
        (
            "http://n8n:5678/webhook/a",
            Http,
            "n8n",
            5678,
            "n8n:5678",
            "/webhook/a",
        ),
        ("https://a.example", Https, "a.example", 443, "a.example", "/"),
        (
            "https://a.example:443/",
            Https,
            "a.example",
            443,
            "a.example",
            "/",
        ),
        (
            "https://a.example:80/",
            Https,
            "a.example",
            80,
            "a.example:80",
            "/",
        ),
        (
            "HTTP://A.Example?x=1&y",
            Http,
            "a.example",
            80,
            "a.example",
            "/?x=1&y",
        ),
        ("http://a.example/p?", Http, "a.example", 80, "a.example", "/p?"),
        (
            "http://a.example/@b:c",
            Http,
            "a.example",
            80,
            "a.example",
            "/@b:c",
        ),
        (
            "http://a_b.example./",
            Http,
            "a_b.example.",
            80,
            "a_b.example.",
            "/",
        ),
        (
            "http://127.0.0.1:8080/",
            Http,
            "127.0.0.1",
            8080,
            "127.0.0.1:8080",
            "/",
        ),
        ("http://0x7f.1/", Http, "127.0.0.1", 80, "127.0.0.1", "/"),
        ("http://2130706433/", Http, "127.0.0.1", 80, "127.0.0.1", "/"),
        ("https://[::1]:8443/x", Https, "::1", 8443, "[::1]:8443", "/x"),
        (
            "https://[2001:DB8:0:0::1]",
            Https,
            "2001:db8::1",
            443,
            "[2001:db8::1]",
            "/",
        ),
        (
            "https://müller.example/ü?ä",
            Https,
            "xn--mller-kva.example",
            443,
            "xn--mller-kva.example",
            "/%C3%BC?%C3%A4",
        ),
        (
            "http://a.example/a/../b",
            Http,
            "a.example",
            80,
            "a.example",
            "/b",
        ),
    ] {
        let expected = Endpoint {
            scheme,
            host: host.to_owned(),
            port,
            authority: authority.to_owned(),
            path_and_query: path_and_query.to_owned(),
        };
        let endpoint = parse(url).unwrap();
        assert_eq!(endpoint.path_and_query, expected.path_and_query, "{url}");
        assert_eq!(endpoint, expected, "{url}");
    }
}

#[test]
fn refused_urls_say_why_and_repeat_no_secret() {
    let long_label = format!("https://{}.example/hush", "a".repeat(64));
    let long_name = format!("https://{}example/hush", "abc.".repeat(70));
    let long = format!("https://a.example/{}", "hush".repeat(600));
    for (url, reason) in [
        ("", "empty"),
        (long.as_str(), "bytes long"),
        ("a.example/hush", "begin with http:// or https://"),
        ("a.example:443/hush", "begin with http:// or https://"),
        ("/hush", "begin with http:// or https://"),
        ("hush:hush@a.example", "begin with http:// or https://"),
        (
            "a.example/hush?u=https://b.example",
            "begin with http:// or https://",
        ),
        ("ftp://a.example/hush", "scheme \"ftp\""),
        ("file:///hush", "scheme \"file\""),
        ("https:a.example/hush", "begin with http:// or https://"),
        ("https:///a.example/hush", "no host"),
        ("https://?hush", "no host"),
        ("https://", "no host"),
        ("https://:443/hush", "not valid"),
        ("https://hush@a.example/", "credentials"),
        ("https://hush:hush@a.example/", "credentials"),
        ("https://:hush@a.example/", "credentials"),
        ("https://@a.example/hush", "credentials"),
        ("https://a.example/hush#hush", "fragment"),
        ("https://a.example/hush#", "fragment"),
        (" https://a.example/hush", "character 1 "),
        ("https://a.example/hush\n", "character 23 "),
        ("https://a.example/hu\tsh", "character 21 "),
        ("https://a.example/hush hush", "character 23 "),
        ("https://a.example/hush\u{a0}", "character 23 "),
        ("https://a.example/hush\0", "character 23 "),
        ("https:\\\\a.example\\hush", "character 7 "),
        ("https://a.example:0/hush", "port 0"),
        ("https://a.example:65536/hush", "invalid port"),
        ("https://a.example:-1/hush", "invalid port"),
        ("https://a.example:x/hush", "invalid port"),
        ("https://[::1/hush", "invalid IPv6"),
        ("https://[fe80::1%25eth0]/hush", "invalid IPv6"),
        ("https://1.2.3.4.5/hush", "invalid IPv4"),
        ("https://256.1.1.1/hush", "invalid IPv4"),
        ("https://a%40b.example/hush", "not valid"),
        ("https://a..example/hush", "host \"a..example\""),
        ("https://a*b.example/hush", "host \"a*b.example\""),
        (long_label.as_str(), "is not a valid name"),
        (long_name.as_str(), "is not a valid name"),
    ] {
        let problem = parse(url).unwrap_err();
        assert!(problem.message.contains(reason), "{url:?}: {}", problem.message);
        assert!(problem.detail.is_some(), "{url:?}");
        assert!(!format!("{problem:?}").contains("hush"), "{url:?}: {problem:?}");
    }
}

#[test]
fn the_length_limit_is_inclusive() {
    let url = |bytes: usize| format!("{:x<bytes$}", "https://a.example/");
    assert!(parse(&url(2048)).is_ok());
    assert!(parse(&url(2049)).is_err());
}

#[test]
fn debug_output_leaves_the_path_out() {
    let endpoint = parse("https://a.example/hush?hush").unwrap();
    assert!(!format!("{endpoint:?}").contains("hush"));
}

#[test]
fn literal_addresses_are_recognised() {
    for (url, literal) in [
        ("http://127.0.0.1/", true),
        ("http://0177.0.0.1/", true),
        ("http://127.0.0.1./", true),
        ("http://[::ffff:10.0.0.1]/", true),
        ("http://localhost/", false),
        ("http://a.example/", false),
    ] {
        let host = parse(url).unwrap().host;
        assert_eq!(literal_address(&host).is_some(), literal, "{url} {host}");
    }
    assert_eq!(
        literal_address("::1"),
        Some(IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]))
    );
}

#[test]
fn whatever_is_accepted_is_safe_to_send() {
    let mut source = Source::new(5);
    let pieces = [
        "http://",
        "https://",
        "a.example",
        "[::1]",
        ":",
        "80",
        "/",
        "?",
        "#",
        "@",
        "%",
        "\\",
        "\r\n",
        "..",
        "é",
    ];
    for round in 0..60_000 {
        let text = match round % 3 {
            0 => source.text(&pieces),
            1 => format!("http://{}", source.text(&pieces)),
            _ => source.mutated("https://a.example:8443/path/x?query=%20"),
        };
        let Ok(endpoint) = parse(&text) else { continue };
        assert!(endpoint.path_and_query.starts_with('/'), "{text:?}");
        let visible = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_graphic());
        assert!(visible(&endpoint.path_and_query), "{text:?}");
        assert!(visible(&endpoint.host), "{text:?}");
        assert!(visible(&endpoint.authority), "{text:?}");
        assert!(endpoint.port != 0 && !endpoint.host.contains(['/', '@', '[', '?', '#']));
    }
}
