//! Whoever a provider shows is somebody here: the one they were before, or a new user.

use cairn_access::{ApiKey, Standing};
use cairn_eventstore::Work;
use cairn_kernel::Expected;
use cairn_service::{Ctx, refuse};
use tonic::Status;
use tracing::{info, warn};

use super::LoginFault;
use super::claims::Person;
use super::login::{Stop, acting};
use crate::desk::{Desk, stream};
use crate::model::identity_provider::Settings;
use crate::model::user::{self, Act};
use crate::model::{Identity, IdentityProviderName, User, UserName, identity};
use crate::people::{self, PeopleFault};

/// What an identity is named by: issuer and subject, never a mail address, which is given to somebody else one day.
const IDENTITY: &str = "identities";

/// The user whom an issuer knows by a subject.
pub async fn known(desk: &Desk, issuer: &str, subject: &str) -> Result<Option<UserName>, Status> {
    for identity in desk.access.keyring().marks(IDENTITY, &[issuer, subject]) {
        let loaded = desk.commands.load::<Identity>(&stream::<Identity>(&identity)).await.map_err(refuse)?;
        if let Some(user) = loaded.state.user() {
            return Ok(Some(user.clone()));
        }
    }
    Ok(None)
}

/// The user that somebody is, added just now if the provider may add people. What is known of them is brought up to date.
pub async fn admit(
    desk: &Desk,
    ctx: &Ctx,
    provider: &IdentityProviderName,
    settings: &Settings,
    subject: &str,
    person: &Person,
) -> Result<UserName, Stop> {
    if let Some(user) = known(desk, &settings.issuer, subject).await? {
        match desk.access.world().standing(user.as_str()) {
            Some(Standing::Active) => {
                describe(desk, ctx, &user, person).await?;
                return Ok(user);
            }
            Some(Standing::Disabled) => return Err(LoginFault::Disabled.into()),
            // Who was deleted and comes again is somebody new: nothing of before is theirs.
            Some(Standing::Deleted) | None => {}
        }
    }
    if !settings.creates_users {
        return Err(LoginFault::NotAdmitted(provider.clone()).into());
    }
    let user = UserName::stored(format!("users/u-{}", ApiKey::fresh_id()));
    // First, because if the rest fails nobody refers to it.
    keep(desk, &user, person).await?;
    match link(desk, ctx, provider, settings, subject, &user).await {
        Ok(()) => {
            info!(%user, %provider, "a user was added at their first login");
            Ok(user)
        }
        Err(status) => {
            desk.people.forget(user.to_string()).await.map_err(refuse)?;
            Err(status.into())
        }
    }
}

/// Adds a user and says who they are, in one append.
async fn link(
    desk: &Desk,
    ctx: &Ctx,
    provider: &IdentityProviderName,
    settings: &Settings,
    subject: &str,
    user: &UserName,
) -> Result<(), Status> {
    let identity = desk.access.keyring().mark(IDENTITY, &[&settings.issuer, subject]);
    let command =
        identity::Command { identity: identity.clone(), user: user.clone(), identity_provider: provider.clone() };
    let attempt = |mut work: Work| {
        let (command, identity, user) = (command.clone(), identity.clone(), user.clone());
        async move {
            let create = user::Command { user: user.clone(), act: Act::Create };
            work.decide::<User>(&stream::<User>(&user), Expected::Any, create).await?;
            work.decide::<Identity>(&stream::<Identity>(&identity), Expected::Any, command).await?;
            Ok(((), work))
        }
    };
    let ((), at) = desk.commands.transact(&acting(desk, ctx, user).await, attempt).await.map_err(refuse)?;
    desk.settle(ctx, at).await
}

/// Takes over what the provider says of somebody now. What it does not say stays.
async fn describe(desk: &Desk, ctx: &Ctx, user: &UserName, person: &Person) -> Result<(), Status> {
    let before = desk.people.find(user.as_str()).await.map_err(refuse)?;
    let changed = |said: &str, known: &str| !said.is_empty() && said.to_lowercase() != known.to_lowercase();
    let mut fields = vec![];
    let mut after = Person { display_name: before.display_name.clone(), email: before.email.clone(), groups: None };
    if changed(&person.display_name, &before.display_name) {
        fields.push("display_name".to_owned());
        after.display_name.clone_from(&person.display_name);
    }
    if changed(&person.email, &before.email) {
        fields.push("email".to_owned());
        after.email.clone_from(&person.email);
    }
    if fields.is_empty() {
        return Ok(());
    }
    let command = user::Command { user: user.clone(), act: Act::Describe { fields } };
    let (order, stream) = (acting(desk, ctx, user).await, stream::<User>(user));
    let done = desk.commands.execute::<User>(&order, &stream, Expected::Any, command).await.map_err(refuse)?;
    keep(desk, user, &after).await?;
    desk.settle(ctx, done.position).await
}

/// Keeps what is known of somebody. A mail address that another user has is nobody else's, whatever the provider says.
async fn keep(desk: &Desk, user: &UserName, person: &Person) -> Result<(), Status> {
    let row = |email: &str| people::Person { display_name: person.display_name.clone(), email: email.to_owned() };
    match desk.people.keep(user.to_string(), row(&person.email)).await {
        Err(PeopleFault::EmailTaken) => {
            warn!(%user, "another user has the mail address that the provider says is this user's: it is not kept");
            desk.people.keep(user.to_string(), row("")).await.map_err(refuse)
        }
        kept => kept.map_err(refuse),
    }
}
