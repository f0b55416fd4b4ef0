//! `cairn hub`: packages of functions, published and pulled.
//!
//! A hub is a project of a Cairn, this one or another, or a git repository. Whatever it is: a version never changes, and
//! what is pulled is written only if it has the digest that was published and a signature by a key that is trusted.

mod address;
mod cairn;
mod fault;
mod git;
mod key;
mod manifest;
mod pack;
mod package;
mod pull;
mod remotes;
mod unpack;

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Value, json};

use self::address::Wanted;
use self::cairn::CairnHub;
use self::git::GitHub;
use self::manifest::Manifest;
use self::package::{Found, Sealed};
use self::remotes::{Place, Remote, Remotes};
use super::exit::Unusable;
use super::output::Column;
use super::session::{Connection, Session};

pub use self::fault::HubFault;

const COLUMNS: &[Column] = &[
    ("FUNCTION", "function"),
    ("LATEST", "latest_version"),
    ("VERSIONS", "version_count"),
    ("LABELS", "labels"),
    ("DESCRIPTION", "description"),
];
const VERSION_COLUMNS: &[Column] = &[
    ("FUNCTION", "function"),
    ("VERSION", "version"),
    ("SHA-256", "sha256"),
    ("BYTES", "size_bytes"),
    ("PUBLISHED", "create_time"),
    ("BY", "creator"),
];
const REMOTE_COLUMNS: &[Column] = &[("HUB", "hub"), ("ADDRESS", "url"), ("TOKEN FROM", "token_from"), ("KEYS", "keys")];

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Sets up a hub under a name, to be used as `hub://NAME/function`.
    Add {
        /// What it is to be called here.
        hub: String,
        /// `https://host/projects/PROJECT` of a Cairn, or `git+https://host/repository.git`.
        url: String,
        /// File that holds the hub's token. Only its place is kept. (Never an argument: other users of the machine can
        /// read those.) Without one, CAIRN_HUB_TOKEN_<NAME> is looked for when the hub is used.
        #[arg(long, value_name = "FILE", conflicts_with = "token_stdin")]
        token_file: Option<PathBuf>,
        /// Reads the token from standard input, and keeps it in a file that only you can read.
        #[arg(long)]
        token_stdin: bool,
        /// A key whose signature is trusted, as `cairn hub keygen` prints it, or a file of such keys. Any number of
        /// times.
        #[arg(long = "key", value_name = "KEY|FILE")]
        keys: Vec<String>,
    },
    /// Forgets a hub.
    Remove {
        /// What it is called here.
        hub: String,
    },
    /// Lists the hubs that are set up here.
    Remotes,
    /// Makes a key to sign packages with, and prints the key that others verify them with.
    Keygen {
        /// Whose it is, e.g. `example.com/team`. No spaces, no plus signs.
        name: String,
        /// Where the secret goes, in a file that only you can read.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Lists the functions of a hub, or the versions of one.
    List {
        /// Only the versions of this one: its id, or `hub://HUB/FUNCTION`.
        function: Option<String>,
        /// The hub; the project's own functions if not given.
        #[arg(long)]
        hub: Option<String>,
    },
    /// Shows what a name stands for: which version, with which digest, from where.
    Resolve {
        /// `FUNCTION[@VERSION]` or `hub://HUB/FUNCTION[@VERSION]`.
        what: String,
        /// The hub; the project's own functions if not given.
        #[arg(long)]
        hub: Option<String>,
    },
    /// Gets a package, verifies it, and unpacks it into a folder: all of it or nothing.
    Pull(pull::Command),
    /// Packs a folder and publishes it. What is published never changes: the next state takes another version.
    Publish {
        /// A folder with a `function.toml` (name, version, description, [labels], [spec]), or such a folder packed as
        /// .tar.gz.
        what: PathBuf,
        /// The hub; the project's own functions if not given.
        #[arg(long)]
        hub: Option<String>,
        /// File that holds the key to sign with.
        #[arg(long, value_name = "FILE")]
        signing_key: Option<PathBuf>,
        /// The version, in place of the one that function.toml has.
        #[arg(long = "as", value_name = "VERSION")]
        as_version: Option<String>,
    },
}

pub async fn run(connection: Connection, command: Command) -> anyhow::Result<()> {
    let output = connection.output();
    match command {
        Command::Add { hub, url, token_file, token_stdin, keys } => {
            let mut remotes = Remotes::open()?;
            let remote = Remote::new(&hub, &url, token_file, &keys)?;
            let shown = remotes.add(&hub, remote, token_stdin)?;
            output.done(&format!("{hub} is {url}"), &shown)
        }
        Command::Remove { hub } => {
            Remotes::open()?.remove(&hub)?;
            output.done(&format!("{hub} is forgotten"), &json!({"hub": hub}))
        }
        Command::Remotes => output.list(&Remotes::open()?.list(), REMOTE_COLUMNS),
        Command::Keygen { name, out } => {
            let verifying = key::generate(&name, &out)?;
            output.done(&verifying, &json!({"key": verifying, "file": out}))
        }
        Command::List { function: None, hub } => {
            output.list(&Hub::open(&connection, hub.as_deref())?.functions().await?, COLUMNS)
        }
        Command::List { function: Some(function), hub } => {
            let wanted: Wanted = function.parse()?;
            let hub = Hub::open(&connection, wanted.hub(hub.as_deref())?)?;
            output.list(&hub.versions(&wanted.function).await?, VERSION_COLUMNS)
        }
        Command::Resolve { what, hub } => {
            let wanted: Wanted = what.parse()?;
            let hub = Hub::open(&connection, wanted.hub(hub.as_deref())?)?;
            let found = hub.find(&wanted).await?;
            output.one(&found.shown(&hub.address()))
        }
        Command::Pull(command) => pull::run(connection, command).await,
        Command::Publish { what, hub, signing_key, as_version } => {
            let hub = Hub::open(&connection, hub.as_deref())?;
            let sealed = tokio::task::spawn_blocking(move || seal(what, as_version, signing_key)).await??;
            let published = hub.publish(&sealed).await?;
            let sentence = format!("published {} {} to {}", sealed.manifest.name, sealed.version, hub.address());
            output.done(&sentence, &published)
        }
    }
}

/// Packs, digests and signs.
fn seal(what: PathBuf, version: Option<String>, signing_key: Option<PathBuf>) -> anyhow::Result<Sealed> {
    let signing_key = signing_key.map(|file| key::open(&file)).transpose()?;
    let (manifest, archive) = match what.is_dir() {
        true => (Manifest::of_folder(&what)?, pack::folder(&what)?),
        false => pack::archive(&what)?,
    };
    let version = version.or_else(|| manifest.version.clone());
    let version = version
        .ok_or_else(|| Unusable("function.toml has no version; write one there, or say --as VERSION".to_owned()))?;
    Sealed::new(manifest, version, archive, signing_key.as_ref())
}

/// Where packages come from and go to.
pub enum Hub {
    Cairn(CairnHub),
    Git(GitHub),
}

impl Hub {
    /// The hub of this name, or the project that the connection works in.
    pub fn open(connection: &Connection, name: Option<&str>) -> anyhow::Result<Self> {
        let Some(name) = name else {
            let session: Session = connection.open()?;
            return Ok(Self::Cairn(CairnHub::of_project(&session)));
        };
        let remote = Remotes::open()?.find(name)?;
        let token = remote.token(name)?;
        if token.is_some() && remote.is_overheard() {
            let warning = format!("the token of {name} goes over plain HTTP, where others can read it: use https");
            connection.output().warn(&warning);
        }
        Ok(match remote.place()? {
            Place::Cairn { base, project } => {
                Self::Cairn(CairnHub::of_remote(name, &base, &project, token, remote.keys()?)?)
            }
            Place::Git { url } => Self::Git(GitHub::new(name, url, token, remote.keys()?)),
        })
    }

    /// Where it is.
    pub fn address(&self) -> String {
        match self {
            Self::Cairn(hub) => hub.address(),
            Self::Git(hub) => hub.address(),
        }
    }

    /// Keys whose signatures are trusted for this hub.
    pub fn keys(&self) -> &[cairn_tlog::VerifyingKey] {
        match self {
            Self::Cairn(hub) => &hub.keys,
            Self::Git(hub) => &hub.keys,
        }
    }

    async fn functions(&self) -> anyhow::Result<Vec<Value>> {
        match self {
            Self::Cairn(hub) => hub.functions().await,
            Self::Git(hub) => hub.functions().await,
        }
    }

    async fn versions(&self, function: &str) -> anyhow::Result<Vec<Value>> {
        match self {
            Self::Cairn(hub) => hub.versions(function).await,
            Self::Git(hub) => hub.versions(function).await,
        }
    }

    /// What a name stands for, as the hub says.
    pub async fn find(&self, wanted: &Wanted) -> anyhow::Result<Found> {
        let found = match self {
            Self::Cairn(hub) => hub.find(wanted).await?,
            Self::Git(hub) => hub.find(wanted).await?,
        };
        found.check(wanted)?;
        Ok(found)
    }

    async fn publish(&self, sealed: &Sealed) -> anyhow::Result<Value> {
        match self {
            Self::Cairn(hub) => hub.publish(sealed).await,
            Self::Git(hub) => hub.publish(sealed).await,
        }
    }

    /// Writes a package's bytes to a file, no more of them than were promised.
    pub async fn fetch(&self, found: &Found, to: &std::path::Path) -> anyhow::Result<()> {
        match self {
            Self::Cairn(hub) => hub.fetch(found, to).await,
            Self::Git(hub) => hub.fetch(found, to).await,
        }
    }
}
