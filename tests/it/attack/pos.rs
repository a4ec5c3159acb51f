//! POS software that is hostile, or was taken over: what it can cost, and where its texts end up.

use std::path::Path;
use std::time::Duration;

use clock::Clock as _;
use fiscald::api::schema;
use fiscald::export::{Span, export};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::pdf;
use crate::support::api::{Shop, Talk, get, post, sale, sale_with};
use crate::support::counter::{Counter, paper};
use crate::support::operator::Operator;

/// Texts that mean something to a browser, a spreadsheet, a shell or a template, and are nothing but a name to us.
const CUNNING: [&str; 8] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "'); DROP TABLE receipt;--",
    "=cmd|' /C calc'!A1",
    "@SUM(1+1)*cmd",
    "{{7*7}}${7*7}",
    "$(reboot) `reboot`",
    "../../../../etc/passwd",
];

/// A good sale, whose texts are these.
fn cunning(number: usize, text: &str) -> Value {
    let mut body: Value = serde_json::from_str(&sale("X")).unwrap();
    body["invoiceNo"] = json!(format!("{text} {number}"));
    body["receiptLines"][0]["receiptLineName"] = json!(text);
    body["receiptNotes"] = json!(text);
    body["cashier"] = json!(text);
    body["footerLines"] = json!([text]);
    body["buyerData"] = json!({
        "buyerRegisterName": text, "buyerTradeName": text, "buyerTIN": "2000000000",
        "buyerAddress": {"province": "Harare", "city": text, "street": text, "houseNo": "1"},
    });
    body
}

/// Texts that are code elsewhere stand on the operator's page, on paper, in PDF and CSV as the texts that they are.
#[tokio::test]
async fn texts_stay_texts() {
    let shop = Shop::open().await;
    for (number, text) in CUNNING.into_iter().enumerate() {
        let answer = shop
            .ask(&post("/v1/receipts", cunning(number, text).to_string()))
            .await;
        let receipt = answer.receipt(201);
        assert_eq!(receipt.receipt_lines[0].receipt_line_name, text);
        let no = receipt.receipt_global_no;
        let pdf = shop.ask(&get(format!("/v1/receipts/{no}/pdf"))).await;
        assert!(pdf.status == 200 && pdf.body.starts_with(b"%PDF"), "{text}");
        pdf::nothing_is_live(&pdf.body, text);
        let mut operator = Operator::at(&shop);
        for path in [
            format!("/operator/till/test-101/receipt/{no}"),
            "/operator/receipts?till=test-101".to_owned(),
            "/operator".to_owned(),
        ] {
            let page = operator.page(&path).await;
            for markup in ["<script>", "<img src=x", "onerror=alert(1)>"] {
                assert!(!page.contains(markup), "{path}: {text}");
            }
        }
        let found = form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let path = format!("/operator/receipts?till=test-101&q={found}");
        let answer = operator.look(&path).await;
        let page = answer.text();
        assert!(
            !page.contains("<script>") && !page.contains("<img src=x"),
            "{text}"
        );
    }
    let room = tempfile::tempdir().unwrap();
    let to = room.path().join("export");
    let reader = shop.ledger.reader();
    let till = reader.tills().unwrap().remove(0);
    let days = reader.days_within(&till, None, None).unwrap().unwrap();
    export(
        reader,
        &[Span { till, days }],
        &to,
        shop.clock.wall(),
        &mut |_| {},
    )
    .unwrap();
    no_formulas(&to);
}

/// No cell of any CSV begins like a formula, but for numbers.
fn no_formulas(folder: &Path) {
    let mut cells = 0;
    for name in ["receipts.csv", "taxes.csv", "days.csv"] {
        let text = std::fs::read_to_string(folder.join("test-101").join(name)).unwrap();
        // None of these texts holds a comma, so that cells are what stands between commas.
        for cell in text.split([',', '\n']) {
            let cell = cell.trim_matches(['"', '\r']);
            // A hash in base64 may begin with `+`; nobody chooses it.
            let is_hash = cell.len() == 44 && cell.ends_with('=');
            let is_number = cell.chars().all(|c| c.is_ascii_digit() || "-.".contains(c));
            assert!(
                !cell.starts_with(['=', '+', '-', '@']) || is_number || is_hash,
                "{name}: {cell}"
            );
            cells += 1;
        }
    }
    assert!(cells > 100, "{cells}");
    let receipts = std::fs::read_to_string(folder.join("test-101/receipts.csv")).unwrap();
    assert!(
        receipts.contains("'=cmd|") && receipts.contains("'@SUM("),
        "{receipts}"
    );
    let lines = std::fs::read_to_string(folder.join("test-101/receipts.jsonl")).unwrap();
    assert!(
        lines.contains("\"=cmd|"),
        "what proves a receipt is as it was signed"
    );
}

/// A control character in any text of a sale is refused, so none reaches a printer, a log, a terminal or FDMS.
#[tokio::test]
async fn no_control_character_is_sold() {
    let shop = Shop::open().await;
    let good = cunning(1, "Bread");
    let places = [
        "/invoiceNo",
        "/receiptLines/0/receiptLineName",
        "/receiptNotes",
        "/cashier",
        "/footerLines/0",
        "/buyerData/buyerRegisterName",
        "/buyerData/buyerTradeName",
        "/buyerData/buyerAddress/city",
        "/buyerData/buyerAddress/street",
    ];
    for place in places {
        for control in ['\u{1b}', '\0', '\r', '\n', '\u{7f}', '\u{9b}', '\u{202e}'] {
            let mut body = good.clone();
            *body.pointer_mut(place).unwrap() = json!(format!("a{control}@b"));
            let answer = shop.ask(&post("/v1/receipts", body.to_string())).await;
            let problem = answer.problem(422, "text_not_printable");
            assert_eq!(problem.pointer.as_deref(), Some(place), "{control:?}");
            let echoed = [problem.detail, problem.action].concat();
            assert!(!echoed.contains(char::is_control), "{echoed:?}");
        }
    }
    assert_eq!(shop.last_number().await, 0);
    shop.ask(&post("/v1/receipts", good.to_string()))
        .await
        .receipt(201);
}

/// A captured paper full of control characters is shown without any: in the API's answers and on the operator's page.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn papers_are_shown_without_controls() {
    let counter = Counter::printing().await;
    let mut hostile = b"\x1b@\x1b]0;owned\x07\x9b2J\x81\x8d\x8f\x90\x9d\x7f\x08\x0b\x1c <script>alert(1)</script>\n".to_vec();
    hostile.extend_from_slice(&paper("A-\x1b[31m1", "TAX INVOICE", "3.40")[2..]);
    counter.print(&hostile);
    let captured = counter.captures().await.remove(0);
    let number = captured.capture;
    let ask = get(format!("/v1/captures/{number}")).token("all");
    let whole: Value = counter.shop.ask(&ask).await.read(200);
    let mut texts = Vec::new();
    strings(&whole, &mut texts);
    assert!(texts.len() > 3, "{whole}");
    for text in texts {
        assert!(!text.contains(char::is_control), "{text:?}");
    }
    let mut operator = Operator::at(&counter.shop);
    for path in [
        format!("/operator/paper/{number}"),
        "/operator/queue".to_owned(),
    ] {
        let page = operator.page(&path).await;
        let bad = page.chars().find(|c| c.is_control() && *c != '\n');
        assert_eq!(bad, None, "{path}");
        assert!(!page.contains("<script>alert"), "{path}");
    }
}

/// All texts in a document.
pub(super) fn strings<'v>(value: &'v Value, all: &mut Vec<&'v str>) {
    match value {
        Value::String(text) => all.push(text),
        Value::Array(items) => items.iter().for_each(|item| strings(item, all)),
        Value::Object(members) => members.values().for_each(|item| strings(item, all)),
        _ => {}
    }
}

/// Bodies that are nested as deeply as they may be long are refused wherever a body is read, over HTTP and as lines,
/// and the gateway goes on.
#[tokio::test]
async fn depth_is_limited_everywhere() {
    let shop = Shop::open().await;
    let levels = 500_000;
    let deep = [
        format!("{}{}", "[".repeat(levels), "]".repeat(levels)),
        "[".repeat(2 * levels),
        "{\"a\":".repeat(levels / 4),
        sale_with(
            "T1-1",
            &format!(
                ", \"receiptNotes\": {}{}",
                "[".repeat(levels / 2),
                "]".repeat(levels / 2)
            ),
        ),
    ];
    let document: Value = serde_json::from_str(&fiscald::api::Api::openapi_json()).unwrap();
    let mut asked = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        if methods
            .get("post")
            .is_none_or(|post| post.get("requestBody").is_none())
        {
            continue;
        }
        let path = path
            .replace("{receiptGlobalNo}", "1")
            .replace(['{', '}'], "");
        for body in &deep {
            let answer = shop
                .ask(&post(path.clone(), body.clone()).token("all"))
                .await;
            assert!(
                (400..500).contains(&answer.status),
                "{path}: {}",
                answer.text()
            );
            asked += 1;
        }
    }
    assert!(asked >= 8, "{asked}");
    let mut talk = Talk::new(TcpStream::connect(shop.lines).await.unwrap());
    let first = "{\"method\": \"GET\", \"path\": \"/v1/status\", \"headers\": {\"authorization\": \"Bearer one\"}}";
    assert_eq!(talk.ask(first).await["status"], 200);
    for body in &deep {
        let body = body.replace('\n', " ");
        for line in [
            format!("{{\"method\": \"POST\", \"path\": \"/v1/receipts\", \"body\": {body}}}"),
            format!("{{\"id\": {body}, \"method\": \"GET\", \"path\": \"/v1/status\"}}"),
            body.clone(),
        ] {
            let answer = talk.ask(&line).await;
            let status = answer["status"].as_u64().unwrap();
            assert!((400..500).contains(&status), "{answer}");
        }
    }
    shop.sell("T1-1").await;
}

/// A body within the limits costs no more than a moment, however it is made: hundreds of thousands of members, known
/// ones behind them, rows, digits. Its answer tells of a hundred faults at most. Another till sells meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_body_costs_a_moment() {
    let shop = Shop::open().await;
    let most = 1024 * 1024;
    let fill = |head: &str, piece: &str, tail: &str| {
        let count = (most - head.len() - tail.len()) / piece.len();
        format!("{head}{}{tail}", piece.repeat(count))
    };
    let unknown = "\"\":1,".repeat(100_000);
    let bodies = [
        fill("{", "\"x\":1,", "\"x\":1}"),
        fill("{", "\"print\":true,", "\"print\":true}"),
        // A known name that is first met behind many others, and then again and again.
        fill(
            &format!("{{{unknown}"),
            "\"print\":true,",
            "\"print\":true}",
        ),
        fill("{\"receiptLines\":[", "{},", "{}]}"),
        fill("{\"receiptLines\":[", "[],", "[]]}"),
        fill("{\"receiptLines\":[{", "\"taxID\":1,", "\"taxID\":1}]}"),
        fill("{\"receiptTotal\":", "9", "}"),
        fill("{\"receiptTotal\":0.", "0", "1}"),
        fill("{\"receiptTotal\":1e", "9", "}"),
        fill("{\"invoiceNo\":\"", "\\u0041", "\"}"),
        fill("{\"footerLines\":[", "\"\",", "\"\"]}"),
    ];
    for body in bodies {
        let begins = body.get(..40).unwrap().to_owned();
        let ask = post("/v1/receipts", body);
        let asked = async {
            let mut all = tokio::task::JoinSet::new();
            for _ in 0..4 {
                let (ask, stream) = (ask.clone(), shop.stream().await);
                all.spawn(async move { crate::support::api::whole(ask.over(stream).await).await });
            }
            all.join_all().await
        };
        // Twenty times what a debug build needs on a slow machine; what is squared takes minutes.
        let answers = tokio::time::timeout(Duration::from_secs(20), asked).await;
        for answer in answers.unwrap_or_else(|_| panic!("{begins} costs too much")) {
            let problem: schema::Problem = answer.read(422);
            assert!(
                problem.findings.is_none_or(|all| all.len() <= 100),
                "{begins}"
            );
            assert!(
                answer.body.len() < 100_000,
                "{begins}: {}",
                answer.body.len()
            );
        }
    }
    shop.ask(&post("/v1/receipts", sale("T2-1")).token("two"))
        .await
        .receipt(201);
}
