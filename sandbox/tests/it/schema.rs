//! Every call of the schema is there and answered as it says. (That every answer is, in these and all
//! other tests, is checked where answers are read: `Answer::of`.)

use std::collections::BTreeMap;

use fdms_sandbox::{Call, DayStatus, DeviceChange, Model, OperatingMode, schema};
use rcgen::KeyPair;
use serde_json::{Value, json};

use crate::offline::list_query;
use crate::till::{Answer, Bench, DEVICE, Till, request_for};
use crate::users::{described, last_mail, token_of};

/// The schema's calls are the sandbox's, each at the same path and by the same method.
#[tokio::test]
async fn paths_are_the_same() {
    let bench = Bench::start().await;
    let mut own: Vec<Call> = Call::all().collect();
    own.sort_unstable();
    let known = schema::calls();
    assert_eq!(
        known.iter().map(|(call, ..)| *call).collect::<Vec<_>>(),
        own
    );
    for (call, method, path) in known {
        assert_eq!((call.method(), call.path().as_str()), (method, path));
        let path = path.replace("{deviceID}", "42");
        assert_eq!(Call::at(&path), Some(call));
        let url = format!("{}{path}", bench.sandbox.url());
        let (right, wrong) = match method {
            "GET" => (reqwest::Method::GET, reqwest::Method::POST),
            _ => (reqwest::Method::POST, reqwest::Method::GET),
        };
        let send = async |method| {
            let sent = bench.stranger().request(method, &url).json(&json!({}));
            Answer::of(sent.send().await.unwrap()).await.status
        };
        let answered = match call {
            Call::GetServerCertificate => 200,
            Call::VerifyTaxpayerInformation | Call::RegisterDevice => 400,
            _ => 401,
        };
        assert_eq!(send(right).await, answered, "{call}");
        assert_eq!(send(wrong).await, 405, "{call}");
        let mistyped = format!("{url}x");
        assert_eq!(reqwest_status(&bench, &mistyped).await, 404, "{call}");
    }
}

async fn reqwest_status(bench: &Bench, url: &str) -> u16 {
    bench
        .stranger()
        .get(url)
        .send()
        .await
        .unwrap()
        .status()
        .as_u16()
}

/// What was answered: how often 200, by call.
#[derive(Default)]
struct Seen(BTreeMap<Call, u32>);

impl Seen {
    /// The answer, which must be a success.
    fn good(&mut self, call: Call, answer: Answer) -> Answer {
        assert_eq!(answer.status, 200, "{call}: {}", answer.body);
        *self.0.entry(call).or_default() += 1;
        answer
    }
}

async fn before_registration(bench: &Bench, seen: &mut Seen) {
    let url = bench.sandbox.url();
    let send = async |request: reqwest::RequestBuilder| {
        let request = request.header("DeviceModelName", "Server");
        let request = request.header("DeviceModelVersion", "v1");
        Answer::of(request.send().await.unwrap()).await
    };
    let stranger = bench.stranger();
    let server = send(stranger.get(format!("{url}/Public/v1/GetServerCertificate"))).await;
    seen.good(Call::GetServerCertificate, server);
    let path = format!("{url}/Public/v1/{DEVICE}/VerifyTaxpayerInformation");
    let asked = json!({"activationKey": "00000042", "deviceSerialNo": "till-42"});
    let verified = send(stranger.post(path).json(&asked)).await;
    seen.good(Call::VerifyTaxpayerInformation, verified);
    let key = KeyPair::generate().unwrap();
    let csr = request_for(&key, "ZIMRA-till-42-0000000042");
    let message = json!({"activationKey": "00000042", "certificateRequest": csr});
    let path = format!("{url}/Public/v1/{DEVICE}/RegisterDevice");
    let registered = send(stranger.post(path).json(&message)).await;
    seen.good(Call::RegisterDevice, registered);
    let again = DeviceChange {
        activation_key: Some("00000043".to_owned()),
        ..DeviceChange::default()
    };
    bench.sandbox.change_device(DEVICE, again).unwrap();
}

/// Days in every state that GetStatus can tell.
async fn days(bench: &Bench, till: &mut Till, seen: &mut Seen) {
    let status = async |till: &Till, seen: &mut Seen, wanted: &str| {
        let answer = seen.good(Call::GetStatus, till.get("GetStatus").await);
        assert_eq!(answer.body["fiscalDayStatus"], wanted);
        answer.body
    };
    status(till, seen, "FiscalDayClosed").await;
    let opened = json!({"fiscalDayOpened": till.now().to_string(), "fiscalDayNo": 1});
    seen.good(Call::OpenDay, till.post("OpenDay", &opened).await);
    till.begin_day(1);
    let mut full = till.invoice();
    full["buyerData"] = json!({
        "buyerRegisterName": "Buyer", "buyerTradeName": "B", "vatNumber": "220000001",
        "buyerTIN": "2000000001", "buyerContacts": {"phoneNo": "077", "email": "b@b.co"},
        "buyerAddress": {"province": "p", "city": "c", "street": "s", "houseNo": "1", "district": "d"},
    });
    full["receiptPrintForm"] = "InvoiceA4".into();
    let sold = till.sell(full).await;
    let id = sold.body["receiptID"].as_i64().unwrap();
    seen.good(Call::SubmitReceipt, sold);
    let note = till.credit_note(id);
    seen.good(Call::SubmitReceipt, till.sell(note).await);
    status(till, seen, "FiscalDayOpened").await;
    seen.good(
        Call::CloseDay,
        till.post("CloseDay", &till.close_message()).await,
    );
    status(till, seen, "FiscalDayClosed").await;

    till.open_day().await;
    let mut red = till.invoice();
    red["receiptTotal"] = 11.into();
    seen.good(Call::SubmitReceipt, till.sell(red).await);
    seen.good(
        Call::CloseDay,
        till.post("CloseDay", &till.close_message()).await,
    );
    status(till, seen, "FiscalDayCloseFailed").await;
    assert!(bench.sandbox.close_by_hand(DEVICE));
    let manual = status(till, seen, "FiscalDayClosed").await;
    assert!(!manual["fiscalDayCounter"].as_array().unwrap().is_empty());
    assert!(
        !manual["fiscalDayDocumentQuantities"]
            .as_array()
            .unwrap()
            .is_empty()
    );
}

async fn users(bench: &Bench, till: &Till, seen: &mut Seen) {
    let asked = json!({"userName": "tendai"});
    let made = till
        .user_call("CreateUser", None, &described("tendai"))
        .await;
    seen.good(Call::CreateUser, made);
    let sent = till
        .user_call("SendSecurityCodeToTaxpayer", None, &asked)
        .await;
    seen.good(Call::SendSecurityCodeToTaxpayer, sent);
    let code = last_mail(bench).security_code;
    let message = json!({"userName": "tendai", "securityCode": code, "password": "Bread2026"});
    let confirmed = till.user_call("ConfirmUser", None, &message).await;
    seen.good(Call::ConfirmUser, confirmed);
    let message = json!({"userName": "tendai", "password": "Bread2026"});
    let session = seen.good(Call::Login, till.user_call("Login", None, &message).await);
    let token = token_of(&session);
    for (call, channel, message) in [
        (
            Call::SendSecurityCodeToUserEmail,
            "Email",
            json!({"userEmail": "t@t.co"}),
        ),
        (
            Call::SendSecurityCodeToUserPhone,
            "PhoneNo",
            json!({"phoneNo": "0770000001"}),
        ),
    ] {
        let sent = till
            .user_call(&call.to_string(), Some(&token), &message)
            .await;
        seen.good(call, sent);
        let message = json!({"channel": channel, "securityCode": last_mail(bench).security_code});
        let confirmed = till
            .user_call("ConfirmContact", Some(&token), &message)
            .await;
        seen.good(Call::ConfirmContact, confirmed);
    }
    let message = json!({"userName": "tendai", "channel": "Email"});
    let sent = till.user_call("ResetPassword", None, &message).await;
    seen.good(Call::ResetPassword, sent);
    let code = last_mail(bench).security_code;
    let message = json!({"userName": "tendai", "securityCode": code, "newPassword": "Maize2026"});
    let reset = till.user_call("ConfirmPasswordReset", None, &message).await;
    let token = token_of(&seen.good(Call::ConfirmPasswordReset, reset));
    let message = json!({"oldPassword": "Maize2026", "newPassword": "Wheat2026"});
    let changed = till
        .user_call("ChangePassword", Some(&token), &message)
        .await;
    let token = token_of(&seen.good(Call::ChangePassword, changed));
    let mut message = described("tendai");
    message["userStatus"] = "Active".into();
    let updated = till.user_call("Update", Some(&token), &message).await;
    seen.good(Call::UpdateUser, updated);
    let list = till
        .users_list("Offset=0&Limit=10&Sort=Email&Order=desc")
        .await;
    seen.good(Call::GetUsersList, list);
}

async fn files(bench: &Bench, till: &mut Till, seen: &mut Seen) {
    till.begin_day(3);
    let mut red = till.invoice();
    red["receiptTotal"] = 11.into();
    till.sign(&mut red);
    till.goes_on_from(red.clone());
    seen.good(
        Call::SubmitFile,
        till.send_file(&till.file(1, vec![red])).await,
    );
    seen.good(Call::SubmitFile, till.send_file(&till.footer_file(2)).await);
    seen.good(
        Call::SubmitFile,
        till.send_file(&till.file(4, vec![])).await,
    );
    let list = seen.good(Call::SubmittedFileList, till.get(&list_query(till)).await);
    assert_eq!(list.body["total"], 3);
    assert_eq!(
        bench.sandbox.days(DEVICE)[2].status,
        DayStatus::FiscalDayCloseFailed
    );
}

/// Each call has a good answer, in all its forms, to a request that keeps to the schema.
#[tokio::test]
async fn every_call_is_answered_well() {
    let bench = Bench::start().await;
    let mut seen = Seen::default();
    before_registration(&bench, &mut seen).await;
    let mut till = bench.till().await;
    seen.good(Call::GetConfig, till.get("GetConfig").await);
    seen.good(Call::Ping, till.post("Ping", &json!({})).await);
    let csr = request_for(&till.key, "ZIMRA-till-42-0000000042");
    let message = json!({"certificateRequest": csr});
    seen.good(
        Call::IssueCertificate,
        till.post("IssueCertificate", &message).await,
    );
    days(&bench, &mut till, &mut seen).await;
    users(&bench, &till, &mut seen).await;
    let goods: Vec<fdms_sandbox::Good> = serde_json::from_value(json!([
        {"hsCode": "04012010", "goodName": "Milk", "quantity": 1.5}
    ]))
    .unwrap();
    bench.sandbox.set_stock(DEVICE, &goods).unwrap();
    let page = "Offset=0&Limit=10&Order=asc&Operator=And";
    let found = till.search("ProductsStock/Search", page).await;
    assert_eq!(seen.good(Call::SearchStock, found).body["total"], 1);
    let found = till.search("DeviceInformation/SearchBranches", page).await;
    assert_eq!(seen.good(Call::SearchBranches, found).body["total"], 1);
    change(&bench, |change| {
        change.operating_mode = Some(OperatingMode::Offline)
    });
    files(&bench, &mut till, &mut seen).await;
    let all: Vec<Call> = schema::calls().into_iter().map(|(call, ..)| call).collect();
    assert_eq!(seen.0.into_keys().collect::<Vec<_>>(), all);
    assert_eq!(bench.sandbox.schema_violations(), [""; 0]);
}

fn change(bench: &Bench, set: impl FnOnce(&mut DeviceChange)) {
    let mut change = DeviceChange::default();
    set(&mut change);
    bench.sandbox.change_device(DEVICE, change).unwrap();
}

/// An empty message to every call: what it is refused with, if it is.
async fn refusals(till: &Till) -> BTreeMap<Call, String> {
    let mut refusals = BTreeMap::new();
    for (call, method, path) in schema::calls() {
        let url = format!("{}{}", till.url, path.replace("{deviceID}", "42"));
        let request = match method {
            "GET" => till.client.get(url),
            _ => till.client.post(url).json(&json!({})),
        };
        let answer = Answer::of(till.with_headers(request).send().await.unwrap()).await;
        if answer.status != 200 {
            refusals.insert(call, answer.refusal());
        }
    }
    refusals
}

/// Every call that can be refused is, for each of the reasons that all have; what was sent against the
/// schema is remembered.
#[tokio::test]
async fn every_call_is_refused_well() {
    let bench = Bench::start().await;
    let mut till = bench.till().await;
    let public = 3;
    let all = schema::calls().len();
    let count = |refusals: &BTreeMap<Call, String>, wanted: &str| {
        refusals
            .values()
            .filter(|refusal| *refusal == wanted)
            .count()
    };
    let empty = refusals(&till).await;
    // Not those that take nothing, nor SubmitFile, which is for others.
    let none = [
        Call::GetServerCertificate,
        Call::GetConfig,
        Call::GetStatus,
        Call::Ping,
    ];
    assert_eq!(count(&empty, "400"), all - none.len() - 2, "{empty:?}");
    assert_eq!(empty[&Call::SubmitFile], "422 FILE03");
    assert_eq!(empty[&Call::SubmittedFileList], "422 FILE03");
    till.headers[1].1 = "v2";
    assert_eq!(count(&refusals(&till).await, "422 DEV06"), all - public);
    till.headers[1].1 = "v1";
    let server = Model {
        name: "Server".to_owned(),
        version: "v1".to_owned(),
    };
    let mut settings = bench.sandbox.settings();
    settings.blacklisted_models = vec![server];
    bench.sandbox.set_settings(settings);
    assert_eq!(count(&refusals(&till).await, "422 DEV04"), all - public);
    change(&bench, |change| change.tax_payer_active = Some(false));
    assert_eq!(count(&refusals(&till).await, "422 DEV05"), all - public);
    change(&bench, |change| change.active = Some(false));
    assert_eq!(count(&refusals(&till).await, "422 DEV01"), all - public);
    bench.sandbox.delete_device(DEVICE).unwrap();
    let deleted = refusals(&till).await;
    assert_eq!(count(&deleted, "422 DEV01"), all - public - 2);
    assert_eq!(count(&deleted, "404"), 2);

    let violations = bench.sandbox.schema_violations();
    for wanted in [
        "OpenDay of device 42: body.fiscalDayOpened: missing",
        "SearchStock of device 42: query Limit: missing",
        "UpdateUser of device 42: header Token: missing",
    ] {
        assert!(
            violations.iter().any(|told| told == wanted),
            "{violations:?}"
        );
    }
    let admin = bench.sandbox.admin_url().unwrap();
    let told = reqwest::get(format!("{admin}/schema-violations"))
        .await
        .unwrap();
    let told: Vec<Value> = serde_json::from_str(&told.text().await.unwrap()).unwrap();
    assert_eq!(told, violations);
}
