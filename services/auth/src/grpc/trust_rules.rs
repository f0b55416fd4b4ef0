use std::sync::Arc;

use cairn_contract::cairn::auth::v1 as proto;
use cairn_contract::cairn::auth::v1::trust_rule_service_server::TrustRuleService;
use cairn_service::{Ctx, Page, Refusal, Reply, field, refuse};
use tonic::{Request, Response, Status};

use super::api_keys::scopes;
use crate::desk::{Desk, given, made_id, rejected, require_active, stream, text};
use crate::giving::require_all_held;
use crate::logins::LoginQuery;
use crate::model::trust_rule::{Act, Command, Terms};
use crate::model::{HolderName, Rejection, ServiceAccountName, TrustRule, TrustRuleName};
use crate::oidc::require_secure;
use cairn_eventstore::Work;
use cairn_kernel::Expected;

pub struct TrustRules(pub Arc<Desk>);

/// Most claims of a rule.
const CLAIMS_MAX: usize = 20;
/// Longest claim, or value of one.
const WORD_CHARS_MAX: usize = 1_000;

impl TrustRules {
    async fn show(&self, logins: &LoginQuery, name: &TrustRuleName) -> Result<proto::TrustRule, Status> {
        let found = logins.rule(name.as_str()).await.map_err(refuse)?;
        found.ok_or_else(|| rejected(Rejection::TrustRuleNotFound(name.clone())))
    }
}

#[tonic::async_trait]
impl TrustRuleService for TrustRules {
    async fn create_trust_rule(&self, request: Request<proto::CreateTrustRuleRequest>) -> Reply<proto::TrustRule> {
        let (ctx, request) = Ctx::accept(request)?;
        let account: ServiceAccountName = field("parent", &request.parent)?;
        let wanted = given("trust_rule", request.trust_rule)?;
        let holder = HolderName::stored(account.as_str());
        require_all_held(&ctx, &self.0.access.world(), &holder)?;
        let terms = Terms { audience: self.audience(&wanted.audience)?, ..terms(&account, wanted)? };
        let order = ctx.order(&request.request_id);
        let name = TrustRuleName::stored(format!("{account}/trustRules/tru-{}", made_id(&order)));
        let attempt = |mut work: Work| {
            let (name, terms, holder) = (name.clone(), terms.clone(), holder.clone());
            async move {
                require_active(&mut work, &holder).await?;
                let command = Command { trust_rule: name.clone(), act: Act::Create(terms) };
                work.decide::<TrustRule>(&stream::<TrustRule>(&name), Expected::Any, command).await?;
                Ok(((), work))
            }
        };
        let ((), at) = self.0.commands.transact(&order, attempt).await.map_err(refuse)?;
        self.0.settle(&ctx, at).await?;
        Ok(ctx.reply(self.show(&self.0.logins, &name).await?, at))
    }

    async fn get_trust_rule(&self, request: Request<proto::GetTrustRuleRequest>) -> Reply<proto::TrustRule> {
        let (ctx, request) = Ctx::accept(request)?;
        let name = field("name", &request.name)?;
        let (logins, _) = self.0.logins_at(&ctx, &request.as_of).await?;
        Ok(Response::new(self.show(&logins, &name).await?))
    }

    async fn list_trust_rules(
        &self,
        request: Request<proto::ListTrustRulesRequest>,
    ) -> Reply<proto::ListTrustRulesResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        let account: ServiceAccountName = field("parent", &request.parent)?;
        let page = Page::read("trustRules", &[account.as_str()], request.page_size, &request.page_token)?;
        let (logins, _) = self.0.logins_at(&ctx, &request.as_of).await?;
        let found = logins.rules(account.as_str(), &page).await.map_err(refuse)?;
        let (trust_rules, next_page_token) = page.cut(found, |rule| &rule.name);
        Ok(Response::new(proto::ListTrustRulesResponse { trust_rules, next_page_token }))
    }

    async fn delete_trust_rule(&self, request: Request<proto::DeleteTrustRuleRequest>) -> Reply<proto::TrustRule> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: TrustRuleName = field("name", &request.name)?;
        let command = Command { trust_rule: name.clone(), act: Act::Delete };
        let stream = stream::<TrustRule>(&name);
        let at = self.0.execute::<TrustRule>(&ctx, &request.request_id, &stream, "", command).await?;
        Ok(ctx.reply(self.show(&self.0.logins, &name).await?, at))
    }
}

impl TrustRules {
    fn audience(&self, given: &str) -> Result<String, Status> {
        let audience = if given.is_empty() { self.0.public.url() } else { given };
        plain("trust_rule.audience", audience)?;
        Ok(audience.to_owned())
    }
}

fn plain(field: &'static str, word: &str) -> Result<(), Status> {
    if word.is_empty() || word.chars().count() > WORD_CHARS_MAX || word.chars().any(char::is_control) {
        let problem = format!("must be 1 to {WORD_CHARS_MAX} characters, without control characters");
        return Err(refuse(Refusal::invalid(field, problem)));
    }
    Ok(())
}

fn terms(account: &ServiceAccountName, wanted: proto::TrustRule) -> Result<Terms, Status> {
    let refused = |field: &'static str, problem: String| refuse(Refusal::invalid(field, problem));
    require_secure(&wanted.issuer).map_err(|problem| refused("trust_rule.issuer", problem))?;
    // Whoever an issuer signs for at all is a great many: everybody's pipelines, for one that is public.
    let says_something =
        wanted.claims.keys().any(|claim| !matches!(claim.as_str(), "iss" | "aud" | "exp" | "iat" | "nbf"));
    if !says_something || wanted.claims.len() > CLAIMS_MAX {
        let problem = format!("must be 1 to {CLAIMS_MAX}, one of them about the workload itself, such as `sub`");
        return Err(refused("trust_rule.claims", problem));
    }
    for (claim, value) in &wanted.claims {
        plain("trust_rule.claims", claim)?;
        plain("trust_rule.claims", value)?;
    }
    Ok(Terms {
        service_account: account.clone(),
        title: text("trust_rule.title", &wanted.title)?,
        issuer: wanted.issuer,
        audience: String::new(),
        claims: wanted.claims,
        scopes: scopes(&wanted.scopes)?,
    })
}
