use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use webpki::{EndEntityCert, KeyUsage};

use super::files::provider;

/// Accepts certificates of the trusted authorities whoever they are for. Who that is, is asked when the connection
/// stands: a process is known by an identity that is bound to its role, not by the address it runs at, and an address of
/// a cluster is in no certificate.
#[derive(Debug)]
pub struct Known {
    trusted: Arc<RootCertStore>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Known {
    pub fn new(trusted: Arc<RootCertStore>) -> Self {
        Self { trusted, algorithms: provider().signature_verification_algorithms }
    }
}

impl ServerCertVerifier for Known {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let malformed = |_| Error::InvalidCertificate(CertificateError::BadEncoding);
        let parsed = EndEntityCert::try_from(certificate).map_err(malformed)?;
        let verified = parsed.verify_for_usage(
            self.algorithms.all,
            &self.trusted.roots,
            intermediates,
            now,
            KeyUsage::server_auth(),
            None,
            None,
        );
        match verified {
            Ok(_) => Ok(ServerCertVerified::assertion()),
            Err(webpki::Error::CertExpired { .. }) => Err(Error::InvalidCertificate(CertificateError::Expired)),
            Err(webpki::Error::UnknownIssuer) => Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)),
            Err(fault) => Err(Error::General(fault.to_string())),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Who a certificate that has been verified is for: its URIs (`spiffe://…`) and its DNS names.
pub fn identities(chain: &[CertificateDer<'_>]) -> Vec<String> {
    let parsed = chain.first().and_then(|own| EndEntityCert::try_from(own).ok());
    parsed.map_or_else(Vec::new, |own| own.valid_uri_names().chain(own.valid_dns_names()).map(str::to_owned).collect())
}
