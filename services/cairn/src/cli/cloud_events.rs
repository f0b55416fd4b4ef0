//! Audit records as CloudEvents. Events themselves come as such from the ledger.

use serde_json::{Value, json};

use super::session::given;

/// What its data is.
const TYPE: &str = "cairn.ledger.v1.AuditRecord";

/// A record as a CloudEvent of a log. The event that the record tells of is another CloudEvent, so the source is too.
pub fn of_record(record: &Value, log: &str) -> Value {
    let text = |field: &str| record[field].as_str().filter(|text| !text.is_empty());
    given(json!({
        "specversion": "1.0",
        "id": text("event_id"),
        "source": format!("https://{log}/audit"),
        "type": TYPE,
        "subject": text("resource"),
        "time": text("event_time"),
        "datacontenttype": "application/json",
        "position": text("position"),
        "principal": text("principal"),
        "project": text("project"),
        "data": record,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_record_does_not_say_is_no_attribute() {
        let record = json!({"event_id": "e", "position": "7", "resource": "*", "principal": ""});
        let event = of_record(&record, "log.example");
        assert_eq!((&event["id"], &event["source"]), (&json!("e"), &json!("https://log.example/audit")));
        assert!(event.get("principal").is_none() && event.get("project").is_none());
        assert_eq!(event["data"], record);
    }
}
