//! HTTP/1.1 as far as a receiver needs it: a request out of a buffer, an answer into one.

use std::time::SystemTime;

use httparse::Header;
use uuid::Uuid;

/// Nothing that is tested sends more than this; a larger length is a mistake of the sender.
const MAX_BODY: usize = 64 << 20;
pub(super) const MAX_HEADERS: usize = 64;

/// One request, borrowed from the buffer it was read into.
#[derive(Debug)]
pub struct Request<'b> {
    /// POST, as a rule.
    pub method: &'b str,
    /// Path and query.
    pub path: &'b str,
    /// Headers as sent.
    pub headers: &'b [Header<'b>],
    /// The whole body, chunks joined.
    pub body: &'b [u8],
    /// The header `webhook-id`, if it is there and a UUID.
    pub id: Option<Uuid>,
    /// How often this id has arrived, this time included; 0 for a request without an id.
    pub attempt: u32,
    /// When it had been read.
    pub at: SystemTime,
}

impl Request<'_> {
    /// The first header of that name, if it is UTF-8.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(self.headers, name).and_then(|value| std::str::from_utf8(value).ok())
    }
}

pub(super) enum Parsed<'b> {
    /// More bytes are needed.
    Partial {
        /// The length at which it is worth trying again, as far as known.
        wanted: usize,
        /// The sender waits for a `100 Continue` before it sends the body.
        expects_continue: bool,
    },
    /// No request at all: the connection cannot go on.
    Bad,
    Complete {
        request: Request<'b>,
        consumed: usize,
        keep_alive: bool,
    },
}

/// Reads the request at the start of `bytes`; a chunked body is joined in `joined`.
pub(super) fn parse<'b>(
    bytes: &'b [u8],
    headers: &'b mut [Header<'b>],
    joined: &'b mut Vec<u8>,
) -> Parsed<'b> {
    let mut head = httparse::Request::new(headers);
    let body_at = match head.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => {
            return Parsed::Partial {
                wanted: 0,
                expects_continue: false,
            };
        }
        Err(_) => return Parsed::Bad,
    };
    let headers: &'b [Header<'b>] = head.headers;
    let (Some(method), Some(path)) = (head.method, head.path) else {
        return Parsed::Bad;
    };
    let rest = &bytes[body_at..];
    let chunked = find(headers, "transfer-encoding").is_some_and(|value| has_token(value, "chunked"));
    let (body, body_length) = if chunked {
        match join_chunks(rest, joined) {
            Chunks::Complete(consumed) => (&joined[..], consumed),
            Chunks::Partial => return partial(headers, 0, rest),
            Chunks::Bad => return Parsed::Bad,
        }
    } else {
        match content_length(headers) {
            Some(length) if length <= rest.len() => (&rest[..length], length),
            Some(length) if length <= MAX_BODY => return partial(headers, body_at + length, rest),
            _ => return Parsed::Bad,
        }
    };
    let closing = find(headers, "connection").is_some_and(|value| has_token(value, "close"));
    let id = find(headers, "webhook-id").and_then(|value| Uuid::try_parse_ascii(value).ok());
    let request = Request {
        method,
        path,
        headers,
        body,
        id,
        attempt: 0,
        at: SystemTime::now(),
    };
    Parsed::Complete {
        request,
        consumed: body_at + body_length,
        keep_alive: head.version == Some(1) && !closing,
    }
}

fn partial<'b>(headers: &[Header<'_>], wanted: usize, body_so_far: &[u8]) -> Parsed<'b> {
    let asks = find(headers, "expect").is_some_and(|value| has_token(value, "100-continue"));
    Parsed::Partial {
        wanted,
        expects_continue: asks && body_so_far.is_empty(),
    }
}

fn find<'h>(headers: &'h [Header<'_>], name: &str) -> Option<&'h [u8]> {
    headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case(name))
        .map(|header| header.value)
}

fn has_token(value: &[u8], token: &str) -> bool {
    value
        .split(|&byte| byte == b',')
        .any(|part| part.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

/// The length of the body: 0 without the header, None when the header is nonsense.
fn content_length(headers: &[Header<'_>]) -> Option<usize> {
    match find(headers, "content-length") {
        None => Some(0),
        Some(value) => std::str::from_utf8(value).ok()?.trim().parse().ok(),
    }
}

enum Chunks {
    Complete(usize),
    Partial,
    Bad,
}

fn join_chunks(bytes: &[u8], joined: &mut Vec<u8>) -> Chunks {
    joined.clear();
    let mut at = 0;
    loop {
        let (line, size) = match httparse::parse_chunk_size(&bytes[at..]) {
            Ok(httparse::Status::Complete((line, size))) => (line, size),
            Ok(httparse::Status::Partial) => return Chunks::Partial,
            Err(_) => return Chunks::Bad,
        };
        at += line;
        if size == 0 {
            return skip_trailers(bytes, at);
        }
        let Ok(size) = usize::try_from(size) else {
            return Chunks::Bad;
        };
        if joined.len().saturating_add(size) > MAX_BODY {
            return Chunks::Bad;
        }
        let Some(data) = bytes.get(at..at + size + 2) else {
            return Chunks::Partial;
        };
        if &data[size..] != b"\r\n" {
            return Chunks::Bad;
        }
        joined.extend_from_slice(&data[..size]);
        at += size + 2;
    }
}

fn skip_trailers(bytes: &[u8], mut at: usize) -> Chunks {
    loop {
        let Some(end) = bytes[at..].windows(2).position(|pair| pair == b"\r\n") else {
            return Chunks::Partial;
        };
        at += end + 2;
        if end == 0 {
            return Chunks::Complete(at);
        }
    }
}

/// Whether an answer with these headers is the last on its connection.
pub(super) fn announces_close(headers: &[(String, String)]) -> bool {
    headers
        .iter()
        .any(|(name, value)| name.eq_ignore_ascii_case("connection") && has_token(value.as_bytes(), "close"))
}

/// Writes an answer with its length, unless the status forbids a body or the headers say how it is framed.
pub(super) fn render(status: u16, headers: &[(String, String)], body: &[u8], into: &mut Vec<u8>) {
    into.extend_from_slice(format!("HTTP/1.1 {status} \r\n").as_bytes());
    for (name, value) in headers {
        into.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    let bodiless = matches!(status, 100..=199 | 204 | 304);
    let framed = headers.iter().any(|(name, _)| {
        name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("transfer-encoding")
    });
    if !bodiless && !framed {
        into.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes());
    }
    into.extend_from_slice(b"\r\n");
    if !bodiless {
        into.extend_from_slice(body);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Path, body, consumed bytes and keep-alive of a complete request.
    fn read(bytes: &[u8]) -> Option<(String, Vec<u8>, usize, bool)> {
        let (mut headers, mut joined) = ([httparse::EMPTY_HEADER; MAX_HEADERS], Vec::new());
        match parse(bytes, &mut headers, &mut joined) {
            Parsed::Complete {
                request,
                consumed,
                keep_alive,
            } => Some((request.path.into(), request.body.to_vec(), consumed, keep_alive)),
            _ => None,
        }
    }

    fn is_bad(bytes: &[u8]) -> bool {
        let (mut headers, mut joined) = ([httparse::EMPTY_HEADER; MAX_HEADERS], Vec::new());
        matches!(parse(bytes, &mut headers, &mut joined), Parsed::Bad)
    }

    #[test]
    fn every_prefix_of_a_request_is_partial_and_the_whole_is_complete() {
        let plain = b"POST /hook HTTP/1.1\r\ncontent-length: 5\r\n\r\nhello";
        let chunked = b"POST /hook HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=1\r\nlo\r\n0\r\nt: 1\r\n\r\n";
        for whole in [&plain[..], &chunked[..]] {
            for cut in 0..whole.len() {
                assert_eq!(read(&whole[..cut]), None, "cut at {cut}");
                assert!(!is_bad(&whole[..cut]), "cut at {cut}");
            }
            let followed = [whole, b"GET "].concat();
            assert_eq!(
                read(&followed),
                Some(("/hook".into(), b"hello".to_vec(), whole.len(), true))
            );
        }
    }

    #[test]
    fn a_connection_ends_when_the_sender_says_so() {
        assert!(
            !read(b"GET / HTTP/1.1\r\nConnection: foo, Close\r\n\r\n")
                .unwrap()
                .3
        );
        assert!(!read(b"GET / HTTP/1.0\r\n\r\n").unwrap().3);
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(is_bad(b"POST / HTTP/1.1\r\ncontent-length: many\r\n\r\n"));
        assert!(is_bad(b"POST / HTTP/1.1\r\ncontent-length: 99999999999\r\n\r\n"));
        assert!(is_bad(
            b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n"
        ));
        assert!(is_bad(b"\x16\x03\x01\x02\x00 TLS, not HTTP"));
    }

    #[test]
    fn an_answer_carries_a_length_unless_its_status_or_headers_say_otherwise() {
        let answer = |status, headers: &[(String, String)], body: &[u8]| {
            let mut out = Vec::new();
            render(status, headers, body, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            answer(503, &[], b"no"),
            "HTTP/1.1 503 \r\ncontent-length: 2\r\n\r\nno"
        );
        assert_eq!(answer(204, &[], b""), "HTTP/1.1 204 \r\n\r\n");
        let own = [("Content-Length".to_owned(), "9".to_owned())];
        assert_eq!(
            answer(200, &own, b"x"),
            "HTTP/1.1 200 \r\nContent-Length: 9\r\n\r\nx"
        );
    }
}
