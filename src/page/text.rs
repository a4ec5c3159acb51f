//! The words of the page: one file for each language, built into the program.
//!
//! A text is known by its group and name (`nav.tills`); `{names}` in it are replaced. The three files hold the same
//! texts with the same names in them, which the tests hold. A language that no native speaker has read yet says so in
//! its file, and on every page.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde::Deserialize;

use crate::alarms::fill;

/// A language of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Language {
    /// English.
    En,
    /// Shona.
    Sn,
    /// Ndebele.
    Nd,
}

impl Language {
    pub(super) const ALL: [Self; 3] = [Self::En, Self::Sn, Self::Nd];

    /// Its code, as browsers write it.
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Sn => "sn",
            Self::Nd => "nd",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|language| language.code() == text)
    }

    const fn file(self) -> &'static str {
        match self {
            Self::En => include_str!("texts/en.toml"),
            Self::Sn => include_str!("texts/sn.toml"),
            Self::Nd => include_str!("texts/nd.toml"),
        }
    }

    /// What a browser would rather read (`Accept-Language`); English if it names none of ours.
    pub(super) fn wanted(header: &str) -> Self {
        let mut best = (Self::En, 0);
        for part in header.split(',') {
            let mut parts = part.split(';');
            let tag = parts.next().unwrap_or_default().trim();
            let primary = tag.split('-').next().unwrap_or_default();
            let weight = parts.find_map(|part| part.trim().strip_prefix("q="));
            let weight = weight.map_or(1000, thousandths);
            if let Some(language) = Self::parse(&primary.to_ascii_lowercase())
                && weight > best.1
            {
                best = (language, weight);
            }
        }
        best.0
    }
}

/// `0.8` as 800.
fn thousandths(text: &str) -> u32 {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits: String = part.chars().chain("000".chars()).take(3).collect();
    match (whole, digits.parse::<u32>()) {
        ("1", _) => 1000,
        ("0", Ok(part)) => part,
        _ => 0,
    }
}

/// A file of texts.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    about: About,
    texts: BTreeMap<String, BTreeMap<String, String>>,
}

/// What a file says of itself.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct About {
    /// The language's own name.
    pub(super) name: String,
    /// Whether a native speaker has read it.
    pub(super) read_by_a_native_speaker: bool,
    /// What stands on every page until one has, in that language; empty else.
    pub(super) notice: String,
}

/// The texts of all languages.
#[derive(Debug)]
pub(super) struct Texts {
    en: Words,
    sn: Words,
    nd: Words,
}

/// The texts of one language.
#[derive(Debug)]
pub(super) struct Words {
    /// Which.
    pub(super) language: Language,
    /// What the file says of itself.
    pub(super) about: About,
    texts: BTreeMap<String, BTreeMap<String, String>>,
}

impl Texts {
    /// Reads the files.
    pub(super) fn load() -> anyhow::Result<Self> {
        let load = |language: Language| {
            let file: File = toml::from_str(language.file())
                .with_context(|| format!("texts/{}.toml", language.code()))?;
            anyhow::Ok(Words {
                language,
                about: file.about,
                texts: file.texts,
            })
        };
        Ok(Self {
            en: load(Language::En)?,
            sn: load(Language::Sn)?,
            nd: load(Language::Nd)?,
        })
    }

    /// One language.
    pub(super) const fn of(&self, language: Language) -> &Words {
        match language {
            Language::En => &self.en,
            Language::Sn => &self.sn,
            Language::Nd => &self.nd,
        }
    }
}

impl Words {
    /// A text; its own name if there is none, which the tests rule out.
    pub(super) fn get<'a>(&'a self, key: &'a str) -> &'a str {
        let found = key
            .split_once('.')
            .and_then(|(group, name)| self.texts.get(group)?.get(name));
        found.map_or(key, String::as_str)
    }

    /// A text with its `{names}` replaced.
    pub(super) fn with(&self, key: &str, values: &[(&'static str, String)]) -> String {
        fill(self.get(key), values)
    }
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
