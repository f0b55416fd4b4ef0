//! What organizations have in the log: which tree an event belongs to besides that of everything.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use cairn_access::{Belonging, DEFAULT_ORGANIZATION};
use cairn_eventstore::Recorded;
use cairn_tlog::{Edge, Hash};
use rusqlite::{OptionalExtension, Transaction};

use super::organizations::Of;
use super::places::Places;
use super::tiles::{StoredTiles, TreeFault};

/// Streams that only an organization has that was created.
const ORGANIZATIONS: &str = "auth.organization";

/// What a batch adds to the trees of organizations.
///
/// INVARIANT: follows from the log alone, and never fails for what an event says: an event that does not read belongs to
/// nobody in particular. A name that somebody made up and was refused for gets no tree.
pub struct Shares<'t> {
    tx: &'t Transaction<'t>,
    organizations: HashMap<String, Option<Of>>,
    projects: HashMap<String, Option<Of>>,
    grown: BTreeMap<i64, Share>,
}

/// What one tree gains.
#[derive(Default)]
struct Share {
    positions: Vec<u64>,
    hashes: Vec<Hash>,
}

impl<'t> Shares<'t> {
    pub fn new(tx: &'t Transaction<'t>) -> Self {
        Self { tx, organizations: HashMap::new(), projects: HashMap::new(), grown: BTreeMap::new() }
    }

    /// Adds the leaf of an event to the tree of the organization that `owner` is, or that has the project it is.
    pub fn push(&mut self, event: &Arc<Recorded>, owner: Option<&str>, leaf: Hash) -> Result<(), rusqlite::Error> {
        if event.stream.category() == Belonging::CATEGORY
            && let Ok(Some(belonging)) = Belonging::read(event)
        {
            self.note(belonging)?;
        }
        let tree = match owner {
            Some(name) if name.starts_with("organizations/") => {
                self.organization(name, event.stream.category() == ORGANIZATIONS)?
            }
            Some(project) => self.project(project)?,
            None => None,
        };
        let Some(Of(tree)) = tree else { return Ok(()) };
        let share = self.grown.entry(tree).or_default();
        share.positions.push(event.position.0);
        share.hashes.push(leaf);
        Ok(())
    }

    /// Writes what the trees have gained.
    pub fn finish(self) -> Result<(), TreeFault> {
        for (tree, Share { positions, hashes }) in self.grown {
            let (tiles, places) = (StoredTiles::new(self.tx, Of(tree)), Places::new(self.tx, Of(tree)));
            let size = places.size()?;
            let mut edge = Edge::of(&tiles, size)?;
            let mut full = vec![];
            hashes.into_iter().for_each(|hash| edge.push(hash, &mut full));
            tiles.keep_all(&full, &edge)?;
            places.extend(size, &positions)?;
        }
        Ok(())
    }

    /// That a project belongs to an organization, for ever. The first word counts.
    fn note(&mut self, Belonging { project, organization }: Belonging) -> Result<(), rusqlite::Error> {
        let Some(Of(tree)) = self.organization(organization.as_str(), true)? else { return Ok(()) };
        let mut keep = self.tx.prepare_cached("INSERT OR IGNORE INTO project (name, tree) VALUES (?1, ?2)")?;
        keep.execute((project.as_str(), tree))?;
        self.projects.remove(project.as_str());
        Ok(())
    }

    fn project(&mut self, project: &str) -> Result<Option<Of>, rusqlite::Error> {
        if let Some(known) = self.projects.get(project) {
            return Ok(*known);
        }
        let mut find = self.tx.prepare_cached("SELECT tree FROM project WHERE name = ?1")?;
        let found = find.query_row([project], |row| row.get(0).map(Of)).optional()?;
        self.projects.insert(project.to_owned(), found);
        Ok(found)
    }

    /// `exists`: the event shows that there is one of this name.
    fn organization(&mut self, name: &str, exists: bool) -> Result<Option<Of>, rusqlite::Error> {
        let exists = exists || name == DEFAULT_ORGANIZATION;
        if let Some(known) = self.organizations.get(name).filter(|known| known.is_some() || !exists) {
            return Ok(*known);
        }
        let mut find = self.tx.prepare_cached("SELECT tree FROM organization WHERE name = ?1")?;
        let mut found = find.query_row([name], |row| row.get(0).map(Of)).optional()?;
        if found.is_none() && exists {
            let sql = "INSERT INTO organization (name, size) VALUES (?1, 0) RETURNING tree";
            found = Some(self.tx.prepare_cached(sql)?.query_row([name], |row| row.get(0).map(Of))?);
        }
        self.organizations.insert(name.to_owned(), found);
        Ok(found)
    }
}
