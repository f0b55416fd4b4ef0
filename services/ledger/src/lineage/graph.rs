use std::collections::HashMap;
use std::sync::Arc;

use cairn_eventstore::{Filter, Recorded};
use cairn_projection::{Copied, Projection, ProjectionFault};
use rusqlite::{CachedStatement, OptionalExtension, Transaction, params};

use super::annotation::{Annotations, Facts, Link, Mention};
use super::nodes::ENDLESS;

/// Nodes and edges, each with the position that made it.
///
/// Nodes are numbers, and an edge stands in the table and in one index with all that a walk reads of it, so that a step
/// either way touches one stretch of one tree. What ends stays, with the position of its end.
pub struct Graph {
    annotations: Arc<Annotations>,
}

impl Graph {
    pub fn new(annotations: Arc<Annotations>) -> Self {
        Self { annotations }
    }
}

impl Projection for Graph {
    const NAME: &'static str = "ledger.lineage.v1";

    const SCHEMA: &'static str = "
        CREATE TABLE lineage_word (
            id INTEGER PRIMARY KEY,
            text TEXT NOT NULL UNIQUE
        ) STRICT;
        CREATE TABLE lineage_node (
            id INTEGER PRIMARY KEY,
            key TEXT NOT NULL UNIQUE,
            name TEXT,
            kind INTEGER NOT NULL,
            label TEXT NOT NULL,
            digest TEXT NOT NULL,
            position INTEGER NOT NULL
        ) STRICT;
        CREATE INDEX lineage_node_by_name ON lineage_node (name) WHERE name IS NOT NULL;
        CREATE INDEX lineage_node_by_kind ON lineage_node (kind);
        CREATE INDEX lineage_node_by_label ON lineage_node (label) WHERE label <> '';
        CREATE TABLE lineage_mark (
            node INTEGER NOT NULL,
            position INTEGER NOT NULL,
            time_micros INTEGER NOT NULL,
            state INTEGER NOT NULL,
            is_ended INTEGER NOT NULL,
            PRIMARY KEY (node, position)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX lineage_mark_by_position ON lineage_mark (position);
        CREATE TABLE lineage_edge (
            source INTEGER NOT NULL,
            target INTEGER NOT NULL,
            relation INTEGER NOT NULL,
            position INTEGER NOT NULL,
            end_position INTEGER NOT NULL,
            time_micros INTEGER NOT NULL,
            PRIMARY KEY (source, target, relation, position)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX lineage_edge_by_target
            ON lineage_edge (target, source, relation, position, end_position, time_micros);
        CREATE INDEX lineage_edge_by_position ON lineage_edge (position);
    ";

    const COPIED: Option<Copied> = Some(Copied { readable: include_str!("readable.sql"), ..Copied::WHOLE });

    const READER_INDEXES: &'static [&'static str] =
        &["lineage_node_by_kind", "lineage_node_by_label", "lineage_mark_by_position", "lineage_edge_by_position"];

    fn filter(&self) -> Filter {
        Filter { categories: vec![], kinds: self.annotations.kinds() }
    }

    fn apply(&self, tx: &Transaction<'_>, events: &[Arc<Recorded>]) -> Result<(), ProjectionFault> {
        let mut writer = Writer::new(tx)?;
        for event in events {
            if let Some(annotation) = self.annotations.kind(&event.kind) {
                writer.add(event, &annotation.read(&event.payload))?;
            }
        }
        Ok(())
    }
}

/// Writes into the tables, with what it needs again and again at hand.
struct Writer<'tx> {
    words: HashMap<String, i64>,
    /// Numbers of nodes by their keys, of this batch.
    known: HashMap<String, i64>,
    find_word: CachedStatement<'tx>,
    add_word: CachedStatement<'tx>,
    by_key: CachedStatement<'tx>,
    by_name: CachedStatement<'tx>,
    add_node: CachedStatement<'tx>,
    tell: CachedStatement<'tx>,
    last_mark: CachedStatement<'tx>,
    add_mark: CachedStatement<'tx>,
    find_edge: CachedStatement<'tx>,
    add_edge: CachedStatement<'tx>,
    end_edge: CachedStatement<'tx>,
    end_others: CachedStatement<'tx>,
    below: CachedStatement<'tx>,
}

impl<'tx> Writer<'tx> {
    fn new(tx: &'tx Transaction<'_>) -> Result<Self, rusqlite::Error> {
        Ok(Self {
            words: HashMap::new(),
            known: HashMap::new(),
            find_word: tx.prepare_cached("SELECT id FROM lineage_word WHERE text = ?1")?,
            add_word: tx.prepare_cached("INSERT INTO lineage_word (text) VALUES (?1) RETURNING id")?,
            by_key: tx.prepare_cached("SELECT id FROM lineage_node WHERE key = ?1")?,
            by_name: tx.prepare_cached("SELECT id FROM lineage_node WHERE name = ?1")?,
            add_node: tx.prepare_cached(
                "INSERT INTO lineage_node (key, name, kind, label, digest, position) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 RETURNING id",
            )?,
            // Empty says nothing. A name in full is never exchanged for a short one, and comes with the key that both have.
            tell: tx.prepare_cached(
                "UPDATE lineage_node SET
                    key = CASE WHEN ?2 IS NULL THEN key ELSE ?7 END,
                    name = coalesce(?2, name),
                    kind = CASE WHEN kind = ?6 THEN ?3 ELSE kind END,
                    label = CASE ?4 WHEN '' THEN label ELSE ?4 END,
                    digest = CASE ?5 WHEN '' THEN digest ELSE ?5 END
                 WHERE id = ?1",
            )?,
            last_mark: tx.prepare_cached(
                "SELECT state, is_ended FROM lineage_mark WHERE node = ?1 ORDER BY position DESC LIMIT 1",
            )?,
            add_mark: tx.prepare_cached("INSERT OR REPLACE INTO lineage_mark VALUES (?1, ?2, ?3, ?4, ?5)")?,
            find_edge: tx.prepare_cached(
                "SELECT 1 FROM lineage_edge
                 WHERE source = ?1 AND target = ?2 AND relation = ?3 AND end_position = ?4",
            )?,
            add_edge: tx.prepare_cached("INSERT OR REPLACE INTO lineage_edge VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?,
            end_edge: tx.prepare_cached(
                "UPDATE lineage_edge SET end_position = ?4
                 WHERE source = ?1 AND target = ?2 AND relation = ?3 AND end_position = ?5",
            )?,
            end_others: tx.prepare_cached(
                "UPDATE lineage_edge SET end_position = ?4
                 WHERE target = ?2 AND relation = ?3 AND end_position = ?5 AND source <> ?1",
            )?,
            below: tx.prepare_cached(
                "SELECT id FROM lineage_node WHERE key > ?1 AND key < ?2
                 UNION SELECT id FROM lineage_node WHERE name > ?1 AND name < ?2",
            )?,
        })
    }

    fn add(&mut self, event: &Recorded, facts: &Facts) -> Result<(), rusqlite::Error> {
        let at = At { position: event.position.0.cast_signed(), time_micros: event.time.micros() };
        let mut ids = Vec::with_capacity(facts.mentions.len());
        for (place, mention) in facts.mentions.iter().enumerate() {
            // What only ends is not brought into the graph by its end.
            let mut links = facts.links.iter().filter(|link| link.from == place || link.to == place).peekable();
            let only_ends = match links.peek() {
                None => mention.is_ended == Some(true),
                Some(_) => links.all(|link| link.ends),
            };
            ids.push(if only_ends { self.find(mention)? } else { Some(self.node(mention, at)?) });
        }
        for (mention, id) in facts.mentions.iter().zip(&ids) {
            if let Some(id) = id {
                self.mark(*id, mention, at)?;
            }
            if mention.is_below {
                self.mark_below(mention, at)?;
            }
        }
        for link in &facts.links {
            if let (Some(from), Some(to)) = (ids[link.from], ids[link.to]) {
                self.link(link, from, to, at)?;
            }
        }
        Ok(())
    }

    fn word(&mut self, text: &str) -> Result<i64, rusqlite::Error> {
        if let Some(id) = self.words.get(text) {
            return Ok(*id);
        }
        let id = match self.find_word.query_row([text], |row| row.get(0)).optional()? {
            Some(id) => id,
            None => self.add_word.query_row([text], |row| row.get(0))?,
        };
        self.words.insert(text.to_owned(), id);
        Ok(id)
    }

    /// The node of a mention, if the graph has it: under its key, or, where others wrote it in full, under its name.
    fn find(&mut self, mention: &Mention) -> Result<Option<i64>, rusqlite::Error> {
        if let Some(id) = self.known.get(&mention.key) {
            return Ok(Some(*id));
        }
        let mut found = self.by_key.query_row([&mention.key], |row| row.get(0)).optional()?;
        if found.is_none() {
            found = self.by_name.query_row([&mention.name], |row| row.get(0)).optional()?;
        }
        if found.is_none() && mention.name != mention.key {
            found = self.by_key.query_row([&mention.name], |row| row.get(0)).optional()?;
        }
        if let Some(id) = found {
            self.known.insert(mention.key.clone(), id);
        }
        Ok(found)
    }

    /// The node of a mention, which now knows what the mention says.
    fn node(&mut self, mention: &Mention, at: At) -> Result<i64, rusqlite::Error> {
        let (kind, unsaid) = (self.word(&mention.kind)?, self.word("")?);
        let name = (mention.name != mention.key).then_some(&mention.name);
        let Mention { label, digest, .. } = mention;
        let Some(id) = self.find(mention)? else {
            let row = params![mention.key, name, kind, label, digest, at.position];
            let id = self.add_node.query_row(row, |row| row.get(0))?;
            self.known.insert(mention.key.clone(), id);
            return Ok(id);
        };
        if name.is_some() || kind != unsaid || !label.is_empty() || !digest.is_empty() {
            self.tell.execute(params![id, name, kind, label, digest, unsaid, mention.key])?;
        }
        Ok(id)
    }

    /// Keeps how a node stands from now on, if that is new.
    fn mark(&mut self, node: i64, mention: &Mention, at: At) -> Result<(), rusqlite::Error> {
        if mention.state.is_empty() && mention.is_ended.is_none() {
            return Ok(());
        }
        let unsaid = self.word("")?;
        let before = self.last_mark.query_row([node], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        let (state, is_ended): (i64, bool) = before.unwrap_or((unsaid, false));
        let state_now = if mention.state.is_empty() { state } else { self.word(&mention.state)? };
        let is_ended_now = mention.is_ended.unwrap_or(is_ended);
        if (state_now, is_ended_now) != (state, is_ended) {
            self.add_mark.execute(params![node, at.position, at.time_micros, state_now, is_ended_now])?;
        }
        Ok(())
    }

    fn mark_below(&mut self, mention: &Mention, at: At) -> Result<(), rusqlite::Error> {
        // `0` is the character after `/`.
        let (low, high) = (format!("{}/", mention.name), format!("{}0", mention.name));
        let nodes = self.below.query_map([low, high], |row| row.get(0))?.collect::<Result<Vec<i64>, _>>()?;
        nodes.into_iter().try_for_each(|node| self.mark(node, mention, at))
    }

    fn link(&mut self, link: &Link, from: i64, to: i64, at: At) -> Result<(), rusqlite::Error> {
        let relation = self.word(&link.relation)?;
        if link.ends {
            self.end_edge.execute(params![from, to, relation, at.position, ENDLESS])?;
            return Ok(());
        }
        if link.replaces {
            self.end_others.execute(params![from, to, relation, at.position, ENDLESS])?;
        }
        // Said again is said once: the first position counts.
        if from != to && !self.find_edge.exists(params![from, to, relation, ENDLESS])? {
            self.add_edge.execute(params![from, to, relation, at.position, ENDLESS, at.time_micros])?;
        }
        Ok(())
    }
}

/// Where in the log an event stands.
#[derive(Clone, Copy)]
struct At {
    position: i64,
    time_micros: i64,
}
