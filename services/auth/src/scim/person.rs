//! A person as a directory sees them, and what is kept of what it says.

use cairn_contract::cairn::auth::v1 as proto;
use cairn_contract::cairn::auth::v1::user::State;
use cairn_kernel::Time;
use serde_json::{Map, Value, json};

use super::base::Base;
use super::fault::Fault;
use super::schema::{PERSON, USER};
use super::shape::is_primary;
use crate::model::TITLE_CHARS_MAX;
use crate::people::{ADDRESS_CHARS_MAX, Entry, Person, is_address};

/// What is kept of a person beside the log.
#[derive(Clone, Debug, Default)]
pub struct Known {
    pub person: Person,
    /// What a directory said, if one ever did.
    pub entry: Option<Entry>,
}

/// Attributes that are kept, and what the log calls them.
const KEPT: [(&str, &str); 5] = [
    ("userName", "user_name"),
    ("externalId", "external_id"),
    ("name", "name"),
    ("displayName", "display_name"),
    ("emails", "emails"),
];

impl Known {
    /// From a resource that has the shape of its schema.
    pub fn of(resource: &Value) -> Result<Self, Fault> {
        let kept = KEPT.iter().filter_map(|(name, _)| Some(((*name).to_owned(), resource.get(*name)?.clone())));
        let document: Map<String, Value> = kept.collect();
        let addresses = document.get("emails").and_then(Value::as_array).into_iter().flatten();
        for address in addresses.map(|email| email.get("value").and_then(Value::as_str).unwrap_or_default()) {
            if !is_address(address) || address.chars().count() > ADDRESS_CHARS_MAX {
                return Err(Fault::value("emails.value", "is not a mail address"));
            }
        }
        let text = |name: &str| document.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let person = Person { display_name: display_name(&document), email: address(&document) };
        let (user_name, external_id) = (text("userName"), text("externalId"));
        Ok(Self {
            person,
            entry: Some(Entry { user_name, external_id, document: Value::Object(document).to_string() }),
        })
    }

    /// What the log says was set, if another is known now.
    pub fn changed(before: &Value, after: &Value) -> Vec<String> {
        let is_other = |(name, _): &&(&str, &str)| before.get(*name) != after.get(*name);
        KEPT.iter().filter(is_other).map(|(_, word)| (*word).to_owned()).collect()
    }

    /// The attributes as they are now. What was changed elsewhere since the directory spoke goes before what it said.
    fn attributes(&self, id: &str) -> Map<String, Value> {
        let document = self.entry.as_ref().and_then(|entry| serde_json::from_str(&entry.document).ok());
        let mut document: Map<String, Value> = document.unwrap_or_default();
        let Person { display_name: shown, email } = &self.person;
        if display_name(&document) != *shown {
            document.remove("displayName");
            if !shown.is_empty() {
                document.insert("displayName".into(), json!(shown));
            }
        }
        let before = address(&document);
        if before != *email {
            let is_other = |value: &Value| {
                let value = value.get("value").and_then(Value::as_str).unwrap_or_default().to_lowercase();
                value != before && value != *email
            };
            let mut emails: Vec<Value> = vec![];
            if !email.is_empty() {
                emails.push(json!({ "value": email, "primary": true }));
            }
            let others = document.remove("emails");
            emails.extend(others.iter().filter_map(Value::as_array).flatten().filter(|value| is_other(value)).cloned());
            if !emails.is_empty() {
                document.insert("emails".into(), Value::Array(emails));
            }
        }
        if !document.contains_key("userName") {
            // Whom no directory has described goes by their address.
            let name = if email.is_empty() { id } else { email };
            document.insert("userName".into(), json!(name));
        }
        document
    }
}

/// The name that others see. A directory need not say it.
fn display_name(document: &Map<String, Value>) -> String {
    let text = |pointer: &[&str]| {
        let (first, rest) = pointer.split_first()?;
        let found = rest.iter().try_fold(document.get(*first)?, |value, name| value.get(*name))?;
        found.as_str().map(str::to_owned)
    };
    let both = || {
        let parts = [text(&["name", "givenName"]), text(&["name", "familyName"])];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
    };
    let name = text(&["displayName"]).or_else(|| text(&["name", "formatted"])).unwrap_or_else(both);
    name.chars().take(TITLE_CHARS_MAX).collect()
}

/// The address to write to: the primary one, else the first.
fn address(document: &Map<String, Value>) -> String {
    let emails = document.get("emails").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let one = emails.iter().find(|email| is_primary(email)).or(emails.first());
    one.and_then(|email| email.get("value")).and_then(Value::as_str).unwrap_or_default().to_lowercase()
}

/// The id of a resource: the end of its name.
pub fn id(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or_default()
}

/// What every resource says of itself.
pub fn meta(
    kind: &str,
    location: String,
    etag: &str,
    (created, changed): (Option<prost_types::Timestamp>, Option<prost_types::Timestamp>),
) -> Value {
    json!({
        "resourceType": kind,
        "created": created.map(|moment| told_moment(&moment)),
        "lastModified": changed.map(|moment| told_moment(&moment)),
        "location": location,
        "version": format!("W/\"{etag}\""),
    })
}

/// A user as a resource.
pub fn told(base: &Base, user: &proto::User, known: &Known) -> Value {
    let id = id(&user.name);
    let mut told = known.attributes(id);
    told.insert("schemas".into(), json!([USER]));
    told.insert("id".into(), json!(id));
    told.insert("active".into(), json!(user.state() == State::Active));
    let location = base.at(&format!("{}/{id}", PERSON.endpoint));
    told.insert("meta".into(), meta(PERSON.name, location, &user.etag, (user.create_time, user.update_time)));
    Value::Object(told)
}

fn told_moment(moment: &prost_types::Timestamp) -> String {
    Time::from_seconds_and_nanos(moment.seconds, moment.nanos).to_string()
}
