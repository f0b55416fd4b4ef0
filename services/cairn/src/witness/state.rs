use std::path::Path;

use cairn_tlog::witness::{Known, Offer, Refusal};
use cairn_tlog::{Hash, Signature, SigningKey, VerifyingKey};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS log (
        origin TEXT PRIMARY KEY,
        size INTEGER NOT NULL,
        root BLOB NOT NULL,
        note TEXT NOT NULL
    ) STRICT;
";

/// What a witness remembers, and what it vouches with.
pub struct Witness {
    key: SigningKey,
    logs: Vec<VerifyingKey>,
    connection: Connection,
}

impl Witness {
    pub fn open(path: &Path, key: SigningKey, logs: Vec<VerifyingKey>) -> Result<Self, rusqlite::Error> {
        let connection = Connection::open(path)?;
        connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")?;
        connection.execute_batch(SCHEMA)?;
        Ok(Self { key, logs, connection })
    }

    pub fn key(&self) -> &VerifyingKey {
        self.key.verifying()
    }

    /// Vouches for a checkpoint at this moment. Blocks.
    ///
    /// INVARIANT: what is vouched for is remembered durably before, in the same transaction in which it was held against
    /// what was known: of two offers at once, the second meets the first.
    pub fn add(&mut self, offer: &Offer, unix_seconds: u64) -> Result<Result<Signature, Refusal>, rusqlite::Error> {
        let tx = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let known: Option<Known> = tx
            .query_row("SELECT size, root FROM log WHERE origin = ?1", [offer.origin()], |row| {
                Ok((row.get(0)?, Hash(row.get(1)?)))
            })
            .optional()?;
        let checkpoint = match offer.judge(&self.logs, known) {
            Ok(checkpoint) => checkpoint,
            Err(refusal) => return Ok(Err(refusal)),
        };
        tx.execute(
            "INSERT OR REPLACE INTO log (origin, size, root, note) VALUES (?1, ?2, ?3, ?4)",
            params![checkpoint.origin, checkpoint.size.cast_signed(), checkpoint.root.0, offer.checkpoint.to_string()],
        )?;
        tx.commit()?;
        Ok(Ok(self.key.sign(&offer.checkpoint.text, unix_seconds)))
    }
}
