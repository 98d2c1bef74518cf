//! API keys and access tokens of services that mark theirs: by prefix, alphabet and length.
//!
//! Keys without a mark of their own look like any other random text and are not looked for; two that are told by the words
//! beside them, Amazon's and Azure's, are in `marked`.

use std::ops::Range;

use super::plain::Plain;

mod forms;
mod marked;

use forms::FORMS;

pub(super) fn scan(plain: &Plain) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let begins = first_letters();
    let mut place = 0;
    let mut within = false;
    while place < plain.len() {
        let byte = plain.at(place);
        let is_begin = !within && begins.get(usize::from(byte)).is_some_and(|is_one| *is_one);
        let end = if is_begin { prefixed(plain, place) } else { None };
        let end = end.or_else(|| if within { None } else { marked::key(plain, place) });
        // A key stands at the beginning of a word; hyphens and underscores join.
        within = is_joined(byte);
        found.extend(end.map(|end| place..end));
        place = end.unwrap_or(place + 1);
    }
    found
}

fn first_letters() -> [bool; 256] {
    let mut letters = [false; 256];
    for form in FORMS {
        if let Some(place) = form
            .begin
            .first()
            .and_then(|byte| letters.get_mut(usize::from(*byte)))
        {
            *place = true;
        }
    }
    letters
}

fn prefixed(plain: &Plain, start: usize) -> Option<usize> {
    FORMS
        .iter()
        .filter(|form| plain.has(start, form.begin))
        .find_map(|form| {
            let body = start + form.begin.len();
            let room = plain.slice(body..body + form.longest + 1);
            let length = room.iter().take_while(|byte| form.letters.has(**byte)).count();
            // A dot ends the sentence rather than the key.
            let text = plain.slice(body..body + length);
            let text = text.strip_suffix(b".").unwrap_or(text);
            let end = body + text.len();
            let is_whole = !is_joined(plain.at(end)) || matches!(plain.at(end), b'-' | b'_');
            let fits = (form.shortest..=form.longest).contains(&text.len()) && is_whole;
            (fits && text.iter().any(u8::is_ascii_digit)).then_some(end)
        })
}

fn is_joined(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::pii::tests::found_by;

    fn found(text: &str) -> Vec<&str> {
        found_by(scan, text)
    }

    /// As many letters of an alphabet as wanted, digits among them.
    pub(in crate::pii) fn body(letters: &str, length: usize) -> String {
        letters.chars().cycle().take(length).collect()
    }

    pub(in crate::pii) fn keys() -> Vec<String> {
        FORMS
            .iter()
            .flat_map(|form| {
                let alphabet = form.letters.sample();
                let prefix = String::from_utf8_lossy(form.begin).into_owned();
                [form.shortest, form.longest.min(form.shortest + 40)]
                    .map(|length| format!("{prefix}{}", body(alphabet, length)))
            })
            .collect()
    }

    #[test]
    fn every_form_is_found_at_its_lengths() {
        for key in keys() {
            for text in [
                key.clone(),
                format!("key={key}, ok"),
                format!("\"{key}\""),
                format!("Bearer {key}\n"),
            ] {
                assert_eq!(found(&text), [key.as_str()], "{text}");
            }
        }
    }

    #[test]
    fn keys_of_more_than_one_part() {
        let (a, b) = (body("Ab3dE_g-", 22), body("xY9z_w-Q", 43));
        let hex = body("0123456789abcdef", 32);
        for key in [
            format!("SG.{a}.{b}"),
            format!("{hex}-us12"),
            format!("110201543:AA{}", body("Hd0q_rZ-", 33)),
            format!(
                "MTk4{}.Cl2FMQ.{}",
                body("NjIyNDgzNDcxOTI1MjQ4", 20),
                body("ZnCjm1XVW7vRze4b_-", 27)
            ),
            format!(
                "hooks.slack.com/services/T0123ABCD/B0123ABCD/{}",
                body("aB3dE6", 24)
            ),
        ] {
            for text in [key.clone(), format!("key={key}, ok"), format!("\"{key}\"")] {
                assert_eq!(found(&text), [key.as_str()], "{text}");
            }
        }
        let secret = body("wJalrXUtnFEMI/K7MDENG+bPx", 40);
        for text in [
            format!("aws_secret_access_key = {secret}"),
            format!("AWS_SECRET_KEY=\"{secret}\""),
        ] {
            assert_eq!(found(&text), [secret.as_str()], "{text}");
        }
        let account = format!("{}==", body("lJzRc1YdHaAA2KCNJJ1tkYwF", 86));
        assert_eq!(found(&format!("AccountKey={account};")), [account.as_str()]);
    }

    #[test]
    fn near_misses() {
        for text in [
            "AKIA",
            "AKIAIOSFODNN7EXAMPL",
            "AKIAIOSFODNN7EXAMPLE1",
            "akiaiosfodnn7example",
            "xAKIAIOSFODNN7EXAMPLE",
            "ghp_short1",
            "ghp_abcdefghijklmnopqrstuvwxyzabcdefghij",
            "sk-learn-is-a-library-of-python",
            "task-abcdefghijklmnopqrstuvwxyz123456",
            "xoxb-",
            "npm_config_registry",
            "SG.1.2",
            "SK1234",
            "AIza",
            "hf_hub_download",
            "sk_live_",
            "whsec_",
            "pypi-",
            "glpat-",
            "d41d8cd98f00b204e9800998ecf8427e",
            "550e8400-e29b-41d4-a716-446655440000",
            "MSCU1234567",
            "12345678:abc",
            "",
            "da39a3ee5e6b4b0d3255bfef95601890afd80709",
            "the sha of aws is key da39a3ee5e6b4b0d3255bfef95601890afd80709",
        ] {
            assert_eq!(found(text), [""; 0], "{text}");
        }
    }
}
