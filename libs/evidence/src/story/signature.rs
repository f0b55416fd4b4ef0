use aws_lc_rs::digest::{SHA256, digest};
use cairn_contract::cairn::registry::events::v1::{
    CountedSignature, ModelVersionCreated, PromotionCompleted, SigningPolicySet,
};
use cairn_contract::cairn::registry::v1::{SignatureCheck, SignatureState};

use super::promotion::Promotion;
use crate::event::Event;

/// What made the signature of a version count when its promotion was carried out, or why it should not have.
///
/// The promotion's end names the event of the policy that was in force, and was appended on the condition that it still
/// was. What is named must be there and be the last before that end, so a file passes neither with the end of the
/// policy's stream left off nor with a later event in it that was passed over.
pub(super) fn counted(promotion: &Promotion, version: &str, events: &[Event]) -> Result<String, String> {
    let check = verified(version, events)?;
    let (end, counted) = named(promotion, version, events)?;
    if counted.key_fingerprint != check.key_fingerprint {
        return Err(format!("key {} made it, and {} was counted", check.key_fingerprint, counted.key_fingerprint));
    }
    let CountedSignature { trusted_by, policy_revision, .. } = &counted;
    let project = promotion.model.split("/models/").next().unwrap_or_default();
    if trusted_by != &promotion.model && trusted_by != project {
        return Err(format!("the keys of {trusted_by} do not count for this model"));
    }
    let stream = format!("registry.signing-{trusted_by}");
    let last = events.iter().rfind(|event| event.stream == stream && event.position < end);
    let set = last.filter(|event| event.revision == *policy_revision);
    let set = set.and_then(|event| event.message::<SigningPolicySet>().map(|set| (event, set)));
    let Some((event, set)) = set else {
        return Err(format!("event {policy_revision} of the policy of {trusted_by} is not the one that was in force"));
    };
    if !set.keys.iter().any(|key| fingerprint(&key.public_key_pem) == counted.key_fingerprint) {
        return Err(format!("the policy of {trusted_by} did not trust key {}", counted.key_fingerprint));
    }
    let SignatureCheck { key_name, key_fingerprint, signature_sha256, .. } = check;
    let trusted = format!("trusted by {trusted_by} as set at position {} by {}", event.position, event.principal);
    Ok(format!("key {key_name} ({key_fingerprint}), {trusted}; signature sha256:{signature_sha256}"))
}

/// What was found when the version was registered, if it was a signature that counted then.
fn verified(version: &str, events: &[Event]) -> Result<SignatureCheck, String> {
    let created = events.iter().filter_map(|event| event.message::<ModelVersionCreated>());
    let check = created.into_iter().find(|told| told.version == version).and_then(|told| told.signature_check);
    let check = check.ok_or("nobody looked for a signature when it was registered")?;
    match check.state() {
        SignatureState::Verified => Ok(check),
        state => {
            let state = state.as_str_name().trim_start_matches("SIGNATURE_STATE_").to_lowercase();
            Err(format!("its signature was {state} when it was registered"))
        }
    }
}

/// Where in the log the promotion was carried out, and the signature of the version that it says to rest on.
fn named(promotion: &Promotion, version: &str, events: &[Event]) -> Result<(u64, CountedSignature), String> {
    let number = version.rsplit('/').next().and_then(|number| number.parse::<u32>().ok());
    let stream = format!("registry.model-{}", promotion.model);
    let ends = events.iter().filter(|event| event.stream == stream);
    let ends = ends.filter_map(|event| Some((event.position, event.message::<PromotionCompleted>()?)));
    let end = ends.into_iter().find(|(_, told)| told.promotion == promotion.name);
    let counted = end.and_then(|(position, told)| {
        let counted = told.signatures.into_iter().find(|counted| Some(counted.version) == number);
        counted.map(|counted| (position, counted))
    });
    counted.ok_or_else(|| "its promotion names no signature that it rests on".to_owned())
}

/// Computed, not read: what an event says of a key's name does not make it that key.
fn fingerprint(pem: &str) -> String {
    hex::encode(digest(&SHA256, pem.as_bytes()))
}
