//! A store and an authority that judge the same sales: one ledger, one sandbox, real mutual TLS between.
//!
//! The store's tills sell through the ledger as the API does, and post what the ledger keeps, byte for
//! byte. A [`Forger`] is the opposite: it puts receipts together and signs them with a till's key, rules or
//! no rules. Both end at the same sandbox, whose verdict comes back as codes.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use clock::{Clock as _, TestClock, instant};
use fdms_sandbox::{DeviceSpec, RunningSandbox, Sandbox};
use fiscal::compose::{Known, Numbers, compose, in_signing_order};
use fiscal::draft::Draft;
use fiscal::receipt::{Hash, Signature};
use fiscal::taxpayer::Taxpayer;
use fiscal::{
    DateTime, DeviceId, Finding, FiscalDayNo, Receipt, ReceiptCounter, ReceiptGlobalNo, sign, wire,
};
use fiscald::config::FdmsConfig;
use fiscald::fdms::{Answer, Fdms as _, HttpFdms, Identity, Limits, Outcome, TrustRoots};
use fiscald::join::{self, Registration};
use fiscald::keys::{
    Certificate, DeviceKey, KeyKind, SealingKey, Signer as _, certificate_request,
};
use fiscald::ledger::core::Core;
use fiscald::ledger::stream::{Item, ItemKind, Submission};
use fiscald::ledger::tills::NewTill;
use fiscald::ledger::{
    Environment, Issued, Ledger, LedgerError, Refusal, Sale, SaleDone, Settings, TillId,
};
use fiscald::submit::Access;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Codes of broken rules, as FDMS writes them.
pub(crate) type Codes = BTreeSet<String>;

/// What FDMS said to a receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Taken, with these marks.
    Taken(Codes),
    /// Not taken at all.
    Refused(String),
}

/// A sandbox and a store beside it.
pub(crate) struct House {
    pub(crate) sandbox: RunningSandbox,
    /// The authority's clock.
    pub(crate) fdms_clock: Arc<TestClock>,
    /// The store's clock; the same one unless a test wants another.
    pub(crate) clock: Arc<TestClock>,
    dir: tempfile::TempDir,
    sealing: SealingKey,
    ledger: Option<Ledger>,
    _stop: DropGuard,
}

impl House {
    /// Both on one clock.
    pub(crate) async fn new(start: &str) -> Self {
        let clock = TestClock::new(start.parse().unwrap());
        Self::with_clocks(clock.clone(), clock).await
    }

    /// The store on `clock`, the authority on `fdms_clock`.
    pub(crate) async fn with_clocks(clock: Arc<TestClock>, fdms_clock: Arc<TestClock>) -> Self {
        let stop = CancellationToken::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sandbox = Sandbox::builder()
            .clock(fdms_clock.clone())
            .start(listener, None, stop.clone())
            .await
            .unwrap();
        let mut house = Self {
            sandbox,
            fdms_clock,
            clock,
            dir: tempfile::tempdir().unwrap(),
            sealing: SealingKey::random().unwrap(),
            ledger: None,
            _stop: stop.drop_guard(),
        };
        house.open_ledger();
        house
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("ledger.db")
    }

    fn open_ledger(&mut self) {
        let core = Core::open(
            &self.path(),
            self.sealing.clone(),
            self.clock.clone(),
            Settings::default(),
        );
        self.ledger = Some(Ledger::start(core.unwrap(), &self.path()).unwrap());
    }

    /// The daemon ends, something happens to the store's clock, and it starts anew.
    pub(crate) async fn restart(&mut self, meanwhile: impl FnOnce(&TestClock)) {
        let ledger = self.ledger.take().unwrap();
        tokio::task::spawn_blocking(move || ledger.stop())
            .await
            .unwrap();
        meanwhile(&self.clock);
        self.open_ledger();
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        self.ledger.as_ref().unwrap()
    }

    /// The store's way to the authority; certificates are judged by the authority's clock.
    pub(crate) fn access(&self) -> Access {
        Access {
            addresses: FdmsConfig {
                test_url: self.sandbox.url(),
                ..FdmsConfig::default()
            },
            roots: TrustRoots::load(Some(&self.sandbox.ca_pem())).unwrap(),
            clock: self.fdms_clock.clone(),
            limits: Limits::default(),
        }
    }

    /// A device of the sandbox joins the store, as by `fiscald register`.
    pub(crate) async fn join(&self, spec: DeviceSpec) -> Till {
        self.sandbox.add_device(spec.clone()).unwrap();
        let registration = Registration {
            till: NewTill {
                environment: Environment::Test,
                device_id: DeviceId::new(spec.device_id).unwrap(),
                serial_no: spec.serial_no.clone(),
                model_name: "Server".to_owned(),
                model_version: "v1".to_owned(),
                invoice_prefix: String::new(),
            },
            activation_key: &spec.activation_key,
            kind: KeyKind::EcP256,
            again: false,
            actor: "test",
        };
        let joined = join::register(self.ledger(), &self.access(), &registration)
            .await
            .unwrap();
        self.till(joined.till, spec).await
    }

    async fn till(&self, id: TillId, spec: DeviceSpec) -> Till {
        let (key, pem) = self
            .ledger()
            .write(move |core| core.identity(id))
            .await
            .unwrap()
            .unwrap();
        let key = Arc::new(key);
        let identity = Identity {
            certificate: Certificate::from_pem(&pem).unwrap(),
            key: Arc::clone(&key),
        };
        let reader = self.ledger().reader();
        let mut infos = reader.tills().unwrap().into_iter();
        let info = infos.find(|info| info.id == id).unwrap();
        let fdms = self.access().client(&info, Some(identity)).unwrap();
        Till {
            id,
            device: info.device_id,
            taxpayer: reader.taxpayer(id).unwrap().unwrap(),
            key,
            fdms,
            spec,
        }
    }

    /// The till gets a new key and a certificate for it, before the old one ends.
    pub(crate) async fn renew(&self, till: Till) -> Till {
        let key = DeviceKey::generate(KeyKind::EcP256).unwrap();
        let number = till.spec.device_id;
        let request = certificate_request(&key, &till.spec.serial_no, number, false).unwrap();
        let pem = accepted(till.fdms.issue_certificate(&request).await).certificate;
        let id = till.id;
        let work = move |core: &mut Core| {
            let key_id = core.add_key(id, &key, "test")?;
            core.add_certificate(id, key_id, &pem, "test")
        };
        self.ledger().write(work).await.unwrap();
        self.till(id, till.spec).await
    }

    /// Sells what a POS sends, under a key if it sends one: reads it as the API does, and waits until it
    /// is in the ledger.
    pub(crate) async fn sell(
        &self,
        till: &Till,
        json: &str,
        key: Option<&str>,
    ) -> Result<Issued, Vec<Finding>> {
        let (draft, findings) = Draft::read(json.as_bytes());
        if !findings.is_empty() {
            return Err(findings);
        }
        let sale = Sale::new(
            (till.id, till.device),
            draft,
            key.map(str::to_owned),
            "test".into(),
        );
        match self.ledger().issue(sale).await {
            Ok(SaleDone::Issued(issued)) => Ok(*issued),
            Err(LedgerError::Refused(Refusal::Findings { findings })) => Err(findings),
            other => panic!("{other:?} to {json}"),
        }
    }

    /// Closes the till's day in the ledger.
    pub(crate) async fn close_day(&self, till: &Till) {
        let id = till.id;
        self.ledger()
            .write(move |core| core.close_day(id, "test"))
            .await
            .unwrap();
    }

    /// Sends all that the till's stream holds, as the ledger keeps it, each thing when its date has come
    /// by the authority's clock. What FDMS said to each receipt. A day that does not close is a panic.
    pub(crate) async fn post(&self, till: &Till) -> Vec<(ReceiptGlobalNo, Verdict)> {
        let mut verdicts = Vec::new();
        while let Some(item) = self.ledger().reader().stream(till.id).unwrap().1 {
            let verdict = self.deliver(till, &item, &item.body).await;
            match (item.kind, verdict) {
                (ItemKind::Receipt(number), Some(verdict)) => verdicts.push((number, verdict)),
                (ItemKind::Close(no), _) => self.must_be_closed(till, no),
                _ => {}
            }
        }
        verdicts
    }

    /// Sends the head of the till's stream, or another body in its place, and moves the stream on.
    pub(crate) async fn deliver(&self, till: &Till, item: &Item, body: &str) -> Option<Verdict> {
        let due = instant(item.due);
        if self.fdms_clock.wall() < due {
            self.fdms_clock.set_wall(due);
        }
        let mut verdict = None;
        match item.kind {
            ItemKind::Open(_) => {
                accepted(till.fdms.open_day(body.as_bytes()).await);
            }
            ItemKind::Receipt(_) => verdict = Some(till.submit(body).await),
            ItemKind::Close(_) => {
                accepted(till.fdms.close_day(body.as_bytes()).await);
            }
        }
        let (id, item) = (till.id, item.clone());
        let work = move |core: &mut Core| core.finish_item(id, &item, &Submission::default());
        self.ledger().write(work).await.unwrap();
        verdict
    }

    fn must_be_closed(&self, till: &Till, no: FiscalDayNo) {
        let days = self.sandbox.days(till.spec.device_id);
        let mut days = days.iter();
        let day = days.find(|day| day.fiscal_day_no.to_string() == no.to_string());
        let mode = day.and_then(|day| day.reconciliation_mode);
        let is_closed = mode == Some(fdms_sandbox::ReconciliationMode::Auto);
        assert!(is_closed, "{} day {no}: {day:?}", till.device);
    }

    /// Posts, and nothing may be marked.
    pub(crate) async fn post_clean(&self, till: &Till) {
        for (number, verdict) in self.post(till).await {
            let clean = Verdict::Taken(Codes::new());
            assert_eq!(verdict, clean, "{} receipt {number}", till.device);
        }
    }
}

/// A till of the store, with its way to the authority.
pub(crate) struct Till {
    pub(crate) id: TillId,
    pub(crate) device: DeviceId,
    pub(crate) taxpayer: Arc<Taxpayer>,
    pub(crate) fdms: HttpFdms,
    key: Arc<DeviceKey>,
    spec: DeviceSpec,
}

impl Till {
    /// Submits the body of a receipt.
    pub(crate) async fn submit(&self, body: &str) -> Verdict {
        let answer = self.fdms.submit_receipt(body.as_bytes()).await;
        match answer.outcome {
            Outcome::Accepted(taken) => {
                let errors = taken.validation_errors.into_iter();
                Verdict::Taken(errors.map(|error| error.code).collect())
            }
            Outcome::Refused(_) => Verdict::Refused(answer.evidence.body.unwrap_or_default()),
            other => panic!("{other:?} to {body}"),
        }
    }

    /// Signs with the till's key.
    pub(crate) fn sign(&self, text: &str) -> Signature {
        Signature {
            hash: sign::hash(text),
            bytes: self.key.sign(text.as_bytes()).unwrap(),
        }
    }
}

/// Where a chain goes on.
#[derive(Debug, Clone)]
pub(crate) struct Forger {
    pub(crate) counter: ReceiptCounter,
    pub(crate) global_no: ReceiptGlobalNo,
    pub(crate) previous: Option<Hash>,
}

impl Forger {
    /// The chain of a till that has issued nothing.
    pub(crate) fn new() -> Self {
        Self {
            counter: ReceiptCounter::ZERO,
            global_no: ReceiptGlobalNo::ZERO,
            previous: None,
        }
    }

    /// The chain that this receipt is the end of.
    pub(crate) fn after(issued: &Issued) -> Self {
        Self {
            counter: issued.receipt.counter,
            global_no: issued.receipt.global_no,
            previous: Some(issued.signature.hash),
        }
    }

    /// Puts together what the sale says, without asking any rule: what it leaves out is computed, what it
    /// says wrong stays wrong.
    pub(crate) fn compose(&self, till: &Till, json: &str, date: DateTime) -> Receipt {
        let (draft, _) = Draft::read(json.as_bytes());
        let known = Known {
            numbers: Some(Numbers {
                counter: self.counter.next(),
                global_no: self.global_no.next(),
                date,
            }),
            taxpayer: Some(&till.taxpayer),
            ..Known::default()
        };
        in_signing_order(compose(&draft, &known).0)
    }

    /// Signs the receipt with the till's key as the next of this chain: the body to submit.
    pub(crate) fn sign(&mut self, till: &Till, receipt: &Receipt) -> String {
        let text = sign::receipt_string(till.device, receipt, self.previous.as_ref());
        let signature = till.sign(&text);
        self.counter = receipt.counter;
        self.global_no = receipt.global_no;
        self.previous = Some(signature.hash);
        wire::submit_receipt_body(receipt, &signature)
    }
}

/// The answer, which must be yes.
pub(crate) fn accepted<T: std::fmt::Debug>(answer: Answer<T>) -> T {
    match answer.outcome {
        Outcome::Accepted(value) => value,
        other => panic!("expected yes, got {other:?} from {:?}", answer.evidence),
    }
}

/// FDMS's codes among findings.
pub(crate) fn fdms_codes(findings: &[Finding]) -> Codes {
    let codes = findings.iter().map(|finding| finding.code.as_str());
    codes
        .filter(|code| code.starts_with("RCPT"))
        .map(str::to_owned)
        .collect()
}
