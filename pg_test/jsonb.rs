//! A payload leaves the server as the text PostgreSQL itself would show, to the last digit.

use pgrx::pg_sys::TEXTOID;
use pgrx::prelude::*;

use crate::pg::jsonb;
use crate::pg::spi::{self, Arg, Statement};

/// What the dispatcher would send, and what the server shows.
fn both_texts(json: &str) -> (String, String) {
    static BOTH: Statement = Statement::new(c"SELECT $1::jsonb, $1::jsonb::text", &[TEXTOID]);
    spi::connect(|session| {
        let rows = session.run(&BOTH, &[Arg::Text(json)], 0);
        let row = rows.first().unwrap();
        let mut sent = Vec::new();
        jsonb::write_text(row.datum(1).unwrap(), &mut sent);
        (String::from_utf8(sent).unwrap(), row.text(2).unwrap())
    })
}

#[pg_test]
fn a_payload_is_sent_to_the_last_digit_and_letter() {
    for json in [
        "null",
        "true",
        "\"\"",
        "0",
        "-0.0",
        "[]",
        "{}",
        "12345678901234567890123456789012345678901234567890",
        "0.1000000000000000000000000000000000000000000000001",
        "1e400",
        "-1.5e-300",
        "{\"a\": {\"b\": [1, [2, [3, {\"c\": null}]]]}, \"\": \"\"}",
        "\"ä, 🚚, \\u4e2d, \\\"quoted\\\", back\\\\slash, \\n\\t\\u0001, </script>\"",
        "{\"Zürich\": \"\u{202e}\u{feff}\"}",
    ] {
        let (sent, shown) = both_texts(json);
        assert_eq!(sent, shown, "{json}");
    }
    // By the letter, in case both were wrong.
    let exact = "[12345678901234567890.10, \"🚚\"]";
    assert_eq!(both_texts(exact).0, exact);
}

#[pg_test]
fn a_stored_payload_is_sent_like_a_fresh_one_and_measured_alike() {
    static FRESH: Statement = Statement::new(
        c"SELECT to_jsonb(repeat('load ', 100000)), to_jsonb(repeat('load ', 100000))::text",
        &[],
    );
    static STORED: Statement = Statement::new(c"SELECT payload FROM stored", &[]);
    Spi::run("CREATE TEMP TABLE stored AS SELECT to_jsonb(repeat('load ', 100000)) AS payload").unwrap();
    spi::connect(|session| {
        let fresh = session.run(&FRESH, &[], 0);
        let stored = session.run(&STORED, &[], 0);
        let (fresh, stored) = (fresh.first().unwrap(), stored.first().unwrap());
        let (fresh_datum, stored_datum) = (fresh.datum(1).unwrap(), stored.datum(1).unwrap());
        assert_eq!(jsonb::size(stored_datum), jsonb::size(fresh_datum));
        assert!(jsonb::size(stored_datum) >= 500_000, "compressed or not");
        let mut sent = b"before ".to_vec();
        jsonb::write_text(stored_datum, &mut sent);
        assert_eq!(
            String::from_utf8(sent).unwrap(),
            format!("before {}", fresh.text(2).unwrap())
        );
    });
}
