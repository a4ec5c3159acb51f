//! A printer's profile as a shop configures it: a shipped one by name, with single members set otherwise.

use serde::Deserialize;

use super::{Ack, CodePage, Cut, Profile, ProfileError, Qr};

/// The name of the profile that a shop describes by itself.
const CUSTOM: &str = "custom";

/// A shop's choice. `name = "custom"` needs `columns` and `dots`; what else it does not say is what the
/// simplest printer does: ASCII, no QR code, no pictures, no cutter, no drawer, no answers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileChoice {
    /// A shipped profile's name, or `custom`.
    pub name: String,
    /// In place of [`Profile::columns`].
    #[serde(default)]
    pub columns: Option<u8>,
    /// In place of [`Profile::dots`].
    #[serde(default)]
    pub dots: Option<u16>,
    /// In place of [`Profile::dpi`].
    #[serde(default)]
    pub dpi: Option<u16>,
    /// In place of [`Profile::code_page`].
    #[serde(default)]
    pub code_page: Option<CodePage>,
    /// Writes ASCII only, whatever code page the profile has.
    #[serde(default)]
    pub ascii: bool,
    /// In place of [`Profile::qr`].
    #[serde(default)]
    pub qr: Option<Qr>,
    /// In place of [`Profile::pictures`].
    #[serde(default)]
    pub pictures: Option<bool>,
    /// In place of [`Profile::cut`].
    #[serde(default)]
    pub cut: Option<Cut>,
    /// In place of [`Profile::drawer`].
    #[serde(default)]
    pub drawer: Option<bool>,
    /// In place of [`Profile::ack`].
    #[serde(default)]
    pub ack: Option<Ack>,
    /// In place of [`Profile::impact`].
    #[serde(default)]
    pub impact: Option<bool>,
}

impl ProfileChoice {
    /// The shipped profile of that name, with nothing set otherwise.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            columns: None,
            dots: None,
            dpi: None,
            code_page: None,
            ascii: false,
            qr: None,
            pictures: None,
            cut: None,
            drawer: None,
            ack: None,
            impact: None,
        }
    }

    /// The profile that comes of it, checked.
    ///
    /// # Errors
    /// There is no profile of that name, or no printer can be so: the text says which member is wrong.
    pub fn profile(&self) -> Result<Profile, ProfileError> {
        if self.ascii && self.code_page.is_some() {
            return Err(ProfileError::Conflict(
                "ascii = true and a code_page cannot both be set",
            ));
        }
        let base = self.base()?;
        let profile = Profile {
            about: base.about,
            columns: self.columns.unwrap_or(base.columns),
            dots: self.dots.unwrap_or(base.dots),
            dpi: self.dpi.unwrap_or(base.dpi),
            code_page: if self.ascii {
                None
            } else {
                self.code_page.clone().or(base.code_page)
            },
            qr: self.qr.unwrap_or(base.qr),
            pictures: self.pictures.unwrap_or(base.pictures),
            cut: self.cut.unwrap_or(base.cut),
            drawer: self.drawer.unwrap_or(base.drawer),
            ack: self.ack.unwrap_or(base.ack),
            impact: self.impact.unwrap_or(base.impact),
        };
        profile.check()?;
        Ok(profile)
    }

    fn base(&self) -> Result<Profile, ProfileError> {
        if self.name != CUSTOM {
            return Profile::named(&self.name);
        }
        Ok(Profile {
            about: "as the configuration says".to_owned(),
            columns: self.columns.ok_or(ProfileError::Missing("columns"))?,
            dots: self.dots.ok_or(ProfileError::Missing("dots"))?,
            dpi: 203,
            code_page: None,
            qr: Qr::None,
            pictures: false,
            cut: Cut::None,
            drawer: false,
            ack: Ack::OneWay,
            impact: false,
        })
    }
}
