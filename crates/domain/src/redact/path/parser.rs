//! Reading a path, one character after the other, without recursion.

use super::{LENGTH_LIMIT, SEGMENT_LIMIT, Segment, Selector};
use crate::problem::Problem;
use crate::shown::{one_line, quoted};

/// RFC 9535 keeps indexes within what every JSON library counts exactly: -(2^53 - 1) to 2^53 - 1.
const INDEX_LIMIT: u64 = (1 << 53) - 1;
const NAME_EXPECTED: &str = "a name of letters, digits and \"_\" that does not begin with a digit, or \"*\"";

pub(super) fn parse(text: &str) -> Result<Vec<Segment>, Problem> {
    if text.len() > LENGTH_LIMIT {
        let message = format!("the path {} is {} bytes long", quoted(text), text.len());
        return Err(Problem::new(message).detail(format!("A path has at most {LENGTH_LIMIT} bytes.")));
    }
    let mut parser = Parser {
        text,
        letters: text.chars().collect(),
        at: 0,
    };
    parser.path()
}

struct Parser<'a> {
    text: &'a str,
    letters: Vec<char>,
    /// The place in `letters` that is looked at.
    at: usize,
}

impl Parser<'_> {
    fn path(&mut self) -> Result<Vec<Segment>, Problem> {
        if !self.take('$') {
            return Err(self.wrong("\"$\", which begins every path").hint(EXAMPLE));
        }
        let mut segments = Vec::new();
        while self.at < self.letters.len() {
            if segments.len() == SEGMENT_LIMIT {
                let message = format!(
                    "the path {} has more than {SEGMENT_LIMIT} segments",
                    quoted(self.text)
                );
                return Err(Problem::new(message).hint("Shorten it with \"..\", such as \"$..email\"."));
            }
            segments.push(self.segment()?);
        }
        if segments.is_empty() {
            return Err(Problem::new("the path \"$\" selects the whole document")
                .detail("A path selects places inside the document.")
                .hint("Use \"$.*\" for every member or element."));
        }
        Ok(segments)
    }

    fn segment(&mut self) -> Result<Segment, Problem> {
        let mut descendant = false;
        let bracketed = if self.take('.') {
            descendant = self.take('.');
            // `$.['a']` is none: the point belongs to a name.
            descendant && self.peek() == Some('[')
        } else if self.peek() == Some('[') {
            true
        } else {
            let problem = self.wrong("\".\", \"..\", \"[\" or the end of the path");
            return Err(
                problem.hint("A name with other characters is written in brackets: $['customer-name'].")
            );
        };
        let selector = if bracketed {
            self.bracketed()?
        } else {
            self.bare()?
        };
        Ok(Segment { descendant, selector })
    }

    /// What follows a point.
    fn bare(&mut self) -> Result<Selector, Problem> {
        if self.take('*') {
            return Ok(Selector::Wildcard);
        }
        let mut name = String::new();
        while let Some(letter) = self.peek() {
            let belongs = if name.is_empty() {
                begins_bare(letter)
            } else {
                continues_bare(letter)
            };
            if !belongs {
                break;
            }
            name.push(letter);
            self.at += 1;
        }
        if name.is_empty() {
            return Err(self
                .wrong(NAME_EXPECTED)
                .hint("Other names are written in brackets: $['customer-name'], $[\"2nd\"]."));
        }
        Ok(Selector::Name(name))
    }

    fn bracketed(&mut self) -> Result<Selector, Problem> {
        self.at += 1;
        self.skip_blanks();
        let selector = match self.peek() {
            Some('*') => {
                self.at += 1;
                Selector::Wildcard
            }
            Some(quote @ ('\'' | '"')) => self.quoted_name(quote)?,
            Some('-' | '0'..='9') => self.index()?,
            Some('?') => return Err(self.unsupported("filters")),
            Some(':') => return Err(self.unsupported("slices")),
            _ => return Err(self.wrong("a name in quotes, an index or \"*\"").hint(EXAMPLE)),
        };
        self.skip_blanks();
        match self.peek() {
            Some(']') => {
                self.at += 1;
                Ok(selector)
            }
            Some(',') => Err(self.unsupported("lists of selectors")),
            Some(':') => Err(self.unsupported("slices")),
            _ => Err(self.wrong("\"]\"")),
        }
    }

    fn index(&mut self) -> Result<Selector, Problem> {
        let begin = self.at;
        let negative = self.take('-');
        let first = self.at;
        let mut distance: u64 = 0;
        while let Some(digit) = self.peek().and_then(|letter| letter.to_digit(10)) {
            // RFC 9535 has no 01 and no -0, so that an index has one spelling.
            let leads = self.at > first && distance == 0;
            distance = distance * 10 + u64::from(digit);
            if leads || distance > INDEX_LIMIT {
                self.at = begin;
                return Err(self.wrong_index());
            }
            self.at += 1;
        }
        if self.at == first || (negative && distance == 0) {
            self.at = begin;
            return Err(self.wrong_index());
        }
        // Far from the ends of i64.
        let distance = distance.cast_signed();
        Ok(Selector::Index(if negative { -distance } else { distance }))
    }

    fn wrong_index(&self) -> Problem {
        self.wrong("an index without leading zeros, from -(2^53 - 1) to 2^53 - 1; -1 is the last element")
    }

    fn quoted_name(&mut self, quote: char) -> Result<Selector, Problem> {
        let begin = self.at;
        self.at += 1;
        let mut name = String::new();
        loop {
            match self.peek() {
                None => {
                    self.at = begin;
                    return Err(self.wrong("a name that ends with the quote it begins with"));
                }
                Some(letter) if letter == quote => break,
                Some('\\') => name.push(self.escape(quote)?),
                Some('\0'..='\u{1f}') => {
                    return Err(self.wrong("a character that is no control character, or its escape"));
                }
                Some(letter) => {
                    name.push(letter);
                    self.at += 1;
                }
            }
        }
        self.at += 1;
        Ok(Selector::Name(name))
    }

    /// The character that an escape stands for, from its backslash on.
    fn escape(&mut self, quote: char) -> Result<char, Problem> {
        let begin = self.at;
        self.at += 1;
        let letter = match self.peek() {
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some(itself) if itself == quote || matches!(itself, '/' | '\\') => itself,
            Some('u') => {
                self.at += 1;
                return self.code_point().ok_or_else(|| {
                    self.at = begin;
                    self.wrong(
                        "\"\\u\" with four hexadecimal digits; beyond U+FFFF, the two halves of a pair",
                    )
                });
            }
            _ => {
                self.at = begin;
                return Err(
                    self.wrong("an escape of JSON; of the two quotes, the one that the name begins with")
                );
            }
        };
        self.at += 1;
        Ok(letter)
    }

    /// What follows `\u`: one code unit, or two that make a character beyond U+FFFF.
    fn code_point(&mut self) -> Option<char> {
        let unit = self.code_unit()?;
        if !(0xd800..0xdc00).contains(&unit) {
            // None for the second half of a pair that has no first.
            return char::from_u32(unit);
        }
        let follows = self.take('\\') && self.take('u');
        let second = if follows { self.code_unit()? } else { 0 };
        if !(0xdc00..0xe000).contains(&second) {
            return None;
        }
        char::from_u32(0x1_0000 + ((unit - 0xd800) << 10) + (second - 0xdc00))
    }

    fn code_unit(&mut self) -> Option<u32> {
        let mut unit = 0;
        for _ in 0..4 {
            unit = unit * 16 + self.peek()?.to_digit(16)?;
            self.at += 1;
        }
        Some(unit)
    }

    fn peek(&self) -> Option<char> {
        self.letters.get(self.at).copied()
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(' ' | '\t' | '\n' | '\r')) {
            self.at += 1;
        }
    }

    /// The character that is looked at is not what was expected, or the path ends.
    fn wrong(&self, expected: &str) -> Problem {
        let path = quoted(self.text);
        let place = self.at + 1;
        Problem::new(match self.peek() {
            Some(letter) => {
                let shown = one_line(&letter.to_string(), 1);
                format!("character {place} of the path {path} is wrong: {shown}")
            }
            None => format!("the path {path} ends before its character {place}"),
        })
        .detail(format!("Expected {expected}."))
    }

    fn unsupported(&self, what: &str) -> Problem {
        let path = quoted(self.text);
        Problem::new(format!(
            "character {} of the path {path} belongs to {what}, which are not supported",
            self.at + 1
        ))
        .detail("In brackets stands one name in quotes, one index or \"*\".")
        .hint("Write a path for each place, or \"*\" for all of them.")
    }
}

/// Whether a name without brackets may begin with this character.
pub(super) fn begins_bare(letter: char) -> bool {
    letter.is_ascii_alphabetic() || letter == '_' || !letter.is_ascii()
}

pub(super) fn continues_bare(letter: char) -> bool {
    begins_bare(letter) || letter.is_ascii_digit()
}

const EXAMPLE: &str =
    "Write a path such as \"$.stops[*].contact.phone\", \"$..email\" or \"$['a name'][0]\".";
