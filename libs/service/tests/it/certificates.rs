//! Certificates whose files change while they are in force.

use std::path::Path;
use std::sync::Arc;

use cairn_service::health::{HealthCheck, State};
use cairn_service::tls::{CertificateCheck, Files, Problem, Reloading, Server};

use crate::pki::Authority;

fn opened(folder: &Path) -> (Authority, Files, Arc<Reloading<Server>>) {
    let authority = Authority::new();
    let files = authority.issue(folder, "edge", &["localhost"]);
    let certificate = Reloading::open(files.clone()).unwrap();
    (authority, files, certificate)
}

#[tokio::test]
async fn what_cannot_be_used_changes_nothing_and_health_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (authority, files, certificate) = opened(folder.path());
    let check = CertificateCheck::new(Arc::clone(&certificate));
    let first = certificate.current();
    assert_eq!(check.check().await, (State::Healthy, String::new()));
    let good = std::fs::read(&files.certificate).unwrap();
    authority.issue(folder.path(), "other", &["localhost"]);
    authority.issue_until(folder.path(), "old", &["localhost"], 2001);
    let of = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    for (broken, says) in [
        (b"nonsense".to_vec(), "holds no certificate"),
        (of("other.pem"), "do not work together"),
        (of("old.pem"), "which is not now"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec(), "no certificate"),
    ] {
        std::fs::write(&files.certificate, broken).unwrap();
        certificate.look();
        assert!(Arc::ptr_eq(&certificate.current(), &first), "{says}");
        let (state, message) = check.check().await;
        assert!(state == State::Warning && message.contains(says), "{says}: {message}");
    }
    std::fs::remove_file(&files.certificate).unwrap();
    certificate.look();
    assert!(check.check().await.1.contains("cannot be read"));
    std::fs::write(&files.certificate, good).unwrap();
    certificate.look();
    assert_eq!(check.check().await.0, State::Healthy, "the one from before is no news");
    assert!(Arc::ptr_eq(&certificate.current(), &first));
    authority.issue(folder.path(), "edge", &["localhost"]);
    certificate.look();
    assert!(!Arc::ptr_eq(&certificate.current(), &first), "a good one is taken");
    assert_eq!(check.check().await.0, State::Healthy);
}

#[test]
fn a_process_does_not_start_with_what_cannot_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let (authority, files, _) = opened(folder.path());
    let expired = authority.issue_until(folder.path(), "old", &["localhost"], 2001);
    assert!(matches!(Reloading::<Server>::open(expired), Err(Problem::NotNow { .. })));
    let nowhere = Files { key: folder.path().join("nowhere"), ..files.clone() };
    assert!(matches!(Reloading::<Server>::open(nowhere), Err(Problem::Unreadable { .. })));
    let crossed = Files { key: files.certificate.clone(), ..files };
    assert!(matches!(Reloading::<Server>::open(crossed), Err(Problem::Empty { .. })));
}
