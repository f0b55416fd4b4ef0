use std::sync::Arc;

use cairn_contract::cairn::auth::v1 as proto;
use cairn_contract::cairn::auth::v1::group_service_server::GroupService;
use cairn_eventstore::{Order, Work};
use cairn_kernel::{Expected, Position};
use cairn_service::{Ctx, Page, Refusal, Reply, field, refuse};
use tonic::{Request, Response, Status};

use crate::desk::{Desk, Reading, given, made_id, masked, rejected, require_open, stream, text};
use crate::members::{require_admissible, require_fit};
use crate::model::group::{About, Act, Command};
use crate::model::{Group, GroupName, HolderName, OrganizationName, Rejection, Slug};
use crate::query::GroupFilter;

/// Most members in one request.
const MEMBERS_MAX: usize = 1_000;

pub struct Groups(pub Arc<Desk>);

impl Groups {
    async fn show(&self, reading: &Reading, name: &GroupName) -> Result<proto::Group, Status> {
        let found = reading.query.group(name.as_str()).await.map_err(refuse)?;
        found.ok_or_else(|| rejected(Rejection::GroupNotFound(name.clone())))
    }

    /// Makes a group, in an organization that is open and has room for it.
    pub(super) async fn make(
        &self,
        ctx: &Ctx,
        order: &Order,
        group: &GroupName,
        about: About,
        members: Vec<HolderName>,
    ) -> Result<Position, Status> {
        let organization = group.organization();
        let _turn = self.0.turn(ctx).await?;
        let (world, limit) = (self.0.access.world(), self.0.limits.groups_max);
        if !world.has_group(group.as_str()) && world.group_count(&organization.name()) >= limit {
            let holder = organization.to_string();
            return Err(rejected(Rejection::Full { holder, what: "groups", limit }));
        }
        require_fit(&self.0, group, &members)?;
        let mut acts = vec![Act::Create { about }];
        if !members.is_empty() {
            acts.push(Act::Add { members, members_max: self.0.limits.group_members_max });
        }
        let attempt = |mut work: Work| {
            let (organization, acts) = (organization.clone(), acts.clone());
            async move {
                require_open(&mut work, &organization).await?;
                for act in acts {
                    let command = Command { group: group.clone(), act };
                    work.decide::<Group>(&stream::<Group>(group), Expected::Any, command).await?;
                }
                Ok(((), work))
            }
        };
        let ((), at) = self.0.commands.transact(order, attempt).await.map_err(refuse)?;
        self.0.settle(ctx, at).await?;
        Ok(at)
    }

    async fn act(&self, ctx: &Ctx, request_id: &str, etag: &str, group: GroupName, act: Act) -> Reply<proto::Group> {
        let command = Command { group: group.clone(), act };
        let at = self.0.execute::<Group>(ctx, request_id, &stream::<Group>(&group), etag, command).await?;
        Ok(ctx.reply(self.show(&self.0.present(), &group).await?, at))
    }
}

#[tonic::async_trait]
impl GroupService for Groups {
    async fn create_group(&self, request: Request<proto::CreateGroupRequest>) -> Reply<proto::Group> {
        let (ctx, request) = Ctx::accept(request)?;
        let organization: OrganizationName = field("parent", &request.parent)?;
        let given = request.group.unwrap_or_default();
        let order = ctx.order(&request.request_id);
        let id = match request.group_id.as_str() {
            "" => format!("g-{}", made_id(&order)),
            chosen => field::<Slug>("group_id", chosen)?.to_string(),
        };
        let group = GroupName::stored(format!("{organization}/groups/{id}"));
        let about = About {
            display_name: text("group.display_name", &given.display_name)?,
            description: text("group.description", &given.description)?,
            external_id: text("group.external_id", &given.external_id)?,
        };
        let at = self.make(&ctx, &order, &group, about, vec![]).await?;
        Ok(ctx.reply(self.show(&self.0.present(), &group).await?, at))
    }

    async fn get_group(&self, request: Request<proto::GetGroupRequest>) -> Reply<proto::Group> {
        let (ctx, request) = Ctx::accept(request)?;
        let name = field("name", &request.name)?;
        let reading = self.0.reading(&ctx, &request.as_of).await?;
        Ok(Response::new(self.show(&reading, &name).await?))
    }

    async fn list_groups(&self, request: Request<proto::ListGroupsRequest>) -> Reply<proto::ListGroupsResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        let parent: OrganizationName = field("parent", &request.parent)?;
        let filter = [&request.parent, &request.member, &request.external_id, &request.display_name];
        let page = Page::read("groups", &filter.map(String::as_str), request.page_size, &request.page_token)?;
        let reading = self.0.reading(&ctx, &request.as_of).await?;
        let visible = ctx.visible("auth.groups.list", &parent.name());
        let filter = GroupFilter {
            parent: parent.to_string(),
            member: request.member,
            external_id: request.external_id,
            display_name: request.display_name,
        };
        let found = reading.query.groups(&visible, &page, &filter).await.map_err(refuse)?;
        let (groups, next_page_token) = page.cut(found, |group| &group.name);
        Ok(Response::new(proto::ListGroupsResponse { groups, next_page_token }))
    }

    async fn update_group(&self, request: Request<proto::UpdateGroupRequest>) -> Reply<proto::Group> {
        let (ctx, request) = Ctx::accept(request)?;
        let wanted = given("group", request.group)?;
        let group: GroupName = field("group.name", &wanted.name)?;
        let fields = [
            ("display_name", wanted.display_name.as_str()),
            ("description", wanted.description.as_str()),
            ("external_id", wanted.external_id.as_str()),
        ];
        let masked = masked(request.update_mask.as_ref(), &fields)?;
        let display_name = masked.contains(&"display_name");
        let description = masked.contains(&"description");
        let external_id = masked.contains(&"external_id");
        let act = Act::Describe {
            display_name: display_name.then(|| text("group.display_name", &wanted.display_name)).transpose()?,
            description: description.then(|| text("group.description", &wanted.description)).transpose()?,
            external_id: external_id.then(|| text("group.external_id", &wanted.external_id)).transpose()?,
        };
        self.act(&ctx, &request.request_id, &wanted.etag, group, act).await
    }

    async fn delete_group(&self, request: Request<proto::DeleteGroupRequest>) -> Reply<proto::Group> {
        let (ctx, request) = Ctx::accept(request)?;
        let group = field("name", &request.name)?;
        self.act(&ctx, &request.request_id, &request.etag, group, Act::Delete).await
    }

    async fn add_group_members(&self, request: Request<proto::AddGroupMembersRequest>) -> Reply<proto::Group> {
        let (ctx, request) = Ctx::accept(request)?;
        let (group, members) = (field("name", &request.name)?, members(&request.members)?);
        let _turn = self.0.turn(&ctx).await?;
        require_admissible(&self.0, &ctx, &group, &members)?;
        let act = Act::Add { members, members_max: self.0.limits.group_members_max };
        self.act(&ctx, &request.request_id, &request.etag, group, act).await
    }

    async fn remove_group_members(&self, request: Request<proto::RemoveGroupMembersRequest>) -> Reply<proto::Group> {
        let (ctx, request) = Ctx::accept(request)?;
        let (group, members) = (field("name", &request.name)?, members(&request.members)?);
        self.act(&ctx, &request.request_id, &request.etag, group, Act::Remove { members }).await
    }

    async fn list_group_members(
        &self,
        request: Request<proto::ListGroupMembersRequest>,
    ) -> Reply<proto::ListGroupMembersResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        let group: GroupName = field("parent", &request.parent)?;
        let page = Page::read("members", &[group.as_str()], request.page_size, &request.page_token)?;
        let reading = self.0.reading(&ctx, &request.as_of).await?;
        self.show(&reading, &group).await?;
        let found = reading.query.group_members(group.as_str(), &page).await.map_err(refuse)?;
        let (members, next_page_token) = page.cut(found, |member| member);
        Ok(Response::new(proto::ListGroupMembersResponse { members, next_page_token }))
    }
}

fn members(texts: &[String]) -> Result<Vec<HolderName>, Status> {
    if texts.is_empty() || texts.len() > MEMBERS_MAX {
        return Err(refuse(Refusal::invalid("members", format!("must be 1 to {MEMBERS_MAX}"))));
    }
    texts.iter().map(|text| field("members", text)).collect()
}
