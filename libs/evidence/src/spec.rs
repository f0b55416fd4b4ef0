//! Stories, told and judged, and files that are touched.

use std::convert::Infallible;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cairn_contract::cairn::auth::events::v1::{
    GroupCreated, GroupDeleted, GroupMembersAdded, GroupMembersRemoved, ProjectCreated, RoleGranted, RoleWithdrawn,
};
use cairn_contract::cairn::registry::events::v1::{
    AliasMoved, CountedSignature, DefaultPolicySet, ModelCreated, ModelVersionCreated, PromotionApproved,
    PromotionCompleted, PromotionRequested, SigningPolicySet,
};
use cairn_contract::cairn::registry::v1::{
    MetricThreshold, PromotionMove, PromotionTerms, SignatureCheck, SignatureState, SigningKey as TrustedKey,
    promotion_move::Target,
};
use cairn_tlog::proof::inclusion;
use cairn_tlog::{Checkpoint, Frontier, Hash, Kind, Note, SigningKey, Tile, Tiles};
use proptest::prelude::*;
use prost::Name;

use crate::{Pack, PackFault, Proven, Story};

const MODEL: &str = "projects/p/models/m";
const PROMOTION: &str = "projects/p/models/m/promotions/x";
const MODEL_STREAM: &str = "registry.model-projects/p/models/m";

/// A log that is written by hand.
#[derive(Default)]
struct Log {
    events: Vec<(String, u64, Vec<u8>)>,
}

impl Log {
    fn tell<M: Name>(&mut self, stream: &str, time: u64, message: &M) -> u64 {
        let revision = self.events.iter().filter(|(entry, ..)| entry.contains(&format!("{stream:?}"))).count();
        let (position, payload) = (self.events.len() as u64 + 1, message.encode_to_vec());
        let salted = [b"salt".to_vec(), payload.clone()].concat();
        let entry = format!(
            r#"{{"v":1,"position":{position},"stream":{stream:?},"revision":{revision},"type":{:?},"id":"i","time":"2026-01-01T00:00:{time:02}Z","principal":"users/ada","payload_sha256":{:?}}}"#,
            M::full_name(),
            STANDARD.encode(digest(&SHA256, &salted)),
        );
        self.events.push((entry, position, payload));
        position
    }

    /// The file over all of it.
    fn pack(&self) -> Result<Pack, PackFault> {
        let leaves = Leaves(self.events.iter().map(|(entry, ..)| Hash::leaf(entry.as_bytes())).collect());
        let mut tree = Frontier::default();
        leaves.0.iter().for_each(|leaf| tree.push(*leaf));
        let checkpoint = Checkpoint { origin: "log.example".into(), size: tree.size(), root: tree.root() };
        let text = checkpoint.to_string();
        let note = Note { signatures: vec![key().sign(&text, 0)], text };
        let proven = self.events.iter().enumerate().map(|(at, (entry, _, payload))| Proven {
            entry: entry.clone(),
            index: at as u64,
            hashes: inclusion(&leaves, at as u64, tree.size()).unwrap().iter().map(ToString::to_string).collect(),
            salt: STANDARD.encode(b"salt"),
            payload: STANDARD.encode(payload),
        });
        Pack::new(PROMOTION, note.to_string(), proven.collect())
    }

    fn verified(&self) -> Story {
        Pack::verify(&self.pack().unwrap().to_string(), &[key().verifying().clone()]).unwrap().story
    }
}

/// The hashes of a log that fits one tile.
struct Leaves(Vec<Hash>);

impl Tiles for Leaves {
    type Fault = Infallible;

    fn tile(&self, tile: Tile) -> Result<Vec<Hash>, Infallible> {
        assert_eq!((tile.level, tile.number), (0, 0));
        Ok(self.0[..tile.width as usize].to_vec())
    }
}

fn key() -> SigningKey {
    SigningKey::from_seed("log.example".parse().unwrap(), Kind::Log, &[7; 32])
}

fn terms() -> PromotionTerms {
    let threshold = MetricThreshold { metric: "auc".into(), min: Some(0.9), max: None };
    PromotionTerms { metric_thresholds: vec![threshold], approvals_required: 1, ..PromotionTerms::default() }
}

fn granted() -> RoleGranted {
    RoleGranted {
        binding: "bindings/b".into(),
        principal: "users/bob".into(),
        role: "roles/manager".into(),
        resource: "projects/p".into(),
        ..RoleGranted::default()
    }
}

fn asked() -> PromotionRequested {
    PromotionRequested {
        promotion: PROMOTION.into(),
        moves: vec![PromotionMove { version: 1, target: Some(Target::Alias("champion".into())) }],
        requester: "users/ada".into(),
        terms: Some(terms()),
        roles_position: 4,
        ..PromotionRequested::default()
    }
}

fn approved() -> PromotionApproved {
    PromotionApproved {
        promotion: PROMOTION.into(),
        approver: "users/bob".into(),
        role: "roles/manager".into(),
        role_position: 1,
        ..PromotionApproved::default()
    }
}

fn version(auc: f64) -> ModelVersionCreated {
    ModelVersionCreated {
        version: format!("{MODEL}/versions/1"),
        metrics: [("auc".to_owned(), auc)].into(),
        ..ModelVersionCreated::default()
    }
}

/// What the registry found of the signature.
fn check() -> SignatureCheck {
    SignatureCheck {
        state: SignatureState::Verified.into(),
        key_name: "release".into(),
        key_fingerprint: fingerprint("pem"),
        signature_sha256: "0123".into(),
        problem: String::new(),
    }
}

fn trusting(pems: &[&str]) -> SigningPolicySet {
    let key = |pem: &&str| TrustedKey {
        name: "release".into(),
        public_key_pem: (*pem).into(),
        // Not what the reader goes by.
        fingerprint: fingerprint("pem"),
    };
    SigningPolicySet { scope: "projects/p".into(), keys: pems.iter().map(key).collect(), required: false }
}

fn counted() -> CountedSignature {
    CountedSignature {
        version: 1,
        key_fingerprint: fingerprint("pem"),
        trusted_by: "projects/p".into(),
        policy_revision: 1,
    }
}

fn fingerprint(pem: &str) -> String {
    hex::encode(digest(&SHA256, pem.as_bytes()))
}

/// A promotion as it should be, but for what is changed of it.
#[derive(Clone)]
struct Told {
    granted: RoleGranted,
    /// What happened to groups and projects before that, and after it until somebody agreed.
    before: fn(&mut Log),
    after: fn(&mut Log),
    /// What the project's promotions need, if it was ever said.
    policy: Option<PromotionTerms>,
    version: ModelVersionCreated,
    asked: PromotionRequested,
    is_withdrawn: bool,
    approvals: Vec<PromotionApproved>,
    /// What the project trusts, one after the other, before the promotion's end.
    trusts: Vec<SigningPolicySet>,
    signatures: Vec<CountedSignature>,
    moves_to: Option<u32>,
}

impl Default for Told {
    fn default() -> Self {
        Self {
            granted: granted(),
            before: |_| (),
            after: |_| (),
            policy: Some(terms()),
            version: version(0.95),
            asked: asked(),
            is_withdrawn: false,
            approvals: vec![approved()],
            trusts: vec![],
            signatures: vec![],
            moves_to: Some(1),
        }
    }
}

impl Told {
    /// The same where the policy demands a signature, and by the second event of the project's keys there is one.
    fn signed() -> Self {
        let terms = PromotionTerms { trusted_signature_required: true, ..terms() };
        Self {
            policy: Some(terms.clone()),
            asked: PromotionRequested { terms: Some(terms), ..asked() },
            version: ModelVersionCreated { signature_check: Some(check()), ..version(0.95) },
            trusts: vec![trusting(&[]), trusting(&["pem"])],
            signatures: vec![counted()],
            ..Self::default()
        }
    }

    fn log(&self) -> Log {
        let mut log = Log::default();
        (self.before)(&mut log);
        log.tell("auth.binding-bindings/b", 1, &self.granted);
        if self.policy.is_some() {
            let policy = DefaultPolicySet { project: "projects/p".into(), terms: self.policy.clone(), relaxed: false };
            log.tell("registry.policy-projects/p", 2, &policy);
        }
        log.tell(MODEL_STREAM, 3, &ModelCreated { model: MODEL.into(), ..ModelCreated::default() });
        log.tell("registry.version-projects/p/models/m/versions/1", 4, &self.version);
        log.tell(MODEL_STREAM, 5, &self.asked);
        if self.is_withdrawn {
            let withdrawn = RoleWithdrawn { binding: "bindings/b".into(), ..RoleWithdrawn::default() };
            log.tell("auth.binding-bindings/b", 6, &withdrawn);
        }
        (self.after)(&mut log);
        for approval in &self.approvals {
            log.tell(MODEL_STREAM, 7, approval);
        }
        for trusts in &self.trusts {
            log.tell("registry.signing-projects/p", 7, trusts);
        }
        let (promotion, principal) = (PROMOTION.into(), "users/bob".into());
        let completed = PromotionCompleted { promotion, principal, signatures: self.signatures.clone() };
        log.tell(MODEL_STREAM, 7, &completed);
        if let Some(to_version) = self.moves_to {
            let moved = AliasMoved { model: MODEL.into(), alias: "champion".into(), from_version: None, to_version };
            log.tell(MODEL_STREAM, 7, &moved);
        }
        log
    }

    /// The rules that were broken.
    fn broken(&self) -> Vec<String> {
        self.log()
            .verified()
            .findings
            .into_iter()
            .filter(|finding| !finding.holds)
            .map(|finding| finding.rule)
            .collect()
    }
}

#[test]
fn a_promotion_by_the_rules_is_told_as_one() {
    let story = Told::default().log().verified();
    assert!(story.holds(), "{:?}", story.findings);
    assert_eq!(story.findings.len(), 7);
    assert_eq!((story.promotion.state.as_str(), story.promotion.ender.as_str()), ("COMPLETED", "users/bob"));
    assert_eq!(story.versions[0].metrics["auc"], "0.95");
}

#[test]
fn every_broken_rule_is_found_whatever_the_registry_wrote() {
    let told = Told::default;
    let own = PromotionApproved { approver: "users/ada".into(), ..approved() };
    let not_hers = "users/ada held roles/manager when it was asked for";
    assert_eq!(Told { approvals: vec![own], ..told() }.broken(), ["nobody agrees to what they asked for", not_hers]);
    assert_eq!(Told { approvals: vec![], ..told() }.broken(), ["enough have agreed"]);
    let two = PromotionTerms { approvals_required: 2, ..terms() };
    let asked_of_two = PromotionRequested { terms: Some(two.clone()), ..asked() };
    let twice = Told { approvals: vec![approved(), approved()], policy: Some(two), asked: asked_of_two, ..told() };
    assert_eq!(twice.broken(), ["enough have agreed"], "one person twice is one person");

    let held = ["users/bob held roles/manager when it was asked for"];
    let later = PromotionRequested { roles_position: 0, ..asked() };
    assert_eq!(Told { asked: later, ..told() }.broken(), held);
    assert_eq!(Told { is_withdrawn: true, ..told() }.broken(), held);
    for granted in [
        RoleGranted { resource: "projects/other".into(), ..granted() },
        RoleGranted { role: "roles/viewer".into(), ..granted() },
        RoleGranted { principal: "users/eve".into(), ..granted() },
    ] {
        assert_eq!(Told { granted, ..told() }.broken(), held);
    }
    let softer = PromotionRequested { terms: Some(PromotionTerms::default()), ..asked() };
    assert_eq!(Told { asked: softer, ..told() }.broken(), ["the request names the policy in force"]);
    assert_eq!(Told { policy: None, ..told() }.broken(), Vec::<String>::new(), "one more person is what nobody said");
    let alone = PromotionRequested { terms: Some(PromotionTerms::default()), ..asked() };
    let alone = Told { policy: None, asked: alone, approvals: vec![], ..told() };
    assert_eq!(alone.broken(), ["the request names the policy in force", "enough have agreed"]);
    let low = Told { version: version(0.5), ..told() };
    assert_eq!(low.broken(), ["projects/p/models/m/versions/1: auc is as the policy wants it"]);
    for moves_to in [None, Some(2)] {
        assert_eq!(Told { moves_to, ..told() }.broken(), ["what was asked for has moved"]);
    }
}

const HELD: &str = "users/bob held roles/manager when it was asked for";
const LEADS: &str = "organizations/o/groups/leads";
const STAFF: &str = "organizations/o/groups/staff";

fn joins(log: &mut Log, group: &str, member: &str) {
    let added = GroupMembersAdded { group: group.into(), members: vec![member.into()] };
    log.tell(&format!("auth.group-{group}"), 1, &added);
}

/// Bob agrees by what the leads were given on their organization; he is one of the staff, who are among the leads.
fn through_groups() -> Told {
    Told {
        before: |log| {
            let project = ProjectCreated {
                project: "projects/p".into(),
                organization: "organizations/o".into(),
                ..ProjectCreated::default()
            };
            log.tell("auth.project-projects/p", 1, &project);
            for group in [LEADS, STAFF] {
                log.tell(
                    &format!("auth.group-{group}"),
                    1,
                    &GroupCreated { group: group.into(), ..GroupCreated::default() },
                );
            }
            joins(log, STAFF, "users/bob");
            joins(log, LEADS, STAFF);
        },
        granted: RoleGranted { principal: LEADS.into(), resource: "organizations/o".into(), ..granted() },
        asked: PromotionRequested { roles_position: 9, ..asked() },
        approvals: vec![PromotionApproved { role_position: 6, ..approved() }],
        ..Told::default()
    }
}

#[test]
fn a_role_is_held_through_groups_and_on_the_organization_that_a_project_belongs_to() {
    let told = through_groups;
    let story = told().log().verified();
    assert!(story.holds(), "{:?}", story.findings);
    let why = story.findings.iter().find(|finding| finding.rule == HELD).map(|finding| finding.why.as_str());
    let by = "bindings/b gives roles/manager on organizations/o, at position 6 to organizations/o/groups/leads, \
              whose member they were since position 5";
    assert_eq!(why, Some(by));
    let directly: fn(&mut Log) = |log| {
        log.tell(&format!("auth.group-{LEADS}"), 1, &GroupCreated { group: LEADS.into(), ..GroupCreated::default() });
        joins(log, LEADS, "users/bob");
    };
    let granted = RoleGranted { principal: LEADS.into(), ..granted() };
    let approvals = vec![PromotionApproved { role_position: 3, ..approved() }];
    assert_eq!(Told { before: directly, granted, approvals, ..told() }.broken(), [""; 0]);
}

#[test]
fn who_is_in_no_such_group_or_joined_it_later_or_left_it_did_not_hold_its_role() {
    let told = through_groups;
    let left: fn(&mut Log) = |log| {
        let removed = GroupMembersRemoved { group: LEADS.into(), members: vec![STAFF.into()] };
        log.tell(&format!("auth.group-{LEADS}"), 6, &removed);
    };
    let came_back: fn(&mut Log) = |log| {
        let removed = GroupMembersRemoved { group: STAFF.into(), members: vec!["users/bob".into()] };
        log.tell(&format!("auth.group-{STAFF}"), 6, &removed);
        joins(log, STAFF, "users/bob");
    };
    let deleted: fn(&mut Log) = |log| {
        log.tell(&format!("auth.group-{LEADS}"), 6, &GroupDeleted { group: LEADS.into() });
    };
    for after in [left, came_back, deleted] {
        assert_eq!(Told { after, ..told() }.broken(), [HELD]);
    }
    // That somebody joined after it was asked for does not help.
    let (of_late, approvals) = (came_back, vec![PromotionApproved { role_position: 13, ..approved() }]);
    assert_eq!(Told { after: of_late, approvals, ..told() }.broken(), [HELD]);
    assert_eq!(Told { before: |_| (), ..told() }.broken(), [HELD], "a group of which the events do not tell");
    let elsewhere = RoleGranted { principal: LEADS.into(), resource: "organizations/other".into(), ..granted() };
    assert_eq!(Told { granted: elsewhere, ..told() }.broken(), [HELD]);
}

#[test]
fn a_role_that_had_ended_by_itself_does_not_count() {
    let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    // The log's day is the first of 2026, and somebody agreed at its seventh second.
    let day = 1_767_225_600;
    for (end, broken) in [(day + 7, vec![HELD]), (day + 8, vec![])] {
        let granted = RoleGranted { expire_time: at(end), ..granted() };
        assert_eq!(Told { granted, ..Told::default() }.broken(), broken);
    }
}

#[test]
fn a_signature_counts_by_a_key_that_the_log_shows_to_be_trusted_at_the_promotions_end() {
    let story = Told::signed().log().verified();
    assert!(story.holds(), "{:?}", story.findings);
    let rule = "projects/p/models/m/versions/1 is signed by a key that was trusted when it moved";
    let told = story.findings.iter().find(|finding| finding.rule == rule).unwrap();
    let key = fingerprint("pem");
    let by = "trusted by projects/p as set at position 8 by users/ada; signature sha256:0123";
    assert_eq!(told.why, format!("key release ({key}), {by}"));

    let told = Told::signed;
    let of = |check| ModelVersionCreated { signature_check: check, ..version(0.95) };
    let state = |state: SignatureState| Some(SignatureCheck { state: state.into(), ..check() });
    for signature_check in
        [None, state(SignatureState::Absent), state(SignatureState::Untrusted), state(SignatureState::Unspecified)]
    {
        assert_eq!(Told { version: of(signature_check), ..told() }.broken(), [rule]);
    }
    let other_key = Some(SignatureCheck { key_fingerprint: fingerprint("other"), ..check() });
    assert_eq!(Told { version: of(other_key), ..told() }.broken(), [rule]);
    for counted in [
        CountedSignature { version: 2, ..counted() },
        CountedSignature { policy_revision: 0, ..counted() },
        CountedSignature { policy_revision: 2, ..counted() },
        CountedSignature { trusted_by: "projects/p/models/m".into(), ..counted() },
        CountedSignature { trusted_by: "projects/other".into(), ..counted() },
    ] {
        assert_eq!(Told { signatures: vec![counted.clone()], ..told() }.broken(), [rule], "{counted:?}");
    }
    assert_eq!(Told { signatures: vec![], ..told() }.broken(), [rule]);
    for trusts in [
        // Left off, or never said.
        vec![],
        vec![trusting(&[])],
        // Another key by its name.
        vec![trusting(&[]), trusting(&["another pem"])],
        // Withdrawn before the end.
        vec![trusting(&[]), trusting(&["pem"]), trusting(&[])],
    ] {
        assert_eq!(Told { trusts, ..told() }.broken(), [rule]);
    }
    // Withdrawn afterwards: it was trusted when it mattered.
    let mut log = told().log();
    log.tell("registry.signing-projects/p", 8, &trusting(&[]));
    assert!(log.verified().holds());
}

#[test]
fn nothing_can_be_left_out_of_a_stream() {
    let log = Told::signed().log();
    for left_out in 0..log.events.len() {
        let mut pack = log.pack().unwrap();
        let left = pack.events.remove(left_out);
        let Ok(cut) = Pack::new(PROMOTION, pack.checkpoint.clone(), pack.events) else { continue };
        let fault = Pack::verify(&cut.to_string(), &[key().verifying().clone()]);
        // The end of a stream is where the log had it: what came later is not known to whoever packs.
        let is_last = !log.events[left_out + 1..].iter().any(|(entry, ..)| {
            let stream =
                |entry: &str| entry.split(r#""stream":"#).nth(1).unwrap().split(',').next().unwrap().to_owned();
            stream(entry) == stream(&left.entry)
        });
        assert!(is_last || matches!(fault, Err(PackFault::Gap { .. })), "{left_out}: {fault:?}");
    }
}

#[test]
fn a_file_that_vouches_for_itself_is_refused() {
    let pack = Told::default().log().pack().unwrap().to_string();
    let other = SigningKey::from_seed("log.example".parse().unwrap(), Kind::Log, &[8; 32]);
    assert!(matches!(Pack::verify(&pack, &[other.verifying().clone()]), Err(PackFault::Checkpoint(_))));
    // Another story over true events, with the digest made anew.
    let mut lie = Told::default().log().pack().unwrap();
    lie.story.promotion.requester = "users/nobody".into();
    let lie = lie.sealed();
    assert!(matches!(Pack::verify(&lie.to_string(), &[key().verifying().clone()]), Err(PackFault::Story)));
    // Another event, with everything in the file made to fit.
    let mut lie = Told::default().log().pack().unwrap();
    lie.events[0].entry = lie.events[0].entry.replace("users/ada", "users/eve");
    let lie = lie.sealed();
    assert!(matches!(Pack::verify(&lie.to_string(), &[key().verifying().clone()]), Err(PackFault::Event { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn whatever_is_changed_in_a_file_it_is_refused(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = Told::signed().log().pack().unwrap().to_string().into_bytes();
        let at = at.index(bytes.len());
        prop_assume!(bytes[at] != byte);
        bytes[at] = byte;
        if let Ok(text) = String::from_utf8(bytes) {
            prop_assert!(Pack::verify(&text, &[key().verifying().clone()]).is_err());
        }
    }
}
