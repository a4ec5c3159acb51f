//! A shop that sells at random: what the property tests share.

use fiscal::compose::{Known, Numbers, compose, in_signing_order};
use fiscal::draft::Draft;
use fiscal::rules::{Facts, Original, OriginalFact};
use fiscal::taxpayer::Taxpayer;
use fiscal::testing::{
    GenOptions, Issued, Random, Sale, random_sale, sample_taxpayer, sample_taxpayer_without_vat,
};
use fiscal::{
    Currency, DateTime, DeviceId, FiscalDayNo, Receipt, ReceiptCounter, ReceiptGlobalNo,
    ReceiptType,
};
use jiff::Span;

/// The currencies of the shop; the last one is South African.
pub(crate) fn currencies() -> [Currency; 3] {
    let rand = Currency::parse("ZAR").expect("a currency");
    [Currency::USD, Currency::ZWG, rand]
}

pub(crate) fn device() -> DeviceId {
    DeviceId::new(37367).expect("a device ID")
}

/// A sale, put together.
pub(crate) struct Sold {
    pub(crate) sale: Sale,
    pub(crate) draft: Draft,
    pub(crate) receipt: Receipt,
    pub(crate) original: Option<Original>,
}

impl Sold {
    /// What the receipt is judged against.
    pub(crate) fn facts<'a>(&'a self, shop: &'a Shop, currencies: &'a [Currency]) -> Facts<'a> {
        Facts {
            taxpayer: Some(&shop.taxpayer),
            currencies: Some(currencies),
            original: self
                .original
                .as_ref()
                .map_or(OriginalFact::Unknown, OriginalFact::Found),
            invoice_no_is_new: Some(true),
            ..Facts::default()
        }
    }
}

/// A till that sells whatever the random numbers say.
pub(crate) struct Shop {
    pub(crate) random: Random,
    pub(crate) taxpayer: Taxpayer,
    pub(crate) date: DateTime,
    pub(crate) invoices: Vec<Issued>,
    count: u32,
}

impl Shop {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let taxpayer = if random.chance(20) {
            sample_taxpayer_without_vat()
        } else {
            sample_taxpayer()
        };
        // On both sides of the change of the VAT rate.
        let year = if random.chance(30) { 2025 } else { 2026 };
        Self {
            random,
            taxpayer,
            date: jiff::civil::date(year, 9, 6).at(8, 0, 0, 0),
            invoices: Vec::new(),
            count: 0,
        }
    }

    pub(crate) fn numbers(&self) -> Numbers {
        Numbers {
            counter: ReceiptCounter::new(self.count).expect("a counter"),
            global_no: ReceiptGlobalNo::new(1000 + self.count).expect("a number"),
            date: self.date,
        }
    }

    /// The next sale's JSON, without issuing it.
    pub(crate) fn draw(&mut self) -> Sale {
        self.count += 1;
        self.date = self
            .date
            .saturating_add(Span::new().seconds(self.random.between(1, 300)));
        let invoice_no = format!("T1-{:06}", self.count);
        random_sale(
            &mut self.random,
            &self.taxpayer,
            &GenOptions {
                device: Some(device()),
                invoice_no: &invoice_no,
                date: self.date,
                currencies: &currencies(),
                originals: &self.invoices,
            },
        )
    }

    /// Sells once: draws, reads, puts together, keeps what notes need.
    pub(crate) fn sell(&mut self) -> Sold {
        let sale = self.draw();
        let (draft, findings) = Draft::read(sale.json.as_bytes());
        assert_eq!(findings, [], "{}", sale.json);
        let original = sale
            .original
            .and_then(|place| self.invoices.get(place))
            .map(Issued::as_original);
        let known = Known {
            numbers: Some(self.numbers()),
            taxpayer: Some(&self.taxpayer),
            original: original.as_ref(),
            ..Known::default()
        };
        let (receipt, findings) = compose(&draft, &known);
        assert_eq!(findings, [], "{}", sale.json);
        let receipt = in_signing_order(receipt);
        if receipt.receipt_type == ReceiptType::FiscalInvoice {
            let day = FiscalDayNo::new(1).expect("a day");
            self.invoices.push(Issued::of(&receipt, device(), day));
        } else if let Some(issued) = sale.original.and_then(|p| self.invoices.get_mut(p)) {
            issued.noted(receipt.total);
        }
        Sold {
            sale,
            draft,
            receipt,
            original,
        }
    }
}
