use cairn_kernel::Time;
use cairn_postgres::Link;
use tokio_postgres::{SimpleQueryMessage, SimpleQueryRow};
use uuid::Uuid;

use super::Writer;
use crate::fault::Trouble;
use crate::plan::{End, Facts};
use crate::tables::{Statements, VERSION};

impl Writer {
    /// Begins a transaction that nobody else writes beside, and reads where the log ends.
    ///
    /// INVARIANT: until it ends, no other process gives out a position, a revision or a number.
    pub(super) async fn lock(&mut self, link: &Link) -> Result<End, Trouble> {
        let end = locked(link, &self.shared.sql, self.identity.log).await?;
        self.check(&end)?;
        self.mind(&end);
        Ok(end)
    }

    /// Whether all that was seen of the log is still there.
    fn check(&self, end: &End) -> Result<(), Trouble> {
        let seen = self.shared.ring.head().0;
        if end.position < seen {
            let why =
                format!("the log ends at {}, but it had reached {seen}: the database has lost events", end.position);
            return Err(wrong(&why));
        }
        Ok(())
    }

    /// Forgets what is not true any more: all of it, if another process wrote since.
    pub(super) fn mind(&mut self, end: &End) {
        let is_same = self.end.is_some_and(|known| {
            (known.position, known.streams, known.retentions) == (end.position, end.streams, end.retentions)
        });
        let Facts { heads, known, pasts, .. } = &mut self.facts;
        if !is_same || heads.len() > self.heads_max {
            heads.clear();
        }
        known.clear();
        pasts.clear();
        self.is_alone = is_same;
        self.end = Some(*end);
    }
}

/// Begins a transaction that holds the lock, and reads where the log ends. Refuses any log but this one.
pub(crate) async fn locked(link: &Link, sql: &Statements, ours: Uuid) -> Result<End, Trouble> {
    let messages = link.simple_query(&sql.lock).await.map_err(|error| Trouble::of(&error))?;
    let last = messages.iter().rev().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let row = last.filter(|row| row.len() == 7).ok_or_else(|| wrong("its head is gone"))?;
    let (log, version, end) = read(row).ok_or_else(|| wrong("its head cannot be read"))?;
    if log != ours {
        return Err(wrong("the database holds another log than before: start again if that is meant"));
    }
    if version != VERSION {
        let why = format!("another process has brought the log to version {version}, this one knows {VERSION}");
        return Err(Trouble::Other(why));
    }
    Ok(end)
}

fn wrong(why: &str) -> Trouble {
    Trouble::Wrong(why.to_owned())
}

fn read(row: &SimpleQueryRow) -> Option<(Uuid, i32, End)> {
    let end = End {
        position: row.get(2)?.parse().ok()?,
        time: Time::from_micros(row.get(3)?.parse().ok()?),
        streams: row.get(4)?.parse().ok()?,
        kinds: row.get(5)?.parse().ok()?,
        retentions: row.get(6)?.parse().ok()?,
    };
    Some((row.get(0)?.parse().ok()?, row.get(1)?.parse().ok()?, end))
}
