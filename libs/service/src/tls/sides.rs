use std::sync::Arc;

use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::Problem;
use super::files::{Material, provider};
use super::identity::Known;
use super::reloading::Configured;

/// The side that is connected to. Asks for the other's certificate where there are authorities that it must come from.
pub struct Server(pub Arc<ServerConfig>);

/// The side that connects, and shows its own certificate.
pub struct Client(pub Arc<ClientConfig>);

impl Configured for Server {
    fn of(material: Material) -> Result<Self, Problem> {
        let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
        let builder = match material.trusted {
            None => builder.with_no_client_auth(),
            Some(trusted) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(trusted, provider()).build();
                builder.with_client_cert_verifier(verifier.map_err(|fault| Problem::Untrusted(fault.to_string()))?)
            }
        };
        let mut config = builder.with_single_cert(material.chain, material.key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }
}

impl Configured for Client {
    fn of(material: Material) -> Result<Self, Problem> {
        let trusted = material.trusted.unwrap_or_else(|| Arc::new(RootCertStore::empty()));
        let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
        let mut config = builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Known::new(trusted)))
            .with_client_auth_cert(material.chain, material.key)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self(Arc::new(config)))
    }
}
