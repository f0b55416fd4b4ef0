//! Processes that prove to each other who they are.

use std::net::SocketAddr;

use cairn_kernel::Principal;
use cairn_service::Listening;
use cairn_service::guard::PRINCIPAL;
use cairn_service::outgoing::{self, Balance};
use cairn_service::tls::{Config, Files, Links};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;
use tonic_types::StatusExt;

use crate::pki::Authority;
use crate::zoo::{Lion, LionRequest, Zoo, about_leo, path};

/// A zoo that only known processes reach, and the authority that says who they are.
struct Network {
    zoo: Zoo,
    authority: Authority,
    folder: TempDir,
    address: SocketAddr,
    links: Links,
    _stop: DropGuard,
}

fn links(files: &Files) -> Links {
    let identities = [
        "zoo spiffe://cairn/zoo",
        "gateway spiffe://cairn/gateway",
        "gateway edge.cairn.internal",
        "registry spiffe://cairn/registry",
    ];
    let config = Config {
        certificate_file: Some(files.certificate.clone()),
        key_file: Some(files.key.clone()),
        trusted_file: files.trusted.clone(),
        identities: identities.map(str::to_owned).to_vec(),
        ..Config::default()
    };
    Links::open(&config).unwrap().unwrap()
}

impl Network {
    async fn new() -> Self {
        let (zoo, authority, folder) = (Zoo::new(), Authority::new(), tempfile::tempdir().unwrap());
        let links = links(&authority.issue(folder.path(), "zoo", &["spiffe://cairn/zoo"]));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let (process, serving, stopped) = (zoo.process.clone(), links.clone(), stop.clone());
        tokio::spawn(async move { process.serve(listener, &Listening::default(), Some(serving), stopped).await });
        Self { zoo, authority, folder, address, links, _stop: stop.drop_guard() }
    }

    /// What a process with a certificate for `identity` is answered.
    async fn ask(&self, identity: &str, request: Request<LionRequest>) -> Result<Lion, Status> {
        self.ask_by(&links(&self.authority.issue(self.folder.path(), "asking", &[identity])), "zoo", request).await
    }

    async fn ask_by(&self, links: &Links, role: &str, request: Request<LionRequest>) -> Result<Lion, Status> {
        let config = outgoing::Config::default();
        let balance = Balance::linked(&config, &[format!("https://{}", self.address)], links.to(role)).unwrap();
        ask(balance, request).await
    }

    fn of_service(&self, name: &str) -> Request<LionRequest> {
        let token = self.zoo.access.sign(&Principal::service(name)).unwrap();
        let mut request = about_leo("meat");
        request.metadata_mut().insert(PRINCIPAL, token.parse().unwrap());
        request
    }

    fn of_keeper(&self) -> Request<LionRequest> {
        self.zoo.signed("users/keeper", about_leo("meat"))
    }
}

async fn ask(balance: Balance, request: Request<LionRequest>) -> Result<Lion, Status> {
    let mut client = tonic::client::Grpc::new(balance);
    client.ready().await.unwrap();
    client.unary(request, path("GetLion"), ProstCodec::default()).await.map(tonic::Response::into_inner)
}

fn reason(refused: Result<Lion, Status>) -> String {
    refused.unwrap_err().get_error_details().error_info().map_or_else(String::new, |info| info.reason.clone())
}

#[tokio::test]
async fn the_gateway_speaks_for_its_callers_whatever_its_identity_is_called() {
    let network = Network::new().await;
    for identity in ["spiffe://cairn/gateway", "edge.cairn.internal"] {
        let answer = network.ask(identity, network.of_keeper()).await.unwrap();
        assert!(answer.seen.starts_with("users/keeper"), "{}", answer.seen);
    }
}

#[tokio::test]
async fn a_known_process_without_a_verified_principal_is_a_stranger() {
    let network = Network::new().await;
    assert_eq!(reason(network.ask("spiffe://cairn/gateway", about_leo("meat")).await), "CREDENTIAL_MISSING");
    let mut forged = about_leo("meat");
    forged.metadata_mut().insert(PRINCIPAL, "e30.e30.sig".parse().unwrap());
    assert_eq!(reason(network.ask("spiffe://cairn/gateway", forged).await), "CREDENTIAL_INVALID");
}

#[tokio::test]
async fn a_service_speaks_for_itself_alone() {
    let network = Network::new().await;
    let of_registry = network.of_service("registry");
    // Known, and refused for what it may do: not for who it is.
    assert_ne!(reason(network.ask("spiffe://cairn/registry", of_registry).await), "PEER_NOT_TRUSTED");
    let stolen = [network.of_service("experiments"), network.of_keeper()];
    for request in stolen {
        assert_eq!(reason(network.ask("spiffe://cairn/registry", request).await), "PEER_NOT_TRUSTED");
    }
    assert_eq!(reason(network.ask("spiffe://cairn/gateway", network.of_service("registry")).await), "PEER_NOT_TRUSTED");
}

#[tokio::test]
async fn who_proves_no_role_gets_no_connection() {
    let network = Network::new().await;
    let stranger = network.ask("spiffe://cairn/unheard-of", network.of_keeper()).await.unwrap_err();
    assert_eq!(stranger.code(), Code::Unavailable);
    let elsewhere = Authority::new();
    let mut files = elsewhere.issue(network.folder.path(), "elsewhere", &["spiffe://cairn/gateway"]);
    let own = network.authority.issue(network.folder.path(), "own", &["spiffe://cairn/gateway"]);
    files.trusted = own.trusted;
    let foreign = network.ask_by(&links(&files), "zoo", network.of_keeper()).await.unwrap_err();
    assert_eq!(foreign.code(), Code::Unavailable);
    let plain = Balance::new(&outgoing::Config::default(), &[format!("http://{}", network.address)]).unwrap();
    assert_eq!(ask(plain, network.of_keeper()).await.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
async fn a_process_that_is_not_what_was_called_gets_nothing() {
    let network = Network::new().await;
    let gateway = links(&network.authority.issue(network.folder.path(), "gateway", &["spiffe://cairn/gateway"]));
    let other = network.ask_by(&gateway, "registry", network.of_keeper()).await.unwrap_err();
    assert_eq!(other.code(), Code::Unavailable, "the zoo is no registry");
    let foreign = Authority::new().issue(network.folder.path(), "foreign", &["spiffe://cairn/gateway"]);
    let distrusting = network.ask_by(&links(&foreign), "zoo", network.of_keeper()).await.unwrap_err();
    assert_eq!(distrusting.code(), Code::Unavailable, "its authority is not the zoo's");
}

#[tokio::test]
async fn a_certificate_is_replaced_while_processes_run() {
    let network = Network::new().await;
    let gateway = links(&network.authority.issue(network.folder.path(), "gateway", &["spiffe://cairn/gateway"]));
    network.ask_by(&gateway, "zoo", network.of_keeper()).await.unwrap();
    // The zoo is something else from now on.
    network.authority.issue(network.folder.path(), "zoo", &["spiffe://cairn/registry"]);
    network.links.certificate().look();
    let zoo = network.ask_by(&gateway, "zoo", network.of_keeper()).await.unwrap_err();
    assert_eq!(zoo.code(), Code::Unavailable);
    network.ask_by(&gateway, "registry", network.of_keeper()).await.unwrap();
}
