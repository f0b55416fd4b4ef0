//! `cairn projects quota` and `usage`: how much a project may take up, and how much it does.

use clap::Args;
use serde_json::{Value, json};

use super::output::Column;
use super::session::Session;

const PROJECTS: &str = "auth.v1.ProjectService";
const USAGE: &str = "experiments.v1.UsageService";

/// The fields of a quota, with the field of usage that each is held against, and what it is called here.
const LIMITS: [(&str, Option<&str>, &str); 4] = [
    ("runs_max", Some("runs"), "runs"),
    ("concurrent_runs_max", Some("concurrent_runs"), "runs at work"),
    ("storage_bytes_max", Some("storage_bytes"), "storage"),
    ("requests_per_second", None, "requests per second"),
];

const QUOTA_COLUMNS: &[Column] = &[("WHAT", "what"), ("AT MOST", "max")];
const USAGE_COLUMNS: &[Column] = &[("WHAT", "what"), ("USED", "used"), ("AT MOST", "max")];

/// What to change of a quota. Nothing: it is shown.
#[derive(Debug, Args)]
pub struct Limits {
    /// Runs that it may have, not counting deleted ones; `none` for no limit.
    #[arg(long, value_name = "N", value_parser = count)]
    runs_max: Option<Limit>,
    /// Runs of it that may be at work at the same time; `none` for no limit.
    #[arg(long, value_name = "N", value_parser = count)]
    running_max: Option<Limit>,
    /// Bytes that its artifacts may have together, e.g. `10GiB`; `none` for no limit.
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    storage_max: Option<Limit>,
    /// Requests that it may be sent in a second; `none` for as many as any project.
    #[arg(long, value_name = "N", value_parser = count)]
    requests_per_second: Option<Limit>,
}

/// A limit, or that there shall be none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    None,
    Max(u64),
}

/// Shows a quota, or changes of it what is given and leaves the rest.
pub async fn quota(session: &Session, project: &str, limits: &Limits) -> anyhow::Result<()> {
    let mut quota = session.call(&format!("{PROJECTS}/GetProjectQuota"), json!({"name": project})).await?;
    let given = [limits.runs_max, limits.running_max, limits.storage_max, limits.requests_per_second];
    if given.iter().any(Option::is_some) {
        for ((field, _, _), limit) in LIMITS.iter().zip(given) {
            match limit {
                Some(Limit::Max(max)) => quota[field] = json!(max),
                Some(Limit::None) => drop(quota.as_object_mut().and_then(|fields| fields.remove(*field))),
                None => {}
            }
        }
        // With the etag that was read: who changes another limit meanwhile is not overwritten.
        let request = json!({"name": project, "quota": quota});
        quota = session.call(&format!("{PROJECTS}/SetProjectQuota"), request).await?;
    }
    if session.output.is_json {
        return session.output.json(&quota);
    }
    let rows: Vec<Value> =
        LIMITS.iter().map(|(field, _, what)| json!({"what": what, "max": told(field, &quota[field])})).collect();
    session.output.list(&rows, QUOTA_COLUMNS)
}

/// Shows how much there is of what the quota limits, beside the limits.
pub async fn usage(session: &Session, project: &str) -> anyhow::Result<()> {
    let mut usage = session.call(&format!("{USAGE}/GetProjectUsage"), json!({"name": project})).await?;
    let quota = session.call(&format!("{PROJECTS}/GetProjectQuota"), json!({"name": project})).await?;
    if session.output.is_json {
        usage["quota"] = quota;
        return session.output.json(&usage);
    }
    let held = LIMITS.iter().filter_map(|(field, used, what)| Some((field, (*used)?, what)));
    let rows: Vec<Value> = held
        .map(|(field, used, what)| {
            // What is 0 is not written out.
            let used = if usage[used].is_null() { &json!(0) } else { &usage[used] };
            json!({"what": what, "used": told(field, used), "max": told(field, &quota[field])})
        })
        .collect();
    session.output.list(&rows, USAGE_COLUMNS)
}

/// A number for people; what is absent is no limit.
fn told(field: &str, value: &Value) -> String {
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
    match number {
        None => "no limit".to_owned(),
        Some(number) if field == "storage_bytes_max" => sized(number),
        Some(number) => number.to_string(),
    }
}

/// Bytes in the largest unit that leaves something before the point.
fn sized(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let power = (bytes.max(1).ilog2() / 10) as usize;
    match power.checked_sub(1) {
        None => format!("{bytes} B"),
        Some(unit) => format!("{:.1} {}", bytes as f64 / 2_f64.powi(10 * power as i32), units[unit]),
    }
}

fn count(text: &str) -> Result<Limit, String> {
    if text == "none" {
        return Ok(Limit::None);
    }
    let number = text.parse::<u32>().map_err(|_| format!("write a number up to {}, or none", u32::MAX))?;
    Ok(Limit::Max(number.into()))
}

fn bytes(text: &str) -> Result<Limit, String> {
    if text == "none" {
        return Ok(Limit::None);
    }
    let wrong = || "write bytes as 1048576, 500MB or 10GiB, or none".to_owned();
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let factor = match unit.trim() {
        "" | "B" => 1,
        "kB" | "KB" => 1000,
        "MB" => 1000_u64.pow(2),
        "GB" => 1000_u64.pow(3),
        "TB" => 1000_u64.pow(4),
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return Err(wrong()),
    };
    let number = digits.parse::<u64>().map_err(|_| wrong())?;
    number.checked_mul(factor).map(Limit::Max).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_number_or_none() {
        assert_eq!(count("12"), Ok(Limit::Max(12)));
        assert_eq!(count("none"), Ok(Limit::None));
        for text in ["", "-1", "1.5", "many", "4294967296"] {
            assert!(count(text).is_err(), "{text}");
        }
    }

    #[test]
    fn bytes_come_in_the_units_that_people_write() {
        for (text, number) in [
            ("0", 0),
            ("512", 512),
            ("512B", 512),
            ("5kB", 5000),
            ("10GiB", 10 << 30),
            ("3 TiB", 3 << 40),
            ("2MB", 2_000_000),
        ] {
            assert_eq!(bytes(text), Ok(Limit::Max(number)), "{text}");
        }
        assert_eq!(bytes("none"), Ok(Limit::None));
        for text in ["", "GiB", "1.5GiB", "-1", "10 gigs", "99999999999TiB"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_are_told_to_people() {
        let told = |value| told("storage_bytes_max", &value);
        let sizes = [json!(0), json!("1023"), json!(1024), json!("1610612736"), json!(null)].map(told);
        assert_eq!(sizes, ["0 B", "1023 B", "1.0 KiB", "1.5 GiB", "no limit"]);
        assert_eq!(super::told("runs_max", &json!(7)), "7");
    }
}
