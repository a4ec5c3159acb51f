//! No tenant sees or changes anything of another. Every operation of the document is asked, as everybody that one
//! tenant has, for everything that another has: its ids in path, query, body and form, its name in the address and in
//! headers. What belongs to the other carries a word that nothing else has, and all its rows are hashed before and
//! after. A path that is new is walked without anybody doing anything for it; a parameter or field whose meaning is
//! not known here makes the test red.
//!
//! And the other way round: the other tenant itself sees its word on each of these paths.

use std::collections::BTreeSet;
use std::time::Duration;

use fiscal_hq::access::{Role, secret};
use fiscal_hq::api;
use fiscal_hq::db::{self, TenantId};
use reqwest::{Method, RequestBuilder};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

mod guesses;

use guesses::Guess;

use crate::api::{operations, source};
use crate::people::{Answer, Asker, Shows, send, times};
use crate::seed;
use crate::support::Test;

/// What everything of the other tenant is called.
const WORD: &str = "Quagga";

/// The two tenants, and the names of what the other one has.
struct World {
    test: Test,
    /// Who asks.
    own: TenantId,
    /// Who is asked about.
    other: TenantId,
    store: Uuid,
    user: Uuid,
    token: Uuid,
    command: Uuid,
    alert: Uuid,
    channel: Uuid,
}

async fn world() -> World {
    let test = Test::start().await;
    let own = test.tenant("Acacia").await;
    let shop = seed::believable(&test, &format!("{WORD} Stores")).await;
    let other = shop.tenant;
    let [token, channel] = [Uuid::new_v4(), Uuid::new_v4()];
    let sql = test.database.connect("postgres").await;
    // Past the triggers that keep receipts and the audit as they are.
    sql.batch_execute(&format!(
        "SET session_replication_role = replica;
         UPDATE stores SET name = '{WORD} ' || name, key_hash = '\\x01';
         UPDATE fdms_devices SET machine_name = '{WORD} ' || machine_name, serial_no = '{WORD}-' || serial_no,
           last_error = '{WORD} error';
         UPDATE fdms_tenant_credentials SET label = '{WORD} ' || label;
         UPDATE fdms_submission_logs SET operation_id = '{WORD}:' || operation_id;
         UPDATE fdms_retry_jobs SET reason = '{WORD} ' || coalesce(reason, '');
         UPDATE receipts SET invoice_no = '{WORD}-' || invoice_no;
         UPDATE commands SET detail = '{WORD} ' || coalesce(detail, '');
         UPDATE alerts SET detail = '{WORD} ' || detail;
         UPDATE users SET name = '{WORD} ' || name WHERE tenant_id = '{other}';
         UPDATE fdms_audit_logs SET subject = '{WORD} ' || subject WHERE tenant_id = '{other}';
         INSERT INTO api_tokens VALUES ('{other}', '{token}', '{WORD} token', 'viewer', '\\x02', '{WORD}', now());
         INSERT INTO alert_channels VALUES
           ('{other}', '{channel}', 'email', '{WORD}@example.com', NULL, true, '{WORD}', now());
         SET session_replication_role = origin;"
    ))
    .await
    .unwrap();
    let one = async |column: &str, table: &str| -> Uuid {
        let text = format!("SELECT {column} FROM {table} WHERE tenant_id = $1 ORDER BY 1 LIMIT 1");
        sql.query_one(&text, &[&other.0]).await.unwrap().get(0)
    };
    World {
        own,
        other,
        store: shop.stores[0],
        user: one("user_id", "users").await,
        token,
        command: one("command_id", "commands").await,
        alert: one("alert_id", "alerts").await,
        channel,
        test,
    }
}

impl World {
    /// What the other tenant has under this name, or what is needed to get that far. None: it is left out.
    fn value(&self, path: &str, name: &str) -> Option<Value> {
        let is_of_credentials = path.contains("credentials");
        Some(match name {
            "store" | "store_id" => json!(self.store),
            "user" | "user_id" => json!(self.user),
            "token" | "token_id" => json!(self.token),
            "command" | "command_id" => json!(self.command),
            "alert" | "alert_id" => json!(self.alert),
            "channel" | "channel_id" => json!(self.channel),
            "environment" => json!("prod"),
            // The till that has a credential, or the one that has sold.
            "device" | "device_id" if is_of_credentials => json!(24_012),
            "device" | "device_id" => json!(seed::BUSY.0),
            "version" => json!(1),
            "number" if path.contains("days") => json!(61),
            "number" => json!(seed::BUSY.1),
            "file" => json!("index.html"),
            "kind" if path.ends_with("/command") => json!("block"),
            "month" => json!("2026-05"),
            "year" => json!(2026),
            "currencies" => json!(["USD"]),
            "day_opening" => json!("by_hand"),
            "day_closing" => json!("22:30"),
            "answers" => json!("online"),
            "print" => json!("never"),
            _ => return None,
        })
    }

    /// A path with the other tenant's names in it. An action is each in turn.
    fn paths(&self, path: &str, operation: &Value) -> Vec<String> {
        let mut filled = vec![String::new()];
        for part in path.split('/').skip(1) {
            let name = part
                .strip_prefix('{')
                .and_then(|part| part.split('}').next());
            let values = match name {
                None => vec![part.to_owned()],
                Some("action") => actions(path),
                Some(name) => {
                    let value = self
                        .value(path, name)
                        .unwrap_or_else(|| panic!("{path}: what is {{{name}}}? tell World::value"));
                    vec![text(&value)]
                }
            };
            filled = filled
                .iter()
                .flat_map(|before| values.iter().map(move |value| format!("{before}/{value}")))
                .collect();
        }
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let mut needed = Vec::new();
        let mut more = vec![None];
        for parameter in parameters.filter(|parameter| parameter["in"] == "query") {
            let name = parameter["name"].as_str().unwrap();
            let pair = self
                .value(path, name)
                .map(|value| format!("{name}={}", text(&value)));
            match (pair, parameter["required"] == true) {
                (Some(pair), true) => needed.push(pair),
                (Some(pair), false) => more.push(Some(pair)),
                (None, is_needed) => {
                    assert!(!is_needed, "{path}: what is ?{name}=? tell World::value")
                }
            }
        }
        let mut all = Vec::new();
        for path in &filled {
            // Each of the parameters that are not needed by itself, and none.
            for one in &more {
                let pairs: Vec<&str> = needed.iter().chain(one).map(String::as_str).collect();
                all.push(if pairs.is_empty() {
                    path.clone()
                } else {
                    format!("{path}?{}", pairs.join("&"))
                });
            }
        }
        all
    }

    /// A body as the document describes it, with the other tenant's names in it.
    fn body(&self, document: &Value, schema: &Value, name: &str) -> Value {
        if let Some(reference) = schema["$ref"].as_str() {
            let place = reference.trim_start_matches('#');
            return self.body(document, document.pointer(place).unwrap(), name);
        }
        for kind in ["oneOf", "anyOf", "allOf"] {
            if let Some(some) = schema[kind].as_array() {
                let real = some.iter().find(|one| one["type"] != "null").unwrap();
                return self.body(document, real, name);
            }
        }
        if let Some(known) = self.value("", name) {
            return known;
        }
        if let Some(first) = schema["enum"].get(0) {
            return first.clone();
        }
        let kind = match &schema["type"] {
            Value::Array(kinds) => kinds.iter().find(|kind| *kind != "null").unwrap(),
            kind => kind,
        };
        match kind.as_str() {
            Some("object") => {
                let properties = schema["properties"]
                    .as_object()
                    .cloned()
                    .unwrap_or_default();
                let made = properties
                    .iter()
                    .map(|(name, schema)| (name.clone(), self.body(document, schema, name)));
                Value::Object(made.collect::<Map<_, _>>())
            }
            Some("array") => json!([self.body(document, &schema["items"], name)]),
            Some("integer" | "number") => json!(1),
            Some("boolean") => json!(true),
            _ if schema["format"] == "date-time" => json!("2026-12-31T00:00:00Z"),
            _ if name == "email" => json!("new@acacia.example"),
            _ => json!("a long enough sentence"),
        }
    }

    /// Asks one operation; writes carry all that they may.
    fn request(
        &self,
        document: &Value,
        asker: &Asker,
        (method, path, operation): (&Method, &str, &Value),
    ) -> RequestBuilder {
        let request = asker.request(method.clone(), path);
        let content = &operation["requestBody"]["content"];
        if let Some(schema) = content["application/json"].get("schema") {
            return request.json(&self.body(document, schema, ""));
        }
        if content.get("application/x-www-form-urlencoded").is_some() {
            let mut form = form_urlencoded::Serializer::new(String::new());
            for name in &fields() {
                form.append_pair(
                    name,
                    &self
                        .value(path, name)
                        .map_or("a long enough sentence".into(), |value| text(&value)),
                );
            }
            if let Shows::Session { csrf, .. } = &asker.shows {
                form.append_pair("csrf", csrf);
            }
            return request
                .header("content-type", "application/x-www-form-urlencoded")
                .body(form.finish());
        }
        if content.is_null() {
            return request;
        }
        // Lines of stores: whatever it is, it is not the other's.
        request.json(&json!({}))
    }

    /// A hash over all rows of the other tenant, whichever table they are in, as the superuser sees them.
    async fn hash_of_the_other(&self) -> String {
        let sql = self.test.database.connect("postgres").await;
        let tables = sql
            .query(
                "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                   JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
                 WHERE n.nspname = 'public' AND c.relkind = 'r' ORDER BY 1",
                &[],
            )
            .await
            .unwrap();
        assert!(tables.len() > 20, "{}", tables.len());
        let mut digest = Sha256::new();
        let mut rows = 0;
        for table in &tables {
            let name: String = table.get(0);
            let text = format!("SELECT t::text FROM {name} t WHERE tenant_id = $1 ORDER BY 1");
            for row in sql.query(&text, &[&self.other.0]).await.unwrap() {
                digest.update(name.as_bytes());
                digest.update(row.get::<_, String>(0).as_bytes());
                rows += 1;
            }
        }
        assert!(rows > 100, "{rows}");
        format!("{:x?}", digest.finalize())
    }

    /// Everybody that the asking tenant has.
    async fn askers(&self) -> Vec<(&'static str, Asker)> {
        let test = &self.test;
        let mut all = Vec::new();
        for (name, role) in [
            ("viewer", Role::Viewer),
            ("operator", Role::Operator),
            ("admin", Role::Admin),
        ] {
            let email = format!("{name}@acacia.example");
            all.push((name, Asker::person(test, self.own, role, &email).await));
        }
        all.push((
            "token",
            Asker::machine(test, self.own, Role::Admin, "erp").await,
        ));
        all.push(("store", Asker::bearer(test, &self.store_of_own().await)));
        all.push(("nobody", Asker::nobody(test)));
        all
    }

    /// A store of the asking tenant that has joined; its secret.
    async fn store_of_own(&self) -> String {
        let secret = "fhqs_the-secret-of-a-store-of-acacia".to_owned();
        let (store, key) = (Uuid::new_v4(), secret::hash(&secret));
        let now = self.test.hq.now();
        let mut client = self.test.hq.db.client().await.unwrap();
        let tx = db::tenant(&mut client, self.own).await.unwrap();
        tx.execute(
            "INSERT INTO stores (tenant_id, store_id, name, created_at, joined_at, key_hash) VALUES ($1, $2, 'Own', $3, $3, $4)",
            &[&self.own.0, &store, &now, &key],
        )
        .await
        .unwrap();
        tx.execute("SELECT hq_lookup_put('store', $1, $2)", &[&key, &store])
            .await
            .unwrap();
        tx.commit().await.unwrap();
        secret
    }
}

/// Fields of forms: all that any form reads.
fn fields() -> BTreeSet<String> {
    let source = source();
    let read = source.split("form.").skip(1).filter_map(|part| {
        let (method, rest) = part.split_once("(\"")?;
        let is_call = method
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_');
        is_call.then(|| rest.split('"').next().unwrap_or_default().to_owned())
    });
    let mut all: BTreeSet<String> = read.collect();
    all.remove("csrf");
    assert!(all.len() > 8 && all.contains("reason"), "{all:?}");
    all
}

/// What may stand for `{action}`.
fn actions(path: &str) -> Vec<String> {
    let all: &[&str] = match path.split('/').nth(1) {
        Some("people") => &["role", "code", "close", "open", "sessions", "second_factor"],
        Some("credentials") => &["activate", "revoke"],
        Some("alarms") => &["test", "on", "off", "remove"],
        Some("go-live") => &["enable", "disable", "cut_over", "rollback"],
        Some("fiscal_submissions") => &["retry", "dead_letter"],
        Some("fiscal_devices") => &[
            "block",
            "unblock",
            "retire",
            "refresh_config",
            "open_day",
            "close_day",
            "renew_certificate",
        ],
        _ => panic!("{path}: what is {{action}}? tell actions()"),
    };
    all.iter().map(|&action| action.to_owned()).collect()
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn with_tenant(path: &str, tenant: TenantId) -> String {
    let sign = if path.contains('?') { '&' } else { '?' };
    format!("{path}{sign}tenant={tenant}")
}

/// What an answer shows that it should not.
fn shown(answer: &Answer, what: &str) -> Option<String> {
    let in_headers = answer
        .headers
        .values()
        .any(|value| String::from_utf8_lossy(value.as_bytes()).contains(WORD));
    let text: String = answer.text.chars().take(300).collect();
    if in_headers || answer.text.contains(WORD) {
        return Some(format!("{what} shows it: {text}"));
    }
    (answer.status == 500).then(|| format!("{what} is a defect: {text}"))
}

/// Every operation, as everybody of one tenant, for everything of the other.
#[tokio::test]
async fn no_tenant_reaches_another() {
    let world = world().await;
    let test = &world.test;
    let document: Value = serde_json::from_str(api::document()).unwrap();
    let mut askers = world.askers().await;
    let before = world.hash_of_the_other().await;
    let mut found = Vec::new();
    let mut refused = 0;
    let mut asked = 0;
    let mut guesses = Vec::new();
    for (method, template, operation) in operations(&document) {
        for (who, asker) in &mut askers {
            // Else this would be a flood, and sessions would be over.
            test.clock.advance(Duration::from_secs(20));
            for path in world.paths(&template, &operation) {
                let what = format!("{method} {path} as {who}");
                let ask = |path: &str| world.request(&document, asker, (&method, path, &operation));
                let guessed = send(ask(&path)).await;
                found.extend(shown(&guessed, &what));
                guesses.push(Guess::of(who, &method, (&template, &path), &guessed));
                let named = send(ask(&with_tenant(&path, world.other))).await;
                found.extend(shown(&named, &what));
                let forged = send(ask(&path).header("x-tenant", world.other.to_string())).await;
                found.extend(shown(&forged, &what));
                asked += 3;
                // Signing out works, and ends it.
                if asker.user.is_some() && !asker.is_in().await {
                    let email = format!("{who}@acacia.example");
                    asker.shows = Asker::sign_in(test, &email).await.shows;
                    continue;
                }
                let is_known = !["store", "nobody"].contains(who);
                let is_for_callers = operation["security"].is_null();
                if is_known && is_for_callers {
                    if (named.status, forged.status) != (403, 403) {
                        found.push(format!("{what} is {} and {}", named.status, forged.status));
                    }
                    refused += 2;
                }
            }
        }
    }
    assert_eq!(
        before,
        world.hash_of_the_other().await,
        "something of the other has changed"
    );
    assert!(found.is_empty(), "{found:#?}");
    assert!(asked > 1000 && refused > 300, "{asked} {refused}");
    let mut audited = times(test, world.own, "token:erp", "access.denied").await;
    for (who, _) in &askers {
        let actor = format!("user:{who}@acacia.example");
        audited += times(test, world.own, &actor, "access.denied").await;
    }
    assert!(
        audited >= refused,
        "{audited} of {refused} are written down"
    );
    world.guesses_are_audited(guesses).await;
}

/// What has no words of a tenant to show: the document and its page, signing in, one's own session, the operator's
/// pages, figures, and a PDF, whose words are packed.
const SILENT: [&str; 23] = [
    "/account",
    "/assets/hq.css",
    "/assets/hq.js",
    "/assets/icon.svg",
    "/choose-password",
    "/companies",
    "/docs",
    "/docs/",
    "/docs/{file}",
    "/fiscal_credentials/policy",
    "/forgot-password",
    "/fiscal_submissions/days.csv",
    "/fiscal_submissions/vat_return",
    "/healthz",
    "/metrics",
    "/openapi.json",
    "/readyz",
    "/receipts/{environment}/{device}/{number}/paper.pdf",
    "/session",
    "/sign-in",
    "/sync/past",
    "/tenants",
    "/fdms_health",
];

/// The other tenant sees its word wherever the first one saw nothing.
#[tokio::test]
async fn each_tenant_reaches_its_own() {
    let world = world().await;
    let document: Value = serde_json::from_str(api::document()).unwrap();
    let admin = Asker::person(
        &world.test,
        world.other,
        Role::Admin,
        "second@quagga.example",
    )
    .await;
    let mut silent = Vec::new();
    let mut seen = 0;
    for (method, path, operation) in operations(&document) {
        if method != Method::GET {
            continue;
        }
        world.test.clock.advance(Duration::from_secs(20));
        let mut said = Vec::new();
        let mut is_seen = false;
        for asked in world.paths(&path, &operation) {
            let answer = admin.get(&asked).await;
            is_seen |= answer.status == 200 && answer.text.contains(WORD);
            said.push(format!("{asked} is {}", answer.status));
        }
        seen += usize::from(is_seen);
        if !is_seen && !SILENT.contains(&path.as_str()) {
            silent.extend(said);
        }
    }
    assert!(
        silent.is_empty(),
        "{seen} show it, these do not: {silent:#?}"
    );
    assert!(seen > 20, "{seen}");
}
