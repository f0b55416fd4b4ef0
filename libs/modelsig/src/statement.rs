use std::collections::BTreeMap;

use aws_lc_rs::digest::{Context, SHA256};
use serde::Deserialize;

use crate::SignatureFault;
use crate::bundle::expect;

/// What tools call the file of a signature, beside the files it is over. It is never one of them.
pub const SIGNATURE_FILE: &str = "model.sig";

/// What an envelope holds.
pub(crate) const MEDIA_TYPE: &str = "application/vnd.in-toto+json";
const STATEMENT: &str = "https://in-toto.io/Statement/v1";
const PREDICATE: &str = "https://model_signing/signature/v1.0";
const METHOD: &str = "files";
const ALGORITHM: &str = "sha256";

/// What a signature is over.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Content {
    Files(Statement),
    /// Digests of a kind that nobody here can hold against anything, and which.
    Unknown(String),
}

/// The files that were signed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Statement {
    /// Path to SHA-256, in hexadecimal.
    files: BTreeMap<String, String>,
    /// Paths that do not count, with all below them.
    ignored: Vec<String>,
}

/// The first file that is not as it was signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Difference {
    #[error("{path} was signed with SHA-256 {signed}, and {found} was found")]
    Changed { path: String, signed: String, found: String },
    #[error("{path} was signed with SHA-256 {signed}, and there is no such file")]
    Missing { path: String, signed: String },
    #[error("{path} was not signed; its SHA-256 is {found}")]
    Unsigned { path: String, found: String },
}

#[derive(Deserialize)]
struct Written {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    predicate: Predicate,
}

#[derive(Deserialize)]
struct Subject {
    digest: SubjectDigest,
}

#[derive(Deserialize)]
struct SubjectDigest {
    sha256: String,
}

#[derive(Deserialize)]
struct Predicate {
    serialization: Serialization,
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
struct Serialization {
    method: String,
    #[serde(default)]
    ignore_paths: Vec<String>,
}

#[derive(Deserialize)]
struct Resource {
    name: String,
    algorithm: String,
    digest: String,
}

/// Reads the payload of an envelope.
pub(crate) fn read(payload: &[u8]) -> Result<Content, SignatureFault> {
    let malformed = |problem: String| SignatureFault::Malformed(problem);
    let written: Written =
        serde_json::from_slice(payload).map_err(|fault| malformed(format!("its statement: {fault}")))?;
    expect("_type", &written.kind, STATEMENT)?;
    expect("predicateType", &written.predicate_type, PREDICATE)?;
    let Predicate { serialization, resources } = written.predicate;
    if serialization.method != METHOD {
        return Ok(Content::Unknown(format!(
            "it is over {:?}, and only whole files are compared",
            serialization.method
        )));
    }
    let [subject] = written.subject.as_slice() else {
        return Err(malformed(format!("it is about {} models, not one", written.subject.len())));
    };
    let (mut whole, mut files) = (Context::new(&SHA256), BTreeMap::new());
    for Resource { name, algorithm, digest } in resources {
        if algorithm != ALGORITHM {
            return Ok(Content::Unknown(format!("its digests are {algorithm:?}, and only {ALGORITHM:?} is compared")));
        }
        let bytes = hex::decode(&digest).ok().filter(|bytes| bytes.len() == 32);
        whole.update(&bytes.ok_or_else(|| malformed(format!("the digest of {name:?} is no SHA-256")))?);
        if files.insert(name.clone(), digest.to_ascii_lowercase()).is_some() {
            return Err(malformed(format!("it names {name:?} twice")));
        }
    }
    let found = hex::encode(whole.finish());
    if found != subject.digest.sha256 {
        let message = format!("its files come to {found}, and its subject says {}", subject.digest.sha256);
        return Err(malformed(message));
    }
    Ok(Content::Files(Statement { files, ignored: serialization.ignore_paths }))
}

impl Statement {
    /// Finds the first file, by path, that is not as it was signed.
    pub(crate) fn compare<'f>(&self, files: impl IntoIterator<Item = (&'f str, &'f str)>) -> Result<(), Difference> {
        let counts = |(path, _): &(&str, &str)| !self.is_ignored(path);
        let found: BTreeMap<&str, &str> = files.into_iter().filter(counts).collect();
        for (path, signed) in &self.files {
            let (path, signed) = (path.clone(), signed.clone());
            match found.get(path.as_str()) {
                Some(digest) if digest.eq_ignore_ascii_case(&signed) => {}
                Some(digest) => return Err(Difference::Changed { path, signed, found: (*digest).to_owned() }),
                None => return Err(Difference::Missing { path, signed }),
            }
        }
        match found.into_iter().find(|(path, _)| !self.files.contains_key(*path)) {
            Some((path, digest)) => Err(Difference::Unsigned { path: path.to_owned(), found: digest.to_owned() }),
            None => Ok(()),
        }
    }

    /// Whether a path does not count. One that was signed all the same does.
    fn is_ignored(&self, path: &str) -> bool {
        let lies_below = |folder: &String| {
            let folder = folder.trim_end_matches('/');
            path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        !self.files.contains_key(path) && (path == SIGNATURE_FILE || self.ignored.iter().any(lies_below))
    }
}
