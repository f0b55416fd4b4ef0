use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Where a process's certificate, its key, and the certificates that it trusts stand. All PEM.
#[derive(Clone, Debug)]
pub struct Files {
    /// Its own certificate first, then those up to the root.
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Authorities that the other side's certificate must come from. Without them nobody is asked for one.
    pub trusted: Option<PathBuf>,
}

/// Why files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    #[error("{} cannot be read: {fault}", path.display())]
    Unreadable { path: PathBuf, fault: std::io::Error },
    #[error("{} holds no {what} in PEM", path.display())]
    Empty { path: PathBuf, what: &'static str },
    #[error("{} holds something that is no certificate", path.display())]
    Malformed { path: PathBuf },
    #[error("the certificate in {} is valid from {from} to {to}, which is not now", path.display())]
    NotNow { path: PathBuf, from: String, to: String },
    #[error("the certificate and the key do not work together: {0}")]
    Unusable(#[from] rustls::Error),
    #[error("the trusted certificates cannot be used: {0}")]
    Untrusted(String),
}

/// What the files hold.
pub struct Material {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
    pub trusted: Option<Arc<RootCertStore>>,
    /// When its certificate ends, in seconds since 1970.
    pub expiry: i64,
}

impl Files {
    /// Everything in them as one text, to see whether it has changed.
    pub(super) fn bytes(&self) -> Result<Vec<u8>, Problem> {
        let mut all = vec![];
        for path in [Some(&self.certificate), Some(&self.key), self.trusted.as_ref()].into_iter().flatten() {
            all.extend(read(path)?);
            all.push(0);
        }
        Ok(all)
    }

    /// Reads them, and refuses what no connection could be made with. `now` is in seconds since 1970.
    pub(super) fn material(&self, now: i64) -> Result<Material, Problem> {
        let chain = certificates(&self.certificate)?;
        let own = chain.first().ok_or_else(|| empty(&self.certificate, "certificate"))?;
        let expiry = expiry(&self.certificate, own, now)?;
        let key = PrivateKeyDer::from_pem_slice(&read(&self.key)?).map_err(|_| empty(&self.key, "private key"))?;
        let trusted = self.trusted.as_deref().map(roots).transpose()?.map(Arc::new);
        Ok(Material { chain, key, trusted, expiry })
    }
}

/// The one cryptography of this program.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn roots(path: &Path) -> Result<RootCertStore, Problem> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(path)? {
        store.add(certificate).map_err(|fault| Problem::Untrusted(fault.to_string()))?;
    }
    Ok(store)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let bytes = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let found = found.map_err(|_| Problem::Malformed { path: path.to_owned() })?;
    if found.is_empty() { Err(empty(path, "certificate")) } else { Ok(found) }
}

fn expiry(path: &Path, own: &CertificateDer<'_>, now: i64) -> Result<i64, Problem> {
    let (_, parsed) = X509Certificate::from_der(own).map_err(|_| Problem::Malformed { path: path.to_owned() })?;
    let validity = parsed.validity();
    let (from, to) = (validity.not_before.timestamp(), validity.not_after.timestamp());
    if !(from..=to).contains(&now) {
        let (from, to) = (validity.not_before.to_string(), validity.not_after.to_string());
        return Err(Problem::NotNow { path: path.to_owned(), from, to });
    }
    Ok(to)
}

fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    std::fs::read(path).map_err(|fault| Problem::Unreadable { path: path.to_owned(), fault })
}

fn empty(path: &Path, what: &'static str) -> Problem {
    Problem::Empty { path: path.to_owned(), what }
}
