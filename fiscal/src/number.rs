//! Prices, quantities and percents: exact decimals, read from the text that was sent.
//!
//! FDMS gives each a size (docs/FDMS.md section 5): price and quantity decimal(25,6), percent (5,2). The
//! gateway's own limits are lower, so that price times quantity can never leave 128-bit integers.

use std::fmt;

use rust_decimal::Decimal;
use serde::{Serialize, Serializer};

use crate::Cents;

/// Digits after the point in a price or a quantity.
pub const MAX_DECIMALS: u32 = 6;
/// Largest price, in whole units of the currency (gateway's limit; FDMS allows 19 digits).
const MAX_PRICE: i128 = 10_i128.pow(13);
/// Largest quantity (gateway's limit).
const MAX_QUANTITY: i128 = 10_i128.pow(12);

/// Why a text is not the number that was wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// Not a JSON number: a comma, letters, white space.
    #[error("is not a number; write digits with a point, like 12.50")]
    NotANumber,
    /// Not a whole number from zero on, where one is needed.
    #[error("is not a whole number; write digits only, like 517")]
    NotAnInteger,
    /// More digits after the point than the field has.
    #[error("has more than {0} digits after the point")]
    TooManyDecimals(u32),
    /// Beyond the largest value.
    #[error("is too large")]
    TooLarge,
    /// Below zero where that makes no sense.
    #[error("is below zero")]
    Negative,
}

/// Reads a JSON number's text exactly. Exponents are understood; trailing zeros do not count.
///
/// # Errors
/// The text is no number, has more than `max_decimals` digits after the point, or does not fit 27 digits.
pub fn parse_exact(text: &str, max_decimals: u32) -> Result<Decimal, NumberError> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
        None => (rest, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let is_digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) {
        return Err(NumberError::NotANumber);
    }
    let digits: String = [whole, fraction].concat();
    let significant = digits.trim_start_matches('0').trim_end_matches('0');
    if significant.is_empty() {
        return Ok(Decimal::ZERO);
    }
    let trailing = digits.len() - digits.trim_end_matches('0').len();
    let point = i64::try_from(fraction.len()).unwrap_or(i64::MAX)
        - exponent
        - i64::try_from(trailing).unwrap_or(i64::MAX);
    if point > i64::from(max_decimals) {
        return Err(NumberError::TooManyDecimals(max_decimals));
    }
    let zeros = usize::try_from(-point).unwrap_or(0);
    if significant.len().saturating_add(zeros) > 27 {
        return Err(NumberError::TooLarge);
    }
    let mut number: i128 = significant.parse().map_err(|_| NumberError::TooLarge)?;
    for _ in 0..zeros {
        number *= 10;
    }
    let scale = u32::try_from(point).unwrap_or(0);
    Ok(Decimal::from_i128_with_scale(
        if negative { -number } else { number },
        scale,
    ))
}

fn parse_exponent(text: &str) -> Result<i64, NumberError> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(NumberError::NotANumber);
    }
    if digits.len() > 4 {
        return Err(NumberError::TooLarge);
    }
    let value: i64 = digits.parse().map_err(|_| NumberError::NotANumber)?;
    Ok(if text.starts_with('-') { -value } else { value })
}

/// Divides, rounding half away from zero: the rounding that FDMS's checks expect (docs/FDMS.md section 5).
/// `divisor` is positive.
#[must_use]
pub fn divide_half_away(dividend: i128, divisor: i128) -> i128 {
    let quotient = dividend / divisor;
    let rest = dividend % divisor;
    if rest.abs() * 2 >= divisor {
        quotient + rest.signum()
    } else {
        quotient
    }
}

macro_rules! decimal_type {
    ($(#[$meta:meta])* $name:ident, $limit:expr) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Decimal);

        impl $name {
            /// Reads the exact text of a number.
            ///
            /// # Errors
            /// No number, more than six digits after the point, or beyond the gateway's limit.
            pub fn parse(text: &str) -> Result<Self, NumberError> {
                let value = parse_exact(text, MAX_DECIMALS)?;
                if value.abs() >= Decimal::from_i128_with_scale($limit, 0) {
                    return Err(NumberError::TooLarge);
                }
                Ok(Self(value))
            }

            /// The exact value.
            #[must_use]
            pub fn value(self) -> Decimal {
                self.0
            }

            /// The value with the other sign; zero stays zero, never `-0`.
            #[must_use]
            pub fn negated(self) -> Self {
                if self.0.is_zero() { self } else { Self(-self.0) }
            }

            /// -1, 0 or 1.
            #[must_use]
            pub fn signum(self) -> i32 {
                if self.0.is_zero() {
                    0
                } else if self.0.is_sign_negative() {
                    -1
                } else {
                    1
                }
            }
        }

        /// Digits with a point, no trailing zeros: what the JSON for FDMS carries.
        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0.normalize(), formatter)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}

decimal_type!(
    /// The price of one unit, negative on credit notes and discounts, up to six digits after the point.
    Price,
    MAX_PRICE
);
decimal_type!(
    /// How many or how much was sold, up to six digits after the point.
    Quantity,
    MAX_QUANTITY
);

impl Quantity {
    /// One piece.
    pub const ONE: Self = Self(Decimal::ONE);

    /// The sum, or the largest quantity when it would not fit.
    #[must_use]
    pub fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The quantity of nothing.
    pub const ZERO: Self = Self(Decimal::ZERO);
}

impl Price {
    /// Price times quantity in cents, rounded half away from zero (docs/FDMS.md section 5).
    ///
    /// # Errors
    /// The result is beyond the largest amount.
    pub fn times(self, quantity: Quantity) -> Result<Cents, NumberError> {
        // Both mantissas are below 10^19 and 10^18: the product fits 128 bits.
        let product = self
            .0
            .mantissa()
            .checked_mul(quantity.0.mantissa())
            .ok_or(NumberError::TooLarge)?;
        let scale = self.0.scale() + quantity.0.scale();
        let cents = if scale > 2 {
            divide_half_away(product, 10_i128.pow(scale - 2))
        } else {
            product
                .checked_mul(10_i128.pow(2 - scale))
                .ok_or(NumberError::TooLarge)?
        };
        Cents::from_i128(cents).ok_or(NumberError::TooLarge)
    }
}

/// A tax percent in hundredths: `15.5 %` is 1550. Exempt has no percent at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent(u32);

impl Percent {
    /// Zero-rated.
    pub const ZERO: Self = Self(0);

    /// Reads the exact text of a number from 0 to 999.99 with at most two digits after the point.
    ///
    /// # Errors
    /// The text is no such number.
    pub fn parse(text: &str) -> Result<Self, NumberError> {
        let value = parse_exact(text, 2)?;
        if value.is_sign_negative() && !value.is_zero() {
            return Err(NumberError::Negative);
        }
        let hundredths = value.mantissa() * 10_i128.pow(2 - value.scale());
        match u32::try_from(hundredths) {
            Ok(hundredths) if hundredths < 100_000 => Ok(Self(hundredths)),
            _ => Err(NumberError::TooLarge),
        }
    }

    /// A percent from its hundredths; `None` from 1000 % on.
    #[must_use]
    pub fn from_hundredths(hundredths: u32) -> Option<Self> {
        (hundredths < 100_000).then_some(Self(hundredths))
    }

    /// In hundredths of a percent.
    #[must_use]
    pub fn hundredths(self) -> u32 {
        self.0
    }

    /// With two digits after the point, as in signing strings: `15.50`.
    #[must_use]
    pub fn fixed(self) -> String {
        format!("{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

/// Without trailing zeros: `15.5`, `15`.
impl fmt::Display for Percent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 100, self.0 % 100);
        match rest {
            0 => write!(formatter, "{whole}"),
            rest if rest % 10 == 0 => write!(formatter, "{whole}.{}", rest / 10),
            rest => write!(formatter, "{whole}.{rest:02}"),
        }
    }
}

impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Numbers are read exactly, and what is no number is refused with its reason.
    #[test]
    fn exact_reading() {
        let read = |text: &str| parse_exact(text, 6).map(|d| d.normalize().to_string());
        assert_eq!(read("0.10"), Ok("0.1".into()));
        assert_eq!(read("1.5e2"), Ok("150".into()));
        assert_eq!(read("25e-1"), Ok("2.5".into()));
        assert_eq!(read("-0"), Ok("0".into()));
        assert_eq!(read("1.000000000"), Ok("1".into()));
        assert_eq!(read("1,20"), Err(NumberError::NotANumber));
        assert_eq!(read(""), Err(NumberError::NotANumber));
        assert_eq!(read(".5"), Err(NumberError::NotANumber));
        assert_eq!(read("1e400"), Err(NumberError::TooLarge));
        assert_eq!(read("1e99999999999"), Err(NumberError::TooLarge));
        assert_eq!(read("0.0000001"), Err(NumberError::TooManyDecimals(6)));
        assert_eq!(read("NaN"), Err(NumberError::NotANumber));
        // At the limits of digits and exponents.
        let nines = "9".repeat(27);
        assert_eq!(read(&nines), Ok(nines.clone()));
        assert_eq!(read(&format!("{nines}9")), Err(NumberError::TooLarge));
        assert_eq!(read("9e26"), Ok(format!("9{}", "0".repeat(26))));
        assert_eq!(read("9e27"), Err(NumberError::TooLarge));
        assert_eq!(read("1e0002"), Ok("100".into()));
        assert_eq!(read("1e+2"), Ok("100".into()));
        for text in ["1e", "1e+", "1e+-2", "1e-+2", "1e2.0", "--1", "1.", "1.2.3"] {
            assert_eq!(read(text), Err(NumberError::NotANumber), "{text}");
        }
    }

    /// A percent is printed as short as it can be, and signed with two digits; 1000 is none any more.
    #[test]
    fn percents() {
        for (hundredths, short, fixed) in [
            (0, "0", "0.00"),
            (5, "0.05", "0.05"),
            (505, "5.05", "5.05"),
            (1500, "15", "15.00"),
            (1525, "15.25", "15.25"),
            (1550, "15.5", "15.50"),
            (99_999, "999.99", "999.99"),
        ] {
            let percent = Percent::from_hundredths(hundredths).unwrap();
            assert_eq!(percent.to_string(), short);
            assert_eq!(percent.fixed(), fixed);
            assert_eq!(Percent::parse(short), Ok(percent));
            assert_eq!(percent.hundredths(), hundredths);
        }
        assert_eq!(Percent::from_hundredths(100_000), None);
        assert_eq!(Percent::parse("1000"), Err(NumberError::TooLarge));
        assert_eq!(Percent::parse("-0.01"), Err(NumberError::Negative));
        assert_eq!(Percent::parse("-0"), Ok(Percent::ZERO));
    }

    /// Halves go away from zero, on both sides of it.
    #[test]
    fn halves_go_away_from_zero() {
        let total = |price: &str, quantity: &str| {
            Price::parse(price)
                .unwrap()
                .times(Quantity::parse(quantity).unwrap())
                .unwrap()
                .to_string()
        };
        assert_eq!(total("0.125", "1"), "0.13");
        assert_eq!(total("-0.125", "1"), "-0.13");
        assert_eq!(total("1081.08", "0.555"), "600.00");
        assert_eq!(total("2.5974", "100"), "259.74");
        assert_eq!(total("0.004", "1"), "0.00");
    }

    /// Zero has no sign, whatever was done to it: FDMS is never sent `-0`.
    #[test]
    fn zero_has_no_sign() {
        let zero = Price::parse("-0.00").unwrap();
        assert_eq!(zero.to_string(), "0");
        assert_eq!(zero.negated().to_string(), "0");
    }

    proptest! {
        /// What is printed is read back as the same number.
        #[test]
        fn print_and_parse_round_trip(mantissa in -9_999_999_999_999_i64..9_999_999_999_999, scale in 0_u32..=6) {
            let text = Decimal::new(mantissa, scale).to_string();
            let price = Price::parse(&text).unwrap();
            prop_assert_eq!(Price::parse(&price.to_string()).unwrap(), price);
        }

        /// The product in cents is never further than half a cent from the exact one.
        #[test]
        fn product_is_nearest_cent(price in -999_999_999_i64..999_999_999, quantity in 1_i64..999_999_999) {
            let p = Price(Decimal::new(price, 6));
            let q = Quantity(Decimal::new(quantity, 6));
            let cents = i128::from(p.times(q).unwrap().get());
            let exact = i128::from(price) * i128::from(quantity);
            prop_assert!((cents * 10_i128.pow(10) - exact).abs() * 2 <= 10_i128.pow(10));
        }
    }
}
