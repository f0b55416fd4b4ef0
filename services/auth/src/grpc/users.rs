use std::sync::Arc;

use cairn_contract::cairn::auth::v1 as proto;
use cairn_contract::cairn::auth::v1::user_service_server::UserService;
use cairn_kernel::{Expected, Name, Position};
use cairn_service::{Ctx, Page, Reply, field, refuse};
use tonic::{Request, Response, Status};

use crate::desk::{Desk, Reading, expected, given, made_id, masked, rejected, stream, text};
use crate::model::administrators::{self, Administrators};
use crate::model::user::{Act, Command};
use crate::model::{PrincipalName, Rejection, TITLE_CHARS_MAX, Text, User, UserName};
use crate::people::{ADDRESS_CHARS_MAX, Person, is_address};
use crate::sources;

pub struct Users(pub Arc<Desk>);

impl Users {
    async fn show(&self, reading: &Reading, name: &UserName) -> Result<proto::User, Status> {
        let found = reading.query.user(name.as_str()).await.map_err(refuse)?;
        let mut user = found.ok_or_else(|| rejected(Rejection::UserNotFound(name.clone())))?;
        let person = self.0.people.find(name.as_str()).await.map_err(refuse)?;
        (user.display_name, user.email) = (person.display_name, person.email);
        Ok(user)
    }

    /// A change of whether a user is let in, which may be the last administrator.
    async fn stand(&self, ctx: &Ctx, request_id: &str, etag: &str, user: UserName, act: Act) -> Reply<proto::User> {
        let at = self.change_standing(ctx, request_id, etag, &user, act).await?;
        Ok(ctx.reply(self.show(&self.0.present(), &user).await?, at))
    }

    /// The same, told by where it is stored.
    pub(super) async fn change_standing(
        &self,
        ctx: &Ctx,
        request_id: &str,
        etag: &str,
        user: &UserName,
        act: Act,
    ) -> Result<Position, Status> {
        let principal = PrincipalName::from(user);
        let count = match act {
            Act::Enable => administrators::Command::Resume { principal },
            _ => administrators::Command::Suspend { principal },
        };
        let (expected, command) = (expected(etag)?, Command { user: user.clone(), act });
        let attempt = |mut work: cairn_eventstore::Work| {
            let (user, command, count) = (user.clone(), command.clone(), count.clone());
            async move {
                work.decide::<User>(&stream::<User>(&user), expected, command).await?;
                let all = stream::<Administrators>(&Administrators::STREAM_ID);
                work.decide::<Administrators>(&all, Expected::Any, count).await?;
                Ok(((), work))
            }
        };
        let ((), at) = self.0.commands.transact(&ctx.order(request_id), attempt).await.map_err(refuse)?;
        self.0.settle(ctx, at).await?;
        Ok(at)
    }
}

#[tonic::async_trait]
impl UserService for Users {
    async fn create_user(&self, request: Request<proto::CreateUserRequest>) -> Reply<proto::User> {
        let (ctx, request) = Ctx::accept(request)?;
        let person = person(&request.user.unwrap_or_default())?;
        let order = ctx.order(&request.request_id);
        let user = UserName::stored(format!("users/u-{}", made_id(&order)));
        // First, because this can be refused. If the rest fails nobody refers to it, and a repeat finds it.
        self.0.people.keep_new(user.to_string(), person).await.map_err(refuse)?;
        let command = Command { user: user.clone(), act: Act::Create };
        let stream = stream::<User>(&user);
        let at = match self.0.execute::<User>(&ctx, &request.request_id, &stream, "", command).await {
            Ok(at) => at,
            Err(status) => {
                if order.request.is_none() {
                    self.0.people.forget(user.to_string()).await.map_err(refuse)?;
                }
                return Err(status);
            }
        };
        let mut made = self.show(&self.0.present(), &user).await?;
        if made.state() == proto::user::State::Deleted {
            // A repeat that comes after the user was deleted must not bring back what was forgotten.
            self.0.people.forget(user.to_string()).await.map_err(refuse)?;
            (made.display_name, made.email) = (String::new(), String::new());
        }
        Ok(ctx.reply(made, at))
    }

    async fn get_user(&self, request: Request<proto::GetUserRequest>) -> Reply<proto::User> {
        let (ctx, request) = Ctx::accept(request)?;
        let name = field("name", &request.name)?;
        let reading = self.0.reading(&ctx, &request.as_of).await?;
        Ok(Response::new(self.show(&reading, &name).await?))
    }

    async fn list_users(&self, request: Request<proto::ListUsersRequest>) -> Reply<proto::ListUsersResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        let state = request.state();
        let page = Page::read("users", &[state.as_str_name()], request.page_size, &request.page_token)?;
        let reading = self.0.reading(&ctx, &request.as_of).await?;
        let visible = ctx.visible("auth.users.list", &Name::ROOT);
        let found = reading.query.users(&visible, &page, state).await.map_err(refuse)?;
        let (mut users, next_page_token) = page.cut(found, |user| &user.name);
        let names = users.iter().map(|user| user.name.clone()).collect();
        let mut people = self.0.people.find_all(names).await.map_err(refuse)?;
        for user in &mut users {
            let person = people.remove(&user.name).unwrap_or_default();
            (user.display_name, user.email) = (person.display_name, person.email);
        }
        Ok(Response::new(proto::ListUsersResponse { users, next_page_token }))
    }

    async fn update_user(&self, request: Request<proto::UpdateUserRequest>) -> Reply<proto::User> {
        let (ctx, request) = Ctx::accept(request)?;
        let wanted = given("user", request.user)?;
        let user: UserName = field("user.name", &wanted.name)?;
        let fields = [("display_name", wanted.display_name.as_str()), ("email", wanted.email.as_str())];
        let masked = masked(request.update_mask.as_ref(), &fields)?;
        let new = person(&wanted)?;
        let before = self.0.people.find(user.as_str()).await.map_err(refuse)?;
        let mut after = before.clone();
        if masked.contains(&"display_name") {
            after.display_name = new.display_name;
        }
        if masked.contains(&"email") {
            after.email = new.email;
        }
        // The event comes first: it is refused for a user who is gone, and then nothing is kept about them.
        let fields = masked.iter().map(ToString::to_string).collect();
        let command = Command { user: user.clone(), act: Act::Describe { fields } };
        let at =
            self.0.execute::<User>(&ctx, &request.request_id, &stream::<User>(&user), &wanted.etag, command).await?;
        self.0.people.keep(user.to_string(), after).await.map_err(refuse)?;
        let mut kept = self.show(&self.0.present(), &user).await?;
        if kept.state() == proto::user::State::Deleted {
            // Between event and row the user was deleted and forgotten: this must not bring them back.
            self.0.people.forget(user.to_string()).await.map_err(refuse)?;
            (kept.display_name, kept.email) = (String::new(), String::new());
        }
        Ok(ctx.reply(kept, at))
    }

    async fn disable_user(&self, request: Request<proto::DisableUserRequest>) -> Reply<proto::User> {
        let (ctx, request) = Ctx::accept(request)?;
        let (user, reason) = (field("name", &request.name)?, text("reason", &request.reason)?);
        self.stand(&ctx, &request.request_id, &request.etag, user, Act::Disable { reason }).await
    }

    async fn enable_user(&self, request: Request<proto::EnableUserRequest>) -> Reply<proto::User> {
        let (ctx, request) = Ctx::accept(request)?;
        let user = field("name", &request.name)?;
        self.stand(&ctx, &request.request_id, &request.etag, user, Act::Enable).await
    }

    async fn delete_user(&self, request: Request<proto::DeleteUserRequest>) -> Reply<proto::User> {
        let (ctx, request) = Ctx::accept(request)?;
        let user: UserName = field("name", &request.name)?;
        let done = self.stand(&ctx, &request.request_id, &request.etag, user.clone(), Act::Delete).await?;
        // The reactor would do it too, a moment later; whoever has the answer shall be able to rely on it.
        self.0.people.forget(user.to_string()).await.map_err(refuse)?;
        Ok(done.map(|user| proto::User { display_name: String::new(), email: String::new(), ..user }))
    }

    async fn erase_user(&self, request: Request<proto::EraseUserRequest>) -> Reply<proto::User> {
        let (ctx, request) = Ctx::accept(request)?;
        let (user, reason): (UserName, _) = (field("name", &request.name)?, text("reason", &request.reason)?);
        self.stand(&ctx, &request.request_id, &request.etag, user.clone(), Act::Delete).await?;
        self.0.people.forget(user.to_string()).await.map_err(refuse)?;
        self.0.sources.forget(&field("name", &request.name)?).await.map_err(sources::refusal)?;
        // Only now is it true. Whoever repeats a request that came this far gets here again, so it needs no id of its own:
        // that of the request names the deletion.
        let command = Command { user: user.clone(), act: Act::Erase { reason } };
        let at = self.0.execute::<User>(&ctx, "", &stream::<User>(&user), "", command).await?;
        Ok(ctx.reply(self.show(&self.0.present(), &user).await?, at))
    }
}

fn person(user: &proto::User) -> Result<Person, Status> {
    let display_name: Text<TITLE_CHARS_MAX> = text("display_name", &user.display_name)?;
    let email: Text<ADDRESS_CHARS_MAX> = text("email", &user.email)?;
    if !email.as_str().is_empty() && !is_address(email.as_str()) {
        return Err(refuse(cairn_service::Refusal::invalid("email", "is not a mail address")));
    }
    Ok(Person { display_name: display_name.as_str().to_owned(), email: email.as_str().to_owned() })
}
