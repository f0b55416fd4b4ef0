use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use cairn_contract::Contract;
use cairn_kernel::Principal;
use cairn_service::Refusal;
use cairn_service::allowance::{Allowances, Ask, Exceeded, Quota, Rule, Shared, Standing, rules};

use crate::Config;
use crate::open::{Open, Slot};
use cairn_service::network;

/// How often each caller may ask, and how much at once: known ones in all, by key and by method, strangers by the
/// network they come from. Asked before anything is decided about what a call may do.
pub struct Rates {
    allowances: Arc<Allowances>,
    open: Open,
    caller: Quota,
    key: Option<Quota>,
    method: Quota,
    stranger: Quota,
    burst_seconds: u32,
    callers: BTreeMap<String, Rule>,
    methods: HashMap<&'static str, Weighed>,
    caller_calls_max: u32,
    stranger_calls_max: u32,
}

/// What one method's calls cost each caller, and how many of them there may be.
#[derive(Clone, Copy)]
struct Weighed {
    quota: Quota,
    cost: u32,
}

/// A call that was counted: how its caller's allowances stand, and its place among the caller's open calls.
pub struct Counted {
    pub standings: Vec<Standing>,
    pub slot: Slot,
}

/// A call that was not let in, and how the allowance stands that it was refused for.
pub struct Held {
    pub refusal: Refusal,
    pub standings: Vec<Standing>,
}

impl From<Refusal> for Held {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, standings: vec![] }
    }
}

impl Rates {
    /// Weighs every method of the contract, or lists the rules that name none.
    pub fn new(config: &Config, contract: &'static Contract) -> Result<Self, Vec<String>> {
        Self::counting(Arc::default(), Open::default(), config, contract)
    }

    /// The same by another configuration: what was counted so far still is.
    pub fn again(&self, config: &Config, contract: &'static Contract) -> Result<Self, Vec<String>> {
        Self::counting(Arc::clone(&self.allowances), self.open.clone(), config, contract)
    }

    fn counting(
        allowances: Arc<Allowances>,
        open: Open,
        config: &Config,
        contract: &'static Contract,
    ) -> Result<Self, Vec<String>> {
        let over = |per_second| Quota::over(per_second, config.burst_seconds);
        let read = |key: &str, lines| {
            rules(lines).map_err(|faults| {
                let prefixed = faults.iter().map(|fault| format!("{key}: {fault}"));
                prefixed.collect::<Vec<_>>()
            })
        };
        let method = over(config.method_rate_max);
        Ok(Self {
            allowances,
            open,
            caller: over(config.caller_rate_max),
            key: (config.key_rate_max > 0).then(|| over(config.key_rate_max)),
            method,
            stranger: over(config.stranger_rate_max),
            burst_seconds: config.burst_seconds,
            callers: read("callers", &config.callers)?,
            methods: weighed(&read("methods", &config.methods)?, method, config.burst_seconds, contract)?,
            caller_calls_max: config.caller_calls_max,
            stranger_calls_max: config.stranger_calls_max,
        })
    }

    /// Counts together with other replicas from now on.
    pub fn share(&self, shared: Shared) {
        self.allowances.share(shared);
    }

    /// Counts a known caller's request for a method.
    pub async fn caller(&self, principal: &Principal, method: &str) -> Result<Counted, Held> {
        let Principal { name, credential, .. } = principal;
        let rule = self.callers.get(name).copied().unwrap_or_default();
        let one = Weighed { quota: self.method, cost: 1 };
        let Weighed { quota, cost } = self.methods.get(method).copied().unwrap_or(one);
        let ask = |policy, key, quota| Ask { policy, key, quota, cost };
        let mut asks = vec![ask("caller", name.clone(), rule.quota(self.caller, self.burst_seconds))];
        if let (Some(quota), Some(key)) = (self.key, credential) {
            asks.push(ask("key", key.clone(), quota));
        }
        asks.push(ask("method", format!("{name}:{method}"), quota));
        let slot = self.open.enter(name, self.caller_calls_max)?;
        let message = || format!("{name} sends more requests than it may");
        let standings = self.allowances.take(&asks).await.map_err(|exceeded| Held::of(&exceeded, message()))?;
        Ok(Counted { standings, slot })
    }

    /// Counts a request of nobody in particular.
    pub async fn stranger(&self, source: Option<IpAddr>) -> Result<Counted, Held> {
        let network = network(source.unwrap_or(IpAddr::from([0, 0, 0, 0]))).to_string();
        let slot = self.open.enter(&network, self.stranger_calls_max)?;
        let ask = Ask { policy: "network", key: network, quota: self.stranger, cost: 1 };
        let message = "this network, without a credential, sends more requests than it may";
        let standings = self.allowances.take(&[ask]).await.map_err(|exceeded| Held::of(&exceeded, message.into()))?;
        Ok(Counted { standings, slot })
    }
}

impl Held {
    fn of(exceeded: &Exceeded, message: String) -> Self {
        Self { refusal: exceeded.refusal(message), standings: exceeded.standings.clone() }
    }
}

/// Each method with what the contract, and above it the settings, say of it. A rule is for `package.Service/Method`, or
/// for `package.Service/*`; what names the one method counts more.
fn weighed(
    rules: &BTreeMap<String, Rule>,
    all: Quota,
    burst_seconds: u32,
    contract: &'static Contract,
) -> Result<HashMap<&'static str, Weighed>, Vec<String>> {
    let mut unused: Vec<&String> = rules.keys().collect();
    let mut methods = HashMap::new();
    for method in contract.methods() {
        let exact = method.path.trim_start_matches('/');
        let service = format!("{}/*", method.service);
        unused.retain(|subject| *subject != exact && **subject != service);
        let rule = rules.get(exact).or_else(|| rules.get(&service)).copied().unwrap_or_default();
        let weighed = Weighed { quota: rule.quota(all, burst_seconds), cost: rule.cost.unwrap_or(method.cost) };
        methods.insert(method.path.as_str(), weighed);
    }
    if unused.is_empty() {
        return Ok(methods);
    }
    let unknown = |subject| format!("methods: there is no method {subject:?}; they are like package.Service/Method");
    Err(unused.into_iter().map(unknown).collect())
}
