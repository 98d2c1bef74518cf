#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(range: std::ops::RangeInclusive<u8>) -> Vec<u8> {
    range.collect()
}

/// RFC 5869, appendix A.1 to A.3.
#[test]
fn hkdf_gives_the_vectors_of_its_rfc() {
    assert_eq!(
        hex(&hkdf::<42>(&bytes(0..=0x0c), &[0x0b; 22], &bytes(0xf0..=0xf9))),
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    );
    assert_eq!(
        hex(&hkdf::<82>(
            &bytes(0x60..=0xaf),
            &bytes(0..=0x4f),
            &bytes(0xb0..=0xff)
        )),
        "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09\
         da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87"
    );
    assert_eq!(
        hex(&hkdf::<42>(&[], &[0x0b; 22], &[])),
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"
    );
}

/// Tokens are stored: a key that is derived in another way one day would make equal values different. Expected values
/// from Python's hmac, with the steps of the RFC.
#[test]
fn derived_keys_stay_what_they_are() {
    let master = bytes(0..=31);
    for (company, expected) in [
        (
            None,
            "173c80dc6c5ac69fa8c7a41a60491b983629f75601c1ffc661f7c3705e177481",
        ),
        (
            Some([0; 16]),
            "c2048dc5dc2aa66f77c051621104057a3144983131a56a1250f971934ce3b2d8",
        ),
        (
            Some([0x11; 16]),
            "39582d7306924243c916e9c8809af013ecc0fd4830ca2464eb28811de5ad0f54",
        ),
    ] {
        let unhexed: Vec<u8> = (0..32)
            .map(|place| u8::from_str_radix(&expected[place * 2..place * 2 + 2], 16).unwrap())
            .collect();
        let same = HmacKey::new("k1", unhexed.try_into().unwrap()).unwrap();
        assert_eq!(derive(&master, company, "k1"), Ok(same));
    }
}

#[test]
fn every_company_and_every_id_has_a_key_of_its_own() {
    let mut tokens = Vec::new();
    for master in [[1; 32], [2; 32]] {
        for company in [None, Some([0; 16]), Some([1; 16]), Some(*b"k1k1k1k1k1k1k1k1")] {
            for id in ["k1", "k2", "k1k1"] {
                let token = derive(&master, company, id).unwrap().token("1");
                tokens.push(token.rsplit(':').next().unwrap().to_owned());
            }
        }
    }
    let count = tokens.len();
    tokens.sort();
    tokens.dedup();
    assert_eq!(tokens.len(), count);
}

#[test]
fn a_bad_master_key_or_id_is_refused_without_repeating_the_key() {
    for length in [0, 16, 31, 65] {
        let problem = derive(&vec![b'S'; length], None, "k1").unwrap_err();
        assert!(problem.message.contains(&format!("{length} bytes")), "{problem}");
        assert!(!format!("{problem:?}").contains("SSS"));
    }
    for length in [32, 64] {
        assert!(derive(&vec![b'S'; length], None, "k1").is_ok());
    }
    let problem = derive(&[b'S'; 32], None, "K1").unwrap_err();
    assert!(!format!("{problem:?}").contains("SSS"));
}

#[test]
fn a_stored_master_key_is_the_same_key() {
    let master = [7; 32];
    let stored = master_text(&master);
    let key = derive(&master, Some([1; 16]), "k1").unwrap();
    assert_eq!(derive_from_text(&stored, Some([1; 16]), "k1"), Ok(key));
    for wrong in ["", "no base64", "AAAA"] {
        assert!(derive_from_text(wrong, None, "k1").is_err(), "{wrong}");
    }
}
