//! Users of a taxpayer's tills: made, confirmed by the taxpayer, logged in (docs/FDMS.md section 10).

use clock::Timestamp;
use serde::Serialize;

use super::World;
use crate::answer::Refusal;
use crate::call::Call;
use crate::json::{self, Errors, Object};
use crate::model::{Channel, CodePurpose, Password, SentCode, StoredMail, User, UserStatus};

mod contacts;
mod list;

/// What a call about users answers.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum UserAnswer {
    /// Only that it is done.
    Done {},
    /// The user as he is now.
    User {
        /// He.
        user: UserView,
    },
    /// The user and a token for what he does next.
    Session {
        /// He.
        user: UserView,
        /// Goes into the header `Token`.
        token: String,
    },
}

/// A user as he travels.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UserView {
    user_name: String,
    person_name: String,
    person_surname: String,
    user_role: String,
    email: String,
    phone_no: String,
}

/// The states that Update may set.
const UPDATE_STATES: [(&str, UserStatus); 2] = [
    ("Active", UserStatus::Active),
    ("Blocked", UserStatus::Blocked),
];

impl World {
    /// One of the calls under `/User/` that change something.
    pub(crate) fn user_call(
        &mut self,
        device_id: u32,
        call: Call,
        token: Option<&str>,
        message: &str,
        now: Timestamp,
    ) -> Result<UserAnswer, Refusal> {
        match call {
            Call::CreateUser => self.create_user(device_id, message),
            Call::SendSecurityCodeToTaxpayer => self.mail_taxpayer(device_id, message, now),
            Call::ConfirmUser => self.confirm_user(device_id, message),
            Call::Login => self.login(device_id, message),
            Call::ChangePassword => self.change_password(device_id, token, message),
            Call::ResetPassword => self.reset_password(device_id, message, now),
            Call::ConfirmPasswordReset => self.confirm_reset(device_id, message),
            Call::UpdateUser => self.update_user(device_id, token, message),
            Call::SendSecurityCodeToUserEmail => {
                self.mail_contact(device_id, Channel::Email, token, message, now)
            }
            Call::SendSecurityCodeToUserPhone => {
                self.mail_contact(device_id, Channel::PhoneNo, token, message, now)
            }
            Call::ConfirmContact => self.confirm_contact(device_id, token, message),
            _ => Err(Refusal::status(404, "There is no such path.")),
        }
    }

    /// A new user, or one that is not confirmed yet described anew.
    fn create_user(&mut self, device_id: u32, message: &str) -> Result<UserAnswer, Refusal> {
        let mut errors = Errors::default();
        let object = Object::outermost(message, &mut errors);
        let described = described(&object, &mut errors);
        self.checked(errors)?;
        let tin = self.tin_of(device_id)?;
        let users = &mut self.taxpayers.entry(tin).or_default().users;
        let known = users.get(&described.name);
        if known.is_some_and(|user| user.status != UserStatus::NotConfirmed) {
            let why = "The user name belongs to a confirmed user.";
            return Err(Refusal::code("DEV07", why));
        }
        let codes = known.map(|user| user.codes.clone()).unwrap_or_default();
        let user = User { codes, ..described };
        users.insert(user.name.clone(), user);
        Ok(UserAnswer::Done {})
    }

    /// Sends the taxpayer the code that confirms a user.
    fn mail_taxpayer(
        &mut self,
        device_id: u32,
        message: &str,
        now: Timestamp,
    ) -> Result<UserAnswer, Refusal> {
        let mut errors = Errors::default();
        let object = Object::outermost(message, &mut errors);
        let name = object.required(&mut errors, "userName", filled(100));
        self.checked(errors)?;
        self.user_in(device_id, &name, &[UserStatus::NotConfirmed])?;
        let contacts = self.device(device_id)?.spec.contacts.as_ref();
        let email = contacts.and_then(|contacts| contacts.email.clone());
        let Some(recipient) = email else {
            let why = "Neither taxpayer nor branch has an e-mail address.";
            return Err(Refusal::code("DEV14", why));
        };
        let purpose = CodePurpose::ConfirmUser;
        self.mail(device_id, &name, purpose, Channel::Email, recipient, now)
    }

    /// The taxpayer confirms a user, who gets his password.
    fn confirm_user(&mut self, device_id: u32, message: &str) -> Result<UserAnswer, Refusal> {
        let mut errors = Errors::default();
        let object = Object::outermost(message, &mut errors);
        let name = object.required(&mut errors, "userName", filled(100));
        let code = object.required(&mut errors, "securityCode", filled(10));
        let password = object.required(&mut errors, "password", filled(100));
        self.checked(errors)?;
        self.user_in(device_id, &name, &[UserStatus::NotConfirmed])?;
        self.set_password_with(device_id, &name, CodePurpose::ConfirmUser, &code, &password)
    }

    fn login(&mut self, device_id: u32, message: &str) -> Result<UserAnswer, Refusal> {
        let mut errors = Errors::default();
        let object = Object::outermost(message, &mut errors);
        let name = object.required(&mut errors, "userName", filled(100));
        let password = object.required(&mut errors, "password", filled(500));
        self.checked(errors)?;
        let users = &self.taxpayer_of(self.device(device_id)?)?.users;
        let user = users.get(&name);
        let is_right = user.is_some_and(|user| match &user.password {
            Some(kept) => kept.is(&password),
            None => user.name == password,
        });
        match user.map(|user| user.status).filter(|_| is_right) {
            None => Err(Refusal::code(
                "DEV11",
                "User name and password do not match.",
            )),
            Some(UserStatus::NotConfirmed) => {
                Err(Refusal::code("DEV13", "The user is not confirmed."))
            }
            Some(UserStatus::Blocked) => Err(wrong_user()),
            Some(UserStatus::Active) => self.session(device_id, &name),
        }
    }

    fn change_password(
        &mut self,
        device_id: u32,
        token: Option<&str>,
        message: &str,
    ) -> Result<UserAnswer, Refusal> {
        let mut errors = Errors::default();
        let object = Object::outermost(message, &mut errors);
        let old = object.required(&mut errors, "oldPassword", filled(100));
        let new = object.required(&mut errors, "newPassword", filled(100));
        self.checked(errors)?;
        let name = self.user_of_token(device_id, token)?;
        let user = self.user_in(device_id, &name, &[UserStatus::Active])?;
        if !user.password.as_ref().is_some_and(|kept| kept.is(&old)) {
            return Err(Refusal::code("DEV10", "The old password is wrong."));
        }
        self.set_password(device_id, &name, &new)
    }

    /// Sends a user the code that sets a new password, to a contact that he has confirmed.
    fn reset_password(
        &mut self,
        device_id: u32,
        message: &str,
        now: Timestamp,
    ) -> Result<UserAnswer, Refusal> {
        let mut errors = Errors::default();
        let object = Object::outermost(message, &mut errors);
        let name = object.required(&mut errors, "userName", filled(100));
        let channel = object.required(&mut errors, "channel", json::one_of(&Channel::NAMES));
        self.checked(errors)?;
        let user = self.user_in(device_id, &name, &[UserStatus::Active])?;
        let Some(recipient) = user.contact(channel).cloned() else {
            let why = "The user has no confirmed contact of this kind.";
            return Err(Refusal::code("DEV14", why));
        };
        let purpose = CodePurpose::ResetPassword;
        self.mail(device_id, &name, purpose, channel, recipient, now)
    }

    fn confirm_reset(&mut self, device_id: u32, message: &str) -> Result<UserAnswer, Refusal> {
        let mut errors = Errors::default();
        let object = Object::outermost(message, &mut errors);
        let name = object.required(&mut errors, "userName", filled(100));
        let code = object.required(&mut errors, "securityCode", filled(10));
        let password = object.required(&mut errors, "newPassword", filled(100));
        self.checked(errors)?;
        self.user_in(device_id, &name, &[UserStatus::Active])?;
        let purpose = CodePurpose::ResetPassword;
        self.set_password_with(device_id, &name, purpose, &code, &password)
    }

    /// Describes a confirmed user anew; one that is blocked loses his tokens.
    fn update_user(
        &mut self,
        device_id: u32,
        token: Option<&str>,
        message: &str,
    ) -> Result<UserAnswer, Refusal> {
        let mut errors = Errors::default();
        let object = Object::outermost(message, &mut errors);
        let described = described(&object, &mut errors);
        let status = object.required(&mut errors, "userStatus", json::one_of(&UPDATE_STATES));
        self.checked(errors)?;
        self.user_of_token(device_id, token)?;
        let states = [UserStatus::Active, UserStatus::Blocked];
        let user = self.user_in(device_id, &described.name, &states)?;
        user.person_name = described.person_name;
        user.person_surname = described.person_surname;
        user.role = described.role;
        user.status = status;
        if status == UserStatus::Blocked {
            let tin = self.tin_of(device_id)?;
            let tokens = &mut self.taxpayers.entry(tin).or_default().tokens;
            tokens.retain(|_, owner| *owner != described.name);
        }
        Ok(UserAnswer::Done {})
    }

    pub(super) fn checked(&self, errors: Errors) -> Result<(), Refusal> {
        let checked = errors.finish(());
        checked.map_err(|errors| self.wrong_fields(errors, None))
    }

    fn tin_of(&self, device_id: u32) -> Result<String, Refusal> {
        Ok(self.device(device_id)?.spec.tax_payer_tin.clone())
    }

    /// The taxpayer's user of this name, who must be in one of these states (DEV08).
    fn user_in(
        &mut self,
        device_id: u32,
        name: &str,
        states: &[UserStatus],
    ) -> Result<&mut User, Refusal> {
        let tin = self.tin_of(device_id)?;
        let users = self.taxpayers.get_mut(&tin).map(|known| &mut known.users);
        let user = users.and_then(|users| users.get_mut(name));
        user.filter(|user| states.contains(&user.status))
            .ok_or_else(wrong_user)
    }

    /// Whose token it is (DEV12).
    fn user_of_token(&self, device_id: u32, token: Option<&str>) -> Result<String, Refusal> {
        let tokens = &self.taxpayer_of(self.device(device_id)?)?.tokens;
        let owner = token.and_then(|token| tokens.get(token));
        let owner = owner.cloned();
        owner.ok_or_else(|| Refusal::code("DEV12", "The token is not valid."))
    }

    /// Keeps a code and puts it into the outbox.
    fn mail(
        &mut self,
        device_id: u32,
        name: &str,
        purpose: CodePurpose,
        channel: Channel,
        recipient: String,
        now: Timestamp,
    ) -> Result<UserAnswer, Refusal> {
        let code = self.secrets.code();
        let all = [UserStatus::NotConfirmed, UserStatus::Active];
        self.user_in(device_id, name, &all)?.expect_code(SentCode {
            purpose,
            channel,
            code: code.clone(),
            recipient: recipient.clone(),
        });
        let device = self.devices.get_mut(&device_id);
        let device = device.ok_or_else(super::unknown_device)?;
        device.mails.push(StoredMail {
            user_name: name.to_owned(),
            purpose,
            channel,
            recipient,
            security_code: code,
            sent: clock::local(now),
        });
        Ok(UserAnswer::Done {})
    }

    /// Sets a password for a code: DEV10 before the code is used up, DEV09 for a wrong one.
    fn set_password_with(
        &mut self,
        device_id: u32,
        name: &str,
        purpose: CodePurpose,
        code: &str,
        password: &str,
    ) -> Result<UserAnswer, Refusal> {
        let states = [UserStatus::NotConfirmed, UserStatus::Active];
        let user = self.user_in(device_id, name, &states)?;
        let mut codes = user.codes.iter();
        if !codes.any(|sent| sent.purpose == purpose && sent.code == code) {
            return Err(wrong_code());
        }
        check_password(user, password)?;
        user.use_code(purpose, None, code);
        self.set_password(device_id, name, password)
    }

    /// Sets a password; every token from before is dead.
    fn set_password(
        &mut self,
        device_id: u32,
        name: &str,
        password: &str,
    ) -> Result<UserAnswer, Refusal> {
        let salt = self.secrets.salt();
        let states = [UserStatus::NotConfirmed, UserStatus::Active];
        let user = self.user_in(device_id, name, &states)?;
        check_password(user, password)?;
        user.password = Some(Password::new(password, salt));
        user.status = UserStatus::Active;
        let tin = self.tin_of(device_id)?;
        let tokens = &mut self.taxpayers.entry(tin).or_default().tokens;
        tokens.retain(|_, owner| owner != name);
        self.session(device_id, name)
    }

    /// The user and a new token.
    fn session(&mut self, device_id: u32, name: &str) -> Result<UserAnswer, Refusal> {
        let user = self.view(device_id, name)?;
        let token = self.secrets.token();
        let tin = self.tin_of(device_id)?;
        let tokens = &mut self.taxpayers.entry(tin).or_default().tokens;
        tokens.insert(token.clone(), name.to_owned());
        Ok(UserAnswer::Session { user, token })
    }

    /// A user as he travels. OAS wants both contacts: what is not confirmed yet is the branch's.
    fn view(&self, device_id: u32, name: &str) -> Result<UserView, Refusal> {
        let device = self.device(device_id)?;
        let user = self.taxpayer_of(device)?.users.get(name);
        let user = user.ok_or_else(wrong_user)?;
        let branch = device.spec.contacts.as_ref();
        let contact = |own: &Option<String>, branch: Option<&String>| {
            let known = own.as_ref().or(branch);
            known.map_or_else(|| "-".to_owned(), Clone::clone)
        };
        Ok(UserView {
            user_name: user.name.clone(),
            person_name: user.person_name.clone(),
            person_surname: user.person_surname.clone(),
            user_role: user.role.clone(),
            email: contact(&user.email, branch.and_then(|branch| branch.email.as_ref())),
            phone_no: contact(
                &user.phone_no,
                branch.and_then(|branch| branch.phone_no.as_ref()),
            ),
        })
    }

    /// The security codes that were sent for this device, in their order.
    pub(crate) fn mails(&self, device_id: u32) -> Vec<StoredMail> {
        let device = self.devices.get(&device_id);
        device.map_or_else(Vec::new, |device| device.mails.clone())
    }
}

/// What a message says of a user.
fn described(object: &Object<'_>, errors: &mut Errors) -> User {
    User {
        name: object.required(errors, "userName", filled(100)),
        person_name: object.required(errors, "personName", filled(100)),
        person_surname: object.required(errors, "personSurname", filled(100)),
        role: object.required(errors, "userRole", filled(100)),
        ..User::default()
    }
}

/// A text that is not empty.
fn filled(longest: usize) -> impl Fn(&str) -> Result<String, String> {
    move |raw| match json::text(longest)(raw)? {
        text if text.is_empty() => Err("The field must not be empty.".to_owned()),
        text => Ok(text),
    }
}

/// DEV10 for a password that is too simple or the one before.
fn check_password(user: &User, password: &str) -> Result<(), Refusal> {
    let has = |kind: fn(char) -> bool| password.chars().any(kind);
    let is_long = password.chars().count() >= 8;
    if !is_long
        || !has(char::is_alphabetic)
        || !has(|c| c.is_ascii_digit())
        || password == user.name
    {
        let why = "The password must have 8 characters, letters and digits among them.";
        return Err(Refusal::code("DEV10", why));
    }
    if user.password.as_ref().is_some_and(|kept| kept.is(password)) {
        return Err(Refusal::code(
            "DEV10",
            "The password is the same as before.",
        ));
    }
    Ok(())
}

fn wrong_user() -> Refusal {
    Refusal::code("DEV08", "There is no such user in the right state.")
}

fn wrong_code() -> Refusal {
    Refusal::code("DEV09", "The security code is wrong.")
}
