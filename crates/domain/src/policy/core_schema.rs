//! What a plain scalar stands for: null, a boolean, a number or text (YAML 1.2.2, section 10.3.2, the core schema).
//!
//! `yes`, `on` and `12:30` are text, as in that schema and unlike in YAML 1.1.

/// What a scalar stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Boolean,
    Number,
    Text,
}

/// What a scalar without quotes stands for.
pub(super) fn kind_of_plain(text: &str) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Kind::Null,
        "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => Kind::Boolean,
        _ if is_number(text) => Kind::Number,
        _ => Kind::Text,
    }
}

fn is_number(text: &str) -> bool {
    if let Some(digits) = text.strip_prefix("0x") {
        return is_made_of(digits, |byte| byte.is_ascii_hexdigit());
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return is_made_of(digits, |byte| matches!(byte, b'0'..=b'7'));
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    match unsigned {
        ".inf" | ".Inf" | ".INF" => true,
        ".nan" | ".NaN" | ".NAN" => unsigned.len() == text.len(),
        _ => is_decimal(unsigned),
    }
}

/// Digits with a point somewhere and an exponent behind, no sign.
pub(super) fn is_decimal(text: &str) -> bool {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let has_exponent = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        is_made_of(digits, u8::is_ascii_digit)
    });
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let has_digits = !(whole.is_empty() && fraction.is_empty());
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    has_exponent && has_digits && are_digits(whole) && are_digits(fraction)
}

/// The value of plain digits; None for anything else, also for a leading zero, which YAML 1.1 reads as octal.
pub(super) fn whole_number(text: &str) -> Option<u64> {
    let is_plain = is_made_of(text, u8::is_ascii_digit) && (text == "0" || !text.starts_with('0'));
    if is_plain { text.parse().ok() } else { None }
}

fn is_made_of(text: &str, belongs: impl Fn(&u8) -> bool) -> bool {
    !text.is_empty() && text.bytes().all(|byte| belongs(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_stand_for_what_the_core_schema_says() {
        for (texts, kind) in [
            (&["", "~", "null", "Null", "NULL"][..], Kind::Null),
            (
                &["true", "True", "TRUE", "false", "False", "FALSE"],
                Kind::Boolean,
            ),
            (
                &[
                    "0",
                    "60",
                    "-5",
                    "+5",
                    "007",
                    "0x1F",
                    "0o17",
                    "1.5",
                    ".5",
                    "5.",
                    "1e3",
                    "1E-3",
                    "-.5e+7",
                    ".inf",
                    "-.INF",
                    "+.Inf",
                    ".nan",
                    ".NaN",
                    "123456789012345678901234567890",
                ],
                Kind::Number,
            ),
            (
                &[
                    "yes", "on", "off", "no", "y", "nULL", "tRUE", "warn", "12:30", "1_000", "0x", "0xg",
                    "0o8", "-0x1", "1e", "e3", ".", "-", "+", "1.2.3", "--5", "-.nan", "inf", "nan", "1e3.5",
                    "5%", "$5", "٣", "<<",
                ],
                Kind::Text,
            ),
        ] {
            for text in texts {
                assert_eq!(kind_of_plain(text), kind, "{text}");
            }
        }
    }

    #[test]
    fn whole_numbers_are_plain_digits() {
        for (text, number) in [
            ("0", Some(0)),
            ("60", Some(60)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("060", None),
            ("00", None),
            ("-1", None),
            ("+1", None),
            ("1.0", None),
            ("1e3", None),
            ("", None),
            ("٣", None),
        ] {
            assert_eq!(whole_number(text), number, "{text}");
        }
    }
}
