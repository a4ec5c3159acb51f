//! The program as its operator starts it: settings from the environment, exit codes, what it prints.

use std::io::{BufRead as _, BufReader};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use fiscal_hq::db::APP_ROLE;
use tokio::sync::{Mutex, mpsc};

use crate::support::{Database, MASTER_KEY, OWNER};

/// The program with all settings that it needs.
pub(crate) fn program(database: &Database, role: &str, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fiscal-hq"));
    command
        .args(words)
        .env_clear()
        .env("DATABASE_URL", database.url(role))
        .env("FDMS_ENV", "test")
        .env("FDMS_CRED_MASTER_KEY_B64", MASTER_KEY)
        .env("HQ_PUBLIC_URL", "https://hq.example/")
        .env("HQ_LISTEN", "127.0.0.1:0")
        .env("HQ_LOG", "info");
    command
}

fn run(database: &Database, role: &str, words: &[&str]) -> Output {
    program(database, role, words).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// What a command that must work prints.
fn good(database: &Database, role: &str, words: &[&str]) -> String {
    let output = run(database, role, words);
    assert!(output.status.success(), "{words:?}: {}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// A service that runs as a process of its own.
pub(crate) struct Service {
    child: Child,
    pub(crate) address: String,
    /// What it says after it has begun.
    lines: Mutex<mpsc::UnboundedReceiver<String>>,
}

impl Service {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut before = String::new();
        let address = loop {
            let Some(Ok(line)) = lines.next() else {
                panic!("it has ended: {before}");
            };
            if let Some((_, address)) = line.split_once("fiscal-hq runs address=") {
                break address.split(' ').next().unwrap().to_owned();
            }
            before.push_str(&line);
        };
        // What it goes on to say is read, so that it does not wait for a reader.
        let (say, heard) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // Nobody may be listening any more.
                let _ = say.send(line);
            }
        });
        Self {
            child,
            address,
            lines: Mutex::new(heard),
        }
    }

    /// Waits until its log says this.
    async fn said(&self, words: &str) {
        let mut lines = self.lines.lock().await;
        while let Some(line) = lines.recv().await {
            if line.contains(words) {
                return;
            }
        }
        panic!("it has ended without saying {words}");
    }

    /// Its exit code after SIGTERM.
    fn stop(mut self) -> Option<i32> {
        let killed = Command::new("kill")
            .arg(self.child.id().to_string())
            .status();
        assert!(killed.unwrap().success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// From an empty database to an invitation; the audit is checked, and a row that is gone is named.
#[tokio::test]
async fn from_nothing_to_the_first_admin() {
    let database = Database::create_empty().await;
    let early = run(&database, APP_ROLE, &["serve"]);
    assert_eq!(early.status.code(), Some(78));
    assert!(
        said(&early).contains("fiscal-hq migrate"),
        "{}",
        said(&early)
    );

    assert!(good(&database, OWNER, &["migrate"]).contains("step 3 (audit_rights) is done"));
    assert!(good(&database, OWNER, &["migrate"]).contains("already"));
    let tenant = good(&database, APP_ROLE, &["tenant", "create", "Baobab Stores"]);
    let tenant = tenant.trim();
    let listed = good(&database, APP_ROLE, &["tenant", "list"]);
    assert_eq!(listed.trim(), format!("{tenant} Baobab Stores"));
    let invite = [
        "user",
        "create",
        "rudo@baobab.example",
        "--name",
        "Rudo",
        "--tenant",
        tenant,
    ];
    let link = good(&database, APP_ROLE, &invite);
    assert!(
        link.starts_with("https://hq.example/choose-password#fhqu_"),
        "{link}"
    );
    let again = run(&database, APP_ROLE, &invite);
    assert_eq!(again.status.code(), Some(1));
    assert!(said(&again).contains("in use already"), "{}", said(&again));
    good(
        &database,
        APP_ROLE,
        &["user", "create", "me@hq.example", "--name", "Me"],
    );
    assert!(good(&database, APP_ROLE, &["partitions"]).contains("were made"));
    let rotated = good(&database, APP_ROLE, &["rotate-master-key"]);
    assert!(rotated.starts_with("0 were sealed anew"), "{rotated}");

    let checked = good(&database, APP_ROLE, &["audit", "verify"]);
    assert!(
        checked.contains("Baobab Stores: 2 rows are as they were written"),
        "{checked}"
    );
    let root = database.connect("postgres").await;
    root.batch_execute(&format!(
        "SET session_replication_role = replica; DELETE FROM fdms_audit_logs WHERE tenant_id = '{tenant}' AND audit_no = 1"
    ))
    .await
    .unwrap();
    let broken = run(
        &database,
        APP_ROLE,
        &["audit", "verify", "--tenant", tenant],
    );
    assert_eq!(broken.status.code(), Some(1));
    assert!(
        said(&broken).contains("row 1 is missing"),
        "{}",
        said(&broken)
    );
}

/// What a person must mend first ends with code 78 and a sentence; secrets are not in it.
#[tokio::test]
async fn settings_that_cannot_be_used_are_named() {
    let database = Database::create().await;
    let with = |name: &str, value: &str| {
        let mut command = program(&database, APP_ROLE, &["serve"]);
        command.env(name, value);
        let output = command.output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(78),
            "{name}={value}: {}",
            said(&output)
        );
        said(&output)
    };
    assert!(with("FDMS_ENV", "live").contains("FDMS_ENV must be"));
    assert!(with("HQ_PUBLIC_URL", "http://hq.example").contains("must begin with https://"));
    assert!(with("HQ_LISTEN", "nowhere").contains("HQ_LISTEN"));
    assert!(with("HQ_LISTEN", "0.0.0.0:0").contains("HQ_TRUSTED_PROXIES"));
    assert!(with("HQ_TRUSTED_PROXIES", "10.0.0.0/99").contains("HQ_TRUSTED_PROXIES"));
    assert!(with("HQ_TLS_CERT", "/nowhere.pem").contains("belong together"));
    assert!(with("HQ_DATABASE_CONNECTIONS", "many").contains("HQ_DATABASE_CONNECTIONS"));
    assert!(with("FDMS_WORKER_SECRET_FILE", "/nowhere").contains("/nowhere cannot be read"));
    let short = with("FDMS_WORKER_SECRET", "hunter2");
    assert!(
        short.contains("FDMS_WORKER_SECRET") && !short.contains("hunter2"),
        "{short}"
    );
    let key = with("FDMS_CRED_MASTER_KEY_B64", "bm90IGEga2V5");
    assert!(
        key.contains("openssl rand") && !key.contains("bm90"),
        "{key}"
    );
    let twice = with("FDMS_CRED_MASTER_KEY_B64_FILE", "/some/file");
    assert!(twice.contains("both set"), "{twice}");
    let elsewhere = database
        .url(APP_ROLE)
        .replace(&database.name, "no_such_database");
    assert!(with("DATABASE_URL", &elsewhere).contains("look at DATABASE_URL"));
    let owner = run(&database, OWNER, &["serve"]);
    assert_eq!(owner.status.code(), Some(78));
    assert!(said(&owner).contains("may make roles"), "{}", said(&owner));
}

/// TLS, secrets in files, and an orderly end.
#[tokio::test]
async fn it_serves_over_tls_and_stops_when_told() {
    let database = Database::create().await;
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = made.cert.pem();
    let url = write("url", &database.url(APP_ROLE));
    let files: [(&str, &Path); 3] = [
        ("HQ_TLS_CERT", &write("cert.pem", &certificate)),
        (
            "HQ_TLS_KEY",
            &write("key.pem", &made.signing_key.serialize_pem()),
        ),
        ("DATABASE_URL_FILE", &url),
    ];
    let mut command = program(&database, APP_ROLE, &["serve"]);
    command.env_remove("DATABASE_URL").envs(files);
    let service = Service::start(&mut command);
    let http = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(certificate.as_bytes()).unwrap()])
        .build()
        .unwrap();
    let port = service.address.rsplit(':').next().unwrap();
    let answer = http
        .get(format!("https://localhost:{port}/readyz"))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(service.stop(), Some(0));
}

/// A client that trusts this certificate alone, and opens a connection for each request.
fn trusting(certificate: &str) -> reqwest::Client {
    reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(certificate.as_bytes()).unwrap()])
        .pool_max_idle_per_host(0)
        .build()
        .unwrap()
}

/// A certificate that was renewed is shown after SIGHUP, without a restart; files that do not fit change nothing.
#[tokio::test]
async fn a_renewed_certificate_is_read_again() {
    let database = Database::create().await;
    let dir = tempfile::tempdir().unwrap();
    let paths = ["cert.pem", "key.pem"].map(|name| dir.path().join(name));
    let made = || {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    };
    let put = |certificate: &str, key: &str| {
        std::fs::write(&paths[0], certificate).unwrap();
        std::fs::write(&paths[1], key).unwrap();
    };
    let (old, new, other) = (made(), made(), made());
    put(&old.0, &old.1);
    let mut command = program(&database, APP_ROLE, &["serve"]);
    command
        .env("HQ_TLS_CERT", &paths[0])
        .env("HQ_TLS_KEY", &paths[1]);
    let service = Service::start(&mut command);
    let port = service.address.rsplit(':').next().unwrap();
    let url = format!("https://localhost:{port}/healthz");
    let [by_old, by_new] = [&old.0, &new.0].map(|certificate| trusting(certificate));
    assert!(by_old.get(&url).send().await.is_ok());
    assert!(by_new.get(&url).send().await.is_err());
    let hang_up = || {
        let signal = ["-HUP", &service.child.id().to_string()];
        let sent = Command::new("kill").args(signal).status();
        assert!(sent.unwrap().success());
    };
    // A certificate without its key: it goes on as it was.
    put(&new.0, &other.1);
    hang_up();
    service.said("stays as it was").await;
    assert!(by_old.get(&url).send().await.is_ok());
    put(&new.0, &new.1);
    hang_up();
    service.said("is shown from now on").await;
    assert!(by_new.get(&url).send().await.is_ok());
    // Anew: the client of before may go on with what it had agreed upon.
    assert!(trusting(&old.0).get(&url).send().await.is_err());
    assert_eq!(service.stop(), Some(0));
}

/// As systemd starts it: its secrets are credentials, and it says that it is ready, that its database answers, that it
/// lives, and that it stops.
#[tokio::test]
async fn under_systemd() {
    let database = Database::create().await;
    let dir = tempfile::tempdir().unwrap();
    let secrets = [
        ("DATABASE_URL", database.url(APP_ROLE)),
        ("FDMS_CRED_MASTER_KEY_B64", MASTER_KEY.to_owned()),
    ];
    let mut command = program(&database, APP_ROLE, &["serve"]);
    for (name, secret) in &secrets {
        command.env_remove(name);
        std::fs::write(dir.path().join(name), format!("{secret}\n")).unwrap();
    }
    let path = dir.path().join("notify.sock");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    let hear = |line: &str| {
        let mut buffer = [0; 4096];
        loop {
            let length = manager
                .recv(&mut buffer)
                .unwrap_or_else(|error| panic!("{line} was not heard: {error}"));
            let message = String::from_utf8_lossy(&buffer[..length]);
            if message.lines().any(|found| found.starts_with(line)) {
                return;
            }
        }
    };
    command
        .env("CREDENTIALS_DIRECTORY", dir.path())
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "9000000");
    let service = Service::start(&mut command);
    hear("READY=1");
    hear("WATCHDOG=1");
    hear("STATUS=serves; the database answers");
    assert_eq!(service.stop(), Some(0));
    hear("STOPPING=1");

    // A credential that is empty is no secret.
    std::fs::write(dir.path().join("DATABASE_URL"), "\n").unwrap();
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(78), "{}", said(&output));
    assert!(
        said(&output).contains("credential DATABASE_URL is empty"),
        "{}",
        said(&output)
    );
}
