//! The ways an event can leave the outbox.

use crate::nearest::unknown_name;
use crate::problem::Problem;

/// How a target's events are delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// An HTTP request per event.
    Http,
    /// A Slack incoming webhook.
    Slack,
    /// A broadcast of Supabase Realtime, written by the dispatcher's transaction.
    Realtime,
    /// NOTIFY, in the dispatcher's transaction.
    Notify,
    /// Consumers claim and acknowledge events themselves.
    Pull,
}

impl Transport {
    /// Every transport, in the order of the documentation.
    pub const ALL: [Self; 5] = [Self::Http, Self::Slack, Self::Realtime, Self::Notify, Self::Pull];

    /// The name in SQL.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Slack => "slack",
            Self::Realtime => "realtime",
            Self::Notify => "notify",
            Self::Pull => "pull",
        }
    }

    /// Reads a name as it is written in SQL.
    ///
    /// # Errors
    /// An unknown name; DETAIL lists the valid ones, HINT has the nearest.
    pub fn parse(name: &str) -> Result<Self, Problem> {
        Self::ALL
            .into_iter()
            .find(|transport| transport.as_str() == name)
            .ok_or_else(|| unknown_name("transport", name, &Self::ALL.map(Self::as_str)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    #[test]
    fn every_transport_is_read_by_its_name() {
        for transport in Transport::ALL {
            assert_eq!(Transport::parse(transport.as_str()), Ok(transport));
        }
    }

    #[test]
    fn an_unknown_transport_is_refused_with_the_nearest() {
        for (wrong, nearest) in [("https", Some("http")), ("HTTP", Some("http")), ("kafka", None)] {
            let problem = Transport::parse(wrong).unwrap_err();
            let hint = nearest.map(|name| format!("Did you mean \"{name}\"?"));
            assert_eq!(problem.hint, hint, "{wrong}");
            assert!(
                problem
                    .detail
                    .unwrap()
                    .contains("http, slack, realtime, notify, pull")
            );
        }
    }
}
