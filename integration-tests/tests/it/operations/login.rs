//! Each operation of logging in and out, in the ways that browsers and clients have.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::header::{COOKIE, LOCATION, ORIGIN, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use serde_json::{Value, json};

use super::caller::Caller;
use super::provider::Provider;

const OAUTH: &str = "/cairn.auth.v1.OauthService/";
const BACK: &str = "http://127.0.0.1:9/callback";

/// A browser of one person: it goes nowhere by itself.
struct Browser<'a> {
    caller: &'a Caller<'a>,
    http: Client,
    url: String,
    cookie: String,
}

impl<'a> Browser<'a> {
    fn new(caller: &'a Caller<'a>) -> Self {
        let http = Client::builder().redirect(Policy::none()).build().unwrap();
        Self { caller, http, url: caller.suite.url(), cookie: String::new() }
    }

    /// Opens a page as one operation.
    async fn get(&mut self, operation: &str, path: &str) -> Response {
        let request = self.http.get(format!("{}{path}", self.url));
        let request = request.header("x-request-id", format!("{OAUTH}{operation}").trim_start_matches('/'));
        let answer = request.header(COOKIE, &self.cookie).send().await.unwrap();
        self.keep(operation, answer)
    }

    /// Sends a form from a page of the suite's own.
    async fn post(&mut self, operation: &str, path: &str, form: &[(&str, &str)]) -> Response {
        let request = self.http.post(format!("{}{path}", self.url)).form(form);
        let request = request.header("x-request-id", format!("{OAUTH}{operation}").trim_start_matches('/'));
        let request = request.header(ORIGIN, &self.url).header("x-cairn-csrf", "1");
        let answer = request.header(COOKIE, &self.cookie).send().await.unwrap();
        self.keep(operation, answer)
    }

    fn keep(&mut self, operation: &str, answer: Response) -> Response {
        if answer.status().is_success() || answer.status().is_redirection() {
            self.caller.note(&format!("{OAUTH}{operation}"));
        }
        let set = answer.headers().get_all(SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
        let set: Vec<&str> = set.filter_map(|value| value.split(';').next()).collect();
        if !set.is_empty() {
            self.cookie = set.join("; ");
        }
        answer
    }

    /// Logs in by a provider that says these claims.
    async fn login(&mut self, provider: &Provider, mut claims: Value) {
        let answer = self.get("BeginLogin", "/oauth2/login?identity_provider=ops").await;
        let there = query(&answer);
        claims["nonce"] = json!(there["nonce"]);
        provider.will_say(claims);
        let state = there["state"].as_str().unwrap();
        let answer = self.get("FinishLogin", &format!("/oauth2/callback/ops?code=c&state={state}")).await;
        assert_eq!(answer.status(), 303, "{}", answer.text().await.unwrap());
    }

    /// The tokens that the command line gets for whoever is logged in here.
    async fn tokens(&mut self) -> (Value, Vec<(&'static str, String)>) {
        let verifier = "v".repeat(43);
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
        let path = format!(
            "/oauth2/authorize?response_type=code&client_id=cairn-cli&redirect_uri={BACK}&code_challenge={challenge}\
             &code_challenge_method=S256"
        );
        let code = query(&self.get("Authorize", &path).await)["code"].as_str().unwrap().to_owned();
        let form = vec![
            ("grant_type", "authorization_code".to_owned()),
            ("client_id", "cairn-cli".to_owned()),
            ("redirect_uri", BACK.to_owned()),
            ("code_verifier", verifier),
            ("code", code),
        ];
        (self.token(&form).await, form)
    }

    async fn token(&mut self, form: &[(&str, String)]) -> Value {
        let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.post("IssueToken", "/oauth2/token", &form).await.json().await.unwrap()
    }
}

/// The parameters of the address that an answer sends to.
fn query(answer: &Response) -> Value {
    let location = answer.headers()[LOCATION].to_str().unwrap();
    let url = url::Url::parse(location).unwrap();
    url.query_pairs().map(|(name, value)| (name.into_owned(), json!(value))).collect::<serde_json::Map<_, _>>().into()
}

pub async fn all(caller: &Caller<'_>) {
    let provider = Provider::start().await;
    let create = "auth.IdentityProviderService/CreateIdentityProvider";
    let made = json!({"identity_provider_id": "ops", "identity_provider": {
        "issuer": provider.issuer, "client_id": "cairn", "client_secret": "s", "creates_users": true,
        "groups_claim": "groups", "group_roles": [{"group": "ops", "role": "roles/admin", "resource": "*"}],
    }});
    let name = caller.make(create, &[], made).await;
    caller.call("auth.IdentityProviderService/CheckIdentityProvider", &[&name], json!({})).await;
    let update = "auth.IdentityProviderService/UpdateIdentityProvider";
    caller.call(update, &[&name, "?update_mask=title"], json!({"title": "Ops"})).await;

    let mut browser = Browser::new(caller);
    browser.login(&provider, json!({"name": "Ada", "groups": ["ops"]})).await;
    browser.login(&provider, json!({"name": "Ada L.", "groups": []})).await;
    oauth(&mut browser).await;
    browser.login(&provider, json!({"groups": [], "sid": "there"})).await;
    let event = json!({"http://schemas.openid.net/event/backchannel-logout": {}});
    let token = provider.signed(json!({"sid": "there", "events": event}));
    let form = [("logout_token", token.as_str())];
    browser.post("LogoutByProvider", "/oauth2/backchannel_logout/ops", &form).await;

    caller.call("auth.IdentityProviderService/DeleteIdentityProvider", &[&name], Value::Null).await;
    let app = json!({"oauth_client_id": "ops", "oauth_client": {"redirect_uris": [BACK]}});
    let app = caller.make("auth.OauthClientService/CreateOauthClient", &[], app).await;
    caller.call("auth.OauthClientService/DeleteOauthClient", &[&app], Value::Null).await;
    let account = json!({"service_account_id": "workload"});
    let account = caller.make("auth.ServiceAccountService/CreateServiceAccount", &[], account).await;
    let rule = json!({"trust_rule": {"issuer": provider.issuer, "claims": {"sub": "w"}}});
    let rule = caller.make("auth.TrustRuleService/CreateTrustRule", &[&account], rule).await;
    caller.call("auth.TrustRuleService/DeleteTrustRule", &[&rule], Value::Null).await;
    caller.call("auth.SigningKeyService/RotateSigningKeys", &[], json!({"compromised": true})).await;
    sessions(caller).await;
}

/// What clients and pages do for whoever is logged in.
async fn oauth(browser: &mut Browser<'_>) {
    let (tokens, _) = browser.tokens().await;
    let refresh = |tokens: &Value| {
        let token = tokens["refresh_token"].as_str().unwrap().to_owned();
        vec![
            ("grant_type", "refresh_token".to_owned()),
            ("client_id", "cairn-cli".to_owned()),
            ("refresh_token", token),
        ]
    };
    let again = browser.token(&refresh(&tokens)).await;
    assert!(again["refresh_token"].is_string(), "{again}");
    browser.token(&refresh(&tokens)).await;
    let (tokens, _) = browser.tokens().await;
    let token = tokens["access_token"].as_str().unwrap().to_owned();
    browser.post("RevokeToken", "/oauth2/revoke", &[("token", &token)]).await;
    for decision in ["allow", "refuse"] {
        let begun =
            browser.post("BeginDeviceLogin", "/oauth2/device_authorization", &[("client_id", "cairn-cli")]).await;
        let begun: Value = begun.json().await.unwrap();
        let form = [("user_code", begun["user_code"].as_str().unwrap()), ("decision", decision)];
        browser.post("DecideDeviceLogin", "/oauth2/device", &form).await;
    }
    let answer = browser.post("Logout", "/oauth2/logout", &[]).await;
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
}

async fn sessions(caller: &Caller<'_>) {
    let login = async || {
        let key = json!({"api_key": caller.suite.admin});
        caller.call("auth.SessionService/Login", &[], key).await
    };
    let refresh = "auth.SessionService/Refresh";
    let token = json!({"refresh_token": login().await["refresh_token"]});
    caller.call(refresh, &[], token.clone()).await;
    caller.refused(refresh, &[], token).await;
    caller.call("auth.SessionService/Revoke", &[], json!({"token": login().await["refresh_token"]})).await;
    let token = login().await["access_token"].clone();
    let shown = caller.call("auth.SessionService/Introspect", &[], json!({"token": token})).await;
    let session = shown["session"].as_str().unwrap();
    caller.call("auth.SessionService/RevokeSession", &[session], json!({})).await;
}
