//! TLS to a Postgres that speaks it: the right authority and name are let in, all others are not, and nothing goes in the
//! clear instead.

use fiscal_hq::db::Address;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use crate::support::Server;

/// An authority: its certificate, and who issues by it.
fn authority(name: &str) -> (String, Issuer<'static, KeyPair>) {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    (pem, Issuer::new(params, key))
}

/// Certificate and key for these names.
fn issued(authority: &Issuer<'static, KeyPair>, names: &[&str]) -> (String, String) {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let params = CertificateParams::new(names).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    (certificate.pem(), key.serialize_pem())
}

/// Has the server show this from now on. It writes the files itself, as whoever it runs as.
async fn show(server: &Server, (certificate, key): &(String, String)) {
    let root = Address::parse(server.url())
        .unwrap()
        .connect()
        .await
        .unwrap();
    let folder: String = root
        .query_one("SHOW data_directory", &[])
        .await
        .unwrap()
        .get(0);
    for (name, text) in [("server.crt", certificate), ("server.key", key)] {
        root.batch_execute(&format!(
            "COPY (SELECT unnest(string_to_array('{}', E'\\n'))) TO PROGRAM 'umask 077; cat > {folder}/{name}'",
            text.trim()
        ))
        .await
        .unwrap();
    }
    root.batch_execute("ALTER SYSTEM SET ssl = on")
        .await
        .unwrap();
    root.batch_execute("SELECT pg_reload_conf()").await.unwrap();
}

/// The URL by its port on loopback, with these words about TLS.
fn by_network(server: &Server, words: &str) -> String {
    let port = server.url().split("port=").nth(1).unwrap();
    let port = port.split('&').next().unwrap();
    format!("postgresql://postgres@127.0.0.1:{port}/postgres?{words}")
}

/// Whether a connection is inside TLS, as the server sees it; else why there is none.
async fn connected(url: &str) -> Result<bool, String> {
    let address = Address::parse(url).map_err(|error| error.to_string())?;
    let client = address
        .connect()
        .await
        .map_err(|error| fiscal_hq::db::say(&error))?;
    let ask = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    Ok(client.query_one(ask, &[]).await.unwrap().get(0))
}

/// Connects until the server has read its settings again.
async fn until(url: &str, is_so: impl Fn(&Result<bool, String>) -> bool) {
    let mut last = None;
    for _ in 0..2_000 {
        let found = connected(url).await;
        if is_so(&found) {
            return;
        }
        last = Some(found);
    }
    panic!("{last:?}");
}

/// Whoever has another authority, or meets another name, is not connected; in the clear only who has asked for no TLS.
#[tokio::test]
async fn the_certificate_and_its_name_are_checked() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("postgres"));
    let ((ours, by_us), (others, _)) = (authority("ours"), authority("others"));
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (ours, others) = (write("ours.pem", &ours), write("others.pem", &others));
    let by = |mode: &str, roots: &str| {
        by_network(&server, &format!("sslmode={mode}&sslrootcert={roots}"))
    };
    // A server that speaks no TLS is no server to us; without TLS it is.
    let refused = connected(&by("verify-full", &ours)).await.unwrap_err();
    assert!(refused.contains("TLS"), "{refused}");
    assert_eq!(
        connected(&by_network(&server, "connect_timeout=5")).await,
        Ok(false)
    );

    show(&server, &issued(&by_us, &["127.0.0.1"])).await;
    until(&by("verify-full", &ours), |found| found == &Ok(true)).await;
    for mode in ["require", "verify-ca", "verify-full"] {
        assert_eq!(connected(&by(mode, &ours)).await, Ok(true), "{mode}");
        let refused = connected(&by(mode, &others)).await.unwrap_err();
        assert!(refused.contains("UnknownIssuer"), "{mode}: {refused}");
    }
    // The right authority, another name.
    show(&server, &issued(&by_us, &["db.example"])).await;
    until(&by("verify-full", &ours), Result::is_err).await;
    for mode in ["require", "verify-ca", "verify-full"] {
        let refused = connected(&by(mode, &ours)).await.unwrap_err();
        let is_told =
            ["not valid for name", "NotValidForName"].map(|words| refused.contains(words));
        assert!(is_told.contains(&true), "{mode}: {refused}");
    }
}
