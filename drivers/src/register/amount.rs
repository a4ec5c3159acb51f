//! Sums and quantities: exact decimals from the text that was sent, and back.

use rust_decimal::{Decimal, RoundingStrategy};

use super::{Refusal, RefusalClass};

/// Largest sum of a receipt: ten digits, two of them after the point.
pub const MAX_SUM: Decimal = Decimal::from_parts(1_410_065_407, 2, 0, false, 2);
/// Most digits of any number that is read.
const MAX_DIGITS: usize = 14;

/// Reads a number: digits with a sign and a point, nothing else.
///
/// # Errors
/// It is no number, or has more than `decimals` digits after the point.
pub fn parse(text: &str, decimals: u32) -> Result<Decimal, Refusal> {
    let bad = || Refusal::syntax(format!("{text:?} is no number with {decimals} decimals"));
    let text = text.trim();
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if !is_digits(whole)
        || !is_digits(fraction)
        || digits.len() > MAX_DIGITS
        || whole.len() + fraction.len() == 0
        || fraction.trim_end_matches('0').len() > usize::try_from(decimals).unwrap_or(0)
    {
        return Err(bad());
    }
    let mut number = 0_i64;
    for digit in whole.bytes().chain(fraction.bytes()) {
        number = number * 10 + i64::from(digit - b'0');
    }
    let scale = u32::try_from(fraction.len()).unwrap_or(0);
    let number = Decimal::new(
        if text.starts_with('-') {
            -number
        } else {
            number
        },
        scale,
    );
    Ok(number.normalize())
}

/// Rounds to cents, halves away from zero.
#[must_use]
pub fn cents(number: Decimal) -> Decimal {
    number.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero)
}

/// Price times quantity in cents.
///
/// # Errors
/// It does not fit ten digits.
pub fn product(price: Decimal, quantity: Decimal) -> Result<Decimal, Refusal> {
    let product = price.checked_mul(quantity).map(cents);
    product
        .ok_or_else(overflow)
        .and_then(|sum| fits(sum).map(|()| sum))
}

/// Checks that a sum fits ten digits.
///
/// # Errors
/// It does not.
pub fn fits(sum: Decimal) -> Result<(), Refusal> {
    if sum.abs() > MAX_SUM {
        return Err(overflow());
    }
    Ok(())
}

fn overflow() -> Refusal {
    Refusal::new(RefusalClass::Overflow, "a sum has more than ten digits")
}

/// Shares a sum of whole cents out in proportion to weights, to the cent: the shares add up to it. Weights
/// of zero or less get nothing; without any weight nothing is shared.
#[must_use]
pub fn share(sum: Decimal, weights: &[Decimal]) -> Vec<Decimal> {
    let positive = |w: &Decimal| (*w).max(Decimal::ZERO);
    let whole: Decimal = weights.iter().map(positive).sum();
    if whole.is_zero() {
        return vec![Decimal::ZERO; weights.len()];
    }
    let cent = Decimal::new(if sum.is_sign_negative() { -1 } else { 1 }, 2);
    let mut rests = Vec::with_capacity(weights.len());
    let mut shares = Vec::with_capacity(weights.len());
    for (at, weight) in weights.iter().enumerate() {
        let exact = sum * positive(weight) / whole;
        let down = exact.trunc_with_scale(2);
        rests.push(((exact - down).abs(), at));
        shares.push(down);
    }
    rests.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    let mut left = sum - shares.iter().sum::<Decimal>();
    for (_, at) in rests.iter().cycle().take(weights.len() * 2) {
        let heavy = weights.get(*at).is_some_and(|w| *w > Decimal::ZERO);
        if let (false, true, Some(share)) = (left.is_zero(), heavy, shares.get_mut(*at)) {
            *share += cent;
            left -= cent;
        }
    }
    shares
}

/// Decimals as text, for what is kept.
pub(super) mod as_text {
    use rust_decimal::Decimal;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(number: &Decimal, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(number)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Decimal, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn d(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn the_largest_sum_has_ten_digits() {
        assert_eq!(MAX_SUM, d("99999999.99"));
    }

    #[test]
    fn numbers_are_digits_with_a_point_and_a_sign() {
        assert_eq!(parse("-12.50", 2).unwrap(), d("-12.5"));
        assert_eq!(parse("+3", 2).unwrap(), d("3"));
        assert_eq!(parse("1.500", 2).unwrap(), d("1.5"));
        for bad in [
            "",
            ".",
            "-",
            "1,5",
            "1e3",
            "1.505",
            "0x1",
            "123456789012345",
        ] {
            assert!(parse(bad, 2).is_err(), "{bad}");
        }
    }

    #[test]
    fn shares_add_up_to_the_cent() {
        let shares = share(d("-1.00"), &[d("1"), d("1"), d("1")]);
        assert_eq!(shares, [d("-0.34"), d("-0.33"), d("-0.33")]);
        assert_eq!(share(d("0.05"), &[d("0"), d("-2"), d("7")])[2], d("0.05"));
    }
}
