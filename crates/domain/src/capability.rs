//! What a role may be granted with `tms_grant`.

use crate::nearest::unknown_name;
use crate::problem::Problem;

/// A bundle of rights on the functions and tables of tms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Capability {
    /// Puts events into the outbox.
    Producer,
    /// Takes events of pull targets.
    Consumer,
    /// Submits, claims and completes tasks under policy.
    Agent,
    /// Confirms or refuses tasks that wait for a person.
    Approver,
    /// Sets targets and policies, pauses, replays and discards.
    Operator,
    /// Reads everything but secrets.
    Auditor,
    /// Has tokens made that stand for values: who can, can try values against them.
    Pseudonymizer,
}

impl Capability {
    /// Every capability, in the order of the documentation.
    pub const ALL: [Self; 7] = [
        Self::Producer,
        Self::Consumer,
        Self::Agent,
        Self::Approver,
        Self::Operator,
        Self::Auditor,
        Self::Pseudonymizer,
    ];

    /// The name in SQL.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Producer => "producer",
            Self::Consumer => "consumer",
            Self::Agent => "agent",
            Self::Approver => "approver",
            Self::Operator => "operator",
            Self::Auditor => "auditor",
            Self::Pseudonymizer => "pseudonymizer",
        }
    }

    /// Reads a name as it is written in SQL.
    ///
    /// # Errors
    /// An unknown name; DETAIL lists the valid ones, HINT has the nearest.
    pub fn parse(name: &str) -> Result<Self, Problem> {
        Self::ALL
            .into_iter()
            .find(|capability| capability.as_str() == name)
            .ok_or_else(|| unknown_name("capability", name, &Self::ALL.map(Self::as_str)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    #[test]
    fn every_capability_is_read_by_its_name() {
        for capability in Capability::ALL {
            assert_eq!(Capability::parse(capability.as_str()), Ok(capability));
        }
    }

    #[test]
    fn an_unknown_capability_is_refused_with_the_nearest() {
        for (wrong, nearest) in [
            ("producers", Some("producer")),
            ("Producer", Some("producer")),
            ("aproover", Some("approver")),
            ("superuser", None),
            ("", None),
        ] {
            let problem = Capability::parse(wrong).unwrap_err();
            let hint = nearest.map(|name| format!("Did you mean \"{name}\"?"));
            assert_eq!(problem.hint, hint, "{wrong}");
            assert!(problem.detail.unwrap().contains("auditor"));
        }
    }
}
