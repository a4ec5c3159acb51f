//! A browser with the pages of one test in it.

use std::path::PathBuf;

use browser::Browser;

use crate::support::Test;

/// A browser at no page yet.
pub(crate) async fn open(test: &Test) -> Browser {
    let pictures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/screenshots");
    Browser::open(&test.base, pictures).await
}

/// A browser in which somebody is signed in.
pub(crate) async fn signed_in(test: &Test, email: &str) -> Browser {
    let browser = open(test).await;
    browser.goto("/sign-in").await;
    sign_in(&browser, email, crate::seed::PASSWORD).await;
    browser.find("#main").await;
    browser
}

/// Fills the form of signing in and sends it.
pub(crate) async fn sign_in(browser: &Browser, email: &str, password: &str) {
    browser.fill("input[name=email]", email).await;
    browser.fill("input[name=password]", password).await;
    browser.press("button.main").await;
}
