//! Commands and answers, freed of any frame.

use rust_decimal::Decimal;

use super::{
    Adjust, Closed, Customer, DateTime, Identity, Paid, Report, Sale, Storno, TaxRate, Totals,
};

/// Who opens a receipt, and where.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Opening {
    /// Number of the operator. Passwords are not looked at: who may use the port is the gateway's business.
    pub operator: String,
    /// Number of the till.
    pub till: String,
    /// The software's own number of the sale.
    pub sale_no: Option<String>,
    /// An invoice is asked for.
    pub invoice: bool,
}

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Opens a service receipt.
    ServiceOpen,
    /// A line of the service receipt.
    ServiceText(String),
    /// Prints the service receipt.
    ServiceClose,
    /// Opens a sale.
    Open(Opening),
    /// Opens a storno.
    OpenStorno(Opening, Storno),
    /// Registers a sale.
    Sale(Sale),
    /// Asks for the subtotal, with a discount or surcharge on it; and whether the customer sees it.
    Subtotal {
        /// Discount or surcharge.
        adjust: Option<Adjust>,
        /// Shown on the display.
        display: bool,
    },
    /// Pays.
    Pay {
        /// Payment code.
        code: String,
        /// `None`: all that is due.
        amount: Option<Decimal>,
        /// A line printed with it.
        text: Option<String>,
    },
    /// A free line of the fiscal receipt.
    Text(String),
    /// A free line of whatever receipt is open.
    Line(String),
    /// Tells who the customer is.
    Customer(Customer),
    /// Closes the receipt; `pay` pays what is due in cash first.
    Close {
        /// The code that what is due is paid by before the close.
        pay: Option<String>,
    },
    /// Gives the receipt up.
    Cancel,
    /// Prints the sums of the day.
    XReport,
    /// Closes the day.
    ZReport,
    /// Asks how we are.
    Status,
    /// Asks for the state of the open receipt.
    Transaction,
    /// Asks who we are.
    Identity,
    /// Asks for the date and time.
    Clock,
    /// Wants to set the clock; refused, the time is trusted.
    SetClock,
    /// Asks for the tax rates.
    TaxRates,
    /// Asks for the taxpayer's number.
    Taxpayer,
    /// Asks for sums by tax of the open receipt.
    Sums,
    /// Opens the drawer.
    Drawer,
    /// Prints the last receipt as a copy.
    Duplicate,
    /// Asks for the day's payments.
    Payments,
    /// Asks for the number of the last document.
    LastDocument,
    /// Asks for the QR code of the last receipt.
    LastQr,
    /// Shows text to the customer.
    Display {
        /// Upper line.
        upper: Option<String>,
        /// Lower line.
        lower: Option<String>,
    },
}

impl Request {
    /// Whether the command changes what is kept, or does something in the shop.
    #[must_use]
    pub fn changes(&self) -> bool {
        match self {
            Self::ServiceOpen
            | Self::ServiceText(_)
            | Self::ServiceClose
            | Self::Open(_)
            | Self::OpenStorno(..)
            | Self::Sale(_)
            | Self::Pay { .. }
            | Self::Text(_)
            | Self::Line(_)
            | Self::Customer(_)
            | Self::Close { .. }
            | Self::Cancel
            | Self::XReport
            | Self::ZReport
            | Self::Drawer
            | Self::Duplicate => true,
            Self::Subtotal { adjust, .. } => adjust.is_some(),
            Self::Status
            | Self::Transaction
            | Self::Identity
            | Self::Clock
            | Self::SetClock
            | Self::TaxRates
            | Self::Taxpayer
            | Self::Sums
            | Self::Payments
            | Self::LastDocument
            | Self::LastQr
            | Self::Display { .. } => false,
        }
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Done; nothing to tell.
    Done,
    /// A receipt was opened; counters before it.
    Opened(Totals),
    /// A service receipt was opened or printed; counters.
    Service(Totals),
    /// A subtotal, and sums by tax letter `A` to `H`.
    Subtotal(Decimal, [Decimal; 8]),
    /// A payment was taken.
    Paid(Paid),
    /// The receipt is closed.
    Closed(Closed),
    /// A report.
    Report(Report),
    /// State of the open receipt.
    Transaction {
        /// Whether a fiscal receipt is open.
        open: bool,
        /// Whether it is a storno.
        storno: bool,
        /// Sales in it.
        items: usize,
        /// What it comes to.
        amount: Decimal,
        /// What was paid.
        paid: Decimal,
        /// Sums by tax letter.
        taxes: [Decimal; 8],
        /// Whether an invoice was asked for.
        invoice: bool,
        /// Whether a sale can still be taken back.
        can_void: bool,
        /// Fiscal receipts so far.
        fiscal: u64,
    },
    /// Who we are.
    Identity(Identity),
    /// The date and time.
    Clock(DateTime),
    /// The tax rates.
    TaxRates(Vec<TaxRate>),
    /// Counters and sums of the day.
    Totals(Totals),
    /// The receipt closed last, if there is one.
    Last(Option<Closed>),
}
