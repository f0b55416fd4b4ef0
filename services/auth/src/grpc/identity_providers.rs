use std::sync::Arc;

use cairn_contract::cairn::auth::v1 as proto;
use cairn_contract::cairn::auth::v1::identity_provider_service_server::IdentityProviderService;
use cairn_kernel::Name;
use cairn_service::{Ctx, Page, Refusal, Reply, field, refuse};
use tonic::{Request, Response, Status};

use crate::desk::{Desk, given, masked, rejected, stream, text};
use crate::giving::{require_held, role_on};
use crate::logins::LoginQuery;
use crate::model::identity_provider::{Act, ClientAuthentication, Command, GroupRole, Settings};
use crate::model::{IdentityProvider, IdentityProviderName, Rejection, RoleName, Slug};
use crate::oidc::require_secure;

pub struct IdentityProviders(pub Arc<Desk>);

/// Most roles that groups give.
const GROUP_ROLES_MAX: usize = 200;
/// Longest name of a group, a claim or a scope.
const WORD_CHARS_MAX: usize = 200;
/// Most scopes.
const SCOPES_MAX: usize = 50;
/// Longest secret.
const SECRET_BYTES_MAX: usize = 4_096;

impl IdentityProviders {
    async fn show(&self, logins: &LoginQuery, name: &IdentityProviderName) -> Result<proto::IdentityProvider, Status> {
        let found = logins.provider(name.as_str()).await.map_err(refuse)?;
        let mut found = found.ok_or_else(|| rejected(Rejection::IdentityProviderNotFound(name.clone())))?;
        found.redirect_uri = self.0.redirect_uri(name);
        Ok(found)
    }

    async fn current(&self, name: &IdentityProviderName) -> Result<Settings, Status> {
        let loaded =
            self.0.commands.load::<IdentityProvider>(&stream::<IdentityProvider>(name)).await.map_err(refuse)?;
        let found = loaded.state.settings().cloned();
        found.ok_or_else(|| rejected(Rejection::IdentityProviderNotFound(name.clone())))
    }

    /// Nobody gives by a group what they could not give by hand.
    fn require_held(&self, ctx: &Ctx, roles: &[GroupRole]) -> Result<(), Status> {
        let world = self.0.access.world();
        roles.iter().try_for_each(|given| {
            let role = role_on(&world, &given.role, &given.resource)?;
            require_held(ctx, given.role.as_str(), role.permissions(), &given.resource)
        })
    }

    async fn keep(&self, name: &IdentityProviderName, secret: &str) -> Result<(), Status> {
        let name = field("name", name.as_str())?;
        self.0.secrets.keep(&name, secret).await.map_err(|fault| refuse(Refusal::internal(fault)))
    }
}

#[tonic::async_trait]
impl IdentityProviderService for IdentityProviders {
    async fn create_identity_provider(
        &self,
        request: Request<proto::CreateIdentityProviderRequest>,
    ) -> Reply<proto::IdentityProvider> {
        let (ctx, request) = Ctx::accept(request)?;
        let id: Slug = field("identity_provider_id", &request.identity_provider_id)?;
        let wanted = given("identity_provider", request.identity_provider)?;
        let settings = settings(&wanted)?;
        secret(&wanted.client_secret, settings.client_authentication, false)?;
        self.require_held(&ctx, &settings.group_roles)?;
        let name = IdentityProviderName::of(id.as_str());
        let command = Command { identity_provider: name.clone(), act: Act::Create(settings) };
        let stream = stream::<IdentityProvider>(&name);
        let at = self.0.execute::<IdentityProvider>(&ctx, &request.request_id, &stream, "", command).await?;
        // After the event: one that is refused must not replace the secret of who has the name. A repeat keeps it again.
        if !wanted.client_secret.is_empty() {
            self.keep(&name, &wanted.client_secret).await?;
        }
        Ok(ctx.reply(self.show(&self.0.logins, &name).await?, at))
    }

    async fn get_identity_provider(
        &self,
        request: Request<proto::GetIdentityProviderRequest>,
    ) -> Reply<proto::IdentityProvider> {
        let (ctx, request) = Ctx::accept(request)?;
        let name = field("name", &request.name)?;
        let (logins, _) = self.0.logins_at(&ctx, &request.as_of).await?;
        Ok(Response::new(self.show(&logins, &name).await?))
    }

    async fn list_identity_providers(
        &self,
        request: Request<proto::ListIdentityProvidersRequest>,
    ) -> Reply<proto::ListIdentityProvidersResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        let page = Page::read("identityProviders", &[], request.page_size, &request.page_token)?;
        let (logins, _) = self.0.logins_at(&ctx, &request.as_of).await?;
        let visible = ctx.visible("auth.identityProviders.list", &Name::ROOT);
        let found = logins.providers(&visible, &page).await.map_err(refuse)?;
        let (mut identity_providers, next_page_token) = page.cut(found, |provider| &provider.name);
        for provider in &mut identity_providers {
            provider.redirect_uri = self.0.redirect_uri(&IdentityProviderName::stored(provider.name.as_str()));
        }
        Ok(Response::new(proto::ListIdentityProvidersResponse { identity_providers, next_page_token }))
    }

    async fn update_identity_provider(
        &self,
        request: Request<proto::UpdateIdentityProviderRequest>,
    ) -> Reply<proto::IdentityProvider> {
        let (ctx, request) = Ctx::accept(request)?;
        let wanted = given("identity_provider", request.identity_provider)?;
        let name: IdentityProviderName = field("identity_provider.name", &wanted.name)?;
        let before = self.current(&name).await?;
        let set = |is_set: bool| if is_set { "set" } else { "" };
        let fields = [
            ("title", wanted.title.as_str()),
            ("issuer", &wanted.issuer),
            ("client_id", &wanted.client_id),
            ("client_secret", &wanted.client_secret),
            ("client_authentication", &wanted.client_authentication),
            ("scopes", set(!wanted.scopes.is_empty())),
            ("display_name_claim", &wanted.display_name_claim),
            ("email_claim", &wanted.email_claim),
            ("groups_claim", &wanted.groups_claim),
            ("group_roles", set(!wanted.group_roles.is_empty())),
            ("creates_users", set(wanted.creates_users)),
            ("disabled", set(wanted.disabled)),
        ];
        let masked = masked(request.update_mask.as_ref(), &fields)?;
        let has = |field: &str| masked.contains(&field);
        let mut merged = shown(&before);
        for field in &masked {
            match *field {
                "title" => merged.title.clone_from(&wanted.title),
                "issuer" => merged.issuer.clone_from(&wanted.issuer),
                "client_id" => merged.client_id.clone_from(&wanted.client_id),
                "client_authentication" => merged.client_authentication.clone_from(&wanted.client_authentication),
                "scopes" => merged.scopes.clone_from(&wanted.scopes),
                "display_name_claim" => merged.display_name_claim.clone_from(&wanted.display_name_claim),
                "email_claim" => merged.email_claim.clone_from(&wanted.email_claim),
                "groups_claim" => merged.groups_claim.clone_from(&wanted.groups_claim),
                "group_roles" => merged.group_roles.clone_from(&wanted.group_roles),
                "creates_users" => merged.creates_users = wanted.creates_users,
                "disabled" => merged.disabled = wanted.disabled,
                _ => {}
            }
        }
        let settings = settings(&merged)?;
        let is_secret_changed = has("client_secret") && !wanted.client_secret.is_empty();
        secret(&wanted.client_secret, settings.client_authentication, true)?;
        // A secret is for whom it was given: it must not be sent to another.
        if settings.issuer != before.issuer && !is_secret_changed && has_secret(settings.client_authentication) {
            let problem = "must be given anew with another issuer";
            return Err(refuse(Refusal::invalid("identity_provider.client_secret", problem)));
        }
        let added: Vec<GroupRole> =
            settings.group_roles.iter().filter(|role| !before.group_roles.contains(role)).cloned().collect();
        self.require_held(&ctx, &added)?;
        let command = Command { identity_provider: name.clone(), act: Act::Change { settings, is_secret_changed } };
        let stream = stream::<IdentityProvider>(&name);
        let at = self.0.execute::<IdentityProvider>(&ctx, &request.request_id, &stream, &wanted.etag, command).await?;
        if is_secret_changed {
            self.keep(&name, &wanted.client_secret).await?;
        }
        Ok(ctx.reply(self.show(&self.0.logins, &name).await?, at))
    }

    async fn delete_identity_provider(
        &self,
        request: Request<proto::DeleteIdentityProviderRequest>,
    ) -> Reply<proto::IdentityProvider> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: IdentityProviderName = field("name", &request.name)?;
        let command = Command { identity_provider: name.clone(), act: Act::Delete };
        let stream = stream::<IdentityProvider>(&name);
        let at = self.0.execute::<IdentityProvider>(&ctx, &request.request_id, &stream, &request.etag, command).await?;
        self.0
            .secrets
            .forget(&field("name", &request.name)?)
            .await
            .map_err(|fault| refuse(Refusal::internal(fault)))?;
        Ok(ctx.reply(self.show(&self.0.logins, &name).await?, at))
    }

    async fn check_identity_provider(
        &self,
        request: Request<proto::CheckIdentityProviderRequest>,
    ) -> Reply<proto::CheckIdentityProviderResponse> {
        let (_, request) = Ctx::accept(request)?;
        let name: IdentityProviderName = field("name", &request.name)?;
        let settings = self.current(&name).await?;
        let mut answer = proto::CheckIdentityProviderResponse::default();
        match self.0.providers.ask(&settings.issuer).await {
            Err(problem) => answer.problems.push(problem),
            Ok(known) => {
                answer.authorization_endpoint.clone_from(&known.metadata.authorization_endpoint);
                answer.token_endpoint.clone_from(&known.metadata.token_endpoint);
                answer.usable_keys = i32::try_from(known.keys.len()).unwrap_or(i32::MAX);
                if known.keys.len() == 0 {
                    answer.problems.push("it publishes no key that is understood here".to_owned());
                }
            }
        }
        let secret = self
            .0
            .secrets
            .find(&field("name", &request.name)?)
            .await
            .map_err(|fault| refuse(Refusal::internal(fault)))?;
        if has_secret(settings.client_authentication) && secret.is_none() {
            answer.problems.push("no client secret is kept here: set it again".to_owned());
        }
        if settings.is_disabled {
            answer.problems.push("it is disabled".to_owned());
        }
        Ok(Response::new(answer))
    }
}

fn has_secret(authentication: ClientAuthentication) -> bool {
    authentication != ClientAuthentication::Nothing
}

fn secret(text: &str, authentication: ClientAuthentication, may_stay: bool) -> Result<(), Status> {
    let refused = |problem: &str| Err(refuse(Refusal::invalid("identity_provider.client_secret", problem)));
    match (has_secret(authentication), text.is_empty()) {
        (true, true) if !may_stay => refused("is missing"),
        (false, false) => refused("is given, but client_authentication is none"),
        _ if text.len() > SECRET_BYTES_MAX || text.chars().any(char::is_control) => {
            refused("is too long, or has control characters")
        }
        _ => Ok(()),
    }
}

/// Settings as a request would have them.
fn shown(settings: &Settings) -> proto::IdentityProvider {
    let group_role = |role: &GroupRole| proto::identity_provider::GroupRole {
        group: role.group.clone(),
        role: role.role.to_string(),
        resource: role.resource.to_string(),
    };
    proto::IdentityProvider {
        title: settings.title.as_str().to_owned(),
        issuer: settings.issuer.clone(),
        client_id: settings.client_id.clone(),
        client_authentication: settings.client_authentication.word().to_owned(),
        scopes: settings.scopes.clone(),
        display_name_claim: settings.display_name_claim.clone(),
        email_claim: settings.email_claim.clone(),
        groups_claim: settings.groups_claim.clone(),
        group_roles: settings.group_roles.iter().map(group_role).collect(),
        creates_users: settings.creates_users,
        disabled: settings.is_disabled,
        ..proto::IdentityProvider::default()
    }
}

fn settings(wanted: &proto::IdentityProvider) -> Result<Settings, Status> {
    let refused = |field: &'static str, problem: String| refuse(Refusal::invalid(field, problem));
    if wanted.issuer.ends_with('/') && url::Url::parse(&wanted.issuer).is_err() {
        return Err(refused("identity_provider.issuer", "is no address".into()));
    }
    require_secure(&wanted.issuer).map_err(|problem| refused("identity_provider.issuer", problem))?;
    if wanted.issuer.contains(['?', '#']) {
        return Err(refused("identity_provider.issuer", "has a query or a fragment, which no issuer has".into()));
    }
    let client_authentication = ClientAuthentication::read(&wanted.client_authentication).ok_or_else(|| {
        let problem = "must be client_secret_basic, client_secret_post or none".to_owned();
        refused("identity_provider.client_authentication", problem)
    })?;
    let or = |text: &str, otherwise: &str| if text.is_empty() { otherwise.to_owned() } else { text.to_owned() };
    let scopes = match wanted.scopes.is_empty() {
        true => vec!["profile".to_owned(), "email".to_owned()],
        false => wanted.scopes.iter().filter(|scope| *scope != "openid").cloned().collect(),
    };
    if scopes.len() > SCOPES_MAX || scopes.iter().any(|scope| scope.contains(char::is_whitespace)) {
        return Err(refused("identity_provider.scopes", format!("must be at most {SCOPES_MAX}, without blanks")));
    }
    if wanted.group_roles.len() > GROUP_ROLES_MAX {
        return Err(refused("identity_provider.group_roles", format!("must be at most {GROUP_ROLES_MAX}")));
    }
    if !wanted.group_roles.is_empty() && wanted.groups_claim.is_empty() {
        let problem = "is missing, and without it groups mean nothing".to_owned();
        return Err(refused("identity_provider.groups_claim", problem));
    }
    let texts = [&wanted.client_id, &wanted.display_name_claim, &wanted.email_claim, &wanted.groups_claim]
        .into_iter()
        .chain(wanted.group_roles.iter().map(|role| &role.group));
    if texts.into_iter().any(|text| text.chars().count() > WORD_CHARS_MAX || text.chars().any(char::is_control)) {
        let problem = format!("must be at most {WORD_CHARS_MAX} characters, without control characters");
        return Err(refused("identity_provider", problem));
    }
    if wanted.client_id.is_empty() {
        return Err(refused("identity_provider.client_id", "is missing".into()));
    }
    Ok(Settings {
        title: text("identity_provider.title", &wanted.title)?,
        issuer: wanted.issuer.clone(),
        client_id: wanted.client_id.clone(),
        client_authentication,
        scopes,
        display_name_claim: or(&wanted.display_name_claim, "name"),
        email_claim: or(&wanted.email_claim, "email"),
        groups_claim: wanted.groups_claim.clone(),
        group_roles: wanted.group_roles.iter().map(group_role).collect::<Result<_, _>>()?,
        creates_users: wanted.creates_users,
        is_disabled: wanted.disabled,
    })
}

fn group_role(role: &proto::identity_provider::GroupRole) -> Result<GroupRole, Status> {
    let name: RoleName = field("identity_provider.group_roles.role", &role.role)?;
    if role.group.is_empty() {
        return Err(refuse(Refusal::invalid("identity_provider.group_roles.group", "is missing")));
    }
    let resource = field("identity_provider.group_roles.resource", &role.resource)?;
    Ok(GroupRole { group: role.group.clone(), role: name, resource })
}
