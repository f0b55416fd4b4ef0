//! Addresses that the log holds sealed, opened for whoever may.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Value, json};

use super::output::text;
use super::session::Session;

/// Opened in one request.
const BATCH: usize = 100;

/// Puts addresses into records in the place of what is sealed.
pub async fn open(session: &Session, records: &mut [Value]) -> anyhow::Result<()> {
    let pair = |record: &Value| (text(&record["principal"]), text(&record["source_address"]));
    let sealed: BTreeSet<_> = records.iter().map(pair).filter(|(_, address)| address.starts_with("sealed:")).collect();
    let sealed: Vec<_> = sealed.into_iter().collect();
    let mut opened = HashMap::new();
    for batch in sealed.chunks(BATCH) {
        let entry = |(principal, sealed): &(String, String)| json!({"principal": principal, "sealed_address": sealed});
        let request = json!({"entries": batch.iter().map(entry).collect::<Vec<_>>()});
        let told = session.call("auth.v1.SourceAddressService/OpenSourceAddresses", request).await?;
        for (pair, answer) in batch.iter().zip(told["addresses"].as_array().into_iter().flatten()) {
            let address = if answer["forgotten"] == true { "forgotten".to_owned() } else { text(&answer["address"]) };
            opened.insert(pair.clone(), address);
        }
    }
    for record in records {
        if let Some(address) = opened.get(&pair(record)) {
            record["source_address"] = json!(address);
        }
    }
    Ok(())
}
