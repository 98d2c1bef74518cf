//! Takes secrets out of a text that somebody else wrote, such as a receiver's answer, which may repeat the request.

/// What stands where a secret was.
pub const MASK: &str = "[masked]";

/// Shorter values are not looked for: they would hit ordinary words, and are no secrets.
const SHORTEST: usize = 4;
/// How much of a secret at the end of a text that was cut is enough to be taken for it.
const SHORTEST_BEGINNING: usize = 3;

/// The text with each of `secrets` replaced. `was_cut` says that the text may go on: then the beginning of a secret at its end
/// is replaced too.
///
/// Longer secrets are looked for first, so that one which contains another goes as a whole.
#[must_use]
pub fn mask(text: &str, secrets: &[String], was_cut: bool) -> String {
    let mut wanted: Vec<&str> = secrets
        .iter()
        .map(String::as_str)
        .filter(|secret| secret.len() >= SHORTEST)
        .collect();
    wanted.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    let mut whole = text.to_owned();
    if was_cut && let Some(length) = longest_beginning_at_end(&whole, &wanted) {
        whole.truncate(whole.len() - length);
        whole.push_str(MASK);
    }
    wanted
        .iter()
        .fold(whole, |text, secret| text.replace(secret, MASK))
}

fn longest_beginning_at_end(text: &str, secrets: &[&str]) -> Option<usize> {
    secrets
        .iter()
        .flat_map(|secret| {
            (SHORTEST_BEGINNING..secret.len())
                .filter(|length| secret.is_char_boundary(*length) && text.ends_with(&secret[..*length]))
        })
        .max()
}

/// A part of a URL shorter than this is a word like `hook` or `v1`, not a secret.
const SHORTEST_PART: usize = 8;

/// What an answer may repeat of a request's path and query, and nobody is to read: the whole of it, the path alone, and every
/// longer segment and value, as they were sent and decoded. Parts are found whatever the receiver does to the separators.
#[must_use]
pub fn parts_of(path_and_query: &str) -> Vec<String> {
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    let segments = path.split('/');
    let values = query
        .split('&')
        .filter_map(|pair| pair.split_once('=').map(|(_, value)| value).or(Some(pair)));
    let mut parts: Vec<String> = [path_and_query, path]
        .into_iter()
        .filter(|whole| whole.len() > 1)
        .map(str::to_owned)
        .collect();
    for part in segments.chain(values).filter(|part| part.len() >= SHORTEST_PART) {
        parts.push(part.to_owned());
        let decoded = percent_encoding::percent_decode_str(part).decode_utf8_lossy();
        if decoded != part {
            parts.push(decoded.into_owned());
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets() -> Vec<String> {
        ["/services/T0/SECRET", "Bearer abc", "/services", "ok"]
            .map(str::to_owned)
            .to_vec()
    }

    #[test]
    fn every_occurrence_goes_and_the_longest_goes_first() {
        assert_eq!(
            mask(
                "Cannot POST /services/T0/SECRET, /services; Bearer abc ok",
                &secrets(),
                false
            ),
            "Cannot POST [masked], [masked]; [masked] ok"
        );
    }

    #[test]
    fn the_beginning_of_a_secret_goes_where_the_text_was_cut() {
        assert_eq!(
            mask("Cannot POST /services/T0/SEC", &secrets(), true),
            "Cannot POST [masked]"
        );
        assert_eq!(mask("auth: Bearer a", &secrets(), true), "auth: [masked]");
        assert_eq!(mask("auth: Bearer a", &secrets(), false), "auth: Bearer a");
    }

    #[test]
    fn a_text_without_secrets_is_as_it_was() {
        assert_eq!(mask("no such workflow", &secrets(), true), "no such workflow");
        assert_eq!(mask("", &secrets(), true), "");
    }

    #[test]
    fn parts_of_a_path_are_found_whatever_stands_between_them() {
        let parts = parts_of("/services/T0000000/B0000000/sECREt%2Fx?token=abcdefgh&v=1");
        let texts = [
            "Cannot POST /services/T0000000/B0000000/sECREt%2Fx",
            r"no such path: \/services\/T0000000\/B0000000",
            "login?next=%2Fservices%2FT0000000",
            "unknown token abcdefgh",
            "sECREt/x is unknown",
        ];
        for text in texts {
            let masked = mask(text, &parts, false);
            for secret in ["T0000000", "B0000000", "sECREt", "abcdefgh"] {
                assert!(!masked.contains(secret), "{masked}");
            }
        }
        assert!(parts_of("/").is_empty());
    }
}
