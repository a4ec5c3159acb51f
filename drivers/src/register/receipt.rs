//! A receipt that is open: what was sold, what it comes to, what was paid.
//!
//! Pure data and its rules: no sale after the first payment, at most 512 sales, sums of ten digits, no tax
//! letter below zero, no payment once all is paid. Amounts of a storno are positive here; whoever closes it
//! turns the sign.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::amount::{as_text, cents, fits, product, share};
use super::{MoneyType, Refusal, RefusalClass};

/// Most sales in a receipt.
pub const MAX_SALES: usize = 512;
/// Most lines of any kind in a receipt, so that it stays small enough to be kept after every command.
const MAX_ENTRIES: usize = 1024;

/// Why a storno is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The operator made a mistake.
    OperatorError,
    /// Goods came back.
    Refund,
    /// The price was lowered afterwards.
    TaxBase,
}

/// What a storno takes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Storno {
    /// Number of the original, as the software knows it.
    pub document: String,
    /// Why.
    pub reason: Reason,
    /// Date and time of the original, as they were sent.
    pub date: Option<String>,
    /// Fiscal memory of the original.
    pub fiscal_memory: Option<String>,
    /// More words about it.
    pub words: Option<String>,
}

/// What kind of receipt it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A sale.
    Sale,
    /// Takes back an earlier sale.
    Storno(Storno),
    /// Texts only, never fiscal.
    Service,
}

/// A discount (below zero) or a surcharge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Adjust {
    /// In percent.
    Percent(#[serde(with = "as_text")] Decimal),
    /// A sum.
    Amount(#[serde(with = "as_text")] Decimal),
}

impl Adjust {
    /// What it comes to on a sum, in cents.
    fn on(self, sum: Decimal) -> Result<Decimal, Refusal> {
        let hundred = Decimal::ONE_HUNDRED;
        match self {
            Self::Percent(percent) if percent.abs() > hundred => {
                Err(Refusal::syntax("a discount of more than 100 percent"))
            }
            Self::Percent(percent) => Ok(product(sum, percent / hundred)?),
            Self::Amount(amount) => Ok(cents(amount)),
        }
    }
}

/// Goods or a service sold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sale {
    /// What it is.
    pub name: String,
    /// Its tax letter, `A` to `H`.
    pub tax: char,
    /// The department that it was rung up on.
    pub department: Option<u32>,
    /// Price of one; below zero takes back what stands above it.
    #[serde(with = "as_text")]
    pub price: Decimal,
    /// How many.
    #[serde(with = "as_text")]
    pub quantity: Decimal,
    /// What they are counted in.
    pub unit: Option<String>,
    /// Discount or surcharge of this line.
    pub adjust: Option<Adjust>,
}

impl Sale {
    /// Price times quantity.
    ///
    /// # Errors
    /// It does not fit ten digits.
    pub fn gross(&self) -> Result<Decimal, Refusal> {
        product(self.price, self.quantity)
    }

    /// What the line's discount or surcharge comes to.
    ///
    /// # Errors
    /// It turns the line's sign, or does not fit.
    pub fn adjustment(&self) -> Result<Decimal, Refusal> {
        let gross = self.gross()?;
        let by = match self.adjust {
            Some(adjust) => adjust.on(gross)?,
            None => Decimal::ZERO,
        };
        let net = gross + by;
        if !net.is_zero() && net.is_sign_negative() != gross.is_sign_negative() {
            return Err(Refusal::syntax("the discount is larger than the line"));
        }
        Ok(by)
    }
}

/// A discount or surcharge on all that stands above it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubtotalDiscount {
    /// As it was asked for.
    pub adjust: Adjust,
    /// What it comes to, by tax letter.
    pub shares: Vec<Share>,
}

/// What a discount or surcharge comes to in one tax letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// The letter.
    pub tax: char,
    /// How much; below zero for a discount.
    #[serde(with = "as_text")]
    pub by: Decimal,
}

/// A line of a receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// A sale and its total, discount included.
    Sale(Sale, #[serde(with = "as_text")] Decimal),
    /// On the subtotal.
    Subtotal(SubtotalDiscount),
    /// A free line.
    Text(String),
}

/// The customer, as far as the software told.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Customer {
    /// Name.
    pub name: Option<String>,
    /// Taxpayer's number (UIC, TIN).
    pub taxpayer: Option<String>,
    /// VAT number.
    pub vat: Option<String>,
    /// Address.
    pub address: Option<String>,
}

/// A payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// The code it was made by.
    pub code: String,
    /// What that is.
    pub money: MoneyType,
    /// What was handed over.
    #[serde(with = "as_text")]
    pub amount: Decimal,
}

/// How a payment left the receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paid {
    /// So much is still due.
    Due(Decimal),
    /// All is paid; so much is given back.
    Change(Decimal),
}

/// A receipt that is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenReceipt {
    /// The key that it is closed under, whatever happens meanwhile.
    pub key: String,
    /// Number of the operator.
    pub operator: String,
    /// Number of the till.
    pub till: String,
    /// The software's own number of the sale.
    pub sale_no: Option<String>,
    /// An invoice was asked for.
    pub invoice: bool,
    /// What kind it is.
    pub kind: Kind,
    /// Its currency, such as `USD`; the first payment with a currency of its own settles it.
    pub currency: String,
    /// Its lines in their order.
    pub entries: Vec<Entry>,
    /// The customer.
    pub customer: Option<Customer>,
    /// Payments in their order.
    pub payments: Vec<Payment>,
}

impl OpenReceipt {
    /// Whether a payment was made: then nothing can be sold any more.
    #[must_use]
    pub fn payment_begun(&self) -> bool {
        !self.payments.is_empty()
    }

    /// Number of sales.
    #[must_use]
    pub fn sales(&self) -> usize {
        let is_sale = |e: &&Entry| matches!(e, Entry::Sale(..));
        self.entries.iter().filter(is_sale).count()
    }

    /// Sums by tax letter, letters without a sale left out.
    #[must_use]
    pub fn by_tax(&self) -> BTreeMap<char, Decimal> {
        let mut sums = BTreeMap::new();
        for entry in &self.entries {
            match entry {
                Entry::Sale(sale, total) => *sums.entry(sale.tax).or_default() += *total,
                Entry::Subtotal(discount) => {
                    for share in &discount.shares {
                        *sums.entry(share.tax).or_default() += share.by;
                    }
                }
                Entry::Text(_) => {}
            }
        }
        sums
    }

    /// What all comes to.
    #[must_use]
    pub fn total(&self) -> Decimal {
        self.by_tax().values().sum()
    }

    /// What was handed over.
    #[must_use]
    pub fn paid(&self) -> Decimal {
        self.payments.iter().map(|p| p.amount).sum()
    }

    /// What is still due; zero once all is paid.
    #[must_use]
    pub fn due(&self) -> Decimal {
        (self.total() - self.paid()).max(Decimal::ZERO)
    }

    /// What is given back.
    #[must_use]
    pub fn change(&self) -> Decimal {
        (self.paid() - self.total()).max(Decimal::ZERO)
    }

    /// Whether a payment was made and nothing is due.
    #[must_use]
    pub fn is_paid(&self) -> bool {
        self.payment_begun() && self.due().is_zero()
    }

    /// Payments less the change, which is taken from cash first and then from the last ones: they add up to
    /// the total.
    #[must_use]
    pub fn settled(&self) -> Vec<Payment> {
        let mut payments = self.payments.clone();
        let mut change = self.change();
        for cash in [true, false] {
            for payment in payments.iter_mut().rev() {
                if (payment.money == MoneyType::Cash) == cash {
                    let back = change.min(payment.amount);
                    payment.amount -= back;
                    change -= back;
                }
            }
        }
        payments.retain(|p| !p.amount.is_zero());
        payments
    }

    /// Registers a sale.
    ///
    /// # Errors
    /// A payment was made, there are 512 sales already, the line or a tax letter's sum is below zero or too
    /// large.
    pub fn sell(&mut self, sale: Sale) -> Result<(), Refusal> {
        self.selling()?;
        if self.sales() >= MAX_SALES {
            return Err(Refusal::not_allowed("the receipt has 512 sales already"));
        }
        if sale.quantity <= Decimal::ZERO {
            return Err(Refusal::syntax("a quantity of zero or less"));
        }
        let total = sale.gross()? + sale.adjustment()?;
        let of_tax = self.by_tax().get(&sale.tax).copied().unwrap_or_default();
        if of_tax + total < Decimal::ZERO {
            return Err(Refusal::not_allowed("the sum of a tax would be below zero"));
        }
        fits(self.total() + total)?;
        self.push(Entry::Sale(sale, total))
    }

    /// Adds a discount or surcharge on all so far, shared out over the tax letters to the cent.
    ///
    /// # Errors
    /// A payment was made, nothing was sold, or more is taken off than there is.
    pub fn adjust(&mut self, adjust: Adjust) -> Result<(), Refusal> {
        self.selling()?;
        let sums = self.by_tax();
        let total = self.total();
        if total <= Decimal::ZERO {
            return Err(Refusal::not_allowed("there is nothing to discount"));
        }
        let by = adjust.on(total)?;
        if total + by < Decimal::ZERO {
            return Err(Refusal::syntax("the discount is larger than the subtotal"));
        }
        fits(total + by)?;
        let weights: Vec<Decimal> = sums.values().copied().collect();
        let shares = share(by, &weights);
        let shares = sums.keys().zip(shares);
        let shares = shares.map(|(tax, by)| Share { tax: *tax, by }).collect();
        self.push(Entry::Subtotal(SubtotalDiscount { adjust, shares }))
    }

    /// Adds a free line.
    ///
    /// # Errors
    /// There are too many lines.
    pub fn text(&mut self, line: String) -> Result<(), Refusal> {
        self.push(Entry::Text(line))
    }

    /// Pays; without an amount, all that is due.
    ///
    /// # Errors
    /// All is paid already, nothing was sold, the amount is below zero or too large, or the currency is not
    /// that of the payments before.
    pub fn pay(
        &mut self,
        code: String,
        money: MoneyType,
        currency: Option<&str>,
        amount: Option<Decimal>,
    ) -> Result<Paid, Refusal> {
        if matches!(self.kind, Kind::Service) {
            return Err(Refusal::not_allowed("a service receipt is not paid"));
        }
        if self.sales() == 0 {
            return Err(Refusal::not_allowed("nothing was sold"));
        }
        if self.is_paid() {
            return Err(Refusal::not_allowed("the receipt is paid already"));
        }
        let amount = amount.map_or(self.due(), cents);
        if amount < Decimal::ZERO || (amount.is_zero() && !self.due().is_zero()) {
            return Err(Refusal::syntax("a payment of zero or less"));
        }
        fits(self.paid() + amount)?;
        if let Some(currency) = currency.filter(|c| *c != self.currency) {
            if self.payment_begun() {
                return Err(Refusal::not_allowed("two currencies in one receipt"));
            }
            currency.clone_into(&mut self.currency);
        }
        self.payments.push(Payment {
            code,
            money,
            amount,
        });
        Ok(match self.due() {
            due if due.is_zero() => Paid::Change(self.change()),
            due => Paid::Due(due),
        })
    }

    fn selling(&self) -> Result<(), Refusal> {
        if matches!(self.kind, Kind::Service) {
            return Err(Refusal::not_allowed("a service receipt has no sales"));
        }
        if self.payment_begun() {
            return Err(Refusal::not_allowed("the payment has begun"));
        }
        Ok(())
    }

    fn push(&mut self, entry: Entry) -> Result<(), Refusal> {
        if self.entries.len() >= MAX_ENTRIES {
            return Err(Refusal::new(
                RefusalClass::Overflow,
                "the receipt has too many lines",
            ));
        }
        self.entries.push(entry);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::register::SubtotalDiscounts;

    fn d(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    fn receipt(sales: &[(char, &str, &str, Option<Adjust>)]) -> OpenReceipt {
        let mut receipt = OpenReceipt {
            key: "k".into(),
            operator: "1".into(),
            till: "1".into(),
            sale_no: None,
            invoice: false,
            kind: Kind::Sale,
            currency: "USD".into(),
            entries: vec![],
            customer: None,
            payments: vec![],
        };
        for (tax, price, quantity, adjust) in sales {
            let sale = Sale {
                name: format!("Goods {tax}"),
                tax: *tax,
                department: None,
                price: d(price),
                quantity: d(quantity),
                unit: None,
                adjust: *adjust,
            };
            receipt.sell(sale).unwrap();
        }
        receipt
    }

    #[test]
    fn a_discount_on_the_subtotal_is_lines_or_is_spread() {
        let mut receipt = receipt(&[
            ('A', "1.00", "1", None),
            ('A', "2.00", "1", Some(Adjust::Amount(d("-0.50")))),
            ('B', "0.99", "3", None),
        ]);
        receipt.adjust(Adjust::Amount(d("-1.00"))).unwrap();
        assert_eq!(receipt.total(), d("4.47"));
        let told = |how| -> Vec<(String, Decimal)> {
            let lines = receipt.flat(how).into_iter();
            lines.map(|l| (l.name, l.total)).collect()
        };
        let line = |name: &str, total| (name.to_owned(), d(total));
        assert_eq!(
            told(SubtotalDiscounts::Lines),
            [
                line("Goods A", "1.00"),
                line("Goods A", "2.00"),
                line("Discount", "-0.50"),
                line("Goods B", "2.97"),
                line("Discount", "-0.46"),
                line("Discount", "-0.54"),
            ]
        );
        assert_eq!(
            told(SubtotalDiscounts::Spread),
            [
                line("Goods A", "0.82"),
                line("Goods A", "1.22"),
                line("Goods B", "2.43"),
            ]
        );
        let spread = receipt.flat(SubtotalDiscounts::Spread);
        assert!(spread.iter().all(|line| line.price.is_none()));
    }

    #[test]
    fn change_is_taken_from_cash_first() {
        let mut receipt = receipt(&[('A', "10.00", "1", None)]);
        let mut pay =
            |money, currency, amount| receipt.pay("x".into(), money, currency, Some(d(amount)));
        assert_eq!(pay(MoneyType::Cash, None, "3"), Ok(Paid::Due(d("7"))));
        assert!(
            pay(MoneyType::Cash, Some("ZWG"), "1").is_err(),
            "two currencies"
        );
        assert!(pay(MoneyType::Cash, None, "-1").is_err());
        assert_eq!(pay(MoneyType::Coupon, None, "12"), Ok(Paid::Change(d("5"))));
        assert!(pay(MoneyType::Cash, None, "1").is_err(), "paid already");
        let settled: Vec<_> = receipt
            .settled()
            .iter()
            .map(|p| (p.money, p.amount))
            .collect();
        assert_eq!(settled, [(MoneyType::Coupon, d("10"))]);
        assert_eq!(receipt.paid() - receipt.change(), receipt.total());
    }

    #[test]
    fn a_receipt_survives_being_written_down() {
        let mut receipt = receipt(&[('A', "1.10", "0.333", Some(Adjust::Percent(d("-12.5"))))]);
        receipt.adjust(Adjust::Percent(d("10"))).unwrap();
        receipt.text("Thank you".into()).unwrap();
        receipt
            .pay("P".into(), MoneyType::Cash, None, None)
            .unwrap();
        let text = serde_json::to_string(&receipt).unwrap();
        assert_eq!(serde_json::from_str::<OpenReceipt>(&text).unwrap(), receipt);
    }
}
