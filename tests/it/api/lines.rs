//! JSON lines over TCP and over a Unix socket.

use fiscald::api::schema;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use crate::support::api::{Shop, Talk, sale, sale_with};

/// A request line; `first` ones carry the token.
fn line(id: &Value, method: &str, path: &str, is_first: bool, body: Option<&str>) -> String {
    let headers = if is_first {
        r#"{"Authorization": "Bearer one"}"#
    } else {
        "{}"
    };
    let body = body.map_or("null".to_owned(), |body| body.replace('\n', " "));
    format!(
        r#"{{"id": {id}, "method": "{method}", "path": "{path}", "headers": {headers}, "body": {body}}}"#
    )
}

async fn a_day_in_lines<S: AsyncRead + AsyncWrite + Unpin>(mut talk: Talk<S>, prefix: &str) {
    let one = sale(&format!("{prefix}-1"));
    let answer = talk
        .ask(&line(&json!(1), "POST", "/v1/receipts", true, Some(&one)))
        .await;
    assert_eq!((&answer["id"], &answer["status"]), (&json!(1), &json!(201)));
    let receipt: schema::Receipt = serde_json::from_str(&answer["body"].to_string()).unwrap();
    assert_eq!(receipt.invoice_no, format!("{prefix}-1"));
    let number = receipt.receipt_global_no;
    // Later lines need no token, ids may be text, several lines may come at once.
    let again = line(&json!("again"), "POST", "/v1/receipts", false, Some(&one));
    let status = line(&json!(null), "GET", "/v1/status", false, None);
    let text = line(
        &json!(4),
        "GET",
        &format!("/v1/receipts/{number}/text"),
        false,
        None,
    );
    let picture = line(
        &json!(5),
        "GET",
        &format!("/v1/receipts/{number}/qr.png"),
        false,
        None,
    );
    let unknown = line(&json!(6), "GET", "/v1/nothing", false, None);
    talk.say(&format!(
        "{again}\n\n{status}\r\n{text}\n{picture}\n{unknown}"
    ))
    .await;
    talk.end().await;
    let mut heard = Vec::new();
    while let Some(answer) = talk.hear().await {
        heard.push(answer);
    }
    let statuses: Vec<_> = heard
        .iter()
        .map(|answer| answer["status"].clone())
        .collect();
    assert_eq!(statuses, [200, 200, 200, 200, 404]);
    assert_eq!(heard[0]["id"], "again");
    assert_eq!(heard[0]["body"], answer["body"]);
    assert_eq!(heard[1]["id"], json!(null));
    assert_eq!(heard[2]["body"], receipt.print.text.as_str());
    assert_eq!(
        heard[2]["headers"]["content-type"],
        "text/plain; charset=utf-8"
    );
    assert!(
        heard[3]["body"]
            .as_str()
            .unwrap()
            .starts_with("iVBORw0KGgo"),
        "PNG in base64"
    );
    assert_eq!(heard[4]["body"]["code"], "path_unknown");
}

/// The same requests as over HTTP, on both kinds of socket.
#[tokio::test]
async fn a_day_over_both_sockets() {
    let shop = Shop::open().await;
    let tcp = TcpStream::connect(shop.lines).await.unwrap();
    a_day_in_lines(Talk::new(tcp), "A").await;
    let unix = UnixStream::connect(&shop.lines_socket).await.unwrap();
    a_day_in_lines(Talk::new(unix), "B").await;
    assert_eq!(shop.last_number().await, 2);
}

/// A broken line is answered, and the next one works; nothing is numbered.
#[tokio::test]
async fn broken_lines() {
    let shop = Shop::open().await;
    let mut talk = Talk::new(TcpStream::connect(shop.lines).await.unwrap());
    let answer = talk
        .ask(r#"{"id": 1, "method": "GET", "path": "/v1/status"}"#)
        .await;
    assert_eq!(answer["body"]["code"], "token_missing");
    talk.ask(&line(&json!(2), "GET", "/v1/status", true, None))
        .await;
    let table = [
        ("{\"id\": 3, \"method\": \"POST\"", "line_malformed"),
        ("not JSON", "line_malformed"),
        ("[]", "line_malformed"),
        (r#"[3, "GET", "/healthz", {}, null]"#, "line_malformed"),
        (r#"{"id": 3, "method": "GET"}"#, "line_malformed"),
        (
            r#"{"id": 3, "method": "GET", "path": "v1/status"}"#,
            "line_malformed",
        ),
        (
            r#"{"id": 3, "method": "G T", "path": "/v1/status"}"#,
            "line_malformed",
        ),
        (
            r#"{"id": 3, "method": "GET", "path": "/v1/ status"}"#,
            "line_malformed",
        ),
        (
            r#"{"id": {}, "method": "GET", "path": "/v1/status"}"#,
            "line_malformed",
        ),
        (
            r#"{"id": 3, "method": "GET", "path": "/v1/status", "more": 1}"#,
            "line_malformed",
        ),
        (
            r#"{"id": 3, "method": "GET", "path": "/v1/status", "headers": {"a b": "c"}}"#,
            "line_malformed",
        ),
        (
            r#"{"id": 3, "method": "GET", "path": "/v1/events"}"#,
            "needs_http",
        ),
        (
            r#"{"id": 3, "method": "POST", "path": "/v1/receipts", "body": {}}"#,
            "field_missing",
        ),
        (
            r#"{"id": 3, "method": "POST", "path": "/v1/receipts"}"#,
            "json_malformed",
        ),
        (
            r#"{"id": 3, "method": "GET", "path": "/v1/status", "headers": {"authorization": "Bearer x"}}"#,
            "token_unknown",
        ),
    ];
    for (line, code) in table {
        let answer = talk.ask(line).await;
        assert_eq!(answer["body"]["code"], code, "{line}: {answer}");
    }
    // A line with a wrong token is remembered as such; the right one works again.
    let body = sale("A-1");
    let answer = talk
        .ask(&line(&json!(9), "POST", "/v1/receipts", true, Some(&body)))
        .await;
    assert_eq!(answer["body"]["receiptGlobalNo"], 1);
    let wrong = sale_with("A-2", r#", "x": 1"#);
    let answer = talk
        .ask(&line(
            &json!(9),
            "POST",
            "/v1/receipts",
            false,
            Some(&wrong),
        ))
        .await;
    assert_eq!(answer["body"]["pointer"], "/x");
    talk.say("{\"id\": \"\u{0}\n").await;
    let answer = talk.hear().await.unwrap();
    assert_eq!(answer["status"], 400);
}

/// Who begins with anything but an object, such as HTTP, is answered once and cut off: a web page could
/// otherwise have its lines read as requests.
#[tokio::test]
async fn http_on_the_lines_port() {
    let shop = Shop::open().await;
    let mut talk = Talk::new(TcpStream::connect(shop.lines).await.unwrap());
    let sneaky = line(&json!(1), "POST", "/v1/receipts", true, Some(&sale("A-1")));
    talk.say(&format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\n\r\n{sneaky}\n"
    ))
    .await;
    let answer = talk.hear().await.unwrap();
    assert_eq!(answer["body"]["code"], "line_malformed");
    assert_eq!(shop.last_number().await, 0);
}
