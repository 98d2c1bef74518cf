//! Inputs near those that are known to be interesting, the same ones for the same seed.

/// What parsers stumble over.
const ODD: &[&[u8]] = &[
    b"\0",
    b" ",
    b"\t",
    b"\r\n",
    b".",
    b"..",
    b"*",
    b",",
    b";",
    b":",
    b"/",
    b"//",
    b"@",
    b"#",
    b"?",
    b"%",
    b"%00",
    b"%2e",
    b"\\",
    b"[",
    b"]",
    b"-",
    b"+",
    b"=",
    b"==",
    b"0",
    b"00",
    b"9",
    b"0x",
    b"18446744073709551616",
    b"v1,",
    b"v1a,",
    b"whsec_",
    b"xn--",
    b"\xc3\xa4",
    b"\xef\xbc\x8e",
    b"\xe2\x80\xae",
    b"\xff",
    b"GMT",
    b"localhost",
];
const LONGEST: usize = 4_096;

/// A deterministic source of inputs.
pub struct Mutator(u64);

impl Mutator {
    /// The same seed gives the same inputs.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// An input made from one of the given ones, seldom from nothing.
    pub fn input(&mut self, seeds: &[&[u8]]) -> Vec<u8> {
        let mut input = if self.below(20) == 0 {
            (0..self.below(64)).map(|_| self.number() as u8).collect()
        } else {
            self.one_of(seeds).to_vec()
        };
        for _ in 0..self.below(6) {
            self.change(&mut input, seeds);
        }
        input.truncate(LONGEST);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, seeds: &[&[u8]]) {
        let place = self.below(input.len() + 1);
        let end = place + self.below(input.len() - place + 1).min(16);
        match self.below(8) {
            0 => drop(input.drain(place..end)),
            1 => {
                let odd = self.one_of(ODD).to_vec();
                drop(input.splice(place..place, odd));
            }
            2 => {
                let odd = self.one_of(ODD).to_vec();
                drop(input.splice(place..end, odd));
            }
            3 => {
                let again = input[place..end].to_vec();
                drop(input.splice(place..place, again));
            }
            4 => {
                let other = self.one_of(seeds);
                let from = self.below(other.len() + 1);
                input.truncate(place);
                input.extend_from_slice(&other[from..]);
            }
            5 => {
                let byte = self.number() as u8;
                input[place..end].fill(byte);
            }
            _ => {
                let bit = 1 << self.below(8);
                if let Some(byte) = input.get_mut(place) {
                    *byte ^= bit;
                }
            }
        }
    }

    fn one_of<'a>(&mut self, choices: &[&'a [u8]]) -> &'a [u8] {
        let place = self.below(choices.len());
        choices.get(place).copied().unwrap_or_default()
    }

    /// SplitMix64 (Steele, Lea, Flood 2014).
    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.number() % bound.max(1) as u64) as usize
    }
}
