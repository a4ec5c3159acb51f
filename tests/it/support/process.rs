//! The real daemon as a process of its own, beside a sandbox in this one, both on one test clock.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use clock::{Clock as _, SystemClock, TestClock};
use fdms_sandbox::{DeviceSpec, RunningSandbox, Sandbox};
use tokio_util::sync::CancellationToken;

/// How long anything here may take before the test gives up; only a defect takes that long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A store in a folder, with its sandbox and its daemon.
pub(crate) struct Store {
    pub(crate) dir: PathBuf,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) sandbox: RunningSandbox,
    pub(crate) device_id: u32,
    pub(crate) token: String,
    pub(crate) address: SocketAddr,
    daemon: Option<Child>,
    runtime: tokio::runtime::Runtime,
}

impl Store {
    /// Starts a sandbox, sets a store up in `dir` with one registered till and a token for it.
    pub(crate) fn set_up(dir: &Path, device_id: u32) -> Self {
        Self::set_up_with(dir, DeviceSpec::new(device_id), "")
    }

    /// The same with a till that FDMS knows as `spec` says, and `more` at the end of the configuration.
    pub(crate) fn set_up_with(dir: &Path, spec: DeviceSpec, more: &str) -> Self {
        let device_id = spec.device_id;
        let clock = TestClock::new(SystemClock.wall());
        clock.serve(&dir.join("clock.sock")).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let sandbox = runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            Sandbox::builder()
                .clock(clock.clone())
                .device(spec.clone())
                .start(listener, None, CancellationToken::new())
                .await
                .unwrap()
        });
        let address = free_address();
        std::fs::write(dir.join("ca.pem"), sandbox.ca_pem()).unwrap();
        let config = format!(
            "[store]\ndata_dir = {:?}\n[api]\nlisten = \"{address}\"\n[fdms]\ntest_url = \"{}\"\nextra_ca = {:?}\n[log]\nlevel = \"warn\"\n{more}",
            dir.join("data"),
            sandbox.url(),
            dir.join("ca.pem"),
        );
        std::fs::write(dir.join("fiscald.toml"), config).unwrap();
        let mut store = Self {
            dir: dir.to_owned(),
            clock,
            sandbox,
            device_id,
            token: String::new(),
            address,
            daemon: None,
            runtime,
        };
        store.token = store.register(&spec);
        store
    }

    /// Another till, which FDMS is told of first; its token. The daemon does not run.
    pub(crate) fn add_till(&self, spec: DeviceSpec) -> String {
        self.sandbox.add_device(spec.clone()).unwrap();
        self.register(&spec)
    }

    /// Registers a till that FDMS knows; a token for it.
    fn register(&self, spec: &DeviceSpec) -> String {
        let id = spec.device_id.to_string();
        let key = self.dir.join("activation");
        std::fs::write(&key, &spec.activation_key).unwrap();
        let registered = self.fiscald(&[
            "register",
            "--yes",
            "--environment",
            "test",
            "--device-id",
            &id,
            "--serial-no",
            &spec.serial_no,
            "--activation-key-file",
            key.to_str().unwrap(),
        ]);
        assert!(registered.status.success(), "{registered:?}");
        let name = format!("till-{id}");
        let token = self.fiscald(&["token", "add", &name, "--device-id", &id]);
        assert!(token.status.success(), "{token:?}");
        let text = String::from_utf8(token.stdout).unwrap();
        text.split_whitespace().last().unwrap().to_owned()
    }

    /// Runs a command of the technician to its end.
    pub(crate) fn fiscald(&self, args: &[&str]) -> Output {
        self.fiscald_under("022", args)
    }

    /// The same where new files get all rights but those of `umask`.
    pub(crate) fn fiscald_under(&self, umask: &str, args: &[&str]) -> Output {
        self.fiscald_as(umask, args, &[])
    }

    /// The same with variables in its environment.
    pub(crate) fn fiscald_with(&self, args: &[&str], variables: &[(&str, &str)]) -> Output {
        self.fiscald_as("022", args, variables)
    }

    fn fiscald_as(&self, umask: &str, args: &[&str], variables: &[(&str, &str)]) -> Output {
        under(umask)
            .envs(variables.iter().copied())
            .arg("--config")
            .arg(self.dir.join("fiscald.toml"))
            .args(args)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Starts the daemon and waits until it takes sales.
    pub(crate) fn start(&mut self) {
        self.start_as("022", &[]);
    }

    /// The same where new files get all rights but those of `umask`.
    pub(crate) fn start_under(&mut self, umask: &str) {
        self.start_as(umask, &[]);
    }

    /// The same with variables in its environment.
    pub(crate) fn start_with(&mut self, variables: &[(&str, &str)]) {
        self.start_as("022", variables);
    }

    fn start_as(&mut self, umask: &str, variables: &[(&str, &str)]) {
        self.launch(umask, variables);
        assert!(self.is_ready(), "the daemon ended at its start");
    }

    /// Starts a daemon that may end itself: true once it takes sales, false if it has ended before.
    pub(crate) fn try_start(&mut self, variables: &[(&str, &str)]) -> bool {
        self.launch("022", variables);
        self.is_ready()
    }

    fn launch(&mut self, umask: &str, variables: &[(&str, &str)]) {
        let child = under(umask)
            .arg("--config")
            .arg(self.dir.join("fiscald.toml"))
            .arg("run")
            .arg("--test-clock")
            .arg(self.dir.join("clock.sock"))
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        self.daemon = Some(child);
    }

    fn is_ready(&mut self) -> bool {
        let started = SystemClock.boot();
        loop {
            let ready =
                Http::open(self.address).and_then(|mut http| http.get("/readyz", &self.token));
            if ready.is_ok_and(|answer| answer.status == 200) {
                return true;
            }
            if !self.is_alive() {
                return false;
            }
            assert!(
                SystemClock.boot() - started < PATIENCE,
                "the daemon is not ready"
            );
            std::thread::yield_now();
        }
    }

    /// Whether the daemon runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        let daemon = self.daemon.as_mut();
        daemon.is_some_and(|daemon| daemon.try_wait().unwrap().is_none())
    }

    /// Tells the daemon to stop, if it still runs, and how it has ended.
    pub(crate) fn end(&mut self) -> ExitStatus {
        let mut daemon = self.daemon.take().unwrap();
        if daemon.try_wait().unwrap().is_none() {
            let id = rustix::process::Pid::from_child(&daemon);
            // It may end itself in this very moment.
            let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        }
        daemon.wait().unwrap()
    }

    /// Waits for something of another task in this process.
    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// The daemon's number.
    pub(crate) fn pid(&self) -> u32 {
        self.daemon.as_ref().unwrap().id()
    }

    /// Sends the daemon a signal.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let daemon = self.daemon.as_ref().unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_child(daemon), signal).unwrap();
    }

    /// Waits for the daemon to end by itself, in order.
    pub(crate) fn ended(&mut self) {
        let ended = self.daemon.take().unwrap().wait().unwrap();
        assert!(ended.success(), "{ended:?}");
    }

    /// Kills the daemon at once, as a power cut does.
    pub(crate) fn kill(&mut self) {
        let mut daemon = self.daemon.take().unwrap();
        daemon.kill().unwrap();
        daemon.wait().unwrap();
    }

    /// Stops the daemon in order, as systemd does; its logs are whole then.
    pub(crate) fn stop(&mut self) {
        let mut daemon = self.daemon.take().unwrap();
        let id = rustix::process::Pid::from_child(&daemon);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        assert!(daemon.wait().unwrap().success());
    }

    /// The ledger's file.
    pub(crate) fn ledger(&self) -> PathBuf {
        self.dir.join("data/ledger.db")
    }

    /// A reader of the ledger.
    pub(crate) fn reader(&self) -> fiscald::ledger::Reader {
        fiscald::ledger::Reader::new(&self.ledger())
    }

    /// The till's row.
    pub(crate) fn till(&self) -> fiscald::ledger::TillInfo {
        self.reader().tills().unwrap().remove(0)
    }

    /// Lets time pass until FDMS has taken everything of every till.
    pub(crate) fn drain(&self) {
        let (reader, mut progress) = (self.reader(), SystemClock.boot());
        for till in reader.tills().unwrap() {
            let mut left = u32::MAX;
            loop {
                let now = reader.backlog(till.id).unwrap().total();
                if now == 0 {
                    break;
                }
                if now < left {
                    (left, progress) = (now, SystemClock.boot());
                }
                self.clock.advance(Duration::from_secs(1));
                let (state, item) = reader.stream(till.id).unwrap();
                assert!(
                    SystemClock.boot() - progress < PATIENCE && state.parked.is_none(),
                    "the queue does not drain: {state:?} {item:?}"
                );
                std::thread::yield_now();
            }
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if self.daemon.is_some() {
            self.kill();
        }
        // Ends the sandbox's tasks.
        let _guard = self.runtime.enter();
    }
}

/// The program, under a umask.
fn under(umask: &str) -> Command {
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(format!("umask {umask}; exec \"$0\" \"$@\""))
        .arg(env!("CARGO_BIN_EXE_fiscald"));
    command
}

/// A port that nobody uses at the moment.
pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

/// An answer over HTTP.
pub(crate) struct HttpAnswer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl HttpAnswer {
    /// A member of the answer's JSON, as text.
    pub(crate) fn member(&self, name: &str) -> String {
        let json: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        match &json[name] {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }
}

/// A kept-alive connection of a simple till.
pub(crate) struct Http(BufReader<TcpStream>);

impl Http {
    pub(crate) fn open(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    pub(crate) fn get(&mut self, path: &str, token: &str) -> std::io::Result<HttpAnswer> {
        self.request("GET", path, token, "")
    }

    pub(crate) fn post(
        &mut self,
        path: &str,
        token: &str,
        body: &str,
    ) -> std::io::Result<HttpAnswer> {
        self.request("POST", path, token, body)
    }

    fn request(
        &mut self,
        method: &str,
        path: &str,
        token: &str,
        body: &str,
    ) -> std::io::Result<HttpAnswer> {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.0.get_mut().write_all(request.as_bytes())?;
        self.answer()
    }

    fn answer(&mut self) -> std::io::Result<HttpAnswer> {
        let broken = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(broken)?;
        let mut length = 0;
        loop {
            line.clear();
            if self.0.read_line(&mut line)? == 0 {
                return Err(broken());
            }
            let header = line.trim().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse().map_err(|_| broken())?;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        Ok(HttpAnswer {
            status,
            body: String::from_utf8(body).map_err(|_| broken())?,
        })
    }
}
