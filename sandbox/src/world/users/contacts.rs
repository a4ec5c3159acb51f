//! A user's own contacts: a code goes to one, and confirms it.

use clock::Timestamp;

use super::{UserAnswer, filled, wrong_code};
use crate::answer::Refusal;
use crate::json::{self, Errors, Object};
use crate::model::{Channel, CodePurpose, UserStatus};
use crate::world::World;

impl World {
    /// Sends a code to the contact that it is to confirm.
    pub(super) fn mail_contact(
        &mut self,
        device_id: u32,
        channel: Channel,
        token: Option<&str>,
        message: &str,
        now: Timestamp,
    ) -> Result<UserAnswer, Refusal> {
        let mut errors = Errors::default();
        let object = Object::outermost(message, &mut errors);
        let contact = match channel {
            Channel::Email => object.required(&mut errors, "userEmail", filled(100)),
            Channel::PhoneNo => object.required(&mut errors, "phoneNo", filled(20)),
        };
        self.checked(errors)?;
        let name = self.user_of_token(device_id, token)?;
        let is_good = match channel {
            Channel::Email => is_email(&contact),
            Channel::PhoneNo => is_phone_no(&contact),
        };
        if !is_good {
            return Err(Refusal::code(
                "DEV14",
                "E-mail address or phone number is not valid.",
            ));
        }
        let user = self.user_in(device_id, &name, &[UserStatus::Active])?;
        if user.contact(channel) == Some(&contact) {
            return Err(confirmed_already());
        }
        let purpose = CodePurpose::ConfirmContact;
        self.mail(device_id, &name, purpose, channel, contact, now)
    }

    pub(super) fn confirm_contact(
        &mut self,
        device_id: u32,
        token: Option<&str>,
        message: &str,
    ) -> Result<UserAnswer, Refusal> {
        let mut errors = Errors::default();
        let object = Object::outermost(message, &mut errors);
        let code = object.required(&mut errors, "securityCode", filled(10));
        let channel = object.required(&mut errors, "channel", json::one_of(&Channel::NAMES));
        self.checked(errors)?;
        let name = self.user_of_token(device_id, token)?;
        let user = self.user_in(device_id, &name, &[UserStatus::Active])?;
        let purpose = CodePurpose::ConfirmContact;
        if !user.expects(purpose, channel) && user.contact(channel).is_some() {
            return Err(confirmed_already());
        }
        let sent = user.use_code(purpose, Some(channel), &code);
        let contact = Some(sent.ok_or_else(wrong_code)?.recipient);
        match channel {
            Channel::Email => user.email = contact,
            Channel::PhoneNo => user.phone_no = contact,
        }
        let user = self.view(device_id, &name)?;
        Ok(UserAnswer::User { user })
    }
}

fn confirmed_already() -> Refusal {
    Refusal::code("DEV15", "The contact is confirmed already.")
}

/// Words with dots, an `@`, labels with dots, as OAS has it.
fn is_email(text: &str) -> bool {
    let word = |word: &str| {
        let sign = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+/=?^_`{|}~-".contains(c);
        !word.is_empty() && word.chars().all(sign)
    };
    let label = |label: &str| {
        let sign = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let ends = label.starts_with('-') || label.ends_with('-');
        !label.is_empty() && !ends && label.chars().all(sign)
    };
    text.split_once('@').is_some_and(|(local, domain)| {
        local.split('.').all(word) && domain.contains('.') && domain.split('.').all(label)
    })
}

/// Seven digits or more, perhaps with `+` before them.
fn is_phone_no(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or(text);
    digits.len() >= 7 && digits.bytes().all(|digit| digit.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Addresses and numbers of the right shape, and of wrong ones.
    #[test]
    fn shapes_of_contacts() {
        for good in ["a@b.co", "tendai.m+1@shop-1.co.zw"] {
            assert!(is_email(good), "{good}");
        }
        for wrong in [
            "a", "a@b", "a@@b.co", "a@b.co.", ".a@b.co", "a b@c.de", "a@-b.co", "@b.co",
        ] {
            assert!(!is_email(wrong), "{wrong}");
        }
        assert!(is_phone_no("+263770000000") && is_phone_no("0770000"));
        assert!(!is_phone_no("077000") && !is_phone_no("077-000000") && !is_phone_no("+"));
    }
}
