//! Ids that sort by time: UUID version 7 (RFC 9562, section 5.7).

/// The bytes of a UUIDv7 for a time in microseconds since 1970 and eight random bytes.
///
/// ```text
/// 48 bits  unix time in milliseconds (wraps in the year 10889)
///  4 bits  version 7
/// 12 bits  the fraction of the millisecond (section 6.2, method 3)
///  2 bits  variant 0b10
/// 62 bits  random
/// ```
///
/// The fraction keeps ids made within one millisecond in order. A microsecond is about four of its 4096 steps, so
/// ids of different microseconds always sort by time; within one microsecond their order is chance.
#[must_use]
pub fn v7_bytes(unix_us: u64, random: [u8; 8]) -> [u8; 16] {
    let milliseconds = unix_us / 1000;
    // At most 999 * 4096 / 1000 = 4091, so it fits its 12 bits.
    let fraction = (unix_us % 1000) * 4096 / 1000;
    let high = (milliseconds << 16) | 0x7000 | fraction;
    let low = (u64::from_be_bytes(random) & (u64::MAX >> 2)) | (1 << 63);
    ((u128::from(high) << 64) | u128::from(low)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arbitrary::Source;

    #[test]
    fn the_layout_is_that_of_rfc_9562_appendix_a6() {
        // The appendix has 017F22E2-79B0-7CC3-98C4-DC0C0C07398F. No microsecond has the fraction 0xCC3 (the nearest
        // are 0xCC0 and 0xCC4), so those 12 bits come from microsecond 797; every other bit is the appendix's.
        let random = 0x18C4_DC0C_0C07_398F_u64.to_be_bytes();
        let id = u128::from_be_bytes(v7_bytes(0x017F_22E2_79B0 * 1000 + 797, random));
        assert_eq!(id, 0x017F_22E2_79B0_7CC0_98C4_DC0C_0C07_398F);
    }

    #[test]
    fn version_and_variant_are_set_whatever_the_input() {
        let mut source = Source::new(3);
        for _ in 0..10_000 {
            let id = v7_bytes(source.number(), source.number().to_be_bytes());
            assert_eq!(id[6] >> 4, 7);
            assert_eq!(id[8] >> 6, 0b10);
        }
        assert_eq!(v7_bytes(0, [0xFF; 8])[..8], [0, 0, 0, 0, 0, 0, 0x70, 0]);
        assert_eq!(
            v7_bytes(0, [0xFF; 8])[8..],
            [0xBF, 255, 255, 255, 255, 255, 255, 255]
        );
    }

    #[test]
    fn a_later_microsecond_sorts_later() {
        let start = 1_767_225_600_000_000;
        for unix_us in start..start + 3_000 {
            assert!(v7_bytes(unix_us, [0xFF; 8]) < v7_bytes(unix_us + 1, [0; 8]));
        }
    }
}
