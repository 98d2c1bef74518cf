//! The URL of a target.

use std::net::{Ipv4Addr, Ipv6Addr};

use tms_domain::endpoint::{Endpoint, parse};

use crate::text;

/// Usual URLs, and some that have fooled others.
pub const SEEDS: &[&[u8]] = &[
    b"https://hooks.slack.com/services/T000/B000/XXXXXXXXXXXXXXXX",
    b"http://n8n:5678/webhook/loads?secret=1&b=%20",
    b"http://[2001:db8::1]:8080/a/../b",
    b"http://[::ffff:127.0.0.1]/",
    b"http://2130706433/x",
    b"http://0x7f.1/x",
    b"http://0177.0.0.01:80/x",
    b"https://user:password@example.com/",
    b"https://example.com@evil.example/#fragment",
    b"https://example.com\\@evil.example/",
    b"https://M\xc3\xbcller.example:443/",
    b"https://1.2.3.4.:65535/?",
    b"ftp://example.com/",
];

/// What is accepted is plain, means one place, and reads the same when it is written out again.
pub fn check(data: &[u8]) -> bool {
    let url = text(data);
    match parse(&url) {
        Ok(endpoint) => {
            check_parts(&endpoint, &url);
            let written = format!(
                "{}://{}{}",
                endpoint.scheme.as_str(),
                endpoint.authority,
                endpoint.path_and_query
            );
            // Escaping makes a URL longer, and only what a user writes has a limit.
            if written.len() <= 2048 {
                assert_eq!(parse(&written).as_ref(), Ok(&endpoint), "{url:?} becomes another");
            }
            true
        }
        Err(problem) => {
            let shown = format!("{problem:?}");
            let secret = url.splitn(4, '/').nth(3).unwrap_or_default();
            assert!(secret.len() < 16 || !shown.contains(secret), "repeated: {shown}");
            false
        }
    }
}

fn check_parts(endpoint: &Endpoint, url: &str) {
    let host = &endpoint.host;
    assert_ne!(endpoint.port, 0, "{url:?}");
    let is_v6 = host.parse::<Ipv6Addr>().is_ok();
    let plain = |byte: u8| {
        let letter = byte.is_ascii_lowercase() || byte.is_ascii_digit();
        letter || matches!(byte, b'-' | b'.' | b'_') || (is_v6 && byte == b':')
    };
    assert!(
        !host.is_empty() && host.bytes().all(plain),
        "{host:?} from {url:?}"
    );

    // A resolver takes a host that ends in a number for an address: it must be one, in its usual form.
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    let number = last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x");
    let hex = last
        .trim_start_matches("0x")
        .bytes()
        .all(|byte| byte.is_ascii_hexdigit());
    if !is_v6 && number && hex {
        let address = host.parse::<Ipv4Addr>();
        assert_eq!(address.map(|v4| v4.to_string()).as_ref(), Ok(host), "{url:?}");
    }

    let shown = if is_v6 { format!("[{host}]") } else { host.clone() };
    let expected = if endpoint.port == endpoint.scheme.default_port() {
        shown
    } else {
        format!("{shown}:{}", endpoint.port)
    };
    assert_eq!(endpoint.authority, expected, "{url:?}");

    let path = &endpoint.path_and_query;
    assert!(path.starts_with('/'), "{path:?} from {url:?}");
    assert!(
        path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'),
        "{path:?}"
    );
    assert!(
        path.len() < 16 || !format!("{endpoint:?}").contains(path.as_str()),
        "shown"
    );
}
