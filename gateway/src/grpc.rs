use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use cairn_contract::Contract;
use cairn_contract::cairn::options::v1::Dialect;
use cairn_kernel::Code;
use cairn_service::allowance::{self, Standing};
use cairn_service::guard::{self, Peer};
use cairn_service::telemetry::{TRACEPARENT, Traceparent};
use cairn_service::{Refusal, refuse};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use prost_reflect::FileDescriptor;
use prost_types::FileDescriptorSet;
use tonic::service::Routes;
use tower::Service;
use tracing::{Instrument, info, info_span};

use crate::caller::{self, Trace};
use crate::edge::Edge;
use crate::intake::{Broken, Intake, Limit};
use crate::open::{Slot, held};
use crate::{limit, retiring};

/// The gRPC port: calls pass as the bytes they are, once it is known who makes them.
#[derive(Clone)]
pub struct Passage {
    edge: Arc<Edge>,
    reflection: Routes,
}

/// What of its caller's allowances a call holds, and how they stand.
#[derive(Default)]
struct Held {
    standings: Vec<Standing>,
    slot: Option<Slot>,
}

impl Held {
    fn take(&mut self, counted: Result<limit::Counted, limit::Held>) -> Result<(), Refusal> {
        match counted {
            Ok(counted) => {
                (self.standings, self.slot) = (counted.standings, Some(counted.slot));
                Ok(())
            }
            Err(refused) => {
                self.standings = refused.standings;
                Err(refused.refusal)
            }
        }
    }
}

impl Passage {
    /// Prepares reflection over the contract's services, or says why it cannot.
    pub fn new(edge: Arc<Edge>) -> Result<Self, String> {
        let files = public_files(edge.contract);
        let builder = || tonic_reflection::server::Builder::configure().register_file_descriptor_set(files.clone());
        let v1 = builder().build_v1().map_err(|fault| fault.to_string())?;
        let v1alpha = builder().build_v1alpha().map_err(|fault| fault.to_string())?;
        Ok(Self { edge, reflection: Routes::new(v1).add_service(v1alpha).prepare() })
    }

    /// Answers one call.
    pub async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let trace = Trace::of(request.headers());
        let span = info_span!("grpc", otel.kind = "server", rpc.method = %request.uri().path());
        trace.parent.adopt(&span);
        let parent = Traceparent::of(&span).unwrap_or(trace.parent);
        let trace = Trace { parent, ..trace };
        async move {
            let path = request.uri().path().to_owned();
            let mut counted = Held::default();
            let answered = self.pass(request, &trace, &mut counted).await;
            let mut response = answered.unwrap_or_else(|refusal| {
                // The guard writes a line for each call that reaches it; this one does not.
                info!(path, reason = refusal.reason, request_id = trace.request_id, "refused");
                let mut response = refuse(refusal).into_http();
                set(response.headers_mut(), guard::REQUEST_ID, &trace.request_id);
                response
            });
            allowance::tell(&counted.standings, response.headers_mut());
            if let Some(method) = self.edge.contract.method(&path) {
                retiring::tell(method, response.headers_mut());
            }
            response.map(|body| held(body, counted.slot))
        }
        .instrument(span)
        .await
    }

    async fn pass(
        &self,
        mut request: Request<Body>,
        trace: &Trace,
        counted: &mut Held,
    ) -> Result<Response<Body>, Refusal> {
        let edge = &self.edge;
        let content_type = request.headers().get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
        if !content_type.starts_with(b"application/grpc") {
            let problem = "this port speaks gRPC; REST is on the other one";
            return Err(Refusal::new(Code::InvalidArgument, "UNSUPPORTED_MEDIA_TYPE", problem));
        }
        let path = request.uri().path();
        let method = edge.contract.method(path);
        let is_reflection = path.starts_with("/grpc.reflection.v1");
        let is_health = path.starts_with("/grpc.health.v1.Health/");
        let peer = request.extensions().get::<Peer>().map(|peer| peer.0);
        let source = caller::source(peer, request.headers(), edge.config.forwarded_hops);
        let known = match edge.authenticator.identify(request.headers(), Dialect::Cairn, false) {
            Ok(known) => known,
            Err(refusal) => {
                counted.take(edge.rates().stranger(source).await)?;
                return Err(refusal);
            }
        };
        counted.take(match &known {
            Some(known) => {
                edge.rates().caller(&known.principal, method.map_or("", |method| method.path.as_str())).await
            }
            None => edge.rates().stranger(source).await,
        })?;
        if method.is_none() && !is_reflection && !is_health {
            let path: String = path.chars().take(256).collect();
            let problem = format!("there is no method {path}");
            return Err(Refusal::new(Code::Unimplemented, "METHOD_UNKNOWN", problem).with("path", path));
        }
        if is_reflection && known.is_none() {
            let problem = "reflection needs a credential";
            return Err(Refusal::new(Code::Unauthenticated, "CREDENTIAL_MISSING", problem));
        }

        let sealed = match method {
            Some(_) => edge.sealed_source(known.as_ref(), source, trace).await,
            None => None,
        };
        let headers = request.headers_mut();
        // Nothing that says who calls comes from the caller, and no credential goes further than here.
        for name in ["authorization", "x-api-key", guard::PRINCIPAL, guard::SOURCE, guard::SEALED_SOURCE] {
            headers.remove(name);
        }
        set(headers, guard::REQUEST_ID, &trace.request_id);
        set(headers, TRACEPARENT, &trace.parent.to_string());
        if let Some(known) = &known {
            set(headers, guard::PRINCIPAL, &known.token);
        }
        if let Some(source) = source {
            set(headers, guard::SOURCE, &source.to_string());
        }
        if let Some(sealed) = sealed {
            set(headers, guard::SEALED_SOURCE, &sealed);
        }
        if let Some(position) = edge.changes.seen_by(known.as_ref(), &edge.authenticator.access)
            && !headers.contains_key(guard::AFTER)
        {
            set(headers, guard::AFTER, &position.to_string());
        }
        if is_reflection {
            // Questions come when the client has some.
            let Ok(response) = self.reflection.clone().call(request.map(tonic::body::Body::new)).await;
            return Ok(response.map(Body::new));
        }
        let is_upload = method.is_some_and(|method| method.descriptor.is_client_streaming());
        let (request, broken) = self.intake(request, is_upload)?;
        let answered = edge.upstream.pass(request).await;
        // What the service says of a body that broke off is not what the client needs to know.
        if let Some(refusal) = broken.lock().take() {
            return Err(refusal);
        }
        Ok(match answered {
            Ok(response) => {
                if let Some(method) = method {
                    let position = response.headers().get(guard::POSITION).and_then(|value| value.to_str().ok());
                    edge.changes.note(known.as_ref(), position, method, &edge.authenticator.access).await;
                }
                response.map(Body::new)
            }
            Err(status) => status.into_http(),
        })
    }

    /// Holds a call's body to the same limits as a request's over HTTP.
    fn intake(&self, request: Request<Body>, is_upload: bool) -> Result<(Request<tonic::body::Body>, Broken), Refusal> {
        let config = &self.edge.config;
        let limit = if is_upload {
            Limit { bytes_max: config.upload_bytes_max, setting: "gateway.upload_bytes_max" }
        } else {
            Limit { bytes_max: config.body_bytes_max as u64, setting: "gateway.body_bytes_max" }
        };
        let (parts, body) = request.into_parts();
        let intake = Intake::new(body, &parts.headers, limit, Duration::from_millis(config.idle_timeout_ms))?;
        let (body, broken) = intake.passed_on();
        Ok((Request::from_parts(parts, body), broken))
    }
}

/// The files that the contract's services stand in, and all that these need: no events, nothing internal.
fn public_files(contract: &Contract) -> FileDescriptorSet {
    fn collect(file: &FileDescriptor, files: &mut FileDescriptorSet) {
        if files.file.iter().any(|known| known.name() == file.name()) {
            return;
        }
        for dependency in file.dependencies() {
            collect(&dependency, files);
        }
        files.file.push(file.file_descriptor_proto().clone());
    }
    let mut files = FileDescriptorSet::default();
    for service in contract.pool().services() {
        collect(&service.parent_file(), &mut files);
    }
    files
}

fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}
