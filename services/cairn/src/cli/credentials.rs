//! What `cairn login` got: kept in one file of the user's own, and renewed by whoever needs it.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use cairn_client::{Fault, Renew};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The command line's name as a client.
pub const CLIENT: &str = "cairn-cli";
/// How long renewing may take.
const RENEWED_WITHIN: Duration = Duration::from_secs(30);
/// A token that ends sooner is renewed before it is used.
const LEFT_SECONDS_MIN: u64 = 60;

/// The file of the user's credentials: one session for each gateway.
#[derive(Clone, Debug)]
pub struct Credentials {
    path: PathBuf,
}

/// A session.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Held {
    pub access_token: String,
    /// In seconds since 1970.
    pub expires: u64,
    pub refresh_token: String,
}

impl Held {
    /// Reads what a token endpoint answered.
    pub fn of(answer: &Value) -> Option<Self> {
        Some(Self {
            access_token: answer["access_token"].as_str()?.to_owned(),
            expires: now() + answer["expires_in"].as_u64()?,
            refresh_token: answer["refresh_token"].as_str()?.to_owned(),
        })
    }
}

impl Credentials {
    /// In the user's configuration folder; nothing if they have none.
    pub fn of_user() -> Option<Self> {
        let given = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let folder = given("XDG_CONFIG_HOME").or_else(|| Some(given("HOME")?.join(".config")))?;
        Some(Self { path: folder.join("cairn").join("credentials.json") })
    }

    /// Whether somebody is logged in at a gateway.
    pub fn has(&self, url: &str) -> anyhow::Result<bool> {
        Ok(self.read()?.contains_key(key(url)))
    }

    /// The session at a gateway.
    pub fn find(&self, url: &str) -> anyhow::Result<Option<Held>> {
        Ok(self.read()?.remove(key(url)))
    }

    /// Keeps the session at a gateway, or (`None`) forgets it.
    pub fn keep(&self, url: &str, held: Option<Held>) -> anyhow::Result<()> {
        let _turn = self.turn()?;
        self.write(url, held)
    }

    /// Gives a token that is good for a while, and renews the session when there is none.
    pub fn renewal(self, http: reqwest::Client, url: &str) -> Renew {
        let url = url.trim_end_matches('/').to_owned();
        Arc::new(move || {
            let (credentials, http, url) = (self.clone(), http.clone(), url.clone());
            Box::pin(async move { credentials.token(&http, &url).await })
        })
    }

    async fn token(&self, http: &reqwest::Client, url: &str) -> Result<String, Fault> {
        let failed = |error: anyhow::Error| Fault::LoggedOut(format!("{error:#}"));
        let ended = || Fault::LoggedOut("the session has ended".to_owned());
        let held = self.find(url).map_err(failed)?.ok_or_else(ended)?;
        if is_good(&held) {
            return Ok(held.access_token);
        }
        // A refresh token works once: of several command lines at the same time one uses it, and the others find what it
        // got.
        let this = self.clone();
        let turn = tokio::task::spawn_blocking(move || this.turn()).await;
        let _turn = turn.map_err(|fault| failed(fault.into()))?.map_err(failed)?;
        let held = self.find(url).map_err(failed)?.ok_or_else(ended)?;
        if is_good(&held) {
            return Ok(held.access_token);
        }
        match renewed(http, url, &held.refresh_token).await? {
            Some(held) => {
                let token = held.access_token.clone();
                self.write(url, Some(held)).map_err(failed)?;
                Ok(token)
            }
            None => {
                self.write(url, None).map_err(failed)?;
                Err(ended())
            }
        }
    }

    fn read(&self) -> anyhow::Result<BTreeMap<String, Held>> {
        let cannot = || format!("cannot read {}", self.path.display());
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(fault) if matches!(fault.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(BTreeMap::new());
            }
            Err(fault) => return Err(fault).with_context(cannot),
        };
        let mode = fs::metadata(&self.path).with_context(cannot)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            bail!("others can read {0} (mode {mode:o}): chmod 600 {0}", self.path.display());
        }
        serde_json::from_slice(&text).with_context(|| format!("{} is not what login wrote", self.path.display()))
    }

    /// Written whole under another name: nobody ever reads half a file.
    fn write(&self, url: &str, held: Option<Held>) -> anyhow::Result<()> {
        let mut all = self.read()?;
        match held {
            Some(held) => drop(all.insert(key(url).to_owned(), held)),
            None => drop(all.remove(key(url))),
        }
        let cannot = || format!("cannot write {}", self.path.display());
        let draft = self.path.with_extension("tmp");
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft).with_context(cannot)?;
        file.write_all(&serde_json::to_vec_pretty(&all)?).and_then(|()| file.sync_all()).with_context(cannot)?;
        fs::rename(&draft, &self.path).with_context(cannot)
    }

    /// A turn at the file, until what is given is dropped.
    fn turn(&self) -> anyhow::Result<File> {
        let folder = self.path.parent().context("the file of credentials lies in no folder")?;
        let cannot = || format!("cannot use {}", folder.display());
        DirBuilder::new().recursive(true).mode(0o700).create(folder).with_context(cannot)?;
        let path = self.path.with_extension("lock");
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
        let file = file.with_context(cannot)?;
        file.lock().with_context(cannot)?;
        Ok(file)
    }
}

/// Another pair of tokens; nothing when the session has ended.
async fn renewed(http: &reqwest::Client, url: &str, refresh_token: &str) -> Result<Option<Held>, Fault> {
    let form = [("grant_type", "refresh_token"), ("refresh_token", refresh_token), ("client_id", CLIENT)];
    let answer = post(http, &format!("{url}/oauth2/token"), &form).await?;
    if answer["error"] == "invalid_grant" {
        return Ok(None);
    }
    Held::of(&answer).map(Some).ok_or_else(|| refused(url, &answer))
}

/// Posts a form and gives the JSON that came back, also when it says no.
pub async fn post(http: &reqwest::Client, url: &str, form: &[(&str, &str)]) -> Result<Value, Fault> {
    let unreachable = |source: reqwest::Error| Fault::Unreachable { url: url.to_owned(), source: source.without_url() };
    let sent = http.post(url).timeout(RENEWED_WITHIN).form(form).send();
    let text = sent.await.map_err(unreachable)?.text().await.map_err(unreachable)?;
    if text.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(&text)
        .map_err(|problem| Fault::Unexpected { url: url.to_owned(), problem: problem.to_string() })
}

/// What an endpoint says that gave nothing.
pub fn refused(url: &str, answer: &Value) -> Fault {
    match answer["error_description"].as_str().or(answer["error"].as_str()) {
        Some(said) => Fault::LoggedOut(said.to_owned()),
        None => Fault::Unexpected { url: url.to_owned(), problem: "it has no token".to_owned() },
    }
}

fn is_good(held: &Held) -> bool {
    now() + LEFT_SECONDS_MIN < held.expires
}

fn key(url: &str) -> &str {
    url.trim_end_matches('/')
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_kept_for_their_owner_alone_one_for_each_gateway() {
        let folder = tempfile::tempdir().unwrap();
        let credentials = Credentials { path: folder.path().join("cairn").join("credentials.json") };
        let held = |token: &str| Held { access_token: token.into(), expires: 7, refresh_token: "r".into() };
        assert!(!credentials.has("http://a").unwrap());
        credentials.keep("http://a/", Some(held("a"))).unwrap();
        credentials.keep("http://b", Some(held("b"))).unwrap();
        assert_eq!(fs::metadata(&credentials.path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(credentials.find("http://a").unwrap().unwrap().access_token, "a");
        credentials.keep("http://a", None).unwrap();
        assert!(!credentials.has("http://a").unwrap() && credentials.has("http://b/").unwrap());
        fs::set_permissions(&credentials.path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(credentials.find("http://b").unwrap_err().to_string().contains("chmod 600"));
    }
}
