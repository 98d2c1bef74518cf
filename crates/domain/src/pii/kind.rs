//! The kinds of personal data that are found by value, and sets of them.

use crate::nearest::unknown_name;
use crate::problem::Problem;

/// What a piece of text was recognised as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// An address of RFC 5321, as people write them.
    Email,
    /// A telephone number, international or national.
    Phone,
    /// The number of a payment card.
    PaymentCard,
    /// An international bank account number (ISO 13616).
    Iban,
    /// A social security number of the United States.
    UsSsn,
    /// An IPv4 or IPv6 address.
    Ip,
    /// The hardware address of a network card.
    Mac,
    /// A JSON web token (RFC 7519).
    Jwt,
    /// A private key in PEM, SSH2 or `PuTTY` form.
    PrivateKey,
    /// An API key or access token of a well-known service.
    ApiKey,
}

impl Kind {
    /// Every kind, in the order of the documentation.
    pub const ALL: [Self; 10] = [
        Self::Email,
        Self::Phone,
        Self::PaymentCard,
        Self::Iban,
        Self::UsSsn,
        Self::Ip,
        Self::Mac,
        Self::Jwt,
        Self::PrivateKey,
        Self::ApiKey,
    ];

    /// The name in SQL.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
            Self::PaymentCard => "payment_card",
            Self::Iban => "iban",
            Self::UsSsn => "us_ssn",
            Self::Ip => "ip",
            Self::Mac => "mac",
            Self::Jwt => "jwt",
            Self::PrivateKey => "private_key",
            Self::ApiKey => "api_key",
        }
    }

    /// Reads a name as it is written in SQL.
    ///
    /// # Errors
    /// An unknown name; DETAIL lists the valid ones, HINT has the nearest.
    pub fn parse(name: &str) -> Result<Self, Problem> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == name)
            .ok_or_else(|| unknown_name("kind of personal data", name, &Self::ALL.map(Self::as_str)))
    }
}

/// A set of kinds. Made with [`Kinds::all`] or collected from an iterator of [`Kind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Kinds(u16);

impl Kinds {
    /// Every kind.
    #[must_use]
    pub fn all() -> Self {
        Kind::ALL.into_iter().collect()
    }

    /// Whether the kind is in the set.
    #[must_use]
    pub fn contains(self, kind: Kind) -> bool {
        self.0 & bit(kind) != 0
    }

    /// Whether nothing is in the set.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<Kind> for Kinds {
    fn from_iter<I: IntoIterator<Item = Kind>>(kinds: I) -> Self {
        Self(kinds.into_iter().fold(0, |set, kind| set | bit(kind)))
    }
}

fn bit(kind: Kind) -> u16 {
    1 << kind as u16
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    #[test]
    fn every_kind_is_read_by_its_name() {
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.as_str()), Ok(kind));
        }
    }

    #[test]
    fn an_unknown_kind_is_refused_with_the_nearest() {
        for (wrong, nearest) in [
            ("mail", Some("email")),
            ("payment-card", Some("payment_card")),
            ("SSN", None),
            ("us_snn", Some("us_ssn")),
            ("passport", None),
        ] {
            let problem = Kind::parse(wrong).unwrap_err();
            let hint = nearest.map(|name| format!("Did you mean \"{name}\"?"));
            assert_eq!(problem.hint, hint, "{wrong}");
            assert!(problem.detail.unwrap().contains("email, phone, payment_card"));
        }
    }

    #[test]
    fn a_set_holds_what_was_put_into_it() {
        let two: Kinds = [Kind::Email, Kind::Jwt, Kind::Email].into_iter().collect();
        for kind in Kind::ALL {
            assert!(Kinds::all().contains(kind));
            assert!(!Kinds::default().contains(kind));
            assert_eq!(two.contains(kind), matches!(kind, Kind::Email | Kind::Jwt));
        }
        assert!(Kinds::default().is_empty());
        assert!(!two.is_empty());
    }
}
