//! Who may come in: what of the configuration may change while the doors are open.

use std::sync::{Arc, PoisonError, RwLock};

use super::{AllowList, UnixUser};

/// Who is let in, at one moment.
#[derive(Debug, Clone, Default)]
pub struct Admitted {
    /// Users of this machine who need no token on a Unix socket. The first that fits counts.
    pub unix_users: Vec<UnixUser>,
    /// Names, beside its own address, by which other machines of the shop may call the gateway.
    pub lan_names: Vec<String>,
    /// What the door for other machines shows and asks; without it nobody comes in by it.
    pub lan: Option<LanDoor>,
}

/// The door for other machines of the shop.
#[derive(Debug, Clone)]
pub struct LanDoor {
    /// Its certificate.
    pub tls: Arc<rustls::ServerConfig>,
    /// Which addresses may connect.
    pub allowed: AllowList,
}

/// Who is let in now. Clones share it: whoever replaces it replaces it for all doors, from the next connection or
/// request on; those that are in stay.
#[derive(Debug, Clone, Default)]
pub struct Admission(Arc<RwLock<Arc<Admitted>>>);

impl Admission {
    /// Lets these in.
    #[must_use]
    pub fn new(admitted: Admitted) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(admitted))))
    }

    /// Who is let in now.
    #[must_use]
    pub fn now(&self) -> Arc<Admitted> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lets others in from now on.
    pub fn replace(&self, admitted: Admitted) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(admitted);
    }
}
