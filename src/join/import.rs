//! A device that has its certificate and key already: issued by the authority itself, or used with other software.
//!
//! Nothing is registered, so nothing can be used up. The certificate is checked against its key, the till and the
//! clock, then against FDMS; where FDMS has a past of the device that this ledger has not, the till sells only
//! after it was adopted (`fiscald till adopt`).

use std::sync::Arc;

use super::{JoinError, Joined, finish, keep_till};
use crate::fdms::Identity;
use crate::keys::Imported;
use crate::ledger::Ledger;
use crate::ledger::tills::NewTill;
use crate::submit::Access;

/// Takes a till in with a certificate and key that were made elsewhere.
///
/// # Errors
/// They are another device's or have ended, the till has another key and something unsent, or FDMS does not accept
/// them. Run again after each of them.
pub async fn import(
    ledger: &Ledger,
    access: &Access,
    till: &NewTill,
    imported: Imported,
    actor: &str,
) -> Result<Joined, JoinError> {
    let Imported { certificate, key } = imported;
    let expected = format!("ZIMRA-{}-{:010}", till.serial_no, till.device_id.get());
    if certificate.common_name() != expected {
        return Err(JoinError::OthersCertificate {
            found: certificate.common_name().to_owned(),
            expected,
        });
    }
    if !certificate.is_valid_at(ledger.time().now()) {
        return Err(JoinError::CertificateEnded(
            certificate.not_after().to_string(),
        ));
    }
    let info = keep_till(ledger, till, actor).await?;
    let id = info.id;
    let (key, actor) = (Arc::new(key), actor.to_owned());
    let (kept, pem) = (Arc::clone(&key), certificate.pem().to_owned());
    let was_registered = ledger
        .write(move |core| {
            let in_use = core.key_in_use(id)?;
            if let Some((key_id, own)) = &in_use {
                let same = own.pkcs8().as_slice() == kept.pkcs8().as_slice();
                if same && core.identity(id)?.is_some_and(|(_, own)| own == pem) {
                    return Ok(true);
                }
                if same {
                    core.add_certificate(id, *key_id, &pem, &actor)?;
                    return Ok(true);
                }
                core.nothing_unsent(id)?;
            }
            let key_id = core.add_key(id, &kept, &actor)?;
            core.add_certificate(id, key_id, &pem, &actor)?;
            Ok(false)
        })
        .await?;
    finish(
        ledger,
        access,
        &info,
        Identity { certificate, key },
        was_registered,
    )
    .await
}
