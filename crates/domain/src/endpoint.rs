//! Reading the URL of a target into what a connection and a request need.
//!
//! A URL's path or query may be the secret (Slack's is): no text in here repeats them, nor credentials; scheme and
//! host are fine. The checks before the parser refuse what it would silently repair, since an address that reads
//! differently from what is dialled is how requests get smuggled to places nobody meant.

use std::fmt;
use std::net::IpAddr;

use url::{Host, Url};

use crate::problem::Problem;
use crate::shown::quoted;

const LENGTH_LIMIT: usize = 2048;
/// The longest name the DNS can hold, and the longest label (RFC 1035, section 2.3.4), without a final dot.
const DOMAIN_LIMIT: usize = 253;
const LABEL_LIMIT: usize = 63;
/// The longest scheme that is repeated in a message; real ones are shorter.
const SCHEME_SHOWN: usize = 16;

/// With or without TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

impl Scheme {
    /// The name as it is written in a URL.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port that a URL without one means.
    #[must_use]
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// Where a target's requests go.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// With or without TLS.
    pub scheme: Scheme,
    /// The host as the resolver and TLS want it: lower case, international names in their ASCII form, numeric
    /// IPv4 in its usual form, IPv6 without brackets.
    pub host: String,
    /// The port to connect to.
    pub port: u16,
    /// The Host header: host, IPv6 in brackets, and the port unless it is the scheme's default.
    pub authority: String,
    /// What the request line asks for; begins with a slash. May be a secret.
    pub path_and_query: String,
}

/// Leaves out the path and query, which may be a secret.
impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("scheme", &self.scheme)
            .field("host", &self.host)
            .field("port", &self.port)
            .field("authority", &self.authority)
            .finish_non_exhaustive()
    }
}

/// Reads the URL of an HTTP target.
///
/// # Errors
/// Anything but an absolute http or https URL of at most 2,048 bytes with a host and without credentials, fragment,
/// white space, control characters, backslashes or port 0.
pub fn parse(url: &str) -> Result<Endpoint, Problem> {
    check_text(url)?;
    let scheme = check_scheme(url)?;
    let parsed = Url::parse(url).map_err(|error| {
        // The parser's errors are fixed texts; they hold nothing of the URL.
        Problem::new(format!("the URL is not valid: {error}")).detail(EXPECTED)
    })?;
    let Some(host) = parsed.host() else {
        return Err(no_host());
    };
    let host_text = host.to_string();
    if let Host::Domain(domain) = host {
        check_domain(domain)?;
    }
    let authority = match parsed.port() {
        Some(0) => return Err(Problem::new("the URL has port 0").detail(EXPECTED)),
        Some(port) => format!("{host_text}:{port}"),
        None => host_text.clone(),
    };
    let mut path_and_query = parsed.path().to_owned();
    if let Some(query) = parsed.query() {
        path_and_query.push('?');
        path_and_query.push_str(query);
    }
    Ok(Endpoint {
        scheme,
        host: host_text.trim_matches(['[', ']']).to_owned(),
        port: parsed.port().unwrap_or(scheme.default_port()),
        authority,
        path_and_query,
    })
}

/// The address, if the host of an [`Endpoint`] is written as one and needs no name server.
#[must_use]
pub fn literal_address(host: &str) -> Option<IpAddr> {
    host.parse().ok()
}

const EXPECTED: &str = "Expected a URL such as https://host.example:8443/path?query.";

fn no_host() -> Problem {
    Problem::new("the URL has no host").detail(EXPECTED)
}

fn check_text(url: &str) -> Result<(), Problem> {
    if url.is_empty() {
        return Err(Problem::new("the URL is empty").detail(EXPECTED));
    }
    if url.len() > LENGTH_LIMIT {
        return Err(Problem::new(format!("the URL is {} bytes long", url.len()))
            .detail(format!("At most {LENGTH_LIMIT} bytes are allowed.")));
    }
    // The parser would drop or rewrite these.
    let rewritten = |letter: char| letter.is_whitespace() || letter.is_control() || letter == '\\';
    if let Some(place) = url.chars().position(rewritten) {
        let message = format!(
            "character {} of the URL is white space, a control character or a backslash",
            place + 1
        );
        return Err(Problem::new(message)
            .detail("None of these can be part of a URL.")
            .hint("Percent-encode it, or remove it if it was pasted by accident."));
    }
    if url.contains('#') {
        return Err(Problem::new("the URL has a fragment")
            .detail("What follows \"#\" is never sent to a server.")
            .hint("Remove it, or write %23 if the character is part of the path or query."));
    }
    Ok(())
}

fn check_scheme(url: &str) -> Result<Scheme, Problem> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err(Problem::new("the URL does not begin with http:// or https://").detail(EXPECTED));
    };
    let known = match scheme.to_ascii_lowercase().as_str() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => return Err(unknown_scheme(other)),
    };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    if authority.is_empty() {
        return Err(no_host());
    }
    if authority.contains('@') {
        return Err(Problem::new("the URL holds credentials")
            .detail("A URL of a target has no user name or password.")
            .hint("Put credentials into the option headers, for instance as \"authorization\"."));
    }
    Ok(known)
}

fn unknown_scheme(scheme: &str) -> Problem {
    let is_scheme = scheme.len() <= SCHEME_SHOWN
        && scheme.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    // What does not look like a scheme is some other part of the URL, which must not be repeated.
    let message = if is_scheme {
        format!("the URL has the scheme {}", quoted(scheme))
    } else {
        "the URL does not begin with http:// or https://".to_owned()
    };
    Problem::new(message).detail("Only http and https are supported.")
}

/// The parser lets through names that no name server could ever answer for; say so now, not at the first attempt.
fn check_domain(domain: &str) -> Result<(), Problem> {
    let name = domain.strip_suffix('.').unwrap_or(domain);
    let good_label = |label: &str| {
        (1..=LABEL_LIMIT).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    if name.len() <= DOMAIN_LIMIT && name.split('.').all(good_label) {
        return Ok(());
    }
    Err(
        Problem::new(format!("the URL's host {} is not a valid name", quoted(domain))).detail(
            "A host has at most 253 characters in parts of 1 to 63 letters, digits, \"-\" and \"_\", \
             separated by dots.",
        ),
    )
}

#[cfg(test)]
mod tests;
