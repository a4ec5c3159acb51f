//! Every alarm of the table comes with its reason and goes with its end, told by a gateway that runs.
//!
//! A story lives through one trouble or several and asks `GET /v1/alarms` at each step. It says which alarms it raises
//! and clears; that it does is checked at its end, and that the stories together raise and clear the whole table by
//! [`every_alarm_has_its_story`].

use std::collections::BTreeSet;

use fiscald::alarms::AlarmCode;

use crate::support::alarms::Watch;

mod authority;
mod backups;
mod copies;
mod devices;
mod disk;
mod head_office;
mod network;
mod store;

macro_rules! stories {
    ($($place:ident::$story:ident: $($code:ident)+;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $story() {
                let mut watch = Watch::default();
                $place::$story(&mut watch).await;
                watch.ended(&[$(AlarmCode::$code),+]);
            }
        )*

        /// What each story raises and clears.
        const TOLD: &[&[AlarmCode]] = &[$(&[$(AlarmCode::$code),+]),*];
    };
}

stories! {
    authority::receipts_that_wait_long: UnsentLong;
    authority::a_red_receipt: ReceiptRed CloseFailed;
    authority::a_receipt_that_is_missed: ReceiptGrey;
    authority::a_till_that_is_shut_out: Parked;
    authority::a_paused_queue: Paused;
    authority::a_signature_that_does_not_fit: SignatureInvalid;
    authority::a_certificate_that_ends: CertificateEnding CertificateEnded;
    authority::settings_that_are_of_no_use: ConfigUnusable;
    store::a_day_that_lasts: DayEnding DayOver;
    store::a_clock_that_was_set: ClockOff;
    store::a_machine_that_was_started_anew: ClockUnconfirmed;
    store::an_old_ledger_that_was_put_back: TillUnchecked TillAhead;
    store::a_till_that_is_not_set_up: TillNotReady;
    store::a_ledger_that_takes_no_writes: LedgerFault;
    head_office::head_office_is_away: HeadOfficeSilent;
    head_office::tills_that_head_office_stops: TillDisabled TillBlocked;
    copies::a_stick_that_is_pulled_out: CopyStill;
    copies::a_backup_that_fails: BackupFailed;
    backups::none_for_long: BackupOld;
    devices::a_printer: PrinterCoverOpen PrinterPaperOut PrinterPaperLow PrinterFault PrinterAway;
    devices::papers_in_doubt: PapersInDoubt;
    devices::papers_put_aside: PapersPutAside;
    devices::a_port_that_is_taken: PortShut;
}

/// An alarm that nothing raises and clears is red here: it is untested, or there is no such trouble.
#[test]
fn every_alarm_has_its_story() {
    let told = TOLD.iter().chain([&disk::TOLD, &network::TOLD]);
    let told: BTreeSet<AlarmCode> = told.flat_map(|codes| codes.iter().copied()).collect();
    let all = AlarmCode::ALL.iter().copied();
    let without: Vec<AlarmCode> = all.filter(|code| !told.contains(code)).collect();
    assert_eq!(without, []);
}
