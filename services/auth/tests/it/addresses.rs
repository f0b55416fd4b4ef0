//! Where calls come from, sealed for whom it tells of, opened for who may know, and forgotten with the person.

use cairn_contract::cairn::auth::v1 as proto;
use cairn_contract::cairn::auth::v1::open_source_addresses_request::Entry;
use cairn_contract::cairn::auth::v1::open_source_addresses_response::Opened;
use cairn_contract::cairn::auth::v1::replay_decision_request::Rules;
use cairn_eventstore::{Direction, EventStore, Filter};
use cairn_kernel::Position;
use cairn_service::guard::{SEALED_SOURCE, SOURCE};
use tonic::{Request, Status};

use crate::suite::{Suite, reason};

const ADDRESS: &str = "10.77.66.55";

impl Suite {
    /// What auth makes of an address for a user who asks from there.
    async fn sealed(&self, user: &str) -> Result<String, Status> {
        let mut request = self.by_user(user, proto::SealSourceAddressRequest {});
        request.metadata_mut().insert(SOURCE, ADDRESS.parse().unwrap());
        Ok(self.addresses().seal_source_address(request).await?.into_inner().sealed_address)
    }

    /// A request as the gateway passes it on that comes from the address.
    async fn asked_from_there<T>(&self, user: &str, message: T) -> Request<T> {
        let mut request = self.by_user(user, message);
        request.metadata_mut().insert(SOURCE, ADDRESS.parse().unwrap());
        request.metadata_mut().insert(SEALED_SOURCE, self.sealed(user).await.unwrap().parse().unwrap());
        request
    }

    async fn opened(&self, asker: &str, principal: &str, sealed: &str) -> Result<Opened, Status> {
        let entries = vec![Entry { principal: principal.into(), sealed_address: sealed.into() }];
        let request = proto::OpenSourceAddressesRequest { entries };
        let answer = self.addresses().open_source_addresses(self.by_user(asker, request)).await?.into_inner();
        Ok(answer.addresses[0].clone())
    }

    async fn create_project(&self, user: &str, id: &str) {
        let request = proto::CreateProjectRequest { project_id: id.into(), ..Default::default() };
        self.projects().create_project(self.asked_from_there(user, request).await).await.unwrap();
    }

    async fn erase(&self, user: &str) {
        let request = proto::EraseUserRequest { name: user.into(), ..Default::default() };
        self.users().erase_user(self.by_admin(request)).await.unwrap();
    }

    /// Everything that the log holds, as text.
    async fn log(&self) -> String {
        let page =
            self.ground.store.read_all(Position::START, Direction::Forwards, &Filter::all(), 1_000).await.unwrap();
        let bytes = page.events.iter().flat_map(|event| [&event.payload[..], &event.metadata[..]].concat());
        String::from_utf8_lossy(&bytes.collect::<Vec<_>>()).into_owned()
    }
}

#[tokio::test]
async fn the_log_has_addresses_sealed_and_who_may_know_has_them_opened_until_the_person_is_erased() {
    let suite = Suite::begun().await;
    let ada = suite.user(Some(("roles/admin", "*"))).await;
    suite.create_project(&ada, "p1").await;
    let event = suite.events("ProjectCreated").await.pop().unwrap();
    let recorded = event.metadata().source_address.unwrap();
    assert!(recorded.starts_with("sealed:") && !suite.log().await.contains(ADDRESS), "{recorded}");
    assert_ne!(suite.sealed(&ada).await.unwrap(), recorded, "the same address does not look the same twice");

    let known = Opened { address: ADDRESS.into(), forgotten: false };
    assert_eq!(suite.opened("users/admin", &ada, &recorded).await.unwrap(), known);
    let viewer = suite.user(Some(("roles/viewer", "*"))).await;
    assert_eq!(reason(&suite.opened(&viewer, &ada, &recorded).await.unwrap_err()), "ACCESS_DENIED");
    for (principal, sealed) in [(viewer.as_str(), recorded.as_str()), (&ada, "sealed:AAAA"), (&ada, "sealed:?")] {
        let refused = suite.opened("users/admin", principal, sealed).await.unwrap_err();
        assert_eq!(reason(&refused), "VALIDATION_ERROR", "{refused:?}");
    }
    let of_old = Opened { address: "192.0.2.9".into(), forgotten: false };
    assert_eq!(suite.opened("users/admin", &ada, "192.0.2.9").await.unwrap(), of_old);

    suite.erase(&ada).await;
    let forgotten = Opened { address: String::new(), forgotten: true };
    assert_eq!(suite.opened("users/admin", &ada, &recorded).await.unwrap(), forgotten);
    assert!(suite.sealed(&ada).await.is_err(), "nothing is sealed for whoever is gone");
    assert_eq!(suite.opened("users/admin", &ada, &recorded).await.unwrap(), forgotten);
}

#[tokio::test]
async fn who_opened_whose_is_on_record_and_so_many_at_once() {
    let suite = Suite::begun().await;
    let sealed = suite.sealed("users/admin").await.unwrap();
    suite.opened("users/admin", "users/admin", &sealed).await.unwrap();
    assert!(suite.log().await.contains(&sealed), "the record names what was asked for");
    let entries = vec![Entry::default(); 101];
    let too_many = suite.by_admin(proto::OpenSourceAddressesRequest { entries });
    let refused = suite.addresses().open_source_addresses(too_many).await.unwrap_err();
    assert_eq!(reason(&refused), "VALIDATION_ERROR");
}

#[tokio::test]
async fn what_was_decided_by_an_address_is_decided_again_by_it_until_it_is_forgotten() {
    let suite = Suite::begun().await;
    let ada = suite.user(None).await;
    let condition = proto::Condition { source_networks: vec!["10.77.0.0/16".into()], ..Default::default() };
    let binding = proto::Binding {
        principal: ada.clone(),
        role: "roles/admin".into(),
        resource: "*".into(),
        condition: Some(condition),
        ..Default::default()
    };
    let request = proto::CreateBindingRequest { binding: Some(binding), request_id: String::new() };
    suite.access().create_binding(suite.by_admin(request)).await.unwrap();
    suite.create_project(&ada, "p1").await;
    let decision = suite.events("ProjectCreated").await.pop().unwrap().metadata().decision_id.unwrap();
    let replay = async || {
        let request = proto::ReplayDecisionRequest { name: format!("decisions/{decision}"), rules: Rules::Then.into() };
        suite.access().replay_decision(suite.by_admin(request)).await.unwrap().into_inner()
    };
    let told = replay().await;
    assert_eq!((told.was_allowed, told.agrees, told.source_forgotten), (true, true, false));
    suite.erase(&ada).await;
    let told = replay().await;
    assert_eq!((told.was_allowed, told.agrees, told.source_forgotten), (true, false, true));
}

#[tokio::test]
async fn a_stranger_is_written_down_by_network_and_has_nothing_sealed() {
    let suite = Suite::begun().await;
    let mut request = Request::new(proto::SealSourceAddressRequest {});
    request.metadata_mut().insert(SOURCE, ADDRESS.parse().unwrap());
    let refused = suite.addresses().seal_source_address(request).await.unwrap_err();
    assert_eq!(reason(&refused), "CREDENTIAL_MISSING");
    let from_nowhere = suite.by_admin(proto::SealSourceAddressRequest {});
    let refused = suite.addresses().seal_source_address(from_nowhere).await.unwrap_err();
    assert_eq!(reason(&refused), "VALIDATION_ERROR");
    suite.process.drain().await.unwrap();
    let log = suite.log().await;
    assert!(log.contains("10.77.66.0") && !log.contains(ADDRESS));
}
