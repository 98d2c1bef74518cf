//! Keys of several parts, and keys that only the words beside them give away.

use crate::pii::plain::Plain;

/// How far the name of a secret may be from it.
const REACH: usize = 40;
const SLACK: &[u8] = b"hooks.slack.com/services/";
const AZURE: usize = 88;
const AMAZON: usize = 40;

/// The end of the key that begins at a place.
pub(super) fn key(plain: &Plain, start: usize) -> Option<usize> {
    match plain.at(start) {
        b'S' => send_grid(plain, start),
        b'h' if plain.has(start, SLACK) => slack(plain, start),
        _ => None,
    }
    .or_else(|| mailchimp(plain, start))
    .or_else(|| telegram(plain, start))
    .or_else(|| discord(plain, start))
    .or_else(|| named(plain, start))
}

fn is_url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// Where a part that is `shortest` to `longest` letters long ends.
fn part(
    plain: &Plain,
    start: usize,
    shortest: usize,
    longest: usize,
    accepted: fn(u8) -> bool,
) -> Option<usize> {
    let room = plain.slice(start..start + longest + 1);
    let length = room.iter().take_while(|byte| accepted(**byte)).count();
    (shortest..=longest).contains(&length).then_some(start + length)
}

fn after(plain: &Plain, place: usize, separator: u8) -> Option<usize> {
    (plain.at(place) == separator).then_some(place + 1)
}

fn send_grid(plain: &Plain, start: usize) -> Option<usize> {
    let first = plain.has(start, b"SG.").then_some(start + 3)?;
    let second = after(plain, part(plain, first, 22, 22, is_url)?, b'.')?;
    part(plain, second, 43, 43, is_url)
}

fn slack(plain: &Plain, start: usize) -> Option<usize> {
    let path = start + SLACK.len();
    part(plain, path, 30, 80, |byte| {
        byte.is_ascii_alphanumeric() || byte == b'/'
    })
}

/// 32 hex digits and the data centre.
fn mailchimp(plain: &Plain, start: usize) -> Option<usize> {
    let hex = part(plain, start, 32, 32, |byte| {
        byte.is_ascii_digit() || matches!(byte, b'a'..=b'f')
    })?;
    let centre = plain.has(hex, b"-us").then_some(hex + 3)?;
    let end = part(plain, centre, 1, 2, |byte| byte.is_ascii_digit())?;
    (!is_url(plain.at(end))).then_some(end)
}

/// The number of the bot and 35 letters.
fn telegram(plain: &Plain, start: usize) -> Option<usize> {
    let bot = part(plain, start, 8, 10, |byte| byte.is_ascii_digit())?;
    part(plain, after(plain, bot, b':')?, 35, 35, is_url)
}

/// The base64 of a user's number, a time and a signature.
fn discord(plain: &Plain, start: usize) -> Option<usize> {
    if !matches!(plain.at(start), b'M' | b'N' | b'O') {
        return None;
    }
    let time = after(plain, part(plain, start, 24, 28, is_url)?, b'.')?;
    let signature = after(plain, part(plain, time, 6, 6, is_url)?, b'.')?;
    part(plain, signature, 27, 38, is_url)
}

/// Secrets of Amazon and of Azure's storage: base64 of a fixed length behind their names.
fn named(plain: &Plain, start: usize) -> Option<usize> {
    if !matches!(plain.before(start, 1), b'=' | b':' | b'"' | b'\'' | b' ') {
        return None;
    }
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    let end = part(plain, start, AMAZON, AZURE, is_base64)?;
    let name = plain
        .slice(start.saturating_sub(REACH)..start)
        .to_ascii_lowercase();
    let says = |word: &[u8]| name.windows(word.len()).any(|part| part == word);
    let is_named = match end - start {
        AMAZON => says(b"aws") && (says(b"key") || says(b"secret") || says(b"token")),
        AZURE => says(b"accountkey") || says(b"sharedaccesskey"),
        _ => false,
    };
    let text = plain.slice(start..end);
    // A hash in hex is as long as a secret of Amazon's.
    let is_mixed = text.iter().any(u8::is_ascii_uppercase) && text.iter().any(u8::is_ascii_lowercase);
    (is_named && is_mixed).then_some(end)
}
