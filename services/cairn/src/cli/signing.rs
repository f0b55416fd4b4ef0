//! `cairn models signing-policy|verify`: whose signatures count, and whether a version's is one of them.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use cairn_modelsig::{Bundle, PublicKey, Verdict};
use clap::Subcommand;
use serde_json::{Value, json};

use super::models::full_name;
use super::session::{Session, given};

const POLICIES: &str = "registry.v1.SigningPolicyService";
const VERSIONS: &str = "registry.v1.ModelVersionService";

/// More files than the registry notes of any version.
const FILES_MAX: usize = 20_001;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Shows or sets whose signatures over versions count, and whether there must be one.
    #[command(subcommand)]
    SigningPolicy(Policy),
    /// Holds a signature against the files that a version had when it was registered, here and not on the server.
    Verify {
        /// The model's id, or full name.
        model: String,
        /// The version's number.
        number: u32,
        /// The public key that you trust, in PEM.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// The signature, as it lies beside the version's files.
        #[arg(long, value_name = "FILE", default_value = cairn_modelsig::SIGNATURE_FILE)]
        signature: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub enum Policy {
    /// Shows the policy of the project, or what a model adds to it.
    Get {
        /// The model's id, or full name. None: the project's own policy.
        model: Option<String>,
    },
    /// Sets it as a whole. Holds for versions that are registered from then on.
    Set {
        /// The model's id, or full name. None: the project, for all its models.
        model: Option<String>,
        /// A public key to trust, in PEM, and what to call it. Any number of times.
        #[arg(long = "key", value_name = "NAME=FILE")]
        keys: Vec<String>,
        /// Register only versions that one of the trusted keys signed.
        #[arg(long)]
        required: bool,
    },
}

pub async fn run(session: &Session, command: Command) -> anyhow::Result<()> {
    match command {
        Command::SigningPolicy(Policy::Get { model }) => {
            let request = json!({"name": name(session, model.as_deref())});
            session.output.one(&session.call(&format!("{POLICIES}/GetSigningPolicy"), request).await?)
        }
        Command::SigningPolicy(Policy::Set { model, keys, required }) => {
            let name = name(session, model.as_deref());
            let keys = keys.iter().map(|key| read_key(key)).collect::<anyhow::Result<Vec<Value>>>()?;
            let policy = given(json!({"name": name, "keys": keys, "required": required}));
            let request = json!({"signing_policy": policy, "update_mask": "keys,required"});
            let set = session.call(&format!("{POLICIES}/UpdateSigningPolicy"), request).await?;
            session.output.done(&format!("set {name}"), &set)
        }
        Command::Verify { model, number, key, signature } => {
            let version = format!("{}/versions/{number}", full_name(session, &model));
            verify(session, &version, &key, &signature).await
        }
    }
}

async fn verify(session: &Session, version: &str, key: &Path, signature: &Path) -> anyhow::Result<()> {
    let key: PublicKey = text(key)?.parse().with_context(|| format!("{} is no key", key.display()))?;
    let bundle = Bundle::read(text(signature)?.as_bytes());
    let bundle = bundle.with_context(|| format!("{} is no signature", signature.display()))?;
    let request = json!({"parent": version});
    let files = session.list(&format!("{VERSIONS}/ListModelVersionArtifacts"), request, FILES_MAX).await?;
    if files.is_empty() {
        bail!("the files of {version} are not known to the registry: there is nothing to verify");
    }
    let word = |file: &Value, field: &str| file[field].as_str().unwrap_or_default().to_owned();
    let files: Vec<(String, String)> = files.iter().map(|file| (word(file, "path"), word(file, "sha256"))).collect();
    let listed = files.iter().map(|(path, sha256)| (path.as_str(), sha256.as_str()));
    match bundle.judge(std::slice::from_ref(&key), listed)? {
        Verdict::Verified(_) => {
            let answer = json!({"version": version, "fingerprint": key.fingerprint(), "file_count": files.len()});
            session.output.done(&format!("{version} is what this key signed: {} files", files.len()), &answer)
        }
        Verdict::Untrusted(problem) => bail!("{version} is not verified: {problem}"),
    }
}

/// `NAME=FILE` as a key of a policy.
fn read_key(argument: &str) -> anyhow::Result<Value> {
    let (name, file) = argument.split_once('=').with_context(|| format!("{argument:?} must be NAME=FILE"))?;
    Ok(json!({"name": name, "public_key_pem": text(Path::new(file))?}))
}

fn text(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

fn name(session: &Session, model: Option<&str>) -> String {
    let scope = model.map_or_else(|| session.project(), |model| full_name(session, model));
    format!("{scope}/signingPolicies/default")
}
