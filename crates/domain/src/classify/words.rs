//! Words that names of exceptions and messages of clients are made of.
//!
//! A name is compared without case and separators, so `ReadTimeoutError`, `READ_TIMEOUT` and `read timeout` are one. The groups are
//! asked in order: what is said earlier is more exact than what is said later.

use super::Sign;
use crate::outcome::ErrorType::{self, ExternalApi, QuotaExceeded, Timeout, Validation};

/// Groups of pieces of names, in the order they are asked.
const IN_NAMES: &[(Sign, &[&str])] = &[
    (
        Sign::clear(Timeout),
        &[
            "timeout",
            "timedout",
            "deadlineexceeded",
            "deadline",
            "aborterror",
            "querycanceled",
            "locknotavailable",
        ],
    ),
    // A request that is too long for a model is no quota, though it exceeds something.
    (
        Sign::clear(Validation),
        &[
            "contextlength",
            "contextwindow",
            "stringabovemax",
            "entitytoolarge",
            "payloadtoolarge",
            "contenttoolarge",
            "contentfilter",
        ],
    ),
    (
        Sign::clear(QuotaExceeded),
        &[
            "ratelimit",
            "toomanyrequests",
            "quota",
            "resourceexhausted",
            "throttl",
            "slowdown",
            "limitexceeded",
            "limitreached",
            "throughputexceeded",
            "insufficientbalance",
            "insufficientfunds",
            "billing",
            "toomanyconnections",
            "insufficientresources",
        ],
    ),
    (
        Sign::clear(ExternalApi),
        &[
            "authentication",
            "unauthenticated",
            "unauthorized",
            "unauthorised",
            "forbidden",
            "permissiondenied",
            "permissionerror",
            "accessdenied",
            "invalidapikey",
            "invalidclient",
            "invalidgrant",
            "invalidtoken",
            "expiredtoken",
            "tokenexpired",
            "insufficientprivilege",
            "invalidpassword",
            // of a host, not of a thing
            "enotfound",
            "eaiagain",
        ],
    ),
    (
        Sign::clear(Validation),
        &[
            "validation",
            "zoderror",
            "badrequest",
            "unprocessable",
            "jsondecode",
            "jsonparse",
            "syntaxerror",
            "parseerror",
            "parsingerror",
            "invalid",
            "malformed",
            "schema",
            "constraint",
            "integrityerror",
            "uniqueviolation",
            "notnullviolation",
            "checkviolation",
            "foreignkeyviolation",
            "dataerror",
            "outofrange",
            "failedprecondition",
            "alreadyexists",
            "unimplemented",
            "notimplemented",
            "illegalargument",
            "argumenterror",
            "argumentnull",
            "argumentexception",
            "notfound",
            "nosuchkey",
            "unsupported",
            "typemismatch",
            "decodeerror",
            "serializationexception",
            "methodnotallowed",
            "policyviolation",
        ],
    ),
    (
        Sign::vague(ExternalApi),
        &[
            "econn",
            "epipe",
            "ehostunreach",
            "enetunreach",
            "enetdown",
            "eproto",
            "connection",
            "connect",
            "network",
            "socket",
            "ssl",
            "tls",
            "certificate",
            "unavailable",
            "internal",
            "servererror",
            "overloaded",
            "gateway",
            "dns",
            "gaierror",
            "remotedisconnected",
            "chunkedencoding",
            "incompleteread",
            "protocolerror",
            "upstream",
            "deadlock",
            "serializationfailure",
            "operationalerror",
            "cancelled",
            "canceled",
            "transport",
            "undici",
            "dataloss",
        ],
    ),
    // Mistakes in a program fail again in the same way, unless they only wrap something else.
    (
        Sign::vague(Validation),
        &[
            "typeerror",
            "valueerror",
            "keyerror",
            "indexerror",
            "attributeerror",
            "assertionerror",
            "nullpointer",
            "rangeerror",
            "referenceerror",
        ],
    ),
];

/// The same of messages, which are sentences: pieces as they stand in them, in lower case.
const IN_MESSAGES: &[(Sign, &[&str])] = &[
    (
        Sign::clear(Validation),
        &[
            "context length",
            "context_length_exceeded",
            "context window",
            "prompt is too long",
            "payload too large",
        ],
    ),
    (
        Sign::clear(QuotaExceeded),
        &[
            "rate limit",
            "rate_limit",
            "ratelimit",
            "too many requests",
            "quota",
            "resource_exhausted",
            "resource exhausted",
            "throttl",
            "credit balance",
            "insufficient balance",
            "usage limit",
            "billing",
            "too many connections",
            "too many clients",
            "remaining connection slots",
            "tokens per min",
            "requests per min",
            "limit exceeded",
            "limit reached",
            "slow down",
        ],
    ),
    (
        Sign::clear(Timeout),
        &[
            "timed out",
            "timeout",
            "time out",
            "time-out",
            "etimedout",
            "deadline exceeded",
            "deadline_exceeded",
            "operation was aborted",
            "took too long",
        ],
    ),
    (
        Sign::clear(ExternalApi),
        &[
            "unauthorized",
            "unauthenticated",
            "forbidden",
            "permission denied",
            "access denied",
            "api key",
            "invalid token",
            "authentication failed",
            "credentials",
        ],
    ),
    (
        Sign::vague(ExternalApi),
        &[
            "fetch failed",
            "failed to fetch",
            "econnre",
            "enotfound",
            "eai_again",
            "epipe",
            "socket hang up",
            "connection",
            "unavailable",
            "bad gateway",
            "internal server error",
            "overloaded",
            "certificate",
            "tls",
            "ssl",
            "getaddrinfo",
            "name resolution",
            "network",
            "connection reset",
            "broken pipe",
            "unexpected eof",
            "no route to host",
            "deadlock detected",
            "could not serialize",
        ],
    ),
    (
        Sign::clear(Validation),
        &[
            "validation",
            "invalid",
            "unexpected token",
            "not valid",
            "bad request",
            "unprocessable",
            "malformed",
            "is required",
            "missing required",
            "must be",
            "must not be",
            "violates",
            "does not exist",
            "not found",
            "expecting value",
            "out of range",
            "unsupported",
            "schema",
            "cannot parse",
            "could not parse",
            "failed to parse",
            "expected string",
            "expected number",
        ],
    ),
];

pub(super) fn of_name(name: &str) -> Option<Sign> {
    if let Some(own) = ErrorType::ALL.into_iter().find(|kind| kind.as_str() == name) {
        return Some(Sign::clear(own));
    }
    let folded: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|letter| letter.to_ascii_lowercase())
        .collect();
    first(IN_NAMES, &folded)
}

pub(super) fn in_message(message: &str) -> Option<Sign> {
    first(IN_MESSAGES, &message.to_ascii_lowercase())
}

fn first(groups: &[(Sign, &[&str])], text: &str) -> Option<Sign> {
    groups
        .iter()
        .find(|(_, pieces)| pieces.iter().any(|piece| text.contains(piece)))
        .map(|(sign, _)| *sign)
}
