//! Users of a taxpayer's tills, and what was mailed to them (docs/FDMS.md section 10).

use std::fmt;
use std::num::NonZeroU32;

use aws_lc_rs::pbkdf2;
use jiff::civil::DateTime;
use serde::Serialize;

/// Rounds of the password hash: it is not to be read, not to resist anybody.
const ROUNDS: NonZeroU32 = NonZeroU32::MIN.saturating_add(999);

/// The states of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize)]
#[expect(missing_docs, reason = "the authority's own names, which say it all")]
pub enum UserStatus {
    #[default]
    NotConfirmed,
    Active,
    Blocked,
}

/// How a security code reaches a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[expect(missing_docs, reason = "the authority's own names, which say it all")]
pub enum Channel {
    #[default]
    Email,
    PhoneNo,
}

impl Channel {
    pub(crate) const NAMES: [(&'static str, Self); 2] =
        [("Email", Self::Email), ("PhoneNo", Self::PhoneNo)];
}

/// What a security code is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum CodePurpose {
    /// ConfirmUser: sent to the taxpayer.
    ConfirmUser,
    /// ConfirmContact: sent to the contact that is to be confirmed.
    ConfirmContact,
    /// ConfirmPasswordReset: sent to the user.
    ResetPassword,
}

/// A security code that was sent and not used yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SentCode {
    pub(crate) purpose: CodePurpose,
    pub(crate) channel: Channel,
    pub(crate) code: String,
    pub(crate) recipient: String,
}

/// A password, of which only the hash is kept.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Password {
    salt: [u8; 16],
    hash: [u8; 32],
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

impl Password {
    pub(crate) fn new(text: &str, salt: [u8; 16]) -> Self {
        let mut hash = [0; 32];
        let kind = pbkdf2::PBKDF2_HMAC_SHA256;
        pbkdf2::derive(kind, ROUNDS, &salt, text.as_bytes(), &mut hash);
        Self { salt, hash }
    }

    pub(crate) fn is(&self, text: &str) -> bool {
        let kind = pbkdf2::PBKDF2_HMAC_SHA256;
        pbkdf2::verify(kind, ROUNDS, &self.salt, text.as_bytes(), &self.hash).is_ok()
    }
}

/// A user of a taxpayer's tills.
#[derive(Debug, Clone, Default)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) person_name: String,
    pub(crate) person_surname: String,
    pub(crate) role: String,
    pub(crate) status: UserStatus,
    /// Confirmed contacts.
    pub(crate) email: Option<String>,
    pub(crate) phone_no: Option<String>,
    /// None until the user is confirmed.
    pub(crate) password: Option<Password>,
    pub(crate) codes: Vec<SentCode>,
}

impl User {
    /// The confirmed contact of a channel.
    pub(crate) fn contact(&self, channel: Channel) -> Option<&String> {
        match channel {
            Channel::Email => self.email.as_ref(),
            Channel::PhoneNo => self.phone_no.as_ref(),
        }
    }

    /// Keeps a code in the place of the one before it.
    pub(crate) fn expect_code(&mut self, sent: SentCode) {
        let same =
            |known: &SentCode| known.purpose == sent.purpose && known.channel == sent.channel;
        self.codes.retain(|known| !same(known));
        self.codes.push(sent);
    }

    /// Whether something was sent for this purpose on this channel and waits to be confirmed.
    pub(crate) fn expects(&self, purpose: CodePurpose, channel: Channel) -> bool {
        let mut codes = self.codes.iter();
        codes.any(|sent| sent.purpose == purpose && sent.channel == channel)
    }

    /// Uses a code up, if it is the right one.
    pub(crate) fn use_code(
        &mut self,
        purpose: CodePurpose,
        channel: Option<Channel>,
        code: &str,
    ) -> Option<SentCode> {
        let index = self.codes.iter().position(|sent| {
            let on_channel = channel.is_none_or(|channel| channel == sent.channel);
            sent.purpose == purpose && on_channel && sent.code == code
        })?;
        Some(self.codes.remove(index))
    }
}

/// A security code as it would have been mailed, to look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredMail {
    /// Whom it is about.
    pub user_name: String,
    /// What it is good for.
    pub purpose: CodePurpose,
    /// E-mail or phone.
    pub channel: Channel,
    /// The address or number it goes to.
    pub recipient: String,
    /// The code.
    pub security_code: String,
    /// When, local time.
    pub sent: DateTime,
}
