//! Reading the extra headers of a target or an event.
//!
//! A header's value may be a credential: no text in here repeats one, whatever is wrong with it. An invalid name
//! is repeated only up to its first wrong character, because people paste whole header lines into it.

use serde_json::Value;

use crate::problem::Problem;
use crate::shown::{kind_of, quoted};

const COUNT_LIMIT: usize = 64;
const NAME_LIMIT: usize = 256;
const VALUE_LIMIT: usize = 8192;

/// Headers that frame the message or concern only this hop: the HTTP client owns them (RFC 9110, section 7.6.1).
const FRAMING: &[&str] = &[
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Headers that tms writes itself: a receiver must be able to trust them.
const RESERVED: &[&str] = &["webhook-id", "webhook-signature", "webhook-timestamp"];

/// Reads a JSON object of header names and values; the names come back in lower case.
///
/// Values hold visible ASCII, spaces and tabs, and neither begin nor end with white space. Text beyond ASCII is
/// refused although HTTP tolerates it as obs-text: receivers disagree on its encoding (RFC 9110, section 5.5).
/// `what` names the object in the texts, such as "option headers".
///
/// # Errors
/// Anything but such an object, more than 64 headers, a name over 256 bytes or a value over 8,192, a name that comes
/// twice, and the headers that tms or the HTTP client set themselves.
pub fn parse(value: &Value, what: &str) -> Result<Vec<(String, String)>, Problem> {
    let Value::Object(entries) = value else {
        return Err(
            Problem::new(format!("{what} is {}", kind_of(value))).detail(format!(
                "Expected a JSON object of header names and string values for {what}."
            )),
        );
    };
    if entries.len() > COUNT_LIMIT {
        return Err(Problem::new(format!("{what} holds {} headers", entries.len()))
            .detail(format!("At most {COUNT_LIMIT} headers can be added.")));
    }
    let mut headers: Vec<(String, String)> = Vec::with_capacity(entries.len());
    for (name, value) in entries {
        let name = read_name(name, what)?;
        if headers.iter().any(|(known, _)| *known == name) {
            return Err(Problem::new(format!("header \"{name}\" comes twice in {what}"))
                .detail("Header names are compared without regard to case."));
        }
        let value = read_value(&name, value, what)?;
        headers.push((name, value));
    }
    Ok(headers)
}

fn read_name(name: &str, what: &str) -> Result<String, Problem> {
    let expected =
        format!("A header name has 1 to {NAME_LIMIT} letters, digits and characters of !#$%&'*+-.^_`|~.");
    if name.is_empty() {
        return Err(Problem::new(format!("{what} holds an empty header name")).detail(expected));
    }
    if let Some(place) = name.find(|letter| !is_token(letter)) {
        let message = format!(
            "character {} of the header name beginning with {} in {what} is not allowed",
            place + 1,
            quoted(&name[..place])
        );
        return Err(Problem::new(message).detail(expected));
    }
    if name.len() > NAME_LIMIT {
        let message = format!("a header name in {what} is {} bytes long", name.len());
        return Err(Problem::new(message).detail(expected));
    }
    let name = name.to_ascii_lowercase();
    if FRAMING.contains(&name.as_str()) {
        return Err(
            Problem::new(format!("header \"{name}\" in {what} is not allowed")).detail(
                "It concerns the connection or the framing of the request, which the HTTP client decides.",
            ),
        );
    }
    if RESERVED.contains(&name.as_str()) {
        return Err(Problem::new(format!("header \"{name}\" in {what} is reserved"))
            .detail("It is written by tms for every attempt."));
    }
    Ok(name)
}

/// A character of a token (RFC 9110, section 5.6.2).
fn is_token(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(letter)
}

fn read_value(name: &str, value: &Value, what: &str) -> Result<String, Problem> {
    let Value::String(value) = value else {
        return Err(Problem::new(format!(
            "the value of header \"{name}\" in {what} is {}",
            kind_of(value)
        ))
        .detail("Expected a string."));
    };
    let wrong = |text: String| Problem::new(format!("the value of header \"{name}\" in {what} {text}"));
    if value.len() > VALUE_LIMIT {
        return Err(wrong(format!("is {} bytes long", value.len()))
            .detail(format!("At most {VALUE_LIMIT} bytes are allowed.")));
    }
    let allowed = |letter: char| matches!(letter, ' '..='~' | '\t');
    if let Some(place) = value.chars().position(|letter| !allowed(letter)) {
        return Err(wrong(format!(
            "has a character at position {} that is not allowed",
            place + 1
        ))
        .detail("Visible ASCII characters, spaces and tabs are allowed.")
        .hint("Encode other text, for instance by percent-encoding."));
    }
    if value.trim_matches([' ', '\t']).len() != value.len() {
        return Err(wrong("begins or ends with white space".to_owned())
            .detail("White space around a value is not part of it in HTTP.")
            .hint("Remove it; it is often pasted by accident."));
    }
    Ok(value.clone())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;
    use crate::arbitrary::Source;
    use serde_json::{Map, json};

    fn refused(value: &Value) -> Problem {
        parse(value, "option headers").unwrap_err()
    }

    #[test]
    fn names_are_lower_cased_and_values_kept() {
        let object = json!({"Authorization": "Bearer a b", "x-empty": "", "X-Tab": "a\tb~!"});
        let mut headers = parse(&object, "option headers").unwrap();
        headers.sort();
        let expected = [
            ("authorization", "Bearer a b"),
            ("x-empty", ""),
            ("x-tab", "a\tb~!"),
        ];
        assert_eq!(headers, expected.map(|(n, v)| (n.to_owned(), v.to_owned())));
        assert_eq!(parse(&json!({}), "option headers"), Ok(Vec::new()));
    }

    #[test]
    fn only_an_object_of_strings_will_do() {
        for value in [json!(null), json!("a: b"), json!([]), json!(1), json!(true)] {
            assert!(refused(&value).message.starts_with("option headers is "));
        }
        for value in [json!(null), json!(1), json!(["a"]), json!({}), json!(false)] {
            let message = refused(&json!({"x-a": value})).message;
            assert!(message.contains("\"x-a\""), "{message}");
        }
    }

    #[test]
    fn framing_and_reserved_headers_are_refused_in_any_case() {
        for name in FRAMING.iter().chain(RESERVED) {
            for name in [name.to_string(), name.to_uppercase()] {
                let problem = refused(&json!({ name.clone(): "hush" }));
                assert!(problem.message.contains(&name.to_lowercase()), "{name}");
            }
        }
        assert!(parse(&json!({"content-type": "a/b", "user-agent": "x"}), "h").is_ok());
    }

    #[test]
    fn names_must_be_tokens() {
        for name in ["", "a b", "a:", "a\n", "é", "a\0", "(a)", "a/b", "\"", "a=b"] {
            assert!(parse(&json!({ name: "v" }), "h").is_err(), "{name:?}");
        }
        let problem = refused(&json!({"Authorization: Bearer hush": ""}));
        assert!(!format!("{problem:?}").contains("hush"));
        assert_eq!(
            problem.message,
            "character 14 of the header name beginning with \"Authorization\" \
             in option headers is not allowed"
        );
        assert!(
            refused(&json!({"X-A": "1", "x-a": "2"}))
                .message
                .contains("twice")
        );
    }

    #[test]
    fn no_text_repeats_a_value() {
        let long = "hush".repeat(3000);
        for value in [
            "hush\r\nx-evil: 1",
            "hush\n",
            "\rhush",
            "hush\0",
            "hush\u{1}",
            "hush\u{7f}",
            "hüsh hush",
            " hush",
            "hush ",
            "\thush",
            "hush\u{a0}",
            &long,
        ] {
            let problem = refused(&json!({"x-key": value}));
            assert!(problem.message.contains("\"x-key\""));
            assert!(!format!("{problem:?}").contains("hush"), "{problem:?}");
        }
        let position = refused(&json!({"x-key": "héy"})).message;
        assert!(position.contains("position 2"), "{position}");
    }

    #[test]
    fn the_limits_are_inclusive() {
        let object = |count: usize| {
            let entries = (0..count).map(|n| (format!("x-{n}"), json!("v")));
            Value::Object(entries.collect::<Map<_, _>>())
        };
        assert_eq!(parse(&object(64), "h").unwrap().len(), 64);
        assert!(parse(&object(65), "h").is_err());
        assert!(parse(&json!({ "n".repeat(256): "v" }), "h").is_ok());
        assert!(parse(&json!({ "n".repeat(257): "v" }), "h").is_err());
        assert!(parse(&json!({ "n": "v".repeat(8192) }), "h").is_ok());
        assert!(parse(&json!({ "n": "v".repeat(8193) }), "h").is_err());
    }

    #[test]
    fn whatever_is_accepted_is_safe_to_send() {
        let mut source = Source::new(4);
        let pieces = ["x-", "Host", ": ", "\r\n", "\t", "webhook-id", "é", "v", " "];
        for _ in 0..30_000 {
            let (name, value) = (source.text(&pieces), source.text(&pieces));
            let Ok(headers) = parse(&json!({ name: value }), "h") else {
                continue;
            };
            for (name, value) in headers {
                assert!(!name.is_empty() && name.chars().all(is_token));
                assert!(!FRAMING.contains(&name.as_str()) && !RESERVED.contains(&name.as_str()));
                assert!(value.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~')));
            }
        }
    }
}
