//! Webhooks: JSON, signed, to addresses of the public internet alone.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::Url;
use reqwest::redirect::Policy;
use serde_json::json;
use sha2::Sha256;
use uuid::Uuid;

use super::deliver::{Channel, Message};
use crate::db::TenantId;
use crate::hq::Hq;
use crate::keys::SealedBytes;

/// The header that carries the signature: `t=SECONDS,v1=HEX`, HMAC-SHA256 over `SECONDS.BODY`.
const SIGNATURE: &str = "fiscal-hq-signature";
/// How long a receiver may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// To what a channel's secret is bound when it is sealed.
pub(crate) fn place(tenant: TenantId, channel: Uuid) -> String {
    format!("alert channel {tenant} {channel}")
}

/// Reads an address that a webhook may have.
///
/// # Errors
/// Why not, a sentence.
pub(super) fn address(target: &str, private: bool) -> Result<Url, String> {
    let url = Url::parse(target)
        .map_err(|_| "this is no address like https://example.com/hook".to_owned())?;
    let good = url.scheme() == "https" || (private && url.scheme() == "http");
    if !good {
        return Err("a webhook's address begins with https://".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("there is a password in the address; messages are signed instead".to_owned());
    }
    if url.host_str().is_none() {
        return Err("the address has no host".to_owned());
    }
    Ok(url)
}

/// Whether an address is reachable from everywhere: not of a private network, this machine, or a special range.
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [first, second, third, _] = v4.octets();
            let special = v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_multicast()
                || v4.is_broadcast()
                || v4.is_documentation()
                || first == 0
                || first >= 240
                || (first == 100 && (64..128).contains(&second))
                || (first == 192 && second == 0 && third == 0)
                || (first == 198 && (second == 18 || second == 19));
            !special
        }
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v6(v6: Ipv6Addr) -> bool {
    let first = v6.segments()[0];
    // Global unicast, without documentation, Teredo and 6to4, which hide an IPv4 address.
    (0x2000..0x4000).contains(&first)
        && !(first == 0x2001 && v6.segments()[1] == 0x0db8)
        && !(first == 0x2001 && v6.segments()[1] == 0)
        && first != 0x2002
}

/// Sends a message.
pub(super) async fn send(hq: &Hq, channel: &Channel, message: &Message) -> Result<(), String> {
    let private = hq.outbound.webhooks_to_private;
    let url = address(&channel.target, private)?;
    let host = url.host_str().unwrap_or_default().to_owned();
    let places = resolve(&url, private).await?;
    // Asked at the very addresses that were looked at: a name that answers otherwise the second time leads nowhere.
    let client = reqwest::Client::builder()
        .redirect(Policy::none())
        .timeout(PATIENCE)
        .no_proxy()
        .resolve_to_addrs(&host, &places)
        .build()
        .map_err(|error| format!("no connection can be made: {error}"))?;
    let body = body(message);
    let seconds = hq.now().as_second();
    let mut request = client
        .post(url)
        .header("content-type", "application/json")
        .header("user-agent", "fiscal-hq")
        .header("fiscal-hq-event", &message.event)
        .header("fiscal-hq-delivery", &message.id);
    if let Some(secret) = &channel.secret {
        let place = place(message.tenant, channel.id);
        let sealed = SealedBytes::unpack(secret).map_err(|error| error.to_string())?;
        let secret = hq
            .keys
            .open(&place, &sealed)
            .map_err(|error| error.to_string())?;
        let signature = sign(&secret, seconds, &body);
        request = request.header(SIGNATURE, format!("t={seconds},v1={signature}"));
    }
    let answer = request.body(body).send().await;
    // The address may hold what its owner takes for a secret: it is not in the error.
    let answer = answer.map_err(|error| format!("no answer: {}", error.without_url()))?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    Err(format!("the receiver has answered {status}"))
}

async fn resolve(url: &Url, private: bool) -> Result<Vec<SocketAddr>, String> {
    let port = url.port_or_known_default().unwrap_or(443);
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let found = tokio::time::timeout(PATIENCE, tokio::net::lookup_host((bare, port))).await;
    let found = found.map_err(|_| format!("the name {host} is not answered"))?;
    let places: Vec<_> = found
        .map_err(|error| format!("the name {host} is not known: {error}"))?
        .collect();
    if places.is_empty() {
        return Err(format!("the name {host} has no address"));
    }
    if !private && places.iter().any(|place| !is_public(place.ip())) {
        return Err(format!(
            "{host} is of a private network, where no webhook goes; whoever runs this service may allow it with \
             HQ_WEBHOOK_PRIVATE=1"
        ));
    }
    Ok(places)
}

fn body(message: &Message) -> String {
    json!({
        "id": message.id,
        "event": message.event,
        "tenant_id": message.tenant,
        "tenant": message.tenant_name,
        "at": message.at,
        "alert": message.alert,
    })
    .to_string()
}

/// HMAC-SHA256 over `SECONDS.BODY`, hex.
pub(super) fn sign(secret: &[u8], seconds: i64, body: &str) -> String {
    // Keys of any length are taken.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else {
        return String::new();
    };
    mac.update(format!("{seconds}.").as_bytes());
    mac.update(body.as_bytes());
    let code = mac.finalize().into_bytes();
    code.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nothing behind a firewall is reached, however its address is written.
    #[test]
    fn private_addresses() {
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "198.18.0.1",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:db8::1",
            "2001::1",
            "ff02::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
        for public in ["196.1.1.1", "8.8.8.8", "2606:4700::1"] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    /// TLS, no password in the address.
    #[test]
    fn addresses() {
        assert!(address("https://example.com/hook?x=1", false).is_ok());
        assert!(address("http://example.com/hook", true).is_ok());
        for bad in [
            "http://example.com",
            "ftp://example.com",
            "https://a:b@example.com",
            "x",
            "https://",
        ] {
            assert!(address(bad, false).is_err(), "{bad}");
        }
    }

    /// The same as another implementation makes of it.
    #[test]
    fn signatures() {
        let once = sign(b"Jefe", 1, "what do ya want for nothing?");
        assert_eq!(
            once,
            "a9049465ce89cfb8e9aac62333abda66f80e3403f51f57f6bae3c3a4485eca38"
        );
        assert_ne!(once, sign(b"Jefe", 2, "what do ya want for nothing?"));
        assert_ne!(once, sign(b"jefe", 1, "what do ya want for nothing?"));
    }
}
