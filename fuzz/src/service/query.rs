//! What stands behind the `?` of an address and in forms, the addresses of proxies and tills, and the JSON that head
//! office's functions are called with.

use std::net::IpAddr;

use axum::http::Uri;
use fiscal_hq::api::Network;
use fiscal_hq::functions::input::{Params, id, text, till};
use fiscal_hq::pages::query::Query;
use fiscal_hq::problem::json;
use fiscald::api::AllowList;
use fiscald::api::params::Params as TillParams;
use sync_wire::settings::StoreSettings;

/// Names that are known, in the search of head office and in the lists of the store.
const KNOWN: [&str; 9] = [
    "after",
    "amount",
    "columns",
    "day",
    "environment",
    "from",
    "limit",
    "number",
    "original",
];

/// A letter for what it is, then the bytes.
pub(crate) fn run(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else {
        return;
    };
    let words = String::from_utf8_lossy(rest);
    match kind {
        b'?' => {
            form(rest);
            if let Ok(uri) = format!("/v1/receipts?{words}").parse::<Uri>() {
                at_the_store(&uri);
                at_head_office(&uri);
            }
        }
        b'/' => paths(&words),
        b'n' => networks(&words),
        b't' => typed(&words),
        _ => body(rest),
    }
}

/// Head office's pages read anything; a page's own link says the same again.
fn form(bytes: &[u8]) {
    let query = Query::read(bytes);
    let mut wrong = Vec::new();
    let number = query.number("number", &mut wrong);
    let amount = query.amount("amount", &mut wrong);
    let day = query.day("day", &mut wrong);
    assert!(number.is_none_or(|number| number > 0));
    // What is typed is read or told of, and never taken for nothing.
    for (name, is_read) in [
        ("number", number.is_some()),
        ("amount", amount.is_some()),
        ("day", day.is_some()),
    ] {
        let is_told = wrong.iter().any(|wrong| wrong.name == name);
        assert_eq!(query.text(name).is_some(), is_read || is_told, "{name}");
        assert!(!(is_read && is_told));
    }
    let link = query.with("/receipts", "after", "a&b=c +%");
    let (_, again) = link.split_once('?').expect("a name was set");
    let again = Query::read(again.as_bytes());
    assert_eq!(again.text("after"), Some("a&b=c +%"));
    for name in ["number", "amount", "day"] {
        if let Some(text) = query.text(name) {
            assert_eq!(again.text(name), Some(text));
        }
    }
    assert_eq!(again.text("tenant"), None);
}

/// Each name at most once, and one that is known.
fn strict(uri: &Uri, also: &[&str]) {
    let query = uri.query().unwrap_or_default();
    let names: Vec<_> = form_urlencoded::parse(query.as_bytes())
        .map(|(name, _)| name.into_owned())
        .collect();
    for (place, name) in names.iter().enumerate() {
        assert!(KNOWN.contains(&name.as_str()) || also.contains(&name.as_str()));
        assert!(!names[..place].contains(name));
    }
}

fn at_the_store(uri: &Uri) {
    let Ok(params) = TillParams::of(uri, &KNOWN) else {
        return;
    };
    strict(uri, &["deviceID", "environment"]);
    let (first, last) = (params.moment("from", false), params.moment("from", true));
    assert_eq!(first.is_ok(), last.is_ok());
    if let (Ok(first), Ok(last)) = (first, last) {
        assert!(first <= last);
        let written = first.map(|first| first.to_string());
        // A year before the first is written longer than it was sent.
        let written = written.filter(|written| written.len() == 19);
        let again = written.map(|written| format!("/?from={written}"));
        if let Some(again) = again.and_then(|uri| uri.parse::<Uri>().ok()) {
            let again = TillParams::of(&again, &KNOWN).expect("the name is known");
            assert_eq!(again.moment("from", false).ok().flatten(), first);
        }
    }
    if let Ok(columns) = params.columns() {
        assert!((16..=200).contains(&columns));
    }
    if let Ok(flag) = params.flag("original") {
        assert_eq!(flag, params.get("original") == Some("true"));
    }
}

fn at_head_office(uri: &Uri) {
    let Ok(params) = Params::of(uri, &KNOWN) else {
        return;
    };
    strict(uri, &["tenant"]);
    if let Ok(limit) = params.limit() {
        assert!((1..=500).contains(&limit));
    }
    if let Ok(Some(number)) = params.number("number") {
        assert!(number > 0);
    }
    if let Ok(Some(environment)) = params.environment() {
        assert_eq!(params.get("environment"), Some(environment.as_str()));
    }
    if let Ok(Some(moment)) = params.moment("from") {
        assert_eq!(moment.to_string().parse().ok(), Some(moment));
    }
}

/// `environment/device`, and names.
fn paths(words: &str) {
    let (environment, device) = words.split_once('/').unwrap_or((words, ""));
    if let Ok(till) = till(environment, device) {
        let again = self::till(till.environment.as_str(), &till.device_id.to_string());
        assert_eq!(again.ok(), Some(till));
        assert!(till.device_id > 0 && i32::try_from(till.device_id).is_ok());
    }
    if let Ok(name) = id(words, "store") {
        assert_eq!(id(&name.to_string(), "store").ok(), Some(name));
    }
}

/// A network holds its own address; head office and store are of one mind about it.
fn networks(words: &str) {
    let mut words = words.splitn(2, ' ');
    let network = words.next().unwrap_or_default();
    let other: Option<IpAddr> = words.next().and_then(|other| other.parse().ok());
    let (theirs, ours) = (network.parse::<Network>(), AllowList::parse(&[network]));
    let (Ok(theirs), Ok(ours)) = (theirs, ours) else {
        return;
    };
    let address = network.split('/').next().unwrap_or_default().trim();
    let own: IpAddr = address.parse().expect("a network begins with an address");
    if own.to_canonical() == own {
        assert!(theirs.contains(own) && ours.contains(own));
    }
    if let Some(other) = other {
        assert_eq!(
            theirs.contains(other),
            ours.contains(other),
            "{network} {other}"
        );
    }
}

/// A text that a person typed is within its lengths, and the same when it is typed again.
fn typed(words: &str) {
    if let Ok(taken) = text("/reason", words, 3..=50) {
        assert!((3..=50).contains(&taken.chars().count()));
        assert!(!taken.chars().any(|c| c.is_control() && c != '\n'));
        assert_eq!(text("/reason", &taken, 3..=50).as_ref().ok(), Some(&taken));
    }
}

/// A body is read as JSON is, whole; what is wrong is told at a place in it.
fn body(bytes: &[u8]) {
    let plain = serde_json::from_slice::<StoreSettings>(bytes);
    match json::<StoreSettings>(bytes) {
        Ok(settings) => assert_eq!(plain.ok(), Some(settings)),
        Err(problem) => {
            assert!(plain.is_err());
            let pointer = problem.pointer.unwrap_or_default();
            assert!(pointer.is_empty() || pointer.starts_with('/'), "{pointer}");
        }
    }
}
