//! The alarms of the store, with what to do: what is known is brought together here, and judged by [`crate::alarms`].

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use clock::Timestamp;
use fiscal::day::last_moment;
use fiscal::wire::{Object, rows};

use super::access::{Caller, Scope, TillChoice};
use super::answer::local;
use super::params::Params;
use super::problem::Problem;
use super::receipts::json;
use super::{Shared, schema};
use crate::alarms::{Alarm, OpenDay, PrinterFacts, StoreFacts, TillFacts, alarms};
use crate::keys::Certificate;
use crate::lan::is_here;
use crate::ledger::policy::warned_from;
use crate::ledger::printing::PrintRow;
use crate::ledger::{DayOpening, LedgerError, Reader, Settings, TillInfo};
use crate::pos::Standing;

/// What is alarming, with what to do; those that stop sales first.
///
/// A till's own token sees its own alarms and those of the whole store.
#[utoipa::path(
    get,
    path = "/v1/alarms",
    tag = "state",
    operation_id = "alarms",
    responses(
        (status = 200, description = "The alarms; an empty list if all is well.", body = schema::Alarms),
        (status = "default", description = "Any problem.", body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    uri: Uri,
) -> Result<Response, Problem> {
    Params::of(&uri, &[])?;
    let tills = shared.tills(&caller, TillChoice::default()).await?;
    let found = alarms(&shared.facts(&caller, tills).await?);
    let mut out = String::with_capacity(1024);
    let mut o = Object::open(&mut out);
    rows(o.name("alarms"), &found, write);
    o.close();
    Ok(json(StatusCode::OK, out))
}

fn write(o: &mut Object<'_>, alarm: &Alarm) {
    o.text("code", alarm.code.as_str());
    o.text("severity", alarm.severity.as_str());
    if let Some((environment, device)) = alarm.till {
        o.number("deviceID", device);
        o.text("environment", environment.as_str());
    }
    o.optional_text("since", alarm.since.map(local).as_deref());
    o.text("what", &alarm.what());
    o.text("action", &alarm.action());
    o.object("values", |o| {
        for (name, value) in &alarm.values {
            o.text(name, value);
        }
    });
    o.optional_text("detail", alarm.detail.as_deref());
}

impl Shared {
    /// How the store is, as far as alarms want to know, and as far as a caller may.
    async fn facts(
        &self,
        caller: &Caller,
        tills: Vec<Arc<TillInfo>>,
    ) -> Result<StoreFacts, Problem> {
        let own = tills.clone();
        let settings = self.ledger.settings();
        let (mut of_tills, prints, put_aside, has_hq, disk_free) = self
            .ask(move |reader| {
                let of_tills = tills.iter().map(|till| of_till(reader, till, &settings));
                let of_tills = of_tills.collect::<Result<Vec<_>, _>>()?;
                let prints = reader.open_prints(None)?;
                let has_hq = reader.hq()?.is_some();
                let free = reader.disk_free();
                Ok((of_tills, prints, reader.put_aside()?, has_hq, free))
            })
            .await?;
        for (till, info) in of_tills.iter_mut().zip(&own) {
            let error = self
                .submitter
                .look(info.id, |link| link.config_error.clone());
            till.config_error = error.flatten();
        }
        let time = self.ledger.time();
        let (now, clock) = (time.now(), time.status());
        let trouble = self.settings.hq.standing().trouble.filter(|_| has_hq);
        let copies = self.settings.backup.standing();
        let is_mine = |device| own.iter().any(|till| till.device_id == device);
        let printers = self.printers.plan().printers.iter();
        let printers = printers.filter(|printer| {
            caller.scope == Scope::All
                || printer.tills.is_empty()
                || printer.tills.iter().any(|device| is_mine(*device))
        });
        Ok(StoreFacts {
            now,
            clock: clock.flag,
            skew_seconds: clock.skew_seconds,
            ledger_fault: self.ledger.fault(),
            disk_free,
            head_office: trouble.map(|trouble| (trouble.reason, trouble.since)),
            live_copy: copies.still(),
            backups_since: copies.kept_since.filter(|_| copies.folder.is_some()),
            last_backup: copies.last,
            backup: copies.trouble,
            tills: of_tills,
            printers: printers
                .map(|printer| self.of_printer(&printer.name, &prints))
                .collect(),
            shut_ports: self.shut_ports(),
            lan_away: self
                .settings
                .lan
                .filter(|lan| !is_here(*lan))
                .map(|lan| lan.ip()),
            put_aside,
        })
    }

    fn of_printer(&self, name: &str, prints: &[PrintRow]) -> PrinterFacts {
        let in_doubt = prints
            .iter()
            .filter(|row| row.printer == name && row.state == "unknown");
        let condition = self.printers.condition(name);
        PrinterFacts {
            name: name.to_owned(),
            connected: condition.as_ref().map(|condition| condition.connected),
            fault: condition.as_ref().and_then(|condition| condition.fault),
            paper_low: condition
                .as_ref()
                .is_some_and(|condition| condition.paper_low),
            in_doubt: in_doubt.count(),
            link_error: condition.and_then(|condition| condition.link_error),
        }
    }

    fn shut_ports(&self) -> Vec<(String, String)> {
        let setups = self.pos.setups().iter();
        let shut = setups.filter_map(|setup| match self.pos.standing(&setup.name) {
            Standing::Shut { why, action } => {
                Some((setup.name.clone(), format!("{why}. {action}")))
            }
            Standing::Starting | Standing::Open => None,
        });
        shut.collect()
    }
}

fn of_till(
    reader: &Reader,
    info: &TillInfo,
    settings: &Settings,
) -> Result<TillFacts, LedgerError> {
    let id = info.id;
    let day = reader.day(id, None)?;
    let taxpayer = reader.taxpayer(id)?;
    let certificate = reader.certificate_pem(id)?;
    let (state, head) = reader.stream(id)?;
    let remarked = match &day {
        Some(day) => reader.remarked(id, day.day_id)?,
        None => crate::ledger::watch::Remarked::default(),
    };
    let opening = settings.policy(info).opening;
    let open = day.as_ref().filter(|day| day.close.is_none());
    let open = open.zip(taxpayer.as_deref()).map(|(day, taxpayer)| {
        let hours = taxpayer.day_max_hours;
        OpenDay {
            no: day.fiscal_day_no,
            warned_from: warned_from(day.opened, hours, taxpayer.day_end_notification_hours),
            longest: last_moment(day.opened, hours),
            rolls_over: settings.rollover_offline && opening == DayOpening::FirstSale,
        }
    });
    let ends = certificate.as_deref().map(Certificate::from_pem);
    let ends: Option<Timestamp> = ends.and_then(Result::ok).map(|it| it.not_after());
    Ok(TillFacts {
        till: (info.environment, info.device_id),
        is_ready: certificate.is_some() && taxpayer.is_some(),
        hold: reader.hold(id)?,
        day: open,
        red: remarked.red,
        grey: remarked.grey,
        unproven: remarked.unproven,
        parked: state.parked,
        unsent_receipts: reader.backlog(id)?.receipts,
        oldest_unsent: head.map(|head| head.due),
        certificate_ends: ends,
        config_error: None,
    })
}
