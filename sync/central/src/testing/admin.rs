//! Head office as somebody with a token asks it.

use reqwest::Method;
use serde_json::{Value, json};

use super::Test;
use crate::access::{By, Role, tokens};
use crate::db::{self, TenantId};

/// Somebody with a token.
pub struct Admin<'a> {
    /// Whom he asks.
    pub test: &'a Test,
    /// Whose he is.
    pub tenant: TenantId,
    token: String,
}

impl<'a> Admin<'a> {
    /// An admin of a new tenant.
    pub async fn of_new(test: &'a Test, name: &str) -> Self {
        let tenant = test.tenant(name).await;
        Self::of(test, tenant, Role::Admin).await
    }

    /// Somebody of a tenant.
    pub async fn of(test: &'a Test, tenant: TenantId, role: Role) -> Self {
        let mut client = test.hq.db.client().await.unwrap();
        let tx = db::tenant(&mut client, tenant).await.unwrap();
        let by = By {
            tenant,
            actor: "test",
            now: test.hq.now(),
            from: None,
        };
        let name = format!("token of {role}");
        let (_, token) = tokens::create(&tx, &by, &name, role, None).await.unwrap();
        tx.commit().await.unwrap();
        Self {
            test,
            tenant,
            token: token.reveal().to_owned(),
        }
    }

    /// What he shows.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Asks; the status and the JSON, or the text where it is none.
    pub async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let (status, text) = self.text(method, path, body).await;
        let value = serde_json::from_str(&text).unwrap_or(Value::String(text));
        (status, value)
    }

    /// Asks; the status and the text.
    pub async fn text(&self, method: Method, path: &str, body: Option<Value>) -> (u16, String) {
        let mut request = self
            .test
            .http
            .request(method, self.test.url(path))
            .bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// What is there.
    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask(Method::GET, path, None).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// Does something that works.
    pub async fn post(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.ask(Method::POST, path, Some(body)).await;
        assert!((200..300).contains(&status), "{path}: {status} {answer}");
        answer
    }

    /// Does something that is refused; the status and the code, a blank between.
    pub async fn refused(&self, path: &str, body: Value) -> (String, String) {
        let (status, answer) = self.ask(Method::POST, path, Some(body)).await;
        let code = answer["code"].as_str().unwrap_or_default();
        let detail = answer["detail"].as_str().unwrap_or_default();
        (format!("{status} {code}"), detail.to_owned())
    }

    /// The profile's version.
    pub async fn version(&self) -> i64 {
        self.get("/fiscal_profile").await["version"]
            .as_i64()
            .unwrap()
    }

    /// Saves the client's papers.
    pub async fn save_profile(&self, more: Value) -> Value {
        let mut body = json!({
            "legal_name": "Baobab Stores (Private) Limited", "trade_name": "Baobab", "tin": "2000123456",
            "vat_number": "220123456", "address": "1 Samora Machel Avenue, Harare", "version": self.version().await,
        });
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let (status, answer) = self.ask(Method::PUT, "/fiscal_profile", Some(body)).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// The state of a step of the checklist, and what is missing.
    pub async fn step(&self, name: &str) -> (String, String) {
        let list = self.get("/fiscal_profile/checklist").await;
        let steps = list["steps"].as_array().unwrap();
        let step = steps.iter().find(|step| step["step"] == name).unwrap();
        (
            step["state"].as_str().unwrap().to_owned(),
            step["missing"].to_string(),
        )
    }

    /// A number that a statement gives, as the database's owner without row-level security in the way.
    pub async fn count(&self, sql: &str) -> i64 {
        let client = self.test.database.connect("postgres").await;
        let row = client.query_one(sql, &[&self.tenant.0]).await.unwrap();
        row.get(0)
    }

    /// Makes a store, with its code.
    pub async fn new_store(&self, name: &str) -> (String, String) {
        let store = self
            .post("/fiscal_devices/stores", json!({ "name": name }))
            .await;
        let id = store["store_id"].as_str().unwrap().to_owned();
        let code = self
            .post(&format!("/fiscal_devices/stores/{id}/code"), json!({}))
            .await;
        (id, code["code"].as_str().unwrap().to_owned())
    }

    /// Records a till.
    pub async fn new_device(&self, environment: &str, device: u32, store: &str) -> Value {
        self.post(
            "/fiscal_devices",
            json!({ "environment": environment, "device_id": device, "serial_no": format!("SN-{device}"),
                "model_name": "Server", "model_version": "v1", "store_id": store, "machine_name": "Till 1",
                "mode": "hybrid" }),
        )
        .await
    }
}
