//! What groups give: worked out anew at each login, beside what people were given by hand.

use std::collections::BTreeSet;

use cairn_eventstore::{CommandFault, Work};
use cairn_kernel::{Expected, Name};
use cairn_service::{Ctx, refuse};
use tonic::Status;
use tracing::warn;

use super::login::acting;
use crate::bindings::stage_grant;
use crate::desk::{Desk, stream};
use crate::duties::{self, Holding};
use crate::model::administrators::{self, Administrators};
use crate::model::binding::{Act, Command, Object, Source, Terms};
use crate::model::identity_provider::Settings;
use crate::model::{Binding, BindingName, HolderName, IdentityProviderName, Rejection, RoleName, Text, UserName};

/// A role somewhere.
type Held = (String, Name);

/// What is to change.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Difference {
    pub given: Vec<Held>,
    /// By their bindings.
    pub taken: Vec<String>,
}

/// What a provider's groups give that is not held, and what is held by its word and no longer given. Pure.
pub fn difference(settings: &Settings, groups: &BTreeSet<String>, held: &[(String, Held)]) -> Difference {
    let wanted: BTreeSet<Held> = settings
        .group_roles
        .iter()
        .filter(|role| groups.contains(&role.group))
        .map(|role| (role.role.to_string(), role.resource.clone()))
        .collect();
    let given = wanted.iter().filter(|wanted| !held.iter().any(|(_, held)| held == *wanted)).cloned().collect();
    let taken = held.iter().filter(|(_, held)| !wanted.contains(held)).map(|(binding, _)| binding.clone()).collect();
    Difference { given, taken }
}

/// Gives and takes what somebody's groups say. Never touches what was given by hand, or by another provider.
pub async fn follow(
    desk: &Desk,
    ctx: &Ctx,
    provider: &IdentityProviderName,
    settings: &Settings,
    user: &UserName,
    groups: &BTreeSet<String>,
) -> Result<(), Status> {
    let mark = format!("idp-{}-", provider.id());
    let _turn = desk.turn(ctx).await?;
    let world = desk.access.world();
    let held: Vec<(String, Held)> = world
        .grants(user.as_str())
        .filter(|grant| grant.binding.rsplit('/').next().is_some_and(|id| id.starts_with(&mark)))
        .map(|grant| (grant.binding.clone(), (grant.role_name().to_owned(), grant.resource.clone())))
        .collect();
    let Difference { given, taken } = difference(settings, groups, &held);
    for binding in taken {
        take(desk, ctx, provider, user, BindingName::stored(binding)).await?;
    }
    for (role, resource) in given {
        let binding = BindingName::on(&resource, &format!("{mark}{}", cairn_access::ApiKey::fresh_id()));
        let holder = HolderName::stored(user.as_str());
        let now = desk.now();
        let new = Holding { role: role.clone(), resource: resource.clone(), binding: binding.to_string() };
        if let Some(conflict) = duties::conflict(&desk.access.world(), &holder, &[new], now) {
            warn!(%user, %provider, %conflict, "a group gives a role that is to be apart from one held: it is not given");
            continue;
        }
        let terms = Terms {
            principal: holder,
            object: Object::Role(RoleName::stored(role)),
            resource,
            expire_time: None,
            condition: None,
            source: Source::Idp,
            activation: None,
        };
        let reason = Text::stored(format!("by a group of {provider}"));
        let attempt = |work: Work| stage_grant(work, binding.clone(), terms.clone(), reason.clone(), now);
        let ((), at) = desk.commands.transact(&acting(desk, ctx, user).await, attempt).await.map_err(refuse)?;
        desk.settle(ctx, at).await?;
    }
    Ok(())
}

async fn take(
    desk: &Desk,
    ctx: &Ctx,
    provider: &IdentityProviderName,
    user: &UserName,
    binding: BindingName,
) -> Result<(), Status> {
    let reason = Text::stored(format!("no longer by a group of {provider}"));
    let attempt = |mut work: Work| {
        let (binding, reason) = (binding.clone(), reason.clone());
        async move {
            let command = Command { binding: binding.clone(), act: Act::Withdraw { reason } };
            let after = work.decide::<Binding>(&stream::<Binding>(&binding), Expected::Any, command).await?;
            if after.terms().is_some_and(Terms::makes_administrator) {
                let all = stream::<Administrators>(&Administrators::STREAM_ID);
                work.decide::<Administrators>(&all, Expected::Any, administrators::Command::Remove { binding }).await?;
            }
            Ok(((), work))
        }
    };
    match desk.commands.transact(&acting(desk, ctx, user).await, attempt).await {
        Ok(((), at)) => desk.settle(ctx, at).await,
        Err(CommandFault::Rejected(Rejection::LastAdministrator)) => {
            // Nobody would be left who could set it right.
            warn!(%user, %provider, %binding, "no group gives it any more, but it makes the last administrator: it stays");
            Ok(())
        }
        Err(fault) => Err(refuse(fault)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::identity_provider::{ClientAuthentication, GroupRole};

    fn held(role: &str, resource: &str) -> Held {
        (format!("roles/{role}"), resource.parse().unwrap())
    }

    fn settings(roles: &[(&str, &str, &str)]) -> Settings {
        let group_roles = roles.iter().map(|(group, role, resource)| GroupRole {
            group: (*group).to_owned(),
            role: RoleName::stored(format!("roles/{role}")),
            resource: resource.parse().unwrap(),
        });
        Settings {
            title: Text::default(),
            issuer: String::new(),
            client_id: String::new(),
            client_authentication: ClientAuthentication::Nothing,
            scopes: vec![],
            display_name_claim: String::new(),
            email_claim: String::new(),
            groups_claim: "groups".into(),
            group_roles: group_roles.collect(),
            creates_users: true,
            is_disabled: false,
        }
    }

    #[test]
    fn what_groups_give_is_given_once_and_taken_when_no_group_gives_it() {
        let settings = settings(&[
            ("ds", "editor", "projects/a"),
            ("leads", "editor", "projects/a"),
            ("leads", "manager", "projects/b"),
        ]);
        let groups = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let editor = held("editor", "projects/a");
        let had = [("bindings/idp-corp-1".to_owned(), editor.clone())];
        let given = |groups: &BTreeSet<String>, held: &[(String, Held)]| difference(&settings, groups, held);
        assert_eq!(given(&groups(&["ds", "unheard"]), &[]).given.as_slice(), std::slice::from_ref(&editor));
        assert_eq!(given(&groups(&["ds"]), &had), Difference::default());
        // By another group now.
        assert_eq!(given(&groups(&["leads"]), &had).given, [held("manager", "projects/b")]);
        assert_eq!(given(&groups(&["leads"]), &had).taken, Vec::<String>::new());
        assert_eq!(given(&groups(&[]), &had).taken, ["bindings/idp-corp-1"]);
    }
}
