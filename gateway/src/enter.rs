use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use cairn_contract::cairn::options::v1::Dialect;
use cairn_kernel::{Code, Name};
use cairn_service::Refusal;
use http::request::Parts;
use http::{HeaderValue, Method as Verb, Response, StatusCode, header};

use crate::authn::Known;
use crate::caller::Trace;
use crate::edge::Edge;
use crate::limit::Held;
use crate::line::Line;
use crate::route::{Found, Route};

/// A request that has found its method and its caller.
pub struct Visit {
    pub parts: Parts,
    pub route: Arc<Route>,
    pub bound: Vec<(String, String)>,
    pub known: Option<Known>,
    pub source: Option<IpAddr>,
    pub sealed_source: Option<Arc<str>>,
    pub project: Option<String>,
    pub trace: Trace,
}

/// Where a request leads.
pub enum Entered {
    Visit(Box<Visit>),
    Answered(Response<Body>),
}

impl Edge {
    /// Finds the method and the caller.
    pub(crate) async fn enter(
        &self,
        parts: Parts,
        source: Option<IpAddr>,
        trace: &Trace,
        line: &mut Line,
    ) -> Result<Entered, Held> {
        if let Some(name) = parts.headers.keys().find(|name| name.as_str().contains('_')) {
            // Some programs read `x_y` as `x-y`: a header that means something to them and nothing here.
            let problem = format!("the header {name} has an underscore in its name");
            return Err(Refusal::new(Code::InvalidArgument, "VALIDATION_ERROR", problem).into());
        }
        let (found, prefix) = self.find(&parts.method, parts.uri.path());
        let (route, bound) = match found {
            Found::Route(route, bound) => (route, bound),
            Found::OtherVerbs(verbs) => return Ok(other_verb(&parts.method, &verbs)?),
            Found::Nothing => {
                line.counts(self.rates().stranger(source).await?);
                let path: String = parts.uri.path().chars().take(256).collect();
                let problem = format!("no method answers to {} {path}", parts.method);
                return Err(Refusal::new(Code::NotFound, "ROUTE_NOT_FOUND", problem).into());
            }
        };
        line.knows_route(route.binding.template.as_str(), &route.method.path);
        // Who calls in the ways of OAuth is for the service to find out: its credentials are of other kinds.
        let identified = match route.method.dialect {
            Dialect::Oauth => Ok(None),
            dialect => self.authenticator.identify(&parts.headers, dialect, route.method.is_read),
        };
        let known = match identified {
            Ok(known) => known,
            Err(refusal) => {
                line.counts(self.rates().stranger(source).await?);
                return Err(refusal.into());
            }
        };
        if let Some(known) = &known {
            line.knows_caller(&known.principal.name);
        }
        line.counts(match &known {
            Some(known) => self.rates().caller(&known.principal, &route.method.path).await?,
            None => self.rates().stranger(source).await?,
        });
        let header = match route.method.dialect {
            Dialect::Vault => "x-vault-namespace",
            _ => "x-mlflow-workspace",
        };
        let header = parts.headers.get(header).and_then(|value| value.to_str().ok());
        let named = prefix.as_deref().or(header).filter(|project| !project.is_empty());
        let project = match route.method.dialect {
            Dialect::Mlflow => Some(format!("projects/{}", named.unwrap_or("default"))),
            Dialect::OpenLineage | Dialect::Vault => Some(match named {
                Some(project) => format!("projects/{project}"),
                None => own_project(known.as_ref()).unwrap_or_else(|| "projects/default".to_owned()),
            }),
            _ => None,
        };
        let sealed_source = self.sealed_source(known.as_ref(), source, trace).await;
        let visit = Visit { parts, route, bound, known, source, sealed_source, project, trace: trace.clone() };
        Ok(Entered::Visit(Box::new(visit)))
    }

    /// What is written down of where a known caller comes from.
    pub(crate) async fn sealed_source(
        &self,
        known: Option<&Known>,
        source: Option<IpAddr>,
        trace: &Trace,
    ) -> Option<Arc<str>> {
        self.sources.sealed(known?, source?, trace).await
    }

    /// The route of a path; for a dialect whose clients only know one server's root, also below `/projects/{project}`.
    fn find(&self, verb: &Verb, path: &str) -> (Found, Option<String>) {
        let found = self.router.find(verb, path);
        let below = path.strip_prefix("/projects/").and_then(|rest| rest.find('/').map(|at| rest.split_at(at)));
        match (&found, below) {
            (Found::Nothing, Some((project, path))) => match self.router.find(verb, path) {
                Found::Route(route, bound) if !matches!(route.method.dialect, Dialect::Cairn | Dialect::Scim) => {
                    (Found::Route(route, bound), Some(project.to_owned()))
                }
                Found::OtherVerbs(verbs) => (Found::OtherVerbs(verbs), None),
                _ => (found, None),
            },
            _ => (found, None),
        }
    }
}

/// The one project that a credential is narrowed to.
fn own_project(known: Option<&Known>) -> Option<String> {
    match known?.principal.scopes.as_slice() {
        [scope] => scope.parse::<Name>().ok()?.project().map(|project| project.to_string()),
        _ => None,
    }
}

/// `OPTIONS` is answered; any other verb that the path does not have is refused.
fn other_verb(verb: &Verb, verbs: &[Verb]) -> Result<Entered, Refusal> {
    let allowed: Vec<_> = verbs.iter().map(Verb::as_str).collect();
    let allowed = allowed.join(", ");
    if *verb != Verb::OPTIONS {
        let problem = format!("the path answers to {allowed}, not to {verb}");
        return Err(Refusal::new(Code::Unimplemented, "METHOD_NOT_ALLOWED", problem).with("allow", allowed));
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    if let Ok(allowed) = HeaderValue::from_str(&allowed) {
        response.headers_mut().insert(header::ALLOW, allowed);
    }
    Ok(Entered::Answered(response))
}
