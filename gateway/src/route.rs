use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use cairn_contract::{Binding, Contract, Method, Segment};
use http::Method as Verb;
use http::uri::PathAndQuery;

use crate::call::Plan;
use crate::transcode::Plans;

/// Finds the method that a verb and a raw path name. Built from the contract, which has no overlapping paths.
pub struct Router {
    pub plans: Arc<Plans>,
    routes: Vec<Arc<Route>>,
    root: Node,
}

/// One binding of one method.
pub struct Route {
    pub method: &'static Method,
    pub binding: &'static Binding,
    pub verb: Verb,
    pub plan: Plan,
    /// Where its method lives, as gRPC names it.
    pub path: PathAndQuery,
}

/// What a verb and a path lead to.
pub enum Found {
    /// A route, and what the path says of the request's fields.
    Route(Arc<Route>, Vec<(String, String)>),
    /// The path exists for these verbs only.
    OtherVerbs(Vec<Verb>),
    /// No such path.
    Nothing,
}

/// A place in the tree of path segments. Custom verbs are left to the templates at its leaves.
#[derive(Default)]
struct Node {
    literals: HashMap<String, Node>,
    one: Option<Box<Node>>,
    ends: Vec<usize>,
    rests: Vec<usize>,
}

impl Router {
    /// Builds the tree, or lists the bindings that cannot be routed.
    pub fn new(contract: &'static Contract) -> Result<Self, Vec<String>> {
        let mut plans = Plans::default();
        let mut router = Self { plans: Arc::default(), routes: vec![], root: Node::default() };
        let mut faults = vec![];
        for method in contract.methods() {
            for binding in &method.bindings {
                let Ok(verb) = Verb::from_bytes(binding.verb.as_bytes()) else {
                    faults.push(format!("{}: {:?} is not an HTTP verb", method.path, binding.verb));
                    continue;
                };
                let Ok(path) = method.path.parse() else {
                    faults.push(format!("{}: is not a path", method.path));
                    continue;
                };
                let plan = Plan::new(method, binding, &mut plans, &mut faults);
                let at = router.routes.len();
                router.root.insert(binding.template.segments(), at);
                router.routes.push(Arc::new(Route { method, binding, verb, plan, path }));
            }
        }
        router.plans = Arc::new(plans);
        if faults.is_empty() { Ok(router) } else { Err(faults) }
    }

    /// Looks a request up by its path as it came, undecoded. `HEAD` finds what `GET` does.
    pub fn find(&self, verb: &Verb, raw_path: &str) -> Found {
        let segments: Vec<&str> = raw_path.strip_prefix('/').unwrap_or(raw_path).split('/').collect();
        let mut candidates = vec![];
        self.root.collect(&segments, &mut candidates);
        let mut others = BTreeSet::new();
        for at in candidates {
            let route = &self.routes[at];
            let Some(bound) = route.binding.template.matches(raw_path) else { continue };
            if route.verb == *verb || (*verb == Verb::HEAD && route.verb == Verb::GET) {
                let bound = bound.into_iter().map(|(field, value)| (field.to_owned(), value)).collect();
                return Found::Route(Arc::clone(route), bound);
            }
            others.insert(route.verb.as_str());
            if route.verb == Verb::GET {
                others.insert("HEAD");
            }
        }
        if others.is_empty() {
            return Found::Nothing;
        }
        others.insert("OPTIONS");
        Found::OtherVerbs(others.iter().filter_map(|verb| Verb::from_bytes(verb.as_bytes()).ok()).collect())
    }
}

impl Node {
    fn insert(&mut self, segments: &[Segment], route: usize) {
        match segments.split_first() {
            None => self.ends.push(route),
            Some((Segment::Rest, _)) => self.rests.push(route),
            Some((Segment::Literal(text), rest)) => self.literals.entry(text.clone()).or_default().insert(rest, route),
            Some((Segment::One, rest)) => self.one.get_or_insert_default().insert(rest, route),
        }
    }

    /// Routes that the segments may lead to. A superset: the templates have the last word.
    fn collect(&self, segments: &[&str], found: &mut Vec<usize>) {
        let Some((here, rest)) = segments.split_first() else {
            found.extend(&self.ends);
            return;
        };
        if let Some(node) = self.literals.get(*here) {
            node.collect(rest, found);
        }
        if rest.is_empty()
            && let Some((before_verb, _)) = here.rsplit_once(':')
            && let Some(node) = self.literals.get(before_verb)
        {
            found.extend(&node.ends);
        }
        if let Some(node) = &self.one {
            node.collect(rest, found);
        }
        found.extend(&self.rests);
    }
}
