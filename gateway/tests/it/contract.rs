use axum::body::Body;
use cairn_contract::Contract;
use cairn_gateway::{Config, Gateway, Origin};
use http::{Request, StatusCode};

use crate::world::World;

#[tokio::test]
async fn every_binding_of_the_contract_can_be_routed() {
    let world = World::new();
    let contract = Contract::embedded().unwrap();
    let gateway =
        Gateway::new(Config::default(), contract, world.access.clone(), world.things.clone(), Origin::default())
            .unwrap_or_else(|faults| panic!("{faults:#?}"));
    let mut count = 0;
    for method in contract.methods() {
        for binding in &method.bindings {
            let path = example(&binding.template);
            let request = Request::builder()
                .method(binding.verb.as_str())
                .uri(&path)
                .header("x-api-key", &world.keys.good)
                .body(Body::empty());
            let answer = gateway.answer(request.unwrap()).await;
            assert_ne!(answer.status(), StatusCode::NOT_FOUND, "{} {path} ({})", binding.verb, method.path);
            assert_ne!(answer.status(), StatusCode::METHOD_NOT_ALLOWED, "{} {path} ({})", binding.verb, method.path);
            count += 1;
        }
    }
    assert!(count > 50, "only {count} bindings");
}

/// A path that the template takes.
fn example(template: &cairn_contract::Template) -> String {
    use cairn_contract::Segment;
    let segments = template.segments().iter().map(|segment| match segment {
        Segment::Literal(text) => text.clone(),
        Segment::One | Segment::Rest => "x".to_owned(),
    });
    let path = segments.map(|segment| format!("/{segment}")).collect::<String>();
    template.verb().map_or(path.clone(), |verb| format!("{path}:{verb}"))
}
