//! Days, receipts and closes, and the ends of the chains that they lead to.

use fiscal::counters::DayTotals;
use fiscal::{FiscalDayNo, ReceiptCounter, ReceiptGlobalNo, sign};
use rusqlite::params;
use sync_wire::TillRef;
use sync_wire::entry::{DayClosed, DayOpened, Entry, ReceiptIssued};

use super::{Rebuild, body, broken, bytes};
use crate::ledger::adoption::{Adopted, AdoptedDay, Adoption, insert};
use crate::ledger::chain::{Head, OpenDay};
use crate::ledger::core::Core;
use crate::ledger::hq::{AdoptedBody, own_environment};
use crate::ledger::stream::StreamState;
use crate::ledger::{LedgerError, Seq, read, sql};

impl Rebuild {
    pub(super) fn opened(
        &mut self,
        core: &mut Core,
        named: TillRef,
        entry: &Entry,
    ) -> Result<(), LedgerError> {
        let opened: DayOpened = body(entry)?;
        let no = sql::number(opened.fiscal_day_no.into(), FiscalDayNo::new, "fiscalDayNo")?;
        let till = self.till(named)?;
        core.put_event(entry, Some(till.id), None)?;
        core.conn
            .prepare_cached("INSERT INTO day VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute(params![
                entry.seq,
                till.id.0,
                no.get(),
                opened.opened,
                opened.is_vat_payer
            ])?;
        let day = OpenDay {
            day_id: Seq(entry.seq),
            no,
            opened: sql::date(&opened.opened, "opened")?,
            is_vat_payer: opened.is_vat_payer,
        };
        till.head = Head {
            last_day_no: no,
            day: Some(day),
            last_global_no: till.head.last_global_no,
            last_date: till.head.last_date,
            ..Head::default()
        };
        if let Some(adopted) = till.adopted_day.take() {
            till.head.last_counter = adopted.last_counter;
            till.head.last_hash = adopted.last_hash;
            till.head.totals = adopted.totals;
            till.stream.cursor = day.day_id;
            till.stream.last_day_no = no;
        }
        let (id, detail) = (till.id, format!("{no} {}", opened.opened));
        core.put_audit(entry.at, "day.open", id, &detail)
    }

    pub(super) fn issued(
        &mut self,
        core: &mut Core,
        named: TillRef,
        entry: &Entry,
    ) -> Result<(), LedgerError> {
        let issued: ReceiptIssued = body(entry)?;
        let seq = entry.seq;
        let id = self.till(named)?.id;
        let key = self.key(core, id, entry, &issued.public_key)?;
        let till = self.till(named)?;
        let day = till
            .head
            .day
            .filter(|day| day.no.get() == issued.fiscal_day_no);
        let day = day.ok_or_else(|| broken(seq, "its fiscal day is not open"))?;
        let config = till
            .config
            .ok_or_else(|| broken(seq, "its till has no configuration"))?;
        let receipt = read::receipt_of(&issued.body, &format!("receipt {seq}"))?;
        let hash = sql::hash(&bytes(seq, &issued.hash)?, "hash")?;
        core.put_event(entry, Some(id), issued.key.as_deref())?;
        core.conn
            .prepare_cached(
                "INSERT INTO receipt VALUES
                 (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)",
            )?
            .execute(params![
                seq,
                id.0,
                day.day_id.0,
                issued.receipt_global_no,
                issued.receipt_counter,
                issued.receipt_type,
                issued.receipt_currency,
                issued.receipt_total,
                issued.receipt_date,
                own_environment(named.environment).as_str(),
                issued.invoice_no,
                issued.key.is_some(),
                bytes(seq, &issued.fingerprint)?,
                issued.original_seq,
                config,
                key,
                hash.0,
                bytes(seq, &issued.signature)?,
                issued.body,
                issued.print,
            ])?;
        if let Some(key) = &issued.key {
            core.conn
                .prepare_cached("INSERT INTO sale_key VALUES (?1, ?2, ?3)")?
                .execute(params![id.0, key, seq])?;
        }
        till.head.last_hash = Some(hash);
        till.head.last_global_no = receipt.global_no;
        till.head.last_counter = receipt.counter;
        till.head.last_date = Some(receipt.date);
        till.head.totals.add_receipt(&receipt);
        let detail = format!("{} {}", receipt.global_no, sign::hash(&issued.body));
        core.put_audit(entry.at, "receipt.issue", id, &detail)
    }

    pub(super) fn closed(
        &mut self,
        core: &mut Core,
        named: TillRef,
        entry: &Entry,
    ) -> Result<(), LedgerError> {
        let closed: DayClosed = body(entry)?;
        let seq = entry.seq;
        let id = self.till(named)?.id;
        let key = self.key(core, id, entry, &closed.public_key)?;
        let hash = sql::hash(&bytes(seq, &closed.hash)?, "hash")?;
        core.put_event(entry, Some(id), None)?;
        core.conn
            .prepare_cached("INSERT INTO day_close VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?
            .execute(params![
                seq,
                closed.day_seq,
                closed.closed,
                closed.receipt_counter,
                closed.totals,
                hash.0,
                bytes(seq, &closed.signature)?,
                key,
                closed.body,
            ])?;
        let head = &mut self.till(named)?.head;
        head.day = None;
        head.last_counter = ReceiptCounter::ZERO;
        head.last_hash = None;
        head.totals = DayTotals::default();
        let detail = format!("{} {hash}", closed.fiscal_day_no);
        core.put_audit(entry.at, "day.close", id, &detail)
    }

    /// The till went on from other numbers: chain and stream stand where it says.
    pub(super) fn adopted(
        &mut self,
        core: &mut Core,
        named: TillRef,
        entry: &Entry,
    ) -> Result<(), LedgerError> {
        let kept: AdoptedBody = body(entry)?;
        let adopted = read_adopted(entry.seq, kept)?;
        let till = self.till(named)?;
        let detail = adopted.detail();
        core.put_event(entry, Some(till.id), Some(&detail))?;
        insert(&core.conn, till.id, &adopted)?;
        let to = adopted.to;
        till.head.last_day_no = to.last_day_no;
        till.head.last_global_no = to.last_global_no;
        till.head.last_date = till.head.last_date.max(to.last_date);
        till.stream = StreamState {
            cursor: adopted.seq,
            last_day_no: to.last_day_no,
            last_global_no: to.last_global_no,
            ..StreamState::new(till.id)
        };
        till.adopted_day = to.day;
        let id = till.id;
        core.put_audit(entry.at, "till.adopt", id, &detail)
    }
}

fn read_adopted(seq: i64, kept: AdoptedBody) -> Result<Adopted, LedgerError> {
    let day_no = |no: u32| sql::number(no.into(), FiscalDayNo::new, "day of an adoption");
    let global_no =
        |no: u32| sql::number(no.into(), ReceiptGlobalNo::new, "receipt of an adoption");
    let hash = kept.last_hash.map(|hash| bytes(seq, &hash)).transpose()?;
    let day = match kept.day_opened {
        None => None,
        Some(opened) => Some(AdoptedDay {
            opened: sql::date(&opened, "dayOpened")?,
            last_counter: sql::number(
                kept.last_counter.unwrap_or(0).into(),
                ReceiptCounter::new,
                "lastCounter",
            )?,
            last_hash: hash.map(|hash| sql::hash(&hash, "lastHash")).transpose()?,
            totals: kept
                .totals
                .and_then(|totals| DayTotals::parse(&totals))
                .ok_or_else(|| broken(seq, "its sums cannot be read"))?,
        }),
    };
    Ok(Adopted {
        seq: Seq(seq),
        own_day_no: day_no(kept.own_day_no)?,
        own_global_no: global_no(kept.own_global_no)?,
        to: Adoption {
            last_day_no: day_no(kept.last_day_no)?,
            last_global_no: global_no(kept.last_global_no)?,
            last_date: kept
                .last_date
                .map(|date| sql::date(&date, "lastDate"))
                .transpose()?,
            day,
        },
    })
}
