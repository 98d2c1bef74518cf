//! The prefixes, alphabets and lengths that services document for their keys.

/// What the rest of a key is made of.
#[derive(Clone, Copy)]
pub(super) enum Letters {
    /// Capitals and digits.
    Capitals,
    /// Letters and digits.
    Plain,
    /// Letters, digits and underscores.
    Words,
    /// Base64 of URLs.
    Url,
    /// Base64, and its padding.
    Base64,
    /// Hexadecimal in lower case.
    Hex,
    /// Parts of base64 for URLs, between dots.
    Dotted,
}

impl Letters {
    pub(super) fn has(self, byte: u8) -> bool {
        match self {
            Self::Capitals => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            Self::Plain => byte.is_ascii_alphanumeric(),
            Self::Words => byte.is_ascii_alphanumeric() || byte == b'_',
            Self::Url => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'),
            Self::Base64 => byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='),
            Self::Hex => byte.is_ascii_digit() || matches!(byte, b'a'..=b'f'),
            Self::Dotted => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'),
        }
    }

    /// Letters that are all in the alphabet.
    #[cfg(test)]
    pub(super) fn sample(self) -> &'static str {
        match self {
            Self::Capitals => "7EXAMPLE2Q",
            Self::Plain | Self::Words | Self::Url | Self::Base64 | Self::Dotted => "4eC39HqLyjWDarjtT1zdp7dc",
            Self::Hex => "0a1b2c3d4e5f6789",
        }
    }
}

/// How the keys of one service look.
pub(super) struct Form {
    pub(super) begin: &'static [u8],
    pub(super) letters: Letters,
    /// Of what follows the prefix.
    pub(super) shortest: usize,
    pub(super) longest: usize,
}

const fn form(begin: &'static str, letters: Letters, shortest: usize, longest: usize) -> Form {
    Form {
        begin: begin.as_bytes(),
        letters,
        shortest,
        longest,
    }
}

use Letters::{Base64, Capitals, Dotted, Hex, Plain, Url, Words};

/// Longer prefixes before the shorter ones they begin with.
pub(super) const FORMS: &[Form] = &[
    // Amazon: access keys, temporary ones, bearer tokens, context credentials
    form("AKIA", Capitals, 16, 16),
    form("ASIA", Capitals, 16, 16),
    form("ABIA", Capitals, 16, 16),
    form("ACCA", Capitals, 16, 16),
    form("A3T", Capitals, 17, 17),
    // GitHub
    form("ghp_", Plain, 36, 255),
    form("gho_", Plain, 36, 255),
    form("ghu_", Plain, 36, 255),
    form("ghs_", Plain, 36, 255),
    form("ghr_", Plain, 36, 255),
    form("github_pat_", Words, 40, 255),
    // GitLab
    form("glpat-", Dotted, 20, 300),
    form("gldt-", Url, 20, 64),
    form("glrt-", Url, 20, 64),
    form("glft-", Url, 20, 64),
    form("glptt-", Url, 40, 64),
    form("glcbt-", Url, 20, 64),
    form("glsoat-", Url, 20, 64),
    form("glagent-", Url, 50, 64),
    form("GR1348941", Url, 20, 64),
    // Slack
    form("xoxb-", Url, 16, 255),
    form("xoxp-", Url, 16, 255),
    form("xoxa-", Url, 16, 255),
    form("xoxr-", Url, 16, 255),
    form("xoxs-", Url, 16, 255),
    form("xoxo-", Url, 16, 255),
    form("xoxc-", Url, 16, 255),
    form("xoxe-", Url, 16, 255),
    form("xoxe.xox", Url, 16, 255),
    form("xapp-", Url, 16, 255),
    // Stripe, and webhook secrets of the form that Standard Webhooks took over from it
    form("sk_live_", Plain, 16, 255),
    form("rk_live_", Plain, 16, 255),
    form("sk_test_", Plain, 16, 255),
    form("rk_test_", Plain, 16, 255),
    form("whsec_", Base64, 24, 128),
    // Google: API keys, OAuth secrets, access tokens
    form("AIza", Url, 35, 35),
    form("GOCSPX-", Url, 28, 28),
    form("ya29.", Dotted, 20, 2048),
    // Models
    form("sk-ant-", Url, 24, 255),
    form("sk-proj-", Url, 20, 255),
    form("sk-svcacct-", Url, 20, 255),
    form("sk-admin-", Url, 20, 255),
    form("sk-None-", Url, 20, 255),
    form("sk-or-v1-", Hex, 64, 64),
    form("sk-", Plain, 20, 64),
    form("gsk_", Plain, 40, 64),
    form("hf_", Plain, 30, 40),
    form("r8_", Plain, 37, 40),
    form("pplx-", Plain, 40, 64),
    form("xai-", Plain, 60, 100),
    // Packages
    form("npm_", Plain, 36, 36),
    form("pypi-", Url, 50, 1024),
    form("rubygems_", Hex, 48, 48),
    form("cio", Plain, 32, 32),
    // Shops and payments
    form("shpat_", Plain, 32, 32),
    form("shpca_", Plain, 32, 32),
    form("shppa_", Plain, 32, 32),
    form("shpss_", Plain, 32, 32),
    form("sq0atp-", Url, 22, 22),
    form("sq0csp-", Url, 43, 43),
    form("EAAA", Url, 60, 60),
    form("EZAK", Plain, 54, 54),
    form("EZTK", Plain, 54, 54),
    form("shippo_live_", Hex, 40, 40),
    // Messages
    form("AC", Hex, 32, 32),
    form("SK", Hex, 32, 32),
    form("key-", Hex, 32, 32),
    form("xkeysib-", Url, 64, 100),
    // Machines and data
    form("dop_v1_", Hex, 64, 64),
    form("doo_v1_", Hex, 64, 64),
    form("dor_v1_", Hex, 64, 64),
    form("dapi", Hex, 32, 32),
    form("dp.pt.", Plain, 40, 44),
    form("hvs.", Url, 24, 255),
    form("hvb.", Url, 100, 300),
    form("sbp_", Hex, 40, 40),
    form("sb_secret_", Url, 20, 64),
    form("pscale_tkn_", Dotted, 32, 64),
    form("pscale_pw_", Dotted, 32, 64),
    form("glsa_", Words, 40, 42),
    form("glc_", Base64, 32, 400),
    form("NRAK-", Capitals, 27, 27),
    form("lin_api_", Plain, 40, 40),
    form("ntn_", Plain, 40, 50),
    form("secret_", Plain, 43, 43),
    form("ATATT3", Url, 100, 255),
    form("PMAK-", Url, 59, 59),
    form("sntrys_", Base64, 40, 400),
    form("AGE-SECRET-KEY-1", Capitals, 58, 58),
    form("AKC", Plain, 60, 80),
];
