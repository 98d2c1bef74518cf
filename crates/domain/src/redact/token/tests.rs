#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

fn key(id: &str) -> HmacKey {
    let bytes: Vec<u8> = (0..32).collect();
    HmacKey::new(id, bytes.try_into().unwrap()).unwrap()
}

/// Expected values from Python: `base64.urlsafe_b64encode(hmac.new(bytes(range(32)), text, "sha256").digest()[:16])`.
#[test]
fn a_token_is_the_hmac_of_the_text() {
    for (text, tag) in [
        ("\"a@b.example\"", "mF2VVMca2i_pJAqDVdaNag"),
        ("1", "d2GxzCUiffygvW2XKsxSqw"),
        ("\"1\"", "4xTK3E3DPnWmgySHF1Ku9g"),
        ("null", "iE7XVzQt6heVU6t1K2GOow"),
        ("{\"a\": 1}", "9Wgl31f9PAeqnKBlsR2-tA"),
    ] {
        let token = key("k1").token(text);
        assert_eq!(token, format!("hmac:k1:{tag}"));
        assert!(is_token(&token));
    }
}

#[test]
fn what_is_a_token_and_what_only_looks_like_one() {
    let tag = "d2GxzCUiffygvW2XKsxSqw";
    for (text, expected) in [
        (format!("hmac:k1:{tag}"), true),
        (format!("hmac:0:{tag}"), true),
        (format!("hmac:{}:{tag}", "k".repeat(16)), true),
        (format!("hmac:{}:{tag}", "k".repeat(17)), false),
        (format!("hmac::{tag}"), false),
        (format!("hmac:K1:{tag}"), false),
        (format!("hmac:k-1:{tag}"), false),
        (format!("HMAC:k1:{tag}"), false),
        (format!(" hmac:k1:{tag}"), false),
        (format!("hmac:k1:{tag} "), false),
        (format!("hmac:k1:{tag}=="), false),
        (format!("hmac:k1:{}", &tag[..21]), false),
        (format!("hmac:k1:{tag}A"), false),
        // 22 letters hold 132 bits; the last four of a tag are zero.
        (format!("hmac:k1:{}x", &tag[..21]), false),
        ("hmac:k1:d2GxzCUiffygvW2X+sxSqw".to_owned(), false),
        ("hmac:k1:d2GxzCUiffygvW2é sxSqw".to_owned(), false),
        ("hmac:k1:".to_owned(), false),
        ("hmac:k1".to_owned(), false),
        (String::new(), false),
    ] {
        assert_eq!(is_token(&text), expected, "{text}");
    }
}

#[test]
fn an_id_is_short_and_plain() {
    for id in ["k1", "0", "0123456789abcdef"] {
        assert_eq!(key(id).id(), id);
    }
    for id in ["", "K1", "k 1", "k:1", "é", "0123456789abcdef0"] {
        let problem = HmacKey::new(id, [7; KEY_LENGTH]).unwrap_err();
        assert!(problem.message.contains(&quoted(id)), "{problem}");
        assert!(problem.detail.is_some() && problem.hint.is_some());
    }
}

#[test]
fn other_keys_make_other_tokens() {
    let other = HmacKey::new("k1", [7; KEY_LENGTH]).unwrap();
    assert_ne!(other.token("1"), key("k1").token("1"));
    assert_ne!(other, key("k1"));
    assert_ne!(key("k2"), key("k1"));
    assert_eq!(key("k1"), key("k1"));
}

#[test]
fn a_key_is_not_shown() {
    assert_eq!(
        format!("{:?}", Keys::current(key("k1"))),
        "Keys { current: Some(HmacKey(k1, ...)) }"
    );
}

#[test]
fn without_a_key_there_are_no_tokens() {
    assert!(Keys::none().for_tokens().unwrap_err().hint.is_some());
    assert_eq!(Keys::current(key("k1")).for_tokens(), Ok(&key("k1")));
}

/// RFC 4231, test cases 2 and 6: a key shorter than the block, and one that is longer.
#[test]
fn hmac_takes_keys_of_any_length() {
    let tag = |key: &[u8], data: &[u8]| -> [u8; 32] {
        keyed(key).chain_update(data).finalize().into_bytes().into()
    };
    let short = tag(b"Jefe", b"what do ya want for nothing?");
    assert_eq!(short[..4], [0x5b, 0xdc, 0xc1, 0x46]);
    let long = tag(
        &[0xaa; 131],
        b"Test Using Larger Than Block-Size Key - Hash Key First",
    );
    assert_eq!(long[..4], [0x60, 0xe4, 0x31, 0x59]);
}
