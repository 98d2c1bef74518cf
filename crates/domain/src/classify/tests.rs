use super::*;
use crate::arbitrary::Source;
use crate::outcome::ErrorType::{ExternalApi, QuotaExceeded, Timeout, Validation};

/// Errors as clients really report them: name, message, kind.
const CASES: &[(&str, &str, ErrorType)] = &[
    // Our own words
    ("timeout", "", Timeout),
    ("validation", "anything: timed out", Validation),
    ("external_api", "", ExternalApi),
    ("quota_exceeded", "", QuotaExceeded),
    // Timeouts
    ("TimeoutError", "", Timeout),
    ("asyncio.TimeoutError", "", Timeout),
    ("asyncio.exceptions.TimeoutError", "", Timeout),
    ("ETIMEDOUT", "connect ETIMEDOUT 10.0.0.1:443", Timeout),
    ("ESOCKETTIMEDOUT", "", Timeout),
    ("ECONNABORTED", "timeout of 1000ms exceeded", Timeout),
    ("UND_ERR_HEADERS_TIMEOUT", "Headers Timeout Error", Timeout),
    ("httpx.ReadTimeout", "", Timeout),
    ("requests.exceptions.ConnectTimeout", "", Timeout),
    ("openai.APITimeoutError", "Request timed out.", Timeout),
    ("AbortError", "This operation was aborted", Timeout),
    ("java.net.SocketTimeoutException", "Read timed out", Timeout),
    ("DEADLINE_EXCEEDED", "", Timeout),
    ("4 DEADLINE_EXCEEDED", "Deadline exceeded after 5.000s", Timeout),
    ("google.api_core.exceptions.DeadlineExceeded", "", Timeout),
    ("", "context deadline exceeded", Timeout),
    ("", "504 Gateway Timeout", Timeout),
    ("504", "", Timeout),
    ("HTTP 504", "", Timeout),
    ("408", "", Timeout),
    ("HTTPError", "HTTP Error 524: A timeout occurred", Timeout),
    ("57014", "canceling statement due to user request", Timeout),
    ("55P03", "could not obtain lock on relation", Timeout),
    ("25P03", "", Timeout),
    (
        "psycopg.errors.QueryCanceled",
        "canceling statement due to statement timeout",
        Timeout,
    ),
    ("error", "canceling statement due to statement timeout", Timeout),
    (
        "DatabaseError",
        "ERROR: canceling statement (SQLSTATE 57014)",
        Timeout,
    ),
    (
        "Error",
        "Operation timed out after 30001 milliseconds with 0 bytes received",
        Timeout,
    ),
    (
        "ConnectionError",
        "HTTPSConnectionPool(host='x'): Max retries exceeded (Caused by ConnectTimeoutError)",
        Timeout,
    ),
    ("InternalServerError", "upstream request timeout", Timeout),
    // Quota
    ("RateLimitError", "", QuotaExceeded),
    (
        "openai.RateLimitError",
        "Error code: 429 - You exceeded your current quota",
        QuotaExceeded,
    ),
    ("insufficient_quota", "", QuotaExceeded),
    (
        "rate_limit_error",
        "This request would exceed your organization's rate limit",
        QuotaExceeded,
    ),
    ("429", "", QuotaExceeded),
    ("HTTP 429", "", QuotaExceeded),
    ("", "429 Too Many Requests", QuotaExceeded),
    ("Error", "Request failed with status code 429", QuotaExceeded),
    ("HTTPError", "HTTP/1.1 429", QuotaExceeded),
    (
        "RESOURCE_EXHAUSTED",
        "Quota exceeded for quota metric",
        QuotaExceeded,
    ),
    ("google.api_core.exceptions.ResourceExhausted", "", QuotaExceeded),
    ("ThrottlingException", "Rate exceeded", QuotaExceeded),
    ("ThrottledException", "", QuotaExceeded),
    ("ProvisionedThroughputExceededException", "", QuotaExceeded),
    ("RequestLimitExceeded", "", QuotaExceeded),
    ("SlowDown", "Please reduce your request rate.", QuotaExceeded),
    ("TooManyRequestsException", "", QuotaExceeded),
    ("402", "Insufficient Balance", QuotaExceeded),
    ("53400", "configuration limit exceeded", QuotaExceeded),
    ("53300", "sorry, too many clients already", QuotaExceeded),
    (
        "FATAL",
        "remaining connection slots are reserved for superusers",
        QuotaExceeded,
    ),
    (
        "APIError",
        "Your credit balance is too low to access the API",
        QuotaExceeded,
    ),
    (
        "Error",
        "Rate limit reached for gpt-4o on tokens per min (TPM)",
        QuotaExceeded,
    ),
    ("billing_hard_limit_reached", "", QuotaExceeded),
    // Validation
    ("ValidationError", "", Validation),
    (
        "pydantic_core.ValidationError",
        "1 validation error for Load",
        Validation,
    ),
    ("pydantic_core._pydantic_core.ValidationError", "", Validation),
    ("ZodError", "[{\"code\":\"invalid_type\"}]", Validation),
    (
        "json.decoder.JSONDecodeError",
        "Expecting value: line 1 column 1 (char 0)",
        Validation,
    ),
    ("JSONDecodeError", "", Validation),
    (
        "SyntaxError",
        "Unexpected token < in JSON at position 0",
        Validation,
    ),
    (
        "jsonschema.exceptions.ValidationError",
        "'id' is a required property",
        Validation,
    ),
    ("openai.BadRequestError", "Error code: 400", Validation),
    (
        "context_length_exceeded",
        "This model's maximum context length is 8192 tokens",
        Validation,
    ),
    (
        "APIError",
        "This model's maximum context length is 8192 tokens",
        Validation,
    ),
    ("invalid_request_error", "", Validation),
    ("INVALID_ARGUMENT", "", Validation),
    (
        "3 INVALID_ARGUMENT",
        "Request contains an invalid argument.",
        Validation,
    ),
    ("FAILED_PRECONDITION", "", Validation),
    ("NOT_FOUND", "", Validation),
    ("400", "", Validation),
    ("HTTP 422", "", Validation),
    ("", "404 Not Found", Validation),
    ("", "422 Unprocessable Entity", Validation),
    ("413", "", Validation),
    ("AxiosError", "Request failed with status code 400", Validation),
    ("23514", "new row violates check constraint", Validation),
    ("23505", "", Validation),
    ("22P02", "invalid input syntax for type uuid", Validation),
    ("42P01", "relation \"loads\" does not exist", Validation),
    ("P0001", "raised by a trigger", Validation),
    ("54000", "", Validation),
    (
        "IntegrityError",
        "duplicate key value violates unique constraint",
        Validation,
    ),
    (
        "org.postgresql.util.PSQLException",
        "ERROR: null value (SQLSTATE 23502)",
        Validation,
    ),
    (
        "PDOException",
        "SQLSTATE[23000]: Integrity constraint violation",
        Validation,
    ),
    ("java.lang.IllegalArgumentException", "", Validation),
    (
        "TypeError",
        "Cannot read properties of undefined (reading 'id')",
        Validation,
    ),
    ("KeyError", "'load_id'", Validation),
    (
        "ValueError",
        "could not convert string to float: 'abc'",
        Validation,
    ),
    // The other side
    ("ECONNRESET", "read ECONNRESET", ExternalApi),
    ("ECONNREFUSED", "connect ECONNREFUSED 127.0.0.1:1", ExternalApi),
    ("ENOTFOUND", "getaddrinfo ENOTFOUND api.example", ExternalApi),
    ("EAI_AGAIN", "", ExternalApi),
    ("TypeError", "fetch failed", ExternalApi),
    ("Error", "socket hang up", ExternalApi),
    ("openai.APIConnectionError", "Connection error.", ExternalApi),
    ("openai.InternalServerError", "Error code: 500", ExternalApi),
    (
        "openai.AuthenticationError",
        "Incorrect API key provided",
        ExternalApi,
    ),
    ("invalid_api_key", "", ExternalApi),
    ("overloaded_error", "Overloaded", ExternalApi),
    (
        "UNAVAILABLE",
        "14 UNAVAILABLE: failed to connect to all addresses",
        ExternalApi,
    ),
    ("UNAUTHENTICATED", "", ExternalApi),
    ("PERMISSION_DENIED", "", ExternalApi),
    ("503", "", ExternalApi),
    ("HTTP 502", "", ExternalApi),
    ("", "503 Service Unavailable", ExternalApi),
    ("401", "", ExternalApi),
    ("403", "", ExternalApi),
    ("409", "", ExternalApi),
    ("425", "", ExternalApi),
    ("AxiosError", "Request failed with status code 500", ExternalApi),
    ("08006", "connection failure", ExternalApi),
    (
        "57P01",
        "terminating connection due to administrator command",
        ExternalApi,
    ),
    ("40001", "could not serialize access", ExternalApi),
    ("40P01", "deadlock detected", ExternalApi),
    ("28P01", "password authentication failed", ExternalApi),
    ("42501", "permission denied for table loads", ExternalApi),
    (
        "ssl.SSLCertVerificationError",
        "certificate verify failed",
        ExternalApi,
    ),
    (
        "socket.gaierror",
        "[Errno -2] Name or service not known",
        ExternalApi,
    ),
    (
        "http.client.RemoteDisconnected",
        "Remote end closed connection without response",
        ExternalApi,
    ),
    // Nothing to go by: it is tried again
    ("Error", "", ExternalApi),
    ("RuntimeError", "something happened", ExternalApi),
    ("", "", ExternalApi),
    ("Exception", "load 503 was not planned", ExternalApi),
    ("12345", "", ExternalApi),
    ("Fehler", "nicht gut 車", ExternalApi),
];

#[test]
fn errors_of_real_clients_are_of_their_kind() {
    assert!(CASES.len() >= 80, "{}", CASES.len());
    let wrong: Vec<String> = CASES
        .iter()
        .filter(|(name, message, expected)| classify(name, Some(message)) != *expected)
        .map(|(name, message, expected)| {
            let got = classify(name, Some(message));
            format!("{name:?}, {message:?}: {got:?} instead of {expected:?}")
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_message_is_not_needed_where_the_name_is_clear() {
    for (name, message, expected) in CASES {
        if message.is_empty() {
            assert_eq!(classify(name, None), *expected, "{name}");
        }
    }
    assert_eq!(classify("  TimeoutError\n", None), Timeout);
}

#[test]
fn no_input_makes_it_panic_and_long_ones_cost_little() {
    let pieces: Vec<&str> = CASES.iter().flat_map(|case| [case.0, case.1]).collect();
    let mut source = Source::new(8);
    for _ in 0..20_000 {
        let (name, message) = (source.text(&pieces), source.text(&pieces));
        assert_eq!(classify(&name, Some(&message)), classify(&name, Some(&message)));
    }
    let long = "車".repeat(1_000_000);
    assert_eq!(classify(&long, Some(&long)), ExternalApi);
}
