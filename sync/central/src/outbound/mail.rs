//! Mail over SMTP.

use std::time::Duration;

use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use secrecy::ExposeSecret as _;

use super::Outbound;

/// How long the mail server may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A mail.
#[derive(Debug)]
pub(crate) struct Mail {
    /// Whom it is for.
    pub(crate) to: Mailbox,
    /// What it is about.
    pub(crate) subject: String,
    /// The same for each try, so that a mail server may tell that it has it.
    pub(crate) id: String,
    /// What it says.
    pub(crate) body: String,
}

/// Reads an address that mail goes to.
///
/// # Errors
/// Why not, a sentence.
pub(crate) fn address(target: &str) -> Result<Mailbox, String> {
    let mailbox: Result<Mailbox, _> = target.parse();
    mailbox.map_err(|_| "this is no address like name@example.com".to_owned())
}

/// Sends a mail.
///
/// # Errors
/// Why it was not taken, a sentence without the server's password.
pub(crate) async fn send(settings: &Outbound, mail: Mail) -> Result<(), String> {
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
        .to(mail.to)
        .subject(mail.subject)
        .message_id(Some(format!("<{}@fiscal-hq>", mail.id)))
        .header(ContentType::TEXT_PLAIN)
        .body(mail.body)
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
