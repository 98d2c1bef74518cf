//! What the walker makes of the server's own jsonb is what the reference makes of the document, byte by byte.

use pgrx::pg_sys::TEXTOID;
use pgrx::prelude::*;
use serde_json::Value;
use tms_domain::arbitrary::Source;
use tms_domain::problem::Problem;
use tms_domain::redact::arbitrary::{self, Extent};
use tms_domain::redact::reference::{Json, redact};
use tms_domain::redact::rules::Rules;
use tms_domain::redact::token::Keys;

use crate::pg::jsonb;
use crate::pg::spi::{self, Arg, Statement};

const DEPTH: usize = 5;

/// The document, what becomes of it, and what should.
static REDACTED: Statement = Statement::new(
    c"SELECT d, r, e, r::text, d::text,
             r = e AND jsonb_typeof(r) = jsonb_typeof(e) AND r @> e AND e @> r AND (r::text)::jsonb = r
                   AND pg_column_size(r) = pg_column_size((r::text)::jsonb) AND hashtext(r::text) = hashtext(e::text)
        FROM (SELECT $1::jsonb, $3::jsonb) AS given (d, e), LATERAL (SELECT tms_redact_rules(d, $2::jsonb)) AS made (r)",
    &[TEXTOID, TEXTOID, TEXTOID],
);

fn expected(document: &Json, rules: &Value) -> Result<Json, Problem> {
    let rules = Rules::parse(rules, &|_| Ok(()))?;
    redact(document, &rules, &Keys::none(), DEPTH)
}

/// Whether the document was changed.
fn compare(document: &Json, rules: &Value) -> bool {
    let (given, wanted) = (document.to_text(), expected(document, rules).unwrap().to_text());
    spi::connect(|session| {
        let arguments = [
            Arg::Text(&given),
            Arg::Text(&rules.to_string()),
            Arg::Text(&wanted),
        ];
        let rows = session.run(&REDACTED, &arguments, 0);
        let row = rows.first().unwrap();
        assert_eq!(
            row.text(5).unwrap(),
            given,
            "the document is none as jsonb prints it"
        );
        assert_eq!(row.text(4).unwrap(), wanted, "{rules} {given}");
        let bytes = |column| jsonb::bytes(row.datum(column).unwrap());
        assert!(bytes(2) == bytes(3), "not byte by byte: {rules} {given}");
        assert_eq!(row.bool(6), Some(true), "{rules} {given}");
        bytes(1) != bytes(2)
    })
}

#[pg_test]
fn redaction_gives_what_the_definitions_give() {
    let extent = Extent {
        tokens: false,
        kinds: true,
    };
    let mut source = Source::new(47);
    let mut changed = 0;
    for _ in 0..750 {
        let rules = arbitrary::rules_document(&mut source, extent);
        for _ in 0..4 {
            changed += usize::from(compare(&arbitrary::document(&mut source, DEPTH), &rules));
        }
    }
    assert!(
        (1_000..2_700).contains(&changed),
        "{changed}: too one-sided to mean anything"
    );
}

#[pg_test]
fn redaction_of_a_stored_document_is_that_of_a_fresh_one() {
    // Stored plainly with a short header, compressed, and elsewhere.
    Spi::run(
        "CREATE TEMP TABLE documents AS
         SELECT n, jsonb_build_object('phone', 1, 'pad', repeat('load ', n), 'n', 0.10, 'o', '{\"phone\": [1e400]}'::jsonb) AS d
           FROM unnest(ARRAY[1, 1000, 100000]) n;
         INSERT INTO documents
         SELECT 0, jsonb_build_object('phone', string_agg(md5(n::text), ''), 'n', 0.10) FROM generate_series(1, 3000) n",
    )
    .unwrap();
    let wrong = Spi::get_one::<i64>(
        "SELECT count(*) FROM documents
          WHERE tms_redact(d, '{phone}') <> tms_redact((d::text)::jsonb, '{phone}')
             OR tms_redact(d, '{phone}')->>'phone' <> '[REDACTED]'
             OR tms_redact(d, '{fax}') <> d OR tms_redact(d, '{fax}')::text <> d::text",
    );
    assert_eq!(wrong.unwrap(), Some(0));
}

/// The cache of compiled rules is small; more sets than it holds, in turns, and rules like the bytes of others.
#[pg_test]
fn many_sets_of_rules_in_turns() {
    let wrong = Spi::get_one::<i64>(
        "SELECT count(*) FROM generate_series(1, 3) round, generate_series(1, 100) n
          WHERE tms_redact(jsonb_build_object('f' || n, 1, 'f', 1), ARRAY['f' || n])
                <> jsonb_build_object('f' || n, '[REDACTED]', 'f', 1)",
    );
    assert_eq!(wrong.unwrap(), Some(0));
}
