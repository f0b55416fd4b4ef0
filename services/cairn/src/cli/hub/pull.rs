use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use cairn_objects::Digester;
use cairn_tlog::VerifyingKey;
use serde_json::json;
use uuid::Uuid;

use super::address::Wanted;
use super::package::{Found, PACKAGE_BYTES_MAX};
use super::unpack::unpack;
use super::{Hub, HubFault};
use crate::cli::session::Connection;
use crate::cli::verify;

#[derive(Debug, clap::Args)]
pub struct Command {
    /// `FUNCTION[@VERSION]` or `hub://HUB/FUNCTION[@VERSION]`.
    what: String,
    /// The hub; the project's own functions if not given.
    #[arg(long)]
    hub: Option<String>,
    /// The folder to make, or with --archive the file; named after the function if not given. It must not be there yet.
    #[arg(long, value_name = "PATH")]
    to: Option<PathBuf>,
    /// Keeps the package as it is, and does not unpack it.
    #[arg(long)]
    archive: bool,
    /// A key whose signature is trusted, or a file of such keys, beside those that the hub was set up with.
    #[arg(long = "key", value_name = "KEY|FILE")]
    keys: Vec<String>,
    /// Takes a package that nobody trusted has signed. Its digest is checked all the same.
    #[arg(long)]
    allow_unsigned: bool,
}

pub async fn run(connection: Connection, command: Command) -> anyhow::Result<()> {
    let wanted: Wanted = command.what.parse()?;
    let hub = Hub::open(&connection, wanted.hub(command.hub.as_deref())?)?;
    let mut keys = hub.keys().to_vec();
    keys.extend(verify::keys("--key", &command.keys)?);
    let found = hub.find(&wanted).await?;
    let signers = signers(&found, &keys, command.allow_unsigned)?;
    let to = command.to.unwrap_or_else(|| match command.archive {
        true => PathBuf::from(format!("{}-{}.tar.gz", found.function, found.version)),
        false => PathBuf::from(&found.function),
    });
    if to.symlink_metadata().is_ok() {
        bail!("{} is there already: say another place with --to, or move it away", to.display());
    }
    if found.size_bytes > PACKAGE_BYTES_MAX {
        return Err(HubFault::Refused(format!("it has {} bytes, at most {PACKAGE_BYTES_MAX}", found.size_bytes)).into());
    }
    let draft = Draft::beside(&to)?;
    hub.fetch(&found, &draft.archive()).await?;
    let (is_archive, target, expected) = (command.archive, to.clone(), found.clone());
    tokio::task::spawn_blocking(move || place(&draft, &expected, &target, is_archive)).await??;
    let mut shown = found.shown(&hub.address());
    shown["path"] = json!(to);
    shown["signed_by"] = json!(signers);
    let by = if signers.is_empty() { "nobody trusted".to_owned() } else { signers.join(", ") };
    let sentence = format!("{}@{} is in {}, signed by {by}", found.function, found.version, to.display());
    connection.output().done(&sentence, &shown)
}

/// Who vouches for it. A signature that is wrong is never passed over; one that is missing only if that was said.
fn signers(found: &Found, keys: &[VerifyingKey], is_unsigned_allowed: bool) -> Result<Vec<String>, HubFault> {
    if is_unsigned_allowed && (keys.is_empty() || found.signature.is_empty()) {
        return Ok(vec![]);
    }
    if keys.is_empty() {
        let problem = "no key is trusted here: name the publisher's with --key (or with `cairn hub add --key`), or take \
                       it unsigned with --allow-unsigned";
        return Err(HubFault::Refused(problem.to_owned()));
    }
    found.signers(keys)
}

/// A folder beside the target, on the same disk, in which everything is made ready. It goes when this is dropped.
struct Draft(PathBuf);

impl Draft {
    fn beside(target: &Path) -> anyhow::Result<Self> {
        let name = target.file_name().context("the target has no name")?.to_string_lossy().into_owned();
        let draft = target.with_file_name(format!(".{name}.{}", Uuid::new_v4().simple()));
        fs::create_dir(&draft).with_context(|| format!("cannot write beside {}", target.display()))?;
        Ok(Self(draft))
    }

    fn archive(&self) -> PathBuf {
        self.0.join("package")
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // What is left of it is of no use; if it cannot be removed, nothing else can be done here.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Checks what was fetched, and moves it, or what is in it, to its place in one step.
fn place(draft: &Draft, found: &Found, to: &Path, is_archive: bool) -> anyhow::Result<()> {
    let archive = draft.archive();
    check_digest(&archive, found)?;
    let ready = match is_archive {
        true => archive,
        false => {
            let folder = draft.0.join("content");
            fs::create_dir(&folder)?;
            unpack(File::open(&archive)?, &folder)?;
            folder
        }
    };
    fs::rename(&ready, to).with_context(|| format!("cannot write {}", to.display()))
}

fn check_digest(file: &Path, found: &Found) -> anyhow::Result<()> {
    let mut digester = Digester::default();
    let (mut file, mut buffer) = (File::open(file)?, vec![0; 256 << 10]);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => digester.update(&buffer[..count]),
            Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
            Err(fault) => return Err(fault.into()),
        }
    }
    let (size, sha256) = digester.finish();
    if size != found.size_bytes || sha256.to_string() != found.sha256 {
        let problem = format!(
            "it has {size} bytes with the SHA-256 {sha256}, and {} with {} were published",
            found.size_bytes, found.sha256
        );
        return Err(HubFault::Refused(problem).into());
    }
    Ok(())
}
