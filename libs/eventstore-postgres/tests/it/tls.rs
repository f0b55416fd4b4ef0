//! The line to the database in TLS, and how much its certificate is looked at.

use std::path::Path;

use cairn_eventstore_postgres::{Config, OpenFault, Postgres};
use cairn_kernel::SystemClock;
use cairn_testkit::postgres::Postgres as Server;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::sync::Arc;

use crate::place::cache;

/// An authority, and a server with a certificate of it for a name.
fn secured(name: &str) -> (Server, tempfile::TempDir) {
    let mut authority = CertificateParams::new([]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let folder = tempfile::TempDir::new().unwrap();
    std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
    let mut server = Server::prepared(cache());
    let certificate = server.put("server.crt", &certificate.pem());
    let key = server.put("server.key", &key.serialize_pem());
    let files = [format!("ssl_cert_file={}", certificate.display()), format!("ssl_key_file={}", key.display())];
    server.start(&["ssl=on", &files[0], &files[1]]);
    (server, folder)
}

async fn open(server: &Server, query: &str) -> Result<(), OpenFault> {
    Postgres::open(&Config::at(format!("{}?{query}", server.url())), Arc::new(SystemClock)).await.map(drop)
}

fn trusting(mode: &str, folder: &Path) -> String {
    format!("sslmode={mode}&sslrootcert={}", folder.join("ca.pem").display().to_string().replace('/', "%2F"))
}

#[tokio::test]
async fn a_certificate_of_the_host_and_of_a_trusted_authority_is_all_that_is_asked_for() {
    let (server, folder) = secured("127.0.0.1");
    for query in ["sslmode=disable", "sslmode=prefer", "sslmode=require"] {
        open(&server, query).await.unwrap_or_else(|fault| panic!("{query}: {fault}"));
    }
    for mode in ["verify-ca", "verify-full"] {
        open(&server, &trusting(mode, folder.path())).await.unwrap_or_else(|fault| panic!("{mode}: {fault}"));
        let (_, stranger) = secured("127.0.0.1");
        let fault = open(&server, &trusting(mode, stranger.path())).await.unwrap_err();
        assert!(matches!(fault, OpenFault::Unsuitable { .. }), "{mode}: {fault:?}");
        let missing = open(&server, &trusting(mode, Path::new("/none"))).await.unwrap_err();
        assert!(missing.to_string().contains("sslrootcert /none/ca.pem"), "{missing}");
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused_where_names_are_looked_at() {
    let (server, folder) = secured("elsewhere.example");
    open(&server, &trusting("verify-ca", folder.path())).await.unwrap();
    let fault = open(&server, &trusting("verify-full", folder.path())).await.unwrap_err();
    assert!(matches!(fault, OpenFault::Unsuitable { .. }), "{fault:?}");
}

#[tokio::test]
async fn a_server_without_tls_is_refused_where_it_is_required() {
    let server = Server::started(cache());
    open(&server, "sslmode=prefer").await.unwrap();
    let fault = open(&server, "sslmode=require").await.unwrap_err();
    assert!(fault.to_string().contains("does not support TLS"), "{fault}");
    let local = Config::at(server.socket_url());
    Postgres::open(&local, Arc::new(SystemClock)).await.unwrap();
}
