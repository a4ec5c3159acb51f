//! How the service reaches people outside: mail over SMTP, and which addresses webhooks may have.

use secrecy::SecretString;

pub(crate) mod mail;

/// Settings of what goes out.
#[derive(Debug, Clone, Default)]
pub struct Outbound {
    /// `HQ_SMTP_URL`: `smtps://user:password@mail.example`, `smtp://mail.example:587?tls=required`. None: no mail is sent.
    pub smtp_url: Option<SecretString>,
    /// `HQ_SMTP_FROM`: whom mail is from.
    pub smtp_from: Option<String>,
    /// `HQ_WEBHOOK_PRIVATE=1`: webhooks may go to addresses of private networks and without TLS. Off: a tenant could reach what
    /// stands behind the service's own firewall.
    pub webhooks_to_private: bool,
}

impl Outbound {
    /// Whether mail can be sent.
    #[must_use]
    pub const fn sends_mail(&self) -> bool {
        self.smtp_url.is_some() && self.smtp_from.is_some()
    }

    /// From the environment, as `read` gives it.
    #[must_use]
    pub fn from_env(read: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| read(name).filter(|value| !value.is_empty());
        Self {
            smtp_url: set("HQ_SMTP_URL").map(SecretString::from),
            smtp_from: set("HQ_SMTP_FROM"),
            webhooks_to_private: set("HQ_WEBHOOK_PRIVATE").as_deref() == Some("1"),
        }
    }
}
