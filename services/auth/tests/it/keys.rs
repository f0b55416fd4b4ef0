use std::time::Duration;

use cairn_access::AuthenticationFault;
use cairn_contract::cairn::auth::v1 as proto;
use cairn_kernel::Clock;
use tonic::{Code, Status};

use crate::suite::{CHOSEN, Suite, reason};

fn create(owner: &str, api_key: proto::ApiKey) -> proto::CreateApiKeyRequest {
    proto::CreateApiKeyRequest { parent: owner.into(), api_key: Some(api_key), request_id: String::new() }
}

fn scoped(scopes: &[&str]) -> proto::ApiKey {
    proto::ApiKey { scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(), ..Default::default() }
}

async fn made(suite: &Suite, owner: &str, api_key: proto::ApiKey) -> Result<proto::ApiKey, Status> {
    Ok(suite.keys().create_api_key(suite.by_user(owner, create(owner, api_key))).await?.into_inner())
}

#[tokio::test]
async fn a_key_is_shown_once_and_only_its_hash_is_kept() {
    let suite = Suite::begun().await;
    let ada = suite.user(None).await;
    let key = made(&suite, &ada, proto::ApiKey::default()).await.unwrap();
    assert!(key.secret.starts_with("cairn_pat_"), "its prefix says what it is");
    assert_eq!(suite.deps.access.authenticate(&key.secret).unwrap().name, ada);
    let in_90_days = suite.ground.clock.now().after(Duration::from_secs(90 * 86_400)).seconds_and_nanos().0;
    assert_eq!(key.expire_time.unwrap().seconds, in_90_days);

    let get = proto::GetApiKeyRequest { name: key.name.clone(), ..Default::default() };
    let shown = suite.keys().get_api_key(suite.by_user(&ada, get)).await.unwrap().into_inner();
    assert_eq!(shown, proto::ApiKey { secret: String::new(), ..key.clone() });
    let list = proto::ListApiKeysRequest { parent: ada.clone(), ..Default::default() };
    let mut listed = suite.keys().list_api_keys(suite.by_user(&ada, list)).await.unwrap().into_inner();
    // That it was used just now is noted when it is noted.
    listed.api_keys.iter_mut().for_each(|key| key.last_use_time = shown.last_use_time);
    assert_eq!(listed.api_keys, [shown]);
    let secret = key.secret.rsplit('_').next().unwrap().as_bytes();
    for recorded in suite.events("ApiKeyCreated").await {
        assert!(!recorded.payload.windows(secret.len()).any(|window| window == secret));
    }
}

#[tokio::test]
async fn the_answer_to_a_repeat_has_no_secret_and_the_first_one_stays_good() {
    let suite = Suite::begun().await;
    let ada = suite.user(None).await;
    let request = proto::CreateApiKeyRequest { request_id: "r-1".into(), ..create(&ada, proto::ApiKey::default()) };
    let first = suite.keys().create_api_key(suite.by_user(&ada, request.clone())).await.unwrap().into_inner();
    let second = suite.keys().create_api_key(suite.by_user(&ada, request)).await.unwrap().into_inner();
    assert_eq!(second, proto::ApiKey { secret: String::new(), ..first.clone() });
    assert!(suite.deps.access.authenticate(&first.secret).is_ok());
}

#[tokio::test]
async fn nobody_makes_keys_for_somebody_else_or_wider_than_their_own() {
    let suite = Suite::begun().await;
    let (ada, bob) = (suite.user(None).await, suite.user(None).await);
    let theirs = suite.by_user(&ada, create(&bob, proto::ApiKey::default()));
    assert_eq!(suite.keys().create_api_key(theirs).await.unwrap_err().code(), Code::PermissionDenied);

    let narrow = made(&suite, &ada, scoped(&[&ada])).await.unwrap().secret;
    for (wide, is_fine) in [(scoped(&[]), false), (scoped(&["projects/default"]), false), (scoped(&[&ada]), true)] {
        let outcome = suite.keys().create_api_key(suite.by_key(&narrow, create(&ada, wide))).await;
        match outcome {
            Ok(_) => assert!(is_fine),
            Err(refused) => assert_eq!((is_fine, reason(&refused).as_str()), (false, "CREDENTIAL_TOO_WIDE")),
        }
    }
}

#[tokio::test]
async fn a_rotated_key_works_with_both_secrets_for_its_grace() {
    let suite = Suite::begun().await;
    let ada = suite.user(None).await;
    let before = made(&suite, &ada, proto::ApiKey::default()).await.unwrap();
    let grace = Some(prost_types::Duration { seconds: 3_600, nanos: 0 });
    let rotate = proto::RotateApiKeyRequest { name: before.name.clone(), grace, ..Default::default() };
    let after = suite.keys().rotate_api_key(suite.by_user(&ada, rotate)).await.unwrap().into_inner();
    assert_ne!(after.secret, before.secret);
    let accepts = |secret: &str| suite.deps.access.authenticate(secret).map(|principal| principal.name);
    assert_eq!((accepts(&before.secret), accepts(&after.secret)), (Ok(ada.clone()), Ok(ada.clone())));
    suite.ground.clock.advance(Duration::from_secs(3_600));
    assert_eq!(accepts(&before.secret), Err(AuthenticationFault::Invalid));
    assert_eq!(accepts(&after.secret), Ok(ada));
}

#[tokio::test]
async fn who_is_disabled_or_whose_key_is_revoked_is_refused_with_the_answer() {
    let suite = Suite::begun().await;
    let ada = suite.user(Some(("roles/viewer", "projects/default"))).await;
    let key = made(&suite, &ada, proto::ApiKey::default()).await.unwrap();
    let other = made(&suite, &ada, proto::ApiKey::default()).await.unwrap();
    let get = || proto::GetProjectRequest { name: "projects/default".into(), ..Default::default() };
    let held = suite.by_key(&key.secret, get());
    let revoke = proto::RevokeApiKeyRequest { name: key.name.clone(), ..Default::default() };
    suite.keys().revoke_api_key(suite.by_user(&ada, revoke)).await.unwrap();
    assert_eq!(suite.deps.access.authenticate(&key.secret), Err(AuthenticationFault::Revoked));
    let refused = suite.projects().get_project(held).await.unwrap_err();
    assert_eq!(reason(&refused), "CREDENTIAL_REVOKED", "a principal that was signed before");

    let held = suite.by_key(&other.secret, get());
    let disable = proto::DisableUserRequest { name: ada.clone(), ..Default::default() };
    suite.users().disable_user(suite.by_admin(disable)).await.unwrap();
    assert_eq!(suite.deps.access.authenticate(&other.secret), Err(AuthenticationFault::Revoked));
    assert_eq!(reason(&suite.projects().get_project(held).await.unwrap_err()), "CREDENTIAL_REVOKED");
    let enable = proto::EnableUserRequest { name: ada, ..Default::default() };
    suite.users().enable_user(suite.by_admin(enable)).await.unwrap();
    assert!(suite.deps.access.authenticate(&other.secret).is_ok());
}

#[tokio::test]
async fn a_key_is_exchanged_for_a_short_lived_token_no_wider_than_itself() {
    let suite = Suite::begun().await;
    let ada = suite.user(Some(("roles/viewer", "projects/default"))).await;
    let key = made(&suite, &ada, scoped(&["projects/default"])).await.unwrap().secret;
    let exchange = |api_key: &str, scopes: &[&str]| {
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        tonic::Request::new(proto::ExchangeTokenRequest { api_key: api_key.into(), scopes })
    };
    let answer = suite.tokens().exchange_token(exchange(&key, &["projects/default/experiments/1"])).await.unwrap();
    let answer = answer.into_inner();
    assert_eq!((answer.token_type.as_str(), answer.expires_in), ("Bearer", 600));
    let principal = suite.deps.access.authenticate(&answer.access_token).unwrap();
    assert_eq!((principal.name, principal.scopes), (ada, vec!["projects/default/experiments/1".to_owned()]));

    let wide = suite.tokens().exchange_token(exchange(&key, &["*"])).await.unwrap_err();
    assert_eq!(reason(&wide), "CREDENTIAL_TOO_WIDE");
    let token = suite.tokens().exchange_token(exchange(&answer.access_token, &[])).await.unwrap_err();
    assert_eq!(token.code(), Code::InvalidArgument, "a token for a token would never have to end");
    let wrong = suite.tokens().exchange_token(exchange("no-key-of-anybody", &[])).await.unwrap_err();
    assert_eq!(reason(&wrong), "CREDENTIAL_INVALID");
    let keys = suite.tokens().fetch_jwks(tonic::Request::new(proto::FetchJwksRequest {})).await.unwrap().into_inner();
    let kid = jwt_kid(&answer.access_token);
    assert!(keys.keys.iter().any(|key| key.kid == kid && key.crv == "Ed25519"));
    assert!(suite.deps.access.authenticate(CHOSEN).is_ok());
}

fn jwt_kid(token: &str) -> String {
    use base64::Engine;
    let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    let header = String::from_utf8(header).unwrap();
    header.split("\"kid\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_token_ends_with_the_secret_it_was_got_with() {
    let suite = Suite::begun().await;
    let ada = suite.user(None).await;
    let key = made(&suite, &ada, proto::ApiKey::default()).await.unwrap();
    let exchange = async |secret: &str| {
        let request = proto::ExchangeTokenRequest { api_key: secret.to_owned(), scopes: vec![] };
        let answer = suite.tokens().exchange_token(tonic::Request::new(request)).await.unwrap();
        suite.ground.clock.advance(Duration::from_millis(5));
        answer.into_inner().access_token
    };
    let rotate = async |seconds: i64| {
        let grace = Some(prost_types::Duration { seconds, nanos: 0 });
        let request = proto::RotateApiKeyRequest { name: key.name.clone(), grace, ..Default::default() };
        suite.keys().rotate_api_key(suite.by_user(&ada, request)).await.unwrap().into_inner().secret
    };
    let accepts = |token: &str| suite.deps.access.authenticate(token).map(|principal| principal.name);

    let first = exchange(&key.secret).await;
    let second = exchange(&rotate(60).await).await;
    assert_eq!((accepts(&first), accepts(&second)), (Ok(ada.clone()), Ok(ada.clone())), "both secrets hold");
    suite.ground.clock.advance(Duration::from_secs(60));
    assert_eq!(accepts(&first), Err(AuthenticationFault::Revoked), "the first secret is over");
    assert_eq!(accepts(&second), Ok(ada.clone()));
    let third = exchange(&rotate(0).await).await;
    assert_eq!((accepts(&second), accepts(&third)), (Err(AuthenticationFault::Revoked), Ok(ada)));
}

#[tokio::test]
async fn when_a_key_was_last_used_is_known_to_the_hour_and_leaves_its_etag() {
    let suite = Suite::begun().await;
    let ada = suite.user(None).await;
    let key = made(&suite, &ada, proto::ApiKey::default()).await.unwrap();
    assert_eq!(key.last_use_time, None);
    let uses = async || suite.events("ApiKeyUsed").await.len();
    suite.deps.access.authenticate(&key.secret).unwrap();
    let first = suite.hears("ApiKeyUsed").await;
    suite.deps.access.authenticate(&key.secret).unwrap();
    suite.ground.clock.advance(Duration::from_secs(3_599));
    suite.deps.access.authenticate(&key.secret).unwrap();
    suite.ground.clock.advance(Duration::from_secs(1));
    let now = suite.ground.clock.now();
    suite.deps.access.authenticate(&key.secret).unwrap();
    let mut head = suite.deps.store.head();
    while uses().await < 2 {
        head.changed().await.unwrap();
    }
    let mut get = suite.by_user(&ada, proto::GetApiKeyRequest { name: key.name.clone(), ..Default::default() });
    let position = (*head.borrow_and_update()).to_string();
    get.metadata_mut().insert("cairn-after", position.parse().unwrap());
    let shown = suite.keys().get_api_key(get).await.unwrap().into_inner();
    assert_eq!(shown.last_use_time.unwrap().seconds, now.seconds_and_nanos().0);
    assert_eq!(shown.etag, key.etag, "a use is no change");
    assert_eq!(uses().await, 2, "one for each hour, of four uses");
    assert!(first.position < *head.borrow());
}

#[tokio::test]
async fn of_the_uses_of_a_key_only_the_newest_are_kept() {
    const KEPT: usize = 24;
    let suite = Suite::begun().await;
    let ada = suite.user(None).await;
    let key = made(&suite, &ada, proto::ApiKey::default()).await.unwrap();
    let mut head = suite.deps.store.head();
    for _ in 0..KEPT + 6 {
        let before = *head.borrow_and_update();
        suite.ground.clock.advance(Duration::from_secs(3_600));
        suite.deps.access.authenticate(&key.secret).unwrap();
        while *head.borrow_and_update() == before {
            head.changed().await.unwrap();
        }
    }
    // The limit follows the event it is for.
    while suite.events("ApiKeyUsed").await.len() > KEPT {
        tokio::task::yield_now().await;
    }
    assert_eq!(suite.events("ApiKeyUsed").await.len(), KEPT);
}
