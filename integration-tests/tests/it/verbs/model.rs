use std::collections::BTreeMap;

use reqwest::StatusCode;
use serde_json::Value;

use super::kinds::{Call, Deleted, Home, KINDS, Kind};
use crate::suite::Suite;

/// Tags that things have.
const TAGS: [&str; 2] = ["a", "b"];
/// Items on a page of a list: few enough that there are pages, also of what all workers share.
const PAGE: std::ops::Range<usize> = 10..80;

/// What one worker has made, as the suite must show it.
pub struct Model {
    home: Home,
    random: u64,
    made: u64,
    things: Vec<Vec<Thing>>,
    /// How often each verb of each kind was called.
    pub seen: BTreeMap<(&'static str, &'static str), usize>,
}

struct Thing {
    name: String,
    title: String,
    tag: &'static str,
    is_deleted: bool,
    /// As it was shown last.
    shown: Value,
}

type Verdict = Result<(), String>;

impl Model {
    pub fn new(home: Home, seed: u64) -> Self {
        let things = KINDS.iter().map(|_| vec![]).collect();
        Self { home, random: seed, made: 0, things, seen: BTreeMap::new() }
    }

    /// One verb on one kind, and whether the suite did what it should.
    pub async fn step(&mut self, suite: &Suite) -> Verdict {
        let at = self.below(KINDS.len());
        let kind = &KINDS[at];
        let count = self.things[at].len();
        let verb = match self.below(10) {
            _ if count == 0 => "create",
            0 | 1 => "create",
            2 | 3 if kind.update.is_some() => "update",
            4 => "delete",
            5 if kind.restore.is_some() => "restore",
            6 | 7 => "list",
            _ => "get",
        };
        let thing = self.below(count.max(1));
        let done = match verb {
            "create" => self.create(suite, at).await,
            "update" => self.update(suite, at, thing).await,
            "delete" => self.delete(suite, at, thing).await,
            "restore" => self.restore(suite, at, thing).await,
            "list" => self.list(suite, at).await,
            _ => self.get(suite, at, thing).await,
        };
        *self.seen.entry((kind.noun, verb)).or_default() += 1;
        done.map_err(|fault| format!("{verb} of a {}: {fault}", kind.noun))
    }

    async fn create(&mut self, suite: &Suite, at: usize) -> Verdict {
        self.made += 1;
        let (title, tag) = (format!("title {}", self.made), TAGS[self.below(TAGS.len())]);
        let shown = success(send(suite, (KINDS[at].create)(&self.home, self.made, &title, tag)).await)?;
        let name = shown["name"].as_str().unwrap_or_default().to_owned();
        let thing = Thing { name, title, tag, is_deleted: false, shown };
        is_as_it_should_be(&KINDS[at], &thing)?;
        if self.things[at].iter().any(|other| other.name == thing.name) {
            return Err(format!("{} was made twice", thing.name));
        }
        self.things[at].push(thing);
        Ok(())
    }

    async fn get(&mut self, suite: &Suite, at: usize, thing: usize) -> Verdict {
        let thing = &self.things[at][thing];
        let answer = send(suite, ("GET", format!("/api/v1/{}", thing.name), None)).await;
        if thing.is_deleted && KINDS[at].deleted != Deleted::Shown {
            return refusal(answer, StatusCode::NOT_FOUND);
        }
        equal(&success(answer)?, &thing.shown)
    }

    async fn update(&mut self, suite: &Suite, at: usize, thing: usize) -> Verdict {
        let Some(update) = KINDS[at].update else { return Ok(()) };
        self.made += 1;
        let title = format!("title {}", self.made);
        let thing = &mut self.things[at][thing];
        let answer = send(suite, update(&thing.shown, &title)).await;
        match (thing.is_deleted, KINDS[at].replaces) {
            (true, false) if answer.0.is_client_error() => return Ok(()),
            (true, false) => return Err(format!("it is deleted, and yet: {} {}", answer.0, answer.1)),
            (true, true) => thing.is_deleted = false,
            (false, _) => {}
        }
        change(&KINDS[at], thing, success(answer)?, |thing| thing.title = title)
    }

    async fn delete(&mut self, suite: &Suite, at: usize, thing: usize) -> Verdict {
        let thing = &mut self.things[at][thing];
        let answer = send(suite, (KINDS[at].delete)(&thing.name)).await;
        match (thing.is_deleted, KINDS[at].deleted) {
            (false, Deleted::Shown | Deleted::Hidden) => {
                change(&KINDS[at], thing, success(answer)?, |thing| thing.is_deleted = true)
            }
            (false, Deleted::Gone) => {
                thing.is_deleted = true;
                success(answer).map(drop)
            }
            (true, Deleted::Shown | Deleted::Hidden) => equal(&success(answer)?, &thing.shown),
            (true, Deleted::Gone) => refusal(answer, StatusCode::NOT_FOUND),
        }
    }

    async fn restore(&mut self, suite: &Suite, at: usize, thing: usize) -> Verdict {
        let Some(restore) = KINDS[at].restore else { return Ok(()) };
        let thing = &mut self.things[at][thing];
        let shown = success(send(suite, restore(&thing.name)).await)?;
        if !thing.is_deleted {
            return equal(&shown, &thing.shown);
        }
        change(&KINDS[at], thing, shown, |thing| thing.is_deleted = false)
    }

    /// Lists with random filters, to the last page, and compares what is ours with what it should be.
    async fn list(&mut self, suite: &Suite, at: usize) -> Verdict {
        let kind = &KINDS[at];
        let (mut path, items) = (kind.list)(&self.home);
        let mut parameters = vec![format!("page_size={}", PAGE.start + self.below(PAGE.len()))];
        let with_deleted = kind.with_deleted.filter(|_| self.below(2) == 0);
        parameters.extend(with_deleted.map(str::to_owned));
        let tag = kind.with_tag.filter(|_| self.below(2) == 0).map(|filter| (TAGS[self.below(TAGS.len())], filter));
        parameters.extend(tag.map(|(tag, filter)| filter(tag)));
        path.push_str(&parameters.join("&"));
        let mut found = BTreeMap::new();
        let mut token = String::new();
        loop {
            let page = success(send(suite, ("GET", format!("{path}&page_token={token}"), None)).await)?;
            for item in page[items].as_array().into_iter().flatten() {
                let name = item["name"].as_str().unwrap_or_default().to_owned();
                if found.insert(name.clone(), item.clone()).is_some() {
                    return Err(format!("{path} lists {name} twice"));
                }
            }
            match page["next_page_token"].as_str() {
                Some(next) if !next.is_empty() => token = next.to_owned(),
                _ => break,
            }
        }
        for thing in &self.things[at] {
            let shows_deleted = with_deleted.is_some() && kind.deleted == Deleted::Shown;
            let is_wanted = (!thing.is_deleted || shows_deleted) && tag.is_none_or(|(wanted, _)| wanted == thing.tag);
            match found.get(&thing.name) {
                Some(item) if is_wanted => equal(item, &thing.shown).map_err(|fault| format!("{path}: {fault}"))?,
                None if !is_wanted => {}
                _ => return Err(format!("{path}: {} wanted {is_wanted}, found {}", thing.name, !is_wanted)),
            }
        }
        Ok(())
    }

    /// A number below another (SplitMix64).
    fn below(&mut self, end: usize) -> usize {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end as u64) as usize
    }
}

/// Takes over what a change answered, if it is that change and nothing else.
fn change(kind: &Kind, thing: &mut Thing, shown: Value, how: impl FnOnce(&mut Thing)) -> Verdict {
    let before = std::mem::replace(&mut thing.shown, shown);
    how(thing);
    for fixed in ["name", "create_time", "creator", "principal", "resource"] {
        let is_another = kind.replaces && fixed == "create_time";
        if !is_another && before[fixed] != thing.shown[fixed] {
            return Err(format!("{fixed} changed: {before} became {}", thing.shown));
        }
    }
    if etag(&thing.shown)? <= etag(&before)? {
        return Err(format!("its etag did not grow: {before} became {}", thing.shown));
    }
    is_as_it_should_be(kind, thing)
}

fn is_as_it_should_be(kind: &Kind, thing: &Thing) -> Verdict {
    if !thing.name.contains('/') {
        return Err(format!("it has no name: {}", thing.shown));
    }
    etag(&thing.shown)?;
    let (field, expected) = (kind.titled)(&thing.title);
    let found = field.split('.').fold(&thing.shown, |value, key| &value[key]);
    // A deleted user has no name any more.
    if *found != expected && !(thing.is_deleted && kind.noun == "user" && found.is_null()) {
        return Err(format!("{field} is not {expected}: {}", thing.shown));
    }
    let said = ["state", "lifecycle"].map(|field| thing.shown[field].as_str().unwrap_or_default()).concat();
    let says_deleted = said.contains("DELETED") || said.contains("REVOKED") || !thing.shown["delete_time"].is_null();
    if says_deleted != thing.is_deleted {
        return Err(format!("whether it is deleted is not {}: {}", thing.is_deleted, thing.shown));
    }
    Ok(())
}

fn etag(shown: &Value) -> Result<u64, String> {
    shown["etag"].as_str().and_then(|etag| etag.parse().ok()).ok_or_else(|| format!("it has no revision: {shown}"))
}

/// The answer without what is shown once only.
async fn send(suite: &Suite, (verb, path, body): Call) -> (StatusCode, Value) {
    let answer = suite.send(verb, &path, body.as_ref(), Some(&suite.admin), "").await;
    let status = answer.status();
    let mut answer: Value = answer.json().await.unwrap();
    if let Some(fields) = answer.as_object_mut() {
        fields.remove("secret");
    }
    (status, answer)
}

fn success((status, answer): (StatusCode, Value)) -> Result<Value, String> {
    if status.is_success() { Ok(answer) } else { Err(format!("{status} {answer}")) }
}

fn refusal((status, answer): (StatusCode, Value), expected: StatusCode) -> Verdict {
    if status == expected { Ok(()) } else { Err(format!("{status} instead of {expected}: {answer}")) }
}

fn equal(found: &Value, expected: &Value) -> Verdict {
    if found == expected { Ok(()) } else { Err(format!("it should be\n{expected}\nbut is\n{found}")) }
}
