//! What running gateways tell of alarms, written down: which came, and that each went again.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::Request;
use fiscald::alarms::AlarmCode;
use fiscald::api::{Api, ApiSettings, Devices, schema};
use fiscald::hq::HqView;
use http_body_util::BodyExt as _;
use tokio_util::sync::CancellationToken;

use super::api::{PATIENCE, Shop, get};
use super::store::House;

/// What one gateway has told so far.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    now: BTreeSet<AlarmCode>,
    raised: BTreeSet<AlarmCode>,
}

/// Codes as a set.
pub(crate) fn set(codes: &[AlarmCode]) -> BTreeSet<AlarmCode> {
    codes.iter().copied().collect()
}

impl Watch {
    /// Notes an answer of `GET /v1/alarms`; what it tells. Every alarm in it has all of its words.
    pub(crate) fn heard(&mut self, body: &[u8]) -> BTreeSet<AlarmCode> {
        let found: schema::Alarms = serde_json::from_slice(body).unwrap();
        let codes = found.alarms.into_iter().map(|alarm| {
            for words in [&alarm.what, &alarm.action] {
                assert!(words.ends_with('.') && !words.contains('{'), "{words}");
            }
            let mut known = AlarmCode::ALL.iter().copied();
            let code = known.find(|known| known.as_str() == alarm.code);
            code.unwrap_or_else(|| panic!("{} is not in the table", alarm.code))
        });
        self.now = codes.collect();
        self.raised.extend(&self.now);
        self.now.clone()
    }

    /// A house's gateway tells of these alarms and of no other.
    pub(crate) async fn house(&mut self, house: &House, wanted: &[AlarmCode]) {
        self.joined(house, &HqView::default(), wanted).await;
    }

    /// The same of one that has joined head office.
    pub(crate) async fn joined(&mut self, house: &House, office: &HqView, wanted: &[AlarmCode]) {
        assert_eq!(self.look(house, office).await, set(wanted));
    }

    /// Waits, without letting time pass, until a house's gateway tells of these alarms and of no other.
    pub(crate) async fn house_until(&mut self, house: &House, wanted: &[AlarmCode]) {
        let mut seen = BTreeSet::new();
        let waiting = async {
            loop {
                seen = self.look(house, &HqView::default()).await;
                if seen == set(wanted) {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, waiting).await;
        assert!(waited.is_ok(), "{seen:?}, not {wanted:?}");
    }

    async fn look(&mut self, house: &House, office: &HqView) -> BTreeSet<AlarmCode> {
        let settings = ApiSettings {
            hq: office.clone(),
            ..ApiSettings::default()
        };
        self.with(house, settings).await
    }

    /// What a house's gateway with these settings tells.
    pub(crate) async fn with(
        &mut self,
        house: &House,
        settings: ApiSettings,
    ) -> BTreeSet<AlarmCode> {
        let api = Api::new(
            house.ledger().clone(),
            house.submitter().clone(),
            Devices::default(),
            settings,
            CancellationToken::new(),
        );
        let request = Request::get("/v1/alarms").body(Body::empty()).unwrap();
        let answer = api.ask_as(&std::sync::Arc::from("test"), request).await;
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        self.heard(&body)
    }

    /// Waits until these are the alarms of a shop and no other, as a till's own token and one for every till see them.
    pub(crate) async fn shop(&mut self, shop: &Shop, wanted: &[AlarmCode]) {
        self.shop_while(shop, wanted, || {}).await;
    }

    /// The same while something goes on at every look: time that passes.
    pub(crate) async fn shop_while(&mut self, shop: &Shop, wanted: &[AlarmCode], step: impl Fn()) {
        let mut seen = Vec::new();
        let waiting = async {
            loop {
                seen.clear();
                for token in ["one", "all"] {
                    let answer = shop.ask(&get("/v1/alarms").token(token)).await;
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    seen.push(self.heard(&answer.body));
                }
                if seen.iter().all(|codes| *codes == set(wanted)) {
                    return;
                }
                step();
                // A printer's condition is no event.
                tokio::task::yield_now().await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, waiting).await;
        assert!(waited.is_ok(), "{seen:?}, not {wanted:?}");
    }

    /// The end of a story: these alarms came, and all is well again.
    pub(crate) fn ended(&self, codes: &[AlarmCode]) {
        assert_eq!(self.now, BTreeSet::new(), "still alarming at the end");
        let missing: Vec<_> = set(codes).difference(&self.raised).copied().collect();
        assert!(missing.is_empty(), "never came: {missing:?}");
    }
}
