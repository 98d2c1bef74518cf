//! A company's own version of a target: other credentials for the place that the platform allowed.

use std::fmt;

use serde_json::Value;

use super::fields::Fields;
use super::{HttpOptions, Profile, TargetOptions, allowed, http};
use crate::endpoint::{self, Endpoint};
use crate::problem::Problem;
use crate::shown::kind_of;

/// What a company may have of its own. What is None is the platform's.
#[derive(Clone, PartialEq, Eq)]
pub struct Override {
    /// Another path and query at the same scheme, host and port. May be a secret.
    pub url: Option<String>,
    /// Headers in place of the platform's, names in lower case. May hold secrets.
    pub headers: Option<Vec<(String, String)>>,
    /// The signing secret that was given. A secret.
    pub secret: Option<String>,
}

/// Says what is there, and of the headers the names.
impl fmt::Debug for Override {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.headers.iter().flatten().map(|(name, _)| name.as_str());
        f.debug_struct("Override")
            .field("has_url", &self.url.is_some())
            .field("headers", &names.collect::<Vec<_>>())
            .field("has_secret", &self.secret.is_some())
            .finish()
    }
}

const OPTIONS: &[&str] = &["url", "headers", "secret"];

/// Reads a company's options for the platform's target `base`.
///
/// # Errors
/// A target that sends no requests, an option that is the platform's or that is unknown, a URL with another scheme, host
/// or port than the platform's, a secret for a target that is not signed, and values that [`super::parse`] refuses too.
pub fn parse_override(base: &TargetOptions, options: &Value) -> Result<Override, Problem> {
    let Some(base) = base.http() else {
        return Err(
            Problem::new("a target without URL and credentials has no version for one company")
                .detail("A company can have its own url, headers and secret of an http or slack target."),
        );
    };
    let Value::Object(object) = options else {
        return Err(Problem::new(format!("the options are {}", kind_of(options)))
            .detail("Expected a JSON object such as {\"url\": \"https://host.example/path\"}."));
    };
    let fields = Fields::new(object, "");
    if let Some(name) = object.keys().find(|name| !OPTIONS.contains(&name.as_str())) {
        return Err(if allowed::all().contains(&name.as_str()) {
            platforms(name)
        } else {
            fields.unknown(name, OPTIONS)
        });
    }
    Ok(Override {
        url: url(&fields, &base.endpoint)?,
        headers: http::headers(&fields)?,
        secret: secret(&fields, base)?,
    })
}

fn platforms(name: &str) -> Problem {
    Problem::new(format!(
        "option \"{name}\" is the platform's and cannot be set for one company"
    ))
    .detail("A company's version of a target may have its own url, headers and secret.")
    .hint("Leave it out, or set it for the target as a whole, without a company.")
}

/// The platform decided which place may be called, over which network, with which right to private addresses: a company
/// that could change it would get all of these.
fn url(fields: &Fields<'_>, base: &Endpoint) -> Result<Option<String>, Problem> {
    let Some(url) = fields.secret_text("url")? else {
        return Ok(None);
    };
    let own = endpoint::parse(url)?;
    if (own.scheme, &own.host, own.port) == (base.scheme, &base.host, base.port) {
        return Ok(Some(url.to_owned()));
    }
    let place = |endpoint: &Endpoint| format!("{}://{}", endpoint.scheme.as_str(), endpoint.authority);
    Err(Problem::new(format!(
        "the URL leads to {}, which is not the place of this target",
        place(&own)
    ))
    .detail(format!(
        "Allowed are URLs that begin with {}/; path and query are free.",
        place(base)
    ))
    .hint("Use such a URL, or have the platform set a target for the other place."))
}

fn secret(fields: &Fields<'_>, base: &HttpOptions) -> Result<Option<String>, Problem> {
    let secret = http::secret(fields)?;
    if secret.is_some() && !base.signing {
        let problem = Problem::new("option \"secret\" is given for a target that does not sign");
        return Err(match base.profile {
            Profile::Slack => problem
                .detail("Slack looks at no signature; the URL is the credential.")
                .hint("Leave it out."),
            Profile::Generic | Profile::N8n => problem
                .detail("Whether requests are signed is the platform's to say.")
                .hint("Leave it out, or have the platform set the target with \"signing\": true."),
        });
    }
    Ok(secret)
}
