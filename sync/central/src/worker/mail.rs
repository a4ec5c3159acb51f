//! Alerts as mail.

use super::deliver::{Channel, Message};
use crate::hq::Hq;
use crate::outbound::mail::{self, Mail};

/// Sends a message.
pub(super) async fn send(hq: &Hq, channel: &Channel, message: &Message) -> Result<(), String> {
    let mail = Mail {
        to: mail::address(&channel.target)?,
        subject: message.title(),
        id: format!("{}.{}", message.id, channel.id),
        body: body(message, &hq.public_url),
    };
    mail::send(&hq.outbound, mail).await
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
