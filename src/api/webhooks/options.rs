//! Reading what `tms_webhook_source_set` is given. No text in here repeats a secret, or a value under a misspelt name.

use serde_json::{Map, Value};
use tms_domain::nearest::nearest;
use tms_domain::problem::Problem;
use tms_domain::shown::{kind_of, quoted};
use tms_domain::signature::Key;

const NAME_LIMIT: usize = 63;
const KNOWN: [&str; 4] = ["secret", "secrets", "tolerance_seconds", "dedupe_seconds"];
/// A rotation needs two; each costs the check of every message an HMAC over its body.
const MOST_SECRETS: usize = 8;
/// What the reference libraries of Standard Webhooks take.
const DEFAULT_TOLERANCE: i32 = 300;
const DAY: i32 = 86_400;
const MOST_DEDUPE: i32 = 30 * DAY;

/// The options of a source, checked and with their defaults.
pub(super) struct Options {
    /// `None`: those it has stay.
    pub(super) keys: Option<Vec<Key>>,
    pub(super) tolerance_seconds: i32,
    pub(super) dedupe_seconds: i32,
}

impl Options {
    pub(super) fn parse(options: &Value) -> Result<Self, Problem> {
        let Value::Object(options) = options else {
            let message = format!("the options are {}", kind_of(options));
            return Err(
                Problem::new(message).detail("Expected a JSON object such as {\"secret\": \"whsec_...\"}.")
            );
        };
        check_names(options)?;
        let tolerance = seconds(options, "tolerance_seconds", 1, DAY)?.unwrap_or(DEFAULT_TOLERANCE);
        let dedupe = seconds(options, "dedupe_seconds", 1, MOST_DEDUPE)?;
        Ok(Self {
            keys: keys(options)?,
            tolerance_seconds: tolerance,
            dedupe_seconds: window(dedupe, tolerance)?,
        })
    }
}

/// A message is acceptable from `tolerance` before its timestamp until `tolerance` after it.
fn window(asked: Option<i32>, tolerance: i32) -> Result<i32, Problem> {
    let least = 2 * tolerance;
    match asked {
        None => Ok(least.max(DAY)),
        Some(asked) if asked >= least => Ok(asked),
        Some(asked) => Err(Problem::new(format!("option \"dedupe_seconds\" is {asked}"))
            .detail(format!(
                "With a tolerance of {tolerance} s a message can be accepted for {least} s, and its id must be known for as long."
            ))
            .hint(format!("Use {least} or more, or a smaller tolerance_seconds."))),
    }
}

fn check_names(options: &Map<String, Value>) -> Result<(), Problem> {
    let Some(wrong) = options.keys().find(|name| !KNOWN.contains(&name.as_str())) else {
        return Ok(());
    };
    let problem = Problem::new(format!("unknown option {}", quoted(wrong)))
        .detail(format!("Known options are {}.", KNOWN.join(", ")));
    Err(match nearest(wrong, &KNOWN) {
        Some(name) => problem.hint(format!("Did you mean \"{name}\"?")),
        None => problem,
    })
}

fn seconds(options: &Map<String, Value>, name: &str, low: i32, high: i32) -> Result<Option<i32>, Problem> {
    let Some(value) = options.get(name) else {
        return Ok(None);
    };
    let number = value.as_i64().and_then(|number| i32::try_from(number).ok());
    match number {
        Some(number) if (low..=high).contains(&number) => Ok(Some(number)),
        _ => {
            let shown = match value {
                Value::Number(number) => number.to_string(),
                other => kind_of(other).to_owned(),
            };
            Err(
                Problem::new(format!("option \"{name}\" is {shown}")).detail(format!(
                    "Expected a whole number of seconds from {low} to {high}."
                )),
            )
        }
    }
}

fn keys(options: &Map<String, Value>) -> Result<Option<Vec<Key>>, Problem> {
    match (options.get("secret"), options.get("secrets")) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(
            Problem::new("options \"secret\" and \"secrets\" exclude each other")
                .detail(
                    "secret is one secret; secrets is an array of those that are accepted during a rotation.",
                )
                .hint("Put all of them into secrets."),
        ),
        (Some(one), None) => Ok(Some(vec![key(one, "secret")?])),
        (None, Some(Value::Array(several))) if (1..=MOST_SECRETS).contains(&several.len()) => several
            .iter()
            .enumerate()
            .map(|(place, one)| key(one, &format!("secrets[{place}]")))
            .collect::<Result<_, _>>()
            .map(Some),
        (None, Some(other)) => {
            let shown = match other {
                Value::Array(several) => format!("an array of {}", several.len()),
                other => kind_of(other).to_owned(),
            };
            Err(
                Problem::new(format!("option \"secrets\" is {shown}")).detail(format!(
                    "Expected an array of 1 to {MOST_SECRETS} strings \"whsec_...\"."
                )),
            )
        }
    }
}

fn key(value: &Value, option: &str) -> Result<Key, Problem> {
    let Value::String(text) = value else {
        let message = format!("option \"{option}\" is {}", kind_of(value));
        return Err(Problem::new(message).detail("Expected a string \"whsec_...\"."));
    };
    Key::parse(text).map_err(|problem| Problem {
        message: format!("option \"{option}\": {}", problem.message),
        // The parser's own advice is for secrets of ours.
        hint: Some("Copy the secret from the settings of the sender.".to_owned()),
        ..problem
    })
}

/// A source that has no secret yet was given none.
pub(super) fn no_secret() -> Problem {
    Problem::new("option \"secret\" is missing")
        .detail("A new source needs the secret that its sender signs with.")
        .hint("Add \"secret\": \"whsec_...\" to the options.")
}

/// 1 to 63 characters of the alphabet that targets' names have, too.
pub(super) fn check_name(name: &str) -> Result<(), Problem> {
    let allowed =
        |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "_.-".contains(letter);
    if (1..=NAME_LIMIT).contains(&name.len()) && name.chars().all(allowed) {
        return Ok(());
    }
    Err(
        Problem::new(format!("{} is not a name for a source", quoted(name))).detail(format!(
            "A name has 1 to {NAME_LIMIT} characters of a-z, 0-9, \"_\", \".\" and \"-\"."
        )),
    )
}
