//! Holding a till and letting it go, retiring it, and pointing its new sales at another one.

use rusqlite::params;

use super::core::Core;
use super::holds::{HoldKind, successor};
use super::stream::{load_stream, next_item};
use super::{Environment, LedgerError, Refusal, Seq, StorageError, TillId};

/// Why a ledger that may be a copy does not sell.
const UNCHECKED: &str = "this ledger was copied, moved or put back from a backup, and FDMS has not been asked yet whether \
     it has receipts that are not in it. It sells as soon as FDMS has answered. Without a line, and if you are sure that \
     this till has sold nothing since this copy was made: `fiscald till confirm`";

impl Core {
    /// The file is not the one that was written last: no till sells before FDMS has been asked.
    pub(super) fn hold_unchecked(&mut self, why: &str) -> Result<(), StorageError> {
        // One that can sell may have sold since the copy was made, also where the copy does not know of any sale.
        let sold = self
            .tills
            .values()
            .filter(|till| till.head.last_day_no.get() > 0 || till.key.is_some());
        let free = sold.filter(|till| till.hold.is_none());
        let tills: Vec<TillId> = free.map(|till| till.info.id).collect();
        for till in tills {
            self.set_hold(
                till,
                HoldKind::Unchecked,
                &format!("{UNCHECKED} ({why})"),
                "system",
            )?;
        }
        Ok(())
    }

    /// Keeps a till from selling.
    ///
    /// # Errors
    /// No such till.
    pub fn hold_till(
        &mut self,
        till: TillId,
        kind: HoldKind,
        reason: &str,
        actor: &str,
    ) -> Result<(), LedgerError> {
        self.till(till)?;
        if matches!(kind, HoldKind::Blocked | HoldKind::Disabled) {
            let why = "blocking a till, or switching its environment off, is head office's to do";
            return Err(Refusal::NotNow(why.to_owned()).into());
        }
        Ok(self.set_hold(till, kind, reason, actor)?)
    }

    fn set_hold(
        &mut self,
        till: TillId,
        kind: HoldKind,
        reason: &str,
        actor: &str,
    ) -> Result<(), StorageError> {
        self.conn
            .prepare_cached(
                "INSERT INTO till_state (till_id, hold, reason, since) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (till_id) DO UPDATE SET hold = ?2, reason = ?3, since = ?4",
            )?
            .execute(params![till.0, kind.as_str(), reason, self.now_ms()])?;
        let detail = serde_json::json!({ "hold": kind.as_str(), "reason": reason });
        let seq = self.take_seq();
        self.append_event(seq, Some(till), "till.held", Some(&detail.to_string()))?;
        let detail = format!("{}: {reason}", kind.as_str());
        self.audit(actor, "till.hold", Some(till), &detail)?;
        self.reload()?;
        Ok(())
    }

    /// Lets a till sell again that was held for this kind of thing; true if it was.
    ///
    /// # Errors
    /// No such till.
    pub fn release_till(
        &mut self,
        till: TillId,
        kind: HoldKind,
        actor: &str,
    ) -> Result<bool, LedgerError> {
        if self.till(till)?.hold.as_ref().map(|hold| hold.kind) != Some(kind) {
            return Ok(false);
        }
        self.conn
            .prepare_cached(
                "UPDATE till_state SET hold = NULL, reason = NULL, since = NULL WHERE till_id = ?1",
            )?
            .execute([till.0])?;
        let seq = self.take_seq();
        self.append_event(seq, Some(till), "till.released", Some(kind.as_str()))?;
        self.audit(actor, "till.release", Some(till), kind.as_str())?;
        self.reload()?;
        Ok(true)
    }

    /// A person vouches that a till has sold nothing since this copy of its ledger was made.
    ///
    /// # Errors
    /// The till is not waiting for that.
    pub fn confirm_till(&mut self, till: TillId, actor: &str) -> Result<(), LedgerError> {
        if self.release_till(till, HoldKind::Unchecked, actor)? {
            return Ok(());
        }
        let device = self.till(till)?.info.device_id;
        Err(Refusal::Exists(format!("the till {device} does not wait to be confirmed")).into())
    }

    /// A controlled test receipt, or what belongs to it: up to it a closed gate lets the till's stream pass.
    pub(super) fn let_pass(&mut self, till: TillId, seq: Seq) -> Result<(), StorageError> {
        self.conn
            .prepare_cached(
                "INSERT INTO till_state (till_id, controlled) VALUES (?1, ?2)
                 ON CONFLICT (till_id) DO UPDATE SET controlled = ?2",
            )?
            .execute(params![till.0, seq.0])?;
        Ok(())
    }

    /// Whether what head office orders of a till passes a closed gate: in the test environment alone.
    pub(super) fn may_pass(&self, till: TillId) -> Result<bool, LedgerError> {
        Ok(self.till(till)?.info.environment == Environment::Test)
    }

    /// Everything of a till has reached FDMS.
    ///
    /// # Errors
    /// It has not.
    pub fn nothing_unsent(&self, till: TillId) -> Result<(), LedgerError> {
        let device = self.till(till)?.info.device_id;
        let stream = load_stream(&self.conn, till)?;
        match next_item(&self.conn, &stream)? {
            None => Ok(()),
            Some(item) => Err(Refusal::Stream(format!(
                "the till {device} has not sent everything to FDMS yet; next is the {}. Nothing of it may be \
                 lost: let its queue run empty first (`fiscald queue show`)",
                item.kind
            ))
            .into()),
        }
    }

    /// Retires a till: it never sells again. Its receipts stay.
    ///
    /// # Errors
    /// A day is open, or something has not reached FDMS yet.
    pub fn retire_till(&mut self, till: TillId, why: &str, actor: &str) -> Result<(), LedgerError> {
        let state = self.till(till)?;
        let device = state.info.device_id;
        if let Some(day) = state.head.day {
            return Err(Refusal::DayOpen { device, no: day.no }.into());
        }
        self.nothing_unsent(till)?;
        let reason = match why {
            "" => "it was retired; its receipts stay in the ledger".to_owned(),
            why => format!("it was retired ({why}); its receipts stay in the ledger"),
        };
        self.hold_till(till, HoldKind::Retired, &reason, actor)
    }

    /// Points new sales of a till at another one, or at itself again. A till keeps its environment for life:
    /// this is how a shop goes from test to production, and back.
    ///
    /// # Errors
    /// One of them is not there, or the other one passes its sales on itself.
    pub fn switch_till(
        &mut self,
        from: TillId,
        to: Option<TillId>,
        actor: &str,
    ) -> Result<(), LedgerError> {
        let device = self.till(from)?.info.device_id;
        let to = to.filter(|to| *to != from);
        let mut named = String::new();
        if let Some(to) = to {
            let info = &self.till(to)?.info;
            named = format!("{} {}", info.environment, info.device_id);
            let onward = successor(&self.conn, to)?;
            let behind: bool = self
                .conn
                .prepare_cached("SELECT EXISTS (SELECT 1 FROM till_state WHERE successor = ?1)")?
                .query_row([from.0], |row| row.get(0))?;
            if onward.is_some() || behind {
                return Err(Refusal::Exists(format!(
                    "new sales would be passed on twice: end the other switch of {device} or of {named} first"
                ))
                .into());
            }
        }
        self.conn
            .prepare_cached(
                "INSERT INTO till_state (till_id, successor) VALUES (?1, ?2)
                 ON CONFLICT (till_id) DO UPDATE SET successor = ?2",
            )?
            .execute(params![from.0, to.map(|to| to.0)])?;
        let seq = self.take_seq();
        self.append_event(seq, Some(from), "till.switched", Some(&named))?;
        self.audit(actor, "till.switch", Some(from), &named)?;
        self.reload()?;
        Ok(())
    }
}
