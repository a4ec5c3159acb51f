//! The doctor at broken stores: each is really broken, and named rightly, with the next step; a well one is all ok.

mod bundle;
mod copies;
mod machine;
mod process;
mod way;

use fiscald::doctor::Verdict;

use crate::support::clinic::Clinic;

/// A well store whose gateway does not run: that alone is said.
#[tokio::test]
async fn a_well_store_is_all_ok() {
    let clinic = Clinic::new().await;
    let report = clinic.look().await;
    for finding in &report.findings {
        let expected = match finding.code {
            "gateway_stopped" => Verdict::Warning,
            _ => Verdict::Ok,
        };
        assert_eq!(finding.verdict, expected, "{}", report.text());
    }
    let areas: std::collections::BTreeSet<_> = report.findings.iter().map(|f| f.area).collect();
    assert_eq!(areas.len(), 16, "{}", report.text());
    assert!(report.findings.is_sorted_by_key(|finding| finding.area));
}

/// What rests on a step that failed is not looked at, and says which step that was.
#[tokio::test]
async fn what_follows_from_a_cause_is_not_looked_at() {
    let mut clinic = Clinic::new().await;
    let url = clinic.house.sandbox.url();
    let nowhere = format!("https://{}.example", "x".repeat(64));
    clinic.configure(&url, &nowhere);
    let report = clinic.look().await;
    let of = |area: &str| {
        let mut all = report.findings.iter();
        all.find(|finding| finding.area.as_str() == area).unwrap()
    };
    assert_eq!(of("dns").code, "dns_fails", "{}", report.text());
    for area in ["tcp", "tls", "fdms"] {
        assert_eq!(of(area).verdict, Verdict::Skipped, "{}", report.text());
        assert_eq!(of(area).text, "not looked at, because dns has failed");
    }
    assert_eq!(of("certificate").verdict, Verdict::Ok);
    assert!(report.has_fault());

    clinic.config = "nonsense".to_owned();
    let report = clinic.look().await;
    let (first, rest) = report.findings.split_first().unwrap();
    assert_eq!(first.code, "config_invalid");
    assert_eq!(rest.len(), 15);
    assert!(rest.iter().all(|f| f.verdict == Verdict::Skipped));
}
