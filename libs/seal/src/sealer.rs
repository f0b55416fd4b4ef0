use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::constant_time;
use cairn_kernel::Name;
use parking_lot::Mutex;
use zeroize::Zeroizing;

use crate::binding::Binding;
use crate::keeper::{Keeper, Kept};
use crate::sealed::Parts;
use crate::table::{KeyRow, Table};
use crate::{DataKey, KeeperFault, KeyId, SealFault, Sealed, Sensitive, xaes};

/// How long an unwrapped key is remembered, so that a keeper that is away for a moment stops nobody.
const REMEMBERED: Duration = Duration::from_secs(300);
/// Most unwrapped keys that are remembered.
const REMEMBERED_MAX: usize = 1_024;
/// Keys that are wrapped anew in one transaction.
const REWRAP_BATCH: u32 = 256;

/// Seals, opens and forgets. Cheap to clone.
#[derive(Clone)]
pub struct Sealer {
    inner: Arc<Inner>,
}

struct Inner {
    table: Table,
    keeper: Arc<dyn Keeper>,
    deployment: String,
    remembered: Mutex<HashMap<KeyId, (Instant, Arc<DataKey>)>>,
}

/// How keys are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    pub keeper: Kept,
    /// Key-encryption keys, and how many data keys are wrapped with each.
    pub wrapped: Vec<(String, u64)>,
}

/// What wrapping anew has come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rewrapped {
    pub done: u64,
    /// Still wrapped with an older key-encryption key.
    pub left: u64,
}

impl Sealer {
    /// Opens or creates the table of keys, with a keeper that is told whether the table is empty. Refuses a keeper that
    /// cannot have wrapped what is in it.
    pub async fn start(
        table: &Path,
        deployment: &str,
        keeper: impl FnOnce(bool) -> Result<Arc<dyn Keeper>, KeeperFault>,
    ) -> Result<Self, SealFault> {
        let table = Table::open(table)?;
        let wrappers = table.wrappers()?;
        let keeper = keeper(wrappers.is_empty())?;
        let known = if wrappers.is_empty() { None } else { keeper.describe().await.map_or(None, |kept| kept.known) };
        if let Some(known) = known {
            let unknown: Vec<&str> = wrappers.iter().map(|(id, _)| id.as_str()).collect();
            let unknown: Vec<&str> = unknown.into_iter().filter(|id| !known.iter().any(|known| known == id)).collect();
            if !unknown.is_empty() {
                return Err(KeeperFault::Unknown { ids: unknown.join(", ") }.into());
            }
        }
        let inner = Inner { table, keeper, deployment: deployment.to_owned(), remembered: Mutex::default() };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Seals under the subject's standing key, which is made if there is none: what is sealed so is forgotten together.
    pub async fn seal(&self, subject: &Name, purpose: &str, message: Sensitive) -> Result<Sealed, SealFault> {
        loop {
            if let Some(row) = self.inner.table.standing(subject).await? {
                let key = self.unwrap(&row, subject).await?;
                return self.encrypt(subject, purpose, &row.id, &key, &message);
            }
            // Somebody else may make one first; then theirs counts.
            self.make(subject, true).await?;
        }
    }

    /// Seals under a key of its own, which is forgotten with the subject or by itself ([`Sealer::forget_key`]).
    pub async fn seal_alone(&self, subject: &Name, purpose: &str, message: Sensitive) -> Result<Sealed, SealFault> {
        let (id, key) = self.make(subject, false).await?;
        self.encrypt(subject, purpose, &id, &key, &message)
    }

    /// Opens what was sealed for this subject and purpose.
    pub async fn open(&self, subject: &Name, purpose: &str, sealed: &[u8]) -> Result<Sensitive, SealFault> {
        let parts = Parts::of(sealed).ok_or(SealFault::Malformed)?;
        // The row is asked for each time: a key that was forgotten opens nothing from that moment on.
        let row = self.inner.table.find(parts.key).await?.ok_or(SealFault::Forgotten)?;
        if row.subject != subject.to_string() {
            return Err(SealFault::Foreign);
        }
        let key = self.unwrap(&row, subject).await?;
        constant_time::verify_slices_are_equal(&key.check(), parts.check).map_err(|_| SealFault::Foreign)?;
        let context = self.binding(subject, &parts.key).of_message(purpose);
        let mut bytes = Zeroizing::new(parts.ciphertext.to_vec());
        let message =
            xaes::open(key.expose(), &parts.nonce, &context, &mut bytes).map_err(|_| SealFault::Foreign)?.len();
        bytes.truncate(message);
        Ok(std::mem::take(&mut *bytes).into())
    }

    /// Forgets every key of a subject: nothing that was sealed for it opens again. Says how many keys there were.
    pub async fn forget(&self, subject: &Name) -> Result<usize, SealFault> {
        let forgotten = self.inner.table.forget(subject).await?;
        // Few and soon asked for again; which were the subject's is no longer known.
        self.inner.remembered.lock().clear();
        Ok(forgotten)
    }

    /// Forgets one key.
    pub async fn forget_key(&self, key: KeyId) -> Result<(), SealFault> {
        self.inner.table.forget_key(key).await?;
        self.inner.remembered.lock().remove(&key);
        Ok(())
    }

    /// How keys are kept.
    pub async fn standing(&self) -> Result<Standing, SealFault> {
        let keeper = self.inner.keeper.describe().await?;
        Ok(Standing { keeper, wrapped: self.inner.table.wrappers()? })
    }

    /// Makes a new key-encryption key. What is there stays wrapped as it is until [`Sealer::rewrap`] has come to it, and
    /// can be opened all the while.
    pub async fn rotate(&self) -> Result<String, SealFault> {
        Ok(self.inner.keeper.rotate().await?)
    }

    /// Wraps keys anew with the newest key-encryption key, up to about `limit` of them. Begins wherever it was
    /// interrupted: what is left is told by the table.
    pub async fn rewrap(&self, limit: u64) -> Result<Rewrapped, SealFault> {
        let newest = self.inner.keeper.describe().await?.newest;
        let mut done = 0;
        while done < limit {
            let rows = self.inner.table.wrapped_by_others(&newest, REWRAP_BATCH).await?;
            if rows.is_empty() {
                break;
            }
            let mut replaced = vec![];
            for row in rows {
                // A stored name, whatever shape it has: it is only compared.
                let subject = row.subject.parse().map_err(|_| SealFault::Malformed)?;
                let context = self.binding(&subject, &row.id).of_key();
                let wrapped = self.inner.keeper.rewrap(&row.wrapped, &context).await?;
                replaced.push((row, wrapped));
            }
            done += replaced.len() as u64;
            self.inner.table.replace(replaced).await?;
        }
        Ok(Rewrapped { done, left: self.inner.table.count_wrapped_by_others(&newest).await? })
    }

    async fn make(&self, subject: &Name, is_standing: bool) -> Result<(KeyId, Arc<DataKey>), SealFault> {
        let (id, key) = (KeyId::fresh(), Arc::new(DataKey::fresh()));
        let wrapped = self.inner.keeper.wrap(&key, &self.binding(subject, &id).of_key()).await?;
        self.inner.table.keep(KeyRow { id, subject: subject.to_string(), wrapped }, is_standing).await?;
        Ok((id, key))
    }

    async fn unwrap(&self, row: &KeyRow, subject: &Name) -> Result<Arc<DataKey>, SealFault> {
        let now = Instant::now();
        let remembered = self.inner.remembered.lock().get(&row.id).cloned();
        if let Some((since, key)) = remembered
            && now.duration_since(since) < REMEMBERED
        {
            return Ok(key);
        }
        let context = self.binding(subject, &row.id).of_key();
        let key = Arc::new(self.inner.keeper.unwrap(&row.wrapped, &context).await?);
        let mut remembered = self.inner.remembered.lock();
        if remembered.len() >= REMEMBERED_MAX {
            remembered.clear();
        }
        remembered.insert(row.id, (now, Arc::clone(&key)));
        Ok(key)
    }

    fn encrypt(
        &self,
        subject: &Name,
        purpose: &str,
        id: &KeyId,
        key: &DataKey,
        message: &Sensitive,
    ) -> Result<Sealed, SealFault> {
        let context = self.binding(subject, id).of_message(purpose);
        // With room for the tag, so that the message is not left behind by a move.
        let mut bytes = Vec::with_capacity(message.len() + 16);
        bytes.extend_from_slice(message.expose());
        let nonce = xaes::seal(key.expose(), &context, &mut bytes).map_err(|_| SealFault::Malformed)?;
        Ok(Sealed::compose(id, &key.check(), &nonce, &bytes))
    }

    fn binding<'a>(&'a self, subject: &'a Name, key: &'a KeyId) -> Binding<'a> {
        Binding { deployment: &self.inner.deployment, subject, key }
    }
}
