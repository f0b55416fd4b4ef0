//! The first start: a project to work in, an administrator, and a key to come in with.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cairn_access::{ApiKey, Behind, DEFAULT_ORGANIZATION, KeyKind};
use cairn_contract::cairn::options::v1::Process;
use cairn_eventstore::{CommandFault, Order};
use cairn_kernel::{Expected, Metadata, Name};
use cairn_service::{Deps, Writer};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::bindings::stage_grant;
use crate::desk::stream;
use crate::grpc::digest;
use crate::model::binding::{ADMIN, Object, Source, Terms};
use crate::model::key::{self, Grounds, LIFE_MAX};
use crate::model::{
    Administrators, Binding, BindingName, HolderName, Key, KeyName, OrganizationName, PrincipalName, Project,
    ProjectName, Rejection, RoleName, Text, User, UserName, project, user,
};

/// The administrator that every deployment begins with.
const ADMINISTRATOR: &str = "users/admin";
/// The project that every deployment begins with.
const PROJECT: &str = "projects/default";
/// The binding that makes the first administrator one.
const BINDING: &str = "bindings/bootstrap";
/// Shortest key that an operator may choose.
const CHOSEN_CHARS_MIN: usize = 16;
/// Longest key that an operator may choose.
const CHOSEN_BYTES_MAX: usize = 512;

/// How the first administrator comes in.
#[derive(Clone, Debug)]
pub struct Bootstrap {
    /// The operator's own key (`CAIRN_API_KEY`): any text of 16 characters or more.
    pub chosen_key: Option<String>,
    /// Accept a new `chosen_key` even though somebody else administers the deployment by now: the way back in for an
    /// operator who lost every key.
    pub is_always_allowed: bool,
    /// Where a key that is made here is written, readable by its owner alone.
    pub key_file: PathBuf,
    /// How long to wait for the access replica to hear of what is already there: as long as the log is.
    pub patience: Duration,
}

/// Which key lets the first administrator in.
#[derive(Clone, PartialEq, Eq)]
pub enum FirstKey {
    /// Made just now: to be shown once. It is also in the key file.
    Made(String),
    /// The operator's, accepted just now.
    Chosen,
    /// As before.
    Unchanged,
    /// The operator's was not accepted: it was revoked, or somebody else administers the deployment by now.
    Refused,
    /// None is needed: authentication is switched off, or another process sees to it.
    NotNeeded,
}

/// Why a deployment cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapFault {
    #[error(
        "CAIRN_API_KEY must be {CHOSEN_CHARS_MIN} characters or more, at most {CHOSEN_BYTES_MAX} bytes, and plain ASCII \
         without spaces"
    )]
    Unfit,
    #[error("the first key cannot be written to {path}: {source}")]
    KeyFile { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Access(#[from] Behind),
    #[error(transparent)]
    Command(#[from] CommandFault<Rejection>),
}

/// Never shows the key.
impl std::fmt::Debug for FirstKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Made(_) => "Made(…)",
            Self::Chosen => "Chosen",
            Self::Unchanged => "Unchanged",
            Self::Refused => "Refused",
            Self::NotNeeded => "NotNeeded",
        })
    }
}

/// Makes what a deployment needs to begin with, unless it is there. Safe to repeat at every start.
///
/// When it returns, access knows of it.
pub async fn bootstrap(deps: &Deps, how: &Bootstrap) -> Result<FirstKey, BootstrapFault> {
    if how.chosen_key.as_ref().is_some_and(|key| !is_fit(key)) {
        return Err(BootstrapFault::Unfit);
    }
    Writer::Process(Process::Start).run(begin(deps, how)).await
}

async fn begin(deps: &Deps, how: &Bootstrap) -> Result<FirstKey, BootstrapFault> {
    catch_up(deps, how.patience).await?;
    begin_project(deps).await?;
    begin_administrator(deps).await?;
    let first = match &how.chosen_key {
        _ if deps.access.everybody().is_some() => FirstKey::NotNeeded,
        Some(chosen) => accept(deps, chosen, how).await?,
        None => make(deps, &how.key_file).await?,
    };
    catch_up(deps, how.patience).await?;
    Ok(first)
}

async fn catch_up(deps: &Deps, patience: Duration) -> Result<(), Behind> {
    let head = *deps.store.head().borrow();
    deps.access.reached(head, Instant::now() + patience).await
}

fn order() -> Order {
    Order { metadata: Metadata::of_service("auth"), request: None }
}

async fn begin_project(deps: &Deps) -> Result<(), BootstrapFault> {
    let project = ProjectName::stored(PROJECT);
    let act = project::Act::Create {
        title: Text::stored("Default"),
        description: Text::default(),
        organization: OrganizationName::stored(DEFAULT_ORGANIZATION),
    };
    let command = project::Command { project: project.clone(), act };
    let stream = stream::<Project>(&project);
    match deps.commands.execute::<Project>(&order(), &stream, Expected::Any, command).await {
        Ok(_) | Err(CommandFault::Rejected(Rejection::ProjectExists(_))) => Ok(()),
        Err(fault) => Err(fault.into()),
    }
}

async fn begin_administrator(deps: &Deps) -> Result<(), BootstrapFault> {
    let binding = BindingName::stored(BINDING);
    let begun = deps.commands.load::<Binding>(&stream::<Binding>(&binding)).await?;
    // What became of the first administrator since is nobody's business here.
    if begun.state.terms().is_some() {
        return Ok(());
    }
    let user = UserName::stored(ADMINISTRATOR);
    let command = user::Command { user: user.clone(), act: user::Act::Create };
    deps.commands.execute::<User>(&order(), &stream::<User>(&user), Expected::Any, command).await?;
    let terms = Terms {
        principal: HolderName::from(&PrincipalName::from(&user)),
        object: Object::Role(RoleName::stored(ADMIN)),
        resource: Name::ROOT,
        expire_time: None,
        condition: None,
        source: Source::Manual,
        activation: None,
    };
    let now = deps.clock.now();
    let attempt = |work| stage_grant(work, binding.clone(), terms.clone(), Text::stored("first start"), now);
    deps.commands.transact(&order(), attempt).await?;
    Ok(())
}

/// Accepts the operator's key. It takes the place of the one before.
async fn accept(deps: &Deps, chosen: &str, how: &Bootstrap) -> Result<FirstKey, BootstrapFault> {
    let known = deps.access.find_key(chosen);
    match &known {
        Some(record) if !record.is_revoked => {
            // A crash may have come between accepting it and revoking those before.
            revoke_all_but(deps, how.patience, &record.name).await?;
            return Ok(FirstKey::Unchanged);
        }
        Some(_) if !how.is_always_allowed => return Ok(FirstKey::Refused),
        _ => {}
    }
    let administrators = stream::<Administrators>(&Administrators::STREAM_ID);
    let administrators = deps.commands.load::<Administrators>(&administrators).await?;
    let is_alone = administrators.state.active().iter().all(|principal| principal.as_str() == ADMINISTRATOR);
    if !is_alone && !how.is_always_allowed {
        warn!("CAIRN_API_KEY is new and was not accepted: somebody else administers this deployment by now");
        return Ok(FirstKey::Refused);
    }
    let keyring = deps.access.keyring();
    let (id, recognized) = match chosen.parse::<ApiKey>() {
        Ok(key) if known.is_none() => (key.id().to_owned(), keyring.digest(key.id(), key.secret())),
        _ => (ApiKey::fresh_id(), keyring.opaque_digest(chosen)),
    };
    let key = create(deps, &id, recognized, None).await?;
    revoke_all_but(deps, how.patience, key.as_str()).await?;
    info!("CAIRN_API_KEY is the first administrator's key");
    Ok(FirstKey::Chosen)
}

/// Makes a key, unless there was ever one.
async fn make(deps: &Deps, key_file: &Path) -> Result<FirstKey, BootstrapFault> {
    if deps.access.world().bootstrap_keys().next().is_some() {
        return Ok(FirstKey::Unchanged);
    }
    let key = ApiKey::generate(KeyKind::Bootstrap, &ApiKey::fresh_id());
    // First to the file: a key that counts but that nobody has would lock everybody out.
    write_private(key_file, &key.reveal())
        .map_err(|source| BootstrapFault::KeyFile { path: key_file.to_owned(), source })?;
    create(deps, key.id(), deps.access.keyring().digest(key.id(), key.secret()), Some(LIFE_MAX)).await?;
    Ok(FirstKey::Made(key.reveal()))
}

async fn create(
    deps: &Deps,
    id: &str,
    recognized: cairn_access::Digest,
    life: Option<Duration>,
) -> Result<KeyName, BootstrapFault> {
    let owner = PrincipalName::stored(ADMINISTRATOR);
    let key = KeyName::of(&owner, id);
    let now = deps.clock.now();
    let grounds = Grounds {
        owner,
        title: Text::stored("first start"),
        digest: digest(recognized),
        scopes: vec![],
        permissions: vec![],
        expire_time: life.map(|life| now.after(life)),
        is_bootstrap: true,
    };
    let command = key::Command { key: key.clone(), act: key::Act::Create { grounds, now } };
    deps.commands.execute::<Key>(&order(), &stream::<Key>(&key), Expected::Any, command).await?;
    Ok(key)
}

/// Only one bootstrap key is to hold.
async fn revoke_all_but(deps: &Deps, patience: Duration, kept: &str) -> Result<(), BootstrapFault> {
    catch_up(deps, patience).await?;
    let world = deps.access.world();
    for record in world.bootstrap_keys().filter(|record| !record.is_revoked && record.name != kept) {
        let key = KeyName::stored(record.name.as_str());
        let reason = Text::stored("another CAIRN_API_KEY took its place");
        let command = key::Command { key: key.clone(), act: key::Act::Revoke { reason } };
        deps.commands.execute::<Key>(&order(), &stream::<Key>(&key), Expected::Any, command).await?;
    }
    Ok(())
}

/// Whether a text can be a key: hard enough to guess, and fit to stand in a header.
pub fn is_fit(chosen: &str) -> bool {
    chosen.chars().count() >= CHOSEN_CHARS_MIN
        && chosen.len() <= CHOSEN_BYTES_MAX
        && chosen.bytes().all(|byte| byte.is_ascii_graphic())
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}
