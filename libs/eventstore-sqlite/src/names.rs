use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use rusqlite::{Connection, params};

/// Most different names of one sort. Types and categories come from our contracts; a flood of them is a fault.
const NAMES_MAX: usize = 65_536;

/// Names that rows hold as numbers: event types, or stream categories. The writer adds, readers look up.
pub(crate) struct Names {
    table: &'static str,
    known: RwLock<Known>,
}

#[derive(Default)]
struct Known {
    names: HashMap<i64, Arc<str>>,
    numbers: HashMap<Arc<str>, i64>,
}

impl Names {
    pub(crate) fn load(table: &'static str, connection: &Connection) -> rusqlite::Result<Self> {
        let names = Self { table, known: RwLock::default() };
        names.reload(connection)?;
        Ok(names)
    }

    /// Forgets what a transaction added that was rolled back.
    pub(crate) fn reload(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut known = Known::default();
        let mut statement = connection.prepare(&format!("SELECT id, name FROM {}", self.table))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            known.add(row.get(0)?, row.get::<_, String>(1)?.into());
        }
        *self.known.write() = known;
        Ok(())
    }

    pub(crate) fn name(&self, number: i64) -> Option<Arc<str>> {
        self.known.read().names.get(&number).cloned()
    }

    /// Which of the names known now are wanted.
    pub(crate) fn mask(&self, is_wanted: impl Fn(&str) -> bool) -> Mask {
        let known = self.known.read();
        let last = known.names.keys().max().map_or(0, |last| usize::try_from(*last).unwrap_or(0));
        let mut wanted = vec![false; last + 1];
        for (name, &number) in &known.numbers {
            if let Some(wanted) = usize::try_from(number).ok().and_then(|number| wanted.get_mut(number)) {
                *wanted = is_wanted(name);
            }
        }
        Mask(wanted)
    }

    /// The number of a name, given one if it has none. `None`: there are too many. For the writer, inside its
    /// transaction.
    pub(crate) fn intern(&self, name: &str, connection: &Connection) -> rusqlite::Result<Option<(i64, Arc<str>)>> {
        if let Some((name, &number)) = self.known.read().numbers.get_key_value(name) {
            return Ok(Some((number, Arc::clone(name))));
        }
        let mut known = self.known.write();
        if known.names.len() >= NAMES_MAX {
            return Ok(None);
        }
        let number = known.names.keys().max().map_or(1, |last| last + 1);
        let sql = format!("INSERT INTO {} (id, name) VALUES (?1, ?2)", self.table);
        connection.execute(&sql, params![number, name])?;
        let name: Arc<str> = name.into();
        known.add(number, Arc::clone(&name));
        Ok(Some((number, name)))
    }
}

/// A choice of names, by number.
pub(crate) struct Mask(Vec<bool>);

impl Mask {
    pub(crate) fn contains(&self, number: i64) -> bool {
        usize::try_from(number).ok().and_then(|number| self.0.get(number)).copied().unwrap_or(false)
    }
}

impl Known {
    fn add(&mut self, number: i64, name: Arc<str>) {
        self.names.insert(number, Arc::clone(&name));
        self.numbers.insert(name, number);
    }
}
