//! Exact numbers in millionths.
//!
//! Every amount, quantity and percent of FDMS has at most six decimals, so a whole number of millionths
//! holds each of them exactly. Numbers are read from the text of the JSON, digit by digit: no float is
//! ever involved. The arithmetic is the sandbox's own on purpose, so that it can judge a gateway which
//! counts in another way.

use std::borrow::Cow;
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, Neg, Sub};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

const ONE: i128 = 1_000_000;
const CENT: i128 = 10_000;

/// A number of millionths; `Micro::from_cents(150)` is 1.5.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Micro(i128);

/// Why a number's text was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// Not a JSON number at all.
    #[error("not a number")]
    NotANumber,
    /// More digits before or after the point than the field holds.
    #[error("too many digits")]
    TooManyDigits,
}

impl Micro {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// A number of hundredths.
    #[must_use]
    pub const fn from_cents(cents: i64) -> Self {
        Self(cents as i128 * CENT)
    }

    /// A number of millionths.
    #[must_use]
    pub const fn from_micros(micros: i128) -> Self {
        Self(micros)
    }

    /// The number in millionths.
    #[must_use]
    pub const fn micros(self) -> i128 {
        self.0
    }

    /// The number in hundredths, what is below a hundredth cut off.
    #[must_use]
    pub const fn cents(self) -> i128 {
        self.0 / CENT
    }

    /// -1, 0 or 1.
    #[must_use]
    pub const fn signum(self) -> i128 {
        self.0.signum()
    }

    /// The number without its sign.
    #[must_use]
    pub const fn abs(self) -> Self {
        Self(self.0.abs())
    }

    /// Reads a JSON number exactly: at most `digits` digits, `scale` of them after the point.
    ///
    /// # Errors
    /// The text is no JSON number, or the number needs more digits than that. Zeros at the end do not
    /// count, and an exponent is taken for what it means.
    pub fn parse(text: &str, digits: u32, scale: u32) -> Result<Self, NumberError> {
        let decimal = Decimal::read(text).ok_or(NumberError::NotANumber)?;
        decimal.micros(digits, scale).map(Self)
    }

    /// `self × other`, rounded to hundredths, halves away from zero; none when it is beyond all bounds.
    #[must_use]
    pub fn times_to_cents(self, other: Self) -> Option<Self> {
        let product = self.0.checked_mul(other.0)?;
        Self::from_ratio(product, ONE)
    }

    /// `self × numerator / denominator`, rounded once to hundredths, halves away from zero; none when
    /// it is beyond all bounds or the denominator is not positive.
    #[must_use]
    pub fn share_to_cents(self, numerator: Self, denominator: Self) -> Option<Self> {
        let product = self.0.checked_mul(numerator.0)?;
        Self::from_ratio(product, denominator.0)
    }

    /// `micros / divisor` rounded to hundredths.
    fn from_ratio(micros: i128, divisor: i128) -> Option<Self> {
        if divisor <= 0 {
            return None;
        }
        let unit = divisor.checked_mul(CENT)?;
        let (whole, rest) = (micros / unit, micros % unit);
        let up = rest.unsigned_abs().checked_mul(2)? >= unit.unsigned_abs();
        let cents = if up { whole + micros.signum() } else { whole };
        cents.checked_mul(CENT).map(Self)
    }

    /// With two decimals, as in the signing strings' percents: `15.50`.
    #[must_use]
    pub fn two_decimals(self) -> String {
        let cents = self.cents();
        let sign = if cents < 0 { "-" } else { "" };
        format!("{sign}{}.{:02}", cents.abs() / 100, cents.abs() % 100)
    }
}

/// A number as written: `mantissa × 10^-scale`.
struct Decimal {
    negative: bool,
    digits: Vec<u8>,
    scale: i64,
}

impl Decimal {
    /// Takes a text of the JSON grammar apart.
    fn read(text: &str) -> Option<Self> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (number, exponent) = match rest.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, read_exponent(exponent)?),
            None => (rest, 0),
        };
        let (whole, fraction) = match number.split_once('.') {
            Some((_, "")) => return None,
            Some((whole, fraction)) => (whole, fraction),
            None => (number, ""),
        };
        let leading_zero = whole.len() > 1 && whole.starts_with('0');
        if whole.is_empty() || leading_zero || number.len() > 400 {
            return None;
        }
        let mut digits = Vec::with_capacity(number.len());
        for digit in whole.bytes().chain(fraction.bytes()) {
            if !digit.is_ascii_digit() {
                return None;
            }
            digits.push(digit - b'0');
        }
        let scale = i64::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
        Some(Self {
            negative,
            digits,
            scale,
        })
    }

    /// The value in millionths, if it fits decimal(`digits`, `scale`).
    fn micros(mut self, digits: u32, scale: u32) -> Result<i128, NumberError> {
        while self.digits.last() == Some(&0) {
            self.digits.pop();
            self.scale -= 1;
        }
        let first = self.digits.iter().position(|d| *d != 0);
        let Some(first) = first else { return Ok(0) };
        let significant = &self.digits[first..];
        let count = i64::try_from(significant.len()).unwrap_or(i64::MAX);
        let before_point = count - self.scale;
        if self.scale > i64::from(scale) || before_point > i64::from(digits - scale) {
            return Err(NumberError::TooManyDigits);
        }
        // What is left has at most `digits` digits in all, so that nothing below can overflow.
        let mantissa = significant
            .iter()
            .fold(0i128, |sum, d| sum * 10 + i128::from(*d));
        let shift = u32::try_from(6 - self.scale).map_err(|_| NumberError::TooManyDigits)?;
        let micros = 10i128
            .checked_pow(shift)
            .and_then(|power| mantissa.checked_mul(power))
            .ok_or(NumberError::TooManyDigits)?;
        Ok(if self.negative { -micros } else { micros })
    }
}

fn read_exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|d| d.is_ascii_digit()) {
        return None;
    }
    // An exponent too long to count is as good as a huge one.
    let size: i64 = digits.parse().unwrap_or(1 << 40).min(1 << 40);
    Some(if text.starts_with('-') { -size } else { size })
}

impl fmt::Display for Micro {
    /// As short as JSON writes it: `15.5`, `-0.1`, `300`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (whole, rest) = (self.0.abs() / ONE, self.0.abs() % ONE);
        if rest == 0 {
            return write!(f, "{sign}{whole}");
        }
        let fraction = format!("{rest:06}");
        write!(f, "{sign}{whole}.{}", fraction.trim_end_matches('0'))
    }
}

impl fmt::Debug for Micro {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Add for Micro {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Micro {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Neg for Micro {
    type Output = Self;
    fn neg(self) -> Self {
        Self(self.0.saturating_neg())
    }
}

impl Sum for Micro {
    fn sum<I: Iterator<Item = Self>>(numbers: I) -> Self {
        numbers.fold(Self::ZERO, Add::add)
    }
}

impl Serialize for Micro {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.to_string())
            .map_err(serde::ser::Error::custom)?
            .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Micro {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw: Cow<'_, RawValue> = Cow::Owned(Box::<RawValue>::deserialize(deserializer)?);
        Self::parse(raw.get(), 25, 6).map_err(|error| D::Error::custom(format!("{error}: {raw}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(text: &str) -> Result<Micro, NumberError> {
        Micro::parse(text, 21, 2)
    }

    /// Numbers are read exactly, whatever way JSON writes them.
    #[test]
    fn numbers_are_read_from_their_text() {
        assert_eq!(amount("12.34"), Ok(Micro::from_cents(1234)));
        assert_eq!(amount("-40.35"), Ok(Micro::from_cents(-4035)));
        assert_eq!(amount("1.2e2"), Ok(Micro::from_cents(12_000)));
        assert_eq!(amount("1200E-3"), Ok(Micro::from_cents(120)));
        assert_eq!(amount("-0.00"), Ok(Micro::ZERO));
        assert_eq!(amount("0e99999999999999999999"), Ok(Micro::ZERO));
        assert_eq!(
            amount("9999999999999999999.99").map(Micro::cents),
            Ok(999_999_999_999_999_999_999)
        );
        assert_eq!(
            Micro::parse("2.5974", 25, 6),
            Ok(Micro::from_micros(2_597_400))
        );
    }

    /// What does not fit the field, and what is no number, is refused.
    #[test]
    fn misfits_are_refused() {
        for text in ["12.345", "1e400", "10000000000000000000", "1e-3"] {
            assert_eq!(amount(text), Err(NumberError::TooManyDigits), "{text}");
        }
        for text in [
            "", "-", "1.", ".5", "01", "1,20", "NaN", "\"1\"", "1e", "true", "+1",
        ] {
            assert_eq!(amount(text), Err(NumberError::NotANumber), "{text}");
        }
    }

    /// Halves go away from zero, and only once per product.
    #[test]
    fn rounding_is_half_away_from_zero() {
        let exclusive = |sum: &str, percent: &str| {
            let percent = Micro::parse(percent, 5, 2).unwrap();
            let hundred = Micro::from_cents(10_000);
            amount(sum).unwrap().share_to_cents(percent, hundred)
        };
        assert_eq!(exclusive("259.74", "15.5"), Some(Micro::from_cents(4026)));
        assert_eq!(exclusive("0.30", "15"), Some(Micro::from_cents(5)));
        assert_eq!(exclusive("-0.30", "15"), Some(Micro::from_cents(-5)));
        let price = Micro::parse("0.005", 25, 6).unwrap();
        let one = Micro::from_cents(100);
        assert_eq!(price.times_to_cents(one), Some(Micro::from_cents(1)));
        let huge = Micro::parse("9999999999999999999", 25, 6).unwrap();
        assert_eq!(huge.times_to_cents(huge), None);
    }

    /// Numbers are written as short as they can be, percents of signing strings with two decimals.
    #[test]
    fn numbers_are_written_short() {
        assert_eq!(Micro::from_cents(1550).to_string(), "15.5");
        assert_eq!(Micro::from_cents(-10).to_string(), "-0.1");
        assert_eq!(Micro::from_cents(30_000).to_string(), "300");
        assert_eq!(Micro::from_cents(1550).two_decimals(), "15.50");
        assert_eq!(Micro::from_cents(-5).two_decimals(), "-0.05");
        let json = serde_json::to_string(&[Micro::from_cents(1550)]).unwrap();
        assert_eq!(json, "[15.5]");
        let back: Vec<Micro> = serde_json::from_str(&json).unwrap();
        assert_eq!(back, [Micro::from_cents(1550)]);
    }
}
