//! Options taken apart for storing: what may be shown, and putting the stored secrets back.

use serde_json::{Map, Value, json};

use super::{Delivery, TargetOptions, policies};

impl TargetOptions {
    /// Every effective option that is no secret, defaults included, in the shape that [`super::parse`] takes: all but
    /// url, headers and secret. An option without a value for "none" is left out when it is none.
    #[must_use]
    pub fn public(&self) -> Value {
        let mut options = Map::new();
        match &self.delivery {
            Delivery::Http(http) => {
                http.write(&mut options);
                options.insert(
                    "breaker".to_owned(),
                    policies::write_breaker(self.breaker.as_ref()),
                );
                options.insert("on_ambiguous".to_owned(), json!(self.on_ambiguous.as_str()));
            }
            Delivery::Realtime(realtime) => realtime.write(&mut options),
            Delivery::Notify(notify) => notify.write(&mut options),
            Delivery::Pull => {}
        }
        options.insert("retry".to_owned(), policies::write_retry(&self.retry));
        policies::write_rate(self.rate, &mut options);
        if let Some(redaction) = &self.redaction {
            options.insert("redact_fields".to_owned(), json!(redaction.fields));
        }
        options.insert("on_dead".to_owned(), json!(self.on_dead.as_str()));
        Value::Object(options)
    }
}

/// Puts stored secrets back among the options of [`TargetOptions::public`], so that [`super::parse`] reads the whole.
/// The signing secret is not among them: it is given once, and the keys that are in use are stored apart.
#[must_use]
pub fn merge(public: &Value, url: Option<&str>, headers: Option<&Value>) -> Value {
    let mut whole = public.clone();
    // What is no object is left as it is, for parse to refuse.
    if let Value::Object(options) = &mut whole {
        if let Some(url) = url {
            options.insert("url".to_owned(), json!(url));
        }
        if let Some(headers) = headers {
            options.insert("headers".to_owned(), headers.clone());
        }
    }
    whole
}
