//! `cairn audit verify`: whether a proof or a copied log is true. Reads files, and asks nobody.

use std::fs;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cairn_contract::cairn::ledger::events::v1::SigningKeyRotated;
use cairn_tlog::{Bundle, Checkpoint, Frontier, Hash, Kind, Note, TILE_WIDTH, Tile, VerifyingKey};
use prost::{Message, Name};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::exit::{Refuted, Unusable};
use super::output::Output;

#[derive(Debug, clap::Args)]
pub struct Command {
    /// A `.tlog-proof` file, or the folder of a copied log.
    what: PathBuf,
    /// A key that the log or a witness signs with, or a file of such keys, one on each line; not fetched together with
    /// what is verified, or it vouches for itself.
    #[arg(long = "key", value_name = "KEY|FILE", required = true)]
    keys: Vec<String>,
    /// The proof that the log got a new key, verified with the keys given: that key counts from then on too
    /// (`cairn audit signing` shows the position, `cairn audit prove` gives the proof). May be repeated, in order.
    #[arg(long, value_name = "FILE")]
    rotation: Vec<PathBuf>,
    /// A checkpoint of this log kept from before, of this epoch or an earlier one: a copied log must begin with it.
    #[arg(long, value_name = "FILE")]
    known: Option<PathBuf>,
}

/// What stands beside a proof: the entry that is proven, and what the digest in it was made of.
#[derive(Serialize, Deserialize)]
pub struct Told {
    pub entry: String,
    /// Base64. Empty: the data holds something that nobody is shown, and is not given.
    pub salt: String,
    /// Base64.
    pub payload: String,
}

pub fn run(output: Output, command: &Command) -> anyhow::Result<()> {
    let mut keys = keys("--key", &command.keys)?;
    for file in &command.rotation {
        keys.push(rotated(file, &keys)?);
    }
    let known =
        command.known.as_deref().map(|file| Ok::<_, anyhow::Error>(signed(&note(file)?, &keys)?)).transpose()?;
    match command.what.is_dir() {
        true => {
            let checkpoint = log(&command.what, &keys, known.as_ref())?;
            let sentence = format!(
                "verified: {} events of {}{}",
                checkpoint.size,
                checkpoint.origin,
                known.map(|known| begins_with(&known, &checkpoint)).unwrap_or_default()
            );
            let answer = json!({"verified": true, "origin": checkpoint.origin, "size": checkpoint.size.to_string(), "root": checkpoint.root.to_string()});
            output.done(&sentence, &answer)
        }
        false if known.is_some() => {
            Err(Unusable("--known is for a copied log; a proof carries one checkpoint only".to_owned()).into())
        }
        false => {
            let Proven { entry, checkpoint, .. } = proof(&command.what, &keys)?;
            let text = |field: &str| entry[field].as_str().unwrap_or_default().to_owned();
            let sentence = format!(
                "verified: {} {} by {} at {}, event {} of {}",
                text("type"),
                text("resource"),
                text("principal"),
                text("time"),
                entry["position"],
                checkpoint.origin
            );
            output.done(&sentence, &json!({"verified": true, "origin": checkpoint.origin, "entry": entry}))
        }
    }
}

/// Keys given to an option as texts or as files.
pub fn keys(option: &str, given: &[String]) -> anyhow::Result<Vec<VerifyingKey>> {
    let mut keys = vec![];
    for text in given {
        if let Ok(key) = text.parse() {
            keys.push(key);
            continue;
        }
        let file = fs::read_to_string(text).map_err(|fault| {
            Unusable(format!("{option} {text} is neither a key nor a file that can be read: {fault}"))
        })?;
        for line in file.lines().filter(|line| !line.trim().is_empty()) {
            keys.push(line.parse().map_err(|fault| Unusable(format!("{text}: {fault}")))?);
        }
    }
    Ok(keys)
}

fn read(path: &Path) -> Result<Vec<u8>, Unusable> {
    fs::read(path).map_err(|fault| Unusable(format!("cannot read {}: {fault}", path.display())))
}

fn text(path: &Path) -> Result<String, Unusable> {
    String::from_utf8(read(path)?).map_err(|_| Unusable(format!("{} is no text", path.display())))
}

fn note(path: &Path) -> Result<Note, Unusable> {
    text(path)?.parse().map_err(|fault| Unusable(format!("{}: {fault}", path.display())))
}

/// The checkpoint in a note, if the log itself signed it.
fn signed(note: &Note, keys: &[VerifyingKey]) -> Result<Checkpoint, Refuted> {
    let signers = note.verify(keys).map_err(|fault| Refuted(fault.to_string()))?;
    if !signers.iter().any(|key| key.kind == Kind::Log) {
        return Err(Refuted("the log itself did not sign the checkpoint, only a witness did".to_owned()));
    }
    note.text.parse().map_err(|fault| Refuted(format!("what was signed is not a checkpoint: {fault}")))
}

/// What a copied log was found to begin with.
fn begins_with(known: &Checkpoint, checkpoint: &Checkpoint) -> String {
    let epoch = match known.origin == checkpoint.origin {
        true => String::new(),
        false => format!(" as {}", known.origin),
    };
    format!(", beginning with the {} known before{epoch}", known.size)
}

/// The key that a proven event brought.
fn rotated(path: &Path, keys: &[VerifyingKey]) -> anyhow::Result<VerifyingKey> {
    let Proven { entry, checkpoint, payload } = proof(path, keys)?;
    let unusable = |why: String| Unusable(format!("{}: {why}", path.display()));
    if entry["type"] != SigningKeyRotated::full_name() {
        return Err(unusable(format!("it proves {}, which brings no key", entry["type"])).into());
    }
    let event = SigningKeyRotated::decode(&*payload).map_err(|fault| unusable(fault.to_string()))?;
    let key: VerifyingKey =
        event.verifying_key.parse().map_err(|fault: cairn_tlog::KeyFault| unusable(fault.to_string()))?;
    match event.origin == checkpoint.origin && key.kind == Kind::Log {
        true => Ok(key),
        false => Err(unusable(format!("it brings a key of {}, and is of {}", event.origin, checkpoint.origin)).into()),
    }
}

/// What a file proves.
struct Proven {
    entry: Value,
    checkpoint: Checkpoint,
    /// The event's data as stored. Empty: it is not given.
    payload: Vec<u8>,
}

/// The entry that a file proves, with its data if that is given.
fn proof(path: &Path, keys: &[VerifyingKey]) -> anyhow::Result<Proven> {
    let unusable = |why: String| Unusable(format!("{}: {why}", path.display()));
    let bundle: Bundle = text(path)?.parse().map_err(|fault: cairn_tlog::BundleFault| unusable(fault.to_string()))?;
    let extra = bundle.extra.as_deref().ok_or_else(|| unusable("it does not hold the entry that it proves".into()))?;
    let told: Told = serde_json::from_slice(extra).map_err(|fault| unusable(format!("its extra data: {fault}")))?;
    let checkpoint = bundle.verify(told.entry.as_bytes(), keys).map_err(|fault| Refuted(fault.to_string()))?;
    let entry: Value = serde_json::from_str(&told.entry).map_err(|fault| unusable(format!("its entry: {fault}")))?;
    if told.salt.is_empty() {
        return Ok(Proven { entry, checkpoint, payload: vec![] });
    }
    let decode = |text: &str| STANDARD.decode(text).map_err(|_| unusable("salt and payload must be base64".into()));
    let payload = decode(&told.payload)?;
    let salted = [decode(&told.salt)?, payload.clone()].concat();
    if entry["payload_sha256"] != STANDARD.encode(digest(&SHA256, &salted)) {
        return Err(Refuted("the event's data is not what the log holds".to_owned()).into());
    }
    Ok(Proven { entry, checkpoint, payload })
}

/// Reads a copied log from its first entry to its last, and finds the first that is not what was signed.
fn log(folder: &Path, keys: &[VerifyingKey], known: Option<&Checkpoint>) -> anyhow::Result<Checkpoint> {
    let checkpoint = signed(&note(&folder.join("checkpoint"))?, keys)?;
    // Also what was known of an earlier epoch: the tree is the same, unless something was lost between them.
    if let Some(known) = known.filter(|known| known.size > checkpoint.size) {
        let why = format!(
            "{} events were known as {}, and the log has {}: it was cut",
            known.size, known.origin, checkpoint.size
        );
        return Err(Refuted(why).into());
    }
    let mut tree = Frontier::default();
    let mut first_wrong: Option<String> = None;
    while tree.size() < checkpoint.size {
        let tile = Tile::holding(0, tree.size(), checkpoint.size).expect("entries up to the size are in some tile");
        let entries = bundle(folder, &tile)?;
        let hashes = fs::read(folder.join(tile.to_string())).unwrap_or_default();
        let (first, mut tile_tree) = (tree.size(), Frontier::default());
        for (at, entry) in entries.iter().enumerate() {
            let hash = Hash::leaf(entry);
            let kept = hashes.as_chunks::<32>().0.get(at);
            if first_wrong.is_none() && kept.is_some_and(|kept| *kept != hash.0) {
                first_wrong = Some(format!("entry {} ({})", tree.size(), place(entry)));
            }
            tree.push(hash);
            tile_tree.push(hash);
            if let Some(known) = known.filter(|known| known.size == tree.size() && known.root != tree.root()) {
                let (size, wrong) = (tree.size(), at_first(&first_wrong));
                let why = format!("its first {size} events are not those known before as {}{wrong}", known.origin);
                return Err(Refuted(why).into());
            }
        }
        // Entries that were changed together with their tile do not fit the tile above it.
        if first_wrong.is_none() && above(folder, &tile, checkpoint.size).is_some_and(|root| root != tile_tree.root()) {
            first_wrong = Some(format!("one of the entries {first} to {}", tree.size() - 1));
        }
    }
    if tree.root() != checkpoint.root {
        return Err(Refuted(format!("the entries are not those that were signed{}", at_first(&first_wrong))).into());
    }
    Ok(checkpoint)
}

/// What the tile above says of a full one.
fn above(folder: &Path, tile: &Tile, size: u64) -> Option<Hash> {
    let above = Tile::holding(1, tile.number, size)?;
    let hashes = fs::read(folder.join(above.to_string())).ok()?;
    hashes.as_chunks::<32>().0.get((tile.number % TILE_WIDTH) as usize).copied().map(Hash)
}

fn at_first(wrong: &Option<String>) -> String {
    wrong.as_ref().map(|wrong| format!("; the first that differs is {wrong}")).unwrap_or_default()
}

/// Where an entry says that it stands.
fn place(entry: &[u8]) -> String {
    let entry: Value = serde_json::from_slice(entry).unwrap_or_default();
    match entry["position"].as_u64() {
        Some(position) => format!("position {position}"),
        None => "it does not read".to_owned(),
    }
}

/// The entries beside a tile: each after its length, 16 bits, the larger byte first.
fn bundle(folder: &Path, tile: &Tile) -> anyhow::Result<Vec<Vec<u8>>> {
    let path = folder.join(tile.to_string().replace("tile/0/", "tile/entries/"));
    let file = read(&path)?;
    let (mut entries, mut rest) = (vec![], &file[..]);
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let Some((entry, after)) = after.split_at_checked(u16::from_be_bytes(*length).into()) else { break };
        entries.push(entry.to_vec());
        rest = after;
    }
    if !rest.is_empty() || entries.len() != usize::from(tile.width) {
        let why = format!("{} holds {} whole entries and not {}", path.display(), entries.len(), tile.width);
        return Err(Refuted(why).into());
    }
    Ok(entries)
}
