//! A form asks the JSON path that does the thing: the same function, the same checks, the same audit row. So a page
//! can do nothing that the API cannot, and nothing in another way.

use axum::body::Body;
use axum::http::{Extensions, HeaderMap, HeaderName, Method, Request, StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tower::ServiceExt as _;

use super::visit::Visit;
use crate::access::{ClientAddress, Seen};
use crate::hq::SharedHq;
use crate::{access, functions, worker};

/// What is told on of who is asking.
const TOLD: [HeaderName; 5] = [
    header::COOKIE,
    header::AUTHORIZATION,
    header::HOST,
    header::ORIGIN,
    HeaderName::from_static("sec-fetch-site"),
];
/// The longest answer that is read.
const LONGEST: usize = 1 << 20;

/// An answer of a JSON path.
#[derive(Debug)]
pub(super) struct Answer {
    /// Its headers: cookies.
    pub(super) headers: HeaderMap,
    /// Its status.
    pub(super) status: StatusCode,
    /// Its body; null where it is empty.
    pub(super) body: Value,
}

/// What of a problem is shown.
#[derive(Deserialize)]
struct Said {
    title: String,
    detail: String,
    pointer: Option<String>,
}

impl Said {
    /// In a sentence that names the field that is wrong, if one is.
    fn words(&self) -> String {
        let Self { title, detail, .. } = self;
        match self.pointer.as_deref().and_then(field) {
            Some(field) => format!("{title}: {field}: {detail}"),
            None => format!("{title}: {detail}"),
        }
    }
}

/// The field that a JSON pointer or a parameter names, in words: `/legal_name` is "Legal name".
fn field(pointer: &str) -> Option<String> {
    let name = pointer
        .rsplit('/')
        .find(|part| part.parse::<usize>().is_err())?;
    let name = match name {
        "tin" => "TIN".to_owned(),
        "pkcs12" => "PKCS#12 file".to_owned(),
        "url" => "URL".to_owned(),
        _ => name
            .trim_end_matches("_id")
            .replace('_', " ")
            .replace("vat ", "VAT "),
    };
    let mut letters = name.chars();
    let first = letters.next()?;
    Some(first.to_uppercase().chain(letters).collect())
}

impl Visit {
    /// Writes through a JSON path in the name of whoever posted the form. A refusal is a sentence.
    pub(super) async fn write(
        &self,
        hq: &SharedHq,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<Value, String> {
        let (write, path) = (Some((self.caller.csrf(), body)), self.href(path));
        let asked = ask(hq, &self.headers, &self.extensions, (method, &path), write);
        Ok(asked.await?.body)
    }

    /// Reads a JSON path in the name of whoever looks at a page. A refusal is a sentence.
    pub(super) async fn read<T: DeserializeOwned>(
        &self,
        hq: &SharedHq,
        path: &str,
    ) -> Result<T, String> {
        let path = self.href(path);
        let asked = ask(
            hq,
            &self.headers,
            &self.extensions,
            (Method::GET, &path),
            None,
        );
        let body = asked.await?.body;
        serde_json::from_value(body).map_err(|error| format!("the answer cannot be read: {error}"))
    }
}

/// Asks a JSON path; a refusal is a sentence.
pub(super) async fn ask(
    hq: &SharedHq,
    headers: &HeaderMap,
    extensions: &Extensions,
    (method, path): (Method, &str),
    write: Option<(&str, &Value)>,
) -> Result<Answer, String> {
    let mut request = Request::builder().method(method).uri(path);
    for name in &TOLD {
        for value in headers.get_all(name) {
            request = request.header(name, value);
        }
    }
    let body = match write {
        Some((csrf, body)) => {
            request = request
                .header("x-csrf-token", csrf)
                .header(header::CONTENT_TYPE, "application/json");
            Body::from(body.to_string())
        }
        None => Body::empty(),
    };
    let mut request = request
        .body(body)
        .map_err(|error| format!("the form cannot be passed on: {error}"))?;
    // These two alone: what the outer router has left there would mislead the inner one.
    if let Some(from) = extensions.get::<ClientAddress>() {
        request.extensions_mut().insert(*from);
    }
    if let Some(seen) = extensions.get::<Seen>() {
        request.extensions_mut().insert(seen.clone());
    }
    let (router, _document) = access::paths::routes()
        .merge(functions::routes())
        .merge(worker::routes())
        .split_for_parts();
    let answered = router.with_state(hq.clone()).oneshot(request).await;
    let (parts, body) = answered.unwrap_or_else(|never| match never {}).into_parts();
    let bytes = axum::body::to_bytes(body, LONGEST)
        .await
        .map_err(|error| format!("the answer cannot be read: {error}"))?;
    if let (StatusCode::NOT_FOUND, Some(seen)) = (parts.status, extensions.get::<Seen>()) {
        seen.miss();
    }
    if let (StatusCode::UNAUTHORIZED, Some(seen)) = (parts.status, extensions.get::<Seen>()) {
        seen.guess();
    }
    if !parts.status.is_success() {
        let said: Option<Said> = serde_json::from_slice(&bytes).ok();
        return Err(said.map_or_else(
            || format!("this cannot be done here ({})", parts.status),
            |said| said.words(),
        ));
    }
    Ok(Answer {
        headers: parts.headers,
        status: parts.status,
        body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A refusal names its field as people read it.
    #[test]
    fn fields_have_words() {
        for (pointer, words) in [
            ("/legal_name", Some("Legal name")),
            ("/vat_number", Some("VAT number")),
            ("/tin", Some("TIN")),
            ("/kinds/0", Some("Kinds")),
            ("device_id", Some("Device")),
            ("", None),
        ] {
            assert_eq!(field(pointer).as_deref(), words, "{pointer}");
        }
    }
}
