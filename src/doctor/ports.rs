//! The gateway's own ports. What it has open itself it answers on; without it they must be free.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::gateway::Running;
use super::{Area, Finding};
use crate::config::Config;
use crate::lan::is_here;

/// The longest that an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// The setting of the port for other machines, whose address may come and go with the network.
const LAN: &str = "api.lan.listen";

/// Looks at every port of `[api]`.
pub(super) async fn look(config: &Config, running: Running, found: &mut Vec<Finding>) {
    let api = &config.api;
    let tcp = [
        ("api.listen", Some(api.listen)),
        ("api.lines_listen", api.lines_listen),
        (LAN, api.lan.as_ref().map(|lan| lan.listen)),
    ];
    for (setting, address) in tcp {
        let Some(address) = address else { continue };
        let is_away = setting == LAN && !is_here(address);
        let finding = match running {
            Running::Yes | Running::No if is_away => away(),
            Running::No => free(address, "api_port_taken"),
            Running::Yes if setting == "api.listen" => answers(address).await,
            Running::Yes => connects(address).await,
            Running::Silent => Finding::skipped(Area::Ports, "the gateway does not answer"),
        };
        found.push(finding.about(format!("{setting} {address}")));
    }
    for (setting, path) in [
        ("api.socket", Some(config.socket_path())),
        ("api.lines_socket", api.lines_socket.clone()),
    ] {
        if let Some(path) = path
            && let Some(finding) = socket(&path, running)
        {
            found.push(finding.about(setting));
        }
    }
}

fn away() -> Finding {
    Finding::fault(
        Area::Ports,
        "lan_address_away",
        "no interface of this machine has this address, so no till on another machine can come in",
        "Look at cable and router, and with `ip address` whether the network has given this machine another address. The gateway \
         listens ahead: as soon as the address is there, it answers.",
    )
}

/// Whether an address can be listened on.
pub(super) fn free(address: SocketAddr, taken: &'static str) -> Finding {
    let error = match TcpListener::bind(address) {
        Ok(_) => return Finding::ok(Area::Ports, "free for the gateway"),
        Err(error) => error,
    };
    match error.kind() {
        std::io::ErrorKind::AddrInUse => Finding::fault(
            Area::Ports,
            taken,
            "another program has this port",
            format!(
                "`ss -ltnp 'sport = :{}'` shows which; stop it, or give the gateway another port",
                address.port()
            ),
        ),
        std::io::ErrorKind::PermissionDenied => Finding::fault(
            Area::Ports,
            "port_forbidden",
            "this user may not listen on it",
            "Take a port above 1023.",
        ),
        _ => Finding::fault(
            Area::Ports,
            "port_unusable",
            error.to_string(),
            "Take an address of this machine: `ip address` shows them.",
        ),
    }
}

async fn connects(address: SocketAddr) -> Finding {
    match timeout(PATIENCE, TcpStream::connect(address)).await {
        Ok(Ok(_)) => Finding::ok(Area::Ports, "open"),
        Ok(Err(_)) | Err(_) => shut(),
    }
}

fn shut() -> Finding {
    Finding::fault(
        Area::Ports,
        "api_port_shut",
        "the gateway runs, and nobody answers here",
        "The gateway runs with another configuration than this one, or was started before it was changed: restart it.",
    )
}

/// Whether it is the gateway that answers.
async fn answers(address: SocketAddr) -> Finding {
    let asked = async {
        let mut stream = TcpStream::connect(address).await?;
        let question = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(question).await?;
        let mut answer = Vec::new();
        stream.take(4096).read_to_end(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    match timeout(PATIENCE, asked).await {
        Ok(Ok(answer)) if answer.starts_with(b"HTTP/1.1 200") => {
            Finding::ok(Area::Ports, "the gateway answers")
        }
        Ok(Ok(_)) => Finding::fault(
            Area::Ports,
            "api_port_taken",
            "something other than the gateway answers here",
            format!(
                "`ss -ltnp 'sport = :{}'` shows what; stop it, or give the gateway another port",
                address.port()
            ),
        ),
        Ok(Err(_)) | Err(_) => shut(),
    }
}

/// Anything in the place of a socket that is none keeps the gateway from starting.
fn socket(path: &Path, running: Running) -> Option<Finding> {
    let found = std::fs::symlink_metadata(path).ok()?;
    if found.file_type().is_socket() {
        return (running == Running::Yes).then(|| Finding::ok(Area::Ports, "the gateway answers"));
    }
    Some(Finding::fault(
        Area::Ports,
        "socket_no_socket",
        format!("{} is there and is no socket", path.display()),
        "Name another path in [api], or move what is there away.",
    ))
}
