use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cairn_kernel::Time;
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{Digest, Key, UploadId};

/// Where the addresses of [`Signer`] lead, below the server's public address.
pub const SIGNED_ROUTE: &str = "/api/v1/objects";

/// What stands as it is in the path of an address. Everything else is encoded, so that a key has one spelling there.
const PATH: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>').add(b'?').add(b'`').add(b'{').add(b'}').add(b'%');

/// The one thing an address allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Reads the object.
    Get {
        /// Name the browser saves it under.
        file_name: Option<String>,
        media_type: Option<String>,
    },
    /// Writes the object, of exactly this size and digest where they are given.
    Put { size: Option<u64>, sha256: Option<Digest> },
    /// Writes one part of an upload, of exactly this size where it is given.
    PutPart { upload: UploadId, number: u32, size: Option<u64> },
}

/// What an address is to allow, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    pub key: Key,
    pub action: Action,
    pub now: Time,
    pub lifetime: Duration,
}

/// An address, and the headers that must go with the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    pub url: String,
    pub headers: Vec<(String, String)>,
}

/// What an address of ours says, as it came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims<'a> {
    /// `GET` or `PUT`.
    pub verb: &'a str,
    pub key: &'a str,
    /// Seconds since the epoch.
    pub expires: i64,
    /// Details of the action, as the address carries them.
    pub detail: &'a str,
    pub signature: &'a str,
}

/// Signs addresses that lead to this server, for stores that have none of their own, and knows them again.
///
/// INVARIANT: verb, key, expiry and details are all signed: a change to any of them is a wrong signature.
#[derive(Clone)]
pub struct Signer {
    key: hmac::Key,
    base_url: String,
}

/// Why an address of ours is not honoured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignerFault {
    #[error("the address has been changed, or was not made here")]
    Forged,
    #[error("the address has expired")]
    Expired,
}

impl Signer {
    /// Signs with a secret, for a server that is reached under `base_url`.
    pub fn new(secret: &[u8; 32], base_url: &str) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, secret), base_url: base_url.trim_end_matches('/').to_owned() }
    }

    /// Signs with the secret in a file, which is made on first use and readable by its owner alone. Processes that
    /// share the file honour each other's addresses.
    pub fn from_file(path: &Path, base_url: &str) -> io::Result<Self> {
        let secret = match read_secret(path)? {
            Some(secret) => secret,
            None => {
                create_secret(path)?;
                read_secret(path)?.ok_or_else(|| io::Error::other("the signing secret vanished"))?
            }
        };
        Ok(Self::new(&secret, base_url))
    }

    /// The address for a grant.
    pub fn sign(&self, grant: &Grant) -> Signed {
        let verb = grant.action.verb();
        let expires = grant.now.after(grant.lifetime).micros().div_euclid(1_000_000);
        let detail = grant.action.detail();
        let tag = hmac::sign(&self.key, statement(verb, grant.key.as_str(), expires, &detail).as_bytes());
        let path = utf8_percent_encode(grant.key.as_str(), PATH);
        let mut url = format!("{}{SIGNED_ROUTE}/{path}?expires={expires}", self.base_url);
        if !detail.is_empty() {
            url.push_str(&format!("&detail={}", utf8_percent_encode(&detail, NON_ALPHANUMERIC)));
        }
        url.push_str(&format!("&signature={}", URL_SAFE_NO_PAD.encode(tag)));
        Signed { url, headers: vec![] }
    }

    /// A text that only we can have written: what a caller is to bring back unchanged. It is readable.
    pub fn seal(&self, purpose: &str, payload: &[u8]) -> String {
        let tag = hmac::sign(&self.key, &sealed(purpose, payload));
        format!("{}.{}", URL_SAFE_NO_PAD.encode(payload), URL_SAFE_NO_PAD.encode(tag))
    }

    /// What was sealed for this purpose; `None` if it was not, or not here.
    pub fn unseal(&self, purpose: &str, text: &str) -> Option<Vec<u8>> {
        let (payload, tag) = text.split_once('.')?;
        let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
        hmac::verify(&self.key, &sealed(purpose, &payload), &URL_SAFE_NO_PAD.decode(tag).ok()?).ok()?;
        Some(payload)
    }

    /// What an address allows, if it is one of ours and still valid.
    pub fn verify(&self, claims: &Claims<'_>, now: Time) -> Result<(Key, Action), SignerFault> {
        let tag = URL_SAFE_NO_PAD.decode(claims.signature).map_err(|_| SignerFault::Forged)?;
        let said = statement(claims.verb, claims.key, claims.expires, claims.detail);
        hmac::verify(&self.key, said.as_bytes(), &tag).map_err(|_| SignerFault::Forged)?;
        // Judged last: only who holds an address of ours learns that it has expired.
        if now.micros() >= claims.expires.saturating_mul(1_000_000) {
            return Err(SignerFault::Expired);
        }
        let key = claims.key.parse().map_err(|_| SignerFault::Forged)?;
        Ok((key, Action::read(claims.verb, claims.detail).ok_or(SignerFault::Forged)?))
    }
}

impl Action {
    /// The HTTP verb that carries it out.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Get { .. } => "GET",
            Self::Put { .. } | Self::PutPart { .. } => "PUT",
        }
    }

    /// Its details as one text: `name=value` pairs, values encoded.
    fn detail(&self) -> String {
        let pairs: Vec<(&str, String)> = match self {
            Self::Get { file_name, media_type } => {
                [file_name.clone().map(|text| ("name", text)), media_type.clone().map(|text| ("type", text))]
                    .into_iter()
                    .flatten()
                    .collect()
            }
            Self::Put { size, sha256 } => {
                [size.map(|size| ("size", size.to_string())), sha256.map(|sha256| ("sha256", sha256.to_string()))]
                    .into_iter()
                    .flatten()
                    .collect()
            }
            Self::PutPart { upload, number, size } => {
                let pairs = [("upload", upload.0.clone()), ("part", number.to_string())];
                pairs.into_iter().chain(size.map(|size| ("size", size.to_string()))).collect()
            }
        };
        let pairs =
            pairs.iter().map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)));
        pairs.collect::<Vec<_>>().join("&")
    }

    fn read(verb: &str, detail: &str) -> Option<Self> {
        let value = |wanted: &str| {
            let (_, value) =
                detail.split('&').filter_map(|pair| pair.split_once('=')).find(|(name, _)| *name == wanted)?;
            Some(percent_encoding::percent_decode_str(value).decode_utf8().ok()?.into_owned())
        };
        match (verb, value("upload")) {
            ("GET", None) => Some(Self::Get { file_name: value("name"), media_type: value("type") }),
            ("PUT", None) => Some(Self::Put {
                size: value("size").and_then(|size| size.parse().ok()),
                sha256: value("sha256").and_then(|sha256| sha256.parse().ok()),
            }),
            ("PUT", Some(upload)) => {
                let size = value("size").and_then(|size| size.parse().ok());
                Some(Self::PutPart { upload: UploadId(upload), number: value("part")?.parse().ok()?, size })
            }
            _ => None,
        }
    }
}

/// A `Content-Disposition` that has a browser save the file rather than show it, whatever its name contains.
pub fn attachment(file_name: &str) -> String {
    let plain: String = file_name
        .chars()
        .map(|letter| {
            if letter.is_ascii_graphic() && !matches!(letter, '"' | '\\' | '%') || letter == ' ' { letter } else { '_' }
        })
        .collect();
    if plain == file_name {
        return format!("attachment; filename=\"{plain}\"");
    }
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{}", utf8_percent_encode(file_name, NON_ALPHANUMERIC))
}

/// What is signed. No part but the last can contain a line break, so no two grants share a statement.
fn statement(verb: &str, key: &str, expires: i64, detail: &str) -> String {
    format!("cairn object v1\n{verb}\n{expires}\n{key}\n{detail}")
}

/// What is signed to seal a text. Cannot be the statement of an address.
fn sealed(purpose: &str, payload: &[u8]) -> Vec<u8> {
    [b"cairn seal v1\n", purpose.as_bytes(), b"\n", payload].concat()
}

fn read_secret(path: &Path) -> io::Result<Option<[u8; 32]>> {
    match fs::read(path) {
        Ok(bytes) => {
            let secret = bytes.try_into().map_err(|_| {
                io::Error::new(io::ErrorKind::InvalidData, format!("{} does not hold 32 bytes", path.display()))
            })?;
            Ok(Some(secret))
        }
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// Writes a fresh secret whole or not at all; one that another process wrote meanwhile stays.
fn create_secret(path: &Path) -> io::Result<()> {
    let mut secret = [0; 40];
    SystemRandom::new().fill(&mut secret).map_err(|_| io::Error::other("the machine gives no random bytes"))?;
    let (secret, name) = secret.split_at(32);
    let draft = path.with_extension(format!("{}.draft", hex::encode(name)));
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft)?;
    let linked = file.write_all(secret).and_then(|()| file.sync_all()).and_then(|()| fs::hard_link(&draft, path));
    fs::remove_file(&draft)?;
    match linked {
        Err(fault) if fault.kind() != io::ErrorKind::AlreadyExists => Err(fault),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_millis(1_700_000_000_000);

    fn signer() -> Signer {
        Signer::new(&[7; 32], "http://localhost:3001/")
    }

    fn grant(action: Action) -> Grant {
        Grant { key: "runs/a b/ü%2e.bin".parse().unwrap(), action, now: NOW, lifetime: Duration::from_secs(60) }
    }

    /// Key, expiry, detail and signature of an address, as a server would read them.
    fn parts(url: &str) -> (String, i64, String, String) {
        let decode = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8().unwrap().into_owned();
        let (path, query) = url.split_once('?').unwrap();
        let key = path.strip_prefix("http://localhost:3001/api/v1/objects/").unwrap();
        let value = |name: &str| {
            query
                .split('&')
                .filter_map(|pair| pair.split_once('='))
                .find(|pair| pair.0 == name)
                .map(|pair| decode(pair.1))
        };
        let expires = value("expires").unwrap().parse().unwrap();
        (decode(key), expires, value("detail").unwrap_or_default(), value("signature").unwrap())
    }

    #[test]
    fn an_address_allows_what_it_was_made_for() {
        for action in [
            Action::Get { file_name: None, media_type: None },
            Action::Get { file_name: Some("a&b=c.html".into()), media_type: Some("text/html".into()) },
            Action::Put { size: Some(3), sha256: Some(Digest::of(b"abc")) },
            Action::PutPart { upload: UploadId("u&1".into()), number: 7, size: None },
            Action::PutPart { upload: UploadId("u&1".into()), number: 7, size: Some(9) },
        ] {
            let grant = grant(action);
            let (key, expires, detail, signature) = parts(&signer().sign(&grant).url);
            let verb = grant.action.verb();
            let claims = Claims { verb, key: &key, expires, detail: &detail, signature: &signature };
            assert_eq!(signer().verify(&claims, NOW), Ok((grant.key, grant.action)));
        }
    }

    #[test]
    fn a_change_to_any_part_of_an_address_is_refused_s1_34() {
        let signed = signer().sign(&grant(Action::Put { size: Some(3), sha256: None }));
        let (key, expires, detail, signature) = parts(&signed.url);
        let right = Claims { verb: "PUT", key: &key, expires, detail: &detail, signature: &signature };
        let other_key = key.replace('a', "b");
        let mut other_signature = signature.clone();
        other_signature.replace_range(0..1, if signature.starts_with('A') { "B" } else { "A" });
        for wrong in [
            Claims { verb: "GET", ..right.clone() },
            Claims { key: &other_key, ..right.clone() },
            Claims { expires: expires + 1, ..right.clone() },
            Claims { detail: "size=4", ..right.clone() },
            Claims { detail: "", ..right.clone() },
            Claims { signature: &other_signature, ..right.clone() },
            Claims { signature: "", ..right.clone() },
        ] {
            assert_eq!(signer().verify(&wrong, NOW), Err(SignerFault::Forged), "{wrong:?}");
        }
        assert_eq!(Signer::new(&[8; 32], "").verify(&right, NOW), Err(SignerFault::Forged));
    }

    #[test]
    fn an_address_expires_to_the_second_s1_34() {
        let signed = signer().sign(&grant(Action::Get { file_name: None, media_type: None }));
        let (key, expires, detail, signature) = parts(&signed.url);
        let claims = Claims { verb: "GET", key: &key, expires, detail: &detail, signature: &signature };
        assert!(signer().verify(&claims, NOW.after(Duration::from_millis(59_999))).is_ok());
        assert_eq!(signer().verify(&claims, NOW.after(Duration::from_secs(60))), Err(SignerFault::Expired));
    }

    #[test]
    fn a_sealed_text_comes_back_only_unchanged_and_for_its_purpose() {
        let sealed = signer().seal("upload", b"{}");
        assert_eq!(signer().unseal("upload", &sealed).as_deref(), Some(&b"{}"[..]));
        assert_eq!(signer().unseal("download", &sealed), None);
        assert_eq!(signer().unseal("upload", &sealed.replacen("e3", "e4", 1)), None);
        assert_eq!(Signer::new(&[8; 32], "").unseal("upload", &sealed), None);
        assert_eq!(signer().unseal("upload", "nonsense"), None);
    }

    #[test]
    fn a_secret_file_is_made_once_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("objects.key");
        let grant = grant(Action::Get { file_name: None, media_type: None });
        let first = Signer::from_file(&path, "http://a").unwrap().sign(&grant);
        assert_eq!(Signer::from_file(&path, "http://a").unwrap().sign(&grant), first);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions()) & 0o777, 0o600);
        fs::write(&path, "short").unwrap();
        assert!(Signer::from_file(&path, "http://a").is_err());
    }
}
