//! A whole receipt: header, items, what is below.

use super::Sheet;
use super::fields::Rows;
use crate::capture::sale::{Buyer, CapturedReprint, CapturedSale, Number, SaleKind};
use crate::capture::template::Kind;

impl Sheet<'_> {
    /// Reads a sale or a refund. `None`, or a doubt noted: it is none.
    pub(super) fn sale(&mut self) -> Option<CapturedSale> {
        let template = self.template;
        let items = template.items.as_ref()?;
        let rows = self.item_rows(items)?;
        let last = self.grid.rows().len();
        let below = rows.end..last;
        let around: Rows = (0..rows.start).chain(below.clone()).collect();
        let mut lines = self.item_lines(items, rows);
        self.total_discounts(below.clone(), &mut lines);
        let receipt_no = self.optional("receipt_no", &around);
        let date = self.optional("date", &around);
        let total = self.optional_amount("total", &below.clone().collect());
        let total = self.needed("total", total).map(|n| self.signed(n));
        let refund = template.kind() == Kind::FiscalRefund;
        let original = if refund {
            let found = self.optional("original_ref", &around);
            self.needed("original_ref", found)
        } else {
            None
        };
        let currency = self.currency(&(0..last).collect());
        let (payments, tendered, change) = self.payments(below.clone());
        let sale = CapturedSale {
            kind: if refund {
                SaleKind::Refund
            } else {
                SaleKind::Sale
            },
            receipt_no: self.needed("receipt_no", receipt_no)?,
            date: self.needed("date", date)?,
            time: self.optional("time", &around),
            till: self.optional("till", &around),
            cashier: self.optional("cashier", &around),
            currency: currency?,
            tax_inclusive: template.tax.inclusive,
            lines,
            taxes: self.tax_rows(below),
            total: total?,
            payments,
            tendered,
            change,
            original,
            buyer: self.buyer(&around),
        };
        self.check(&sale);
        Some(sale)
    }

    /// Reads what tells which receipt is printed again.
    pub(super) fn reprint(&mut self) -> Option<CapturedReprint> {
        let all: Rows = (0..self.grid.rows().len()).collect();
        let receipt_no = self.optional("receipt_no", &all);
        let date = self.optional("date", &all);
        let total: Option<Number> = self.optional_amount("total", &all);
        Some(CapturedReprint {
            receipt_no: self.needed("receipt_no", receipt_no)?,
            date: self.needed("date", date)?,
            total: self.needed("total", total)?,
        })
    }

    fn buyer(&mut self, rows: &Rows) -> Buyer {
        Buyer {
            name: self.optional("buyer", rows),
            tin: self.optional("tin", rows),
            vat: self.optional("vat", rows),
            address: self.optional("address", rows),
        }
    }
}
