//! Mail over SMTP.

use std::time::Duration;

use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use secrecy::ExposeSecret as _;

use super::deliver::{Channel, Message};
use crate::hq::Hq;

/// How long the mail server may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Reads an address that mail goes to.
///
/// # Errors
/// Why not, a sentence.
pub(super) fn address(target: &str) -> Result<Mailbox, String> {
    let mailbox: Result<Mailbox, _> = target.parse();
    mailbox.map_err(|_| "this is no address like name@example.com".to_owned())
}

/// Sends a message.
pub(super) async fn send(hq: &Hq, channel: &Channel, message: &Message) -> Result<(), String> {
    let settings = &hq.outbound;
    let (Some(url), Some(from)) = (&settings.smtp_url, &settings.smtp_from) else {
        return Err(
            "this service sends no mail: whoever runs it sets HQ_SMTP_URL and HQ_SMTP_FROM"
                .to_owned(),
        );
    };
    let from: Mailbox = from
        .parse()
        .map_err(|_| "HQ_SMTP_FROM is no address".to_owned())?;
    let mail = lettre::Message::builder()
        .from(from)
        .to(address(&channel.target)?)
        .subject(message.title())
        .message_id(Some(format!("<{}.{}@fiscal-hq>", message.id, channel.id)))
        .header(ContentType::TEXT_PLAIN)
        .body(body(message, &hq.public_url))
        .map_err(|error| format!("the mail cannot be written: {error}"))?;
    // What is wrong with the address is not told further: there is a password in it.
    let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.expose_secret())
        .map_err(|_| "HQ_SMTP_URL is no address of a mail server".to_owned())?
        .timeout(Some(PATIENCE))
        .build();
    let sent = tokio::time::timeout(PATIENCE, transport.send(mail)).await;
    let sent = sent.map_err(|_| "the mail server takes too long".to_owned())?;
    sent.map_err(|error| format!("the mail server has not taken it: {error}"))?;
    Ok(())
}

fn body(message: &Message, public_url: &str) -> String {
    let Some(alert) = &message.alert else {
        return format!(
            "This is a test message of {}: alerts of {} arrive here.\r\n\r\n{public_url}\r\n",
            "fiscal-hq", message.tenant_name
        );
    };
    let when = |at: clock::Timestamp| clock::local(at).strftime("%Y-%m-%d %H:%M").to_string();
    let ended = alert
        .ended_at
        .filter(|_| message.event == "alert.ended")
        .map(|at| format!("\r\nEnded: {}", when(at)));
    format!(
        "{}\r\n\r\n{} ({}), {}\r\nSince: {}{}\r\n\r\n{public_url}\r\n",
        alert.detail,
        alert.kind,
        alert.severity,
        alert.subject,
        when(alert.since),
        ended.unwrap_or_default()
    )
}
