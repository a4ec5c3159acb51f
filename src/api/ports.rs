//! The ports for old POS software: which are open, which are not and why, and what came in at them.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use clock::Timestamp;
use fiscal::ReceiptGlobalNo;
use fiscal::wire::{Object, rows};

use super::access::{Caller, Scope, TillChoice};
use super::answer::{local, strings};
use super::params::Params;
use super::problem::Problem;
use super::receipts::json;
use super::{Shared, schema};
use crate::config::{Plays, PosSetup};
use crate::ledger::LedgerError;
use crate::pos::{LastPaper, PortFacts, Standing};

/// What the ledger tells of a port, with the number of its last receipt.
type Told = (PosSetup, PortFacts, Option<ReceiptGlobalNo>);

/// The ports for old POS software: whether it can connect, what is wrong, what came in last.
///
/// A till's own token sees the ports that sell on it.
#[utoipa::path(
    get,
    path = "/v1/pos/ports",
    tag = "printing",
    operation_id = "posPorts",
    responses(
        (status = 200, description = "The ports of the configuration, in its order.", body = schema::Ports),
        (status = "default", description = "Any problem.", body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn ports(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    uri: Uri,
) -> Result<Response, Problem> {
    Params::of(&uri, &[])?;
    let tills = shared.tills(&caller, TillChoice::default()).await?;
    let is_own = |setup: &&PosSetup| {
        let mut tills = tills.iter();
        caller.scope == Scope::All
            || tills.any(|till| (till.environment, till.device_id) == setup.till)
    };
    let own: Vec<PosSetup> = shared.pos.setups().iter().filter(is_own).cloned().collect();
    let ledger = shared.ledger.clone();
    let told = shared
        .ask(move |reader| {
            let of = |setup: PosSetup| -> Result<Told, LedgerError> {
                let facts = PortFacts::of(&setup, &ledger, reader)?;
                let number = match &facts.last {
                    Some(LastPaper::Captured(row)) => match row.receipt {
                        Some(seq) => reader.receipt_no(seq)?,
                        None => None,
                    },
                    Some(LastPaper::Printed(row)) => row.receipt,
                    None => None,
                };
                Ok((setup, facts, number))
            };
            own.into_iter().map(of).collect::<Result<Vec<Told>, _>>()
        })
        .await?;
    let mut out = String::with_capacity(1024);
    let mut o = Object::open(&mut out);
    rows(o.name("ports"), &told, |o, (setup, facts, number)| {
        write(o, setup, &shared.pos.standing(&setup.name));
        write_facts(o, facts, *number);
    });
    o.close();
    Ok(json(StatusCode::OK, out))
}

fn write(o: &mut Object<'_>, setup: &PosSetup, standing: &Standing) {
    o.text("name", &setup.name);
    o.text(
        "kind",
        match setup.plays {
            Plays::Printer(_) => "printer",
            Plays::Isl(_) => "isl",
            Plays::Zfp(_) => "zfp",
        },
    );
    o.text("listen", &setup.listen.to_string());
    o.number("deviceID", setup.till.1);
    o.text("environment", setup.till.0.as_str());
    o.text("printer", &setup.printer);
    o.text("state", standing.word());
    if let Standing::Shut { why, action } = standing {
        o.text("error", why);
        o.text("action", action);
    }
}

fn write_facts(o: &mut Object<'_>, facts: &PortFacts, number: Option<ReceiptGlobalNo>) {
    strings(o.name("warnings"), &facts.warnings);
    if let Some(last) = &facts.last {
        o.object("lastPaper", |o| {
            let at = |ms| local(Timestamp::from_millisecond(ms).unwrap_or_default());
            match last {
                LastPaper::Captured(row) => {
                    o.number("capture", row.id);
                    o.text("at", &at(row.at));
                    o.text("state", &row.state);
                }
                LastPaper::Printed(row) => {
                    o.number("job", row.id.0);
                    o.text("at", &at(row.created_at));
                    o.text("state", &row.state);
                }
            }
            if let Some(number) = number {
                o.number("receiptGlobalNo", number);
            }
        });
    }
    o.number("quarantined", facts.quarantined);
}
