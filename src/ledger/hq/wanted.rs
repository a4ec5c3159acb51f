//! What HQ wants the store to be: gates, blocked tills, and where new sales go. Put into effect in one transaction.

use rusqlite::{Connection, params};
use serde_json::{Value, json};
use sync_wire::TillRef;
use sync_wire::state::{Blocked, Gate, Switch, Wanted};

use super::{ACTOR, HqState, not_joined, own_environment, till_ref};
use crate::ledger::core::Core;
use crate::ledger::holds::successor;
use crate::ledger::{LedgerError, Reader, StorageError, TillId, sql};

/// Where the switches are kept that could not be made.
const LEFT_OUT: &str = "hq_left_out";
/// Where it is kept which version of the gateway has read what HQ wants.
const READ_BY: &str = "hq_wanted_by";
/// This one.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What an answer of HQ changes.
enum News {
    /// Nothing.
    None,
    /// HQ has decided something.
    Decided,
    /// An older gateway has kept it, which did not know all the settings. What people in the store may have changed since,
    /// and what HQ itself may have forgotten (docs/HQ.md, Gates), stays.
    ReadAnew,
    /// A switch that was left out may be possible now.
    LeftOut,
}

impl News {
    fn of(conn: &Connection, hq: &HqState, wanted: &Wanted) -> Result<Self, StorageError> {
        let kept = &hq.wanted;
        if wanted.revision != kept.revision {
            return Ok(match wanted.revision > kept.revision {
                true => Self::Decided,
                false => Self::None,
            });
        }
        let is_read_anew = wanted.settings != kept.settings
            && sql::meta(conn, READ_BY)?.as_deref() != Some(VERSION.as_bytes());
        Ok(match sql::meta(conn, LEFT_OUT)? {
            _ if is_read_anew => Self::ReadAnew,
            Some(_) => Self::LeftOut,
            None => Self::None,
        })
    }
}

/// No switch is left out.
pub(super) fn forget_left_out(conn: &Connection) -> Result<(), StorageError> {
    conn.execute("DELETE FROM meta WHERE name = ?1", [LEFT_OUT])?;
    Ok(())
}

/// Switches that could not be made, for the event.
fn told(left_out: &[(Switch, String)]) -> Vec<Value> {
    let told = left_out
        .iter()
        .map(|(switch, why)| json!({ "from": switch.from, "to": switch.to, "reason": why }));
    told.collect()
}

impl Core {
    /// Puts what HQ wants into effect, if it is newer than what was; true if something was done. A switch that cannot be
    /// made is left out, and the event says why.
    ///
    /// # Errors
    /// The store has not joined, or a fault of the storage.
    pub fn hq_apply(&mut self, wanted: &Wanted) -> Result<bool, LedgerError> {
        let hq = super::load(&self.conn)?.ok_or_else(not_joined)?;
        match News::of(&self.conn, &hq, wanted)? {
            News::None => Ok(false),
            News::LeftOut => self.try_left_out(wanted.revision),
            News::Decided => {
                for gate in &wanted.gates {
                    self.set_gate(gate)?;
                }
                self.set_blocked(&wanted.blocked)?;
                let left_out = self.apply_switches(&wanted.switches)?;
                self.keep_left_out(&left_out)?;
                self.keep_wanted(&hq, wanted, &left_out)
            }
            News::ReadAnew => {
                let wanted = Wanted {
                    settings: wanted.settings.clone(),
                    ..hq.wanted.clone()
                };
                self.keep_wanted(&hq, &wanted, &[])
            }
        }
    }

    /// Keeps what is in effect now, and tells it.
    fn keep_wanted(
        &mut self,
        hq: &HqState,
        wanted: &Wanted,
        left_out: &[(Switch, String)],
    ) -> Result<bool, LedgerError> {
        self.set_meta(READ_BY, VERSION.as_bytes())?;
        self.conn
            .execute("UPDATE hq SET wanted = ?1", [super::text(wanted)])?;
        let detail = json!({
            "revision": wanted.revision,
            "gates": wanted.gates,
            "switches": wanted.switches,
            "blocked": wanted.blocked,
            "bytesPerSecond": wanted.bytes_per_second,
            "settings": wanted.settings,
            "leftOut": told(left_out),
        });
        self.hq_event("hq.wanted", &detail.to_string())?;
        let gates = wanted.gates.iter().map(|gate| {
            let word = if gate.enabled { "on" } else { "off" };
            format!(" {} {word} ({})", gate.environment, gate.reason)
        });
        let blocked = wanted.blocked.iter().map(|blocked| {
            let Blocked { till, reason } = blocked;
            format!(" {till} blocked ({reason})")
        });
        let mut told: String = gates.chain(blocked).collect();
        if wanted.settings != hq.wanted.settings {
            told = format!("{told} settings {}", super::text(&wanted.settings));
        }
        let told = format!("{}{told}", wanted.revision);
        self.audit(ACTOR, "hq.wanted", None, &told)?;
        // What was kept back may go on, what goes on may be kept back.
        let tills: Vec<TillId> = self.tills.keys().copied().collect();
        self.touched.extend(tills);
        self.reload()?;
        Ok(true)
    }

    /// What the store has left out is tried again with each exchange: what was in its way may be gone. A switch that was
    /// made once is not made again, so a person in the store can change it meanwhile.
    fn try_left_out(&mut self, revision: i64) -> Result<bool, LedgerError> {
        let Some(kept) = sql::meta(&self.conn, LEFT_OUT)? else {
            return Ok(false);
        };
        let before: Vec<Switch> = serde_json::from_slice(&kept)
            .map_err(|error| sql::damaged(format!("switches that were left out: {error}")))?;
        let still = self.apply_switches(&before)?;
        if still.len() == before.len() {
            return Ok(false);
        }
        self.keep_left_out(&still)?;
        let detail = json!({ "revision": revision, "leftOut": told(&still) });
        self.hq_event("hq.wanted", &detail.to_string())?;
        self.audit(ACTOR, "hq.wanted", None, &format!("{revision} again"))?;
        self.reload()?;
        Ok(true)
    }

    /// Makes switches; what cannot be made, and why.
    fn apply_switches(
        &mut self,
        switches: &[Switch],
    ) -> Result<Vec<(Switch, String)>, LedgerError> {
        // Ends first: they make room for what follows.
        let (ends, begins): (Vec<_>, Vec<_>) =
            switches.iter().partition(|switch| switch.to.is_none());
        let mut left_out = Vec::new();
        for switch in ends.into_iter().chain(begins) {
            if let Err(why) = self.apply_switch(switch)? {
                left_out.push((*switch, why));
            }
        }
        Ok(left_out)
    }

    /// Keeps what was left out, for the next try.
    fn keep_left_out(&mut self, left_out: &[(Switch, String)]) -> Result<(), StorageError> {
        if left_out.is_empty() {
            return forget_left_out(&self.conn);
        }
        let switches: Vec<Switch> = left_out.iter().map(|(switch, _)| *switch).collect();
        self.set_meta(LEFT_OUT, super::text(&switches).as_bytes())?;
        Ok(())
    }

    fn set_gate(&mut self, gate: &Gate) -> Result<(), LedgerError> {
        self.conn
            .prepare_cached(
                "INSERT INTO gate VALUES (?1, ?2, ?3, ?4) ON CONFLICT (environment) DO UPDATE
                 SET since = CASE WHEN enabled = ?2 THEN since ELSE ?4 END, enabled = ?2, reason = ?3",
            )?
            .execute(params![
                own_environment(gate.environment).as_str(),
                gate.enabled,
                gate.reason,
                self.now_ms()
            ])?;
        Ok(())
    }

    /// Blocks these tills, and no others.
    fn set_blocked(&mut self, blocked: &[Blocked]) -> Result<(), LedgerError> {
        let names = blocked.iter().map(|blocked| blocked.till);
        let names: Vec<_> = names
            .map(|till| json!([own_environment(till.environment).as_str(), till.device_id]))
            .collect();
        let names = json!(names).to_string();
        self.conn
            .prepare_cached(
                "DELETE FROM blocked WHERE NOT EXISTS (SELECT 1 FROM json_each(?1) n
                   WHERE n.value ->> 0 = blocked.environment AND n.value ->> 1 = blocked.device_id)",
            )?
            .execute([names])?;
        for Blocked { till, reason } in blocked {
            self.conn
                .prepare_cached(
                    "INSERT INTO blocked VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (environment, device_id) DO UPDATE SET reason = ?3",
                )?
                .execute(params![
                    own_environment(till.environment).as_str(),
                    till.device_id,
                    reason,
                    self.now_ms()
                ])?;
        }
        Ok(())
    }

    /// Makes one switch, or says why not.
    fn apply_switch(&mut self, switch: &Switch) -> Result<Result<(), String>, LedgerError> {
        let missing = |till: TillRef| Ok(Err(format!("the till {till} is not in this store")));
        let Some(from) = self.till_by_ref(switch.from) else {
            return missing(switch.from);
        };
        let to = match switch.to {
            None => None,
            Some(to) => match self.till_by_ref(to) {
                None => return missing(to),
                found => found.filter(|to| *to != from),
            },
        };
        if let Some(to) = to
            && successor(&self.conn, to)? == Some(from)
        {
            self.switch_till(to, None, ACTOR)?;
        }
        if successor(&self.conn, from)? == to {
            return Ok(Ok(()));
        }
        match self.switch_till(from, to, ACTOR) {
            // It is refused before anything is written.
            Err(LedgerError::Refused(refusal)) => Ok(Err(refusal.to_string())),
            done => done.map(Ok),
        }
    }

    /// The till that HQ names so.
    pub(super) fn till_by_ref(&self, till: TillRef) -> Option<TillId> {
        let tills = self.tills.values();
        let mut found = tills.filter(|known| till_ref(&known.info) == till);
        found.next().map(|known| known.info.id)
    }
}

impl Reader {
    /// Whether what HQ wants changes anything here: an exchange that brings no news costs no transaction.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn hq_is_news(&self, wanted: &Wanted) -> Result<bool, LedgerError> {
        self.with(|conn| {
            let Some(hq) = super::load(conn)? else {
                return Ok(false);
            };
            Ok(!matches!(News::of(conn, &hq, wanted)?, News::None))
        })
    }
}
