//! What a batch of metrics says, in the words of a person.

use serde_json::Value;

use super::output::text;

/// Metrics told of by name; of the others only how many there are.
const NAMES_MAX: usize = 5;

/// The points of one metric in a batch.
struct Curve<'a> {
    name: &'a str,
    count: usize,
    steps: (i64, i64),
    value: &'a Value,
}

/// `loss ×100 steps 0–99, accuracy=0.97 step 99`, if these are the packed columns of a batch.
pub fn summary(data: &Value) -> Option<String> {
    let column = |name: &str| data[name].as_array();
    let (keys, steps, values) = (column("keys")?, column("steps")?, column("values")?);
    let indexes = column("key_indexes");
    let mut curves: Vec<Curve<'_>> = vec![];
    let mut places: Vec<Option<usize>> = vec![None; keys.len()];
    for (at, (step, value)) in steps.iter().zip(values).enumerate() {
        let key = indexes.and_then(|indexes| indexes.get(at)).map_or(Some(0), whole)?;
        let (key, step) = (usize::try_from(key).ok()?, whole(step)?);
        match *places.get(key)? {
            Some(place) => {
                let curve = &mut curves[place];
                curve.count += 1;
                curve.steps = (curve.steps.0.min(step), curve.steps.1.max(step));
            }
            None => {
                places[key] = Some(curves.len());
                curves.push(Curve { name: keys[key].as_str()?, count: 1, steps: (step, step), value });
            }
        }
    }
    let mut parts: Vec<String> = curves.iter().take(NAMES_MAX).map(told).collect();
    if curves.len() > NAMES_MAX {
        parts.push(format!("… {} metrics in all", curves.len()));
    }
    Some(parts.join(", "))
}

fn told(curve: &Curve<'_>) -> String {
    let (name, count) = (text(&curve.name.into()), curve.count);
    match curve.steps {
        (step, _) if count == 1 => format!("{name}={} step {step}", text(curve.value)),
        (first, last) if first == last => format!("{name} ×{count} step {first}"),
        (first, last) => format!("{name} ×{count} steps {first}–{last}"),
    }
}

/// A whole number: as text where the contract has 64 bits, else as JSON's only kind of number.
fn whole(value: &Value) -> Option<i64> {
    value.as_str().map_or_else(|| value.as_f64().map(|number| number as i64), |text| text.parse().ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_batch_is_told_by_metric_with_its_count_and_steps() {
        let data = json!({
            "run": "r", "keys": ["loss", "accuracy", "lr"], "key_indexes": [0.0, 0.0, 1.0, 0.0, 2.0, 2.0],
            "steps": ["7", "3", "9", "5", "1", "1"], "values": [0.5, 0.25, "NaN", 0.1, 1.0, 2.0],
        });
        assert_eq!(summary(&data).unwrap(), "loss ×3 steps 3–7, accuracy=NaN step 9, lr ×2 step 1");
    }

    #[test]
    fn a_batch_of_one_metric_has_no_indexes_and_many_metrics_are_counted() {
        let data = json!({"keys": ["loss"], "steps": ["0", "1"], "values": [1.0, 2.0]});
        assert_eq!(summary(&data).unwrap(), "loss ×2 steps 0–1");
        let names: Vec<String> = (0..20).map(|at| format!("m{at}")).collect();
        let indexes: Vec<f64> = (0..20).map(f64::from).collect();
        let data = json!({"keys": names, "key_indexes": indexes, "steps": vec!["0"; 20], "values": vec![1.5; 20]});
        let told = summary(&data).unwrap();
        assert!(told.starts_with("m0=1.5 step 0, m1=1.5") && told.ends_with(", … 20 metrics in all"), "{told}");
    }

    #[test]
    fn what_is_no_batch_is_told_otherwise() {
        for data in [
            json!({"keys": ["a"]}),
            json!(null),
            json!({"keys": ["a"], "key_indexes": [3], "steps": ["0"], "values": [1]}),
        ] {
            assert_eq!(summary(&data), None);
        }
    }
}
