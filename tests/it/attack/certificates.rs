//! Certificate tricks: whoever sits on the line to FDMS or to head office, and has certificates of every wrong kind; and
//! FDMS's own answers with certificates for a till that are not that till's.

use std::sync::Arc;

use fiscald::config::FdmsConfig;
use fiscald::fdms::{ClientSettings, Fdms as _, FileTransport, HttpFdms, Limits, TrustRoots};
use fiscald::join::{self, Registration};
use fiscald::keys::KeyKind;
use fiscald::submit::Access;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyPair, KeyUsagePurpose, NameConstraints,
    SanType, date_time_ymd,
};
use rustls::pki_types::CertificateDer;
use serde_json::json;

use super::stranger::{Answer, Authority, Stranger, authority, issuer, ok};
use crate::support::store::House;

/// A server's certificate: what is odd about it, by which name it is asked, whether it is to be trusted.
struct Odd {
    what: &'static str,
    host: &'static str,
    is_trusted: bool,
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
}

/// What certificates are made from.
struct Makers {
    known: Authority,
    unknown: Authority,
}

impl Makers {
    /// A leaf from the known authority, for both of this machine's names, changed like this.
    fn leaf(&self, what: &'static str, change: impl FnOnce(&mut CertificateParams)) -> Odd {
        self.under(&self.known, what, change)
    }

    fn under(
        &self,
        authority: &Authority,
        what: &'static str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Odd {
        let mut params = usual();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let own = params.signed_by(&key, issuer(authority)).unwrap();
        Odd {
            what,
            host: "127.0.0.1",
            is_trusted: false,
            chain: vec![own.der().clone()],
            key,
        }
    }

    /// A leaf from an authority in between, which the known one has signed, changed like this.
    fn between(&self, what: &'static str, change: impl FnOnce(&mut CertificateParams)) -> Odd {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "Between");
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let between = Authority::signed_by(params, key, issuer(&self.known)).unwrap();
        let mut odd = self.under(&between, what, |_| {});
        odd.chain.push(between.der().clone());
        odd
    }

    /// Signed by nobody but itself.
    fn self_signed(&self, what: &'static str, change: impl FnOnce(&mut CertificateParams)) -> Odd {
        let mut odd = self.leaf(what, |_| {});
        let mut params = usual();
        change(&mut params);
        odd.chain = vec![params.self_signed(&odd.key).unwrap().der().clone()];
        odd
    }
}

fn usual() -> CertificateParams {
    let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
    CertificateParams::new(names.to_vec()).unwrap()
}

fn named(name: &str) -> Vec<SanType> {
    vec![SanType::DnsName(name.try_into().unwrap())]
}

/// Certificates that are to be trusted.
fn good(makers: &Makers) -> Vec<Odd> {
    let trusted = |odd: Odd| Odd {
        is_trusted: true,
        ..odd
    };
    vec![
        trusted(makers.leaf("a good one", |_| {})),
        Odd {
            host: "localhost",
            ..trusted(makers.leaf("a good one by its name", |_| {}))
        },
        trusted(makers.leaf("for servers", |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        })),
        trusted(makers.between("an authority in between", |_| {})),
        trusted(makers.between("an authority for these names", |params| {
            params.name_constraints = Some(NameConstraints {
                permitted_subtrees: vec![
                    GeneralSubtree::DnsName("localhost".to_owned()),
                    GeneralSubtree::IpAddress(rcgen::CidrSubnet::V4(
                        [127, 0, 0, 0],
                        [255, 0, 0, 0],
                    )),
                ],
                excluded_subtrees: Vec::new(),
            });
        })),
    ]
}

/// Certificates that are not: of a wrong time, a wrong name, a wrong purpose.
fn bad_leaves(makers: &Makers) -> Vec<Odd> {
    let by_name = |odd: Odd| Odd {
        host: "localhost",
        ..odd
    };
    vec![
        makers.leaf("expired", |params| {
            params.not_after = date_time_ymd(2020, 1, 1)
        }),
        makers.leaf("not yet valid", |params| {
            params.not_before = date_time_ymd(2090, 1, 1)
        }),
        makers.leaf("ends before it begins", |params| {
            params.not_before = date_time_ymd(2090, 1, 1);
            params.not_after = date_time_ymd(2000, 1, 1);
        }),
        makers.leaf("another name", |params| {
            params.subject_alt_names = named("fdmsapi.zimra.co.zw");
        }),
        makers.leaf("another address", |params| {
            params.subject_alt_names = vec![SanType::IpAddress([127, 0, 0, 2].into())];
        }),
        makers.leaf("an address as a name", |params| {
            params.subject_alt_names = named("127.0.0.1");
        }),
        makers.leaf("no name at all", |params| params.subject_alt_names.clear()),
        makers.leaf("the name in the CN alone", |params| {
            params.subject_alt_names.clear();
            params
                .distinguished_name
                .push(DnType::CommonName, "127.0.0.1");
        }),
        by_name(makers.leaf("the host in the CN alone", |params| {
            params.subject_alt_names.clear();
            params
                .distinguished_name
                .push(DnType::CommonName, "localhost");
        })),
        by_name(makers.leaf("a wildcard for everything", |params| {
            params.subject_alt_names = named("*");
        })),
        by_name(makers.leaf("a wildcard in a word", |params| {
            params.subject_alt_names = named("local*");
        })),
        by_name(makers.leaf("a wildcard one level too low", |params| {
            params.subject_alt_names = named("*.localhost");
        })),
        by_name(makers.leaf("a name that only begins like it", |params| {
            params.subject_alt_names = named("localhost.evil.example");
        })),
        makers.leaf("for clients alone", |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        }),
        makers.leaf("for signing code", |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
        }),
        makers.self_signed("signed by itself", |_| {}),
        makers.self_signed("signed by itself, an authority", |params| {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }),
        makers.under(
            &makers.unknown,
            "from an authority that nobody knows",
            |_| {},
        ),
    ]
}

/// Chains that lead to the known authority by a wrong way.
fn bad_chains(makers: &Makers) -> Vec<Odd> {
    // Who has a certificate from the authority is none.
    let no_authority = |what, is_ca| makers.between(what, move |params| params.is_ca = is_ca);
    let mut all = vec![
        no_authority("issued by a leaf", IsCa::NoCa),
        no_authority("issued by an explicit leaf", IsCa::ExplicitNoCa),
        makers.between("issued by an expired authority", |params| {
            params.not_after = date_time_ymd(2020, 1, 1);
        }),
        makers.between("an authority for other names", |params| {
            params.name_constraints = Some(NameConstraints {
                permitted_subtrees: vec![GeneralSubtree::DnsName("zimra.co.zw".to_owned())],
                excluded_subtrees: vec![GeneralSubtree::IpAddress(rcgen::CidrSubnet::V4(
                    [127, 0, 0, 0],
                    [255, 0, 0, 0],
                ))],
            });
        }),
        makers.between("an authority for clients", |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        }),
    ];
    let mut without = makers.between("without the authority in between", |_| {});
    without.chain.truncate(1);
    all.push(without);
    let mut borrowed = makers.under(
        &makers.unknown,
        "with the known authority's behind it",
        |_| {},
    );
    borrowed.chain.push(makers.known.der().clone());
    all.push(borrowed);
    let mut foreign = makers.leaf("somebody's good certificate, without its key", |_| {});
    foreign.key = KeyPair::generate().unwrap();
    all.push(foreign);
    let mut garbage = makers.leaf("bytes behind its end", |_| {});
    let der = [garbage.chain[0].as_ref(), b"garbage"].concat();
    garbage.chain = vec![CertificateDer::from(der)];
    all.push(garbage);
    let mut torn = makers.leaf("cut short", |_| {});
    let der = torn.chain[0].as_ref();
    torn.chain = vec![CertificateDer::from(der[..der.len() - 9].to_vec())];
    all.push(torn);
    all
}

/// Whoever stands in for FDMS or for head office without a certificate for its very name, from an authority that this
/// machine trusts, for servers, at this time, is told nothing: no request, no one-time code, no secret. With a good one he
/// would be: the test can fail.
#[tokio::test]
async fn strangers_on_the_line_are_told_nothing() {
    let makers = Makers {
        known: authority(),
        unknown: authority(),
    };
    let house = House::new().await;
    let (good, leaves, chains) = (good(&makers), bad_leaves(&makers), bad_chains(&makers));
    let mut wrong = Vec::new();
    for odd in good.into_iter().chain(leaves).chain(chains) {
        let nothing: Answer = Arc::new(|_| ok(b"{}"));
        let mut server = Stranger::start(odd.chain, &odd.key, nothing).await;
        let (url, pem) = (server.url(odd.host), makers.known.pem());
        let settings = ClientSettings {
            environment: url.clone(),
            device_id: 101,
            model_name: "fiscald".to_owned(),
            model_version: "1".to_owned(),
            identity: None,
            roots: TrustRoots::load(Some(&pem)).unwrap(),
            clock: Arc::new(clock::SystemClock),
            limits: Limits::default(),
            files: FileTransport::default(),
        };
        let client = HttpFdms::new(&settings).unwrap();
        let _ = client.verify_taxpayer("ACTIVATION", "SERIAL-1").await;
        let joining = fiscald::hq::join::Joining {
            url: &url,
            ca: Some(pem),
            code: "ONCE-ONLY",
            actor: "test",
            ledger: &house.path(),
            clock: Arc::new(clock::SystemClock),
        };
        let joined = fiscald::hq::join::join(&mut house.core(), &joining).await;
        assert!(joined.is_err(), "nobody there is head office");
        let told = server.told();
        let has = [told.contains("SERIAL-1"), told.contains("ONCE-ONLY")];
        if has != [odd.is_trusted; 2] {
            wrong.push(format!("{}: FDMS, head office: {has:?}", odd.what));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A public key of RSA with so few bits that it is broken in minutes.
struct Weak(Vec<u8>);

impl Weak {
    fn new() -> Self {
        // SEQUENCE { INTEGER of 512 bits, INTEGER 65537 }
        let mut key = vec![0x30, 0x48, 0x02, 0x41, 0x00];
        key.extend([0xc5; 64]);
        key.extend([0x02, 0x03, 0x01, 0x00, 0x01]);
        Self(key)
    }
}

impl rcgen::PublicKeyData for Weak {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_RSA_SHA256
    }
}

/// What FDMS may answer to a till's request: a certificate from it, as PEM.
type Issues = fn(&Authority, &str) -> String;

/// The till's own request, certified for this time.
fn certified(ca: &Authority, csr: &str, from: i32, until: i32) -> String {
    let mut request = CertificateSigningRequestParams::from_pem(csr).unwrap();
    request.params.not_before = date_time_ymd(from, 1, 1);
    request.params.not_after = date_time_ymd(until, 1, 1);
    request.signed_by(issuer(ca)).unwrap().pem()
}

/// A certificate of another key, in the till's name.
fn anothers(ca: &Authority, csr: &str) -> String {
    let request = CertificateSigningRequestParams::from_pem(csr).unwrap();
    let key = KeyPair::generate().unwrap();
    request.params.signed_by(&key, issuer(ca)).unwrap().pem()
}

/// Answers to a till that asks for a certificate, and whether it keeps what it got: only what is of its own key. What is
/// kept is asked for once more over TLS before it is used, and FDMS knows its own.
const ISSUED: [(&str, Issues, bool); 14] = [
    ("its own", |ca, csr| certified(ca, csr, 2026, 2027), true),
    (
        "its own, ended",
        |ca, csr| certified(ca, csr, 1971, 1972),
        true,
    ),
    (
        "its own, of another age",
        |ca, csr| certified(ca, csr, 2900, 9999),
        true,
    ),
    (
        "its own, ending before it begins",
        |ca, csr| certified(ca, csr, 2900, 1960),
        true,
    ),
    (
        "its own, with another's behind it",
        |ca, csr| certified(ca, csr, 2026, 2027) + &anothers(ca, csr),
        true,
    ),
    ("another's", anothers, false),
    (
        "another's, with its own behind it",
        |ca, csr| anothers(ca, csr) + &certified(ca, csr, 2026, 2027),
        false,
    ),
    ("the authority's", |ca, _| ca.pem(), false),
    (
        "of a weak key",
        |ca, csr| {
            let request = CertificateSigningRequestParams::from_pem(csr).unwrap();
            request
                .params
                .signed_by(&Weak::new(), issuer(ca))
                .unwrap()
                .pem()
        },
        false,
    ),
    ("nothing", |_, _| String::new(), false),
    ("its own request", |_, csr| csr.to_owned(), false),
    (
        "no certificate",
        |_, _| "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned(),
        false,
    ),
    (
        "one without an end",
        |ca, csr| {
            let pem = certified(ca, csr, 2026, 2027);
            pem[..pem.len() / 2].to_owned()
        },
        false,
    ),
    (
        "a megabyte of beginnings",
        |_, _| "-----BEGIN CERTIFICATE-----\n".repeat(30_000),
        false,
    ),
];

/// Whatever FDMS, or who has got between with a good certificate, gives a till as its certificate: none of another's key is
/// kept, nothing of it is a defect, no till can sell by it, and the till is registered by a good answer afterwards.
#[tokio::test]
async fn certificates_of_others_are_not_kept() {
    let house = House::new().await;
    let ledger = house.another_ledger();
    let mut wrong = Vec::new();
    for (place, (what, issues, is_kept)) in ISSUED.into_iter().enumerate() {
        let ca = Arc::new(authority());
        let signs = Arc::clone(&ca);
        let answer: Answer = Arc::new(move |request| {
            let body = request.split("\r\n\r\n").nth(1).unwrap_or_default();
            let body: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
            match body["certificateRequest"].as_str() {
                Some(csr) => {
                    let pem = issues(&signs, csr);
                    ok(json!({ "operationID": "1", "certificate": pem })
                        .to_string()
                        .as_bytes())
                }
                None => ok(b"{}"),
            }
        });
        let server = Stranger::trusted(&ca, answer).await;
        let access = Access {
            addresses: FdmsConfig {
                test_url: server.url("127.0.0.1"),
                ..FdmsConfig::default()
            },
            roots: TrustRoots::load(Some(&ca.pem())).unwrap(),
            clock: house.clock.clone(),
            limits: Limits::default(),
        };
        let number = 9_000 + u32::try_from(place).unwrap();
        let till = house.new_till(number);
        let device = till.device_id;
        let registration = Registration {
            till,
            activation_key: "ACTIVATE",
            kind: KeyKind::EcP256,
            again: false,
            actor: "test",
        };
        let joined = join::register(&ledger, &access, &registration).await;
        if joined.is_ok() {
            wrong.push(format!("{what}: the till can sell"));
        }
        let tills = ledger.ask(fiscald::ledger::Reader::tills).await.unwrap();
        let id = tills
            .iter()
            .find(|till| till.device_id == device)
            .unwrap()
            .id;
        let kept = ledger.write(move |core| core.identity(id)).await.unwrap();
        if kept.is_some() != is_kept {
            wrong.push(format!("{what}: kept: {}, {joined:?}", kept.is_some()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // The same till at the real one, where the house's own till is registered too.
    house.register(KeyKind::EcP256).await;
}
