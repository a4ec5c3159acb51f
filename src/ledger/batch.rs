//! Batches of sales: from sales to numbered, chained, signed receipts in one transaction.
//!
//! A batch is walked in order. Each sale is assessed against the end of its till's chain, which moves on in
//! memory; signatures are made and checked ([`super::signers`]), and only then are rows written. A sale that depends on one
//! still waiting (same key, same `invoiceNo`, a note) first lets those be written.

use std::collections::HashSet;
use std::sync::Arc;

use fiscal::receipt::{Hash, Receipt, Signature};
use fiscal::{sign, wire};
use rusqlite::params;

use super::chain::{Config, OpenDay};
use super::core::Core;
use super::issue::{DayPlan, Ground, assess};
use super::read::{self, Original};
use super::signers::{Key, Signing};
use super::{
    Issued, LedgerError, Refusal, Sale, SaleDone, Seq, StorageError, TillId, TillInfo, sql,
};

/// A receipt that is numbered and chained, and waits for its signature and its rows.
struct Pending {
    place: usize,
    sale: Arc<Sale>,
    till: Arc<TillInfo>,
    key: Key,
    config: Config,
    seq: Seq,
    day: OpenDay,
    original: Option<Original>,
    receipt: Receipt,
    hash: Hash,
}

/// The walk through a batch.
struct Walk {
    /// How many there are.
    sales: usize,
    pending: Vec<Pending>,
    /// The signatures of those that are pending, in their order.
    signing: Signing,
    keys: HashSet<(TillId, String)>,
    invoices: HashSet<String>,
    /// How each sale ended, once it has.
    done: Vec<Option<Result<SaleDone, Refusal>>>,
}

/// By what a sale must be the only one.
struct Names {
    till: TillId,
    key: String,
    invoice_no: String,
}

impl Names {
    fn of(sale: &Sale, till: &TillInfo) -> Self {
        let sent = sale.draft.invoice_no.as_deref().unwrap_or_default();
        Self {
            till: sale.till,
            key: sale.key.clone().unwrap_or_else(|| sent.to_owned()),
            invoice_no: format!("{}{sent}", till.invoice_prefix),
        }
    }
}

impl Walk {
    fn knows(&self, names: &Names) -> bool {
        self.invoices.contains(&names.invoice_no)
            || self.keys.contains(&(names.till, names.key.clone()))
    }
}

impl Core {
    /// Issues sales within the running transaction. Refused ones leave nothing behind.
    pub(super) fn issue_all(
        &mut self,
        sales: Vec<Arc<Sale>>,
    ) -> Result<Vec<Result<SaleDone, Refusal>>, StorageError> {
        let mut walk = Walk {
            pending: Vec::new(),
            sales: sales.len(),
            signing: self.signers.begin(sales.len()),
            keys: HashSet::new(),
            invoices: HashSet::new(),
            done: Vec::with_capacity(sales.len()),
        };
        for (place, sale) in sales.into_iter().enumerate() {
            walk.done.push(None);
            let done = match self.prepare(&mut walk, place, sale) {
                Ok(None) => continue,
                Ok(Some(seq)) => Ok(SaleDone::Repeated(seq)),
                Err(LedgerError::Refused(refusal)) => Err(refusal),
                Err(LedgerError::Storage(error)) => return Err(error),
            };
            if let Some(slot) = walk.done.last_mut() {
                *slot = Some(done);
            }
        }
        self.flush(&mut walk)?;
        walk.done
            .into_iter()
            .map(|done| done.ok_or_else(|| sql::damaged("a sale was left without an answer")))
            .collect()
    }

    /// Assesses one sale and moves its till's chain on; answers the earlier receipt of a repeated one.
    fn prepare(
        &mut self,
        walk: &mut Walk,
        place: usize,
        sale: Arc<Sale>,
    ) -> Result<Option<Seq>, LedgerError> {
        let till_id = sale.till;
        let info = Arc::clone(&self.till(till_id)?.info);
        let names = Names::of(&sale, &info);
        if walk.knows(&names) || sale.draft.credit_debit_note.is_some() {
            self.flush(walk)?;
        }
        if let Some(earlier) = self.earlier(&info, &names.key, &sale.fingerprint)? {
            return Ok(Some(earlier));
        }
        let till = self.till(till_id)?;
        let (key, config) = till.selling(sale.controlled)?;
        let ground = Ground {
            conn: &self.conn,
            till: &info,
            taxpayer: &config.taxpayer,
            head: &till.head,
            settings: &self.settings,
            now: self.now_local(),
        };
        let assessed = assess(&ground, &sale)?;
        let day = self.carry_out(till_id, assessed.plan, &sale.actor)?;
        let seq = self.take_seq();
        let previous = self.till(till_id)?.head.last_hash;
        #[cfg(any(test, feature = "simulation"))]
        let previous = previous.filter(|_| self.planted != super::core::Planted::ChainBroken);
        let signing_string =
            sign::receipt_string(info.device_id, &assessed.receipt, previous.as_ref());
        let hash = sign::hash(&signing_string);
        self.move_on(till_id, &assessed.receipt, hash)?;
        walk.signing.add(&key, signing_string);
        walk.keys.insert((till_id, names.key));
        walk.invoices.insert(names.invoice_no);
        let is_note = assessed.receipt.receipt_type.is_note();
        walk.pending.push(Pending {
            place,
            sale,
            till: info,
            key,
            config,
            seq,
            day,
            original: assessed.original,
            receipt: assessed.receipt,
            hash,
        });
        if is_note {
            // The next note on the same original must see this one.
            self.flush(walk)?;
        }
        Ok(None)
    }

    /// The receipt that a key already stands for.
    fn earlier(
        &self,
        till: &TillInfo,
        key: &str,
        fingerprint: &Hash,
    ) -> Result<Option<Seq>, LedgerError> {
        #[cfg(any(test, feature = "simulation"))]
        if self.planted == super::core::Planted::KeyForgotten {
            return Ok(None);
        }
        let Some(earlier) = read::by_key(&self.conn, till, key)? else {
            return Ok(None);
        };
        if earlier.fingerprint == *fingerprint {
            return Ok(Some(earlier.seq));
        }
        Err(Refusal::KeyConflict {
            key: key.to_owned(),
            invoice_no: earlier.invoice_no,
        }
        .into())
    }

    /// Opens, or closes and opens, the day that the receipt needs.
    fn carry_out(
        &mut self,
        till: TillId,
        plan: DayPlan,
        actor: &str,
    ) -> Result<OpenDay, LedgerError> {
        match plan {
            DayPlan::Keep(day) => Ok(day),
            DayPlan::Open { opened, .. } => self.open_day_at(till, opened, actor),
            DayPlan::Rollover { at, .. } => {
                self.close_day_at(till, at, actor)?;
                self.open_day_at(till, at, actor)
            }
        }
    }

    /// The chain goes on from this receipt.
    fn move_on(&mut self, till: TillId, receipt: &Receipt, hash: Hash) -> Result<(), LedgerError> {
        #[cfg(any(test, feature = "simulation"))]
        let planted = self.planted;
        let till = self.tills.get_mut(&till).ok_or(Refusal::NoSuchTill)?;
        let head = &mut till.head;
        #[cfg(any(test, feature = "simulation"))]
        let previous_no = head.last_global_no;
        head.last_counter = receipt.counter;
        head.last_global_no = receipt.global_no;
        head.last_date = Some(receipt.date);
        head.last_hash = Some(hash);
        head.dirty = true;
        #[cfg(any(test, feature = "simulation"))]
        match planted {
            super::core::Planted::CountersForgotten => return Ok(()),
            super::core::Planted::NumberSkipped => {
                head.last_global_no = receipt.global_no.next();
            }
            super::core::Planted::DateNotRising => head.last_date = None,
            super::core::Planted::NumberTwice if receipt.global_no.get().is_multiple_of(7) => {
                head.last_global_no = previous_no;
            }
            _ => {}
        }
        head.totals.add_receipt(receipt);
        Ok(())
    }

    /// Has what waits signed, and writes the rows.
    fn flush(&mut self, walk: &mut Walk) -> Result<(), StorageError> {
        let pending = std::mem::take(&mut walk.pending);
        walk.keys.clear();
        walk.invoices.clear();
        let signing = std::mem::replace(&mut walk.signing, self.signers.begin(walk.sales));
        let signatures = signing.finish()?;
        for (pending, bytes) in pending.into_iter().zip(signatures) {
            let place = pending.place;
            let issued = self.insert(pending, bytes)?;
            if let Some(slot) = walk.done.get_mut(place) {
                *slot = Some(Ok(SaleDone::Issued(Box::new(issued))));
            }
        }
        Ok(())
    }

    fn insert(&mut self, p: Pending, bytes: Vec<u8>) -> Result<Issued, StorageError> {
        let signature = Signature {
            hash: p.hash,
            bytes,
        };
        let receipt = p.receipt;
        let till_id = p.till.id;
        // The key stands beside the event too: head office is told of both together.
        let key = p.sale.key.as_deref();
        self.append_event(p.seq, Some(till_id), "receipt.issued", key)?;
        let body = wire::submit_receipt_body(&receipt, &signature);
        let body_hash = sign::hash(&body);
        let print = (p.sale.draft.print != fiscal::draft::PrintOnly::default())
            // Print-only fields always serialise.
            .then(|| serde_json::to_string(&p.sale.draft.print).unwrap_or_default());
        self.conn
            .prepare_cached(
                "INSERT INTO receipt VALUES
                 (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)",
            )?
            .execute(params![
                p.seq.0,
                till_id.0,
                p.day.day_id.0,
                receipt.global_no.get(),
                receipt.counter.get(),
                receipt.receipt_type.as_str(),
                receipt.currency.as_str(),
                receipt.total.get(),
                receipt.date.to_string(),
                p.till.environment.as_str(),
                receipt.invoice_no,
                p.sale.key.is_some(),
                p.sale.fingerprint.0,
                p.original.as_ref().map(|original| original.seq.0),
                p.config.config_id,
                p.key.key_id,
                signature.hash.0,
                signature.bytes,
                body,
                print,
            ])?;
        if let Some(key) = &p.sale.key {
            self.conn
                .prepare_cached("INSERT INTO sale_key VALUES (?1, ?2, ?3)")?
                .execute(params![till_id.0, key, p.seq.0])?;
        }
        if p.sale.controlled {
            self.let_pass(till_id, p.seq)?;
        }
        // The signature covers the sums; this covers every name and note as well.
        let detail = format!("{} {body_hash}", receipt.global_no);
        self.audit(&p.sale.actor, "receipt.issue", Some(till_id), &detail)?;
        Ok(Issued {
            seq: p.seq,
            till: p.till,
            taxpayer: p.config.taxpayer,
            fiscal_day_no: p.day.no,
            receipt,
            signature,
            print: p.sale.draft.print.clone(),
            original: p.original.map(|original| original.facts),
        })
    }
}
