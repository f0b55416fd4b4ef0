//! The login of a device without a browser (RFC 8628). What it asks costs nothing here: its code is sealed, and only
//! what a person decides about it is on record.

use std::time::{Duration, Instant};

use cairn_access::ApiKey;
use cairn_eventstore::CommandFault;
use cairn_kernel::Expected;
use cairn_service::{Ctx, refuse};
use moka::sync::Cache;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tonic::Status;

use super::authorize::present;
use super::client::{Asking, identify};
use super::fault::OauthFault;
use super::form::Form;
use super::grant::{Outcome, begin as begin_session, told};
use super::reply::{Answer, Sent};
use super::scope::Scope;
use super::tokens::{Asked, id_token};
use super::{csrf, page};
use crate::desk::{Desk, stream};
use crate::model::device_login::{Approval, Command, Decision};
use crate::model::session::{Grounds, Holder};
use crate::model::{DeviceLogin, PrincipalName, Rejection, UserName};
use crate::oidc::acting;
use crate::sessions;

/// The kind of grant that a device polls with.
pub const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// How long a person may take.
const LIFE: Duration = Duration::from_secs(600);
/// How long a device waits between two questions.
const INTERVAL: Duration = Duration::from_secs(5);
/// Devices whose last question is remembered.
const DEVICES_MAX: u64 = 10_000;
const SEAL: &str = "device codes";
const MARK: &str = "user codes";
const LOGIN: &str = "device logins";

/// Letters that are not taken for others, and make no words.
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
/// Letters that are chosen: too many for two devices to have the same, however many somebody asks for.
const CHOSEN: usize = 9;
/// Letters that check the others, so that a slip is told at once.
const CHECKED: usize = 3;

/// When each device last asked.
pub struct Polls(Cache<String, Instant>);

impl Default for Polls {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(DEVICES_MAX).time_to_live(LIFE).build())
    }
}

impl Polls {
    /// Whether a device asks sooner than it was told to.
    fn is_too_soon(&self, device: &str) -> bool {
        let last = self.0.get(device);
        self.0.insert(device.to_owned(), Instant::now());
        // A network is not a clock.
        last.is_some_and(|last| last.elapsed() + Duration::from_millis(500) < INTERVAL)
    }
}

#[derive(Serialize, Deserialize)]
struct Device {
    id: String,
    user_code: String,
    client: String,
    scope: String,
    expires: i64,
}

/// Gives a device its codes.
pub async fn begin(desk: &Desk, sent: &Sent, form: &Form) -> Result<Answer, Status> {
    let asking = match identify(desk, sent, form).await? {
        Ok(asking) => asking,
        Err(fault) => return Ok(fault.into()),
    };
    let scope = match Scope::read(form.get("scope").unwrap_or_default()) {
        Ok(scope) => scope,
        Err(fault) => return Ok(fault.into()),
    };
    let (expires, _) = desk.now().after(LIFE).seconds_and_nanos();
    let user_code = fresh_code(desk);
    let device = Device {
        id: ApiKey::fresh_id(),
        user_code: user_code.clone(),
        client: asking.client.id,
        scope: scope.text(),
        expires,
    };
    let shown = dashed(&user_code);
    let address = desk.public.path("/oauth2/device");
    Ok(Answer::json(&json!({
        "device_code": desk.access.keyring().seal(SEAL, &serde_json::to_vec(&device).unwrap_or_default()),
        "user_code": shown,
        "verification_uri": address,
        "verification_uri_complete": format!("{address}?user_code={shown}"),
        "expires_in": LIFE.as_secs(),
        "interval": INTERVAL.as_secs(),
    })))
}

/// Answers a device that asks whether it was let in.
pub async fn poll(desk: &Desk, ctx: &Ctx, asking: &Asking, form: &Form) -> Outcome<Value> {
    let device = form.get("device_code").and_then(|text| desk.access.keyring().unseal(SEAL, text));
    let device: Option<Device> = device.and_then(|words| serde_json::from_slice(&words).ok());
    let Some(device) = device.filter(|device| device.client == asking.client.id) else {
        return Ok(Err(OauthFault::grant("the device code does not hold, or not for this client")));
    };
    let (now, _) = desk.now().seconds_and_nanos();
    if device.expires <= now {
        return Ok(Err(OauthFault::new("expired_token", "nobody let the device in in time")));
    }
    if desk.polls.is_too_soon(&device.id) {
        return Ok(Err(OauthFault::new("slow_down", "the device asks too often")));
    }
    let login = login(desk, &device.user_code);
    let loaded = desk.commands.load::<DeviceLogin>(&stream::<DeviceLogin>(&login)).await.map_err(refuse)?;
    let approval = match loaded.state.decision() {
        None => return Ok(Err(OauthFault::new("authorization_pending", "nobody has decided yet"))),
        Some(Decision::Refused(_)) => return Ok(Err(OauthFault::new("access_denied", "the device was refused"))),
        Some(Decision::Approved(approval)) => approval.clone(),
    };
    let session = approval.session.rsplit('/').next().unwrap_or_default();
    if desk.access.check_credential(session, approval.user.as_str()).is_err() {
        return Ok(Err(OauthFault::new("access_denied", "whoever let the device in has logged out since")));
    }
    let scope = Scope::read(&device.scope).unwrap_or_default();
    let grounds = Grounds {
        owner: PrincipalName::from(&approval.user),
        holder: Holder::Client,
        client: asking.client.id.clone(),
        identity_provider: approval.identity_provider,
        provider_session: approval.provider_session,
        api_key: String::new(),
        auth_time: approval.auth_time,
        expire_time: desk.now().after(desk.login.session_life()),
        scopes: scope.names.clone(),
    };
    // One decision makes one session, whichever device comes first; of a second one with the same code both are out.
    let id = sessions::id_of(desk, "sessions of devices", &login);
    let Some((session, pair)) = begin_session(desk, ctx, &id, &grounds).await? else {
        return Ok(Err(OauthFault::grant("the device code was used before: the session has ended")));
    };
    let mut tokens = told(&pair, &scope);
    if scope.has("openid") {
        let (has_profile, has_email) = (scope.has("profile"), scope.has("email"));
        let asked = Asked { client: &asking.client.id, nonce: "", has_profile, has_email };
        tokens["id_token"] = json!(id_token(desk, &session, &grounds, &asked).await?);
    }
    Ok(Ok(tokens))
}

/// The page on which somebody types in a code, or decides about one.
pub async fn show(desk: &Desk, sent: &Sent, user_code: &str) -> Result<Answer, Status> {
    let Some(present) = present(desk, sent).await? else {
        let mut here = url::form_urlencoded::Serializer::new(String::new());
        if !user_code.is_empty() {
            here.append_pair("user_code", user_code);
        }
        let here = format!("/oauth2/device?{}", here.finish());
        let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("return_to", &here).finish();
        return Ok(Answer::redirect(format!("/oauth2/login?{query}")));
    };
    if user_code.is_empty() {
        return Ok(page::device_code(""));
    }
    let Some(code) = read_code(desk, user_code) else {
        return Ok(page::device_code("No device shows this code. Look again."));
    };
    let person = desk.people.find(&present.principal.name).await.map_err(refuse)?;
    let user = if person.display_name.is_empty() { present.principal.name } else { person.display_name };
    Ok(page::device_decision(&dashed(&code), &user, &csrf::mark(desk, present.session.id())))
}

/// What somebody decides on that page.
pub async fn decide(desk: &Desk, ctx: &Ctx, sent: &Sent, form: &Form) -> Result<Answer, Status> {
    let Some(present) = present(desk, sent).await? else {
        return Ok(page::message(401, "Not logged in", "Log in, and type in the code again."));
    };
    csrf::require_own_page(desk, sent, present.session.id(), form.get("csrf"))?;
    let Some(code) = read_code(desk, form.get("user_code").unwrap_or_default()) else {
        return Ok(page::device_code("No device shows this code. Look again."));
    };
    let user = UserName::stored(present.principal.name.as_str());
    let decision = match form.get("decision") {
        Some("allow") => Decision::Approved(Approval {
            user: user.clone(),
            identity_provider: present.grounds.identity_provider,
            provider_session: present.grounds.provider_session,
            auth_time: present.grounds.auth_time,
            session: present.session.to_string(),
        }),
        _ => Decision::Refused(user.clone()),
    };
    let is_approved = matches!(decision, Decision::Approved(_));
    let login = login(desk, &code);
    let stream = stream::<DeviceLogin>(&login);
    let command = Command { login, decision };
    let order = acting(desk, ctx, &user).await;
    match desk.commands.execute::<DeviceLogin>(&order, &stream, Expected::Any, command).await {
        Ok(_) if is_approved => Ok(page::message(200, "Done", "The device is let in. You can close this page.")),
        Ok(_) => Ok(page::message(200, "Refused", "The device is not let in. You can close this page.")),
        Err(CommandFault::Rejected(Rejection::DeviceLoginDecided)) => {
            Ok(page::message(400, "Too late", "This code has been decided on. Begin again on the device."))
        }
        Err(fault) => Err(refuse(fault)),
    }
}

/// What the record of a decision is named by: not the code, which might still be typed in.
fn login(desk: &Desk, code: &str) -> String {
    desk.access.keyring().mark(LOGIN, &[code])
}

fn fresh_code(desk: &Desk) -> String {
    let secret = crate::public::fresh_secret();
    let chosen = letters(secret.as_bytes(), CHOSEN);
    let check = checking(desk, &chosen);
    chosen + &check
}

/// A code as somebody typed it, if any device can show it.
fn read_code(desk: &Desk, typed: &str) -> Option<String> {
    let code: String = typed.chars().filter(char::is_ascii_alphabetic).map(|c| c.to_ascii_uppercase()).collect();
    let (chosen, check) = code.split_at_checked(CHOSEN)?;
    (check == checking(desk, chosen)).then(|| code.clone())
}

fn checking(desk: &Desk, chosen: &str) -> String {
    letters(desk.access.keyring().mark(MARK, &[chosen]).as_bytes(), CHECKED)
}

/// So many letters from text nobody can guess: three characters of base64url, 18 bits, make each, so that none is much
/// likelier than another.
fn letters(text: &[u8], count: usize) -> String {
    let letter = |part: &[u8]| {
        let number = part.iter().fold(0usize, |number, byte| number * 131 + usize::from(*byte));
        char::from(LETTERS[number % LETTERS.len()])
    };
    text.chunks_exact(3).take(count).map(letter).collect()
}

fn dashed(code: &str) -> String {
    let groups: Vec<&str> = code.as_bytes().chunks(4).filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join("-")
}
