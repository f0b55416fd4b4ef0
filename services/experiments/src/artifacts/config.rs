use std::path::Path;
use std::sync::Arc;

use cairn_objects::{ObjectStore, OpenFault, S3Settings, SCHEMES, Settings, Signer, open};
use cairn_service::config::Secret;

use super::Storage;

/// File in the data folder that holds the secret behind signed addresses.
const SECRET_FILE: &str = "objects.key";

cairn_service::settings! {
    /// Where the bytes of artifacts are kept.
    pub struct Config: "objects" checked by problems {
        /// The store: `file:///srv/cairn/objects`, `s3://bucket/prefix`, or `memory://` for tests. Empty: the folder
        /// `objects` below the data folder.
        url: String = String::new();
        /// Address under which clients reach this server, for the signed addresses of stores that have none of their
        /// own. Empty: where the gateway listens.
        public_url: String = String::new();
        /// Largest artifact that passes through the server, in bytes.
        artifact_bytes_max: u64 = 64 << 30;
        /// Address of an S3 that is not Amazon's, e.g. `http://minio:9000`. Buckets are then part of the path.
        s3_endpoint: Option<String> = None, env "MINIO_ENDPOINT";
        /// Region of the bucket. Absent: as the environment of Amazon's tools says, else `us-east-1`.
        s3_region: Option<String> = None;
        /// Id of the key for the bucket. Absent: credentials are found as Amazon's own tools find them.
        s3_access_key: Option<String> = None, env "MINIO_ACCESS_KEY";
        /// Secret of that key.
        s3_secret_key: Option<Secret> = None, env "MINIO_SECRET_KEY";
    }
}

fn problems(config: &Config) -> Vec<String> {
    let mut problems = vec![];
    let scheme = config.url.split_once("://").map(|(scheme, _)| scheme);
    if !config.url.is_empty() && !scheme.is_some_and(|scheme| SCHEMES.contains(&scheme)) {
        problems.push(format!(
            "UNKNOWN_SCHEME: url is {:?}, which names no object store; it must begin with one of {}",
            config.url,
            SCHEMES.map(|s| format!("{s}://")).join(", ")
        ));
    }
    if !config.public_url.is_empty() && !config.public_url.starts_with("http") {
        problems.push(format!("public_url is {:?}; it must begin with http:// or https://", config.public_url));
    }
    if config.s3_access_key.is_some() != config.s3_secret_key.is_some() {
        problems.push("s3_access_key and s3_secret_key only make sense together".to_owned());
    }
    if config.artifact_bytes_max == 0 {
        problems.push("artifact_bytes_max must be at least 1".to_owned());
    }
    problems
}

impl Config {
    /// Opens the store. `listening` is where the gateway is reached when nothing else is configured.
    pub async fn open(&self, data_folder: &Path, listening: &str) -> Result<Storage, OpenFault> {
        let secret_file = data_folder.join(SECRET_FILE);
        let base_url = if self.public_url.is_empty() { listening } else { &self.public_url };
        let signer = Signer::from_file(&secret_file, base_url)
            .map_err(|fault| OpenFault::Folder { folder: secret_file.display().to_string(), fault })?;
        let address = match self.url.as_str() {
            "" => {
                let folder = data_folder.join("objects");
                let folder = std::path::absolute(&folder)
                    .map_err(|fault| OpenFault::Folder { folder: folder.display().to_string(), fault })?;
                format!("file://{}", folder.display())
            }
            url => url.trim_end_matches('/').to_owned(),
        };
        let credentials = self.s3_access_key.clone().zip(self.s3_secret_key.as_ref());
        let s3 = S3Settings {
            endpoint: self.s3_endpoint.clone(),
            region: self.s3_region.clone(),
            credentials: credentials.map(|(id, secret)| (id, cairn_objects::Secret(secret.expose().to_owned()))),
        };
        let objects: Arc<dyn ObjectStore> = open(&address, Settings { signer: signer.clone(), s3 }).await?;
        Ok(Storage { objects, signer, address, size_max: self.artifact_bytes_max })
    }
}

#[cfg(test)]
mod tests {
    use cairn_service::config::{Registry, Sources};

    use super::*;

    fn loaded(environment: &[(&str, &str)]) -> Result<Config, String> {
        let registry = Registry::new().with::<Config>();
        let loaded = registry
            .load(&Sources::new().with_environment(environment.iter().copied()))
            .map_err(|problems| problems.to_string())?;
        Ok(loaded.get())
    }

    #[test]
    fn the_short_names_of_minio_lead_to_an_s3_of_ones_own_s1_62() {
        let config = loaded(&[
            ("CAIRN__OBJECTS__URL", "s3://artifacts/cairn"),
            ("MINIO_ENDPOINT", "http://minio:9000"),
            ("MINIO_ACCESS_KEY", "access"),
            ("MINIO_SECRET_KEY", "secret"),
        ]);
        let config = config.unwrap();
        assert_eq!(config.s3_endpoint.as_deref(), Some("http://minio:9000"));
        assert_eq!(config.s3_access_key.as_deref(), Some("access"));
        assert_eq!(config.s3_secret_key.as_ref().map(Secret::expose), Some("secret"));
    }

    #[test]
    fn a_store_that_cannot_be_is_refused_at_the_start() {
        for url in ["gs://bucket", "v3io://users/data", "/srv/objects"] {
            let problem = loaded(&[("CAIRN__OBJECTS__URL", url)]).unwrap_err();
            let told = ["UNKNOWN_SCHEME", url, "file://, s3://, memory://"];
            assert!(told.iter().all(|part| problem.contains(part)), "{problem}");
        }
        assert!(loaded(&[("MINIO_ACCESS_KEY", "access")]).unwrap_err().contains("only make sense together"));
    }
}
