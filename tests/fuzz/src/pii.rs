//! Detectors of personal data: any text.

use tms_domain::pii::{Kind, Kinds, find};
use tms_domain::redact::by_value::ByValue;
use tms_domain::redact::mode::Put;
use tms_domain::redact::token::Keys;

use crate::text;

/// Something of each kind, near misses, and what scanners are slow on.
pub const SEEDS: &[&[u8]] = &[
    b"Call +49 30 901820 or write to dispatch@example.com",
    b"driver cell (415) 555-0132 ext. 7, fax 020 7946 0958",
    b"card 4111 1111 1111 1111 exp 12/29, IBAN DE89 3704 0044 0532 0130 00",
    b"SSN 536-90-4399, phone: 4155550132",
    b"from 10.20.30.40 and 2001:db8::ff00:42:8329 by 00-1A-2b-3C-4d-5E",
    b"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJlc2lnbmF0dXJl",
    b"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END PRIVATE KEY-----",
    b"AKIAIOSFODNN7EXAMPLE ghp_0123456789abcdefghijklmnopqrstuvwxyz",
    b"{\"to\": \"ada\\u0040example.com\", \"phone\": [4155550132, {\"load\": 4155550132}], \"n\": 1e400}",
    b"[\"{\\\"to\\\": \\\"ada@example.com\\\"}\", \"\\ud800\"]",
    b"PRO 123-4567890, container MSKU1234565, load 4155550132, BOL 00012345",
    b"version 1.2.3.4, 2024-01-05, 12:30:45, 1.234.567,89",
    b"\xef\xbc\x94111111111111111 ada\xe2\x80\x8b@example.com",
    b"a@a@a@a.a.a.a@b.co.b.co @@ .@. a.@b.co",
];

/// Ranges are those of the text, in order; a kind is found alike alone and among others where it comes first; redacting
/// leaves nothing that is still found, and changes nothing the second time. Answers whether anything is found.
pub fn check(data: &[u8]) -> bool {
    let given = text(data);
    let all = find(&given, Kinds::all());
    let mut end = 0;
    for found in &all {
        assert!(
            found.range.start >= end && found.range.start < found.range.end,
            "{all:?} of {given:?}"
        );
        assert!(given.get(found.range.clone()).is_some(), "{all:?} of {given:?}");
        end = found.range.end;
    }
    for kind in Kind::ALL {
        let alone = find(&given, [kind].into_iter().collect());
        let among: Vec<_> = all.iter().filter(|found| found.kind == kind).collect();
        assert_eq!(alone.iter().collect::<Vec<_>>(), among, "{kind:?} of {given:?}");
    }
    check_redacted(&given);
    !all.is_empty()
}

fn check_redacted(given: &str) {
    let rules = ByValue::replacing(Kinds::all());
    let redacted = |text: &str| match rules.text("", text, &Keys::none()) {
        Ok(Put::Text(text)) => Some(text.into_owned()),
        Ok(Put::Unchanged) => None,
        other => panic!("{other:?} of {given:?}"),
    };
    if let Some(once) = redacted(given) {
        let mut seen = Vec::new();
        let looked = rules.look_into_text("", &once, &mut |kind| seen.push(kind));
        assert!(
            looked.is_ok() && seen.is_empty(),
            "{seen:?} in {once:?} of {given:?}"
        );
        assert_eq!(redacted(&once), None, "again: {given:?}");
    }
}
