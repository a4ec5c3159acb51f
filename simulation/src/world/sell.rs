//! Selling, as tills do it: valid sales of every kind, asked for again where the answer stayed away.

use fiscal::Currency;
use fiscal::draft::Draft;
use fiscal::testing::{GenOptions, random_sale};
use fiscald::ledger::{LedgerError, Refusal, Sale, SaleDone, StorageError};

use super::{Checked, World, is_held};
use crate::script::TILLS;

/// A sale that is to be made.
struct Wanted {
    till: usize,
    key: String,
    json: String,
}

impl World {
    /// A till makes a valid sale.
    pub(super) fn sell(&mut self, till: usize) -> Checked {
        let Some(wanted) = self.draw(till)? else {
            return Ok(());
        };
        self.make(vec![wanted])
    }

    /// Sales at the same moment on all tills.
    pub(super) fn sell_together(&mut self, sales: u64) -> Checked {
        let mut wanted = Vec::new();
        for no in 0..sales {
            let till = usize::try_from(no).unwrap_or(0) % TILLS;
            // Two notes on one original could ask too much of it together: these are invoices.
            let mut kept = Vec::new();
            for memory in &mut self.memories {
                kept.push(std::mem::take(&mut memory.originals));
            }
            let drawn = self.draw(till);
            for (memory, originals) in self.memories.iter_mut().zip(kept) {
                memory.originals = originals;
            }
            wanted.extend(drawn?);
        }
        self.make(wanted)
    }

    fn draw(&mut self, till: usize) -> Result<Option<Wanted>, String> {
        let Some(running) = &self.store.running else {
            return Ok(None);
        };
        // Now and then what another till has sold is brought back here.
        let elsewhere = self.random.chance(15);
        let seller = if elsewhere { (till + 1) % TILLS } else { till };
        self.memories[till].drawn += 1;
        let key = format!("S{}", self.memories[till].drawn);
        let memory = &mut self.memories[seller];
        let taxpayer = running.ledger.reader().taxpayer(self.store.tills[till].id);
        let taxpayer = taxpayer.map_err(|error| format!("the ledger cannot be read: {error}"))?;
        let taxpayer = taxpayer.ok_or("the till has no configuration any more")?;
        let currencies: Vec<_> = ["USD", "ZWG"]
            .into_iter()
            .filter_map(Currency::parse)
            .collect();
        let sale = random_sale(
            &mut self.random,
            &taxpayer,
            &GenOptions {
                device: None,
                invoice_no: &key,
                date: running.ledger.time().local(),
                currencies: &currencies,
                originals: memory.originals.make_contiguous(),
            },
        );
        Ok(Some(Wanted {
            till,
            key,
            json: sale.json,
        }))
    }

    fn sale(&self, till: usize, json: &str) -> Result<Sale, String> {
        let (draft, findings) = Draft::read(json.as_bytes());
        if let Some(finding) = findings.first() {
            return Err(format!("a valid sale is not understood: {finding}: {json}"));
        }
        let till = self.store.tills[till];
        Ok(Sale::new((till.id, till.device), draft, None, "sim".into()))
    }

    fn make(&mut self, wanted: Vec<Wanted>) -> Checked {
        let mut sales = Vec::new();
        for one in &wanted {
            sales.push(self.sale(one.till, &one.json)?);
        }
        let Some(running) = &self.store.running else {
            return Ok(());
        };
        let answers = running.ledger.issue_together(sales);
        for (one, answer) in wanted.into_iter().zip(answers) {
            self.answered(one, answer)?;
        }
        self.pass(0)
    }

    /// The answer reaches the till, or does not.
    fn answered(&mut self, one: Wanted, answer: Result<SaleDone, LedgerError>) -> Checked {
        let Wanted { till, key, json } = one;
        if self.store.disk.is_off() {
            self.doubt(till, key, json);
            return Ok(());
        }
        match answer {
            Ok(SaleDone::Issued(issued)) => {
                self.note(issued.receipt.global_no.get());
                self.done.sales += 1;
                self.memories[till].told(&key, &json, &issued)?;
                self.noted(&issued);
                Ok(())
            }
            Ok(SaleDone::Repeated(seq)) => {
                let issued = self.by_seq(seq)?;
                self.done.repeated += 1;
                let was_known = self.memories[till].answered.contains_key(&key);
                self.done.sales += u64::from(!was_known);
                self.memories[till].repeated(&key, &json, &issued)?;
                if !was_known {
                    self.noted(&issued);
                }
                Ok(())
            }
            Err(LedgerError::Refused(refusal)) if is_held(&refusal) => {
                self.done.held += 1;
                self.doubt(till, key, json);
                Ok(())
            }
            Err(LedgerError::Refused(refusal)) => {
                Err(format!("a valid sale is refused: {refusal}: {json}"))
            }
            Err(LedgerError::Storage(error)) => {
                self.done.failed += 1;
                self.doubt(till, key, json);
                match error {
                    StorageError::Full if self.is_full => Ok(()),
                    other => self.fault(&other.to_string()),
                }
            }
        }
    }

    fn noted(&mut self, issued: &fiscald::ledger::Issued) {
        for memory in &mut self.memories {
            memory.noted(issued);
        }
    }

    /// Nobody knows what became of a sale. No notes are made for a while: what is left of an original may be less than
    /// the tills think.
    fn doubt(&mut self, till: usize, key: String, json: String) {
        self.memories[till].doubt(key, json);
        for memory in &mut self.memories {
            memory.originals.clear();
        }
    }

    fn by_seq(&self, seq: fiscald::ledger::Seq) -> Result<fiscald::ledger::Issued, String> {
        let running = self.store.running.as_ref().ok_or("nobody runs")?;
        let issued = running.ledger.reader().by_seq(seq);
        let issued = issued.map_err(|error| format!("the ledger cannot be read: {error}"))?;
        issued.ok_or_else(|| format!("{seq} is said to be a receipt, and is not there"))
    }

    /// The POS asks for a sale again: one that is in doubt, else any.
    pub(super) fn ask_again(&mut self, till: usize) -> Checked {
        let memory = &self.memories[till];
        let in_doubt = memory.in_doubt.iter().next();
        let doubt = in_doubt.map(|(key, json)| (key.clone(), json.clone()));
        let again = match doubt {
            Some(doubt) => Some(doubt),
            None => {
                let count = u64::try_from(memory.answered.len()).unwrap_or(0);
                let place = usize::try_from(self.random.below(count)).unwrap_or(0);
                let answered = memory.answered.iter().nth(place);
                answered.map(|(key, answered)| (key.clone(), answered.json.clone()))
            }
        };
        let Some((key, json)) = again else {
            return Ok(());
        };
        self.make(vec![Wanted { till, key, json }])
    }

    /// Another sale under a key that is used: refused, and nothing changes.
    pub(super) fn conflict(&mut self, till: usize) -> Checked {
        let Some((key, _)) = self.memories[till].answered.iter().next() else {
            return Ok(());
        };
        let key = key.clone();
        let json = format!(
            r#"{{"receiptType":"FiscalInvoice","receiptCurrency":"USD","invoiceNo":"{key}",
            "receiptLinesTaxInclusive":true,"receiptLines":[{{"receiptLineType":"Sale",
            "receiptLineName":"Never sold","receiptLineHSCode":"19059090","receiptLinePrice":987654.32,
            "receiptLineQuantity":1,"taxID":517}}],
            "receiptPayments":[{{"moneyTypeCode":"Cash","paymentAmount":987654.32}}]}}"#
        );
        self.must_refuse(till, &json, "KeyConflict", |refusal| {
            matches!(refusal, Refusal::KeyConflict { .. })
        })
    }

    /// A sale whose payments do not come to its total.
    pub(super) fn wrong_sale(&mut self, till: usize) -> Checked {
        self.memories[till].drawn += 1;
        let key = format!("W{}", self.memories[till].drawn);
        let json = format!(
            r#"{{"receiptType":"FiscalInvoice","receiptCurrency":"USD","invoiceNo":"{key}",
            "receiptLinesTaxInclusive":true,"receiptLines":[{{"receiptLineType":"Sale",
            "receiptLineName":"Bread","receiptLineHSCode":"19059090","receiptLinePrice":1.20,
            "receiptLineQuantity":2,"taxID":517}}],
            "receiptPayments":[{{"moneyTypeCode":"Cash","paymentAmount":2.39}}]}}"#
        );
        self.must_refuse(till, &json, "findings", |refusal| {
            matches!(refusal, Refusal::Findings { .. })
        })
    }

    fn must_refuse(
        &mut self,
        till: usize,
        json: &str,
        with: &str,
        is_right: impl Fn(&Refusal) -> bool,
    ) -> Checked {
        let sale = self.sale(till, json)?;
        let Some(running) = &self.store.running else {
            return Ok(());
        };
        let answer = running.ledger.issue_together(vec![sale]).pop();
        if self.store.disk.is_off() {
            return self.pass(0);
        }
        match answer {
            Some(Err(LedgerError::Refused(refusal))) if is_right(&refusal) || is_held(&refusal) => {
                self.done.refused += 1;
                Ok(())
            }
            Some(Err(LedgerError::Storage(error))) => self.fault(&error.to_string()),
            other => Err(format!(
                "must be refused with {with}, but: {other:?}: {json}"
            )),
        }
    }
}
