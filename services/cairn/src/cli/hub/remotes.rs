//! The hubs that are set up on this machine: names, addresses, trusted keys, and where their tokens lie. Never a token.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{Read, Write, stdin};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use cairn_registry::model::function::FunctionId;
use cairn_tlog::VerifyingKey;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::HubFault;
use crate::cli::exit::Unusable;
use crate::cli::verify;

/// Longest token, in bytes.
const TOKEN_BYTES_MAX: u64 = 16 << 10;

/// The file with all of them.
pub struct Remotes {
    file: PathBuf,
    stored: Stored,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    #[serde(default)]
    hubs: BTreeMap<String, Remote>,
}

/// One hub.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remote {
    url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token_file: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    keys: Vec<String>,
}

/// Where a hub is.
#[derive(Debug, PartialEq, Eq)]
pub enum Place {
    /// A project of a Cairn.
    Cairn { base: String, project: String },
    /// A repository, as git names it.
    Git { url: String },
}

impl Remotes {
    /// Reads the file: `CAIRN_HUBS`, or `cairn/hubs.toml` among the settings of the user.
    pub fn open() -> anyhow::Result<Self> {
        let given = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let settings = || given("XDG_CONFIG_HOME").or_else(|| Some(given("HOME")?.join(".config")));
        let file = given("CAIRN_HUBS").or_else(|| Some(settings()?.join("cairn/hubs.toml")));
        let file = file.context("neither HOME nor CAIRN_HUBS says where hubs are kept")?;
        let stored = match fs::read_to_string(&file) {
            Ok(text) => toml::from_str(&text).map_err(|fault| Unusable(format!("{}: {fault}", file.display())))?,
            Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => Stored::default(),
            Err(fault) => return Err(fault).with_context(|| format!("cannot read {}", file.display())),
        };
        Ok(Self { file, stored })
    }

    /// The hub of this name.
    pub fn find(&self, hub: &str) -> Result<Remote, HubFault> {
        self.stored.hubs.get(hub).cloned().ok_or_else(|| HubFault::Unknown(hub.to_owned()))
    }

    /// Sets a hub up, or sets it up otherwise.
    pub fn add(&mut self, hub: &str, mut remote: Remote, token_stdin: bool) -> anyhow::Result<Value> {
        if token_stdin {
            let mut token = String::new();
            stdin().take(TOKEN_BYTES_MAX).read_to_string(&mut token).context("cannot read the token")?;
            let file = self.file.with_file_name(format!("{hub}.hub-token"));
            write(&file, token.trim().as_bytes())?;
            remote.token_file = Some(file);
        }
        let shown = remote.shown(hub);
        self.stored.hubs.insert(hub.to_owned(), remote);
        self.save()?;
        Ok(shown)
    }

    /// Forgets a hub, and the token that was kept for it.
    pub fn remove(&mut self, hub: &str) -> anyhow::Result<()> {
        let remote = self.stored.hubs.remove(hub).ok_or_else(|| HubFault::Unknown(hub.to_owned()))?;
        let own = self.file.with_file_name(format!("{hub}.hub-token"));
        if remote.token_file.as_ref() == Some(&own) {
            fs::remove_file(&own).with_context(|| format!("cannot remove {}", own.display()))?;
        }
        self.save()
    }

    /// All of them, for a list.
    pub fn list(&self) -> Vec<Value> {
        self.stored.hubs.iter().map(|(hub, remote)| remote.shown(hub)).collect()
    }

    fn save(&self) -> anyhow::Result<()> {
        write(&self.file, toml::to_string_pretty(&self.stored)?.as_bytes())
    }
}

/// Writes a file that only its owner can read, whole or not at all.
fn write(file: &Path, content: &[u8]) -> anyhow::Result<()> {
    let cannot = || format!("cannot write {}", file.display());
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).with_context(cannot)?;
    }
    let draft = file.with_added_extension("new");
    let mut written =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft).with_context(cannot)?;
    written.write_all(content).with_context(cannot)?;
    written.sync_all().with_context(cannot)?;
    fs::rename(&draft, file).with_context(cannot)
}

impl Remote {
    /// A hub at an address, with the keys that are trusted for it.
    pub fn new(hub: &str, url: &str, token_file: Option<PathBuf>, keys: &[String]) -> anyhow::Result<Self> {
        hub.parse::<FunctionId>()
            .map_err(|_| Unusable(format!("{hub:?} is no name for a hub: letters, digits, `-_.`")))?;
        let keys = verify::keys("--key", keys)?.iter().map(ToString::to_string).collect();
        // The command may be called from elsewhere the next time.
        let token_file = token_file.map(std::path::absolute).transpose()?;
        let remote = Self { url: url.to_owned(), token_file, keys };
        remote.place()?;
        Ok(remote)
    }

    /// Where it is.
    pub fn place(&self) -> anyhow::Result<Place> {
        let unusable = |problem: &str| Unusable(format!("{:?} is no address of a hub: {problem}", self.url));
        if let Some(url) = self.url.strip_prefix("git+") {
            let scheme = url.split_once("://").map(|(scheme, _)| scheme);
            if !matches!(scheme, Some("https" | "http" | "ssh" | "file")) {
                return Err(unusable("a repository is at git+https://, git+http://, git+ssh:// or git+file://").into());
            }
            check_no_secret(url)?;
            return Ok(Place::Git { url: url.to_owned() });
        }
        let parsed = reqwest::Url::parse(&self.url);
        let Some(parsed) = parsed.ok().filter(|url| matches!(url.scheme(), "http" | "https")) else {
            return Err(
                unusable("it must be like https://host/projects/PROJECT, or git+https://host/repository").into()
            );
        };
        check_no_secret(&self.url)?;
        let Some((before, project)) = parsed.path().trim_end_matches('/').rsplit_once("/projects/") else {
            return Err(unusable("it must end in /projects/PROJECT").into());
        };
        let project = format!("projects/{project}");
        if project.parse::<cairn_registry::model::ProjectName>().is_err() {
            return Err(unusable("it must end in /projects/PROJECT").into());
        }
        let origin = parsed.origin().ascii_serialization();
        Ok(Place::Cairn { base: format!("{origin}{before}"), project })
    }

    /// Whether what is sent to it can be read on the way. A warning, not a refusal: some networks are one's own.
    pub fn is_overheard(&self) -> bool {
        let url = reqwest::Url::parse(self.url.strip_prefix("git+").unwrap_or(&self.url)).ok();
        url.filter(|url| url.scheme() == "http").is_some_and(|url| match url.host_str() {
            Some(host) => host != "localhost" && !host.starts_with("127.") && host != "[::1]",
            None => true,
        })
    }

    /// Its token: from its file, or from the environment.
    pub fn token(&self, hub: &str) -> anyhow::Result<Option<String>> {
        let Some(file) = &self.token_file else {
            let token = std::env::var(variable(hub)).ok();
            return Ok(token.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty()));
        };
        let cannot = || format!("cannot read the token of {hub} in {}", file.display());
        let mode = fs::metadata(file).with_context(cannot)?.permissions().mode();
        if mode & 0o004 != 0 {
            bail!("everybody on this machine can read the token in {0}: chmod 600 {0}", file.display());
        }
        match fs::read_to_string(file).with_context(cannot)?.trim() {
            "" => bail!("{} is empty; it should hold the token of {hub}", file.display()),
            token => Ok(Some(token.to_owned())),
        }
    }

    /// The keys that are trusted for it.
    pub fn keys(&self) -> anyhow::Result<Vec<VerifyingKey>> {
        verify::keys("keys", &self.keys)
    }

    fn shown(&self, hub: &str) -> Value {
        let token_from = match &self.token_file {
            Some(file) => file.display().to_string(),
            None => variable(hub),
        };
        json!({"hub": hub, "url": self.url, "token_from": token_from, "keys": self.keys})
    }
}

/// The environment variable for a hub's token.
fn variable(hub: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("CAIRN_HUB_TOKEN_{}", hub.chars().map(plain).collect::<String>())
}

/// An address with a password in it would be kept, shown and passed to programs.
fn check_no_secret(url: &str) -> Result<(), Unusable> {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest).split('/').next().unwrap_or_default();
    match authority.split_once('@') {
        Some((user, _)) if user.contains(':') => {
            Err(Unusable("an address must hold no password: give the token with --token-file".to_owned()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(url: &str) -> anyhow::Result<Place> {
        Remote { url: url.into(), token_file: None, keys: vec![] }.place()
    }

    #[test]
    fn a_hub_is_a_project_or_a_repository() {
        let cairn = |base: &str, project: &str| Place::Cairn { base: base.into(), project: project.into() };
        assert_eq!(
            place("https://hub.example.com/projects/shared").unwrap(),
            cairn("https://hub.example.com", "projects/shared")
        );
        assert_eq!(
            place("http://127.0.0.1:3001/cairn/projects/p/").unwrap(),
            cairn("http://127.0.0.1:3001/cairn", "projects/p")
        );
        assert_eq!(
            place("git+https://example.com/r.git").unwrap(),
            Place::Git { url: "https://example.com/r.git".into() }
        );
        for wrong in [
            "hub.example.com",
            "https://hub.example.com",
            "https://hub.example.com/projects/",
            "https://hub.example.com/projects/a/b",
            "git+ext::sh -c evil",
            "git+ftp://x/y",
            "https://user:secret@example.com/projects/p",
            "git+https://user:secret@example.com/r.git",
        ] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn plain_http_is_overheard_except_on_this_machine() {
        let is_overheard = |url: &str| Remote { url: url.into(), token_file: None, keys: vec![] }.is_overheard();
        assert!(is_overheard("http://hub.example.com/projects/p") && is_overheard("git+http://example.com/r.git"));
        for url in ["https://hub.example.com/projects/p", "http://127.0.0.1:3001/projects/p", "git+http://[::1]/r"] {
            assert!(!is_overheard(url), "{url}");
        }
    }

    #[test]
    fn a_hubs_variable_is_made_of_its_name() {
        assert_eq!(variable("my-hub.2"), "CAIRN_HUB_TOKEN_MY_HUB_2");
    }
}
