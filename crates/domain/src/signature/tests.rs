#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::arbitrary::Source;

/// The example of the specification.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const AT: i64 = 1_614_265_330;
const BODY: &[u8] = br#"{"test": 2432232314}"#;
const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

fn example() -> Key {
    Key::parse(SECRET).unwrap()
}

fn other() -> Key {
    Key::from_bytes(&[7; 32]).unwrap()
}

/// Verifies the example's body under the given keys and header, at the moment of signing.
fn check(keys: &[Key], header: &str) -> Result<(), Refusal> {
    verify(keys, ID, AT, BODY, header, AT, 300)
}

#[test]
fn the_example_of_the_specification() {
    assert_eq!(sign(&[example()], ID, AT, BODY), SIGNATURE);
    assert_eq!(check(&[example()], SIGNATURE), Ok(()));
}

#[test]
fn keys_of_every_length_follow_rfc_2104() {
    // A key of the length of a block and a shorter one filled with zeros to it are the same HMAC key.
    let mut padded = [0; 64];
    padded[..24].copy_from_slice(&[9; 24]);
    let short = Key::from_bytes(&[9; 24]).unwrap();
    let full = Key::from_bytes(&padded).unwrap();
    assert_eq!(
        sign(std::slice::from_ref(&short), ID, AT, BODY),
        sign(std::slice::from_ref(&full), ID, AT, BODY)
    );
    assert_ne!(short, full);
}

#[test]
fn a_key_is_read_and_written() {
    for bytes in [vec![1; 24], vec![2; 25], (0..64).collect()] {
        let key = Key::from_bytes(&bytes).unwrap();
        let text = key.to_text();
        assert!(text.starts_with("whsec_"));
        assert_eq!(Key::parse(&text).unwrap(), key);
        let bare = text.trim_start_matches("whsec_");
        assert_eq!(Key::parse(bare).unwrap(), key);
        assert_eq!(Key::parse(bare.trim_end_matches('=')).unwrap(), key);
    }
    assert_eq!(example().to_text(), SECRET);
}

#[test]
fn a_bad_key_is_refused_without_being_repeated() {
    let long = KEY_TEXT.encode([0xAB; 65]);
    for (text, reason) in [
        ("", "0 bytes"),
        ("whsec_", "0 bytes"),
        ("whsec_c2VjcmV0", "6 bytes"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", "base64"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa_w", "base64"),
        (" whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "base64"),
        ("whsec_whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "base64"),
        ("a plain password", "base64"),
        (&long, "65 bytes"),
    ] {
        let problem = Key::parse(text).unwrap_err();
        assert!(problem.message.contains(reason), "{text}: {problem}");
        let shown = format!("{problem:?}");
        assert!(text.len() < 9 || !shown.contains(&text[6..]), "{shown}");
        assert!(problem.detail.is_some() && problem.hint.is_some());
    }
    assert!(!format!("{:?}", example()).contains("MfKQ"));
    assert!(!format!("{:?}", other()).contains('7'));
}

#[test]
fn any_key_and_any_signature_will_do() {
    let (old, new) = (example(), other());
    let both = sign(&[old.clone(), new.clone()], ID, AT, BODY);
    assert_eq!(both.split(' ').count(), 2);
    let foreign = sign(&[Key::from_bytes(&[8; 32]).unwrap()], ID, AT, BODY);
    let many = format!("v1a,abc= {foreign}  v2,x {both} v1,broken");
    for keys in [
        vec![old.clone()],
        vec![new.clone()],
        vec![Key::from_bytes(&[1; 40]).unwrap(), new.clone()],
    ] {
        assert_eq!(check(&keys, &both), Ok(()));
        assert_eq!(check(&keys, &many), Ok(()));
        assert_eq!(check(&keys, &foreign), Err(Refusal::Mismatch));
    }
    assert_eq!(sign(&[], ID, AT, BODY), "");
    assert_eq!(check(&[], &both), Err(Refusal::Mismatch));
}

#[test]
fn headers_that_are_no_signature() {
    let bare = SIGNATURE.trim_start_matches("v1,");
    for (header, refusal) in [
        (String::new(), Refusal::NoSignature),
        ("   ".to_owned(), Refusal::NoSignature),
        ("v1".to_owned(), Refusal::NoSignature),
        (bare.to_owned(), Refusal::NoSignature),
        (format!("v1a,{bare}"), Refusal::NoSignature),
        (format!("V1,{bare}"), Refusal::NoSignature),
        (format!(",{bare}"), Refusal::NoSignature),
        ("v1,".to_owned(), Refusal::Malformed),
        ("v1,AAAA".to_owned(), Refusal::Malformed),
        (format!("v1,{}", bare.trim_end_matches('=')), Refusal::Malformed),
        (format!("v1,v1,{bare}"), Refusal::Malformed),
        (format!("v1,{bare},"), Refusal::Malformed),
        (format!("v1,{}", "A".repeat(64)), Refusal::Malformed),
        (format!("v1,{}A=", "A".repeat(42)), Refusal::Mismatch),
    ] {
        assert_eq!(check(&[example()], &header), Err(refusal), "{header:?}");
    }
}

#[test]
fn the_time_must_be_near() {
    let key = [example()];
    for (now, tolerance, expected) in [
        (AT + 300, 300, Ok(())),
        (AT + 301, 300, Err(Refusal::TooOld)),
        (AT - 300, 300, Ok(())),
        (AT - 301, 300, Err(Refusal::TooNew)),
        (AT, 0, Ok(())),
        (AT, -1, Err(Refusal::TooOld)),
        (i64::MAX, 300, Err(Refusal::TooOld)),
        (i64::MIN, i64::MAX - 1, Err(Refusal::TooNew)),
    ] {
        let outcome = verify(&key, ID, AT, BODY, SIGNATURE, now, tolerance);
        assert_eq!(outcome, expected, "now {now}, tolerance {tolerance}");
    }
    // A time that nobody signed is refused even where it is near.
    let moved = verify(&key, ID, AT + 1, BODY, SIGNATURE, AT, 300);
    assert_eq!(moved, Err(Refusal::Mismatch));
    for extreme in [i64::MIN, i64::MAX] {
        assert!(verify(&key, ID, extreme, BODY, SIGNATURE, AT, 300).is_err());
        let header = sign(&key, ID, extreme, BODY);
        assert_eq!(verify(&key, ID, extreme, BODY, &header, extreme, 0), Ok(()));
    }
}

#[test]
fn one_signature_covers_one_message() {
    let key = [example()];
    let header = sign(&key, "a", 1, b"2.x");
    assert_eq!(verify(&key, "a", 1, b"2.x", &header, 1, 300), Ok(()));
    assert_eq!(
        verify(&key, "a.1", 2, b"x", &header, 2, 300),
        Err(Refusal::Malformed)
    );
    assert_eq!(
        verify(&key, "", 1, b"2.x", &header, 1, 300),
        Err(Refusal::Malformed)
    );
}

#[test]
fn whatever_is_changed_is_noticed() {
    let mut source = Source::new(3);
    let keys = [other(), example()];
    for round in 0..2_000 {
        let id = format!("evt_{:x}", source.number());
        let at = (source.number() >> 1) as i64;
        let mut body = source.text(&["{\"a\":1}", ".", "1614265330"]).into_bytes();
        body.push(b'!');
        let header = sign(&keys[round % 2..=round % 2], &id, at, &body);
        assert_eq!(verify(&keys, &id, at, &body, &header, at, 0), Ok(()));
        let foreign = source.mutated(&id);
        if foreign != id {
            assert!(verify(&keys, &foreign, at, &body, &header, at, 0).is_err());
        }
        let place = source.below(body.len());
        body[place] ^= 1 << source.below(8);
        let refusal = verify(&keys, &id, at, &body, &header, at, 0);
        assert_eq!(refusal, Err(Refusal::Mismatch));
    }
}
