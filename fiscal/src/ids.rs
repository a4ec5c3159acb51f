//! Names and numbers that FDMS gives meaning to, as types that cannot be mixed up.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! number_type {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(u32);

        impl $name {
            /// The number zero: none yet.
            pub const ZERO: Self = Self(0);

            /// The number as a type; FDMS's integers are 32 bits with sign, so half of `u32` is refused.
            #[must_use]
            pub const fn new(number: u32) -> Option<Self> {
                if number <= i32::MAX as u32 { Some(Self(number)) } else { None }
            }

            /// The plain number.
            #[must_use]
            pub const fn get(self) -> u32 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, formatter)
            }
        }
    };
}

number_type!(
    /// A fiscal device's number at FDMS (`deviceID`).
    DeviceId
);
number_type!(
    /// A receipt's number for the whole life of the device (`receiptGlobalNo`), from 1.
    ReceiptGlobalNo
);
number_type!(
    /// A receipt's number within its fiscal day (`receiptCounter`), from 1.
    ReceiptCounter
);
number_type!(
    /// The number of a fiscal day (`fiscalDayNo`), from 1.
    FiscalDayNo
);
number_type!(
    /// A tax's number (`taxID`); they differ per taxpayer and environment (docs/FDMS.md section 5).
    TaxId
);

macro_rules! next_number {
    ($($name:ident),*) => {$(
        impl $name {
            /// The number after this one; the last 32-bit number has none after it and is repeated,
            /// which the rules then refuse.
            #[must_use]
            pub const fn next(self) -> Self {
                if self.0 < i32::MAX as u32 { Self(self.0 + 1) } else { self }
            }
        }
    )*};
}
next_number!(ReceiptGlobalNo, ReceiptCounter, FiscalDayNo);

/// A currency's three letters, upper case (ISO 4217).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// United States dollar.
    pub const USD: Self = Self(*b"USD");
    /// Zimbabwe Gold.
    pub const ZWG: Self = Self(*b"ZWG");

    /// Reads three letters; `ZIG`, as POS software often says, is `ZWG` (docs/FDMS.md section 5).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let upper = text.to_ascii_uppercase();
        let letters: [u8; 3] = upper.as_bytes().try_into().ok()?;
        if !letters.iter().all(u8::is_ascii_uppercase) {
            return None;
        }
        Some(if &letters == b"ZIG" {
            Self::ZWG
        } else {
            Self(letters)
        })
    }

    /// The three letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only ASCII letters get in.
        std::str::from_utf8(&self.0).unwrap_or("???")
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl Serialize for Currency {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not a currency's three letters"))
    }
}

macro_rules! word_type {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident),* $(,)? }) => {
        $(#[$meta])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize,
            serde::Deserialize,
        )]
        pub enum $name { $($(#[$vmeta])* $variant),* }

        impl $name {
            /// All values, in FDMS's order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// FDMS's own word.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant)),* }
            }

            /// Reads FDMS's word; case must agree.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text { $(stringify!($variant) => Some(Self::$variant),)* _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.pad(self.as_str())
            }
        }
    };
}
pub(crate) use word_type;

word_type!(
    /// How money was paid (`moneyTypeCode`), in FDMS's order, which orders the counters too.
    MoneyType {
        /// Notes and coins, without the change.
        Cash,
        /// A bank card.
        Card,
        /// A mobile wallet such as EcoCash.
        MobileWallet,
        /// A voucher.
        Coupon,
        /// On account.
        Credit,
        /// A bank transfer.
        BankTransfer,
        /// Anything else.
        Other,
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    /// POS software says ZIG for the currency that FDMS calls ZWG.
    #[test]
    fn zig_is_zwg() {
        assert_eq!(Currency::parse("zig"), Some(Currency::ZWG));
        assert_eq!(Currency::parse("US$"), None);
        assert_eq!(Currency::parse("USDT"), None);
    }

    /// A currency shows its letters wherever it is shown.
    #[test]
    fn currencies_show_their_letters() {
        let zar = Currency::parse("zar").unwrap();
        assert_eq!(format!("{zar} {zar:?} {zar:>5}"), "ZAR ZAR   ZAR");
        assert_eq!(serde_json::to_string(&zar).unwrap(), "\"ZAR\"");
        assert_eq!(serde_json::from_str::<Currency>("\"ZAR\"").unwrap(), zar);
        assert!(serde_json::from_str::<Currency>("\"ZA\"").is_err());
    }

    /// FDMS's integers have 31 bits: the last of them is taken, and has no next one.
    #[test]
    fn the_last_number() {
        let last = ReceiptGlobalNo::new(2_147_483_647).unwrap();
        assert_eq!(last.next(), last);
        assert_eq!(ReceiptGlobalNo::ZERO.next().get(), 1);
        assert_eq!(ReceiptGlobalNo::new(2_147_483_648), None);
    }
}
