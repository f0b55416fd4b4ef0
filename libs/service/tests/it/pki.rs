//! Certificates of authorities that tests make up.

use std::path::{Path, PathBuf};

use cairn_service::tls::Files;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};

pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Writes a certificate for these identities, its key, and this authority as the one to trust.
    pub fn issue(&self, folder: &Path, name: &str, identities: &[&str]) -> Files {
        self.issue_until(folder, name, identities, 4000)
    }

    /// The same, valid until the beginning of a year.
    pub fn issue_until(&self, folder: &Path, name: &str, identities: &[&str], year: i32) -> Files {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        params.subject_alt_names = identities
            .iter()
            .map(|identity| match identity.contains("://") {
                true => SanType::URI((*identity).try_into().unwrap()),
                false => SanType::DnsName((*identity).try_into().unwrap()),
            })
            .collect();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let write = |suffix: &str, text: &str| -> PathBuf {
            let path = folder.join(format!("{name}.{suffix}"));
            std::fs::write(&path, text).unwrap();
            path
        };
        Files {
            certificate: write("pem", &certificate.pem()),
            key: write("key", &key.serialize_pem()),
            trusted: Some(write("ca", &self.pem)),
        }
    }
}
