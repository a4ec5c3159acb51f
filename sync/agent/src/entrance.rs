//! Joining HQ with a code that is good once, and fetching a lost store's past.

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use sync_wire::enrol::{Enrol, Enrolled, PAST_PATH, PATH};

use crate::http::{AddressError, Door, answer};
use crate::store::LinkError;

/// HQ's door for stores that are not in yet.
#[derive(Debug, Clone)]
pub struct Entrance(Door);

impl Entrance {
    /// The entrance of the HQ at `url`; whom to trust is in `tls`.
    ///
    /// # Errors
    /// The address cannot be used.
    pub fn new(url: &str, tls: rustls::ClientConfig) -> Result<Self, AddressError> {
        Door::new(url, tls).map(Self)
    }

    /// Joins. The code is used up by it, also where the answer is lost.
    ///
    /// # Errors
    /// HQ was not reached, or does not take the code.
    pub async fn enrol(&self, enrol: &Enrol) -> Result<Enrolled, LinkError> {
        let body = serde_json::to_vec(enrol).map_err(|error| {
            LinkError::Refused(format!("the request cannot be written: {error}"))
        })?;
        let request = self
            .0
            .post(PATH, body)
            .header(CONTENT_TYPE, "application/json");
        let body = answer(request).await?;
        serde_json::from_slice(&body).map_err(|error| {
            LinkError::Refused(format!("head office's answer cannot be read: {error}"))
        })
    }

    /// A page of the store's past: lines after a number, in order; none at its end.
    ///
    /// # Errors
    /// HQ was not reached, or does not know the store.
    pub async fn past(&self, secret: &SecretString, after: i64) -> Result<Vec<Vec<u8>>, LinkError> {
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", secret.expose_secret()))
            .map_err(|_| LinkError::Refused("the store's secret is no plain text".to_owned()))?;
        bearer.set_sensitive(true);
        let request = self.0.get(&format!("{PAST_PATH}?after={after}"));
        let body = answer(request.header(AUTHORIZATION, bearer)).await?;
        let lines = body
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty());
        Ok(lines.map(<[u8]>::to_vec).collect())
    }
}
