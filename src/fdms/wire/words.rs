//! FDMS's words: enumerations that it writes as text, each with a place for words yet unknown.

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $first:literal $(| $more:literal)*),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
            /// A word that this version does not know, as FDMS wrote it.
            Other(String),
        }

        impl $name {
            /// The word as FDMS writes it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $first,)+
                    Self::Other(word) => word,
                }
            }
        }

        impl From<&str> for $name {
            fn from(word: &str) -> Self {
                $(
                    if [$first $(, $more)*].iter().any(|known| known.eq_ignore_ascii_case(word)) {
                        return Self::$variant;
                    }
                )+
                Self::Other(word.to_owned())
            }
        }
    };
}

words! {
    /// State of the fiscal day at FDMS (docs/FDMS.md section 4).
    DayStatus {
        /// No day is open.
        Closed = "FiscalDayClosed",
        /// A day is open.
        Opened = "FiscalDayOpened",
        /// FDMS is checking a close.
        CloseInitiated = "FiscalDayCloseInitiated",
        /// A close was refused; receipts and closing are possible.
        CloseFailed = "FiscalDayCloseFailed",
    }
}
words! {
    /// How the last day was closed.
    ReconciliationMode {
        /// By the device.
        Auto = "Auto",
        /// By hand, in the portal or by an officer.
        Manual = "Manual",
    }
}
words! {
    /// Whether a device sends receipts one by one or in files.
    OperatingMode {
        /// One by one.
        Online = "Online",
        /// In files.
        Offline = "Offline",
    }
}
words! {
    /// Why a close failed; FDMS names the first that applies, in this order.
    ClosingError {
        /// The signature over the day does not verify.
        BadCertificateSignature = "BadCertificateSignature",
        /// A receipt has a gap before it (Grey).
        MissingReceipts = "MissingReceipts",
        /// A receipt is Red: only a close by hand is left.
        ReceiptsWithValidationErrors = "ReceiptsWithValidationErrors",
        /// FDMS adds up other counters than were sent.
        CountersMismatch = "CountersMismatch",
        /// FDMS's own fault.
        InternalError = "InternalError",
    }
}
words! {
    /// Colour of a validation error (docs/FDMS.md section 4).
    Color {
        /// A gap before the receipt: curable.
        Grey = "Grey" | "Gray",
        /// Harmless.
        Yellow = "Yellow",
        /// The day can be closed by hand only.
        Red = "Red",
    }
}
