use std::collections::BTreeMap;
use std::sync::Arc;

use super::Limits;
use super::turns::{Place, Turns};
use crate::allowance::{Allowances, Ask, Exceeded, Quota, Rule, Shared, Standing, rules};
use crate::{Ctx, Refusal};

tokio::task_local! {
    /// Set within a call that has a place: what it calls in this process runs in the same place. Were it to wait for
    /// another, a full house of calls would wait for each other.
    static IN_PLACE: ();
}

/// What a project's limit is called where it is told.
const POLICY: &str = "project";

/// Keeps tenants from getting in each other's way: how often each may call, and whose turn it is when all call at once.
///
/// A tenant is a project; for what lies in none, the caller. Only calls that access has let in count, so that nobody
/// uses up the allowance of a project they do not belong to.
pub(crate) struct Tenants {
    allowances: Allowances,
    quota: Quota,
    burst_seconds: u32,
    /// Of the projects that settings name.
    rules: BTreeMap<String, Rule>,
    turns: Arc<Turns>,
}

/// A call that may run, once it has its place.
pub(crate) struct Counted {
    tenant: String,
    pub standings: Vec<Standing>,
}

impl Tenants {
    pub fn new(limits: &Limits) -> Self {
        Self {
            allowances: Allowances::default(),
            quota: Quota::over(limits.project_rate_max, limits.project_burst_seconds),
            burst_seconds: limits.project_burst_seconds,
            // A rule that does not read has kept the process from starting.
            rules: rules(&limits.projects).unwrap_or_default(),
            turns: Turns::new(limits.calls_at_once_max, limits.project_waiting_max),
        }
    }

    /// Counts together with other replicas from now on.
    pub fn share(&self, shared: Shared) {
        self.allowances.share(shared);
    }

    /// Counts a call.
    pub async fn count(&self, ctx: &Ctx) -> Result<Counted, Exceeded> {
        let tenant = ctx.project().map_or_else(|| ctx.principal().name.clone(), ToString::to_string);
        let quota = self.quota_of(&tenant, ctx.quota().requests_per_second);
        let ask = Ask { policy: POLICY, key: tenant.clone(), quota, cost: ctx.method().cost };
        let standings = self.allowances.take(&[ask]).await?;
        Ok(Counted { tenant, standings })
    }

    /// How often a tenant may call: as its project's quota says, else as the settings do for all. A rule that settings
    /// have for the one project is the operator's word, and no quota goes beyond it.
    fn quota_of(&self, tenant: &str, requests_per_second: Option<u32>) -> Quota {
        let rule = self.rules.get(tenant);
        let configured = rule.copied().unwrap_or_default().quota(self.quota, self.burst_seconds);
        match requests_per_second.map(|rate| Quota::over(rate, self.burst_seconds)) {
            Some(own) if rule.is_none() || own.per_second < configured.per_second => own,
            _ => configured,
        }
    }

    /// Waits for a place to run a call in. A stream has no end to wait for, so it takes no place.
    pub async fn enter(&self, ctx: &Ctx, counted: &Counted) -> Result<Option<Place>, Refusal> {
        let descriptor = &ctx.method().descriptor;
        if descriptor.is_client_streaming() || descriptor.is_server_streaming() {
            return Ok(None);
        }
        self.turns.place(&counted.tenant).await.map(Some)
    }
}

/// What a caller is told whose project's allowance is used up.
pub(crate) fn exceeded(exceeded: &Exceeded) -> Refusal {
    let tenant = &exceeded.key;
    exceeded.refusal(format!("{tenant} is sent more requests than it may be")).with("tenant", tenant)
}

/// Whether this runs within a call that has a place.
pub(crate) fn is_in_place() -> bool {
    IN_PLACE.try_with(|()| ()).is_ok()
}

/// Runs a call in its place, and gives the place back.
pub(crate) async fn in_place<T>(place: Option<Place>, call: impl Future<Output = T>) -> T {
    match place {
        Some(place) => {
            let done = IN_PLACE.scope((), call).await;
            drop(place);
            done
        }
        None => call.await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_stands_above_what_holds_for_all_and_below_what_settings_say_of_the_project() {
        let limits = Limits {
            project_rate_max: 100,
            project_burst_seconds: 2,
            projects: vec!["projects/ruled rate=50 burst=60".to_owned()],
            ..Limits::default()
        };
        let tenants = Tenants::new(&limits);
        let quota = |tenant, rate| tenants.quota_of(tenant, rate);
        assert_eq!(quota("projects/p", None), Quota::new(100, 200));
        assert_eq!(quota("projects/p", Some(7)), Quota::new(7, 14));
        assert_eq!(quota("projects/p", Some(1000)), Quota::new(1000, 2000));
        assert_eq!(quota("projects/ruled", Some(7)), Quota::new(7, 14));
        assert_eq!(quota("projects/ruled", Some(1000)), Quota::new(50, 60));
    }
}
