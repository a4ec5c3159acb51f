//! What the authority's OpenAPI documents say of every message, kept in a file of our own, and the check
//! of requests and answers against it.
//!
//! `schema/fdms.json` has the types and, for each call, its path, headers, query, body, answer, the
//! statuses it may be refused with and the codes. A type is written in words: `text(1..100)`,
//! `decimal(21,2)`, `list of Receipt`; with `?` it may be left out. Where OAS leaves out a length that
//! the text has, or lets a field be absent that no answer is without, the stricter one is kept.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::call::Call;
use crate::file::{self, as_fdms_spells_it};
use crate::query::Query;
use crate::settings::FileTransport;

mod types;

use types::{Field, Types};

/// Statuses that come from what stands around FDMS, or that no call of its own has.
const ANY_TIME: [u16; 7] = [403, 405, 413, 415, 429, 502, 503];
/// From this one on it is a proxy that answers, in whatever form.
const PROXY: u16 = 502;

/// What is known of a call.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CallSchema {
    method: String,
    path: String,
    #[serde(default)]
    headers: BTreeMap<String, Field>,
    #[serde(default)]
    query: BTreeMap<String, Field>,
    /// The type of the body; none: there is none.
    takes: Option<Field>,
    /// The type of the answer.
    gives: Field,
    /// The statuses of its refusals.
    refuses: Vec<u16>,
    /// The codes of its refusals with 422.
    codes: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Schema {
    types: Types,
    calls: BTreeMap<Call, CallSchema>,
}

static SCHEMA: LazyLock<Result<Schema, String>> = LazyLock::new(|| {
    let schema: Schema = serde_json::from_str(include_str!("../schema/fdms.json"))
        .map_err(|error| format!("the schema cannot be read: {error}"))?;
    Ok(schema)
});

/// The schema of a call, and all types.
fn schema_of(call: Call) -> Result<(&'static CallSchema, &'static Types), String> {
    let schema = SCHEMA.as_ref().map_err(Clone::clone)?;
    let known = schema.calls.get(&call);
    let known = known.ok_or_else(|| format!("the schema does not know {call}"))?;
    Ok((known, &schema.types))
}

/// Every call of the schema: its method and its path, with `{deviceID}` in the device's place.
#[must_use]
pub fn calls() -> Vec<(Call, &'static str, &'static str)> {
    let calls = SCHEMA.as_ref().map(|schema| &schema.calls);
    let calls = calls.into_iter().flatten();
    calls
        .map(|(call, known)| (*call, known.method.as_str(), known.path.as_str()))
        .collect()
}

/// A request as it was sent.
#[derive(Debug, Clone, Copy, Default)]
pub struct SentRequest<'a> {
    /// What stands behind the `?`.
    pub query: &'a str,
    /// Names and values of its headers.
    pub headers: &'a [(&'a str, &'a str)],
    /// Its body.
    pub body: &'a str,
}

impl SentRequest<'_> {
    fn header(&self, name: &str) -> Option<&str> {
        let mut all = self.headers.iter();
        let (_, value) = all.find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(value.trim())
    }
}

/// What is wrong with a request to this call: missing and unknown fields, wrong types and lengths.
#[must_use]
pub fn check_request(call: Call, request: &SentRequest<'_>) -> Vec<String> {
    let (known, types) = match schema_of(call) {
        Ok(found) => found,
        Err(why) => return vec![why],
    };
    let mut found = Vec::new();
    for (name, field) in &known.headers {
        let value = request.header(name);
        types.check_text(field, value, &format!("header {name}"), &mut found);
    }
    let query = Query::of(request.query);
    for (name, field) in &known.query {
        let path = format!("query {name}");
        types.check_text(field, query.get(name), &path, &mut found);
    }
    for (name, _) in query.pairs() {
        if !known.query.contains_key(name) {
            found.push(format!("query {name}: unknown"));
        }
    }
    let Some(takes) = &known.takes else {
        return found;
    };
    match body_of(call, request) {
        Ok(body) => types.check(takes, &body, "body", &mut found),
        Err(why) => found.push(format!("body: {why}")),
    }
    found
}

/// The JSON that a request carries.
fn body_of(call: Call, request: &SentRequest<'_>) -> Result<String, String> {
    let content_type = request.header("content-type").unwrap_or_default();
    if call != Call::SubmitFile {
        return if is_type(content_type, "application/json") {
            Ok(request.body.to_owned())
        } else {
            Err(format!("sent as '{content_type}', not application/json"))
        };
    }
    // Which way files travel is an open question: each of the three is right.
    let ways = [
        FileTransport::JsonTextPlain,
        FileTransport::Base64TextPlain,
        FileTransport::MultipartBase64,
    ];
    let unpacked = ways.map(|way| file::unpack(request.body, Some(content_type), way).ok());
    let mut objects = unpacked.into_iter().flatten();
    let text = objects.find(|text| text.trim_start().starts_with('{'));
    let text = text.ok_or_else(|| format!("no file in what was sent as '{content_type}'"))?;
    as_fdms_spells_it(&text)
}

/// What is wrong with an answer of this call: the status, the content type, the code of a refusal,
/// missing and unknown fields, wrong types and lengths.
#[must_use]
pub fn check_answer(call: Call, status: u16, content_type: &str, body: &str) -> Vec<String> {
    let (known, types) = match schema_of(call) {
        Ok(found) => found,
        Err(why) => return vec![why],
    };
    let mut found = Vec::new();
    if status == 200 {
        if !is_type(content_type, "application/json") {
            found.push(format!(
                "answered as '{content_type}', not application/json"
            ));
        }
        types.check(&known.gives, body, "body", &mut found);
        return found;
    }
    if !known.refuses.contains(&status) && !ANY_TIME.contains(&status) {
        found.push(format!("{call} is not refused with {status}"));
    }
    if status >= PROXY {
        return found;
    }
    if !is_type(content_type, "application/problem+json") {
        found.push(format!(
            "answered as '{content_type}', not application/problem+json"
        ));
    }
    types.check(&Field::named("Problem"), body, "body", &mut found);
    check_problem(known, status, body, &mut found);
    found
}

/// Status, code and fields of a problem are those of its kind.
fn check_problem(known: &CallSchema, status: u16, body: &str, found: &mut Vec<String>) {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Problem {
        status: Option<u16>,
        error_code: Option<String>,
        errors: Option<serde_json::Value>,
    }
    let Ok(problem) = serde_json::from_str::<Problem>(body) else {
        return;
    };
    if problem.status.is_some_and(|told| told != status) {
        found.push(format!("body.status: {status} was answered"));
    }
    if let Some(code) = problem.error_code
        && (status != 422 || !known.codes.contains(&code))
    {
        found.push(format!(
            "body.errorCode: {code} with {status} is none of this call"
        ));
    }
    if problem.errors.is_some() && status != 400 {
        found.push(format!("body.errors: with {status}"));
    }
}

fn is_type(content_type: &str, wanted: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default();
    kind.trim().eq_ignore_ascii_case(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every type that the schema names is there, and every one that is there is named.
    #[test]
    fn all_types_are_used() {
        let schema = SCHEMA.as_ref().unwrap();
        let calls = schema.calls.values().flat_map(|call| {
            let query = call.query.values();
            let own = call.takes.iter().chain([&call.gives]);
            own.chain(call.headers.values()).chain(query)
        });
        let problem = Field::named("Problem");
        let mut used: Vec<&str> = calls.filter_map(|field| field.name()).collect();
        used.extend(problem.name());
        used.extend(schema.types.names_used());
        used.sort_unstable();
        used.dedup();
        assert_eq!(used, schema.types.names());
    }

    /// What is wrong with a request is told by its place.
    #[test]
    fn mistakes_are_found() {
        let headers = [
            ("devicemodelname", "Server"),
            ("DeviceModelVersion", "v1"),
            ("Content-Type", "application/json; charset=utf-8"),
        ];
        let good = SentRequest {
            headers: &headers,
            body: r#"{"fiscalDayNo": null, "fiscalDayOpened": "2026-05-28T07:00:00"}"#,
            ..SentRequest::default()
        };
        assert_eq!(check_request(Call::OpenDay, &good), [""; 0]);
        let bad = SentRequest {
            query: "x=1",
            headers: &headers[1..2],
            body: "{}",
        };
        assert_eq!(
            check_request(Call::OpenDay, &bad),
            [
                "header DeviceModelName: missing",
                "query x: unknown",
                "body: sent as '', not application/json",
            ]
        );
        let wrong = |body| check_request(Call::OpenDay, &SentRequest { body, ..good });
        assert_eq!(
            wrong(r#"{"fiscalDayNo": "1", "day": 1}"#),
            [
                "body.day: unknown",
                "body.fiscalDayNo: The value could not be converted to a 32-bit number.",
                "body.fiscalDayOpened: missing",
            ]
        );
        assert_eq!(wrong("[]").len(), 1);
    }

    /// Enums, lengths, lists and nested types of an answer are looked into.
    #[test]
    fn answers_are_looked_into() {
        let json = "application/json";
        let answer = |body: &str| check_answer(Call::GetStatus, 200, json, body);
        let good = r#"{"fiscalDayStatus": "FiscalDayClosed", "operationID": "a"}"#;
        assert_eq!(answer(good), [""; 0]);
        let odd = r#"{"fiscalDayStatus": "Shut", "operationID": "a", "fiscalDayCounter": [{}, 1]}"#;
        assert_eq!(
            answer(odd),
            [
                "body.fiscalDayCounter[0].fiscalCounterCurrency: missing",
                "body.fiscalDayCounter[0].fiscalCounterType: missing",
                "body.fiscalDayCounter[0].fiscalCounterValue: missing",
                "body.fiscalDayCounter[1]: not an object",
                "body.fiscalDayStatus: 'Shut' is none of the values",
            ]
        );
        let twice =
            r#"{"fiscalDayStatus": "FiscalDayClosed", "operationID": "a", "operationID": "b"}"#;
        assert_eq!(answer(twice), ["body.operationID: twice"]);
        let long = good.replace("\"a\"", &format!("\"{}\"", "a".repeat(61)));
        assert_eq!(answer(&long).len(), 1);
        assert_eq!(
            check_answer(Call::GetStatus, 200, "text/html", good).len(),
            1
        );
    }

    /// A refusal has a status and a code that its call has.
    #[test]
    fn refusals_are_of_their_call() {
        let problem = "application/problem+json";
        let refused = |call, status, body: &str| check_answer(call, status, problem, body);
        let told = r#"{"status": 422, "errorCode": "FISC01", "operationID": "a"}"#;
        assert_eq!(refused(Call::OpenDay, 422, told), [""; 0]);
        assert_eq!(refused(Call::GetStatus, 422, told).len(), 1);
        assert_eq!(refused(Call::OpenDay, 400, told).len(), 2);
        let bare = r#"{"operationID": "a"}"#;
        assert_eq!(refused(Call::RegisterDevice, 401, bare).len(), 1);
        assert_eq!(refused(Call::Ping, 429, bare), [""; 0]);
        assert_eq!(
            check_answer(Call::Ping, 502, "text/html", "<html>"),
            [""; 0]
        );
        assert_eq!(refused(Call::Ping, 500, "<html>").len(), 1);
    }
}
