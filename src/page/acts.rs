//! What can be done on the page: each act with what it needs, and the request to the API that it stands for.

use maud::{Markup, html};

use super::ask::{Failed, TillName};
use super::visit::Visit;
use crate::api::PAGE;

macro_rules! acts {
    ($($variant:ident $text:literal;)*) => {
        /// Something that changes something.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Act {
            $($variant,)*
        }

        impl Act {
            /// All of them.
            #[cfg(test)]
            pub(super) const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word in addresses and in the files of texts.
            pub(super) const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            pub(super) fn parse(text: &str) -> Option<Self> {
                match text {
                    $($text => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

acts! {
    OpenDay "open_day";
    CloseDay "close_day";
    PrintDay "print_day";
    PrintReceipt "print_receipt";
    Send "send";
    Pause "pause";
    Renew "renew";
    AskSettings "ask_settings";
    TestPage "test_page";
    Drawer "drawer";
    CameOut "came_out";
    NotOut "not_out";
    Cancel "cancel";
    SellPaper "sell_paper";
    DropPaper "drop_paper";
}

impl Act {
    /// Whether it cannot be undone.
    pub(super) const fn is_grave(self) -> bool {
        matches!(self, Self::CloseDay | Self::DropPaper)
    }

    /// Whether a reason is asked for.
    pub(super) const fn asks_why(self) -> bool {
        matches!(self, Self::Pause | Self::DropPaper)
    }

    /// Whether a printer may be chosen.
    pub(super) const fn picks_printer(self) -> bool {
        matches!(self, Self::PrintDay | Self::PrintReceipt)
    }
}

/// An act and what it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) act: Act,
    till: Option<TillName>,
    /// A receipt's number, a day's, a print job's, a paper's.
    no: Option<u32>,
    /// A printer; for papers the one that was chosen.
    printer: Option<String>,
    /// Where to go afterwards: a page of ours.
    pub(super) back: String,
}

impl Wanted {
    /// An act, to come back to where it was asked for.
    pub(super) fn new(visit: &Visit, act: Act) -> Self {
        Self {
            act,
            till: None,
            no: None,
            printer: None,
            back: visit.href("", None),
        }
    }

    pub(super) fn till(mut self, till: &TillName) -> Self {
        self.till = Some(till.clone());
        self
    }

    pub(super) fn no(mut self, no: u32) -> Self {
        self.no = Some(no);
        self
    }

    pub(super) fn printer(mut self, printer: &str) -> Self {
        self.printer = Some(printer.to_owned());
        self
    }

    /// Reads it out of an address or a form.
    pub(super) fn read(act: &str, fields: &[(String, String)]) -> Result<Self, Failed> {
        let field = |name: &str| {
            let found = fields.iter().find(|(key, _)| key == name);
            found
                .map(|(_, value)| value.as_str())
                .filter(|value| !value.is_empty())
        };
        let till = field("till").map(|text| TillName::parse(text).ok_or_else(Failed::missing));
        let no = field("no").map(|text| text.parse().map_err(|_| Failed::missing()));
        Ok(Self {
            act: Act::parse(act).ok_or_else(Failed::missing)?,
            till: till.transpose()?,
            no: no.transpose()?,
            printer: field("printer").map(str::to_owned),
            back: field("back")
                .filter(|back| is_ours(back))
                .unwrap_or(PAGE)
                .to_owned(),
        })
    }

    fn fields(&self) -> Vec<(&'static str, String)> {
        let mut fields = Vec::new();
        if let Some(till) = &self.till {
            fields.push(("till", till.text()));
        }
        if let Some(no) = self.no {
            fields.push(("no", no.to_string()));
        }
        if let Some(printer) = self.printer.as_ref().filter(|_| !self.act.picks_printer()) {
            fields.push(("printer", printer.clone()));
        }
        fields.push(("back", self.back.clone()));
        fields
    }

    /// The link that leads to the question.
    pub(super) fn href(&self) -> String {
        let mut out = form_urlencoded::Serializer::new(String::new());
        for (name, value) in self.fields() {
            out.append_pair(name, &value);
        }
        format!("{PAGE}/do/{}?{}", self.act.as_str(), out.finish())
    }

    /// The same as fields of a form that nobody sees.
    pub(super) fn hidden(&self) -> Markup {
        html! {
            @for (name, value) in self.fields() { input type="hidden" name=(name) value=(value); }
        }
    }

    /// The button that leads to the question.
    pub(super) fn button(&self, visit: &Visit) -> Markup {
        let act = self.act.as_str();
        let about = self.till.as_ref().map(TillName::text);
        let about = about.or_else(|| self.printer.clone()).unwrap_or_default();
        let id = format!("{act}-{about}-{}", self.no.unwrap_or_default());
        html! {
            a id=(id) class={ "button" (if self.act.is_grave() { " grave" } else { "" }) } href=(self.href()) {
                (visit.t(&format!("do.{act}")))
            }
        }
    }

    /// What it is about, in the page's words.
    pub(super) fn about(&self, visit: &Visit) -> String {
        let till = self.till.as_ref().map(|till| till.device_id.to_string());
        let no = self.no.map(|no| no.to_string());
        let text = |value: Option<String>| value.unwrap_or_default();
        visit.words().with(
            &format!("do.{}_about", self.act.as_str()),
            &[
                ("till", text(till)),
                ("no", text(no)),
                ("printer", text(self.printer.clone())),
            ],
        )
    }

    /// The request to the API: its path, and its body.
    pub(super) fn request(&self, reason: &str) -> Result<(String, Option<String>), Failed> {
        let till = || {
            self.till
                .as_ref()
                .map(TillName::query)
                .ok_or_else(Failed::missing)
        };
        let no = || self.no.ok_or_else(Failed::missing);
        let printer = || {
            let name = self.printer.as_deref().ok_or_else(Failed::missing)?;
            Ok::<_, Failed>(encoded(name))
        };
        let chosen = self.printer.as_deref().map(encoded);
        let chosen = chosen
            .map(|name| format!("&printer={name}"))
            .unwrap_or_default();
        let why = || Some(serde_json::json!({ "reason": reason.trim() }).to_string());
        let settle = |came_out: bool| Some(serde_json::json!({ "cameOut": came_out }).to_string());
        Ok(match self.act {
            Act::OpenDay => (format!("/v1/days/open?{}", till()?), None),
            Act::CloseDay => (format!("/v1/days/close?{}", till()?), None),
            Act::PrintDay => (
                format!("/v1/days/{}/print?{}{chosen}", no()?, till()?),
                None,
            ),
            Act::PrintReceipt => (
                format!("/v1/receipts/{}/print?{}{chosen}", no()?, till()?),
                None,
            ),
            Act::Send => (format!("/v1/queue/retry?{}", till()?), None),
            Act::Pause => (format!("/v1/queue/pause?{}", till()?), why()),
            Act::Renew => (format!("/v1/tills/certificate?{}", till()?), None),
            Act::AskSettings => (format!("/v1/tills/config?{}", till()?), None),
            Act::TestPage => (format!("/v1/printers/{}/test", printer()?), None),
            Act::Drawer => (format!("/v1/printers/{}/drawer", printer()?), None),
            Act::CameOut => (format!("/v1/prints/{}/settle", no()?), settle(true)),
            Act::NotOut => (format!("/v1/prints/{}/settle", no()?), settle(false)),
            Act::Cancel => (format!("/v1/prints/{}/cancel", no()?), None),
            Act::SellPaper => (format!("/v1/captures/{}/replay", no()?), None),
            Act::DropPaper => (format!("/v1/captures/{}/drop", no()?), why()),
        })
    }
}

/// A text as part of an address.
pub(super) fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes())
        .collect::<String>()
        .replace('+', "%20")
}

/// Whether an address is a page of ours, so that nobody is sent elsewhere.
fn is_ours(back: &str) -> bool {
    let rest = back.strip_prefix(PAGE);
    let begins = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']));
    begins && !back.contains("//") && back.bytes().all(|b| b.is_ascii_graphic() && b != b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    /// Every act becomes a request if it has what it needs, and none if it has nothing.
    #[test]
    fn each_act_is_a_request() {
        let all = fields(&[("till", "test-101"), ("no", "7"), ("printer", "a b/c")]);
        for act in Act::ALL {
            let wanted = Wanted::read(act.as_str(), &all).unwrap();
            let (path, _) = wanted.request("why").unwrap();
            assert!(path.starts_with("/v1/") && !path.contains(' ') && !path.contains("b/c"));
            let nothing = Wanted::read(act.as_str(), &[]).unwrap();
            assert!(nothing.request("why").is_err(), "{act:?}");
        }
        assert!(Wanted::read("sell", &all).is_err());
        assert!(Wanted::read("close_day", &fields(&[("till", "101")])).is_err());
        assert!(Wanted::read("cancel", &fields(&[("no", "-1")])).is_err());
    }

    /// Nobody is sent to a page that is not ours.
    #[test]
    fn back_is_ours() {
        for (back, expected) in [
            ("/operator/queue?x=1", "/operator/queue?x=1"),
            ("/operator", "/operator"),
            ("https://evil.example", PAGE),
            ("//evil.example", PAGE),
            ("/operator//evil.example", PAGE),
            ("/operator.evil", PAGE),
            ("/operator/\r\nSet-Cookie: a=b", PAGE),
            ("/v1/status", PAGE),
        ] {
            let wanted = Wanted::read("send", &fields(&[("back", back)])).unwrap();
            assert_eq!(wanted.back, expected, "{back}");
        }
    }
}
