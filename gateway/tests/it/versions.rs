//! A version of the contract beside the one that came after it.

use http::{Request, StatusCode};
use tonic::Code;

use crate::grpc::{channel, keyed};
use crate::things::Raw;
use crate::world::World;

#[tokio::test]
async fn two_versions_are_served_beside_each_other_and_the_older_one_says_when_it_ends_s0_97() {
    let world = World::new();
    let (old, new) =
        (world.get("/api/v1/projects/a/things/b:retired").await, world.get("/api/v2/projects/a/things/b").await);
    assert_eq!((old.status, new.status), (StatusCode::OK, StatusCode::OK));
    assert_eq!((old.json()["size"].as_str(), new.json().get("size")), (Some("9007199254740993"), None));
    assert_eq!(old.header("deprecation"), "@1769817600");
    assert_eq!(old.header("sunset"), "Sun, 31 Jan 2027 00:00:00 GMT");
    assert_eq!(
        old.header("link"),
        "</docs>; rel=\"successor-version\"; title=\"cairn.things.v2.ThingService/GetThing\""
    );
    for name in ["deprecation", "sunset", "link"] {
        assert!(!new.headers.contains_key(name), "{name}");
    }
    let staying = world.get("/api/v1/projects/a/things/b").await;
    assert!(!staying.headers.contains_key("deprecation"));
}

#[tokio::test]
async fn refusals_say_it_too_and_so_does_grpc() {
    let world = World::new();
    let missing = world.get("/api/v1/projects/a/things/missing:retired").await;
    assert_eq!((missing.status, missing.header("deprecation")), (StatusCode::NOT_FOUND, "@1769817600"));
    let (address, _stop) = world.grpc().await;
    let mut grpc = tonic::client::Grpc::new(channel(address).await);
    grpc.ready().await.unwrap();
    let name = serde_json::json!({ "name": "projects/a/things/b" });
    let request = keyed(&world, world.things.to_bytes("cairn.things.v1.GetThingRequest", name));
    let path = "/cairn.things.v1.ThingService/GetRetiredThing".parse().unwrap();
    let answer = grpc.unary(request, path, Raw).await.unwrap_or_else(|status| panic!("{:?}: {status}", Code::Ok));
    assert_eq!(answer.metadata().get("deprecation").unwrap(), "@1769817600");
}

#[tokio::test]
async fn what_is_made_is_found_under_the_version_it_was_made_by() {
    let world = World::new();
    for version in ["v1", "v2"] {
        let path = format!("/api/{version}/projects/a/things/b:found");
        let request = Request::post(&path).header("content-type", "application/json").body("{}".into()).unwrap();
        let made = world.send(request).await;
        assert_eq!(made.status, StatusCode::CREATED);
        assert_eq!(made.header("location"), format!("/api/{version}/projects/a/things/b"));
    }
}
