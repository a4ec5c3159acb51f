//! Head office to look at: two companies, five stores that sell, all set up as an operator would do it.
//!
//! `scripts/hq-demo` makes the Postgres and starts this. The service itself runs as its own program; here companies,
//! people, stores and tills are made through its command line and its API, the stores join (`fiscald demo --hq`), each
//! till sends its controlled test receipt, and the test environment is enabled once the checklist is proved.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Parser;
use clock::{Clock as _, SystemClock};
use reqwest::{Client, Method};
use serde_json::{Value, json};

/// The companies: name, TIN, VAT number, address, stores with their tills.
const COMPANIES: [Company; 2] = [
    Company {
        name: "Mbare Superette",
        tin: "2000123456",
        vat: "220123456",
        address: "12 Chaminuka Street, Harare",
        admin: "rudo@mbare.example",
        stores: &[
            ("Mbare", &[101, 102]),
            ("Avondale", &[103]),
            ("Borrowdale", &[104, 105]),
        ],
    },
    Company {
        name: "Hillside Hardware",
        tin: "2000654321",
        vat: "220654321",
        address: "4 Cecil Avenue, Bulawayo",
        admin: "tendai@hillside.example",
        stores: &[("Hillside", &[201]), ("Belmont", &[202])],
    },
];
/// How long anything may take until it is called a failure.
const PATIENCE: Duration = Duration::from_secs(120);

struct Company {
    name: &'static str,
    tin: &'static str,
    vat: &'static str,
    address: &'static str,
    admin: &'static str,
    stores: &'static [(&'static str, &'static [i32])],
}

/// Settings of the demonstration.
#[derive(Debug, Parser)]
struct Args {
    /// The program `fiscal-hq`.
    #[arg(long)]
    hq: String,
    /// The program `fiscald`.
    #[arg(long)]
    fiscald: String,
    /// The database as its owner.
    #[arg(long)]
    owner_url: String,
    /// The database as the service.
    #[arg(long)]
    service_url: String,
    /// The port of loopback; 0 for one that is free.
    #[arg(long, default_value_t = 8480)]
    port: u16,
    /// End when every store's receipts have arrived and head office agrees, instead of staying up.
    #[arg(long)]
    check: bool,
}

/// A program that ends with us.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut args = Args::parse();
    if args.port == 0 {
        let free = std::net::TcpListener::bind("127.0.0.1:0")?;
        args.port = free.local_addr()?.port();
    }
    let demo = Demo::new(args)?;
    let password = format!("demo-{}", random(9)?);
    demo.hq(&["migrate"], &demo.args.owner_url)?;
    let mut service = demo.start_service()?;
    demo.until("the service is ready", async || {
        let ready = demo.http.get(demo.url("/readyz")).send().await;
        Ok(ready.is_ok_and(|answer| answer.status().is_success()))
    })
    .await?;
    demo.person("operator@hq.example", None, &password).await?;
    let (mut admins, mut codes) = (Vec::new(), Vec::new());
    for company in &COMPANIES {
        let tenant = demo.hq(&["tenant", "create", company.name], &demo.args.service_url)?;
        demo.person(company.admin, Some(tenant.trim()), &password)
            .await?;
        let admin = Admin::sign_in(&demo, company.admin, &password).await?;
        codes.extend(admin.set_up(company).await?);
        admins.push((admin, company));
    }
    let mut stores = demo.start_stores(&codes)?;
    for (admin, company) in &admins {
        admin.go_live(company).await?;
    }
    println!(
        "\nHead office is up: {}\n\n  operator  operator@hq.example",
        demo.url("/")
    );
    for company in &COMPANIES {
        println!("  company   {}   ({})", company.admin, company.name);
    }
    println!("  password  {password}\n\nEnd it with Ctrl-C.");
    if demo.args.check {
        for (admin, _) in &admins {
            admin.agrees().await?;
        }
        println!("\nEvery store sells, and head office has what they sold; 0 errors");
        return Ok(());
    }
    tokio::select! {
        signal = tokio::signal::ctrl_c() => signal?,
        () = ended(&mut service, &mut stores) => bail!("a program has ended by itself; its last words are above"),
    }
    Ok(())
}

/// Waits until one of the programs has ended by itself.
async fn ended(service: &mut Running, stores: &mut Running) {
    while matches!(
        (service.0.try_wait(), stores.0.try_wait()),
        (Ok(None), Ok(None))
    ) {
        SystemClock.sleep(Duration::from_millis(500)).await;
    }
}

struct Demo {
    args: Args,
    http: Client,
    master_key: String,
    worker_secret: String,
}

impl Demo {
    fn new(args: Args) -> anyhow::Result<Self> {
        Ok(Self {
            args,
            http: Client::new(),
            master_key: random(32)?,
            worker_secret: random(32)?,
        })
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.args.port)
    }

    /// `fiscal-hq` with the settings that docs/HQ_OPERATE.md lists.
    fn program(&self, database: &str) -> Command {
        let mut program = Command::new(&self.args.hq);
        program
            .env("DATABASE_URL", database)
            .env("FDMS_ENV", "test")
            .env("FDMS_CRED_MASTER_KEY_B64", &self.master_key)
            .env("FDMS_WORKER_SECRET", &self.worker_secret)
            .env("HQ_LISTEN", format!("127.0.0.1:{}", self.args.port))
            .env("HQ_PUBLIC_URL", self.url(""))
            .env("HQ_WORKER_SECONDS", "15")
            .env("HQ_LOG", "warn");
        program
    }

    /// Runs a command of `fiscal-hq`; what it printed.
    fn hq(&self, words: &[&str], database: &str) -> anyhow::Result<String> {
        let output = self
            .program(database)
            .args(words)
            .stderr(Stdio::inherit())
            .output()?;
        ensure!(
            output.status.success(),
            "fiscal-hq {} has failed",
            words.join(" ")
        );
        Ok(String::from_utf8(output.stdout)?)
    }

    fn start_service(&self) -> anyhow::Result<Running> {
        let mut program = self.program(&self.args.service_url);
        Ok(Running(program.arg("serve").spawn()?))
    }

    /// Invites somebody, and takes the invitation up in his name.
    async fn person(
        &self,
        email: &str,
        tenant: Option<&str>,
        password: &str,
    ) -> anyhow::Result<()> {
        let mut words = vec!["user", "create", email, "--name", email];
        if let Some(tenant) = tenant {
            words.extend(["--tenant", tenant]);
        }
        let printed = self.hq(&words, &self.args.service_url)?;
        let link = printed
            .split_whitespace()
            .find(|word| word.contains("/choose-password#"));
        let code = link
            .and_then(|link| link.split('#').nth(1))
            .context("no link was printed")?;
        let taken = self.http.post(self.url("/session/take_up"));
        let body = json!({ "code": code, "password": password });
        let taken = taken.json(&body).send().await?;
        ensure!(
            taken.status().is_success(),
            "{email}: {}",
            taken.text().await?
        );
        Ok(())
    }

    /// The stores: one program, a code on each line of its input.
    fn start_stores(&self, codes: &[String]) -> anyhow::Result<Running> {
        let mut stores = Command::new(&self.args.fiscald)
            .args(["demo", "--hq", &self.url("")])
            .stdin(Stdio::piped())
            .spawn()?;
        let mut input = stores.stdin.take().context("no input")?;
        input.write_all(codes.join("\n").as_bytes())?;
        Ok(Running(stores))
    }

    async fn until(
        &self,
        what: &str,
        is_there: impl AsyncFn() -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        let start = SystemClock.boot();
        while !is_there().await? {
            ensure!(
                SystemClock.boot().saturating_sub(start) < PATIENCE,
                "waited in vain until {what}"
            );
            SystemClock.sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }
}

/// An admin of a company, over the API.
struct Admin<'a> {
    demo: &'a Demo,
    token: String,
}

impl<'a> Admin<'a> {
    /// Signs in as a person, and makes a token to go on with.
    async fn sign_in(demo: &'a Demo, email: &str, password: &str) -> anyhow::Result<Self> {
        let body = json!({ "email": email, "password": password });
        let answer = demo
            .http
            .post(demo.url("/session"))
            .json(&body)
            .send()
            .await?;
        let cookie = answer.headers().get("set-cookie").context("no session")?;
        let cookie = cookie
            .to_str()?
            .split(';')
            .next()
            .unwrap_or_default()
            .to_owned();
        let session: Value = answer.json().await?;
        let csrf = session["csrf"].as_str().context("no CSRF token")?;
        let made = demo
            .http
            .post(demo.url("/tokens"))
            .header("cookie", cookie)
            .header("x-csrf-token", csrf)
            .json(&json!({ "name": "demonstration", "role": "admin" }));
        let made: Value = made.send().await?.error_for_status()?.json().await?;
        let token = made["token"].as_str().context("no token")?;
        Ok(Self {
            demo,
            token: token.to_owned(),
        })
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
        let mut asked = self
            .demo
            .http
            .request(method, self.demo.url(path))
            .bearer_auth(&self.token);
        if let Some(body) = &body {
            asked = asked.json(body);
        }
        let answer = asked.send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "{path}: {status} {text}");
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.ask(Method::GET, path, None).await
    }

    async fn post(&self, path: &str, body: Value) -> anyhow::Result<Value> {
        self.ask(Method::POST, path, Some(body)).await
    }

    async fn version(&self) -> anyhow::Result<Value> {
        Ok(self.get("/fiscal_profile").await?["version"].clone())
    }

    /// The client pack: profile, stores, tills. Returns the stores' codes.
    async fn set_up(&self, company: &Company) -> anyhow::Result<Vec<String>> {
        let profile = json!({
            "legal_name": format!("{} (Private) Limited", company.name), "trade_name": company.name,
            "tin": company.tin, "vat_number": company.vat, "address": company.address,
            "version": self.version().await?,
        });
        let saved = self
            .ask(Method::PUT, "/fiscal_profile", Some(profile))
            .await?;
        self.post(
            "/fiscal_profile/review",
            json!({ "version": saved["version"] }),
        )
        .await?;
        let mut codes = Vec::new();
        for (name, tills) in company.stores {
            let store = self
                .post("/fiscal_devices/stores", json!({ "name": name }))
                .await?;
            let store = store["store_id"].as_str().context("no store")?;
            for (place, device) in tills.iter().enumerate() {
                let till = json!({
                    "environment": "test", "device_id": device, "serial_no": format!("till-{device}"),
                    "model_name": "fiscald", "model_version": "1", "store_id": store,
                    "machine_name": format!("{name} {}", place + 1), "mode": "hybrid",
                });
                self.post("/fiscal_devices", till).await?;
            }
            let code = self
                .post(&format!("/fiscal_devices/stores/{store}/code"), json!({}))
                .await?;
            codes.push(code["code"].as_str().context("no code")?.to_owned());
        }
        Ok(codes)
    }

    /// The rest of the onboarding: health, one controlled receipt on each till, the check of isolation; then enabled.
    async fn go_live(&self, company: &Company) -> anyhow::Result<()> {
        for device in company.stores.iter().flat_map(|(_, tills)| *tills) {
            let path = format!("/fiscal_devices/test/{device}");
            self.demo
                .until("the stores have registered their tills", async || {
                    Ok(self.get(&path).await?["state"] != "pending")
                })
                .await?;
            let order = json!({ "environment": "test", "device_id": device });
            let ordered = self.post("/fiscal_submissions", order).await?;
            let path = format!(
                "/fiscal_submissions/{}",
                ordered["command_id"].as_str().context("no command")?
            );
            self.demo
                .until("the controlled receipt has reached FDMS", async || {
                    Ok(self.get(&path).await?["job"]["status"] == "done")
                })
                .await?;
            println!(
                "{}: the controlled receipt of till {device} is with FDMS",
                company.name
            );
        }
        self.get("/fdms_health").await?;
        self.post(
            "/fiscal_profile/enable",
            json!({ "version": self.version().await? }),
        )
        .await?;
        println!("{}: enabled in the test environment", company.name);
        Ok(())
    }

    /// Waits until receipts have come from each store and been taken by FDMS.
    async fn agrees(&self) -> anyhow::Result<()> {
        self.demo
            .until("sales have come in from every till", async || {
                let devices = self.get("/fiscal_devices").await?;
                let devices = devices.as_array().context("no tills")?;
                Ok(devices.iter().all(|till| {
                    till["sent_receipt_global_no"].as_i64() >= Some(3)
                        && till["last_error"].is_null()
                }))
            })
            .await
    }
}

/// Random bytes in Base64.
fn random(bytes: usize) -> anyhow::Result<String> {
    let mut made = vec![0; bytes];
    getrandom::fill(&mut made).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    Ok(STANDARD.encode(made))
}
