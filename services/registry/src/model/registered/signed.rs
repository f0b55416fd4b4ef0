//! Promotions that demand signatures.

use cairn_kernel::Revision;
use cairn_modelsig::PublicKey;
use cairn_testkit::given;

use super::spec::{
    ADA, BOB, NOW, approve_with, approved, complete, event, manager, moved, name, numbered, requested, strict,
    to_champion,
};
use super::*;
use crate::model::signing::{SigningPolicy, Trust, TrustedKey};
use crate::model::version::{Facts, SignatureCheck};
use crate::model::{PolicyScope, Uncounted, Unmet};

/// Versions, and whose policies trust [`key`], each by the event of that number.
pub(super) fn evidence<const N: usize>(facts: [(u32, Facts); N], trusting: &[(PolicyScope, u64)]) -> Evidence {
    let keys = Arc::new(vec![TrustedKey { name: "release".into(), key: key() }]);
    let policy = Arc::new(SigningPolicy { keys, is_required: false });
    let by = trusting.iter().map(|(scope, at)| (scope.clone(), Arc::clone(&policy), Some(Revision(*at))));
    let facts = facts.into_iter().map(|(version, facts)| (Number(version), Arc::new(facts)));
    Evidence { facts: Arc::new(facts.collect()), trust: Trust::by(by) }
}

fn key() -> PublicKey {
    include_str!("../../../tests/fixtures/release.pub").parse().unwrap()
}

/// A version that [`key`] signed.
pub(super) fn signed() -> Facts {
    let (key, fingerprint) = ("release".to_owned(), key().fingerprint());
    of(SignatureCheck::Verified { key, fingerprint, sha256: String::new() })
}

fn of(signature_check: SignatureCheck) -> Facts {
    Facts { signature_check, ..Facts::default() }
}

pub(super) fn by_project() -> PolicyScope {
    PolicyScope::Project(name().parent())
}

/// That the signature of a version counted, by an event of a policy.
fn counted(version: u32, trusted_by: PolicyScope, revision: u64) -> CountedSignature {
    let (version, fingerprint) = (Number(version), key().fingerprint());
    CountedSignature { version, fingerprint, trusted_by, policy_revision: Revision(revision) }
}

#[test]
fn where_a_signature_is_demanded_only_one_whose_key_is_trusted_at_that_moment_lets_a_version_move() {
    let terms = Arc::new(Terms { needs_signature: true, ..Terms::clone(&strict()) });
    let history = || numbered(3).into_iter().chain([requested(to_champion(2), &terms)]);
    let approve_with = |evidence| approve_with(evidence, manager(BOB, 1), &terms, NOW);
    let untrusted =
        SignatureCheck::Untrusted { fingerprint: key().fingerprint(), sha256: String::new(), problem: String::new() };
    let withdrawn = Uncounted::Withdrawn { key: "release".into(), fingerprint: key().fingerprint() };
    let project = (by_project(), 4);
    for (facts, trusting, why) in [
        (of(SignatureCheck::Absent), vec![project.clone()], Uncounted::Absent),
        (of(SignatureCheck::Unnoted), vec![project.clone()], Uncounted::Unnoted),
        (of(untrusted), vec![project.clone()], Uncounted::Untrusted),
        (signed(), vec![], withdrawn),
    ] {
        // Somebody's yes counts, and nothing moves. That another version is signed does not help.
        let evidence = evidence([(2, facts), (3, signed())], &trusting);
        let unmet = vec![Unmet::Signature { version: Number(2), why }];
        given::<Model>(history())
            .when(approve_with(evidence.clone()))
            .then([approved(BOB, 1)])
            .when(complete(evidence, &terms, NOW))
            .rejected(Rejection::Unmet { promotion: "1".into(), unmet });
    }
    // Of two policies that trust the key the project's is named, else that of the model.
    let model = (PolicyScope::Model(name()), 7);
    for (trusting, by) in [(vec![project.clone(), model.clone()], project), (vec![model.clone()], model)] {
        let signatures = vec![counted(2, by.0, by.1)];
        let done = |principal: &str| {
            let (promotion, principal) = ("1".into(), principal.into());
            event(Change::Completed { promotion, principal, signatures: signatures.clone() })
        };
        let evidence = evidence([(2, signed())], &trusting);
        given::<Model>(history()).when(approve_with(evidence.clone())).then([
            approved(BOB, 1),
            moved(None, 2),
            done(BOB),
        ]);
        given::<Model>(history().chain([approved(BOB, 1)]))
            .when(complete(evidence, &terms, NOW))
            .then([moved(None, 2), done(ADA)]);
    }
}
