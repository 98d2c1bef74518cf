//! What a target has that is sent HTTP requests: `http` and `slack`.

use std::fmt;

use serde_json::{Map, Value, json};

use super::fields::{self, Fields};
use crate::endpoint::{self, Endpoint};
use crate::envelope::Envelope;
use crate::headers;
use crate::problem::Problem;
use crate::signature::Key;

/// Events have a body, so the methods are those that have one.
const METHODS: &[&str] = &["POST", "PUT", "PATCH"];
/// Slack's webhooks take nothing else.
const SLACK_METHODS: &[&str] = &["POST"];
const DEFAULT_METHOD: &str = "POST";

/// The lower end of what Standard Webhooks advises (15 to 30 s).
const DEFAULT_TIMEOUT_MS: u64 = 15_000;
/// Measured on loopback: more in flight brought no more throughput.
const DEFAULT_MAX_CONCURRENCY: u64 = 32;
/// Below this, compressing costs more than the bytes it saves.
const DEFAULT_GZIP_FROM: u64 = 8_192;
/// The longest value PostgreSQL can hold.
const GZIP_FROM_LIMIT: u64 = 1 << 30;

/// Whose answers a target gives, and whose messages it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Profile {
    /// Any HTTP receiver.
    #[default]
    Generic,
    /// A webhook of n8n, which answers 404 while its workflow is inactive.
    N8n,
    /// An incoming webhook of Slack, which takes messages of its own form.
    Slack,
}

/// The options of an HTTP or Slack target, checked and with their defaults.
#[derive(Clone, PartialEq)]
pub struct HttpOptions {
    /// Where requests go, taken apart.
    pub endpoint: Endpoint,
    /// Where requests go, as written. May be a secret.
    pub url: String,
    /// POST, PUT or PATCH.
    pub method: String,
    /// Extra headers, names in lower case. May hold secrets.
    pub headers: Vec<(String, String)>,
    /// The time of one attempt, in milliseconds: 100 to 300,000.
    pub timeout_ms: u64,
    /// How many requests may be in flight at once: 1 to 1,000.
    pub max_concurrency: u32,
    /// Whether loopback, private and link-local addresses may be dialled.
    pub allow_private_network: bool,
    /// What the body is made of; of no meaning for Slack.
    pub envelope: Envelope,
    /// Whether requests are signed as Standard Webhooks has it. On by default where a secret is given.
    pub signing: bool,
    /// The signing secret that was given, in a form that [`Key::parse`] reads. A secret.
    pub secret: Option<String>,
    /// Bodies of at least so many bytes are compressed.
    pub gzip_from_bytes: Option<u64>,
    /// Whose answers it gives.
    pub profile: Profile,
}

/// Leaves out the URL, the headers' values and the signing secret.
impl fmt::Debug for HttpOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("HttpOptions")
            .field("endpoint", &self.endpoint)
            .field("method", &self.method)
            .field("headers", &names)
            .field("timeout_ms", &self.timeout_ms)
            .field("max_concurrency", &self.max_concurrency)
            .field("allow_private_network", &self.allow_private_network)
            .field("envelope", &self.envelope)
            .field("signing", &self.signing)
            .field("has_secret", &self.secret.is_some())
            .field("gzip_from_bytes", &self.gzip_from_bytes)
            .field("profile", &self.profile)
            .finish_non_exhaustive()
    }
}

/// Reads the options that `fields` has been checked to hold no others than.
pub(super) fn read(fields: &Fields<'_>, profile: Profile) -> Result<HttpOptions, Problem> {
    let url = fields.secret_text("url")?.ok_or_else(|| {
        Problem::new("option \"url\" is missing")
            .detail("The target needs to know where to send its requests.")
            .hint("Add \"url\": \"https://...\" to the options.")
    })?;
    let methods = if profile == Profile::Slack {
        SLACK_METHODS
    } else {
        METHODS
    };
    let secret = secret(fields)?;
    Ok(HttpOptions {
        endpoint: endpoint::parse(url)?,
        url: url.to_owned(),
        method: fields
            .one_of("method", methods, |method| method)?
            .unwrap_or(DEFAULT_METHOD)
            .to_owned(),
        headers: headers(fields)?.unwrap_or_default(),
        timeout_ms: fields
            .integer("timeout_ms", 100, 300_000)?
            .unwrap_or(DEFAULT_TIMEOUT_MS),
        max_concurrency: fields
            .integer("max_concurrency", 1, 1_000)?
            .unwrap_or(DEFAULT_MAX_CONCURRENCY) as u32,
        allow_private_network: fields.boolean("allow_private_network")?.unwrap_or(false),
        envelope: fields
            .one_of("envelope", &Envelope::ALL, Envelope::as_str)?
            .unwrap_or_default(),
        signing: signing(fields, secret.is_some())?,
        secret,
        gzip_from_bytes: gzip(fields)?,
        profile,
    })
}

pub(super) fn headers(fields: &Fields<'_>) -> Result<Option<Vec<(String, String)>>, Problem> {
    fields
        .get("headers")
        .map(|value| headers::parse(value, "option \"headers\""))
        .transpose()
}

/// A signing secret, checked to be one.
pub(super) fn secret(fields: &Fields<'_>) -> Result<Option<String>, Problem> {
    let Some(secret) = fields.secret_text("secret")? else {
        return Ok(None);
    };
    Key::parse(secret)?;
    Ok(Some(secret.to_owned()))
}

fn signing(fields: &Fields<'_>, has_secret: bool) -> Result<bool, Problem> {
    match fields.boolean("signing")? {
        None => Ok(has_secret),
        Some(false) if has_secret => Err(
            Problem::new("option \"secret\" is given and \"signing\" is false")
                .detail("A secret is there to sign with.")
                .hint("Leave one of the two out."),
        ),
        Some(signing) => Ok(signing),
    }
}

fn gzip(fields: &Fields<'_>) -> Result<Option<u64>, Problem> {
    match fields.get("gzip") {
        None | Some(Value::Bool(false)) => Ok(None),
        Some(Value::Bool(true)) => Ok(Some(DEFAULT_GZIP_FROM)),
        Some(Value::Number(_)) => fields.integer("gzip", 1, GZIP_FROM_LIMIT),
        Some(other) => Err(fields::wrong_type(
            "gzip",
            other,
            "true, false or the number of bytes from which bodies are compressed",
        )),
    }
}

impl HttpOptions {
    /// What is no secret, in the shape that [`read`] takes.
    pub(super) fn write(&self, into: &mut Map<String, Value>) {
        let mut insert = |name: &str, value| into.insert(name.to_owned(), value);
        insert("method", json!(self.method));
        insert("timeout_ms", json!(self.timeout_ms));
        insert("max_concurrency", json!(self.max_concurrency));
        insert("allow_private_network", json!(self.allow_private_network));
        if self.profile == Profile::Slack {
            return;
        }
        insert("envelope", json!(self.envelope.as_str()));
        insert("signing", json!(self.signing));
        insert(
            "gzip",
            self.gzip_from_bytes.map_or(json!(false), |bytes| json!(bytes)),
        );
    }

    pub(super) fn warnings(&self) -> Vec<Problem> {
        test_url(&self.endpoint).into_iter().collect()
    }
}

/// n8n listens at `/webhook-test/` for two minutes after somebody has pressed a button. No other receiver is known to use
/// this path, so the name of the target does not matter.
fn test_url(endpoint: &Endpoint) -> Option<Problem> {
    let path = endpoint.path_and_query.split('?').next().unwrap_or_default();
    path.contains("/webhook-test/").then(|| {
        Problem::new("the URL is a test URL of n8n")
            .detail(
                "n8n listens at /webhook-test/ for 120 seconds after \"Execute workflow\" was pressed, \
                 and at /webhook/ while the workflow is active.",
            )
            .hint("Use the production URL of the webhook node.")
    })
}
