use std::collections::HashMap;
use std::sync::Arc;

use cairn_contract::cairn::auth::v1::User as Row;
use cairn_contract::cairn::auth::v1::user::State;
use cairn_contract::cairn::scim::v1 as proto;
use cairn_contract::google::api::HttpBody;
use cairn_eventstore::Work;
use cairn_kernel::{Expected, Name, Position};
use cairn_service::{Ctx, Reply, refuse};
use serde_json::Value;
use tonic::{Request, Status};

use crate::desk::{Desk, expected, made_id, rejected, stream, text};
use crate::grpc::users::Users;
use crate::model::administrators::{self, Administrators};
use crate::model::user::{Act, Command};
use crate::model::{PrincipalName, REASON_CHARS_MAX, Rejection, Text, User, UserName};
use crate::scim::{
    Answer, Asked, Base, Fault, Filter, Known, PERSON, Selection, body, patched, resource, seen, told_person,
};

/// Users that one list looks at, at most, unless its filter names them.
const LOOKED_AT_MAX: usize = 50_000;
const UPDATE: &str = "auth.users.update";
const DISABLE: &str = "auth.users.disable";
const ENABLE: &str = "auth.users.enable";

/// Users, as a directory keeps them.
pub struct Directory(pub Arc<Desk>);

/// One user, as they are.
struct Found {
    row: Row,
    known: Known,
}

/// Why a directory disables somebody.
fn reason() -> Result<Text<REASON_CHARS_MAX>, Status> {
    text("reason", "not active in the directory")
}

fn name(id: &str) -> Result<UserName, Status> {
    let name = format!("users/{id}");
    name.parse().map_err(|_| rejected(Rejection::UserNotFound(UserName::stored(name))))
}

/// Whether a resource says that its person is let in, if it says so.
fn is_active(resource: &Value) -> Option<bool> {
    resource.get("active").and_then(Value::as_bool)
}

impl Directory {
    /// A user who is not deleted.
    async fn find(&self, name: &UserName) -> Result<Found, Status> {
        let found = self.0.query.user(name.as_str()).await.map_err(refuse)?;
        let row = found.filter(|user| user.state() != State::Deleted);
        let row = row.ok_or_else(|| rejected(Rejection::UserNotFound(name.clone())))?;
        let mut found = self.known(vec![row]).await?;
        found.pop().ok_or_else(|| rejected(Rejection::UserNotFound(name.clone())))
    }

    async fn known(&self, rows: Vec<Row>) -> Result<Vec<Found>, Status> {
        let names: Vec<String> = rows.iter().map(|row| row.name.clone()).collect();
        let mut people: HashMap<_, _> = self.0.people.find_all(names.clone()).await.map_err(refuse)?;
        let mut entries = self.0.people.entries(names).await.map_err(refuse)?;
        let known = |row: Row| {
            let person = people.remove(&row.name).unwrap_or_default();
            let known = Known { person, entry: entries.remove(&row.name) };
            Found { row, known }
        };
        Ok(rows.into_iter().map(known).collect())
    }

    async fn show(&self, base: &Base, name: &UserName, selection: &Selection) -> Result<Answer, Status> {
        let Found { row, known } = self.find(name).await?;
        Ok(Answer::of(&selection.of(&PERSON, told_person(base, &row, &known))))
    }

    pub async fn create(&self, request: Request<proto::CreateUserRequest>) -> Reply<HttpBody> {
        let (ctx, request) = Ctx::accept(request)?;
        let (desk, base) = (&self.0, Base::of(&self.0.public, &request.organization)?);
        let resource = resource(&PERSON, &body(request.resource)?)?;
        let known = Known::of(&resource)?;
        let is_out = is_active(&resource) == Some(false);
        if is_out {
            ctx.require(DISABLE, &Name::ROOT)?;
        }
        let order = ctx.order("");
        let user = UserName::stored(format!("users/u-{}", made_id(&order)));
        // First, because this can be refused. If the rest fails nobody refers to it.
        let entry = known.entry.unwrap_or_default();
        desk.people.keep_entry(user.to_string(), known.person, entry).await.map_err(refuse)?;
        let reason = reason()?;
        let attempt = |mut work: Work| {
            let (user, reason) = (user.clone(), reason.clone());
            async move {
                let stream = stream::<User>(&user);
                let create = Command { user: user.clone(), act: Act::Create };
                work.decide::<User>(&stream, Expected::Any, create).await?;
                if is_out {
                    work.decide::<User>(&stream, Expected::Any, Command { user, act: Act::Disable { reason } }).await?;
                }
                Ok(((), work))
            }
        };
        let at = match desk.commands.transact(&order, attempt).await {
            Ok(((), at)) => at,
            Err(fault) => {
                desk.people.forget(user.to_string()).await.map_err(refuse)?;
                return Err(refuse(fault));
            }
        };
        desk.settle(&ctx, at).await?;
        let selection = Selection::read(&request.attributes, &request.excluded_attributes);
        Ok(self.show(&base, &user, &selection).await?.created().stored(at).reply(&ctx))
    }

    pub async fn get(&self, request: Request<proto::GetUserRequest>) -> Reply<HttpBody> {
        let seen = seen(request.metadata());
        let (ctx, request) = Ctx::accept(request)?;
        let base = Base::of(&self.0.public, &request.organization)?;
        self.0.reading(&ctx, "").await?;
        let selection = Selection::read(&request.attributes, &request.excluded_attributes);
        Ok(self.show(&base, &name(&request.user)?, &selection).await?.unless_seen(seen.as_deref()).reply(&ctx))
    }

    /// What a page shows, and how many there are in all.
    pub async fn list(&self, ctx: &Ctx, base: &Base, asked: &Asked) -> Result<(Vec<Value>, usize), Status> {
        let reading = self.0.reading(ctx, "").await?;
        let visible = ctx.visible("auth.users.list", &Name::ROOT);
        let Some(filter) = &asked.filter else {
            let total = reading.query.count_users(&visible).await.map_err(refuse)?;
            let page = reading.query.some_users(&visible, None, (asked.before, asked.count)).await.map_err(refuse)?;
            let told = self.known(page).await?;
            let told = told.iter().map(|Found { row, known }| told_person(base, row, known));
            return Ok((told.map(|told| asked.selection.of(&PERSON, told)).collect(), total));
        };
        let among = self.among(filter).await?;
        let rows = reading.query.some_users(&visible, among, (0, LOOKED_AT_MAX + 1)).await.map_err(refuse)?;
        if rows.len() > LOOKED_AT_MAX {
            return Err(Fault::TooMany { limit: LOOKED_AT_MAX }.into());
        }
        let (mut page, mut total) = (vec![], 0);
        for Found { row, known } in self.known(rows).await? {
            let told = told_person(base, &row, &known);
            if !filter.takes(&told) {
                continue;
            }
            if total >= asked.before && page.len() < asked.count {
                page.push(asked.selection.of(&PERSON, told));
            }
            total += 1;
        }
        Ok((page, total))
    }

    /// The users that a filter can take at most, where it says so. This is how directories ask.
    async fn among(&self, filter: &Filter) -> Result<Option<Vec<String>>, Status> {
        let named = |id: &str| format!("users/{id}").parse::<UserName>().ok().map(|name| name.to_string());
        if let Some(id) = filter.needs("id") {
            return Ok(Some(named(id).into_iter().collect()));
        }
        if let Some(id) = filter.needs("externalId") {
            return Ok(Some(self.0.people.by_external_id(id).await.map_err(refuse)?));
        }
        let Some(user_name) = filter.needs("userName") else { return Ok(None) };
        let mut found = self.0.people.by_user_name(user_name).await.map_err(refuse)?;
        // Of whom nothing is known, the id is the name.
        found.extend(named(&user_name.to_lowercase()));
        Ok(Some(found))
    }

    pub async fn replace(&self, request: Request<proto::ReplaceUserRequest>) -> Reply<HttpBody> {
        let (ctx, request) = Ctx::accept(request)?;
        let (base, user) = (Base::of(&self.0.public, &request.organization)?, name(&request.user)?);
        let after = resource(&PERSON, &body(request.resource)?)?;
        let selection = Selection::read(&request.attributes, &request.excluded_attributes);
        let at = self.change(&ctx, &base, &user, &request.etag, |_| Ok(after)).await?;
        Ok(self.show(&base, &user, &selection).await?.stored(at).reply(&ctx))
    }

    pub async fn patch(&self, request: Request<proto::PatchUserRequest>) -> Reply<HttpBody> {
        let (ctx, request) = Ctx::accept(request)?;
        let (base, user) = (Base::of(&self.0.public, &request.organization)?, name(&request.user)?);
        let operations = body(request.operations)?;
        let selection = Selection::read(&request.attributes, &request.excluded_attributes);
        let patch = |before: &Value| patched(&PERSON, before, &operations);
        let at = self.change(&ctx, &base, &user, &request.etag, patch).await?;
        Ok(self.show(&base, &user, &selection).await?.stored(at).reply(&ctx))
    }

    pub async fn delete(&self, request: Request<proto::DeleteUserRequest>) -> Reply<HttpBody> {
        let (ctx, request) = Ctx::accept(request)?;
        let user = name(&request.user)?;
        self.find(&user).await?;
        let users = Users(Arc::clone(&self.0));
        let at = users.change_standing(&ctx, "", &request.etag, &user, Act::Delete).await?;
        // The reactor would do it too, a moment later; whoever has the answer shall be able to rely on it.
        self.0.people.forget(user.to_string()).await.map_err(refuse)?;
        Ok(Answer::gone(at).reply(&ctx))
    }

    /// Makes of a user what `after` makes of them as they are.
    async fn change(
        &self,
        ctx: &Ctx,
        base: &Base,
        user: &UserName,
        etag: &str,
        after: impl FnOnce(&Value) -> Result<Value, Fault>,
    ) -> Result<Position, Status> {
        let desk = &self.0;
        // People may change what is known of themselves; what a directory calls them is not theirs to change.
        ctx.require(UPDATE, &Name::ROOT)?;
        let Found { row, known } = self.find(user).await?;
        let before = told_person(base, &row, &known);
        let after = after(&before)?;
        let fields = Known::changed(&before, &after);
        let Known { person, entry } = Known::of(&after)?;
        let entry = entry.unwrap_or_default();
        let is_described = !fields.is_empty();
        if is_described {
            desk.people.check_entry(user.to_string(), person.clone(), entry.clone()).await.map_err(refuse)?;
        }
        // Who says nothing of it means no change: a request that leaves it out lets nobody in again.
        let is_in = row.state() == State::Active;
        let act = match is_active(&after) {
            Some(true) if !is_in => Some((ENABLE, Act::Enable)),
            Some(false) if is_in => Some((DISABLE, Act::Disable { reason: reason()? })),
            _ => None,
        };
        if let Some((permission, _)) = &act {
            ctx.require(permission, &Name::ROOT)?;
        }
        let at = self.decide(ctx, user, etag, fields, act.map(|(_, act)| act)).await?;
        if is_described {
            desk.people.keep_entry(user.to_string(), person, entry).await.map_err(refuse)?;
            let kept = desk.query.user(user.as_str()).await.map_err(refuse)?;
            if kept.is_none_or(|user| user.state() == State::Deleted) {
                // Between event and row the user was deleted and forgotten: this must not bring them back.
                desk.people.forget(user.to_string()).await.map_err(refuse)?;
            }
        }
        Ok(at)
    }

    /// Says in the log that a user was described, let in or shut out, all at once.
    async fn decide(
        &self,
        ctx: &Ctx,
        user: &UserName,
        etag: &str,
        fields: Vec<String>,
        act: Option<Act>,
    ) -> Result<Position, Status> {
        let expected = expected(etag)?;
        let principal = PrincipalName::from(user);
        let count = match &act {
            Some(Act::Enable) => Some(administrators::Command::Resume { principal }),
            Some(_) => Some(administrators::Command::Suspend { principal }),
            None => None,
        };
        let attempt = |mut work: Work| {
            let (user, fields, act, count) = (user.clone(), fields.clone(), act.clone(), count.clone());
            async move {
                let stream = stream::<User>(&user);
                let describe = Command { user: user.clone(), act: Act::Describe { fields } };
                work.decide::<User>(&stream, expected, describe).await?;
                if let (Some(act), Some(count)) = (act, count) {
                    work.decide::<User>(&stream, expected, Command { user, act }).await?;
                    let all = crate::desk::stream::<Administrators>(&Administrators::STREAM_ID);
                    work.decide::<Administrators>(&all, Expected::Any, count).await?;
                }
                Ok(((), work))
            }
        };
        let ((), at) = self.0.commands.transact(&ctx.order(""), attempt).await.map_err(refuse)?;
        self.0.settle(ctx, at).await?;
        Ok(at)
    }
}
