//! A whole store for the doctor: ledger, FDMS, head office, printer and a port for old POS software, all of them well
//! until a test breaks one.

use std::any::Any;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use fiscald::disk::Space;
use fiscald::doctor::{Doctor, Finding, Machine, Report, Verdict};
use fiscald::hq::join::{Joining, join as join_hq};
use fiscald::join::renew_recovery;
use fiscald::ledger::core::Core;
use rustls::pki_types::PrivatePkcs8KeyDer;
use vprinter::{LinkSetup, PrinterSetup, VirtualPrinter};

use super::hq::Hq;
use super::process::free_address;
use super::store::House;

/// A store, well, whose gateway does not run.
pub(crate) struct Clinic {
    pub(crate) house: House,
    pub(crate) hq: Hq,
    pub(crate) printer: VirtualPrinter,
    /// The configuration's text; it is written when the doctor looks.
    pub(crate) config: String,
    pub(crate) api: SocketAddr,
    pub(crate) pos: SocketAddr,
    pub(crate) machine: Machine,
    kept: Vec<Box<dyn Any + Send>>,
}

/// A disk with room, wherever the tests run.
fn roomy(_: &Path) -> std::io::Result<Space> {
    Ok(Space {
        free: 100 << 30,
        total: 200 << 30,
        room_for_files: true,
        in_memory: false,
        read_only: false,
    })
}

impl Clinic {
    pub(crate) async fn new() -> Self {
        let mut house = House::new().await;
        let sealing = house.sealing();
        let mut core = house.core();
        renew_recovery(&mut core, &sealing).unwrap();
        core.write(|core| core.recovery_tested("test")).unwrap();
        drop(core);
        let early = house.path().with_file_name("early.db");
        sql(&house.path(), &format!("VACUUM INTO '{}'", early.display()));
        house.sell_many(0, 3).await;
        house.close_day(0).await;
        house.drain().await;
        house.stop().await;
        let hq = Hq::new().await;
        hq.lock().codes.push("code".to_owned());
        let mut core = house.core();
        let joining = Joining {
            url: &hq.url,
            ca: None,
            code: "code",
            actor: "test",
            ledger: &house.path(),
            clock: house.clock.clone(),
        };
        join_hq(&mut core, &joining).await.unwrap();
        drop(core);
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let printer =
            VirtualPrinter::tcp(PrinterSetup::epson_80(), LinkSetup::default(), loopback).unwrap();
        let ca = house.path().with_file_name("ca.pem");
        std::fs::write(&ca, house.sandbox.ca_pem()).unwrap();
        let (api, pos) = (free_address(), free_address());
        let config = format!(
            "[store]\ndata_dir = {dir:?}\n[api]\nlisten = \"{api}\"\n[fdms]\ntest_url = \"{url}\"\nextra_ca = {ca:?}\n\
             [log]\nlevel = \"info\"\n[[printers]]\nname = \"front\"\nlink = \"tcp:{printer}\"\nprofile = \"epson-tm-t88\"\n\
             [[pos]]\nname = \"old\"\nkind = \"zfp\"\nlisten = \"tcp:{pos}\"\ndevice_id = 101\nenvironment = \"test\"\n\
             printer = \"front\"\nhs_code = \"19059090\"\n[pos.register]\ncurrency = \"USD\"\ntaxes = {{ A = \"15.5%\" }}\n",
            dir = house.path().parent().unwrap(),
            url = house.sandbox.url(),
            printer = printer.name(),
        );
        Self {
            house,
            hq,
            printer,
            config,
            api,
            pos,
            machine: Machine {
                space: roomy,
                durable_write: |_, _| Ok(Duration::from_millis(2)),
            },
            kept: Vec::new(),
        }
    }

    /// A file in the store's folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.house.path().with_file_name(name)
    }

    /// Replaces something in the configuration.
    #[track_caller]
    pub(crate) fn configure(&mut self, from: &str, to: &str) {
        assert!(self.config.contains(from), "{from} in {}", self.config);
        self.config = self.config.replace(from, to);
    }

    /// Something that must live until the doctor has looked.
    pub(crate) fn keep(&mut self, thing: impl Any + Send) {
        self.kept.push(Box::new(thing));
    }

    /// Changes the ledger behind everybody's back.
    pub(crate) fn sql(&self, statement: &str) {
        sql(&self.house.path(), statement);
    }

    /// The ledger's writing side.
    pub(crate) fn core(&self) -> Core {
        self.house.core()
    }

    pub(crate) fn config_path(&self) -> PathBuf {
        self.file("fiscald.toml")
    }

    pub(crate) fn doctor(&self) -> Doctor {
        Doctor {
            config: Some(self.config_path()),
            clock: self.house.clock.clone(),
            machine: self.machine,
            unsealed: None,
        }
    }

    /// Has the doctor look.
    pub(crate) async fn look(&self) -> Report {
        // A set-up may have taken the folder away.
        let _ = std::fs::write(self.config_path(), &self.config);
        self.doctor().look().await
    }

    /// FDMS is this server instead: `localhost` with a certificate of these names and years, by an authority that is
    /// trusted or not. It takes connections and answers nothing.
    pub(crate) fn serve_tls(&mut self, name: &str, years: (i32, i32), trusted: bool) {
        let ca_key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca = params.self_signed(&ca_key).unwrap();
        let issuer = rcgen::Issuer::new(params, ca_key);
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(years.0, 1, 1);
        params.not_after = rcgen::date_time_ymd(years.1, 1, 1);
        let certificate = params.signed_by(&key, &issuer).unwrap();
        let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            )
            .unwrap();
        if trusted {
            std::fs::write(self.file("ca.pem"), ca.pem()).unwrap();
        }
        let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(tls));
        let address = self.serve(move |stream| {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let _ = acceptor.accept(stream).await;
            });
        });
        self.fdms_at(address);
    }

    /// Takes connections on a port of its own.
    pub(crate) fn serve(
        &mut self,
        mut serve: impl FnMut(tokio::net::TcpStream) + Send + 'static,
    ) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                serve(stream);
            }
        });
        address
    }

    /// FDMS is at this port of this machine instead.
    pub(crate) fn fdms_at(&mut self, address: SocketAddr) {
        let url = self.house.sandbox.url();
        self.configure(&url, &format!("https://localhost:{}", address.port()));
    }
}

/// Changes a ledger as no program of ours does.
pub(crate) fn sql(path: &Path, statement: &str) {
    let conn = rusqlite::Connection::open(path).unwrap();
    conn.execute_batch(statement).unwrap();
}

/// A set-up: what is broken, and the codes of all warnings and faults that the doctor must find, in its order.
pub(crate) struct SetUp {
    pub(crate) what: &'static str,
    pub(crate) breaks: fn(&mut Clinic),
    pub(crate) verdict: Verdict,
    pub(crate) codes: &'static [&'static str],
}

/// Breaks a well store in each way, and compares what the doctor finds. Set-ups that the documentation does not name
/// are found too.
pub(crate) async fn examine(set_ups: &[SetUp]) {
    const PAGE: &str = include_str!("../../../docs/DOCTOR.md");
    let mut wrong = Vec::new();
    for set_up in set_ups {
        let mut clinic = Clinic::new().await;
        (set_up.breaks)(&mut clinic);
        let report = clinic.look().await;
        let bad: Vec<&Finding> = report
            .findings
            .iter()
            .filter(|f| f.verdict >= Verdict::Warning && f.code != "gateway_stopped")
            .collect();
        let codes: Vec<&str> = bad.iter().map(|finding| finding.code).collect();
        let worst = bad.iter().map(|finding| finding.verdict).max();
        if codes != set_up.codes || worst != Some(set_up.verdict) {
            wrong.push(format!("{}:\n{}", set_up.what, report.text()));
        }
        for finding in &bad {
            let next = finding.next.as_deref().unwrap_or_default();
            let is_said = finding.text.len() > 5 && next.len() > 10;
            if !is_said || !PAGE.contains(&format!("`{}`", finding.code)) {
                wrong.push(format!("{}: {finding:?} in docs/DOCTOR.md", set_up.what));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
