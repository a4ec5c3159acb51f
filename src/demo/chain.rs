//! Stores that have joined head office, for a demonstration of it: one sandbox of FDMS, a gateway for each code,
//! tills that sell all day.
//!
//! Each line of standard input is the code of one store. Its tills are those that head office expects there.

use std::io::BufRead as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clock::{SharedClock, SystemClock};
use fdms_sandbox::{DeviceSpec, Sandbox};
use fiscal::DeviceId;
use hyper::Method;
use sync_wire::enrol::ExpectedTill;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::pos::Pos;
use crate::config::Config;
use crate::daemon::{ConfiguredConnector, Daemon, Listeners, api_settings};
use crate::hq::join::{Joined, Joining, join};
use crate::hq::{HeadOffice, HqView};
use crate::join::{Registration, SetUp, register, set_up};
use crate::keys::KeyKind;
use crate::ledger::Ledger;
use crate::ledger::tills::{NewTill, new_token};
use crate::submit::{Access, Submitter};

/// What the tills sell: name, HS code, price in cents, tax of the sandbox.
const GOODS: [(&str, &str, u32, u32); 8] = [
    ("Bread", "19059090", 120, 517),
    ("Cooking oil 2 l", "15121900", 375, 517),
    ("Mealie meal 10 kg", "11022000", 690, 2),
    ("Tomatoes, bag", "07020000", 180, 2),
    ("Sugar 2 kg", "17019900", 260, 517),
    ("Airtime voucher", "99003000", 500, 517),
    ("School shoes", "64039900", 2499, 517),
    ("Bus ticket", "99003000", 150, 1),
];

/// A store on its way: joined, not yet selling.
struct Store {
    config: Config,
    set_up: SetUp,
    joined: Joined,
}

/// Lets the stores of these codes join, and sells in them until a signal.
pub(super) async fn serve(dir: &Path, url: &str, ca: Option<&Path>) -> anyhow::Result<()> {
    let clock: SharedClock = Arc::new(SystemClock);
    let codes: Vec<String> = std::io::stdin()
        .lock()
        .lines()
        .collect::<Result<_, _>>()
        .context("the codes cannot be read from standard input")?;
    let mut stores = Vec::new();
    for (place, code) in codes.iter().map(|code| code.trim()).enumerate() {
        let folder = dir.join(format!("store-{}", place + 1));
        stores.push(joined(folder, url, ca, code, &clock).await?);
    }
    ensure!(
        !stores.is_empty(),
        "no code came on standard input: one line for each store"
    );
    let stop = CancellationToken::new();
    let sandbox = stores.iter().flat_map(devices).fold(
        Sandbox::builder().clock(Arc::clone(&clock)),
        fdms_sandbox::SandboxBuilder::device,
    );
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let sandbox = sandbox.start(listener, None, stop.clone()).await?;
    let authority = dir.join("fdms-ca.pem");
    std::fs::write(&authority, sandbox.ca_pem())?;
    let mut parts = JoinSet::new();
    for mut store in stores {
        store.config.fdms.test_url = sandbox.url();
        store.config.fdms.extra_ca = Some(authority.clone());
        open(store, &clock, &stop, &mut parts).await?;
    }
    println!("The stores sell; FDMS (a sandbox) is {}", sandbox.url());
    tokio::select! {
        signal = crate::daemon::stop_signal() => signal?,
        Some(ended) = parts.join_next() => ended??,
    }
    stop.cancel();
    while let Some(ended) = parts.join_next().await {
        ended??;
    }
    sandbox.stopped().await;
    Ok(())
}

/// Sets a store up and lets it join.
async fn joined(
    folder: PathBuf,
    url: &str,
    ca: Option<&Path>,
    code: &str,
    clock: &SharedClock,
) -> anyhow::Result<Store> {
    let mut config = Config::parse(&folder, "")?;
    config.store.data_dir = Some(folder);
    let mut set_up = set_up(&config, Arc::clone(clock))?;
    let joining = Joining {
        url,
        ca: ca.map(std::fs::read_to_string).transpose()?,
        code,
        actor: "demo",
        ledger: &config.ledger_path(),
        clock: Arc::clone(clock),
    };
    let joined = join(&mut set_up.core, &joining).await?;
    println!(
        "{} of {} has joined head office",
        joined.store, joined.tenant
    );
    Ok(Store {
        config,
        set_up,
        joined,
    })
}

/// The store's tills of the test environment, as FDMS shall know them.
fn devices(store: &Store) -> Vec<DeviceSpec> {
    test_tills(&store.joined)
        .map(|till| DeviceSpec {
            serial_no: till.serial_no.clone(),
            tax_payer_name: store.joined.tenant.clone(),
            branch_name: store.joined.store.clone(),
            ..DeviceSpec::new(till.till.device_id)
        })
        .collect()
}

fn test_tills(joined: &Joined) -> impl Iterator<Item = &ExpectedTill> {
    let expected = joined.tills.iter().map(|till| &till.expected);
    expected.filter(|till| till.till.environment == sync_wire::Environment::Test)
}

/// Registers a store's tills, starts its gateway, and lets each till sell.
async fn open(
    store: Store,
    clock: &SharedClock,
    stop: &CancellationToken,
    parts: &mut JoinSet<anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let Store {
        config,
        set_up,
        joined,
    } = store;
    let sealing = config.sealing_key()?;
    let ledger = Ledger::start(set_up.core, &config.ledger_path())?;
    let access =
        Access::from_config(&config.fdms, Arc::clone(clock)).map_err(anyhow::Error::msg)?;
    let http = TcpListener::bind("127.0.0.1:0").await?;
    let address = http.local_addr()?;
    let mut tokens = Vec::new();
    for till in test_tills(&joined) {
        let spec = DeviceSpec::new(till.till.device_id);
        let registration = Registration {
            till: NewTill {
                environment: crate::ledger::Environment::Test,
                device_id: DeviceId::new(till.till.device_id).context("a till's number")?,
                serial_no: till.serial_no.clone(),
                model_name: "fiscald".to_owned(),
                model_version: "1".to_owned(),
                invoice_prefix: till.invoice_prefix.clone(),
            },
            activation_key: &spec.activation_key,
            kind: KeyKind::EcP256,
            again: false,
            actor: "demo",
        };
        let id = register(&ledger, &access, &registration).await?.till;
        let (token, name) = (new_token()?, format!("till {}", till.till.device_id));
        let kept = token.clone();
        ledger
            .write(move |core| core.add_token(&name, Some(id), &kept, "demo"))
            .await?;
        tokens.push(token);
    }
    let daemon = Daemon {
        backups: crate::backup::Backups::default(),
        devices: super::opened(&config)?,
        ledger: ledger.clone(),
        api: api_settings(&config)?,
        listeners: Some(Listeners::http_only(http)),
        connector: Some(Arc::new(ConfiguredConnector::new(&config, &ledger))),
        submitter: Submitter::default(),
        hq: Some(HeadOffice {
            sealing,
            fdms: config.fdms.clone(),
            log: None,
            view: HqView::default(),
        }),
        ledger_path: Some(config.ledger_path()),
        stop: stop.clone(),
    };
    parts.spawn(async move { Ok(daemon.run().await?) });
    for token in tokens {
        let pos = Pos::connect(address, token).await?;
        parts.spawn(sell(pos, Arc::clone(clock), stop.clone()));
    }
    Ok(())
}

/// Sells baskets at random, as shoppers come; one in thirty is brought back.
async fn sell(mut pos: Pos, clock: SharedClock, stop: CancellationToken) -> anyhow::Result<()> {
    let mut number = u32::try_from(clock.wall().as_second() % 1_000_000).unwrap_or(0);
    loop {
        let pause = Duration::from_millis(1_500 + random()? % 6_000);
        if stop.run_until_cancelled(clock.sleep(pause)).await.is_none() {
            return Ok(());
        }
        number += 1;
        let (lines, cents) = basket()?;
        let sold = post(&mut pos, "FiscalInvoice", number, "", &lines, cents).await;
        // A shop that head office has switched off takes no sales until it is switched on again.
        if sold.is_ok() && random()? % 30 == 0 {
            number += 1;
            let original = format!(
                ",\"receiptNotes\":\"Brought back\",\"creditDebitNote\":{{\"invoiceNo\":\"{}\"}}",
                number - 1
            );
            let back = lines.replace("\"receiptLinePrice\":", "\"receiptLinePrice\":-");
            let _ = post(&mut pos, "CreditNote", number, &original, &back, -cents).await;
        }
    }
}

/// Some goods: their lines, and what they cost.
fn basket() -> anyhow::Result<(String, i64)> {
    let mut lines = Vec::new();
    let mut sum = 0;
    for _ in 0..=random()? % 4 {
        let place = usize::try_from(random()? % 8)?;
        let Some((name, code, cents, tax)) = GOODS.get(place) else {
            continue;
        };
        let quantity = 1 + random()? % 3;
        lines.push(format!(
            "{{\"receiptLineType\":\"Sale\",\"receiptLineName\":\"{name}\",\"receiptLineHSCode\":\"{code}\",\
             \"receiptLinePrice\":{},\"receiptLineQuantity\":{quantity},\"taxID\":{tax}}}",
            money(i64::from(*cents))
        ));
        sum += i64::from(*cents) * i64::try_from(quantity)?;
    }
    Ok((lines.join(","), sum))
}

async fn post(
    pos: &mut Pos,
    kind: &str,
    number: u32,
    more: &str,
    lines: &str,
    cents: i64,
) -> anyhow::Result<String> {
    let paid = if number.is_multiple_of(3) {
        "Card"
    } else {
        "Cash"
    };
    let body = format!(
        "{{\"receiptType\":\"{kind}\",\"receiptCurrency\":\"USD\",\"invoiceNo\":\"{number}\",\
         \"receiptLinesTaxInclusive\":true{more},\"receiptLines\":[{lines}],\
         \"receiptPayments\":[{{\"moneyTypeCode\":\"{paid}\",\"paymentAmount\":{}}}]}}",
        money(cents)
    );
    pos.ask(Method::POST, "/v1/receipts", body).await
}

/// Cents as FDMS writes amounts.
fn money(cents: i64) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    let cents = cents.unsigned_abs();
    format!("{sign}{}.{:02}", cents / 100, cents % 100)
}

fn random() -> anyhow::Result<u64> {
    getrandom::u64().map_err(|error| anyhow::anyhow!("no randomness: {error}"))
}
