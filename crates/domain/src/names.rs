//! Which names users may give to targets, event types and keys.
//!
//! They end up in indexes, log lines, HTTP headers and metric labels, hence the narrow alphabets.

use crate::problem::Problem;
use crate::shown::quoted;

const TARGET_NAME_LIMIT: usize = 63;
const EVENT_TYPE_LIMIT: usize = 255;
/// Far below the 2,700 bytes that fit into an index entry.
const KEY_LIMIT: usize = 512;

/// Checks the name of a target: 1 to 63 characters of a-z, 0-9, `_`, `.` and `-`, beginning with a letter or digit.
///
/// # Errors
/// Names the value and the first character that does not belong.
pub fn check_target_name(name: &str) -> Result<(), Problem> {
    let expected = "A target name has 1 to 63 characters of a-z, 0-9, \"_\", \".\" and \"-\" \
                    and begins with a letter or a digit.";
    check_length("target name", name, TARGET_NAME_LIMIT).map_err(|p| p.detail(expected))?;
    let wrong = name.char_indices().find(|(place, letter)| {
        let inner = *place > 0 && matches!(letter, '_' | '.' | '-');
        !(letter.is_ascii_lowercase() || letter.is_ascii_digit() || inner)
    });
    match wrong {
        None => Ok(()),
        // Everything before the first wrong character is ASCII, so its byte offset counts characters.
        Some((place, _)) => Err(misplaced("target name", name, place).detail(expected)),
    }
}

/// Checks the type of an event: 1 to 255 visible ASCII characters, no spaces.
///
/// # Errors
/// Names the value and the first character that does not belong.
pub fn check_event_type(event_type: &str) -> Result<(), Problem> {
    let expected = "An event type has 1 to 255 visible ASCII characters without spaces, \
                    such as \"load.assigned\".";
    check_length("event type", event_type, EVENT_TYPE_LIMIT).map_err(|p| p.detail(expected))?;
    match event_type.find(|letter: char| !letter.is_ascii_graphic()) {
        None => Ok(()),
        Some(place) => Err(misplaced("event type", event_type, place).detail(expected)),
    }
}

/// Checks an idempotency or ordering key: 1 to 512 bytes, no control characters. `what` names it in the texts.
///
/// # Errors
/// Names the place of the first control character. The key itself is not repeated: producers build keys from
/// business data.
pub fn check_key(key: &str, what: &str) -> Result<(), Problem> {
    let expected = format!("Expected 1 to {KEY_LIMIT} bytes without control characters.");
    if key.is_empty() {
        return Err(Problem::new(format!("the {what} is empty"))
            .detail(expected)
            .hint("Use NULL for no key."));
    }
    if key.len() > KEY_LIMIT {
        let message = format!("the {what} is {} bytes long", key.len());
        return Err(Problem::new(message)
            .detail(expected)
            .hint("Use a digest of the long value as the key."));
    }
    match key.chars().position(char::is_control) {
        None => Ok(()),
        Some(place) => {
            let message = format!("character {} of the {what} is a control character", place + 1);
            Err(Problem::new(message).detail(expected))
        }
    }
}

fn check_length(what: &str, value: &str, limit: usize) -> Result<(), Problem> {
    if value.is_empty() {
        return Err(Problem::new(format!("the {what} is empty")));
    }
    let length = value.chars().count();
    if length > limit {
        let message = format!("the {what} {} is {length} characters long", quoted(value));
        return Err(Problem::new(message));
    }
    Ok(())
}

fn misplaced(what: &str, value: &str, place: usize) -> Problem {
    let position = place + 1;
    Problem::new(format!(
        "character {position} of the {what} {} is not allowed",
        quoted(value)
    ))
}

/// Whether events can be enqueued for this target before anybody has set it: `realtime` needs no setting.
#[must_use]
pub fn is_built_in_target(name: &str) -> bool {
    name == "realtime"
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    #[test]
    fn target_names() {
        let longest = "a".repeat(63);
        for good in ["n8n", "a", "9", "slack.ops", "billing-eu_1", &longest] {
            assert_eq!(check_target_name(good), Ok(()), "{good}");
        }
        let too_long = "a".repeat(64);
        for bad in [
            "", "-a", ".a", "_a", "N8N", "a b", "a/b", "ä", "aä", "a\n", "a\0", &too_long,
        ] {
            let problem = check_target_name(bad).unwrap_err();
            assert!(problem.detail.is_some(), "{bad:?}");
            assert!(!problem.message.contains(['\n', '\0']), "{bad:?}");
        }
        let problem = check_target_name("my target").unwrap_err();
        assert_eq!(
            problem.message,
            "character 3 of the target name \"my target\" is not allowed"
        );
    }

    #[test]
    fn event_types() {
        let longest = "x".repeat(255);
        for good in ["load.assigned", "A", "a/b:c#1", "!~", &longest] {
            assert_eq!(check_event_type(good), Ok(()), "{good}");
        }
        let too_long = "x".repeat(256);
        for bad in ["", " ", "a b", "a\t", "a\u{7f}", "é", &too_long] {
            assert!(check_event_type(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn keys() {
        let longest = "k".repeat(512);
        let longest_wide = "é".repeat(256);
        for good in ["a", "order 17", "Zürich", " ", &longest, &longest_wide] {
            assert_eq!(check_key(good, "ordering key"), Ok(()), "{good}");
        }
        let too_long = "k".repeat(513);
        let too_wide = "é".repeat(257);
        for bad in ["", "a\0", "a\nb", "\t", "\u{7f}", "\u{85}", &too_long, &too_wide] {
            let problem = check_key(bad, "ordering key").unwrap_err();
            assert!(problem.message.contains("ordering key"), "{bad:?}");
        }
        let problem = check_key("Jane Doe\u{1}", "idempotency key").unwrap_err();
        assert!(!format!("{problem:?}").contains("Jane"));
        assert!(problem.message.starts_with("character 9"));
    }
}
