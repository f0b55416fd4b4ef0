use std::collections::{BTreeMap, BTreeSet};

use cairn_contract::cairn::options::v1::Guarded;
use cairn_kernel::{Name, Position, Principal, PrincipalKind, Time};
use cedar_policy::Schema;

use super::{Forbidden, Guardrails, Known, Moving, TEMPLATES, check, expand, schema, words};
use crate::{Change, Circumstances, Credential, Grant, Judgement, Reach, Roles, Standing, World};

const APPROVE: &str = "registry.promotions.approve";
const DELETE: &str = "registry.models.delete";
const MODEL: &str = "projects/fraud/models/m";
const ACME: &str = "organizations/acme";
/// A Monday.
const NOON: &str = "2026-08-31T12:00:00Z";

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// Ada manages the project of an organization, Bot is its administrator, and both are in a group.
fn town(policies: &[(&str, &str)]) -> World {
    let mut world = World::default();
    let mut at = 0;
    let mut apply = |change| {
        at += 1;
        world.apply(change, Position(at));
    };
    apply(Change::OrganizationOpened { organization: name(ACME) });
    for project in ["projects/fraud", "projects/other"] {
        let organization = if project == "projects/fraud" { ACME } else { "organizations/default" };
        apply(Change::ProjectCreated { project: name(project), organization: name(organization) });
    }
    for principal in ["users/ada", "serviceAccounts/bot"] {
        apply(Change::PrincipalIs { principal: principal.into(), standing: Standing::Active });
        let grant = Grant { role: Roles::built_in().find("roles/admin").cloned(), ..Grant::default() };
        apply(Change::Granted { principal: principal.into(), grant });
    }
    apply(Change::GroupCreated { group: format!("{ACME}/groups/interns") });
    apply(Change::MembersAdded { group: format!("{ACME}/groups/interns"), members: vec!["users/ada".into()] });
    let login_time = Time::parse("2026-08-31T11:50:00Z");
    let credential =
        Credential { owner: "users/ada".into(), key: None, expire_time: None, is_revoked: false, login_time };
    apply(Change::CredentialGiven { id: "session".into(), credential, now: Time::default() });
    for (guardrail, policy) in policies {
        let guardrail = format!("{ACME}/guardrails/{guardrail}");
        apply(Change::GuardrailSet { organization: name(ACME), guardrail, policy: (*policy).into() });
    }
    world
}

/// What is asked, and what is known of it.
#[derive(Clone)]
struct Asked {
    principal: Principal,
    permission: &'static str,
    resource: &'static str,
    time: &'static str,
    source: Option<&'static str>,
    known: Option<Known>,
}

fn asked(permission: &'static str) -> Asked {
    let principal = Principal {
        name: "users/ada".into(),
        kind: PrincipalKind::User,
        credential: Some("session".into()),
        scopes: vec![],
    };
    Asked { principal, permission, resource: MODEL, time: NOON, source: Some("10.1.2.3"), known: None }
}

fn moving(stages: &[&str], authors: &[&str], approvals_required: u32) -> Option<Known> {
    let set = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<BTreeSet<_>>();
    let moving = Moving { stages: set(stages), authors: set(authors), approvals_required, ..Moving::default() };
    Some(Known::moving(moving))
}

impl Asked {
    fn of(&self, world: &World) -> Judgement {
        let from = Circumstances::from_source(self.source);
        let now = Time::parse(self.time).unwrap();
        let what = (self.permission, &name(self.resource));
        world.judge(&self.principal, what, Reach::Exact, now, (from, self.known.as_ref()))
    }

    /// What forbids it: the guardrail's id, and whether it could not be evaluated.
    fn forbidden(&self, world: &World) -> Option<(String, bool)> {
        self.of(world)
            .forbidden
            .map(|Forbidden { guardrail, fault }| (guardrail.rsplit('/').next().unwrap().to_owned(), fault.is_some()))
    }
}

fn by(id: &str) -> Option<(String, bool)> {
    Some((id.to_owned(), false))
}

fn unknown(id: &str) -> Option<(String, bool)> {
    Some((id.to_owned(), true))
}

fn made(template: &str, parameters: &[(&str, &str)]) -> String {
    let parameters: BTreeMap<_, _> =
        parameters.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let policy = expand(template, &parameters).unwrap();
    assert_eq!(check(&policy), Vec::<String>::new(), "{policy}");
    policy
}

#[test]
fn the_schema_is_one_and_has_an_action_for_each_guarded_right() {
    let (schema_read, mut warnings) = Schema::from_cedarschema_str(schema()).unwrap_or_else(|fault| panic!("{fault}"));
    assert!(warnings.next().is_none());
    let actions: BTreeSet<String> = schema_read.actions().map(|action| action.id().unescaped().to_owned()).collect();
    let expected = words().keys().map(|word| (*word).to_owned()).chain(["guarded", "moves"].map(str::to_owned));
    assert_eq!(actions, expected.collect());
    for word in [APPROVE, DELETE, "config.secrets.access", "auth.bindings.grant", "auth.breakGlass.approve"] {
        assert!(words().contains_key(word), "{word}");
    }
    assert_eq!(words().get("experiments.runs.create"), None);
    assert_eq!(words()[APPROVE], Guarded::ByService);
}

#[test]
fn what_is_forbidden_is_forbidden_in_its_organization_and_for_what_is_guarded_only() {
    let world = town(&[("all", "forbid (principal, action, resource);")]);
    assert_eq!(asked(DELETE).forbidden(&world), by("all"));
    assert_eq!(Asked { resource: "projects/other/models/m", ..asked(DELETE) }.forbidden(&world), None);
    assert_eq!(asked("registry.models.update").forbidden(&world), None);
    assert_eq!(Asked { resource: ACME, ..asked("auth.organizations.delete") }.forbidden(&world), by("all"));
    // Whoever does not hold the right learns of no guardrail.
    let mut stranger = asked(DELETE);
    stranger.principal.name = "users/eve".into();
    assert_eq!((stranger.forbidden(&world), stranger.of(&world).denial.is_some()), (None, true));
    let mut world = world;
    let guardrail = format!("{ACME}/guardrails/all");
    world.apply(Change::GuardrailRemoved { organization: name(ACME), guardrail }, Position(99));
    assert_eq!(asked(DELETE).forbidden(&world), None);
}

#[test]
fn what_only_the_service_knows_is_asked_when_it_asks() {
    let world = town(&[("own", &made("approver-not-author", &[]))]);
    assert_eq!(asked(APPROVE).forbidden(&world), None, "not yet");
    for (authors, expected) in [(&["users/ada"][..], by("own")), (&["users/bob"], None)] {
        assert_eq!(Asked { known: moving(&[], authors, 1), ..asked(APPROVE) }.forbidden(&world), expected);
    }
    // What is not known is not skipped.
    assert_eq!(Asked { known: Some(Known::default()), ..asked(APPROVE) }.forbidden(&world), unknown("own"));
}

#[test]
fn principals_groups_and_places_are_what_they_are_called() {
    let world = town(&[
        ("a", "forbid (principal in Group::\"organizations/acme/groups/interns\", action, resource);"),
        ("b", "forbid (principal is ServiceAccount, action, resource in Resource::\"projects/fraud\");"),
        (
            "c",
            "forbid (principal, action == Action::\"auth.groups.delete\", resource) when { resource.name like \"*/x\" };",
        ),
    ]);
    assert_eq!(asked(DELETE).forbidden(&world), by("a"));
    let mut bot = asked(DELETE);
    bot.principal = Principal {
        name: "serviceAccounts/bot".into(),
        kind: PrincipalKind::ServiceAccount,
        credential: None,
        scopes: vec![],
    };
    assert_eq!(bot.forbidden(&world), by("b"));
    let group = Asked { permission: "auth.groups.delete", resource: "organizations/acme/groups/x", ..bot.clone() };
    assert_eq!(group.forbidden(&world), by("c"));
    assert_eq!(Asked { resource: "organizations/acme/groups/y", ..group }.forbidden(&world), None);
    let within = town(&[("o", "forbid (principal, action, resource in Resource::\"organizations/acme\");")]);
    assert_eq!(bot.forbidden(&within), by("o"), "a project is in its organization");
}

#[test]
fn a_freeze_holds_between_two_moments_or_at_certain_hours() {
    let between = [("from", "2026-08-31T11:00:00Z"), ("until", "2026-08-31T13:00:00Z"), ("permissions", "guarded")];
    let night = [("days", "5,6"), ("start", "22:00"), ("end", "06:30"), ("permissions", "guarded")];
    let day = [("start", "08:00"), ("end", "18:00"), ("permissions", DELETE)];
    for (parameters, time, holds) in [
        (&between[..], "2026-08-31T10:59:59.999Z", false),
        (&between, "2026-08-31T11:00:00Z", true),
        (&between, "2026-08-31T13:00:00Z", false),
        // The fourth of September 2026 is a Friday.
        (&night, "2026-09-04T21:59:59Z", false),
        (&night, "2026-09-04T22:00:00Z", true),
        (&night, "2026-09-06T06:29:59Z", true),
        (&night, "2026-09-06T06:30:00Z", false),
        (&night, "2026-09-04T05:00:00Z", false),
        (&day, NOON, true),
        (&day, "2026-08-31T18:00:00Z", false),
    ] {
        let world = town(&[("freeze", &made("freeze-window", parameters))]);
        let expected = if holds { by("freeze") } else { None };
        assert_eq!(Asked { time, ..asked(DELETE) }.forbidden(&world), expected, "{parameters:?} at {time}");
    }
    // Unless it is said otherwise, it is about what comes into use.
    let world = town(&[("freeze", &made("freeze-window", &between[..2]))]);
    assert_eq!(asked(DELETE).forbidden(&world), None);
    assert_eq!(
        Asked { known: moving(&["staging"], &[], 0), ..asked("registry.stages.set") }.forbidden(&world),
        by("freeze")
    );
}

#[test]
fn production_takes_two_approvals_whichever_way_something_moves() {
    let world = town(&[("two", &made("approvals", &[]))]);
    for permission in ["registry.stages.set", "registry.promotions.create", APPROVE, "registry.promotions.override"] {
        for (stage, required, expected) in
            [("production", 0, by("two")), ("production", 1, by("two")), ("production", 2, None), ("staging", 0, None)]
        {
            let known = moving(&[stage], &[], required);
            assert_eq!(
                Asked { known, ..asked(permission) }.forbidden(&world),
                expected,
                "{permission} {stage} {required}"
            );
        }
    }
}

#[test]
fn a_request_from_elsewhere_or_from_nobody_knows_where_is_forbidden() {
    let policy = made("source-network", &[("networks", "10.0.0.0/8, 2001:db8::/32")]);
    let world = town(&[("inside", &policy)]);
    for (source, expected) in [
        (Some("10.9.9.9"), None),
        (Some("2001:db8::7"), None),
        (Some("192.0.2.1"), by("inside")),
        (None, unknown("inside")),
    ] {
        assert_eq!(Asked { source, ..asked(DELETE) }.forbidden(&world), expected, "{source:?}");
    }
}

#[test]
fn a_login_counts_for_a_while_and_a_key_is_none() {
    let world = town(&[("fresh", &made("fresh-login", &[("within", "15m")]))]);
    assert_eq!(asked(DELETE).forbidden(&world), None);
    assert_eq!(Asked { time: "2026-08-31T12:05:01Z", ..asked(DELETE) }.forbidden(&world), by("fresh"));
    let mut with_key = asked(DELETE);
    with_key.principal.credential = None;
    assert_eq!(with_key.forbidden(&world), unknown("fresh"));
}

#[test]
fn what_cannot_be_read_forbids_everything_that_is_guarded() {
    for text in ["forbid (principal, action", "permit (principal, action, resource);"] {
        let world = town(&[("odd", text)]);
        assert_eq!(asked(DELETE).forbidden(&world), unknown("odd"), "{text}");
    }
}

#[test]
fn a_policy_that_is_no_guardrail_is_told_why() {
    for (text, part) in [
        ("permit (principal, action, resource);", "permits"),
        ("forbid (principal, action, resource)", "unexpected"),
        ("forbid (principal, action, resource); forbid (principal, action, resource);", "unexpected"),
        ("forbid (principal == ?principal, action, resource);", "template"),
        ("forbid (principal, action == Action::\"registry.models.shred\", resource);", "unrecognized action"),
        ("forbid (principal, action, resource) when { context.stages.contains(\"production\") };", "stages"),
        ("forbid (principal, action, resource) when { context.moon == \"full\" };", "moon"),
        ("forbid (principal, action, resource) when { context.time > 5 };", "type"),
        ("forbid (principal, action, resource) when { context has source && context.source.isLoopback() };", "`has`"),
        ("forbid (principal, action, resource) when { false };", "policy is impossible"),
    ] {
        let problems = check(text).join("; ");
        assert!(problems.contains(part), "{text}: {problems}");
    }
    let long = format!("forbid (principal, action, resource); //{}", " ".repeat(super::POLICY_BYTES_MAX));
    assert!(check(&long)[0].contains("longer"));
    let talks_of_has = "forbid (principal, action, resource) when { resource.name == \"has\" };";
    assert_eq!(check(talks_of_has), Vec::<String>::new());
}

#[test]
fn a_template_is_told_what_is_wrong_with_its_parameters() {
    for (template, parameters, part) in [
        ("moon-phase", &[][..], "there is no template"),
        ("approvals", &[("colour", "red")], "no parameter"),
        ("approvals", &[("stage", "moon")], "stage"),
        ("approvals", &[("count", "0")], "count"),
        ("freeze-window", &[], "either"),
        ("freeze-window", &[("start", "18:00"), ("until", "2026-09-04T21:59:59Z")], "either"),
        ("freeze-window", &[("start", "25:00"), ("end", "06:00")], "start"),
        ("freeze-window", &[("start", "20:00"), ("end", "06:00"), ("days", "8")], "days"),
        ("freeze-window", &[("from", "2026-09-04T00:00:00Z"), ("until", "2026-09-04T00:00:00Z")], "later"),
        ("freeze-window", &[("start", "20:00"), ("end", "06:00"), ("permissions", "\"]")], "permissions"),
        ("source-network", &[], "networks"),
        ("source-network", &[("networks", "10.0.0.0/8\")")], "networks"),
        ("fresh-login", &[("within", "soon")], "within"),
    ] {
        let parameters = parameters.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let problem = expand(template, &parameters).unwrap_err();
        assert!(problem.contains(part), "{template}: {problem}");
    }
    for template in TEMPLATES {
        assert!(template.parameters.iter().all(|(parameter, about, _)| !parameter.is_empty() && !about.is_empty()));
    }
}

#[test]
fn guardrails_are_counted_beside_one_that_is_replaced() {
    let mut guardrails = Guardrails::default();
    guardrails.set("a".into(), "forbid (principal, action, resource);");
    guardrails.set("b".into(), "nothing");
    guardrails.set("a".into(), "forbid (principal is User, action, resource);");
    assert_eq!((guardrails.beside("a"), guardrails.beside("c")), ((1, 7), (2, 52)));
    guardrails.remove("a");
    guardrails.remove("b");
    assert!(guardrails.is_empty());
}
