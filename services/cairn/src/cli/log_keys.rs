//! `cairn audit signing`, `rotate-key` and `open-epoch`: what the log is signed with.

use serde_json::{Value, json};

use super::output::{line, text};
use super::session::{Session, given};

const SERVICE: &str = "ledger.v1.SigningService";

pub async fn show(session: &Session) -> anyhow::Result<()> {
    let signing = session.call(&format!("{SERVICE}/GetSigning"), json!({})).await?;
    if session.output.is_json {
        return session.output.json(&signing);
    }
    line(&format!("origin  {} (epoch {})", text(&signing["origin"]), signing["epoch"]))?;
    for key in items(&signing["keys"]) {
        let until = match text(&key["retire_time"]) {
            until if until.is_empty() => String::new(),
            until => format!(" until {until}"),
        };
        line(&format!("signs   {}{until}", text(&key["verifying_key"])))?;
    }
    for change in items(&signing["changes"]) {
        line(&told(change))?;
    }
    match text(&signing["mismatch"]) {
        mismatch if mismatch.is_empty() => Ok(()),
        mismatch => line(&format!("\nNOTHING IS SIGNED: {mismatch}")),
    }
}

/// One change in one line.
fn told(change: &Value) -> String {
    let what = match &change["ended"] {
        Value::Null => format!("new key {}", text(&change["verifying_key"])),
        ended => format!(
            "epoch {} opened; of {} events signed as {}, {} are as they were signed: {}",
            text(&change["origin"]),
            text(&ended["signed_size"]),
            text(&ended["origin"]),
            text(&ended["kept_size"]),
            text(&change["reason"]).replace('\n', " "),
        ),
    };
    let (position, time, who) = (text(&change["position"]), text(&change["event_time"]), text(&change["principal"]));
    format!("{position:>7} {time} {who}: {what}")
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

pub async fn rotate(session: &Session, overlap_days: Option<u32>) -> anyhow::Result<()> {
    let overlap = overlap_days.map(|days| format!("{}s", u64::from(days) * 86_400));
    let request = given(json!({"overlap": overlap}));
    let signing = session.call(&format!("{SERVICE}/RotateSigningKey"), request).await?;
    let newest = items(&signing["keys"]).last().map(|key| text(&key["verifying_key"])).unwrap_or_default();
    let sentence = format!("the log is signed with {newest} too; give it to everybody who verifies");
    session.output.done(&sentence, &signing)
}

pub async fn open_epoch(session: &Session, ends: &str, reason: &str) -> anyhow::Result<()> {
    let request = json!({"ended_origin": ends, "reason": reason});
    let signing = session.call(&format!("{SERVICE}/OpenEpoch"), request).await?;
    let last = items(&signing["changes"]).last().map(told).unwrap_or_default();
    let sentence = format!("{last}\ngive its key to everybody who verifies, and to witnesses");
    session.output.done(&sentence, &signing)
}
