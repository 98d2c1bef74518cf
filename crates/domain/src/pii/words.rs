//! What the words beside a number say that it is.
//!
//! The nearest word that says anything decides. A word such as "load" speaks for one number only: "call about load 4521 at
//! 4155550132" is about a load, and then about a phone.

use std::ops::Range;

use super::plain::Plain;

/// How far a word may be from its number, in bytes.
const REACH: usize = 56;

/// What a word makes of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A telephone number.
    Phone,
    /// A social security number.
    SocialSecurity,
    /// The version of some software.
    Version,
    /// A number of freight, trade or machines.
    Other,
}

/// The nearest word that says anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Label {
    pub(super) meaning: Meaning,
    /// Nothing stands between them but words such as "no." and "is".
    pub(super) adjacent: bool,
}

/// The label before a place, on the same line, or at the end of the line before when nothing else is.
pub(super) fn before(plain: &Plain, place: usize) -> Option<Label> {
    let window = place.saturating_sub(REACH)..place;
    let is_cut = plain.before(window.start, 1).is_ascii_alphanumeric();
    let text = String::from_utf8_lossy(plain.slice(window));
    let text = text.trim_end();
    let line = text.rsplit('\n').next().unwrap_or(text);
    let mut words = words(line);
    if is_cut && line.len() == text.len() && !words.is_empty() {
        // The window begins inside of a word.
        words.remove(0);
    }
    nearest(&words)
}

fn nearest(words: &[String]) -> Option<Label> {
    let mut adjacent = true;
    let mut after_a_number = false;
    let mut last = "";
    for word in words.iter().rev() {
        if word.bytes().any(|byte| byte.is_ascii_digit()) {
            after_a_number = true;
            adjacent = false;
        } else if last == "number" && is_owner(word) {
            let meaning = Meaning::Phone;
            return Some(Label { meaning, adjacent });
        } else if !is_filler(word) {
            match meaning(word, last) {
                Some(Meaning::Other) if after_a_number => adjacent = false,
                Some(meaning) => return Some(Label { meaning, adjacent }),
                None => adjacent = false,
            }
        }
        last = word;
    }
    None
}

/// What the first word behind a place says, when nothing but blanks and brackets stands between: `(cell)`.
pub(super) fn after(plain: &Plain, place: usize) -> Option<Meaning> {
    let start = plain.end_of(place, |byte| {
        matches!(byte, b' ' | b'(' | b'[' | b'-' | b'/' | b',')
    });
    // A list of numbers goes on elsewhere.
    if start - place > 3 {
        return None;
    }
    let end = plain
        .end_of(start, |byte| byte.is_ascii_alphabetic())
        .min(start + REACH);
    let word = String::from_utf8_lossy(plain.slice(start..end)).to_lowercase();
    match word.as_str() {
        "cell" | "cellular" | "mobile" | "mob" | "phone" | "tel" | "telephone" | "fax" | "office"
        | "home" | "work" | "whatsapp" | "direct" | "landline" | "voicemail" | "sms" => Some(Meaning::Phone),
        "ssn" => Some(Meaning::SocialSecurity),
        _ => None,
    }
}

/// Whether the word that ends at a place says phone, as in `tel.4155550132`.
pub(super) fn ends_with_phone(plain: &Plain, place: usize) -> bool {
    let range: Range<usize> = place.saturating_sub(REACH)..place;
    let text = String::from_utf8_lossy(plain.slice(range));
    let last = words(&text).pop();
    last.is_some_and(|word| {
        meaning(&word, "") == Some(Meaning::Phone) || word == "t" || word == "m" || word == "f"
    })
}

/// The words of a text in lower case; `driverPhone`, `driver_phone` and `driver phone` are two words each.
fn words(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut word = String::new();
    let mut was_lower = false;
    for letter in text.chars() {
        let begins = letter.is_uppercase() && was_lower;
        if (begins || !letter.is_alphanumeric()) && !word.is_empty() {
            found.push(std::mem::take(&mut word));
        }
        if letter.is_alphanumeric() {
            word.extend(letter.to_lowercase());
        }
        was_lower = letter.is_lowercase();
    }
    if !word.is_empty() {
        found.push(word);
    }
    found
}

/// Words that stand between a label and its number without changing what it says.
fn is_filler(word: &str) -> bool {
    matches!(
        word,
        "no" | "nr"
            | "num"
            | "number"
            | "numbers"
            | "nos"
            | "is"
            | "was"
            | "are"
            | "at"
            | "on"
            | "to"
            | "the"
            | "a"
            | "an"
            | "my"
            | "me"
            | "us"
            | "him"
            | "her"
            | "his"
            | "their"
            | "our"
            | "your"
            | "them"
            | "and"
            | "or"
            | "it"
            | "s"
            | "line"
            | "n"
            | "o"
            | "value"
            | "please"
            | "via"
            | "under"
            | "by"
            | "de"
            | "du"
            | "der"
            | "die"
            | "el"
            | "la"
            | "le"
            | "nummer"
            | "numero"
            | "número"
            | "numéro"
            | "new"
            | "text"
            | "security"
            | "app"
    )
}

/// "My number is" speaks of a phone.
fn is_owner(word: &str) -> bool {
    matches!(word, "my" | "his" | "her" | "their" | "our" | "your" | "whose")
}

/// What a word says; `next` is the word behind it.
fn meaning(word: &str, next: &str) -> Option<Meaning> {
    match word {
        "phone" | "phones" | "phonenumber" | "telephone" | "telephones" | "tel" | "tels" | "telephon"
        | "telefon" | "telefono" | "teléfono" | "telefone" | "téléphone" | "telefoon" | "tél" | "tlf"
        | "tfno" | "mobile" | "mobil" | "mob" | "móvil" | "movil" | "cell" | "cellphone" | "cel"
        | "celular" | "cellular" | "portable" | "handy" | "call" | "called" | "calling" | "callback"
        | "fax" | "whatsapp" | "viber" | "telegram" | "sms" | "texted" | "texting" | "dial" | "dialed"
        | "dialled" | "dialing" | "ring" | "rang" | "reach" | "reachable" | "ph" | "hotline" | "helpline"
        | "landline" | "voicemail" | "rufnummer" | "telefonnummer" | "handynummer" | "mobilnummer"
        | "msisdn" | "fon" | "contact" | "anruf" | "llamar" | "appelez" | "ligue" | "switchboard"
        | "cellulare" | "телефон" | "тел" | "моб" | "τηλ" | "電話" | "电话" | "手机" | "携帯" => {
            Some(Meaning::Phone)
        }
        "ssn" | "ssns" => Some(Meaning::SocialSecurity),
        "ss" if next.is_empty() || next == "number" || next == "no" => Some(Meaning::SocialSecurity),
        // In camel case it is two words.
        "whats" if next == "app" => Some(Meaning::Phone),
        "social" if next == "security" => Some(Meaning::SocialSecurity),
        "version" | "ver" | "release" | "firmware" | "build" | "v" => Some(Meaning::Version),
        _ if is_of_freight(word) || is_of_trade(word) || is_of_machines(word) => Some(Meaning::Other),
        _ if !word.is_ascii() => ["電話", "电话", "手机", "携帯"]
            .iter()
            .any(|ending| word.ends_with(ending))
            .then_some(Meaning::Phone),
        _ => None,
    }
}

fn is_of_freight(word: &str) -> bool {
    matches!(
        word,
        "pro"
            | "pros"
            | "bol"
            | "bols"
            | "bl"
            | "po"
            | "pos"
            | "load"
            | "loads"
            | "tracking"
            | "trk"
            | "track"
            | "container"
            | "containers"
            | "cntr"
            | "mc"
            | "dot"
            | "usdot"
            | "scac"
            | "seal"
            | "seals"
            | "trailer"
            | "trailers"
            | "chassis"
            | "tractor"
            | "unit"
            | "units"
            | "shipment"
            | "shipments"
            | "booking"
            | "bookings"
            | "bkg"
            | "waybill"
            | "awb"
            | "mawb"
            | "hawb"
            | "mbl"
            | "hbl"
            | "manifest"
            | "consignment"
            | "railcar"
            | "vin"
            | "nmfc"
            | "hts"
            | "lading"
            | "pallet"
            | "pallets"
            | "sscc"
            | "tender"
            | "pu"
            | "lot"
            | "batch"
            | "zip"
            | "zipcode"
            | "postcode"
            | "postal"
            | "plz"
            | "rma"
            | "asn"
            | "entry"
            | "equipment"
            | "freight"
            | "vessel"
            | "voyage"
            | "imo"
    )
}

fn is_of_trade(word: &str) -> bool {
    matches!(
        word,
        "order"
            | "orders"
            | "invoice"
            | "invoices"
            | "inv"
            | "ref"
            | "refs"
            | "reference"
            | "references"
            | "quote"
            | "sku"
            | "upc"
            | "ean"
            | "gtin"
            | "isbn"
            | "issn"
            | "barcode"
            | "part"
            | "item"
            | "serial"
            | "account"
            | "acct"
            | "routing"
            | "aba"
            | "ein"
            | "fein"
            | "tin"
            | "itin"
            | "vat"
            | "tax"
            | "swift"
            | "bic"
            | "license"
            | "licence"
            | "policy"
            | "claim"
            | "ticket"
            | "case"
            | "npi"
            | "duns"
            | "check"
            | "cheque"
            | "transaction"
            | "txn"
            | "confirmation"
            | "conf"
            | "amount"
            | "total"
            | "price"
            | "usd"
            | "eur"
            | "weight"
            | "lbs"
            | "kg"
            | "miles"
            | "qty"
            | "quantity"
            | "member"
            | "passport"
            | "receipt"
            | "payment"
            | "contract"
            | "rate"
            | "charge"
            | "balance"
    )
}

fn is_of_machines(word: &str) -> bool {
    matches!(
        word,
        "id" | "ids"
            | "uuid"
            | "guid"
            | "hash"
            | "sha"
            | "md"
            | "checksum"
            | "timestamp"
            | "ts"
            | "epoch"
            | "unix"
            | "lat"
            | "lon"
            | "lng"
            | "latitude"
            | "longitude"
            | "gps"
            | "imei"
            | "iccid"
            | "imsi"
            | "port"
            | "page"
            | "row"
            | "index"
            | "isin"
            | "date"
            | "code"
            | "pin"
            | "otp"
            | "token"
            | "bytes"
            | "ms"
            | "seq"
            | "sequence"
            | "job"
            | "task"
            | "commit"
            | "issue"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(text: &str) -> Option<(Meaning, bool)> {
        before(&Plain::read(text), text.len()).map(|label| (label.meaning, label.adjacent))
    }

    #[test]
    fn the_nearest_word_decides() {
        for (text, expected) in [
            ("phone: ", Some((Meaning::Phone, true))),
            ("Tel.: ", Some((Meaning::Phone, true))),
            ("Phone No. ", Some((Meaning::Phone, true))),
            ("{\"driverPhone\":\"", Some((Meaning::Phone, true))),
            ("driver_phone_number = ", Some((Meaning::Phone, true))),
            ("my number is ", Some((Meaning::Phone, true))),
            ("call John Smith at ", Some((Meaning::Phone, false))),
            ("联系电话：", Some((Meaning::Phone, true))),
            ("Phone:\n", Some((Meaning::Phone, true))),
            ("phone 12\nweighs ", None),
            ("PRO# ", Some((Meaning::Other, true))),
            ("order number ", Some((Meaning::Other, true))),
            ("call about load ", Some((Meaning::Other, true))),
            ("call about load 4521 at ", Some((Meaning::Phone, false))),
            ("Order 77, phone ", Some((Meaning::Phone, true))),
            ("social security number ", Some((Meaning::SocialSecurity, true))),
            ("ss# ", Some((Meaning::SocialSecurity, true))),
            ("version ", Some((Meaning::Version, true))),
            ("microphone ", None),
            ("loading ", None),
            ("", None),
        ] {
            assert_eq!(label(text), expected, "{text}");
        }
    }

    #[test]
    fn a_word_has_a_reach() {
        assert_eq!(label(&format!("phone {}", "of a ".repeat(20))), None);
        // "telephone" is cut to a word that would say something else.
        assert_eq!(label(&format!("xphone{}", " ".repeat(51))), None);
    }

    #[test]
    fn a_word_behind() {
        for (text, expected) in [
            (" (cell)", Some(Meaning::Phone)),
            (" mobile", Some(Meaning::Phone)),
            ("/fax", Some(Meaning::Phone)),
            (" (SSN)", Some(Meaning::SocialSecurity)),
            (" pallets", None),
            ("      cell", None),
            ("", None),
        ] {
            assert_eq!(after(&Plain::read(text), 0), expected, "{text}");
        }
        let plain = Plain::read("Tel.1");
        assert!(ends_with_phone(&plain, 4));
        assert!(!ends_with_phone(&Plain::read("abc.1"), 4));
    }
}
