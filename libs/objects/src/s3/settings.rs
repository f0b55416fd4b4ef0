use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation};
use aws_smithy_http_client::{Builder, tls};

/// How an S3 is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Address of a server that is not Amazon's, e.g. `http://minio:9000`. Buckets are then part of the path.
    pub endpoint: Option<String>,
    /// Empty: as the environment says, else `us-east-1`.
    pub region: Option<String>,
    /// Absent: credentials come from the environment, as Amazon's own tools find them.
    pub credentials: Option<(String, Secret)>,
}

/// A text that is not shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(hidden)")
    }
}

impl Settings {
    pub(super) async fn client(&self) -> Client {
        let http = Builder::new().tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc));
        let timeouts = TimeoutConfig::builder().connect_timeout(Duration::from_secs(5)).build();
        let mut loader =
            aws_config::defaults(BehaviorVersion::latest()).http_client(http.build_https()).timeout_config(timeouts);
        if let Some(region) = &self.region {
            loader = loader.region(Region::new(region.clone()));
        } else {
            let named = ["AWS_REGION", "AWS_DEFAULT_REGION"].iter().any(|name| std::env::var_os(name).is_some());
            if self.endpoint.is_some() && !named {
                loader = loader.region(Region::from_static("us-east-1"));
            }
        }
        if let Some((id, secret)) = &self.credentials {
            loader = loader.credentials_provider(Credentials::new(id, &secret.0, None, None, "cairn"));
        }
        let mut config = aws_sdk_s3::config::Builder::from(&loader.load().await);
        if let Some(endpoint) = &self.endpoint {
            config = config
                .endpoint_url(endpoint)
                .force_path_style(true)
                // Servers that are not Amazon's need not know its newer checksums.
                .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
                .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        }
        Client::from_conf(config.build())
    }
}
