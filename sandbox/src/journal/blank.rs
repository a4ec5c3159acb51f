//! Secrets in a record: each is replaced by a stand-in that is the same for the same secret within one
//! record, so that what was right stays right and what was wrong stays wrong when it is played.

use anyhow::Result;
use sha2::{Digest, Sha256};

use super::{Change, Entry};
use crate::ca;

/// Makes the stand-ins of one record.
#[derive(Debug)]
pub(super) struct Blanker {
    /// Never written down, or an activation key could be found by trying all.
    salt: [u8; 16],
}

/// Whether the value of a member with this name, or of a header, is a secret. Security codes are none:
/// the sandbox draws them from its seed, and they are good once.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name == "activationkey" || name.contains("password") || name.ends_with("token")
}

/// The `userName` of a message. As long as a user has no password it stands in its place, and is none.
fn user_name(text: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Message {
        user_name: String,
    }
    let message: Message = serde_json::from_str(text).ok()?;
    Some(message.user_name)
}

impl Blanker {
    pub(super) fn new() -> Result<Self> {
        Ok(Self {
            salt: ca::random()?,
        })
    }

    /// The line without its secrets.
    pub(super) fn entry(&self, entry: &Entry) -> Entry {
        let mut entry = entry.clone();
        match &mut entry {
            Entry::Start(_) => {}
            Entry::Change(changed) => match &mut changed.what {
                Change::AddDevice(spec) => {
                    spec.activation_key = self.stand_in("activationKey", &spec.activation_key);
                }
                Change::UpdateDevice { change, .. } => {
                    let key = change.activation_key.as_ref();
                    change.activation_key = key.map(|key| self.stand_in("activationKey", key));
                }
                Change::DeleteDevice(_)
                | Change::CloseByHand(_)
                | Change::LoseReceipt { .. }
                | Change::Stock { .. }
                | Change::Settings(_) => {}
            },
            Entry::Exchange(exchange) => {
                exchange.body = self.json(&exchange.body);
                exchange.answer = self.json(&exchange.answer);
                for (name, value) in &mut exchange.headers {
                    if is_secret(name) {
                        *value = self.stand_in(name, value);
                    }
                }
            }
        }
        entry
    }

    /// Letters for letters and digits for digits, so that a password is as simple or good as it was. An
    /// activation key's case means nothing.
    fn stand_in(&self, name: &str, secret: &str) -> String {
        let secret_text = if name.eq_ignore_ascii_case("activationKey") {
            secret.to_uppercase()
        } else {
            secret.to_owned()
        };
        let mut hasher = Sha256::new();
        hasher.update(self.salt);
        hasher.update(secret_text.as_bytes());
        let bytes = hasher.finalize();
        let pairs = secret.chars().zip(bytes.iter().cycle());
        let stand_ins = pairs.map(|(char, byte)| match char {
            _ if char.is_ascii_digit() => char::from(b'0' + byte % 10),
            _ if char.is_alphabetic() => char::from(b'A' + byte % 26),
            _ => '-',
        });
        stand_ins.collect()
    }

    /// A JSON text with the secrets in it replaced and every other byte as it was, for a number must
    /// stay as it is written. What is no JSON stays too.
    fn json(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        let user_name = user_name(text);
        // The name whose value comes next.
        let mut name: Option<String> = None;
        while let Some(at) = rest.find('"') {
            let (before, from_quote) = rest.split_at(at);
            out.push_str(before);
            let length = literal_length(from_quote);
            let (literal, behind) = from_quote.split_at(length);
            let value: Option<String> = serde_json::from_str(literal).ok();
            let is_value = before.trim() == ":";
            match (name.take().filter(|_| is_value), &value) {
                (Some(name), Some(value))
                    if is_secret(&name) && Some(value) != user_name.as_ref() =>
                {
                    out.push('"');
                    out.push_str(&self.stand_in(&name, value));
                    out.push('"');
                }
                _ => out.push_str(literal),
            }
            name = value;
            rest = behind;
        }
        out.push_str(rest);
        out
    }
}

/// How long the string is that begins with a quote here; all of it if it does not end.
fn literal_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLANKER: Blanker = Blanker { salt: [7; 16] };

    /// Secrets are gone, wherever they stand and however they are written; all else stays as it was.
    #[test]
    fn secrets_are_replaced() {
        let text = r#"{"activationKey" : "12AXC178","a":1.50,"list":[{"newPassword":"pä\"ss"}],
            "userName":"tendai","password":"tendai","token":"t-1","\u0074oken":"t-2","name":"token","note":"activationKey\":\"12AXC178"}"#;
        let blanked = BLANKER.json(text);
        for secret in ["\"12AXC178\",\"a\"", "ss\"", "t-1", "t-2"] {
            assert!(!blanked.contains(secret), "{secret}: {blanked}");
        }
        for kept in [
            "\"a\":1.50",
            "\"name\":\"token\"",
            "\"password\":\"tendai\"",
            r#"activationKey\":\"12AXC178"}"#,
        ] {
            assert!(blanked.contains(kept), "{kept}: {blanked}");
        }
        let read: serde_json::Value = serde_json::from_str(&blanked).unwrap();
        let password = read["list"][0]["newPassword"].as_str().unwrap();
        assert_eq!(password.chars().count(), 5);
    }

    /// The same key has the same stand-in, in whatever case; another key has another.
    #[test]
    fn stand_ins_agree() {
        let blank = |key: &str| BLANKER.stand_in("activationKey", key);
        assert_eq!(blank("12AXC178"), blank("12axc178"));
        assert_ne!(blank("12AXC178"), blank("12AXC179"));
        assert_eq!(blank("12AXC178").len(), 8);
        let other = Blanker { salt: [8; 16] };
        assert_ne!(
            blank("12AXC178"),
            other.stand_in("activationKey", "12AXC178")
        );
    }

    /// What is no JSON is left alone.
    #[test]
    fn other_texts_stay() {
        for text in [
            "",
            "hello",
            "\"",
            "{\"a\": \"b",
            "\"\\",
            "{\"token\": 7}",
            "{\"token\": {\"a\": \"b\"}}",
        ] {
            assert_eq!(BLANKER.json(text), text);
        }
    }
}
