//! What HQ asks for: kept before it is begun, carried out in order, ended once.
//!
//! After a crash in the middle a command is begun again, with the same id. Its end is an event, an audit row and a
//! state in one transaction: whoever sees the end sees it once.

use rusqlite::{Connection, OptionalExtension as _, params};
use sync_wire::command::{Command, CommandDone};
use sync_wire::entry::MAX_LINE;

use super::{not_joined, text};
use crate::ledger::core::Core;
use crate::ledger::{LedgerError, Reader, Refusal, StorageError, sql};

/// A command as it is kept.
struct Kept {
    command: Command,
    is_ended: bool,
}

impl Core {
    /// Keeps commands of HQ; those that are kept already are passed over. How many were new.
    ///
    /// # Errors
    /// Another command has the number or the id of one of them; none is kept then.
    pub fn hq_keep_commands(&mut self, commands: &[Command]) -> Result<u32, LedgerError> {
        super::load(&self.conn)?.ok_or_else(not_joined)?;
        let mut new = 0;
        for command in commands {
            let mut statement = self
                .conn
                .prepare_cached("SELECT no, id FROM hq_command WHERE no = ?1 OR id = ?2")?;
            let id = command.id.to_string();
            let found: Option<(i64, String)> = statement
                .query_row(params![command.no, id], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })
                .optional()?;
            match found {
                Some((no, other)) if no == command.no && other == id => continue,
                Some((no, other)) => {
                    return Err(Refusal::Exists(format!(
                        "head office sent the command {} {id}, but {no} {other} is kept here",
                        command.no
                    ))
                    .into());
                }
                None => new += 1,
            }
            self.conn
                .prepare_cached(
                    "INSERT INTO hq_command (no, id, body, state, received_at)
                     VALUES (?1, ?2, ?3, 'kept', ?4)",
                )?
                .execute(params![command.no, id, text(command), self.now_ms()])?;
        }
        if new > 0 {
            self.conn.execute(
                "UPDATE hq SET commands_seen = max(commands_seen, (SELECT max(no) FROM hq_command))",
                [],
            )?;
        }
        Ok(new)
    }

    /// Begins a command, or takes one up again that was begun before the power went; none if it has ended.
    ///
    /// # Errors
    /// There is no such command.
    pub fn hq_begin_command(&mut self, no: i64) -> Result<Option<Command>, LedgerError> {
        let kept = kept(&self.conn, no)?;
        if kept.is_ended {
            return Ok(None);
        }
        self.conn
            .prepare_cached("UPDATE hq_command SET state = 'begun' WHERE no = ?1")?
            .execute([no])?;
        Ok(Some(kept.command))
    }

    /// A command has ended: HQ hears of it, the audit too. Lines of a log that would not fit are left out, the oldest
    /// first.
    ///
    /// # Errors
    /// There is no such command, or it has ended before.
    pub fn hq_end_command(&mut self, done: &CommandDone) -> Result<(), LedgerError> {
        let kept = kept(&self.conn, done.no)?;
        if kept.is_ended || kept.command.id != done.id {
            return Err(Refusal::Exists(format!(
                "the command {} {} is not under way: it has ended before",
                done.no, done.id
            ))
            .into());
        }
        let detail = text(&fitting(done));
        self.conn
            .prepare_cached(
                "UPDATE hq_command SET state = 'ended', ended_at = ?2, outcome = ?3 WHERE no = ?1",
            )?
            .execute(params![done.no, self.now_ms(), detail])?;
        let seq = self.take_seq();
        let till = kept.command.order.till();
        let till = till.and_then(|till| self.till_by_ref(till));
        self.append_event(seq, till, "hq.command", Some(&detail))?;
        let told = format!("{} {}: {}", done.kind, done.outcome.as_str(), done.detail);
        self.audit(&kept.command.actor, "hq.command", till, &told)?;
        Ok(())
    }
}

/// So that its line fits: half of it is room for what JSON makes of a text within a text.
fn fitting(done: &CommandDone) -> CommandDone {
    let mut done = done.clone();
    if let Some(lines) = &mut done.lines {
        let mut room = MAX_LINE / 2;
        let fit = lines.iter().rev().take_while(|line| {
            let size = text(line).len() + 1;
            let is_fit = size <= room;
            room = room.saturating_sub(size);
            is_fit
        });
        let fit = fit.count();
        lines.drain(..lines.len() - fit);
    }
    done
}

fn kept(conn: &Connection, no: i64) -> Result<Kept, LedgerError> {
    let row: Option<(String, String)> = conn
        .prepare_cached("SELECT body, state FROM hq_command WHERE no = ?1")?
        .query_row([no], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (body, state) = row.ok_or_else(|| Refusal::Missing(format!("there is no command {no}")))?;
    Ok(Kept {
        command: command(&body)?,
        is_ended: state == "ended",
    })
}

fn command(body: &str) -> Result<Command, StorageError> {
    serde_json::from_str(body).map_err(|_| sql::damaged("hq_command.body"))
}

impl Reader {
    /// Whether a command was begun already: before the power went.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn hq_is_begun(&self, no: i64) -> Result<bool, LedgerError> {
        self.with(|conn| {
            let state: Option<String> = conn
                .prepare_cached("SELECT state FROM hq_command WHERE no = ?1")?
                .query_row([no], |row| row.get(0))
                .optional()?;
            Ok(state.is_some_and(|state| state == "begun"))
        })
    }

    /// The first command that has not ended.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn hq_next_command(&self) -> Result<Option<Command>, LedgerError> {
        self.with(|conn| {
            let body: Option<String> = conn
                .prepare_cached(
                    "SELECT body FROM hq_command WHERE state <> 'ended' ORDER BY no LIMIT 1",
                )?
                .query_row([], |row| row.get(0))
                .optional()?;
            Ok(body.map(|body| command(&body)).transpose()?)
        })
    }
}
