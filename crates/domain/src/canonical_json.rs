//! One text for equal JSON, to be digested: RFC 8785, with numbers to their last digit.
//!
//! RFC 8785 knows numbers as doubles. Two that differ in the twentieth digit would have one digest there, and 1e400 none. Here a
//! number keeps its digits and is laid out as the RFC lays out numbers; for every number that is the shortest one of its double,
//! which is what programs write, the text is that of the RFC.

#[cfg(test)]
mod tests;

/// A container that is being read. Its text begins at `start` of the whole.
enum Open {
    Array,
    Object { start: usize, members: Vec<Member> },
}

/// A member of an object, with the place where its text begins.
struct Member {
    key: Vec<u16>,
    start: usize,
}

/// The canonical text of a JSON text that has no key twice in an object and escapes no more than it must, as PostgreSQL writes
/// jsonb. Of a text that is none, something.
#[must_use]
pub fn text(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut open: Vec<Open> = Vec::new();
    let mut rest = json;
    while let Some(letter) = rest.chars().next() {
        let length = match letter {
            '"' => string_length(rest),
            '-' | '0'..='9' => rest.len() - rest.trim_start_matches(is_of_number).len(),
            _ => letter.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        rest = after;
        match letter {
            ' ' | '\n' | '\r' | '\t' => {}
            '{' => {
                open.push(Open::Object {
                    start: out.len(),
                    members: Vec::new(),
                });
                out.push('{');
            }
            '[' => {
                open.push(Open::Array);
                out.push('[');
            }
            '}' | ']' => {
                if let Some(Open::Object { start, members }) = open.pop() {
                    sort(&mut out, start, members);
                }
                out.push(letter);
            }
            '"' => {
                if let Some(Open::Object { members, .. }) = open.last_mut()
                    && out.ends_with(['{', ','])
                    && after.trim_start().starts_with(':')
                {
                    members.push(Member {
                        key: unescaped(token),
                        start: out.len(),
                    });
                }
                out.push_str(token);
            }
            '-' | '0'..='9' => push_number(&mut out, token),
            _ => out.push(letter),
        }
    }
    out
}

fn is_of_number(letter: char) -> bool {
    letter.is_ascii_digit() || matches!(letter, '-' | '+' | '.' | 'e' | 'E')
}

/// Bytes of the string that a text begins with, quotes included.
fn string_length(text: &str) -> usize {
    let mut is_escaped = false;
    for (index, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return index + 1,
            _ => {}
        }
    }
    text.len()
}

/// A key as RFC 8785 compares it.
fn unescaped(token: &str) -> Vec<u16> {
    match serde_json::from_str::<String>(token) {
        Ok(key) => key.encode_utf16().collect(),
        Err(_) => token.encode_utf16().collect(),
    }
}

/// Puts the members of an object in order; its text ends where `out` ends, without the closing brace.
fn sort(out: &mut String, start: usize, mut members: Vec<Member>) {
    if members.is_sorted_by(|one, other| one.key <= other.key) {
        return;
    }
    let ends: Vec<usize> = members.iter().skip(1).map(|next| next.start - 1).collect();
    let text = out.split_off(start);
    let mut ends = ends.into_iter().chain([start + text.len()]);
    let mut spans: Vec<(Vec<u16>, &str)> = members
        .drain(..)
        .filter_map(|member| {
            let end = ends.next()?;
            Some((member.key, text.get(member.start - start..end - start)?))
        })
        .collect();
    spans.sort_by(|one, other| one.0.cmp(&other.0));
    out.push('{');
    for (index, (_, span)) in spans.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        out.push_str(span);
    }
}

/// A number by its digits: the value is 0.DIGITS times ten to the power of `point`.
fn push_number(out: &mut String, token: &str) {
    let (mantissa, exponent) = token.split_once(['e', 'E']).unwrap_or((token, "0"));
    let magnitude = mantissa.trim_start_matches('-');
    let (whole, fraction) = magnitude.split_once('.').unwrap_or((magnitude, ""));
    let all = [whole, fraction].concat();
    let digits = all.trim_start_matches('0');
    let leading = all.len() - digits.len();
    let digits = digits.trim_end_matches('0');
    let Ok(exponent) = exponent.trim_start_matches('+').parse::<i64>() else {
        out.push_str(token);
        return;
    };
    if digits.is_empty() {
        out.push('0');
        return;
    }
    if mantissa.starts_with('-') {
        out.push('-');
    }
    let point = whole.len() as i64 - leading as i64 + exponent;
    lay_out(out, digits, point);
}

/// ECMAScript's layout of a number (ECMA-262, Number::toString).
fn lay_out(out: &mut String, digits: &str, point: i64) {
    let count = digits.len() as i64;
    let zeros = |count: i64| "0".repeat(usize::try_from(count).unwrap_or(0));
    if (count..=21).contains(&point) {
        out.push_str(digits);
        out.push_str(&zeros(point - count));
    } else if (1..=21).contains(&point) {
        let (whole, fraction) = digits.split_at(usize::try_from(point).unwrap_or(0));
        out.push_str(whole);
        out.push('.');
        out.push_str(fraction);
    } else if (-5..=0).contains(&point) {
        out.push_str("0.");
        out.push_str(&zeros(-point));
        out.push_str(digits);
    } else {
        let (first, others) = digits.split_at(1);
        out.push_str(first);
        if !others.is_empty() {
            out.push('.');
            out.push_str(others);
        }
        out.push('e');
        if point > 0 {
            out.push('+');
        }
        out.push_str(&(point - 1).to_string());
    }
}
