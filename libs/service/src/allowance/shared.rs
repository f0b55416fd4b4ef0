use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cairn_kernel::Secret;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, IntoConnectionInfo, RedisResult, Script, cmd};
use tokio::time::timeout;
use tracing::{info, warn};

use super::{Ask, Exceeded, Standing};

crate::settings! {
    /// Limits that several replicas keep together.
    pub struct Config: "shared_limits" checked by problems {
        /// Address of the Redis that counts for all replicas of the gateway and of services, `redis://host:6379/0` or
        /// `redis+unix:///path`. Without one each process counts for itself.
        redis_url: Option<Secret> = None, env "REDIS_URL";
        /// How long a call may wait for Redis, in milliseconds, before this process counts by itself until Redis answers
        /// again.
        timeout_ms: u64 = 50;
        /// What the names of its keys in Redis begin with. Deployments that share a Redis need one each.
        prefix: String = "cairn:limits".to_owned();
    }
}

fn problems(config: &Config) -> Vec<String> {
    let mut problems = vec![];
    if let Some(url) = &config.redis_url
        && url.expose().into_connection_info().is_err()
    {
        problems.push("redis_url is not an address of a Redis such as redis://127.0.0.1:6379/0".to_owned());
    }
    if config.timeout_ms == 0 {
        problems.push("timeout_ms must be greater than 0".to_owned());
    }
    problems
}

/// How often an unreachable Redis is asked whether it is back.
const ASK_AGAIN: Duration = Duration::from_millis(250);
/// How long it may take to say so.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// Takes from all buckets or from none, by the server's own clock: replicas need not agree on the time. The arithmetic
/// is that of `bucket.rs`. A bucket that has had time to fill up is forgotten.
const TAKE: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local levels, refused, wait = {}, 0, 0
for i, key in ipairs(KEYS) do
  local rate, burst, cost = ARGV[3 * i - 2] / 1000, tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
  local kept = redis.call('HMGET', key, 'level', 'at')
  levels[i] = burst
  if kept[1] then
    levels[i] = math.min(burst, kept[1] + math.max(0, now - kept[2]) * rate)
  end
  if levels[i] < cost and refused == 0 then
    refused, wait = i, (cost - levels[i]) / rate
  end
end
local answer = { tostring(refused), tostring(wait) }
for i, key in ipairs(KEYS) do
  if refused == 0 then
    local rate, burst = ARGV[3 * i - 2] / 1000, tonumber(ARGV[3 * i - 1])
    levels[i] = levels[i] - ARGV[3 * i]
    redis.call('HSET', key, 'level', string.format('%.6f', levels[i]), 'at', string.format('%.3f', now))
    redis.call('PEXPIRE', key, math.ceil((burst - levels[i]) / rate) + 1000)
  end
  answer[i + 2] = string.format('%.6f', levels[i])
end
return answer
";

/// Allowances that a Redis keeps for all replicas. Cheap to clone.
///
/// Its absence holds up nobody: calls are counted here until it answers again, which a task of its own finds out.
#[derive(Clone)]
pub struct Shared {
    inner: Arc<Inner>,
}

struct Inner {
    connection: ConnectionManager,
    take: Script,
    timeout: Duration,
    prefix: String,
    is_away: AtomicBool,
}

impl Shared {
    /// The configured one, if there is one. Connects in the background; must be called within a runtime.
    pub fn open(config: &Config) -> RedisResult<Option<Self>> {
        let Some(url) = &config.redis_url else { return Ok(None) };
        let manager = ConnectionManagerConfig::new()
            .set_number_of_retries(1)
            .set_connection_timeout(Some(ANSWER_MAX))
            .set_response_timeout(Some(ANSWER_MAX));
        let inner = Inner {
            connection: ConnectionManager::new_lazy_with_config(Client::open(url.expose())?, manager)?,
            take: Script::new(TAKE),
            timeout: Duration::from_millis(config.timeout_ms),
            prefix: config.prefix.clone(),
            is_away: AtomicBool::new(true),
        };
        let shared = Self { inner: Arc::new(inner) };
        shared.show();
        shared.look_out();
        Ok(Some(shared))
    }

    /// Takes what a call costs; nothing when Redis does not answer, and the caller counts for itself.
    pub(super) async fn take(&self, asks: &[Ask]) -> Option<Result<Vec<Standing>, Exceeded>> {
        let inner = &self.inner;
        if inner.is_away.load(Ordering::Relaxed) {
            metrics::counter!("cairn_limits_counted_alone_total").increment(1);
            return None;
        }
        let mut take = inner.take.prepare_invoke();
        for ask in asks {
            take.key(format!("{}:{}:{}", inner.prefix, ask.policy, ask.key));
            take.arg(ask.quota.per_second).arg(ask.quota.burst).arg(ask.quota.cost(ask.cost));
        }
        let mut connection = inner.connection.clone();
        let answered = timeout(inner.timeout, take.invoke_async::<Vec<String>>(&mut connection)).await;
        let problem = match answered {
            Ok(Ok(answer)) => match read(asks, &answer) {
                Some(taken) => return Some(taken),
                None => format!("the answer {answer:?} is none"),
            },
            Ok(Err(fault)) => fault.to_string(),
            Err(_) => format!("no answer within {} ms", inner.timeout.as_millis()),
        };
        if !inner.is_away.swap(true, Ordering::Relaxed) {
            warn!(problem, "limits are counted in this process alone: Redis is away");
            self.show();
            self.look_out();
        }
        metrics::counter!("cairn_limits_counted_alone_total").increment(1);
        None
    }

    /// Asks until it is there.
    fn look_out(&self) {
        let inner = Arc::downgrade(&self.inner);
        tokio::spawn(async move {
            while let Some(inner) = inner.upgrade() {
                let mut connection = inner.connection.clone();
                let there = timeout(ANSWER_MAX, cmd("PING").query_async::<String>(&mut connection)).await;
                if matches!(there, Ok(Ok(_))) {
                    inner.is_away.store(false, Ordering::Relaxed);
                    Self { inner }.show();
                    info!("limits are counted in Redis, for all replicas together");
                    return;
                }
                drop(inner);
                tokio::time::sleep(ASK_AGAIN).await;
            }
        });
    }

    fn show(&self) {
        let is_away = self.inner.is_away.load(Ordering::Relaxed);
        metrics::gauge!("cairn_limits_shared").set(if is_away { 0.0 } else { 1.0 });
    }
}

/// What the script answered: the place of the allowance that has too little, how long until it has enough, and the level
/// of each.
fn read(asks: &[Ask], answer: &[String]) -> Option<Result<Vec<Standing>, Exceeded>> {
    let [refused, wait, levels @ ..] = answer else { return None };
    if levels.len() != asks.len() {
        return None;
    }
    let levels: Option<Vec<f64>> = levels.iter().map(|level| level.parse().ok()).collect();
    let standings = asks.iter().zip(levels?);
    let mut standings: Vec<Standing> =
        standings.map(|(ask, left)| Standing { policy: ask.policy, quota: ask.quota, left }).collect();
    match refused.parse::<usize>().ok()?.checked_sub(1) {
        None => Some(Ok(standings)),
        Some(at) => {
            let ask = asks.get(at)?;
            let wait = Duration::try_from_secs_f64(wait.parse::<f64>().ok()? / 1000.0).ok()?;
            let standings = vec![standings.swap_remove(at)];
            Some(Err(Exceeded { policy: ask.policy, key: ask.key.clone(), wait, standings }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allowance::Quota;

    fn asks() -> [Ask; 2] {
        ["caller", "route"].map(|policy| Ask { policy, key: "a".to_owned(), quota: Quota::new(10, 20), cost: 1 })
    }

    fn said(words: &[&str]) -> Option<Result<Vec<Standing>, Exceeded>> {
        read(&asks(), &words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn an_answer_says_how_each_allowance_stands_or_which_has_too_little() {
        let left: Vec<f64> = said(&["0", "0", "19.5", "3"]).unwrap().unwrap().iter().map(|of| of.left).collect();
        assert_eq!(left, [19.5, 3.0]);
        let exceeded = said(&["2", "250.5", "19.5", "0.25"]).unwrap().unwrap_err();
        assert_eq!((exceeded.policy, exceeded.wait), ("route", Duration::from_micros(250_500)));
        assert_eq!(exceeded.standings[0].left, 0.25);
    }

    #[test]
    fn what_is_no_answer_is_taken_for_none() {
        for words in [&[][..], &["0", "0", "1"], &["0", "0", "1", "x"], &["3", "1", "1", "1"], &["1", "-1", "1", "1"]] {
            assert!(said(words).is_none(), "{words:?}");
        }
    }

    #[test]
    fn an_address_that_is_none_is_refused_without_being_shown() {
        let config = |url: &str| Config { redis_url: Some(url.to_owned().into()), ..Config::default() };
        assert!(problems(&config("redis://:secret@127.0.0.1:6379/0")).is_empty());
        let problems = problems(&config("http://secret@somewhere"));
        assert!(problems.len() == 1 && !problems[0].contains("secret"), "{problems:?}");
    }
}
