//! Files of offline devices: taken at once, processed later (docs/FDMS.md section 7).
//!
//! A file goes through steps, each at a moment of the sandbox's clock: its receipts and footer are
//! read, it waits for the files before it or is too late, and then it is processed by the same judges
//! as SubmitReceipt and CloseDay. What is due is done when somebody looks.

use std::net::IpAddr;
use std::time::Duration;

use clock::Timestamp;
use jiff::civil::DateTime;

use super::World;
use super::days::CloseRequest;
use crate::answer::Refusal;
use crate::failure::FileError;
use crate::file::{self, FileHeader, SubmittedFile, Unpacked};
use crate::finding::Color;
use crate::model::{
    BadReceipt, Day, DayStatus, Device, FileRecord, FileStatus, ReconciliationMode, StoredFile,
};
use crate::receipt::Receipt;
use crate::settings::FilesOfOpenDays;
use crate::spec::OperatingMode;

/// A message of SubmitFile and what came with it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FileMessage<'a> {
    pub(crate) body: &'a str,
    pub(crate) content_type: Option<&'a str>,
    pub(crate) sender: Option<IpAddr>,
    pub(crate) operation_id: &'a str,
}

/// What is next for a file. Of several at one moment the first in this order comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Read,
    Process,
    RefuseDay,
    Expire,
}

/// Where a file stands among the days and files of its device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    IsNext,
    Waits,
    DayIsClosed,
}

/// The receipts and the footer of a file, read.
struct Parts {
    receipts: Vec<(Receipt, String)>,
    footer: Option<(CloseRequest, DateTime)>,
}

impl World {
    /// SubmitFile: checked now, processed later.
    pub(crate) fn submit_file(
        &mut self,
        device_id: u32,
        message: FileMessage<'_>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        self.admit_offline(device_id)?;
        let (file, text) = self.read_file(message)?;
        let header = file.header;
        if i64::from(header.device_id) != i64::from(device_id) {
            let why = "The device ID of the file's header is another one.";
            return Err(Refusal::code("FILE05", why));
        }
        let settings = &self.settings;
        let refuses_open = settings.files_of_open_days == FilesOfOpenDays::Refused;
        let after = |start: Timestamp, millis| {
            let later = start.checked_add(Duration::from_millis(millis));
            later.unwrap_or(Timestamp::MAX)
        };
        let due = after(now, settings.file_delay_ms);
        let (polls_left, waits_till) = (settings.file_polls, after(due, settings.file_waiting_ms));
        let device = self.settled(device_id, now)?;
        let open = device
            .days
            .last()
            .filter(|day| day.status != DayStatus::FiscalDayClosed);
        let is_closing = open.is_some_and(|day| day.closing.is_some() && day.no == header.day_no);
        if is_closing || place_of(device, &header) == Place::DayIsClosed {
            let why = "The fiscal day is closed or being closed.";
            return Err(Refusal::code("FILE04", why));
        }
        if refuses_open && open.is_some() {
            let why = "Device fiscal day status must be FiscalDayClosed";
            return Err(Refusal::Unprocessable(why.to_owned()));
        }
        device.files.push(FileRecord {
            operation_id: message.operation_id.to_owned(),
            header,
            has_footer: file.footer.is_some(),
            sender: message.sender,
            uploaded: now,
            due,
            polls_left,
            waits_till,
            is_well_shaped: false,
            status: FileStatus::InProgress,
            error: None,
            finished: None,
            bad_receipts: Vec::new(),
            text: text.into(),
        });
        self.unfinished_files.insert(device_id);
        Ok(())
    }

    /// Whether the device reports by file; one that does not is refused with FILE03.
    pub(crate) fn admit_offline(&self, device_id: u32) -> Result<(), Refusal> {
        match self.device(device_id)?.spec.operating_mode {
            OperatingMode::Offline => Ok(()),
            OperatingMode::Online => Err(Refusal::code(
                "FILE03",
                "The device's operating mode is not Offline.",
            )),
        }
    }

    /// The file in a message, and its text: 400 for nothing, FILE01, 415, FILE02.
    fn read_file(&self, message: FileMessage<'_>) -> Result<(SubmittedFile, String), Refusal> {
        if message.body.trim().is_empty() {
            return Err(Refusal::status(400, "Content is empty"));
        }
        // In no form is a file longer than what is sent.
        if message.body.len() > file::LONGEST {
            return Err(Refusal::code("FILE01", "The file is larger than 3 MB."));
        }
        let transport = self.settings.file_transport;
        let text = file::unpack(message.body, message.content_type, transport);
        let text = text.map_err(|error| match error {
            Unpacked::ContentType(why) => Refusal::status(415, why),
            Unpacked::Body(why) => Refusal::code("FILE02", why),
        })?;
        match SubmittedFile::read(&text) {
            Ok(file) => Ok((file, text)),
            Err(errors) => {
                let fields: Vec<String> = errors.0.into_keys().collect();
                let why = format!("Wrong fields: {}.", fields.join(", "));
                Err(Refusal::code("FILE02", why))
            }
        }
    }

    /// Does with all files what is due.
    pub(crate) fn process_files(&mut self, now: Timestamp) {
        let devices: Vec<u32> = self.unfinished_files.iter().copied().collect();
        for device_id in devices {
            while self.process_next_file(device_id, now) {}
            let device = self.devices.get(&device_id);
            if !device.is_some_and(|device| device.files.iter().any(|file| !file.is_finished())) {
                self.unfinished_files.remove(&device_id);
            }
        }
    }

    /// Does the step that comes next; false if none is due.
    fn process_next_file(&mut self, device_id: u32, now: Timestamp) -> bool {
        let Some(device) = self.devices.get_mut(&device_id) else {
            return false;
        };
        super::days::settle(device, now);
        let Some((at, step, index)) = next_step(device, now) else {
            return false;
        };
        let end = match step {
            Step::Read => match self.parts_of(device_id, index) {
                Some(_) => None,
                None => Some(Err(FileError::IncorrectFileFormat)),
            },
            Step::Process => Some(self.process_file(device_id, index, at)),
            Step::RefuseDay => Some(Err(FileError::FileSentForClosedDay)),
            Step::Expire => Some(Err(FileError::FileExceededAllowedWaitingTime)),
        };
        let Some(device) = self.devices.get_mut(&device_id) else {
            return false;
        };
        let Some(file) = device.files.get_mut(index) else {
            return false;
        };
        match end {
            None => file.is_well_shaped = true,
            Some(end) => {
                file.error = end.err();
                file.status = match file.error {
                    None => FileStatus::CompleteSuccessful,
                    Some(_) => FileStatus::FailedWithErrors,
                };
                file.finished = Some(at);
                device.files_at = device.files_at.max(at);
            }
        }
        true
    }

    /// The receipts and the footer of a file; none if they are not well-shaped.
    fn parts_of(&self, device_id: u32, index: usize) -> Option<Parts> {
        let file = self.devices.get(&device_id)?.files.get(index)?;
        let submitted = SubmittedFile::read(&file.text).ok()?;
        let mut receipts = Vec::with_capacity(submitted.receipts.len());
        for raw in submitted.receipts {
            receipts.push((Receipt::parse(&raw).ok()?, raw));
        }
        let footer = match submitted.footer {
            Some(text) => Some(CloseRequest::of_footer(file.header.day_no, &text).ok()?),
            None => None,
        };
        Some(Parts { receipts, footer })
    }

    /// Opens the day if need be, takes the receipts, closes the day if there is a footer.
    fn process_file(
        &mut self,
        device_id: u32,
        index: usize,
        at: Timestamp,
    ) -> Result<(), FileError> {
        let parts = self.parts_of(device_id, index);
        if let Some(error) = self.settings.file_error {
            return Err(error);
        }
        let parts = parts.ok_or(FileError::IncorrectFileFormat)?;
        let device = self.devices.get_mut(&device_id);
        let device = device.ok_or(FileError::InternalError)?;
        let file = device.files.get(index).ok_or(FileError::InternalError)?;
        let (day_no, opened) = (file.header.day_no, file.header.opened);
        let last = device.days.last();
        if last.is_none_or(|day| day.status == DayStatus::FiscalDayClosed) {
            device.days.push(Day::new(day_no, opened));
        }
        let content = self.take_content(device_id, index, parts.receipts, at);
        content.map_err(|_| FileError::InternalError)??;
        match parts.footer {
            Some((request, closed)) => self.close_by_footer(device_id, &request, closed),
            None => Ok(()),
        }
    }

    /// Takes the receipts that are not there yet, and lists those that are marked. A missing receipt
    /// before one of them, or a Red one, fails the content.
    fn take_content(
        &mut self,
        device_id: u32,
        index: usize,
        receipts: Vec<(Receipt, String)>,
        at: Timestamp,
    ) -> Result<Result<(), FileError>, Refusal> {
        let mut bad = Vec::new();
        for (receipt, raw) in receipts {
            if self.repeated(device_id, &receipt)?.is_some() {
                continue;
            }
            let taken = self.take(device_id, &receipt, &raw, at)?;
            if !taken.findings.is_empty() {
                bad.push(BadReceipt {
                    receipt_counter: receipt.counter,
                    receipt_global_no: receipt.global_no,
                    validation_errors: taken.findings,
                });
            }
        }
        let has = |color| {
            let mut findings = bad.iter().flat_map(|receipt| &receipt.validation_errors);
            findings.any(|finding| finding.color == color)
        };
        let end = if has(Color::Grey) {
            Err(FileError::MissingReceipts)
        } else if has(Color::Red) {
            Err(FileError::ReceiptsWithValidationErrors)
        } else {
            Ok(())
        };
        let device = self
            .devices
            .get_mut(&device_id)
            .ok_or_else(super::unknown_device)?;
        if let Some(file) = device.files.get_mut(index) {
            file.bad_receipts = bad;
        }
        Ok(end)
    }

    fn close_by_footer(
        &mut self,
        device_id: u32,
        request: &CloseRequest,
        closed: DateTime,
    ) -> Result<(), FileError> {
        let outcome = self.judge_close(device_id, request);
        let outcome = outcome.map_err(|_| FileError::InternalError)?;
        let device = self.devices.get_mut(&device_id);
        let day = device.and_then(|device| device.days.last_mut());
        let day = day.ok_or(FileError::InternalError)?;
        match outcome {
            Some(error) => {
                day.fail(error);
                Err(error.into())
            }
            None => {
                let signature = Some(request.signature.text.clone());
                day.close(ReconciliationMode::Auto, closed, signature);
                Ok(())
            }
        }
    }

    /// The device's files in the order they came, to look at.
    pub(crate) fn files(&self, device_id: u32) -> Vec<StoredFile> {
        let device = self.devices.get(&device_id);
        let files = device.into_iter().flat_map(|device| &device.files);
        files.map(FileRecord::stored).collect()
    }
}

/// Of all that is due for a device's files the first, and when it is; those that cannot go on are
/// marked as waiting.
fn next_step(device: &mut Device, now: Timestamp) -> Option<(Timestamp, Step, usize)> {
    let mut first: Option<(Timestamp, Step, i32, i32, usize)> = None;
    for index in 0..device.files.len() {
        let file = &device.files[index];
        if file.is_finished() || now < file.due || file.polls_left > 0 {
            continue;
        }
        let ready = file.due.max(device.files_at);
        let place = place_of(device, &file.header);
        let step = if !file.is_well_shaped {
            Some((file.due, Step::Read))
        } else if place == Place::IsNext {
            Some((ready, Step::Process))
        } else if place == Place::DayIsClosed {
            Some((ready, Step::RefuseDay))
        } else if file.waits_till <= now {
            Some((file.waits_till, Step::Expire))
        } else {
            None
        };
        let (day_no, sequence) = (file.header.day_no, file.header.sequence);
        match step {
            Some((at, step)) => {
                let candidate = (at, step, day_no, sequence, index);
                first = Some(first.map_or(candidate, |first| first.min(candidate)));
            }
            None => device.files[index].status = FileStatus::WaitingForPreviousFile,
        }
    }
    first.map(|(at, step, _, _, index)| (at, step, index))
}

fn place_of(device: &Device, header: &FileHeader) -> Place {
    let last = device.days.last();
    let open = last.filter(|day| day.status != DayStatus::FiscalDayClosed);
    let closed = match (open, last) {
        (Some(day), _) => day.no.saturating_sub(1),
        (None, Some(day)) => day.no,
        (None, None) => 0,
    };
    let current = closed.saturating_add(1);
    if header.day_no <= closed {
        return Place::DayIsClosed;
    }
    let is_closing = open.is_some_and(|day| day.closing.is_some());
    if header.day_no > current || is_closing {
        return Place::Waits;
    }
    let kept = device.files.iter().filter(|file| {
        let kept_some = !file.error.is_some_and(FileError::kept_nothing);
        file.header.day_no == current && file.is_finished() && kept_some
    });
    let highest = kept.map(|file| file.header.sequence).max().unwrap_or(0);
    if header.sequence <= highest.saturating_add(1) {
        Place::IsNext
    } else {
        Place::Waits
    }
}
