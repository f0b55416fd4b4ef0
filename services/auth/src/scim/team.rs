//! A group as a directory sees it.

use cairn_access::World;
use cairn_contract::cairn::auth::v1 as proto;
use serde_json::{Value, json};

use super::base::Base;
use super::fault::Fault;
use super::person::{id, meta};
use super::schema::{GROUP, PERSON, TEAM};
use crate::model::HolderName;

/// What is kept of what a directory says of a group.
#[derive(Clone, Debug)]
pub struct Team {
    pub display_name: String,
    pub external_id: String,
    pub members: Vec<Member>,
}

/// Somebody in a group, as they are named there.
#[derive(Clone, Debug)]
pub struct Member {
    value: String,
    kind: Option<String>,
}

impl Team {
    /// From a resource that has the shape of its schema.
    pub fn of(resource: &Value) -> Result<Self, Fault> {
        let text = |of: &Value, name: &str| of.get(name).and_then(Value::as_str).map(str::to_owned);
        let members = resource.get("members").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let member = |member: &Value| {
            let address = || text(member, "$ref").map(|address| id(&address).to_owned());
            let value = text(member, "value").or_else(address);
            let value = value.ok_or_else(|| Fault::value("members.value", "is required"))?;
            Ok(Member { value, kind: text(member, "type") })
        };
        Ok(Self {
            display_name: text(resource, "displayName").unwrap_or_default(),
            external_id: text(resource, "externalId").unwrap_or_default(),
            members: members.iter().map(member).collect::<Result<_, Fault>>()?,
        })
    }
}

impl Member {
    /// Who it is. Without a word, a person if there is one of this id, else a group of the same organization.
    pub fn holder(&self, base: &Base, world: &World) -> Result<HolderName, Fault> {
        let user = format!("users/{}", self.value);
        let group = format!("{}/groups/{}", base.organization, self.value);
        let is_user = match self.kind.as_deref() {
            Some(kind) if kind.eq_ignore_ascii_case("User") => true,
            Some(kind) if kind.eq_ignore_ascii_case("Group") => false,
            Some(_) => return Err(Fault::value("members.type", "must be User or Group")),
            None => world.standing(&user).is_some() || !world.has_group(&group),
        };
        let name = if is_user { user } else { group };
        name.parse().map_err(|_| Fault::value("members.value", "is no id"))
    }
}

/// Whether a directory sees a member: service accounts are none of its business.
pub fn is_seen(member: &str) -> bool {
    !member.starts_with("serviceAccounts/")
}

/// A group as a resource, with members where they are to be shown.
pub fn told(base: &Base, group: &proto::Group, members: Option<&[String]>) -> Value {
    let place = id(&group.name);
    let location = base.at(&format!("{}/{place}", TEAM.endpoint));
    let mut told = json!({
        "schemas": [GROUP],
        "id": place,
        // A group that was made elsewhere may have no name but its id.
        "displayName": if group.display_name.is_empty() { place } else { &group.display_name },
        "meta": meta(TEAM.name, location, &group.etag, (group.create_time, group.update_time)),
    });
    if !group.external_id.is_empty() {
        told["externalId"] = json!(group.external_id);
    }
    let members: Vec<Value> =
        members.unwrap_or_default().iter().filter(|member| is_seen(member)).map(|member| one(base, member)).collect();
    if !members.is_empty() {
        told["members"] = json!(members);
    }
    told
}

fn one(base: &Base, member: &str) -> Value {
    let shape = if member.starts_with("users/") { &PERSON } else { &TEAM };
    let value = id(member);
    json!({ "value": value, "$ref": base.at(&format!("{}/{value}", shape.endpoint)), "type": shape.name })
}
