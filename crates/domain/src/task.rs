//! Tasks of agents: their place in line, and what a person agrees to.

use crate::canonical_json;
use crate::policy::canonical;
use crate::problem::Problem;
use crate::shown::quoted;

/// The least and the greatest priority.
pub const PRIORITIES: std::ops::RangeInclusive<i32> = -100..=100;
/// What a point of priority is worth, in microseconds of waiting.
///
/// Since it is worth time, a task of low priority is overtaken by those of the next minutes, and not for ever.
const POINT_US: i64 = 60_000_000;
/// Longest name of a function, in bytes: a longer one is named by no policy.
const FUNCTION_LIMIT: usize = 255;

/// The place of a task in its agent's line: the one with the least is next.
#[must_use]
pub fn turn(available_at_us: i64, priority: i32) -> i64 {
    available_at_us.saturating_sub(i64::from(priority).saturating_mul(POINT_US))
}

/// Whether a priority may be given to a task.
///
/// # Errors
/// One out of [`PRIORITIES`].
pub fn check_priority(priority: i32) -> Result<(), Problem> {
    if PRIORITIES.contains(&priority) {
        return Ok(());
    }
    Err(Problem::new(format!("priority is {priority}"))
        .detail("Expected a number from -100 to 100.")
        .hint("A point of priority is worth a minute of waiting."))
}

/// Whether a text can be the name of a function.
///
/// # Errors
/// An empty or too long one.
pub fn check_function(name: &str) -> Result<(), Problem> {
    let wrong = |message: String| {
        Problem::new(message)
            .detail("Expected the name of a function in 1 to 255 bytes.")
            .hint("Name it as the agent's policy does, such as \"rates.price_one\".")
    };
    match name.len() {
        0 => Err(wrong("fn_name is empty".to_owned())),
        1..=FUNCTION_LIMIT => Ok(()),
        length => Err(wrong(format!("fn_name {} is {length} bytes long", quoted(name)))),
    }
}

/// SHA-256, in hexadecimal, of what a person agrees to: the agent, the function and the payload in canonical form (RFC 8785).
/// `payload` is JSON.
#[must_use]
pub fn agreed(agent: &str, function: &str, payload: &str) -> String {
    let names = serde_json::Value::from(vec![agent, function]);
    canonical::digest(&canonical_json::text(&format!("[{names},{payload}]")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    const MINUTE: i64 = POINT_US;

    #[test]
    fn a_point_of_priority_is_a_minute() {
        assert_eq!(turn(0, 0), 0);
        assert!(turn(0, 1) < turn(0, 0));
        assert_eq!(turn(5 * MINUTE, 5), turn(0, 0));
        assert!(turn(201 * MINUTE, 100) > turn(0, -100));
        assert_eq!(turn(i64::MIN, 100), i64::MIN);
        assert_eq!(turn(i64::MAX, -100), i64::MAX);
    }

    #[test]
    fn nobody_is_overtaken_for_ever() {
        for mine in PRIORITIES {
            for other in PRIORITIES {
                assert!(turn(7, mine) < turn(7 + 201 * MINUTE, other));
            }
        }
    }

    #[test]
    fn what_is_agreed_to_is_the_same_however_it_is_written() {
        let one = agreed("a", "f", r#"{"x": 1, "y": "b"}"#);
        assert_eq!(one, agreed("a", "f", r#"{"y":"b","x":1.0}"#));
        assert_eq!(one.len(), 64);
        for (agent, function, payload) in [
            ("b", "f", r#"{"x": 1, "y": "b"}"#),
            ("a", "g", r#"{"x": 1, "y": "b"}"#),
            ("a", "f", r#"{"x": 2, "y": "b"}"#),
            ("a\",\"f", "", r#"{"x": 1, "y": "b"}"#),
        ] {
            assert_ne!(one, agreed(agent, function, payload));
        }
    }

    #[test]
    fn numbers_and_names_out_of_range_are_refused() {
        for priority in [-100, 0, 100] {
            assert_eq!(check_priority(priority), Ok(()));
        }
        for priority in [-101, 101, i32::MIN, i32::MAX] {
            let problem = check_priority(priority).unwrap_err();
            assert_eq!(problem.message, format!("priority is {priority}"));
            assert!(problem.detail.is_some() && problem.hint.is_some());
        }
        assert_eq!(check_function("rates.price_one"), Ok(()));
        assert_eq!(check_function("").unwrap_err().message, "fn_name is empty");
        assert!(
            check_function(&"f".repeat(256))
                .unwrap_err()
                .message
                .ends_with("256 bytes long")
        );
    }
}
