//! The player of scenarios: a store with its API, an FDMS, and steps read from a file.

use std::path::PathBuf;
use std::time::Duration;

use fdms_sandbox::{DeviceChange, Fault};
use fiscald::api::{Api, ApiSettings};
use fiscald::ledger::Seq;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::api::{Answer, Ask, sale, whole};
use super::pass::pass_until;
use super::store::{House, Plan};

/// A scenario: its title and its steps, each with its line.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    pub(crate) title: String,
    steps: Vec<Step>,
}

/// A step and what is expected of it.
#[derive(Debug, Clone)]
struct Step {
    line: usize,
    text: String,
    expected: Vec<(usize, String)>,
}

/// Reads a file. A title `== title for X in A B C` is played for each word, with `$X` replaced.
pub(crate) fn read(text: &str) -> Vec<Scenario> {
    let mut scenarios: Vec<Scenario> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        if let Some(title) = line.strip_prefix("== ") {
            scenarios.push(Scenario {
                title: title.to_owned(),
                steps: Vec::new(),
            });
            continue;
        }
        let scenario = scenarios.last_mut().expect("a title comes first");
        if line.starts_with(' ') {
            let step = scenario.steps.last_mut().expect("a step comes first");
            step.expected.push((number, trimmed.to_owned()));
        } else {
            scenario.steps.push(Step {
                line: number,
                text: trimmed.to_owned(),
                expected: Vec::new(),
            });
        }
    }
    scenarios.iter().flat_map(repeated).collect()
}

fn repeated(scenario: &Scenario) -> Vec<Scenario> {
    let Some((title, loop_of)) = scenario.title.rsplit_once(" for ") else {
        return vec![scenario.clone()];
    };
    let Some((name, words)) = loop_of.split_once(" in ") else {
        return vec![scenario.clone()];
    };
    let replaced = |text: &str, word: &str| text.replace(&format!("${name}"), word);
    let with = |word: &str| Scenario {
        title: format!("{title} ({word})"),
        steps: scenario
            .steps
            .iter()
            .map(|step| Step {
                line: step.line,
                text: replaced(&step.text, word),
                expected: step
                    .expected
                    .iter()
                    .map(|(line, text)| (*line, replaced(text, word)))
                    .collect(),
            })
            .collect(),
    };
    words.split_whitespace().map(with).collect()
}

/// Plays a scenario; the error names the line and what was found.
pub(crate) async fn play(scenario: &Scenario) -> Result<(), String> {
    let mut stage = Stage::set().await;
    for step in &scenario.steps {
        let found = stage.step(&step.text).await;
        let found =
            found.map_err(|error| format!("line {}: {} — {error}", step.line, step.text))?;
        for (line, expected) in &step.expected {
            expect(&found, expected)
                .map_err(|error| format!("line {line}: {expected} — {error}"))?;
        }
    }
    Ok(())
}

/// What a step came to: a status, and a document to look at.
struct Found {
    status: u16,
    document: Value,
}

impl Found {
    fn nothing() -> Self {
        Self {
            status: 0,
            document: Value::Null,
        }
    }
}

/// `status 409`, `/pointer = json`, `/pointer ~ text`, `/pointer is there`, `/pointer is absent`, `/pointer has N`.
fn expect(found: &Found, expected: &str) -> Result<(), String> {
    if let Some(status) = expected.strip_prefix("status ") {
        let is_it = found.status.to_string() == status;
        return is_it
            .then_some(())
            .ok_or_else(|| format!("it is {}: {}", found.status, found.document));
    }
    let (pointer, rest) = expected.split_once(' ').unwrap_or((expected, ""));
    let value = found.document.pointer(pointer);
    let shown = || match value {
        Some(value) => format!("it is {value}"),
        None => format!("it is not in {}", found.document),
    };
    let is_so = if let Some(json) = rest.strip_prefix("= ") {
        let wanted: Value = serde_json::from_str(json).map_err(|error| error.to_string())?;
        value == Some(&wanted)
    } else if let Some(text) = rest.strip_prefix("~ ") {
        value
            .and_then(Value::as_str)
            .is_some_and(|value| value.contains(text))
    } else if let Some(count) = rest.strip_prefix("has ") {
        value
            .and_then(Value::as_array)
            .is_some_and(|rows| rows.len().to_string() == count)
    } else {
        match rest {
            "is there" => value.is_some(),
            "is absent" => value.is_none(),
            _ => return Err("what is expected is not understood".to_owned()),
        }
    };
    is_so.then_some(()).ok_or_else(shown)
}

/// A store with its API.
struct Stage {
    house: House,
    address: std::net::SocketAddr,
    serving: Option<(JoinHandle<()>, DropGuard)>,
    sales: u32,
    backup: Option<PathBuf>,
}

impl Stage {
    async fn set() -> Self {
        let mut stage = Self {
            house: House::build(Plan::default()).await,
            address: ([127, 0, 0, 1], 0).into(),
            serving: None,
            sales: 0,
            backup: None,
        };
        stage
            .house
            .ledger()
            .write(|core| core.add_token("all", None, "all", "setup"))
            .await
            .unwrap();
        stage.serve().await;
        stage
    }

    async fn serve(&mut self) {
        let stop = CancellationToken::new();
        let (ledger, submitter) = (self.house.ledger().clone(), self.house.submitter().clone());
        let devices = fiscald::api::Devices::default();
        let api = Api::new(
            ledger,
            submitter,
            devices,
            ApiSettings::default(),
            stop.clone(),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        self.address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move { api.serve_tcp(listener).await });
        self.serving = Some((task, stop.drop_guard()));
    }

    async fn stop(&mut self) {
        if let Some((task, stop)) = self.serving.take() {
            drop(stop);
            task.await.unwrap();
        }
        self.house.stop().await;
    }

    async fn start(&mut self) {
        self.house.start();
        self.serve().await;
    }

    fn device(&self) -> u32 {
        self.house.till(0).number()
    }

    async fn ask(&self, method: &'static str, path: &str, body: &str) -> Answer {
        let ask = Ask {
            method,
            path: path.to_owned(),
            headers: vec![("content-type", "application/json".to_owned())],
            body: body.as_bytes().to_vec(),
        };
        let stream = TcpStream::connect(self.address).await.unwrap();
        whole(ask.token("all").over(stream).await).await
    }

    async fn asked(&self, method: &'static str, rest: &str) -> Found {
        let (path, body) = rest.split_once(' ').unwrap_or((rest, ""));
        let answer = self.ask(method, path, body).await;
        Found {
            status: answer.status,
            document: serde_json::from_slice(&answer.body).unwrap_or(Value::Null),
        }
    }

    async fn sell(&mut self, path: &str) -> Found {
        self.sales += 1;
        let sale = sale(&format!("X{}", self.sales));
        let answer = self.ask("POST", path, &sale).await;
        Found {
            status: answer.status,
            document: serde_json::from_slice(&answer.body).unwrap_or(Value::Null),
        }
    }

    async fn step(&mut self, text: &str) -> Result<Found, String> {
        let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
        match verb {
            "GET" => return Ok(self.asked("GET", rest).await),
            "POST" => return Ok(self.asked("POST", rest).await),
            "sale" => return Ok(self.sell("/v1/receipts").await),
            "sell" => return self.sell_many(rest).await,
            "close" => return self.done("POST", "/v1/days/close", 200).await,
            "open" => return self.done("POST", "/v1/days/open", 201).await,
            "fdms" => return self.at_fdms(rest),
            "events" => return self.events(rest),
            _ => {}
        }
        self.act(verb, rest).await.map(|()| Found::nothing())
    }

    /// Lets time pass until there are so many events of a kind; one if no number is given.
    async fn wait(&self, what: &str) -> Result<(), String> {
        let (kind, count) = what.split_once(' ').unwrap_or((what, "1"));
        let count: usize = count.parse().map_err(|_| format!("{count} is no number"))?;
        pass_until(&self.house, Duration::from_secs(60), what, |house| {
            let reader = house.ledger().reader();
            let events = reader.events(Seq(0), None, 10_000).unwrap_or_default();
            events.iter().filter(|event| event.kind == kind).count() >= count
        })
        .await;
        Ok(())
    }

    /// Steps that only do something.
    async fn act(&mut self, verb: &str, rest: &str) -> Result<(), String> {
        let house = &self.house;
        match verb {
            "drain" => house.drain().await,
            "sent" => {
                let minute = Duration::from_secs(60);
                pass_until(house, minute, "everything is sent", |house| {
                    house.stream(0).1.is_none() || house.stream(0).0.parked.is_some()
                })
                .await;
            }
            "wait" => self.wait(rest).await?,
            "later" => house.advance(duration(rest)?),
            "pass" => house.pass(duration(rest)?).await,
            "fault" => {
                let fault: Fault = json(rest)?;
                house.sandbox.add_fault(fault);
            }
            "no-faults" => house.sandbox.clear_faults(),
            "settings" => {
                let mut all = serde_json::to_value(house.sandbox.settings()).unwrap();
                merge(&mut all, json(rest)?);
                house
                    .sandbox
                    .set_settings(serde_json::from_value(all).map_err(|e| e.to_string())?);
            }
            "device" => {
                let change: DeviceChange = json(rest)?;
                let changed = house.sandbox.change_device(self.device(), change);
                changed.map_err(|error| error.to_string())?;
            }
            "wall" => {
                let ahead = jiff::SignedDuration::try_from(duration(rest)?);
                house.set_wall(ahead.map_err(|error| error.to_string())?);
            }
            "asked" => {
                let call: fdms_sandbox::Call = json(&format!("\"{rest}\""))?;
                let device = self.device();
                let before = house.sandbox.request_count(device, call);
                let minute = Duration::from_secs(60);
                pass_until(house, minute, rest, |house| {
                    house.sandbox.request_count(device, call) > before
                })
                .await;
            }
            "offline" => house.sandbox.set_offline(true),
            "online" => house.sandbox.set_offline(false),
            "by-hand" => told(house.sandbox.close_by_hand(self.device()), "no day is open")?,
            "lose" => {
                let no = rest.parse().map_err(|_| "lose a number".to_owned())?;
                told(
                    house.sandbox.lose_receipt(self.device(), no),
                    "it is not there",
                )?;
            }
            "restart" => {
                self.stop().await;
                self.start().await;
            }
            "backup" => {
                self.stop().await;
                let copy = self.house.path().with_extension("backup");
                std::fs::copy(self.house.path(), &copy).unwrap();
                self.backup = Some(copy);
                self.start().await;
            }
            "put-back" => self.put_back().await?,
            "agree" => self.agree()?,
            _ => return Err("no such step".to_owned()),
        }
        Ok(())
    }

    async fn sell_many(&mut self, rest: &str) -> Result<Found, String> {
        let count: u32 = if rest.is_empty() {
            1
        } else {
            rest.parse().map_err(|_| "how many?")?
        };
        let mut last = Found::nothing();
        for _ in 0..count {
            last = self.sell("/v1/receipts").await;
            if last.status != 201 {
                return Err(format!(
                    "selling stopped: {} {}",
                    last.status, last.document
                ));
            }
            self.house.advance(Duration::from_secs(1));
        }
        Ok(last)
    }

    async fn done(&self, method: &'static str, path: &str, status: u16) -> Result<Found, String> {
        let found = self.asked(method, path).await;
        if found.status == status {
            return Ok(found);
        }
        Err(format!("{} {}", found.status, found.document))
    }

    async fn put_back(&mut self) -> Result<(), String> {
        let Some(backup) = self.backup.clone() else {
            return Err("nothing was backed up".to_owned());
        };
        self.stop().await;
        let ledger = self.house.path();
        for ending in ["db-wal", "db-shm"] {
            // They are there or not, as SQLite left them.
            let _ = std::fs::remove_file(ledger.with_extension(ending));
        }
        std::fs::remove_file(&ledger).unwrap();
        std::fs::copy(backup, &ledger).unwrap();
        self.start().await;
        Ok(())
    }

    /// What is at FDMS: `days`, `receipts`, `summary`, `files`, `requests CALL`.
    fn at_fdms(&self, what: &str) -> Result<Found, String> {
        let (sandbox, device) = (&self.house.sandbox, self.device());
        let value = match what.split_once(' ').unwrap_or((what, "")) {
            ("days", _) => serde_json::to_value(sandbox.days(device)),
            ("receipts", _) => serde_json::to_value(sandbox.receipts(device)),
            ("summary", _) => serde_json::to_value(sandbox.summary(device)),
            ("files", _) => serde_json::to_value(sandbox.files(device)),
            ("violations", _) => serde_json::to_value(sandbox.schema_violations()),
            ("requests", call) => {
                let call = serde_json::from_value(Value::String(call.to_owned()));
                let call = call.map_err(|error| error.to_string())?;
                serde_json::to_value(
                    serde_json::json!({ "count": sandbox.request_count(device, call) }),
                )
            }
            _ => return Err("FDMS is not asked that".to_owned()),
        };
        Ok(Found {
            status: 0,
            document: value.map_err(|error| error.to_string())?,
        })
    }

    /// The events of a kind, oldest first, as they are told.
    fn events(&self, kind: &str) -> Result<Found, String> {
        let reader = self.house.ledger().reader();
        let events = reader
            .events(Seq(0), None, 10_000)
            .map_err(|error| error.to_string())?;
        let events = events.iter().filter(|event| event.kind == kind);
        let told = events.map(|event| {
            let detail = event.detail.clone().unwrap_or_default();
            serde_json::from_str(&detail).unwrap_or(Value::String(detail))
        });
        Ok(Found {
            status: 0,
            document: serde_json::json!({ "events": told.collect::<Vec<Value>>() }),
        })
    }

    /// FDMS has everything, once and unmarked, its days were closed by the device, and nothing was against its schema.
    fn agree(&self) -> Result<(), String> {
        let mut wrong = self.house.disagreements();
        wrong.extend(self.house.open_days_at_fdms(0));
        wrong.extend(self.house.sandbox.schema_violations());
        told(wrong.is_empty(), &wrong.join("; "))
    }
}

fn told(is_so: bool, otherwise: &str) -> Result<(), String> {
    is_so.then_some(()).ok_or_else(|| otherwise.to_owned())
}

fn json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// `90s`, `15m`, `2h`, `3d`.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("\"{text}\" is no time like 15m");
    let (number, unit) = text
        .split_at_checked(text.len().saturating_sub(1))
        .ok_or_else(wrong)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    Ok(Duration::from_secs(number * seconds))
}

fn merge(all: &mut Value, changes: Value) {
    let (Value::Object(all), Value::Object(changes)) = (all, changes) else {
        return;
    };
    all.extend(changes);
}
