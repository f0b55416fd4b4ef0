//! SCIM, carried out by the commands of users and groups.

mod groups;
mod users;

use std::sync::Arc;

use cairn_contract::cairn::scim::v1 as proto;
use cairn_contract::cairn::scim::v1::scim_service_server::ScimService;
use cairn_contract::google::api::HttpBody;
use cairn_kernel::Code;
use cairn_service::{Ctx, Refusal, Reply, refuse};
use serde_json::Value;
use tonic::{Request, Status};

use self::groups::Directory as Groups;
use self::users::Directory as Users;
use crate::desk::Desk;
use crate::scim::{Answer, Asked, Base, PERSON, TEAM, Words, config, resource_types, schemas};

pub struct Scim(pub Arc<Desk>);

impl Scim {
    fn base(&self, organization: &str) -> Result<Base, Status> {
        Base::of(&self.0.public, organization)
    }

    fn users(&self) -> Users {
        Users(Arc::clone(&self.0))
    }

    fn groups(&self) -> Groups {
        Groups(Arc::clone(&self.0))
    }
}

/// One document of several, by its id.
fn one(documents: Vec<Value>, id: &str) -> Result<Answer, Status> {
    let found = documents.into_iter().find(|document| document["id"] == id);
    let found = found
        .ok_or_else(|| refuse(Refusal::new(Code::NotFound, "ROUTE_NOT_FOUND", "there is no such kind of resources")))?;
    Ok(Answer::of(&found))
}

fn all(documents: Vec<Value>) -> Answer {
    let total = documents.len();
    Answer::page(documents, 1, total)
}

/// A page of what is found.
fn page(asked: &Asked, found: Vec<Value>, total: usize) -> Answer {
    Answer::page(found, asked.before + 1, total)
}

/// What a list is asked for, in its query or in its body.
macro_rules! words {
    ($request:ident) => {
        match $request.search {
            Some(body) => Words::of_search(Some(body))?,
            None => Words {
                filter: $request.filter,
                attributes: $request.attributes,
                excluded: $request.excluded_attributes,
                start: $request.start_index,
                count: $request.count,
            },
        }
    };
}

#[tonic::async_trait]
impl ScimService for Scim {
    async fn fetch_service_provider_config(
        &self,
        request: Request<proto::FetchServiceProviderConfigRequest>,
    ) -> Reply<HttpBody> {
        let (ctx, request) = Ctx::accept(request)?;
        Ok(Answer::of(&config(&self.base(&request.organization)?)).reply(&ctx))
    }

    async fn list_resource_types(&self, request: Request<proto::ListResourceTypesRequest>) -> Reply<HttpBody> {
        let (ctx, request) = Ctx::accept(request)?;
        Ok(all(resource_types(&self.base(&request.organization)?)).reply(&ctx))
    }

    async fn get_resource_type(&self, request: Request<proto::GetResourceTypeRequest>) -> Reply<HttpBody> {
        let (ctx, request) = Ctx::accept(request)?;
        Ok(one(resource_types(&self.base(&request.organization)?), &request.resource_type)?.reply(&ctx))
    }

    async fn list_schemas(&self, request: Request<proto::ListSchemasRequest>) -> Reply<HttpBody> {
        let (ctx, request) = Ctx::accept(request)?;
        Ok(all(schemas(&self.base(&request.organization)?)).reply(&ctx))
    }

    async fn get_schema(&self, request: Request<proto::GetSchemaRequest>) -> Reply<HttpBody> {
        let (ctx, request) = Ctx::accept(request)?;
        Ok(one(schemas(&self.base(&request.organization)?), &request.schema)?.reply(&ctx))
    }

    async fn create_user(&self, request: Request<proto::CreateUserRequest>) -> Reply<HttpBody> {
        self.users().create(request).await
    }

    async fn get_user(&self, request: Request<proto::GetUserRequest>) -> Reply<HttpBody> {
        self.users().get(request).await
    }

    async fn list_users(&self, request: Request<proto::ListUsersRequest>) -> Reply<HttpBody> {
        let (ctx, request) = Ctx::accept(request)?;
        let base = self.base(&request.organization)?;
        let asked = words!(request).read(&PERSON)?;
        let (found, total) = self.users().list(&ctx, &base, &asked).await?;
        Ok(page(&asked, found, total).reply(&ctx))
    }

    async fn replace_user(&self, request: Request<proto::ReplaceUserRequest>) -> Reply<HttpBody> {
        self.users().replace(request).await
    }

    async fn patch_user(&self, request: Request<proto::PatchUserRequest>) -> Reply<HttpBody> {
        self.users().patch(request).await
    }

    async fn delete_user(&self, request: Request<proto::DeleteUserRequest>) -> Reply<HttpBody> {
        self.users().delete(request).await
    }

    async fn create_group(&self, request: Request<proto::CreateGroupRequest>) -> Reply<HttpBody> {
        self.groups().create(request).await
    }

    async fn get_group(&self, request: Request<proto::GetGroupRequest>) -> Reply<HttpBody> {
        self.groups().get(request).await
    }

    async fn list_groups(&self, request: Request<proto::ListGroupsRequest>) -> Reply<HttpBody> {
        let (ctx, request) = Ctx::accept(request)?;
        let base = self.base(&request.organization)?;
        let asked = words!(request).read(&TEAM)?;
        let (found, total) = self.groups().list(&ctx, &base, &asked).await?;
        Ok(page(&asked, found, total).reply(&ctx))
    }

    async fn replace_group(&self, request: Request<proto::ReplaceGroupRequest>) -> Reply<HttpBody> {
        self.groups().replace(request).await
    }

    async fn patch_group(&self, request: Request<proto::PatchGroupRequest>) -> Reply<HttpBody> {
        self.groups().patch(request).await
    }

    async fn delete_group(&self, request: Request<proto::DeleteGroupRequest>) -> Reply<HttpBody> {
        self.groups().delete(request).await
    }

    /// People come first. A filter takes what it can be read for: one about attributes of people takes no groups.
    async fn search_all(&self, request: Request<proto::SearchAllRequest>) -> Reply<HttpBody> {
        let (ctx, request) = Ctx::accept(request)?;
        let (base, words) = (self.base(&request.organization)?, Words::of_search(request.search)?);
        let (people, teams) = (words.read(&PERSON), words.read(&TEAM));
        let asked = people.as_ref().or(teams.as_ref()).map_err(|fault| Status::from(fault.clone()))?.clone();
        let (mut found, mut total) = (vec![], 0);
        if let Ok(people) = &people {
            (found, total) = self.users().list(&ctx, &base, people).await?;
        }
        if let Ok(teams) = &teams {
            let teams =
                Asked { before: teams.before.saturating_sub(total), count: teams.count - found.len(), ..teams.clone() };
            let (more, count) = self.groups().list(&ctx, &base, &teams).await?;
            found.extend(more);
            total += count;
        }
        Ok(page(&asked, found, total).reply(&ctx))
    }
}
