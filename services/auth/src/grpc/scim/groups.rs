use std::collections::BTreeSet;
use std::sync::Arc;

use cairn_contract::cairn::auth::v1::Group as Row;
use cairn_contract::cairn::auth::v1::group::State;
use cairn_contract::cairn::scim::v1 as proto;
use cairn_contract::google::api::HttpBody;
use cairn_eventstore::Work;
use cairn_kernel::{Name, Position};
use cairn_service::{Ctx, Page, Reply, refuse};
use serde_json::Value;
use tonic::{Request, Status};

use crate::desk::{Desk, expected, made_id, rejected, stream, text};
use crate::grpc::groups::Groups;
use crate::members::require_admissible;
use crate::model::group::{About, Act, Command};
use crate::model::{Group, GroupName, HolderName, Rejection};
use crate::query::GroupFilter;
use crate::scim::{
    Answer, Asked, Base, Fault, Selection, TEAM, Team, body, is_seen, patched, resource, seen, told_team,
};

/// Rows that are fetched at once.
const ROWS: i32 = 1_000;
const ADD: &str = "auth.groupMembers.add";
const REMOVE: &str = "auth.groupMembers.remove";
const MEMBERS: &str = "auth.groupMembers.list";

/// Groups of one organization, as a directory keeps them.
pub struct Directory(pub Arc<Desk>);

/// One group, as it is.
struct Found {
    row: Row,
    members: Vec<String>,
}

fn name(base: &Base, id: &str) -> Result<GroupName, Status> {
    let name = format!("{}/groups/{id}", base.organization);
    name.parse().map_err(|_| rejected(Rejection::GroupNotFound(GroupName::stored(name))))
}

fn as_name(group: &GroupName) -> Result<Name, Status> {
    group.as_str().parse().map_err(|_| rejected(Rejection::GroupNotFound(group.clone())))
}

impl Directory {
    /// A group that is not deleted.
    async fn row(&self, name: &GroupName) -> Result<Row, Status> {
        let found = self.0.query.group(name.as_str()).await.map_err(refuse)?;
        let found = found.filter(|group| group.state() != State::Deleted);
        found.ok_or_else(|| rejected(Rejection::GroupNotFound(name.clone())))
    }

    async fn find(&self, name: &GroupName) -> Result<Found, Status> {
        Ok(Found { row: self.row(name).await?, members: self.members(name.as_str()).await? })
    }

    async fn members(&self, group: &str) -> Result<Vec<String>, Status> {
        let (mut members, mut token) = (vec![], String::new());
        loop {
            let page = Page::read("scim members", &[group], ROWS, &token)?;
            let found = self.0.query.group_members(group, &page).await.map_err(refuse)?;
            let (more, next) = page.cut(found, |member| member);
            members.extend(more);
            if next.is_empty() {
                return Ok(members);
            }
            token = next;
        }
    }

    async fn show(&self, ctx: &Ctx, base: &Base, name: &GroupName, selection: &Selection) -> Result<Answer, Status> {
        let is_told = selection.shows(&TEAM, "members");
        if is_told {
            ctx.require(MEMBERS, &as_name(name)?)?;
        }
        let Found { row, members } = self.find(name).await?;
        let told = told_team(base, &row, is_told.then_some(&members));
        Ok(Answer::of(&selection.of(&TEAM, told)))
    }

    pub async fn create(&self, request: Request<proto::CreateGroupRequest>) -> Reply<HttpBody> {
        let (ctx, request) = Ctx::accept(request)?;
        let base = Base::of(&self.0.public, &request.organization)?;
        let team = Team::of(&resource(&TEAM, &body(request.resource)?)?)?;
        let members = self.holders(&base, &team)?;
        let order = ctx.order("");
        let group = GroupName::stored(format!("{}/groups/g-{}", base.organization, made_id(&order)));
        if !members.is_empty() {
            ctx.require(ADD, &as_name(&group)?)?;
        }
        let about = About {
            display_name: text("displayName", &team.display_name)?,
            external_id: text("externalId", &team.external_id)?,
            ..About::default()
        };
        let at = Groups(Arc::clone(&self.0)).make(&ctx, &order, &group, about, members).await?;
        let selection = Selection::read(&request.attributes, &request.excluded_attributes);
        Ok(self.show(&ctx, &base, &group, &selection).await?.created().stored(at).reply(&ctx))
    }

    pub async fn get(&self, request: Request<proto::GetGroupRequest>) -> Reply<HttpBody> {
        let seen = seen(request.metadata());
        let (ctx, request) = Ctx::accept(request)?;
        let base = Base::of(&self.0.public, &request.organization)?;
        self.0.reading(&ctx, "").await?;
        let selection = Selection::read(&request.attributes, &request.excluded_attributes);
        let group = name(&base, &request.group)?;
        Ok(self.show(&ctx, &base, &group, &selection).await?.unless_seen(seen.as_deref()).reply(&ctx))
    }

    /// What a page shows, and how many there are in all.
    pub async fn list(&self, ctx: &Ctx, base: &Base, asked: &Asked) -> Result<(Vec<Value>, usize), Status> {
        let reading = self.0.reading(ctx, "").await?;
        let organization = base.organization.name();
        let visible = ctx.visible("auth.groups.list", &organization);
        let filter = GroupFilter { parent: base.organization.to_string(), ..GroupFilter::default() };
        let (mut rows, mut token) = (vec![], String::new());
        loop {
            let page = Page::read("scim groups", &[&filter.parent], ROWS, &token)?;
            let found = reading.query.groups(&visible, &page, &filter).await.map_err(refuse)?;
            let (more, next) = page.cut(found, |group| &group.name);
            rows.extend(more);
            if next.is_empty() {
                break;
            }
            token = next;
        }
        let is_told = asked.selection.shows(&TEAM, "members");
        let is_looked_at = asked.filter.as_ref().is_some_and(|filter| filter.mentions("members"));
        let (mut page, mut total) = (vec![], 0);
        for row in rows {
            let is_on_page = total >= asked.before && page.len() < asked.count;
            let mut members = None;
            if is_looked_at || (is_told && is_on_page) {
                let group = as_name(&GroupName::stored(row.name.as_str()))?;
                if ctx.allows(MEMBERS, &group).is_allowed() {
                    members = Some(self.members(&row.name).await?);
                }
            }
            let told = told_team(base, &row, members.as_deref());
            if asked.filter.as_ref().is_some_and(|filter| !filter.takes(&told)) {
                continue;
            }
            if is_on_page {
                page.push(asked.selection.of(&TEAM, told));
            }
            total += 1;
        }
        Ok((page, total))
    }

    pub async fn replace(&self, request: Request<proto::ReplaceGroupRequest>) -> Reply<HttpBody> {
        let (ctx, request) = Ctx::accept(request)?;
        let base = Base::of(&self.0.public, &request.organization)?;
        let group = name(&base, &request.group)?;
        let after = resource(&TEAM, &body(request.resource)?)?;
        let at = self.change(&ctx, &base, &group, &request.etag, |_| Ok(after)).await?;
        let selection = Selection::read(&request.attributes, &request.excluded_attributes);
        Ok(self.show(&ctx, &base, &group, &selection).await?.stored(at).reply(&ctx))
    }

    pub async fn patch(&self, request: Request<proto::PatchGroupRequest>) -> Reply<HttpBody> {
        let (ctx, request) = Ctx::accept(request)?;
        let base = Base::of(&self.0.public, &request.organization)?;
        let group = name(&base, &request.group)?;
        let operations = body(request.operations)?;
        let patch = |before: &Value| patched(&TEAM, before, &operations);
        let at = self.change(&ctx, &base, &group, &request.etag, patch).await?;
        let selection = Selection::read(&request.attributes, &request.excluded_attributes);
        Ok(self.show(&ctx, &base, &group, &selection).await?.stored(at).reply(&ctx))
    }

    pub async fn delete(&self, request: Request<proto::DeleteGroupRequest>) -> Reply<HttpBody> {
        let (ctx, request) = Ctx::accept(request)?;
        let base = Base::of(&self.0.public, &request.organization)?;
        let group = name(&base, &request.group)?;
        self.row(&group).await?;
        let command = Command { group: group.clone(), act: Act::Delete };
        let at = self.0.execute::<Group>(&ctx, "", &stream::<Group>(&group), &request.etag, command).await?;
        Ok(Answer::gone(at).reply(&ctx))
    }

    fn holders(&self, base: &Base, team: &Team) -> Result<Vec<HolderName>, Fault> {
        let world = self.0.access.world();
        team.members.iter().map(|member| member.holder(base, &world)).collect()
    }

    /// Makes of a group what `after` makes of it as it is.
    async fn change(
        &self,
        ctx: &Ctx,
        base: &Base,
        group: &GroupName,
        etag: &str,
        after: impl FnOnce(&Value) -> Result<Value, Fault>,
    ) -> Result<Position, Status> {
        let Found { row, members } = self.find(group).await?;
        let team = Team::of(&after(&told_team(base, &row, Some(&members)))?)?;
        let wanted: BTreeSet<HolderName> = self.holders(base, &team)?.into_iter().collect();
        let before: BTreeSet<HolderName> =
            members.iter().filter(|member| is_seen(member)).map(HolderName::stored).collect();
        let change = Change {
            display_name: team.display_name,
            external_id: team.external_id,
            add: wanted.difference(&before).cloned().collect(),
            remove: before.difference(&wanted).cloned().collect(),
        };
        let name = as_name(group)?;
        for (permission, members) in [(ADD, &change.add), (REMOVE, &change.remove)] {
            if !members.is_empty() {
                ctx.require(permission, &name)?;
            }
        }
        self.decide(ctx, group, etag, change).await
    }

    /// Writes a change into the log, all at once.
    async fn decide(&self, ctx: &Ctx, group: &GroupName, etag: &str, change: Change) -> Result<Position, Status> {
        let desk = &self.0;
        let expected = expected(etag)?;
        let describe = Act::Describe {
            display_name: Some(text("displayName", &change.display_name)?),
            description: None,
            external_id: Some(text("externalId", &change.external_id)?),
        };
        // Room is made before it is taken.
        let mut acts = vec![describe, Act::Remove { members: change.remove }];
        let _turn = match change.add.is_empty() {
            true => None,
            false => Some(desk.turn(ctx).await?),
        };
        if !change.add.is_empty() {
            require_admissible(desk, ctx, group, &change.add)?;
        }
        acts.push(Act::Add { members: change.add, members_max: desk.limits.group_members_max });
        let attempt = |mut work: Work| {
            let (group, acts) = (group.clone(), acts.clone());
            async move {
                for act in acts {
                    let command = Command { group: group.clone(), act };
                    work.decide::<Group>(&stream::<Group>(&group), expected, command).await?;
                }
                Ok(((), work))
            }
        };
        let ((), at) = desk.commands.transact(&ctx.order(""), attempt).await.map_err(refuse)?;
        desk.settle(ctx, at).await?;
        Ok(at)
    }
}

/// What becomes another in a group.
#[derive(Debug)]
struct Change {
    display_name: String,
    external_id: String,
    add: Vec<HolderName>,
    remove: Vec<HolderName>,
}
