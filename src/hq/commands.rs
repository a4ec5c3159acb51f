//! What HQ asks for is carried out here: one command at a time, in order, each kept before it is begun and ended once.
//!
//! What the ledger alone does ends in the very transaction that does it. What needs FDMS is made so that doing it again
//! does no harm: a receipt has the command's name as its key, the others ask for what is there anyway.

use std::sync::Arc;
use std::time::Duration;

use sync_wire::TillRef;
use sync_wire::command::{Command, CommandDone, CommandOutcome, Order};
use sync_wire::seal::{SealKey, Sealed, credential_context};
use tokio::sync::Notify;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{HeadOffice, log, test_receipt};
use crate::crash::{self, Point};
use crate::join::{JoinError, import};
use crate::keys::Imported;
use crate::ledger::core::Core;
use crate::ledger::hq::{own_environment, till_ref};
use crate::ledger::tills::NewTill;
use crate::ledger::{
    Ledger, LedgerError, Reader, Refusal, SaleDone, StorageError, TillId, TillInfo,
};
use crate::submit::desk::DeskError;
use crate::submit::{Access, Submitter};

/// Pause after a fault of the storage.
const AGAIN: Duration = Duration::from_secs(10);
/// Lines of a log that are sent at most.
const MOST_LINES: u32 = 5_000;

/// Carries commands out.
pub(super) struct Executor {
    pub(super) ledger: Ledger,
    pub(super) submitter: Submitter,
    pub(super) office: HeadOffice,
    pub(super) store_id: Uuid,
    pub(super) seal_key: SealKey,
    /// Rung when a command was kept.
    pub(super) bell: Arc<Notify>,
}

/// How a command ended, for the answer.
struct End {
    outcome: CommandOutcome,
    detail: String,
    number: Option<u32>,
    lines: Option<Vec<String>>,
}

impl End {
    fn new(outcome: CommandOutcome, detail: impl Into<String>) -> Self {
        Self {
            outcome,
            detail: detail.into(),
            number: None,
            lines: None,
        }
    }

    fn done(detail: impl Into<String>) -> Self {
        Self::new(CommandOutcome::Done, detail)
    }

    fn refused(why: impl ToString) -> Self {
        Self::new(CommandOutcome::Refused, why.to_string())
    }

    fn failed(why: impl ToString) -> Self {
        Self::new(CommandOutcome::Failed, why.to_string())
    }

    fn numbered(mut self, number: u32) -> Self {
        self.number = Some(number);
        self
    }

    fn answer(self, command: &Command) -> CommandDone {
        CommandDone {
            id: command.id,
            no: command.no,
            kind: command.order.kind().to_owned(),
            outcome: self.outcome,
            detail: self.detail,
            number: self.number,
            lines: self.lines,
        }
    }
}

/// Why a command is not ended: the storage failed, and it is tried again.
struct NotNow(StorageError);

impl From<StorageError> for NotNow {
    fn from(error: StorageError) -> Self {
        Self(error)
    }
}

/// A refusal ends a command, a fault of the storage does not.
fn refusal(error: LedgerError) -> Result<End, NotNow> {
    match error {
        LedgerError::Refused(refusal) => Ok(End::refused(refusal)),
        LedgerError::Storage(error) => Err(error.into()),
    }
}

impl Executor {
    /// Runs for ever; whoever started it stops it by dropping it. A command that was interrupted is begun again, once HQ
    /// was heard: if the ledger was put back from a backup, that is found out then, and what it had kept is forgotten.
    pub(super) async fn run(&self) {
        self.office.view.heard().await;
        let clock = Arc::clone(self.ledger.time().clock());
        loop {
            match self.next().await {
                Ok(true) => {}
                Ok(false) => self.bell.notified().await,
                Err(NotNow(StorageError::Stopping)) => return std::future::pending().await,
                Err(NotNow(error)) => {
                    tracing::warn!(%error, "a command of head office waits for the ledger");
                    clock.sleep(AGAIN).await;
                }
            }
        }
    }

    /// Carries out the next command; false if there is none.
    async fn next(&self) -> Result<bool, NotNow> {
        let found = self.ask(|reader| {
            let Some(command) = reader.hq_next_command()? else {
                return Ok(None);
            };
            Ok(Some((reader.hq_is_begun(command.no)?, command)))
        });
        let Some((is_begun, command)) = found.await? else {
            return Ok(false);
        };
        let (no, kind) = (command.no, command.order.kind());
        let is_late = !is_begun && self.hq_now() > command.expires;
        if is_late {
            let late = "it came too late: the store was not connected in time";
            self.end(&command, End::new(CommandOutcome::Expired, late))
                .await?;
            return Ok(true);
        }
        let begun = self.write(move |core| core.hq_begin_command(no)).await;
        match begun {
            Ok(Some(_)) => {}
            Ok(None) => return Ok(true),
            Err(LedgerError::Storage(error)) => return Err(error.into()),
            // It is gone: the store has left HQ meanwhile.
            Err(LedgerError::Refused(_)) => return Ok(true),
        }
        tracing::info!(
            no,
            kind,
            by = command.actor,
            again = is_begun,
            "head office asks for something"
        );
        crash::at(Point::HqBegun);
        self.carry_out(&command).await?;
        crash::at(Point::HqEnded);
        Ok(true)
    }

    async fn carry_out(&self, command: &Command) -> Result<(), NotNow> {
        let till = match command.order.till() {
            None => None,
            Some(named) => match self.till(named).await? {
                Some(till) => Some(till),
                None if matches!(command.order, Order::DeliverCredential { .. }) => None,
                None => {
                    let why = format!("there is no till {named} in this store");
                    return self.end(command, End::refused(why)).await;
                }
            },
        };
        let end = match (&command.order, till) {
            (Order::SubmitTest { .. }, Some(till)) => self.submit_test(command, till).await?,
            (Order::RefreshConfig { .. }, Some(till)) => self.refresh_config(till.id).await,
            (Order::RenewCertificate { .. }, Some(till)) => self.renew_certificate(till.id).await,
            (
                Order::DeliverCredential {
                    till: named,
                    version,
                    certificate,
                    key,
                    ..
                },
                till,
            ) => match self.new_till(&command.order, *named, till) {
                Ok(new) => {
                    let sealed = (key, *named, *version);
                    self.take_credential(command, new, certificate, sealed)
                        .await?
                }
                Err(why) => End::refused(why),
            },
            (Order::UploadLog { lines }, _) => self.upload_log(*lines).await,
            (order, Some(till)) => return self.in_the_ledger(command, order.clone(), till).await,
            (_, None) => End::refused("it names no till"),
        };
        crash::at(Point::HqCarriedOut);
        self.end(command, end).await
    }

    /// What the ledger alone does: done and ended in one transaction.
    async fn in_the_ledger(
        &self,
        command: &Command,
        order: Order,
        till: TillInfo,
    ) -> Result<(), NotNow> {
        let ending = command.clone();
        let done = self.write(move |core| {
            let end = act(core, &order, &till, &ending.actor)?;
            crash::at(Point::HqCarriedOut);
            core.hq_end_command(&end.answer(&ending))
        });
        match done.await {
            Ok(()) => Ok(()),
            Err(error) => {
                let end = refusal(error)?;
                self.end(command, end).await
            }
        }
    }

    async fn submit_test(&self, command: &Command, till: TillInfo) -> Result<End, NotNow> {
        if till.environment != crate::ledger::Environment::Test {
            return Ok(End::refused(
                "test receipts are issued in the test environment alone; a receipt of production is for good",
            ));
        }
        let (id, key) = (till.id, test_receipt::key(command));
        let found = self.ask(move |reader| {
            let open = reader.day(id, None)?.is_some_and(|day| day.close.is_none());
            Ok((reader.by_key(id, &key)?, reader.taxpayer(id)?, open))
        });
        let (issued, taxpayer, is_open) = found.await?;
        if let Some(issued) = issued {
            return Ok(End::done("the test receipt is issued and goes to FDMS")
                .numbered(issued.receipt.global_no.get()));
        }
        let Some(taxpayer) = taxpayer else {
            return Ok(End::refused("the till has no configuration yet"));
        };
        let settings = self.ledger.settings();
        let now = self.ledger.time().local();
        let sale = test_receipt::sale(command, &till, &taxpayer, &settings.currencies, now);
        let sale = match sale {
            Ok(sale) => sale,
            Err(why) => return Ok(End::refused(why)),
        };
        if !is_open {
            let actor = command.actor.clone();
            let opened = self.write(move |core| core.open_controlled_day(id, &actor));
            match opened.await {
                // Somebody else was quicker.
                Ok(_) | Err(LedgerError::Refused(Refusal::DayOpen { .. })) => {}
                Err(error) => return refusal(error),
            }
        }
        let seq = match self.ledger.issue(sale).await {
            Ok(SaleDone::Issued(issued)) => issued.seq,
            Ok(SaleDone::Repeated(seq)) => seq,
            Err(error) => return refusal(error),
        };
        let number = self.ask(move |reader| reader.receipt_no(seq)).await?;
        let end = End::done("the test receipt is issued and goes to FDMS");
        Ok(match number {
            Some(number) => end.numbered(number.get()),
            None => end,
        })
    }

    async fn refresh_config(&self, till: TillId) -> End {
        match self.submitter.fetch_config(till).await {
            Ok(true) => End::done("FDMS has changed the configuration; it is in use"),
            Ok(false) => End::done("the configuration is as it was"),
            Err(error) => desk(&error),
        }
    }

    async fn renew_certificate(&self, till: TillId) -> End {
        match self.submitter.renew_certificate(till).await {
            Ok(()) => End::done("the certificate was renewed and is in use"),
            Err(error) => desk(&error),
        }
    }

    /// The till that a credential is for: as it is in the ledger, else as HQ describes it.
    fn new_till(
        &self,
        order: &Order,
        named: TillRef,
        till: Option<TillInfo>,
    ) -> Result<NewTill, String> {
        if let Some(till) = till {
            return Ok(NewTill {
                environment: till.environment,
                device_id: till.device_id,
                serial_no: till.serial_no,
                model_name: till.model_name,
                model_version: till.model_version,
                invoice_prefix: till.invoice_prefix,
            });
        }
        let Order::DeliverCredential {
            model: Some((model_name, model_version)),
            serial_no: Some(serial_no),
            invoice_prefix: Some(invoice_prefix),
            ..
        } = order
        else {
            return Err(format!(
                "the till {named} is not in this store yet, and its serial number, model or prefix was not sent along"
            ));
        };
        let device_id = fiscal::DeviceId::new(named.device_id)
            .ok_or_else(|| format!("{} is no device ID", named.device_id))?;
        Ok(NewTill {
            environment: own_environment(named.environment),
            device_id,
            serial_no: serial_no.clone(),
            model_name: model_name.clone(),
            model_version: model_version.clone(),
            invoice_prefix: invoice_prefix.clone(),
        })
    }

    async fn take_credential(
        &self,
        command: &Command,
        till: NewTill,
        certificate: &str,
        (key, named, version): (&Sealed, TillRef, i32),
    ) -> Result<End, NotNow> {
        let context = credential_context(self.store_id, named, version);
        let imported = match self.unsealed(key, &context, certificate) {
            Ok(imported) => imported,
            Err(why) => return Ok(End::refused(why)),
        };
        let clock = Arc::clone(self.ledger.time().clock());
        let access = match Access::from_config(&self.office.fdms, clock) {
            Ok(access) => access,
            Err(why) => return Ok(End::failed(why)),
        };
        let thumbprint = imported.certificate.thumbprint().to_owned();
        match import(&self.ledger, &access, &till, imported, &command.actor).await {
            Ok(joined) => Ok(End::done(match joined.foreign_past {
                None => format!("the credential {thumbprint} is in use"),
                Some(past) => format!("the credential {thumbprint} is in use. {past}"),
            })),
            Err(JoinError::Ledger(error)) => refusal(error),
            Err(error @ (JoinError::Later(_) | JoinError::Client(_))) => Ok(End::failed(error)),
            Err(error) => Ok(End::refused(error)),
        }
    }

    fn unsealed(&self, key: &Sealed, context: &str, certificate: &str) -> Result<Imported, String> {
        let opened = self
            .seal_key
            .open(key, context)
            .map_err(|error| error.to_string())?;
        let pem =
            std::str::from_utf8(&opened).map_err(|_| "the key is no text in PEM".to_owned())?;
        let pem = Zeroizing::new(pem.to_owned());
        Imported::from_pem(certificate, &pem).map_err(|error| error.to_string())
    }

    async fn upload_log(&self, lines: u32) -> End {
        let Some(folder) = self.office.log.clone() else {
            return End::refused(
                "the daemon's log goes to standard error, to the journal of the system; it is kept in files where \
                 `directory` in [log] names a folder",
            );
        };
        let most = usize::try_from(lines.min(MOST_LINES)).unwrap_or(0);
        let read = tokio::task::spawn_blocking(move || log::last_lines(&folder, most)).await;
        match read {
            Ok(Ok(lines)) => End {
                lines: Some(lines),
                ..End::done("the last lines of the log")
            },
            Ok(Err(why)) => End::failed(why),
            Err(_) => End::failed("the daemon is stopping"),
        }
    }

    async fn end(&self, command: &Command, end: End) -> Result<(), NotNow> {
        let (kind, outcome) = (command.order.kind(), end.outcome.as_str());
        tracing::info!(
            no = command.no,
            kind,
            outcome,
            detail = end.detail,
            "a command of head office has ended"
        );
        let done = end.answer(command);
        match self.write(move |core| core.hq_end_command(&done)).await {
            Ok(()) => Ok(()),
            // It has ended before, or the store has left HQ.
            Err(LedgerError::Refused(refusal)) => {
                tracing::debug!(%refusal, "the end of a command is not kept");
                Ok(())
            }
            Err(LedgerError::Storage(error)) => Err(error.into()),
        }
    }

    async fn till(&self, named: TillRef) -> Result<Option<TillInfo>, NotNow> {
        let tills = self.ask(Reader::tills).await?;
        Ok(tills.into_iter().find(|till| till_ref(till) == named))
    }

    /// HQ's clock; before HQ has answered the trusted time is the better guess.
    fn hq_now(&self) -> i64 {
        let time = self.ledger.time();
        let known = self.office.view.standing().hq_now(time.clock().boot());
        known.unwrap_or_else(|| time.now().as_millisecond())
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Reader) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, NotNow> {
        self.ledger
            .ask(question)
            .await
            .map_err(|error| match error {
                LedgerError::Storage(error) => NotNow(error),
                LedgerError::Refused(refusal) => NotNow(StorageError::Damaged(refusal.to_string())),
            })
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Core) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        self.ledger.write(work).await
    }
}

/// What the ledger does for an order.
fn act(core: &mut Core, order: &Order, till: &TillInfo, actor: &str) -> Result<End, LedgerError> {
    let id = till.id;
    Ok(match order {
        Order::Retry { .. } => {
            core.retry_stream(id, actor)?;
            End::done("the queue goes on")
        }
        Order::DeadLetter { reason, .. } => {
            core.pause_stream(id, reason, actor)?;
            End::done("nothing of the queue is sent until it is let go on; nothing of it is lost")
        }
        Order::OpenDay { .. } => {
            let day = core.open_controlled_day(id, actor)?;
            let no = day.fiscal_day_no.get();
            End::done(format!("the fiscal day {no} is open")).numbered(no)
        }
        Order::CloseDay { .. } => {
            let day = core.close_controlled_day(id, actor)?;
            let no = day.fiscal_day_no.get();
            End::done(format!("the fiscal day {no} is closed")).numbered(no)
        }
        Order::Retire { reason, .. } => {
            core.retire_till(id, reason, actor)?;
            End::done("the till is retired; its receipts stay")
        }
        other => End::refused(format!("{} is nothing that the ledger does", other.kind())),
    })
}

fn desk(error: &DeskError) -> End {
    match error {
        DeskError::Refused(_) => End::refused(error),
        _ => End::failed(error),
    }
}
