//! From a target as it is stored to what is needed to send to it.

use std::time::Duration;

use tms_delivery::{Scheme, TargetSpec};
use tms_domain::endpoint;
use tms_domain::redact::jsonb::Redactor;
use tms_domain::signature::Key;
use tms_domain::target::{self, Delivery, HttpOptions, Profile, TargetOptions, Transport};

use crate::store::targets::{Secrets, Target};

/// What is needed to send to a target.
pub(crate) struct Route {
    pub(crate) options: TargetOptions,
    /// What it is not to be told.
    pub(crate) redactor: Option<Redactor>,
    /// For the HTTP engine; `None` where the database itself is the way.
    pub(crate) spec: Option<TargetSpec>,
    /// What a receiver's answer may repeat and nobody is to read: the URL behind the host, and the values of headers.
    pub(crate) secrets: Vec<String>,
    /// When the first of its signing keys ends, in Unix seconds.
    pub(crate) key_ends: Option<i64>,
    /// It leads where the platform no longer allows: the target has another host now.
    pub(crate) is_astray: bool,
}

/// Reads a stored target; `base` is the target itself when `stored` is a company's own version of it.
pub(crate) fn of(stored: &Target, base: Option<&Target>, unix_now: i64) -> Option<Route> {
    let is_astray = base.is_some_and(|base| leads_elsewhere(&stored.secrets, &base.secrets));
    let secrets = match base {
        None => stored.secrets.clone(),
        // The platform's headers must not go where the platform does not send them.
        Some(base) if is_astray => base.secrets.clone(),
        Some(base) => over(&stored.secrets, &base.secrets),
    };
    let whole = target::merge(&stored.options, secrets.url.as_deref(), secrets.headers.as_ref());
    let transport = Transport::parse(&stored.transport).ok()?;
    let options = target::parse(&stored.name, transport, &whole).ok()?;
    let redactor = match &options.redaction {
        None => None,
        // A target whose rules cannot be read is sent nothing.
        Some(redaction) => Some(Redactor::new(&redaction.rules).ok()?),
    };
    let Delivery::Http(http) = &options.delivery else {
        return Some(Route {
            options,
            redactor,
            spec: None,
            secrets: Vec::new(),
            key_ends: None,
            is_astray: false,
        });
    };
    let living = secrets
        .keys
        .iter()
        .filter(|key| key.until.is_none_or(|until| until > unix_now));
    let keys = living.filter_map(|key| Key::parse(&key.text).ok()).collect();
    let spec = spec_of(http, if http.signing { keys } else { Vec::new() })?;
    Some(Route {
        secrets: hidden(http, &spec, &secrets),
        spec: Some(spec),
        key_ends: secrets
            .keys
            .iter()
            .filter_map(|key| key.until)
            .filter(|until| *until > unix_now)
            .min(),
        is_astray,
        redactor,
        options,
    })
}

/// Whether a company's own URL is not at the target's scheme, host and port, as it was when it was set.
fn leads_elsewhere(own: &Secrets, base: &Secrets) -> bool {
    let place = |url: &Option<String>| {
        let endpoint = endpoint::parse(url.as_deref()?).ok()?;
        Some((endpoint.scheme, endpoint.host, endpoint.port))
    };
    own.url.is_some() && place(&own.url) != place(&base.url)
}

/// What a company has of its own, and the rest from the target.
fn over(own: &Secrets, base: &Secrets) -> Secrets {
    Secrets {
        url: own.url.clone().or_else(|| base.url.clone()),
        headers: own.headers.clone().or_else(|| base.headers.clone()),
        keys: if own.keys.is_empty() {
            base.keys.clone()
        } else {
            own.keys.clone()
        },
    }
}

fn hidden(http: &HttpOptions, spec: &TargetSpec, secrets: &Secrets) -> Vec<String> {
    let values = http.headers.iter().flat_map(|(_, value)| {
        // "Bearer TOKEN": the answer may repeat the token alone.
        std::iter::once(value.as_str()).chain(value.split_whitespace().skip(1))
    });
    let mut hidden = tms_domain::mask::parts_of(&spec.path_and_query);
    hidden.extend(values.map(str::to_owned));
    for key in &secrets.keys {
        hidden.push(key.text.clone());
        // The bytes alone say as much as with the prefix.
        hidden.extend(key.text.strip_prefix("whsec_").map(str::to_owned));
    }
    hidden
}

fn spec_of(http: &HttpOptions, signing_keys: Vec<Key>) -> Option<TargetSpec> {
    let mut headers = vec![
        ("content-type".to_owned(), "application/json".to_owned()),
        ("user-agent".to_owned(), format!("tms/{}", crate::VERSION)),
    ];
    for (name, value) in &http.headers {
        headers.retain(|(known, _)| known != name);
        headers.push((name.clone(), value.clone()));
    }
    let endpoint = endpoint::parse(&http.url).ok()?;
    Some(TargetSpec {
        scheme: match endpoint.scheme {
            endpoint::Scheme::Http => Scheme::Http,
            endpoint::Scheme::Https => Scheme::Https,
        },
        host: endpoint.host,
        port: endpoint.port,
        authority: endpoint.authority,
        path_and_query: endpoint.path_and_query,
        method: http.method.clone(),
        headers,
        timeout: Duration::from_millis(http.timeout_ms),
        max_concurrency: usize::try_from(http.max_concurrency).unwrap_or(1),
        allow_private_network: http.allow_private_network,
        signing_keys,
        keeps_success: http.profile == Profile::Slack,
        gzip_from: http.gzip_from_bytes.and_then(|bytes| usize::try_from(bytes).ok()),
    })
}
