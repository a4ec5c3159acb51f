//! Pages as they are answered: who may see them, and what they say. The browser is in `pages`.

use fiscal_hq::access::Role;
use reqwest::Method;
use sync_wire::Environment;

use crate::people::{Answer, Asker, send};
use crate::played::{Admin, Store, certificate, till};
use crate::seed::{self, believable};
use crate::support::Test;

/// An admin of a believable company.
async fn admin(test: &Test) -> (seed::Shop, Asker) {
    let shop = believable(test, "Baobab Stores").await;
    let asker = Asker::with_password(test, &shop.email, seed::PASSWORD).await;
    (shop, asker)
}

/// Posts a form; the page that it leads to.
async fn post(asker: &Asker, path: &str, fields: &[(&str, &str)]) -> Answer {
    let mut body = form_urlencoded::Serializer::new(String::new());
    body.extend_pairs(fields);
    let asked = asker
        .request(Method::POST, path)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body.finish());
    send(asked).await
}

/// What a form's answer says on the next page.
fn said(answer: &Answer) -> String {
    let mut cookies = answer.headers.get_all("set-cookie").iter();
    let kept = cookies.find_map(|cookie| cookie.to_str().unwrap().strip_prefix("hq_message="));
    let kept = kept.unwrap_or_default().split(';').next().unwrap();
    let mut parsed = form_urlencoded::parse(kept.as_bytes());
    parsed
        .next()
        .map_or(String::new(), |(text, _)| text.into_owned())
}

/// A page refuses whom its JSON twin refuses, and shows what the twin shows.
#[tokio::test]
async fn pages_ask_for_the_role_of_their_twins() {
    let test = Test::start().await;
    let (shop, admin) = admin(&test).await;
    let viewer = Asker::person(&test, shop.tenant, Role::Viewer, "viewer@shop.example").await;
    let store = format!("/stores/{}", shop.stores[0]);
    let pages = [
        ("/", "/fdms_health"),
        ("/receipts", "/fiscal_submissions/receipts"),
        ("/vat", "/fiscal_submissions/vat_return?month=2026-05"),
        ("/queue", "/fiscal_submissions/jobs"),
        ("/submissions", "/fiscal_submissions"),
        ("/stores", "/fiscal_devices/stores"),
        (&store, "/fiscal_devices/stores"),
        ("/tills/prod/24001", "/fiscal_devices/prod/24001"),
        ("/credentials", "/fiscal_credentials"),
        ("/go-live", "/fiscal_profile/checklist"),
        ("/alarms", "/alerts"),
        ("/profile", "/fiscal_profile"),
        ("/people", "/users"),
        ("/people", "/tokens"),
        ("/audit", "/users"),
    ];
    for (page, twin) in pages {
        for asker in [&viewer, &admin] {
            let (shown, read) = (asker.get(page).await, asker.get(twin).await);
            assert_eq!(shown.status, read.status, "{page} {twin}: {}", read.text);
        }
    }
    let refused = viewer.get("/people").await;
    assert_eq!(refused.status, 403);
    assert!(refused.text.contains("this takes the role admin"));
    assert!(!refused.text.contains(&shop.email), "{}", refused.text);
    let overview = viewer.get("/").await;
    assert!(!overview.text.contains("href=\"/people\""));
    assert!(admin.get("/").await.text.contains("href=\"/people\""));
}

/// A store with nothing but an alert shows it, a fault as one.
#[tokio::test]
async fn the_overview_shows_every_alert() {
    let test = Test::start().await;
    let (shop, admin) = admin(&test).await;
    let sql = test.database.connect("postgres").await;
    sql.execute("DELETE FROM fdms_retry_jobs", &[])
        .await
        .unwrap();
    sql.execute(
        "UPDATE alerts SET store_id = $1, severity = 'fault'",
        &[&shop.stores[0]],
    )
    .await
    .unwrap();
    let text = admin.get("/").await.text;
    let row = text
        .split("<tr>")
        .find(|row| row.contains(&shop.stores[0].to_string()));
    assert!(row.unwrap().contains("3 alerts"), "{row:?}");
}

/// What cannot be read of a search is said at its field; nothing is listed, and nothing is offered as CSV.
#[tokio::test]
async fn a_search_that_cannot_be_read_finds_nothing() {
    let test = Test::start().await;
    let (_, admin) = admin(&test).await;
    for (asked, says) in [
        ("amount=25,70", "must be an amount like 25.70"),
        ("number=12x", "must be a whole number above 0"),
        ("till=front", "must be a whole number above 0"),
        ("from=27.11.2026", "must be a date like 2026-11-27"),
        ("from=2026-05-28&to=2026-05-01", "must be no earlier than"),
    ] {
        let page = admin.get(&format!("/receipts?{asked}")).await;
        assert_eq!(page.status, 200);
        assert!(page.text.contains(says), "{asked}: {}", page.text);
        assert!(page.text.contains("Nothing was searched"), "{asked}");
        assert!(!page.text.contains("data-name=\"Receipt\""), "{asked}");
        assert!(!page.text.contains("receipts.csv"), "{asked}");
        let csv = admin
            .get(&format!(
                "/fiscal_submissions/receipts.csv?{}",
                asked.replace("till", "device_id").replace("to=", "until=")
            ))
            .await;
        let is_empty = asked.contains("to=") && csv.text.lines().count() == 1;
        assert!(csv.status == 422 || is_empty, "{asked}: {}", csv.text);
    }
    let page = admin.get("/receipts?from=2026-05-01&to=2026-05-28").await;
    assert!(
        page.text
            .contains("from 1 May 2026 to 28 May 2026, the newest first"),
        "{}",
        page.text
    );
    assert!(page.text.contains("data-name=\"Receipt\"") && page.text.contains("receipts.csv"));
}

/// The return begins in the profile's environment. Days without a Z report are not compared, so nothing agrees yet;
/// once they have one it does, with a total for the currency.
#[tokio::test]
async fn the_vat_page_compares_what_is_there() {
    let test = Test::start().await;
    let machine = Admin::of_new(&test, "Baobab").await;
    let reader = Asker::person(&test, machine.tenant, Role::Viewer, "viewer@shop.example").await;
    let (store, code) = machine.new_store("Harare").await;
    machine.new_device("test", 42, &store).await;
    let mut shop = Store::join(&test, &code).await;
    let which = till(Environment::Test, 42);
    shop.add(which, certificate("ab"));
    shop.open_day(which);
    shop.sell(which, 1_150_000);
    shop.sync().await;
    let early = reader.get("/vat?month=2026-05").await;
    assert_eq!(early.status, 200, "{}", early.text);
    assert!(early.text.contains("<option value=\"test\" selected>"));
    assert!(
        early.text.contains("nothing to compare yet"),
        "{}",
        early.text
    );
    assert!(!early.text.contains("agrees"));
    let path = "/fiscal_submissions/vat_return?month=2026-05&environment=test";
    assert_eq!(machine.get(path).await["days"], 0);
    assert_eq!(machine.get(path).await["reconciled"], false);
    shop.close_day(which);
    shop.sync().await;
    let text = reader.get("/vat?month=2026-05").await.text;
    assert!(
        text.contains("agrees") && text.contains("Tax on sales"),
        "{text}"
    );
    assert!(
        text.contains("Total USD") && text.contains("11,500.00"),
        "{text}"
    );
    assert!(
        text.contains("10,000.00") && text.contains("1,500.00"),
        "{text}"
    );
    assert_eq!(machine.get(path).await["days"], 1);
}

/// Nonsense in a number is refused by the name of its field, with what was typed still there; an empty one is the
/// default. A company that sells keeps its name.
#[tokio::test]
async fn the_profile_refuses_nonsense() {
    let test = Test::start().await;
    let (shop, admin) = admin(&test).await;
    let sql = test.database.connect("postgres").await;
    let kept = async || {
        let ask =
            "SELECT unsent_hours, legal_name FROM tenant_fiscal_profiles WHERE tenant_id = $1";
        let row = sql.query_one(ask, &[&shop.tenant.0]).await.unwrap();
        (row.get::<_, i32>(0), row.get::<_, String>(1))
    };
    let set = "UPDATE tenant_fiscal_profiles SET unsent_hours = 7, environment = 'prod', enabled_prod = true WHERE tenant_id = $1";
    sql.execute(set, &[&shop.tenant.0]).await.unwrap();
    let before = kept().await;
    let version = admin.get("/fiscal_profile").await.json()["version"].to_string();
    let save = async |name: &str, hours: &str, address: &str| {
        let fields = [
            ("legal_name", name),
            ("trade_name", "Baobab"),
            ("tin", "2000123456"),
            ("vat_number", "220123456"),
            ("address", address),
            ("unsent_hours", hours),
            ("version", &version),
        ];
        post(&admin, "/profile", &fields).await
    };
    for (name, hours, says) in [
        (
            "Baobab",
            "2 days",
            "Alert when unsent for, hours: this must be a whole number above 0",
        ),
        ("Baobab", "900", "Unsent hours: this must be from 1 to 720"),
        (" ", "7", "Legal name: this must have 1 to 250 characters"),
    ] {
        let refused = save(name, hours, "12 New Road").await;
        assert_eq!(refused.status, 200, "{}", refused.text);
        assert!(refused.text.contains(says), "{says}: {}", refused.text);
        assert!(refused.text.contains("12 New Road") && refused.text.contains(hours));
        assert_eq!(kept().await, before);
    }
    let saved = save("Baobab", "", "12 New Road").await;
    assert_eq!(
        (saved.status, said(&saved).as_str()),
        (303, "The profile is saved.")
    );
    assert_eq!(kept().await, (24, "Baobab".to_owned()));
}

/// Whoever asks with a browser gets a page that says what is wrong; a machine gets the problem document.
#[tokio::test]
async fn browsers_get_pages() {
    let test = Test::start().await;
    let (_, admin) = admin(&test).await;
    let browser = "text/html,application/xhtml+xml,*/*;q=0.8";
    for (path, status) in [
        ("/nowhere", 404),
        ("/tills/prod/front", 404),
        ("/stores/mine", 404),
        ("/receipts/prod/24001/x", 404),
        ("/tills/prod/24001?tenant=x", 422),
    ] {
        let asked = admin.request(Method::GET, path).header("accept", browser);
        let page = send(asked).await;
        assert_eq!(page.status, status, "{path}");
        let kind = page.headers["content-type"].to_str().unwrap();
        assert!(kind.starts_with("text/html"), "{path}: {kind}");
        assert!(
            page.text.contains("To the overview"),
            "{path}: {}",
            page.text
        );
        assert!(page.headers.contains_key("content-security-policy"));
    }
    admin.get("/nowhere").await.problem(404, "not_found");
}

/// A day is closed only after a question.
#[tokio::test]
async fn closing_a_day_asks_first() {
    let test = Test::start().await;
    let (_, admin) = admin(&test).await;
    let text = admin.get("/tills/prod/24001").await.text;
    let before = text.split("value=\"close_day\"").next().unwrap();
    let opened = before.rfind("<summary>Close day</summary>").unwrap();
    assert!(!before[opened..].contains("</details>"));
}

/// A store that has not joined yet is no warning.
#[tokio::test]
async fn health_waits_for_stores_to_join() {
    let test = Test::start().await;
    let machine = Admin::of_new(&test, "Baobab").await;
    machine.new_store("Harare").await;
    let health = machine.get("/fdms_health").await;
    assert_eq!(
        (&health["overall"], &health["stores"][0]["joined"]),
        (&"ok".into(), &false.into())
    );
}

/// The other searches are as strict.
#[tokio::test]
async fn other_searches_say_what_is_wrong() {
    let test = Test::start().await;
    let (_, admin) = admin(&test).await;
    for path in [
        "/submissions?till=front",
        "/submissions?to=tomorrow",
        "/audit?from=27.11.2026",
        "/audit?below=x",
    ] {
        let page = admin.get(path).await;
        assert!(page.text.contains("Nothing was searched"), "{path}");
        assert!(!page.text.contains("data-name"), "{path}");
    }
    assert!(admin.get("/audit").await.text.contains("data-name"));
}
