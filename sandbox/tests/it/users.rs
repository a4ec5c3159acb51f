//! Users of a till: made, confirmed by the taxpayer, logged in, blocked.

use fdms_sandbox::{Channel, CodePurpose, DeviceChange, DeviceSpec, OperatingMode, StoredMail};
use rcgen::KeyPair;
use serde_json::{Value, json};

use crate::till::{Answer, Bench, DEVICE, Till};

impl Till {
    /// A call about users, with a token if there is one.
    pub(crate) async fn user_call(&self, call: &str, token: Option<&str>, body: &Value) -> Answer {
        let path = format!("{}/User/v1/{}/{call}", self.url, self.id);
        let mut request = self.with_headers(self.client.post(path).json(body));
        if let Some(token) = token {
            request = request.header("Token", token);
        }
        Answer::of(request.send().await.unwrap()).await
    }

    pub(crate) async fn users_list(&self, query: &str) -> Answer {
        let path = format!("{}/User/v1/{}/GetUsersList?{query}", self.url, self.id);
        let request = self.with_headers(self.client.get(path));
        Answer::of(request.send().await.unwrap()).await
    }

    /// A user with the password `Bread2026`, and his token.
    pub(crate) async fn confirmed_user(&self, bench: &Bench, name: &str) -> String {
        let made = self.user_call("CreateUser", None, &described(name)).await;
        assert_eq!(made.status, 200, "{}", made.body);
        let asked = json!({"userName": name});
        let sent = self.user_call("SendSecurityCodeToTaxpayer", None, &asked);
        assert_eq!(sent.await.status, 200);
        let message = json!({
            "userName": name,
            "securityCode": last_mail(bench).security_code,
            "password": "Bread2026",
        });
        let confirmed = self.user_call("ConfirmUser", None, &message).await;
        assert_eq!(confirmed.status, 200, "{}", confirmed.body);
        token_of(&confirmed)
    }
}

pub(crate) fn described(name: &str) -> Value {
    json!({"userName": name, "personName": "Tendai", "personSurname": "M", "userRole": "Cashier"})
}

pub(crate) fn last_mail(bench: &Bench) -> StoredMail {
    bench.sandbox.mails(DEVICE).pop().unwrap()
}

pub(crate) fn token_of(answer: &Answer) -> String {
    answer.body["token"].as_str().unwrap().to_owned()
}

/// From being made to being confirmed: an unconfirmed user may be described anew, his password is his
/// name, the taxpayer's code makes him active.
#[tokio::test]
async fn a_user_is_made_and_confirmed() {
    let bench = Bench::start().await;
    let till = bench.till().await;
    let call = async |call: &str, body: Value| till.user_call(call, None, &body).await.refusal();
    let login = async |password: &str| {
        call("Login", json!({"userName": "tendai", "password": password})).await
    };
    assert_eq!(login("tendai").await, "422 DEV11");
    assert_eq!(call("CreateUser", described("tendai")).await, "200");
    let mut other = described("tendai");
    other["userRole"] = "Manager".into();
    assert_eq!(call("CreateUser", other).await, "200");
    assert_eq!(login("wrong").await, "422 DEV11");
    assert_eq!(login("tendai").await, "422 DEV13");

    let asked = json!({"userName": "tendai"});
    let nobody = json!({"userName": "nobody"});
    assert_eq!(
        call("SendSecurityCodeToTaxpayer", nobody).await,
        "422 DEV08"
    );
    assert_eq!(
        call("SendSecurityCodeToTaxpayer", asked.clone()).await,
        "200"
    );
    let first = last_mail(&bench);
    assert_eq!(
        (first.purpose, first.channel),
        (CodePurpose::ConfirmUser, Channel::Email)
    );
    assert_eq!(
        (first.recipient.as_str(), first.sent),
        ("accounts@example.co.zw", bench.now())
    );
    assert_eq!(
        call("SendSecurityCodeToTaxpayer", asked.clone()).await,
        "200"
    );
    let code = last_mail(&bench).security_code;
    let confirm = async |code: &str, password: &str| {
        let body = json!({"userName": "tendai", "securityCode": code, "password": password});
        till.user_call("ConfirmUser", None, &body).await
    };
    // Only the last code counts.
    assert_eq!(
        confirm(&first.security_code, "Bread2026").await.refusal(),
        "422 DEV09"
    );
    for simple in ["Bread26", "breadbread", "20262026", "tendai"] {
        assert_eq!(
            confirm(&code, simple).await.refusal(),
            "422 DEV10",
            "{simple}"
        );
    }
    let confirmed = confirm(&code, "Bread2026").await;
    assert_eq!(confirmed.status, 200);
    assert_eq!(confirmed.body["user"]["userRole"], "Manager");
    assert_eq!(confirmed.body["user"]["email"], "accounts@example.co.zw");
    assert!(confirmed.body["token"].is_string());
    assert_eq!(confirm(&code, "Bread2026").await.refusal(), "422 DEV08");
    assert_eq!(call("SendSecurityCodeToTaxpayer", asked).await, "422 DEV08");
    assert_eq!(call("CreateUser", described("tendai")).await, "422 DEV07");
    assert_eq!(login("tendai").await, "422 DEV11");
    assert_eq!(login("Bread2026").await, "200");

    let admin = bench.sandbox.admin_url().unwrap();
    let shown = reqwest::get(format!("{admin}/devices/{DEVICE}/mails")).await;
    let shown = Answer::of(shown.unwrap()).await.body;
    assert_eq!(shown[1]["securityCode"], code);
}

/// Contacts are confirmed by a code that goes to them; passwords are reset through them.
#[tokio::test]
async fn contacts_and_passwords() {
    let bench = Bench::start().await;
    let till = bench.till().await;
    let token = till.confirmed_user(&bench, "tendai").await;
    let call = async |call: &str, body: Value| till.user_call(call, Some(&token), &body).await;
    let reset = json!({"userName": "tendai", "channel": "PhoneNo"});
    assert_eq!(
        call("ResetPassword", reset.clone()).await.refusal(),
        "422 DEV14"
    );
    for (path, field, wrong, good) in [
        (
            "SendSecurityCodeToUserEmail",
            "userEmail",
            "tendai",
            "t@example.co.zw",
        ),
        (
            "SendSecurityCodeToUserPhone",
            "phoneNo",
            "seven",
            "+263770000001",
        ),
    ] {
        let channel = if field == "phoneNo" {
            "PhoneNo"
        } else {
            "Email"
        };
        let confirm = |code: String| json!({"securityCode": code, "channel": channel});
        let refused = call("ConfirmContact", confirm("000000".to_owned())).await;
        assert_eq!(refused.refusal(), "422 DEV09");
        let (wrong, message) = (json!({field: wrong}), json!({field: good}));
        assert_eq!(call(path, wrong).await.refusal(), "422 DEV14");
        assert_eq!(
            till.user_call(path, None, &message).await.refusal(),
            "422 DEV12"
        );
        assert_eq!(call(path, message.clone()).await.status, 200);
        assert_eq!(last_mail(&bench).recipient, good);
        let code = last_mail(&bench).security_code;
        let confirmed = call("ConfirmContact", confirm(code.clone())).await;
        assert_eq!(confirmed.status, 200);
        let shown = if field == "phoneNo" {
            "phoneNo"
        } else {
            "email"
        };
        assert_eq!(confirmed.body["user"][shown], good);
        assert_eq!(
            call("ConfirmContact", confirm(code)).await.refusal(),
            "422 DEV15"
        );
        assert_eq!(call(path, message).await.refusal(), "422 DEV15");
    }

    assert_eq!(call("ResetPassword", reset).await.status, 200);
    let mail = last_mail(&bench);
    assert_eq!(
        (mail.purpose, mail.channel),
        (CodePurpose::ResetPassword, Channel::PhoneNo)
    );
    let confirm = |code: &str, password: &str| json!({"userName": "tendai", "securityCode": code, "newPassword": password});
    let code = mail.security_code.as_str();
    for (message, wanted) in [
        (confirm("x", "Maize2026"), "422 DEV09"),
        (confirm(code, "Bread2026"), "422 DEV10"),
        (confirm(code, "Maize2026"), "200"),
        (confirm(code, "Wheat2026"), "422 DEV09"),
    ] {
        let answer = call("ConfirmPasswordReset", message).await;
        assert_eq!(answer.refusal(), wanted);
    }
}

/// A password is changed with the old one; the token from before is dead.
#[tokio::test]
async fn passwords_are_changed() {
    let bench = Bench::start().await;
    let till = bench.till().await;
    let token = till.confirmed_user(&bench, "tendai").await;
    let change = async |token: &str, old: &str, new: &str| {
        let body = json!({"oldPassword": old, "newPassword": new});
        till.user_call("ChangePassword", Some(token), &body).await
    };
    assert_eq!(
        change("x", "Bread2026", "Maize2026").await.refusal(),
        "422 DEV12"
    );
    assert_eq!(
        change(&token, "Wheat2026", "Maize2026").await.refusal(),
        "422 DEV10"
    );
    assert_eq!(
        change(&token, "Bread2026", "Bread2026").await.refusal(),
        "422 DEV10"
    );
    let changed = change(&token, "Bread2026", "Maize2026").await;
    assert_eq!(changed.status, 200);
    assert_eq!(
        change(&token, "Maize2026", "Wheat2026").await.refusal(),
        "422 DEV12"
    );
    let token = token_of(&changed);
    assert_eq!(change(&token, "Maize2026", "Wheat2026").await.status, 200);
}

/// Update describes confirmed users only; a blocked one is out at once, until he is active again.
#[tokio::test]
async fn users_are_updated_and_blocked() {
    let bench = Bench::start().await;
    let till = bench.till().await;
    let manager = till.confirmed_user(&bench, "rudo").await;
    let cashier = till.confirmed_user(&bench, "tendai").await;
    let new = till.user_call("CreateUser", None, &described("new")).await;
    assert_eq!(new.status, 200);
    let update = async |token: &str, name: &str, status: &str| {
        let mut body = described(name);
        body["userStatus"] = status.into();
        body["personName"] = "Tino".into();
        till.user_call("Update", Some(token), &body).await.refusal()
    };
    assert_eq!(update("x", "tendai", "Blocked").await, "422 DEV12");
    assert_eq!(update(&manager, "nobody", "Blocked").await, "422 DEV08");
    assert_eq!(update(&manager, "new", "Active").await, "422 DEV08");
    assert_eq!(update(&manager, "tendai", "NotConfirmed").await, "400");
    assert_eq!(update(&manager, "tendai", "Blocked").await, "200");
    assert_eq!(update(&cashier, "rudo", "Blocked").await, "422 DEV12");
    let login = json!({"userName": "tendai", "password": "Bread2026"});
    assert_eq!(
        till.user_call("Login", None, &login).await.refusal(),
        "422 DEV08"
    );
    assert_eq!(update(&manager, "tendai", "Active").await, "200");
    let again = till.user_call("Login", None, &login).await;
    assert_eq!(again.body["user"]["personName"], "Tino");
}

/// The list shows the taxpayer's users on each of its devices, another taxpayer's on none.
#[tokio::test]
async fn users_belong_to_the_taxpayer() {
    let bench = Bench::start().await;
    let till = bench.till().await;
    bench.sandbox.add_device(DeviceSpec::new(43)).unwrap();
    bench
        .sandbox
        .add_device(DeviceSpec {
            tax_payer_tin: "2000000001".to_owned(),
            ..DeviceSpec::new(44)
        })
        .unwrap();
    let sister = Till::register(&bench, 43, KeyPair::generate().unwrap()).await;
    let stranger = Till::register(&bench, 44, KeyPair::generate().unwrap()).await;
    till.confirmed_user(&bench, "tendai").await;
    till.user_call("CreateUser", None, &described("amai")).await;
    // A device that sends files has users too.
    let offline = DeviceChange {
        operating_mode: Some(OperatingMode::Offline),
        ..DeviceChange::default()
    };
    bench.sandbox.change_device(43, offline).unwrap();
    let list = sister.users_list("Offset=0&Limit=10").await;
    let names = |list: &Answer| -> Vec<String> {
        let rows = list.body["rows"].as_array().unwrap();
        rows.iter()
            .map(|row| row["userName"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        (list.body["total"].as_i64(), names(&list)),
        (Some(2), vec!["amai".to_owned(), "tendai".to_owned()])
    );
    assert_eq!(list.body["rows"][0]["userStatus"], "NotConfirmed");
    assert!(list.body["rows"][0]["email"].is_null());
    let list = sister
        .users_list("Offset=0&Limit=1&Sort=UserStatus&Order=asc")
        .await;
    assert_eq!(names(&list), ["tendai"]);
    assert_eq!(sister.users_list("Limit=1").await.refusal(), "400");
    let list = stranger.users_list("Offset=0&Limit=10").await;
    assert_eq!(list.body["total"], 0);
    let login = json!({"userName": "tendai", "password": "Bread2026"});
    assert_eq!(
        stranger.user_call("Login", None, &login).await.refusal(),
        "422 DEV11"
    );
    let call = stranger
        .user_call("CreateUser", None, &json!({"userName": ""}))
        .await;
    let fields: Vec<&String> = call.body["errors"].as_object().unwrap().keys().collect();
    assert_eq!(
        fields,
        ["personName", "personSurname", "userName", "userRole"]
    );
}
