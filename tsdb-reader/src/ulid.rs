//! ULIDs: the names of blocks.
//!
//! ```text
//! ┌──────────────────────────────────┬─────────────────────────────────┐
//! │ milliseconds since the epoch u48 │ random u80                      │   26 characters of Crockford's base 32
//! └──────────────────────────────────┴─────────────────────────────────┘
//! ```
//! Checked: 26 characters, all of the alphabet (lower case too), no more than 128 bits.
//! Sorting ULIDs sorts by the time they were made: when the block was *written*, not what it holds.
//! Defined in <https://github.com/ulid/spec>.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A block's id.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ulid([u8; 16]);

/// Why a string is no ULID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UlidError {
    /// Not 26 bytes.
    #[error("a ULID has 26 characters, found {found}")]
    Length {
        /// Bytes found.
        found: usize,
    },
    /// A character outside Crockford's base 32.
    #[error("character {at} of a ULID is not one of 0-9 A-Z without I, L, O, U")]
    Character {
        /// Its position, from 1.
        at: usize,
    },
    /// The first character is above 7.
    #[error("a ULID of more than 128 bits")]
    Overflow,
}

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

impl Ulid {
    /// Length of the text form.
    pub const TEXT_LEN: usize = 26;

    /// The id with these bits.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 128 bits, most significant first.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// When the id was made, in milliseconds since the epoch.
    pub fn timestamp_ms(self) -> u64 {
        let [a, b, c, d, e, f, ..] = self.0;
        u64::from_be_bytes([0, 0, a, b, c, d, e, f])
    }

    /// True for the id of zeros, which stands for head data among the parents of some blocks.
    pub fn is_zero(self) -> bool {
        self.0 == [0; 16]
    }

    /// Parses the 26 characters of a ULID and nothing else.
    pub fn parse(text: &[u8]) -> Result<Self, UlidError> {
        if text.len() != Self::TEXT_LEN {
            return Err(UlidError::Length { found: text.len() });
        }
        let mut bits = 0u128;
        for (at, character) in text.iter().enumerate() {
            let upper = character.to_ascii_uppercase();
            let digit = ALPHABET.iter().position(|known| *known == upper);
            let digit = digit.ok_or(UlidError::Character { at: at + 1 })?;
            if at == 0 && digit > 7 {
                return Err(UlidError::Overflow);
            }
            bits = (bits << 5) | digit as u128;
        }
        Ok(Self(bits.to_be_bytes()))
    }
}

impl FromStr for Ulid {
    type Err = UlidError;

    fn from_str(text: &str) -> Result<Self, UlidError> {
        Self::parse(text.as_bytes())
    }
}

impl fmt::Display for Ulid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = u128::from_be_bytes(self.0);
        for digit in (0..Self::TEXT_LEN).rev() {
            let value = (bits >> (5 * digit)) as usize & 31;
            let character = ALPHABET.get(value).copied().unwrap_or(b'0');
            write!(f, "{}", char::from(character))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Ulid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Ulid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Ulid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips_and_lower_case_is_accepted() {
        for text in ["00000000000000000000000000", "01HF0000000000000000000001", "7ZZZZZZZZZZZZZZZZZZZZZZZZZ"]
        {
            let ulid: Ulid = text.parse().unwrap();
            assert_eq!(ulid.to_string(), text);
            assert_eq!(text.to_lowercase().parse(), Ok(ulid));
            assert_eq!(Ulid::from_bytes(ulid.to_bytes()), ulid);
        }
        assert!(Ulid::default().is_zero());
    }

    #[test]
    fn time_is_the_first_ten_characters() {
        let ulid: Ulid = "01ARYZ6S41TSV4RRFFQ69G5FAV".parse().unwrap();
        assert_eq!(ulid.timestamp_ms(), 1_469_918_176_385);
    }

    #[test]
    fn strings_that_are_no_ulid_say_why() {
        let error = |text: &str| text.parse::<Ulid>().unwrap_err();
        assert_eq!(error("wal"), UlidError::Length { found: 3 });
        assert_eq!(error("01HF0000000000000000000001.tmp"), UlidError::Length { found: 30 });
        assert_eq!(error("01HF000000000000000000000I"), UlidError::Character { at: 26 });
        assert_eq!(error("01HF0000000000000000000é1"), UlidError::Character { at: 24 });
        assert_eq!(error("80000000000000000000000000"), UlidError::Overflow);
    }

    #[test]
    fn order_is_that_of_the_text() {
        let texts =
            ["01HF0000000000000000000001", "01HF0000000000000000000002", "01HG0000000000000000000000"];
        let ulids: Vec<Ulid> = texts.iter().map(|text| text.parse().unwrap()).collect();
        assert!(ulids.is_sorted());
    }
}
