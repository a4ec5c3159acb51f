//! Money: whole cents in a 64-bit integer, never a float.

use std::fmt;
use std::iter::Sum;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::number::{NumberError, parse_exact};

/// An amount in cents (hundredths of the currency's unit), with sign.
///
/// No single amount is larger than [`Cents::MAX`], so that the sum of a receipt's rows and of a day's
/// receipts cannot overflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Cents(i64);

impl Cents {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The largest single amount: ten million million (gateway's limit; FDMS allows 19 digits).
    pub const MAX: Self = Self(1_000_000_000_000_000);

    /// An amount from whole cents.
    #[must_use]
    pub const fn new(cents: i64) -> Self {
        Self(cents)
    }

    /// An amount from a wide integer; `None` beyond [`Cents::MAX`].
    #[must_use]
    pub fn from_i128(cents: i128) -> Option<Self> {
        let cents = i64::try_from(cents).ok()?;
        (cents.abs() <= Self::MAX.0).then_some(Self(cents))
    }

    /// Reads the exact text of a number with at most two digits after the point.
    ///
    /// # Errors
    /// The text is no number, has fractions of a cent, or is too large.
    pub fn parse(text: &str) -> Result<Self, NumberError> {
        let value = parse_exact(text, 2)?;
        let cents = value.mantissa() * 10_i128.pow(2 - value.scale());
        Self::from_i128(cents).ok_or(NumberError::TooLarge)
    }

    /// The amount in cents.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// -1, 0 or 1.
    #[must_use]
    pub const fn signum(self) -> i64 {
        self.0.signum()
    }

    /// The amount with the other sign; zero stays zero.
    #[must_use]
    pub const fn negated(self) -> Self {
        Self(-self.0)
    }

    /// The amount without its sign.
    #[must_use]
    pub const fn abs(self) -> Self {
        Self(self.0.abs())
    }

    /// With thousands commas, as reports print it: `1,234.50`.
    #[must_use]
    pub fn grouped(self) -> String {
        let plain = self.abs().to_string();
        let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, "00"));
        let mut out = String::new();
        if self.0 < 0 {
            out.push('-');
        }
        for (place, digit) in whole.chars().enumerate() {
            if place > 0 && (whole.len() - place).is_multiple_of(3) {
                out.push(',');
            }
            out.push(digit);
        }
        out.push('.');
        out.push_str(fraction);
        out
    }
}

impl std::ops::Add for Cents {
    type Output = Self;

    /// Saturates: sums of amounts within [`Cents::MAX`] cannot reach that far.
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl std::ops::AddAssign for Cents {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl std::ops::Sub for Cents {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Sum for Cents {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, |sum, amount| sum + amount)
    }
}

/// Always two digits after the point: `12.30`, `-0.05`; never `-0.00`.
impl fmt::Display for Cents {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (whole, rest) = (self.0.unsigned_abs() / 100, self.0.unsigned_abs() % 100);
        if formatter.width().is_none() && formatter.precision().is_none() {
            return write!(formatter, "{sign}{whole}.{rest:02}");
        }
        formatter.pad(&format!("{sign}{whole}.{rest:02}"))
    }
}

/// As text, so that no reader makes a float of it; numbers for FDMS are written by [`crate::wire`].
impl Serialize for Cents {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cents {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Money is printed with two digits and never as minus zero.
    #[test]
    fn printing() {
        assert_eq!(Cents::new(-5).to_string(), "-0.05");
        assert_eq!(Cents::new(0).negated().to_string(), "0.00");
        assert_eq!(Cents::new(123_456_789).grouped(), "1,234,567.89");
        assert_eq!(Cents::new(-100_000).grouped(), "-1,000.00");
        assert_eq!(Cents::new(99_999).grouped(), "999.99");
        assert_eq!(Cents::ZERO.grouped(), "0.00");
    }

    /// The other sign, twice, is the amount again; an amount travels as text, never as a float.
    #[test]
    fn signs_and_text() {
        let amount = Cents::new(-1250);
        assert_eq!(amount.negated(), Cents::new(1250));
        assert_eq!(amount.negated().negated(), amount);
        assert_eq!(amount.abs(), Cents::new(1250));
        let json = serde_json::to_string(&amount).unwrap();
        assert_eq!(json, "\"-12.50\"");
        assert_eq!(serde_json::from_str::<Cents>(&json).unwrap(), amount);
        assert!(serde_json::from_str::<Cents>("\"12.505\"").is_err());
    }

    /// Fractions of a cent and huge amounts are refused.
    #[test]
    fn refusals() {
        assert_eq!(Cents::parse("0.001"), Err(NumberError::TooManyDecimals(2)));
        assert_eq!(Cents::parse("1e30"), Err(NumberError::TooLarge));
        assert_eq!(
            Cents::parse("10000000000000.01"),
            Err(NumberError::TooLarge)
        );
        assert_eq!(Cents::parse("1e-2"), Ok(Cents::new(1)));
    }

    proptest! {
        /// What is printed is read back as the same amount.
        #[test]
        fn print_and_parse_round_trip(cents in -1_000_000_000_000_000_i64..=1_000_000_000_000_000) {
            let amount = Cents::new(cents);
            prop_assert_eq!(Cents::parse(&amount.to_string()).unwrap(), amount);
        }
    }
}
