use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

use prost_reflect::DescriptorPool;

use crate::{DESCRIPTORS, Method};

/// Every method of every service, with what the contract says of it.
#[derive(Clone, Debug)]
pub struct Contract {
    pool: DescriptorPool,
    methods: Vec<Method>,
    by_path: HashMap<String, usize>,
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
        let mut faults = vec![];
        let mut methods = vec![];
        for service in pool.services() {
            methods.extend(service.methods().filter_map(|method| Method::read(&method, &mut faults)));
        }
        if !faults.is_empty() {
            return Err(Violations(faults));
        }
        let by_path = methods.iter().enumerate().map(|(at, method)| (method.path.clone(), at)).collect();
        Ok(Self { pool, methods, by_path })
    }

    /// All methods, in the order of their files.
    pub fn methods(&self) -> &[Method] {
        &self.methods
    }

    /// The method that gRPC reaches under `/package.Service/Method`.
    pub fn method(&self, path: &str) -> Option<&Method> {
        self.by_path.get(path).map(|&at| &self.methods[at])
    }

    /// The descriptors themselves.
    pub fn pool(&self) -> &DescriptorPool {
        &self.pool
    }
}
