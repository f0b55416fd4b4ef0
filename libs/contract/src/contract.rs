use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::LazyLock;

use prost_reflect::DescriptorPool;

use crate::cairn::options::v1::Guarded;
use crate::{DESCRIPTORS, EventFault, EventType, Method, Reason, writes};

/// Every method of every service, with what the contract says of it.
#[derive(Clone, Debug)]
pub struct Contract {
    pool: DescriptorPool,
    methods: Vec<Method>,
    by_path: HashMap<String, usize>,
    events: BTreeMap<String, EventType>,
    reasons: Vec<Reason>,
    guarded: HashMap<String, Guarded>,
}

/// A right, as the contract names it.
#[derive(Clone, Debug)]
pub struct Permission<'a> {
    /// `service.collection.verb`.
    pub word: &'a str,
    /// The methods that take it.
    pub methods: Vec<&'a Method>,
}

/// All that is wrong with a contract.
#[derive(Debug)]
pub struct Violations(pub Vec<String>);

impl std::error::Error for Violations {}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the contract does not load:")?;
        self.0.iter().try_for_each(|violation| write!(f, "\n  {violation}"))
    }
}

impl Contract {
    /// The contract this program was built with.
    pub fn embedded() -> Result<&'static Self, &'static Violations> {
        static EMBEDDED: LazyLock<Result<Contract, Violations>> = LazyLock::new(|| Contract::decode(DESCRIPTORS));
        EMBEDDED.as_ref()
    }

    /// Reads a descriptor set. Reports everything that is wrong with it at once.
    pub fn decode(descriptors: &[u8]) -> Result<Self, Violations> {
        let pool = DescriptorPool::decode(descriptors).map_err(|fault| Violations(vec![fault.to_string()]))?;
        let events = pool.all_messages().filter_map(|message| EventType::read(&message));
        let events = events.map(|event| (event.full_name.clone(), event)).collect();
        let mut faults = vec![];
        let mut methods = vec![];
        for service in pool.services() {
            methods.extend(service.methods().filter_map(|method| Method::read(&method, &events, &mut faults)));
        }
        // A method that does not load might be the one that writes an event.
        if faults.is_empty() {
            writes::check_all_are_written(&methods, &events, &mut faults);
        }
        let guarded = guarded(&methods, &mut faults);
        if !faults.is_empty() {
            return Err(Violations(faults));
        }
        let by_path = methods.iter().enumerate().map(|(at, method)| (method.path.clone(), at)).collect();
        let reasons = Reason::all(&pool);
        Ok(Self { pool, methods, by_path, events, reasons, guarded })
    }

    /// All methods, in the order of their files.
    pub fn methods(&self) -> &[Method] {
        &self.methods
    }

    /// The method that gRPC reaches under `/package.Service/Method`.
    pub fn method(&self, path: &str) -> Option<&Method> {
        self.by_path.get(path).map(|&at| &self.methods[at])
    }

    /// Every right that a method takes, in alphabetical order.
    pub fn permissions(&self) -> Vec<Permission<'_>> {
        let mut by_word = BTreeMap::<&str, Vec<&Method>>::new();
        for method in self.methods.iter().filter(|method| !method.is_public) {
            by_word.entry(&method.permission).or_default().push(method);
        }
        by_word.into_iter().map(|(word, methods)| Permission { word, methods }).collect()
    }

    /// Who asks guardrails before a right is used.
    pub fn guarded(&self, permission: &str) -> Guarded {
        self.guarded.get(permission).copied().unwrap_or(Guarded::Unspecified)
    }

    /// The rights that guardrails are asked about, in alphabetical order.
    pub fn guarded_permissions(&self) -> BTreeMap<&str, Guarded> {
        self.guarded.iter().map(|(word, guarded)| (word.as_str(), *guarded)).collect()
    }

    /// Every kind of event, in alphabetical order.
    pub fn events(&self) -> impl ExactSizeIterator<Item = &EventType> {
        self.events.values()
    }

    /// The kind of event with this full name.
    pub fn event(&self, kind: &str) -> Option<&EventType> {
        self.events.get(kind)
    }

    /// A stored event for people to read, sensitive fields hidden.
    pub fn event_json(&self, kind: &str, payload: &[u8]) -> Result<serde_json::Value, EventFault> {
        self.event(kind).ok_or_else(|| EventFault::UnknownKind(kind.to_owned()))?.json(payload)
    }

    /// Every reason an error can carry, by number.
    pub fn reasons(&self) -> &[Reason] {
        &self.reasons
    }

    /// The reason with this name, e.g. `RATE_LIMITED`.
    pub fn reason(&self, name: &str) -> Option<&Reason> {
        self.reasons.iter().find(|reason| reason.name == name)
    }

    /// The descriptors themselves.
    pub fn pool(&self) -> &DescriptorPool {
        &self.pool
    }
}

/// Who asks guardrails before each right that they are asked about. A right says it, not a method: what was decided is
/// decided again from the right alone.
fn guarded(methods: &[Method], faults: &mut Vec<String>) -> HashMap<String, Guarded> {
    let mut guarded = HashMap::new();
    for method in methods.iter().filter(|method| method.guarded != Guarded::Unspecified) {
        let before = guarded.insert(method.permission.clone(), method.guarded);
        if before.is_some_and(|before| before != method.guarded) {
            faults.push(format!("{}: is guarded otherwise than others that take {}", method.path, method.permission));
        }
    }
    for method in methods.iter().filter(|method| method.guarded == Guarded::Unspecified) {
        if guarded.get(&method.permission) == Some(&Guarded::AtDoor) {
            faults.push(format!("{}: is not guarded, but others that take {} are", method.path, method.permission));
        }
    }
    guarded
}
