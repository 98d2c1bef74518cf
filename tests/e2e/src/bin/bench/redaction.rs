//! What redacting a document costs: tms_redact against taking one key off the top level, which PostgreSQL does itself, against a
//! round trip through serde_json, and against a recursive function in PL/pgSQL.
//!
//! The documents are nested, of about 1.2 kB as jsonb, with twelve members that are redacted. The three that redact give the same
//! documents, which is checked.

use std::collections::HashSet;
use std::time::Instant;

use postgres::Client;
use serde_json::Value;

use crate::ground::{DB, server};
use crate::options::Options;
use crate::report::{Bound, Detail, Figure};

const FIELDS: [&str; 3] = ["customer_name", "phone", "email"];

const DOCUMENTS: &str = "
    SET max_parallel_workers_per_gather = 0;
    SET jit = off;
    CREATE TABLE documents AS SELECT jsonb_build_object(
        'load_number', 'L-' || n, 'status', 'in_transit', 'rate', 2450.00 + n, 'miles', 812.5, 'hazmat', false,
        'customer', jsonb_build_object('customerName', 'Company ' || n, 'email', 'desk' || n || '@example.com',
                                       'phone', '+1 415 555 0132', 'terms', jsonb_build_object('days', 30, 'quick_pay', null)),
        'stops', (SELECT jsonb_agg(jsonb_build_object('sequence', s, 'city', 'Fresno', 'zip', '93701', 'pallets', 12 * s,
                    'contact', jsonb_build_object('name', 'Dock ' || s, 'phone', '+1 559 555 010' || s,
                                                  'email', 'dock' || s || '@example.com'))) FROM generate_series(1, 3) s),
        'driver', jsonb_build_object('name', 'Driver ' || n, 'phone', '+1 415 555 0177', 'email', 'driver@example.com'),
        'billing', jsonb_build_object('email', 'billing@example.com', 'reference', 'PO-' || n, 'lines',
                     jsonb_build_array(jsonb_build_object('code', 'LHL', 'amount', 2200.00),
                                       jsonb_build_object('code', 'FSC', 'amount', 250.00))),
        'tags', jsonb_build_array('priority', 'drop')) AS payload FROM generate_series(1, ";

/// As somebody would write it who knows PL/pgSQL: one statement a container, no row by row.
const PLPGSQL: &str = "
    CREATE FUNCTION redact_plpgsql(data jsonb, fields text[]) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
    BEGIN
        IF jsonb_typeof(data) = 'object' THEN
            RETURN (SELECT coalesce(jsonb_object_agg(key, CASE
                               WHEN lower(translate(key, '_- .', '')) = ANY (fields) THEN '\"[REDACTED]\"'
                               WHEN jsonb_typeof(value) IN ('object', 'array') THEN redact_plpgsql(value, fields)
                               ELSE value END), '{}') FROM jsonb_each(data));
        ELSIF jsonb_typeof(data) = 'array' THEN
            RETURN (SELECT coalesce(jsonb_agg(CASE
                               WHEN jsonb_typeof(value) IN ('object', 'array') THEN redact_plpgsql(value, fields)
                               ELSE value END ORDER BY place), '[]')
                      FROM jsonb_array_elements(data) WITH ORDINALITY AS e (value, place));
        END IF;
        RETURN data;
    END $$";

const TMS: &str = "tms_redact(payload, '{customer_name,phone,email}')";
const NATIVE: &str = "payload - 'customer'";
const RECURSIVE: &str = "redact_plpgsql(payload, '{customername,phone,email}')";
/// What a function with serde_json does of the server's own before and after.
const THERE_AND_BACK: &str = "(payload::text)::jsonb";
const NOTHING: &str = "payload";

pub fn measure(options: &Options, figure: &mut Figure) {
    let documents = options.size(20_000, 5_000);
    let cluster = server().start();
    let mut client = cluster.client(DB);
    client
        .batch_execute(&format!(
            "CREATE EXTENSION tms; {DOCUMENTS}{documents}) n; {PLPGSQL}"
        ))
        .expect("documents and functions");
    client.batch_execute("VACUUM ANALYZE documents").expect("VACUUM");
    check(&mut client);
    compare(options, figure, &mut client, documents);
}

/// Twelve places a document, and the same documents from each.
fn check(client: &mut Client) {
    let sql = format!(
        "SELECT avg(pg_column_size(payload))::float8,
                count(*) FILTER (WHERE {TMS} <> {RECURSIVE}),
                count(*) FILTER (WHERE cardinality(string_to_array({TMS}::text, 'REDACTED')) <> 12 + 1)
           FROM documents"
    );
    let row = client.query_one(&sql, &[]).expect("both functions");
    let (size, other, odd): (f64, i64, i64) = (row.get(0), row.get(1), row.get(2));
    assert!((1_000.0..1_400.0).contains(&size), "documents of {size} bytes");
    assert_eq!((other, odd), (0, 0), "the functions differ");
    let rows = client
        .query(
            &format!("SELECT payload::text, {TMS} FROM documents LIMIT 100"),
            &[],
        )
        .expect("documents");
    for row in rows {
        let redacted: Value = row.get(1);
        let by_serde: Value = serde_json::from_str(&by_serde(row.get(0), &fields())).expect("JSON");
        assert_eq!(by_serde, redacted);
    }
}

fn compare(options: &Options, figure: &mut Figure, client: &mut Client, documents: usize) {
    let texts: Vec<String> = client
        .query("SELECT payload::text FROM documents", &[])
        .expect("documents")
        .iter()
        .map(|row| row.get(0))
        .collect();
    let (mut tms, mut native, mut serde, mut recursive) = (vec![], vec![], vec![], vec![]);
    let mut rows = Vec::new();
    for round in 0..options.size(7, 3) {
        let mut once = |what| in_server(client, what, documents);
        let read = once(NOTHING);
        let (one, other) = (once(TMS), once(NATIVE));
        tms.push(one - read);
        native.push(other - read);
        let around = once(THERE_AND_BACK) - read;
        let inside = in_program(&texts);
        serde.push(around + inside);
        // Slow enough to be measured well at once.
        if round < 2 {
            recursive.push(once(RECURSIVE) - read);
        }
        rows.push((
            format!("round {}", round + 1),
            vec![read, one, other, around, inside],
        ));
    }
    let unit = "us";
    figure.spread("tms_redact, 12 places of a nested document", &tms, unit, None);
    figure.spread(
        "payload - 'customer', one key of the top level",
        &native,
        unit,
        None,
    );
    figure.spread(
        "serde_json: text, parse, redact, write, jsonb",
        &serde,
        unit,
        None,
    );
    figure.spread("recursive PL/pgSQL", &recursive, unit, None);
    let median = |runs: &[f64]| crate::numbers::Spread::of(runs).median;
    for (what, other, required) in [
        ("payload - 'customer' takes, against tms_redact", &native, 1.0),
        ("serde_json takes, against tms_redact", &serde, 20.0),
        ("recursive PL/pgSQL takes, against tms_redact", &recursive, 100.0),
    ] {
        let factor = median(other) / median(&tms);
        figure.line(what, factor, "times", Some(Bound::AtLeast(required)));
    }
    figure.detail(Detail {
        title: "us a document".into(),
        columns: vec!["reading", "tms_redact", "native", "text, jsonb", "serde_json"],
        rows,
    });
    figure.note(format!(
        "{documents} documents in one statement, no parallel workers, no JIT; what reading the table takes is taken off each"
    ));
    figure.note("serde_json: the server's (payload::text)::jsonb, and parsing, redacting and writing in the bench's process");
}

/// Microseconds a document.
fn in_server(client: &mut Client, what: &str, documents: usize) -> f64 {
    let sql = format!("SELECT count({what}) FROM documents");
    let began = Instant::now();
    client.query_one(&sql, &[]).expect("a statement of the figure");
    began.elapsed().as_secs_f64() * 1e6 / documents as f64
}

fn in_program(texts: &[String]) -> f64 {
    let fields = fields();
    let began = Instant::now();
    let length: usize = texts.iter().map(|text| by_serde(text, &fields).len()).sum();
    assert!(length > 0);
    began.elapsed().as_secs_f64() * 1e6 / texts.len() as f64
}

fn by_serde(text: &str, fields: &HashSet<String>) -> String {
    let mut document: Value = serde_json::from_str(text).expect("a document is JSON");
    redact(&mut document, fields);
    document.to_string()
}

fn fields() -> HashSet<String> {
    FIELDS.iter().map(|field| canonical(field)).collect()
}

fn canonical(key: &str) -> String {
    let letters = key
        .chars()
        .filter(|letter| !matches!(letter, '_' | '-' | ' ' | '.'));
    letters.flat_map(char::to_lowercase).collect()
}

fn redact(value: &mut Value, fields: &HashSet<String>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                if fields.contains(&canonical(key)) {
                    *value = Value::String("[REDACTED]".to_owned());
                } else {
                    redact(value, fields);
                }
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(|element| redact(element, fields)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
