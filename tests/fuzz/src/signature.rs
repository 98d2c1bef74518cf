//! Signed messages. The input is lines: the key, the id, the time, the header, and the rest is the body.
//!
//! In the header, `OURS` stands for the right signature, so that the search does not have to guess it.

use tms_domain::signature::{Key, Refusal, sign, verify};

use crate::text;

const TOLERANCE: i64 = 300;
const NOW: i64 = 1_614_265_330;

/// The example of the specification, in whole and in pieces.
pub const SEEDS: &[&[u8]] = &[
    b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\nmsg_p5jXN8AQM9LWM0D4loKWxJek\n1614265330\n\
      v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=\n{\"test\": 2432232314}",
    b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\nmsg\n1614265331\nOURS\n",
    b"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\nmsg\n1614265029\nv1a,x v1,broken OURS\n{}",
    b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==\na\n1614265630\nOURS OURS\n2.x",
    b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==\na.1614265330\n1614265330\nOURS\nx",
    b"whsec_c2VjcmV0\nmsg\n0\nv1,\n",
];

/// A message is accepted exactly if its header holds its signature, its time is near and its id is sound.
pub fn check(data: &[u8]) -> bool {
    let mut lines = data.splitn(5, |byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let (secret, id, timestamp) = (text(line()), text(line()), text(line()));
    let (header, body) = (text(line()), line());

    let Some(key) = read_key(&secret) else {
        return false;
    };
    let timestamp: i64 = timestamp.parse().unwrap_or(NOW);
    let other = Key::from_bytes(&[0xA5; 32]).unwrap_or_else(|_| key.clone());
    let ours = sign(std::slice::from_ref(&key), &id, timestamp, body);
    let header = header.replace("OURS", &ours);

    let outcome = verify(
        &[other, key.clone()],
        &id,
        timestamp,
        body,
        &header,
        NOW,
        TOLERANCE,
    );
    let signed = header.split_ascii_whitespace().any(|entry| entry == ours);
    let near = timestamp.abs_diff(NOW) <= TOLERANCE as u64;
    let sound = !id.is_empty() && !id.contains('.');
    assert_eq!(
        outcome.is_ok(),
        signed && near && sound,
        "{outcome:?} for {header:?}"
    );

    if outcome.is_ok() {
        let longer = [body, b"!"].concat();
        let changed = verify(&[key], &id, timestamp, &longer, &header, NOW, TOLERANCE);
        assert_eq!(changed, Err(Refusal::Mismatch), "a body can grow");
    }
    outcome.is_ok()
}

/// A secret is read back as it is written, and not repeated when it is refused.
fn read_key(secret: &str) -> Option<Key> {
    match Key::parse(secret) {
        Ok(key) => {
            assert_eq!(Key::parse(&key.to_text()).as_ref(), Ok(&key), "not read back");
            assert!(!format!("{key:?}").contains(&key.to_text()[6..]), "shown");
            Some(key)
        }
        Err(problem) => {
            let shown = format!("{problem:?}");
            // Shorter ones may be words of the text by chance.
            assert!(secret.len() < 12 || !shown.contains(secret), "repeated: {shown}");
            None
        }
    }
}
