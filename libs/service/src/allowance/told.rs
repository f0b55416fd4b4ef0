use http::{HeaderMap, HeaderName, HeaderValue};

use super::Standing;

/// What is allowed (draft-ietf-httpapi-ratelimit-headers).
pub const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// What is left of it.
pub const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// Tells how allowances stand: of each policy how much (`q`) in how many seconds (`w`), and of it what is left (`r`) and
/// in how many seconds it is whole again (`t`). What other parts said before stays in front.
pub fn tell(standings: &[Standing], headers: &mut HeaderMap) {
    if standings.is_empty() {
        return;
    }
    let policies = standings.iter().map(|standing| {
        let window = standing.quota.burst / standing.quota.per_second;
        format!("\"{}\";q={};w={}", standing.policy, standing.quota.burst, seconds(window).max(1))
    });
    let limits = standings.iter().map(|standing| {
        let missing = (standing.quota.burst - standing.left).max(0.0);
        let left = standing.left.max(0.0).floor();
        format!("\"{}\";r={left};t={}", standing.policy, seconds(missing / standing.quota.per_second))
    });
    add(headers, POLICY, policies.collect());
    add(headers, LIMIT, limits.collect());
}

/// Whole seconds, never too few.
fn seconds(seconds: f64) -> u64 {
    seconds.ceil() as u64
}

fn add(headers: &mut HeaderMap, name: HeaderName, items: Vec<String>) {
    let before = headers.get(&name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let all: Vec<String> = before.into_iter().chain(items).collect();
    if let Ok(value) = HeaderValue::from_str(&all.join(", ")) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allowance::Quota;

    #[test]
    fn each_policy_is_told_with_what_is_left_of_it_s4_90() {
        let mut headers = HeaderMap::new();
        tell(&[], &mut headers);
        assert!(headers.is_empty());
        tell(&[Standing { policy: "project", quota: Quota::new(10, 20), left: 12.5 }], &mut headers);
        tell(&[Standing { policy: "caller", quota: Quota::new(1000, 500), left: 499.0 }], &mut headers);
        assert_eq!(headers[POLICY], "\"project\";q=20;w=2, \"caller\";q=500;w=1");
        assert_eq!(headers[LIMIT], "\"project\";r=12;t=1, \"caller\";r=499;t=1");
    }
}
