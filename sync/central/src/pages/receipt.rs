//! One receipt: its paper, what was sent of it and when, what FDMS answered.

use axum::extract::State;
use axum::http::{Uri, header};
use axum::response::{IntoResponse as _, Response};
use clock::Timestamp;
use deadpool_postgres::Transaction;
use fiscal::compose::{Known, compose};
use fiscal::draft::{Draft, PrintOnly};
use fiscal::paper::{Marks, Proof, ReceiptOnPaper, receipt48};
use fiscal::receipt::{Hash, Signature};
use fiscal::taxpayer::Taxpayer;
use fiscal::{DeviceId, FiscalDayNo, Receipt};
use maud::{Markup, html};
use serde::Deserialize;
use tokio_postgres::Row;

use super::fail::Failed;
use super::layout::{Nav, Page, card, empty, live, sheet};
use super::paper::paper;
use super::query::Query;
use super::receipts::{hex, unhex};
use super::visit::Visit;
use super::words::{self, Tone, tag};
use crate::db::{self, TenantId};
use crate::hq::SharedHq;
use crate::problem::{At, Code, Problem};

/// A receipt as it is kept.
struct Kept {
    row: Row,
    others: Vec<Vec<u8>>,
    taxpayer: Option<Taxpayer>,
}

/// What of the rest is printed.
#[derive(Deserialize)]
struct Rest {
    print: Option<String>,
}

type Place = (String, i32, i32);

async fn find(
    tx: &Transaction<'_>,
    tenant: TenantId,
    (environment, device, number): &Place,
    hash: Option<&[u8]>,
) -> Result<Kept, Failed> {
    let find = tx
        .prepare_cached(
            "SELECT r.hash, r.store_id, s.name, r.epoch_no, r.seq, r.at, r.fiscal_day_no, r.receipt_counter, r.receipt_type,
               r.receipt_currency, r.receipt_total, r.receipt_date, r.invoice_no, r.body, r.rest
             FROM receipts r JOIN stores s ON s.tenant_id = r.tenant_id AND s.store_id = r.store_id
             WHERE r.tenant_id = $1 AND r.environment = $2 AND r.device_id = $3 AND r.receipt_global_no = $4
             ORDER BY r.epoch_no DESC, r.seq DESC",
        )
        .await?;
    let mut rows = tx
        .query(&find, &[&tenant.0, environment, device, number])
        .await?;
    let wanted = rows
        .iter()
        .position(|row| hash.is_none_or(|hash| row.get::<_, &[u8]>(0) == hash))
        .ok_or_else(|| Problem::not_found("receipt"))?;
    let row = rows.swap_remove(wanted);
    let others = rows.iter().map(|row| row.get(0)).collect();
    let taxpayer = taxpayer(tx, tenant, environment, *device, row.get(5)).await?;
    Ok(Kept {
        row,
        others,
        taxpayer,
    })
}

/// The taxpayer as FDMS had configured him at a moment, with every tax that he ever had until then.
pub(super) async fn taxpayer(
    tx: &Transaction<'_>,
    tenant: TenantId,
    environment: &str,
    device: i32,
    at: Timestamp,
) -> Result<Option<Taxpayer>, Failed> {
    let find = tx
        .prepare_cached(
            "SELECT e.body FROM store_events e JOIN fdms_devices d USING (tenant_id, environment, device_id, store_id)
             WHERE e.tenant_id = $1 AND e.environment = $2 AND e.device_id = $3 AND e.kind = 'config.changed'
               AND e.at <= $4
             ORDER BY e.at, e.epoch_no, e.seq",
        )
        .await?;
    let rows = tx
        .query(&find, &[&tenant.0, &environment, &device, &at])
        .await?;
    let mut known: Option<Taxpayer> = None;
    for row in &rows {
        let changed = serde_json::from_str::<sync_wire::entry::ConfigChanged>(row.get(0));
        let Some(mut next) = changed
            .ok()
            .and_then(|changed| Taxpayer::from_config(changed.config.as_bytes()).ok())
        else {
            continue;
        };
        if let Some(earlier) = &known {
            next.keep_old_taxes(earlier);
        }
        known = Some(next);
    }
    Ok(known)
}

impl Kept {
    fn receipt(&self) -> Option<(Receipt, Signature)> {
        let body: &str = self.row.get(13);
        let inner = body.strip_prefix("{\"receipt\":")?.strip_suffix('}')?;
        let (draft, findings) = Draft::read(inner.as_bytes());
        let (receipt, more) = compose(&draft, &Known::default());
        if !findings.is_empty() || !more.is_empty() {
            return None;
        }
        let signed = draft.receipt_device_signature?;
        let hash = Hash::parse(&signed.hash?)?;
        let bytes = decode(&signed.signature?)?;
        Some((receipt, Signature { hash, bytes }))
    }

    /// Makes something of the receipt's paper; none where it cannot be read, or no configuration is here yet.
    fn with_paper<T>(
        &self,
        place: &Place,
        make: impl FnOnce(&ReceiptOnPaper<'_>) -> T,
    ) -> Option<T> {
        let (receipt, signature) = self.receipt()?;
        let taxpayer = self.taxpayer.as_ref()?;
        let device = DeviceId::new(u32::try_from(place.1).ok()?)?;
        let rest: Option<Rest> = serde_json::from_str(self.row.get(14)).ok();
        let print = rest
            .and_then(|rest| rest.print)
            .and_then(|text| serde_json::from_str::<PrintOnly>(&text).ok());
        let proof = Proof::new(&taxpayer.qr_url, device, &receipt, &signature);
        Some(make(&ReceiptOnPaper {
            receipt: &receipt,
            taxpayer,
            device,
            fiscal_day: FiscalDayNo::new(u32::try_from(self.row.get::<_, i32>(6)).ok()?),
            proof: Some(&proof),
            print: &print.unwrap_or_default(),
            original: None,
            marks: Marks {
                copy: true,
                test: place.0 == "test",
                preview: false,
            },
        }))
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}

/// `GET /receipts/{environment}/{device}/{number}`
pub(super) async fn page(
    visit: Visit,
    State(hq): State<SharedHq>,
    At(place): At<Place>,
    uri: Uri,
) -> Result<Response, Failed> {
    let hash = Query::of(&uri).text("hash").and_then(unhex);
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, visit.caller.tenant).await?;
    let kept = find(&tx, visit.caller.tenant, &place, hash.as_deref()).await?;
    let (attempts, answer) = attempts(&tx, &visit, &place).await?;
    let paper = kept.with_paper(&place, |on_paper| paper(&receipt48(on_paper)));
    let (environment, device, number) = &place;
    let path = format!("/receipts/{environment}/{device}/{number}");
    let body = html! {
        (conflict(&visit, &kept, &path))
        div class="side" {
            div class="stack" {
                (live(&visit, "attempts", &sheet("Sent to FDMS", None, &attempts)))
                (answer)
                (card("Facts", &facts(&visit, &kept.row, &place)))
                (card("As it was signed", &html! {
                    details class="fold" { summary { "Show what FDMS is sent" } pre tabindex="0" { (kept.row.get::<_, &str>(13)) } }
                }))
            }
            div {
                @match &paper {
                    Some(paper) => (paper),
                    None => section class="card" { (empty("No paper", "The till's configuration has not reached head office yet, so its heading is not known. The receipt itself is whole: see what was signed.")) },
                }
            }
        }
    };
    let (store, name): (uuid::Uuid, String) = (kept.row.get(1), kept.row.get(2));
    let crumbs = [
        ("Receipts".to_owned(), "/receipts".to_owned()),
        (name, format!("/stores/{store}")),
        (
            format!("till {device}"),
            format!("/tills/{environment}/{device}"),
        ),
        (
            format!("day {}", kept.row.get::<_, i32>(6)),
            format!(
                "/tills/{environment}/{device}/days/{}",
                kept.row.get::<_, i32>(6)
            ),
        ),
    ];
    let title = format!("{} {number}", words::receipt_type(kept.row.get(8)));
    let mut shown = Page::new(Nav::Receipts, &title);
    shown.crumbs = &crumbs;
    shown.under = Some(
        html! { (words::money(kept.row.get(10), kept.row.get(9))) " · " (words::civil(kept.row.get(11))) " · " span class="mono" { (kept.row.get::<_, &str>(12)) } },
    );
    let with_hash = format!("{path}/paper.pdf?hash={}", hex(kept.row.get(0)));
    shown.beside = paper
        .is_some()
        .then(|| html! { a class="button" href=(visit.href(&with_hash)) { "PDF" } });
    Ok(shown.show(&visit, &body))
}

fn conflict(visit: &Visit, kept: &Kept, path: &str) -> Markup {
    html! {
        @if !kept.others.is_empty() {
            div class="note bad" {
                p { b { "This number was issued more than once." } " The ledger was put back from a backup, or two ledgers ran as one till. Both are kept; see the series of the store." }
                p { @for hash in &kept.others { a href=(visit.href(&format!("{path}?hash={}", hex(hash)))) { "The other one" } " " } }
            }
        }
    }
}

fn facts(visit: &Visit, row: &Row, (environment, device, _): &Place) -> Markup {
    html! {
        dl class="facts" {
            dt { "Environment" } dd { (words::environment(environment)) }
            dt { "Till" } dd { a href=(visit.href(&format!("/tills/{environment}/{device}"))) { (device) } }
            dt { "Fiscal day" } dd { (row.get::<_, i32>(6)) ", receipt " (row.get::<_, i32>(7)) " of it" }
            dt { "Issued" } dd { (words::when(visit.now, row.get(5))) " on the store's clock" }
            dt { "Line" } dd { (row.get::<_, i64>(4)) " of series " (row.get::<_, i32>(3)) }
            dt { "Hash" } dd class="mono" { (hex(row.get(0))) }
        }
    }
}

/// What was tried, and FDMS's own words.
async fn attempts(
    tx: &Transaction<'_>,
    visit: &Visit,
    (environment, device, number): &Place,
) -> Result<(Markup, Markup), Failed> {
    let find = tx
        .prepare_cached(
            "SELECT at, attempt, outcome, http_status, fdms_code, operation_id, color, error_message, duration_ms, answer, server_signature
             FROM fdms_submission_logs
             WHERE tenant_id = $1 AND environment = $2 AND device_id = $3 AND kind = 'submit_receipt' AND number = $4
             ORDER BY at DESC LIMIT 50",
        )
        .await?;
    let rows = tx
        .query(
            &find,
            &[&visit.caller.tenant.0, environment, device, number],
        )
        .await?;
    let table = html! {
        @if rows.is_empty() {
            (empty("Not sent yet", "It waits in the till's queue, or went to FDMS in a file of the day."))
        } @else {
            table class="fold" {
                thead { tr { th { "When" } th { "How it ended" } th class="num" { "HTTP" } th class="num" { "Took" } th { "Operation" } } }
                tbody { @for row in &rows { tr {
                    td data-name="When" { (words::exact(row.get(0))) span class="second" { "try " (row.get::<_, i32>(1)) } }
                    td data-name="How it ended" {
                        div { (words::outcome(row.get(2))) @if let Some(color) = row.get::<_, Option<&str>>(6) { " " (tag(if color == "Red" { Tone::Bad } else { Tone::Warn }, color)) } }
                        @if let Some(error) = row.get::<_, Option<&str>>(7) { span class="second" { (words::or_none(row.get::<_, Option<&str>>(4))) ": " (error) } }
                    }
                    td data-name="HTTP" class="num" { (words::or_none(row.get::<_, Option<i32>>(3))) }
                    td data-name="Took" class="num" { (words::thousands(row.get::<_, i32>(8).into())) " ms" }
                    td data-name="Operation" class="mono" { (words::or_none(row.get::<_, Option<&str>>(5))) }
                } } }
            }
        }
    };
    let answered = rows.iter().find_map(|row| {
        Some((
            row.get::<_, Option<String>>(9)?,
            row.get::<_, Option<String>>(10),
        ))
    });
    let answer = html! {
        @if let Some((answer, signature)) = answered {
            (card("FDMS's answer", &html! {
                @if let Some(signature) = signature { p { "Its signature: " (words::outcome(&signature)) } }
                pre tabindex="0" { (answer) }
            }))
        }
    };
    Ok((table, answer))
}

/// `GET /receipts/{environment}/{device}/{number}/paper.pdf`
pub(super) async fn pdf(
    visit: Visit,
    State(hq): State<SharedHq>,
    At(place): At<Place>,
    uri: Uri,
) -> Result<Response, Failed> {
    let hash = Query::of(&uri).text("hash").and_then(unhex);
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, visit.caller.tenant).await?;
    let kept = find(&tx, visit.caller.tenant, &place, hash.as_deref()).await?;
    let made = kept.with_paper(&place, |paper| a4::invoice(paper, None));
    let missing = || {
        Problem::new(
            Code::Conflict,
            "the till's configuration has not reached head office yet, so there is no paper of it",
        )
    };
    let file = made
        .ok_or_else(missing)?
        .map_err(|error| Problem::new(Code::Internal, error.to_string()))?;
    let name = format!("inline; filename=\"receipt-{}-{}.pdf\"", place.1, place.2);
    let headers = [
        (header::CONTENT_TYPE, "application/pdf".to_owned()),
        (header::CONTENT_DISPOSITION, name),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    Ok((headers, file).into_response())
}
