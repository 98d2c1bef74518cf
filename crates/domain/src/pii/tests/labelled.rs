//! Labelled sets, made from the public definitions of each kind: what is to be found stands between « and ».
//!
//! Precision and recall are those of exact ranges: a value that is found with a letter too many counts as missed, and as
//! found wrongly.

use crate::pii::{Kind, Kinds, api_key, find, iban, payment_card};

/// Sentences in which a value may stand.
const AROUND: [&str; 6] = [
    "{}",
    "Carrier wrote: {} - please update.",
    "{\"note\":\"{}\",\"stop\":2}",
    "Stop 2 <{}>",
    "value={}; next",
    "Delivered to dock 14 at 08:30, {}.\nSigned: J. Doe",
];

#[derive(Default)]
struct Tally {
    right: f64,
    missed: Vec<String>,
    wrong: Vec<String>,
}

impl Tally {
    fn count(&mut self, kind: Kind, marked: &str) {
        let mut text = String::new();
        let mut expected = Vec::new();
        for (place, piece) in marked.split(['«', '»']).enumerate() {
            let start = text.len();
            text.push_str(piece);
            if place % 2 == 1 {
                expected.push(start..text.len());
            }
        }
        let found: Vec<_> = find(&text, Kinds::all())
            .into_iter()
            .filter(|one| one.kind == kind)
            .map(|one| one.range)
            .collect();
        for range in &found {
            if expected.contains(range) {
                self.right += 1.0;
            } else {
                self.wrong.push(format!("{} in {text}", &text[range.clone()]));
            }
        }
        let missed = expected.iter().filter(|range| !found.contains(range));
        self.missed.extend(missed.map(|_| marked.to_owned()));
    }

    fn holds(&self, kind: Kind, precision: f64, recall: f64) {
        let of = |others: &[String]| self.right / (self.right + others.len() as f64);
        let (missed, wrong) = (&self.missed, &self.wrong);
        assert!(
            of(wrong) >= precision,
            "{kind:?}: precision {} {wrong:#?}",
            of(wrong)
        );
        assert!(
            of(missed) >= recall,
            "{kind:?}: recall {} {missed:#?}",
            of(missed)
        );
    }
}

fn measure<T: AsRef<str>>(kind: Kind, values: &[T], others: &[T]) -> Tally {
    let mut tally = Tally::default();
    for around in AROUND {
        for value in values {
            tally.count(kind, &around.replace("{}", &format!("«{}»", value.as_ref())));
        }
        for other in others {
            tally.count(kind, &around.replace("{}", other.as_ref()));
        }
    }
    tally
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn ibans_of_every_country() {
    let accounts: Vec<String> = iban::tests::countries()
        .map(|(country, length)| iban::tests::made(&country, &"1029384756".repeat(4)[..length - 4]))
        .collect();
    let values: Vec<String> = accounts
        .iter()
        .flat_map(|account| {
            [
                account.clone(),
                account.to_lowercase(),
                iban::tests::in_groups(account, " "),
            ]
        })
        .collect();
    let others: Vec<String> = accounts
        .iter()
        .flat_map(|account| {
            let mut last = account.clone().into_bytes();
            let end = last.len() - 1;
            last[end] = if last[end] == b'9' { b'0' } else { last[end] + 1 };
            [
                String::from_utf8(last).unwrap(),
                account[..end].to_owned(),
                format!("{account}7"),
            ]
        })
        .collect();
    measure(Kind::Iban, &values, &others).holds(Kind::Iban, 0.98, 0.98);
}

#[test]
fn cards_of_every_brand() {
    let cards: Vec<String> = [
        ("4", 16),
        ("4", 19),
        ("51", 16),
        ("52", 16),
        ("53", 16),
        ("54", 16),
        ("55", 16),
        ("2221", 16),
        ("2720", 16),
        ("34", 15),
        ("37", 15),
        ("6011", 16),
        ("644", 16),
        ("65", 16),
        ("36", 14),
        ("38", 14),
        ("305", 14),
        ("3528", 16),
        ("3589", 16),
        ("62", 16),
        ("62", 19),
        ("5018", 16),
        ("5020", 16),
        ("5038", 16),
        ("6304", 16),
        ("6759", 16),
        ("6761", 18),
        ("6763", 19),
        ("2200", 16),
    ]
    .into_iter()
    .map(|(begin, length)| payment_card::tests::made(begin, length))
    .collect();
    let in_fours = |separator: &str, card: &String| iban::tests::in_groups(card, separator);
    let values: Vec<String> = cards
        .iter()
        .flat_map(|card| [card.clone(), in_fours(" ", card), in_fours("-", card)])
        .collect();
    let others: Vec<String> = cards
        .iter()
        .flat_map(|card| {
            let last = card.as_bytes()[card.len() - 1] - b'0';
            let body = &card[..card.len() - 1];
            [
                format!("{body}{}", (last + 1) % 10),
                format!("{body}{}", (last + 7) % 10),
                format!("A{card}"),
                format!("{card}_1"),
            ]
        })
        .chain(owned(&[
            "0000000000000000",
            "1700000000000",
            "1234567890123456",
            "9400100000000000000000",
            "20240105123045",
        ]))
        .collect();
    measure(Kind::PaymentCard, &values, &others).holds(Kind::PaymentCard, 0.98, 0.98);
}

#[test]
fn keys_of_every_service() {
    let values = api_key::tests::keys();
    let others = owned(&[
        "AKIAIOSFODNN7",
        "ghp_tooshort1",
        "task-a1b2c3",
        "550e8400-e29b-41d4-a716-446655440000",
        "d41d8cd98f00b204e9800998ecf8427e",
        "MSCU1234567",
        "sk-learn",
        "npm_config_cache",
        "SKU-0123456789",
        "ACME-00112233",
    ]);
    measure(Kind::ApiKey, &values, &others).holds(Kind::ApiKey, 0.98, 0.98);
}

#[test]
fn addresses_numbers_and_tokens() {
    for (kind, values, others) in [
        (
            Kind::Email,
            &[
                "joe@example.com",
                "j.doe@mail.example.co.uk",
                "joe+load77@example.org",
                "joe_doe@example.io",
                "JOE@EXAMPLE.NET",
                "77@example.com",
                "joe@xn--mnchen-3ya.de",
                "joe@münchen.de",
                "o'neil@example.ie",
                "a-b-c@d-e-f.example.com",
                "x@y.technology",
            ][..],
            &[
                "joe@example",
                "joe at example.com",
                "@example.com",
                "joe@.com",
                "joe@example..com",
                "joe..doe@example.com",
                "joe@-example.com",
                "logo@2x.png",
                "lib@1.2.3",
                "joe@example.c",
                "joe@@example.com",
            ][..],
        ),
        (
            Kind::UsSsn,
            &[
                "536-90-4399",
                "001-01-0001",
                "899-99-9999",
                "665-45-1234",
                "536 90 4399",
                "219-09-9998",
                "123-45-6780",
            ],
            &[
                "000-45-6789",
                "666-45-6789",
                "912-45-6789",
                "123-00-6789",
                "123-45-0000",
                "078-05-1120",
                "219-09-9999",
                "987-65-4321",
                "536904399",
                "536-904-399",
                "12-3456789",
                "536-90-43999",
            ],
        ),
        (
            Kind::Ip,
            &[
                "192.0.2.1",
                "10.255.255.254",
                "8.8.8.8",
                "2001:db8::8a2e:370:7334",
                "fe80::1",
                "::1",
                "::ffff:192.0.2.1",
                "2001:db8:1:2:3:4:5:6",
            ],
            &[
                "256.0.2.1",
                "192.0.2",
                "192.0.2.1.5",
                "192.0.02.1",
                "12:30:45",
                "1.2.3",
                "v1.2.3.4",
                "std::fmt",
                "2001:db8:1:2:3:4:5:6:7",
            ],
        ),
        (
            Kind::Mac,
            &[
                "00:1a:2b:3c:4d:5e",
                "00-1A-2B-3C-4D-5E",
                "001a.2b3c.4d5e",
                "FE:DC:BA:98:76:54",
            ],
            &[
                "00:1a:2b:3c:4d",
                "00:1a:2b:3c:4d:5e:6f",
                "00-1A-2B-3C-4D-5G",
                "001a.2b3c",
                "00:1a-2b:3c-4d:5e",
                "08:30:00",
            ],
        ),
        (
            Kind::Jwt,
            &[
                "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
                "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dGhlIHNpZ25hdHVyZQ",
            ],
            &[
                "eyJ0eXAiOiJKV1QifQ.eyJzdWIiOiIxIn0.c2ln",
                "eyJhbGciOiJIUzI1NiJ9",
                "eyes.are.here",
                "a.b.c",
            ],
        ),
    ] {
        measure(kind, values, others).holds(kind, 0.98, 0.98);
    }
}

/// Numbers in the words of dispatchers, with the numbers of freight around them.
#[test]
fn phones_among_the_numbers_of_freight() {
    let mut tally = Tally::default();
    for text in PHONES.lines().map(str::trim).filter(|line| !line.is_empty()) {
        tally.count(Kind::Phone, text);
    }
    tally.holds(Kind::Phone, 0.95, 0.9);
}

const PHONES: &str = "
    Driver Mike «(312) 555-0147», truck 4471, ETA 14:30
    Call «312-555-0147» when loaded. PRO 123456789
    PRO 312-555-0147 delivered 01/05/2024
    Load 88213 picked up, BOL 4412-889-1203, container MSCU 123456 7
    Receiver's phone: «3125550147», ref 4155550132
    dispatch: «+1 312 555 0147» / after hours «+1 312 555 0199»
    MC 123456, DOT 1234567, phone «1-800-555-0199»
    Tracking number 1Z999AA10123456784, call «800.555.0199»
    Invoice 2024-0012345 for 4,155.50 USD, due 2024-02-05
    Gate code 4471#, contact «312 555 0147 ext 5»
    Seal 3125550147 trailer 53 ft, temp -10
    order no. 415-555-0132, PO 415-555-0133
    Appointment 05/01/2024 08:00-10:00, dock 12, «020 7946 0958»
    Abholung Montag, Tel. «030 901820», Referenz 4711-0815-22
    Fahrer mobil «0171 1234567», Kennzeichen B-AB 1234
    Livraison lundi, tél. «01 23 45 67 89», commande 123456
    Entrega mañana, móvil «612 345 678», pedido 998877
    Ligue «(11) 91234-5678», nota fiscal 000123456
    Whatsapp «+55 11 91234-5678» or mail
    Chiamare «06 1234 5678» dopo le 14
    Chauffeur «06-12345678», zending 3SABCD1234567
    Ring «0412 345 678», con note 1234567890
    Ring «(02) 9876 5432» for gate
    Call «+91 98765 43210», LR no 5566778
    mobile «9876543210», LR 5566778899
    «03-1234-5678» 東京, booking TYO1234567
    电话 «138 1234 5678», 箱号 TGHU7654321
    UN 1203, class 3, weight 44,000 lbs, 26 pallets
    lat 41.878113, lon -87.629799, speed 65
    uuid 550e8400-e29b-41d4-a716-446655440000 at 1700000000
    Rate confirmation 4155550132, total $1,850.00
    ZIP 60601-1234 to 02134-1234, 1,012 miles
    Waybill 020-12345675, flight LH 8161
    HTS 8708.99.8180, entry 231-1234567-8
    Cell: «3125550147»; office: «3125550148»
    her number is «3125550147», unit 5512
    fax «312-555-0148», acct 0012345678
    Text «312-555-0147» POD to billing
    SSCC 003456789012345675, qty 24
    EIN 12-3456789, check 1004512
    Contact John at «3125550147» about load 99120
    0:15 detention, 2 hrs layover, 3125 550 147 kg
    Phone «+49 (0)30 901820-12», Fax «+49 (0)30 901820-13»
    «+44 7700 900123» driver; «07700 900456» office
    booking 2345678901, vessel 9321483, voyage 415W
    «+48 22 123 45 67» Warszawa
    «+7 (495) 123-45-67»
    «+52 55 1234 5678» CDMX
    «+90 212 123 45 67» gümrük
    «+971 4 123 4567» Jebel Ali
";
