use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cairn_kernel::Secret;

use crate::model::hook::Format;

/// Begins a secret of Standard Webhooks that is written in base64.
const ENCODED: &str = "whsec_";

/// The headers that name and sign one request of a format. `seconds` since 1970.
pub(super) fn headers(
    format: Format,
    secret: Option<&Secret>,
    id: &str,
    seconds: i64,
    body: &[u8],
) -> Vec<(&'static str, String)> {
    let names = match format {
        Format::Cairn => ["webhook-id", "webhook-timestamp", "webhook-signature"],
        Format::Mlflow => ["x-mlflow-delivery-id", "x-mlflow-timestamp", "x-mlflow-signature"],
        // Slack knows its senders by their addresses.
        Format::Slack => return vec![],
    };
    let mut headers = vec![(names[0], id.to_owned()), (names[1], seconds.to_string())];
    if let Some(secret) = secret {
        headers.push((names[2], signature(&key(format, secret), id, seconds, body)));
    }
    headers
}

/// Version 1 of either: HMAC-SHA-256 over id, time and body with dots between.
fn signature(key: &[u8], id: &str, seconds: i64, body: &[u8]) -> String {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    context.update(format!("{id}.{seconds}.").as_bytes());
    context.update(body);
    format!("v1,{}", STANDARD.encode(context.sign()))
}

fn key(format: Format, secret: &Secret) -> Vec<u8> {
    let text = secret.expose();
    let encoded = text.strip_prefix(ENCODED).filter(|_| format == Format::Cairn);
    encoded.and_then(|encoded| STANDARD.decode(encoded).ok()).unwrap_or_else(|| text.as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example that the Standard Webhooks libraries are tested with.
    #[test]
    fn a_signature_is_that_of_standard_webhooks() {
        let secret = Secret::from("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned());
        let body = br#"{"test": 2432232314}"#;
        let headers = headers(Format::Cairn, Some(&secret), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(headers[0], ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek".to_owned()));
        assert_eq!(headers[1], ("webhook-timestamp", "1614265330".to_owned()));
        let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(headers[2], ("webhook-signature", signature.to_owned()));
    }

    #[test]
    fn what_has_no_secret_is_named_and_not_signed() {
        assert_eq!(headers(Format::Mlflow, None, "d", 7, b"").len(), 2);
        assert_eq!(headers(Format::Slack, None, "d", 7, b"").len(), 0);
    }
}
