//! A sale as it stands on the paper of an old POS.
//!
//! Every number and text carries the place where it stands; nothing is computed, nothing is filled in. What a
//! template adds by itself (what a tax letter means, which currency is usual) is kept apart from what was read.

use rust_decimal::Decimal;

use crate::capture::grid::Span;

/// A text on the paper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// The text, without spaces around it.
    pub text: String,
    /// Where it stands.
    pub at: Span,
}

/// A number on the paper. Its digits are those at its place; its sign may be turned: what is taken off is
/// negative, what is refunded is positive, however the POS writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number {
    /// Its value.
    pub value: Decimal,
    /// Where it stands.
    pub at: Span,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SaleKind {
    /// Goods are sold.
    Sale,
    /// An earlier sale is taken back, in whole or in part.
    Refund,
}

/// What a tax mark means. From the template, not from the paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rate {
    /// Percent; 0 is zero-rated.
    Percent(Decimal),
    /// Exempt.
    Exempt,
}

/// The tax of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tax {
    /// Letter or percent as the POS writes it; `None` where it writes none and the template names the usual one.
    pub written: Option<Text>,
    /// What the template says that it means.
    pub rate: Rate,
}

/// A line of a sale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapturedLine {
    /// What is sold, or what the discount is called.
    pub name: Text,
    /// How much of it, if printed.
    pub quantity: Option<Number>,
    /// Price of one, if printed.
    pub price: Option<Number>,
    /// What the line adds to the total. Negative: a discount.
    pub total: Number,
    /// Its tax.
    pub tax: Tax,
}

impl CapturedLine {
    /// Whether it is a discount.
    #[must_use]
    pub fn is_discount(&self) -> bool {
        self.total.value.is_sign_negative()
    }
}

/// A row of the tax table, if one is printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaxRow {
    /// Which tax.
    pub tax: Tax,
    /// Amount without tax.
    pub net: Option<Number>,
    /// The tax.
    pub amount: Number,
    /// Amount with tax.
    pub gross: Option<Number>,
}

/// A payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// As the POS names it; `None` where only the money handed over is printed.
    pub written: Option<Text>,
    /// What the template maps it to.
    pub method: String,
    /// What was handed over, change not yet taken off.
    pub amount: Number,
}

/// The currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Currency {
    /// As the POS writes it; `None`: the template's usual one.
    pub written: Option<Text>,
    /// Its code, such as USD.
    pub code: String,
}

/// The buyer, as far as the paper names one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Buyer {
    /// Name.
    pub name: Option<Text>,
    /// Taxpayer's number.
    pub tin: Option<Text>,
    /// VAT number.
    pub vat: Option<Text>,
    /// Address.
    pub address: Option<Text>,
}

/// A sale or a refund, checked: its lines make its total, its payments pay it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapturedSale {
    /// Sale or refund.
    pub kind: SaleKind,
    /// The POS' number of it.
    pub receipt_no: Text,
    /// Date as written.
    pub date: Text,
    /// Time as written.
    pub time: Option<Text>,
    /// Till.
    pub till: Option<Text>,
    /// Cashier.
    pub cashier: Option<Text>,
    /// Currency.
    pub currency: Currency,
    /// Whether line totals contain tax.
    pub tax_inclusive: bool,
    /// The lines, voided ones left out together with what they void.
    pub lines: Vec<CapturedLine>,
    /// The tax table, if printed.
    pub taxes: Vec<TaxRow>,
    /// The total.
    pub total: Number,
    /// The payments; empty where the template does not look for them.
    pub payments: Vec<Payment>,
    /// What the customer gave, if printed beside the payments.
    pub tendered: Option<Number>,
    /// What the customer got back.
    pub change: Option<Number>,
    /// The receipt that is refunded, as the POS names it.
    pub original: Option<Text>,
    /// The buyer.
    pub buyer: Buyer,
}

impl CapturedSale {
    /// Every number that was read.
    #[must_use]
    pub fn numbers(&self) -> Vec<Number> {
        let mut all = vec![self.total];
        all.extend(self.tendered);
        all.extend(self.change);
        all.extend(self.payments.iter().map(|p| p.amount));
        for line in &self.lines {
            all.push(line.total);
            all.extend(line.quantity);
            all.extend(line.price);
        }
        for row in &self.taxes {
            all.push(row.amount);
            all.extend(row.net);
            all.extend(row.gross);
        }
        all
    }

    /// Every text that was read.
    #[must_use]
    pub fn texts(&self) -> Vec<&Text> {
        let mut all = vec![&self.receipt_no, &self.date];
        let buyer = &self.buyer;
        for text in [
            &self.time,
            &self.till,
            &self.cashier,
            &self.original,
            &self.currency.written,
            &buyer.name,
            &buyer.tin,
            &buyer.vat,
            &buyer.address,
        ] {
            all.extend(text);
        }
        all.extend(self.lines.iter().map(|line| &line.name));
        all.extend(self.lines.iter().filter_map(|l| l.tax.written.as_ref()));
        all.extend(self.taxes.iter().filter_map(|t| t.tax.written.as_ref()));
        all.extend(self.payments.iter().filter_map(|p| p.written.as_ref()));
        all
    }
}

/// A POS prints a receipt again, and says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapturedReprint {
    /// The POS' number of the receipt.
    pub receipt_no: Text,
    /// Its date as written.
    pub date: Text,
    /// Its total.
    pub total: Number,
}
