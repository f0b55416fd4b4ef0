use axum::body::Body;
use base64::Engine;
use http::{Request, StatusCode};

use crate::world::World;

const THING: &str = "/api/v1/projects/a/things/b";

fn basic(pair: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
}

fn with(name: &str, value: &str) -> Request<Body> {
    Request::get(THING).header(name, value).body(Body::empty()).unwrap()
}

/// Whom the service behind would believe to be called by.
fn principal(world: &World) -> Option<String> {
    let seen = world.things.last();
    let token = seen.metadata.get("cairn-principal")?;
    Some(world.access.verify(token.to_str().unwrap()).unwrap().name)
}

#[tokio::test]
async fn a_key_is_accepted_wherever_clients_put_it_s1_5() {
    let world = World::new();
    let key = &world.keys.good;
    for (name, value) in [
        ("authorization", format!("Bearer {key}")),
        ("authorization", basic(&format!("{key}:"))),
        ("authorization", basic(&format!("anybody:{key}"))),
        ("x-api-key", key.clone()),
    ] {
        let answer = world.send_bare(with(name, &value)).await;
        assert_eq!(answer.status, StatusCode::OK, "{name}: {:?}", answer.body);
        assert_eq!(principal(&world).as_deref(), Some("serviceAccounts/trainer"));
    }
}

#[tokio::test]
async fn each_bad_credential_has_its_own_reason_s0_91() {
    let world = World::new();
    let changed = world.keys.good.replace("cairn_", "cairn-");
    for (credential, reason) in [
        (world.keys.revoked.as_str(), "CREDENTIAL_REVOKED"),
        (world.keys.expired.as_str(), "CREDENTIAL_EXPIRED"),
        (changed.as_str(), "CREDENTIAL_INVALID"),
    ] {
        let answer = world.send_bare(with("authorization", &format!("Bearer {credential}"))).await;
        assert_eq!((answer.status, &answer.json()["error"]["reason"]), (StatusCode::UNAUTHORIZED, &reason.into()));
        let challenges: Vec<_> = answer.headers.get_all("www-authenticate").iter().collect();
        assert_eq!(challenges, ["Bearer realm=\"cairn\"", "Basic realm=\"cairn\""]);
        assert!(world.things.seen.lock().is_empty(), "nothing reached the service");
    }
    let both = Request::get(THING).header("x-api-key", &world.keys.good).header("authorization", "Bearer other");
    let answer = world.send_bare(both.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.json()["error"]["reason"], "CREDENTIAL_INVALID", "which of two counts would be a guess");
}

#[tokio::test]
async fn without_a_credential_nobody_is_named_and_the_guard_decides() {
    let world = World::new();
    let answer = world.send_bare(Request::get("/hello").body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(principal(&world), None);
}

#[tokio::test]
async fn nobody_can_say_who_they_are_except_by_a_credential() {
    let world = World::new();
    let forged = world.access.sign(&cairn_kernel::Principal::service("auth")).unwrap();
    let request = Request::get("/hello").header("cairn-principal", forged).header("cairn-source", "1.2.3.4");
    let answer = world.send_bare(request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, StatusCode::OK);
    let seen = world.things.last().metadata;
    assert!(seen.get("cairn-principal").is_none() && seen.get("cairn-source").is_none(), "{seen:?}");
    assert!(seen.get("authorization").is_none(), "no credential goes further than the gateway");
}
