//! A page without a mouse.

use std::collections::BTreeSet;

use crate::Browser;

/// The key that goes on to the next field.
const TAB: &str = "\u{e004}";
/// The key that presses.
pub const ENTER: &str = "\u{e007}";

/// What can be reached with the keyboard, and where the keyboard is.
const REACHABLE: &str = r#"return [...document.querySelectorAll("a[href], button, input:not([type=hidden]), select, summary")]
  .filter((e) => e.offsetParent !== null && !e.disabled).length;"#;
const HERE: &str = r#"const e = document.activeElement;
return e && e !== document.body ? [...document.querySelectorAll("*")].indexOf(e) + "|" + e.id : "";"#;

impl Browser {
    /// Presses a key where the keyboard is.
    pub async fn key(&self, keys: &str) {
        let at = self.client.active_element().await.unwrap();
        at.send_keys(keys).await.unwrap();
    }

    /// Goes with the keyboard to an element of this id, from wherever it is.
    pub async fn tab_to(&self, id: &str) {
        for _ in 0..120 {
            self.key(TAB).await;
            let here = self.here().await;
            if here.ends_with(&format!("|{id}")) {
                return;
            }
        }
        panic!("the keyboard does not reach {id}");
    }

    /// Goes through the whole page with the keyboard: everything that can be pressed or filled in is reached.
    pub async fn walk(&self, what: &str) {
        let wanted = self.run(REACHABLE).await.as_u64().unwrap();
        let mut seen = BTreeSet::new();
        for _ in 0..wanted + 3 {
            self.key(TAB).await;
            seen.insert(self.here().await);
        }
        seen.remove("");
        let seen = u64::try_from(seen.len()).unwrap();
        assert!(
            seen >= wanted,
            "{what}: {seen} of {wanted} are reached with the keyboard"
        );
    }

    async fn here(&self) -> String {
        self.run(HERE).await.as_str().unwrap_or_default().to_owned()
    }
}
