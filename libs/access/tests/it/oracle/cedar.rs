//! The same worlds in Cedar: each binding is a policy, each membership and each place an entity.

use cairn_access::Condition;
use cedar_policy::{Authorizer, Context, Decision, Entities, EntityUid, PolicySet, Request};
use serde_json::{Value, json};

use super::{Asked, BELOW, Binding, GROUPS, MONDAY, ORGANIZATIONS, PRINCIPALS, PROJECTS, ROLES, Story, WORDS};

/// What holds besides what bindings say.
const RULES: &str = r#"
forbid (principal, action, resource) unless { principal.active };
forbid (principal, action in Action::"work", resource in State::"closed");
forbid (principal, action, resource) when { context has scopes && !(resource in context.scopes) };
permit (principal, action == Action::"auth.apiKeys.create", resource)
when { principal.user && principal.name == resource.name };
"#;

/// A world as Cedar is told it.
pub struct Town {
    policies: PolicySet,
    entities: Entities,
}

impl Town {
    pub fn of(story: &Story) -> Self {
        let bindings: Vec<String> = story.bindings.iter().map(policy).collect();
        let policies = format!("{RULES}\n{}", bindings.join("\n")).parse().unwrap_or_else(|fault| panic!("{fault}"));
        let mut entities = vec![];
        entities.extend(PRINCIPALS.map(|name| principal(story, name)));
        entities.extend(GROUPS.map(|name| entity("Group", name, json!({}), &groups(story, name))));
        entities.extend(WORDS.map(|word| action(story, word)));
        entities.extend(places().iter().map(|name| place(story, name)));
        let entities = Entities::from_json_value(Value::Array(entities), None);
        Self { policies, entities: entities.unwrap_or_else(|fault| panic!("{fault:?}")) }
    }

    pub fn allows(&self, asked: &Asked) -> bool {
        let uid = |kind: &str, id: &str| format!("{kind}::{id:?}").parse::<EntityUid>().unwrap();
        let day = asked.minutes / 1440 % 7;
        let mut facts = json!({
            "now": asked.minutes, "minute": asked.minutes % 1440, "today": day + 1, "yesterday": (day + 6) % 7 + 1,
        });
        if let Some(source) = asked.source {
            facts["source"] = json!({"__extn": {"fn": "ip", "arg": source}});
        }
        if !asked.principal.scopes.is_empty() {
            let scopes = asked.principal.scopes.iter().map(|scope| json!({"__entity": {"type": "Place", "id": scope}}));
            facts["scopes"] = scopes.collect();
        }
        let request = Request::new(
            uid("Principal", &asked.principal.name),
            uid("Action", asked.word),
            uid("Place", &asked.resource),
            Context::from_json_value(facts, None).unwrap(),
            None,
        );
        let answer = Authorizer::new().is_authorized(&request.unwrap(), &self.policies, &self.entities);
        let faults: Vec<_> = answer.diagnostics().errors().collect();
        assert!(faults.is_empty(), "{faults:?}");
        answer.decision() == Decision::Allow
    }
}

fn entity(kind: &str, id: &str, attributes: Value, parents: &[(&str, &str)]) -> Value {
    let parents = parents.iter().map(|(kind, id)| json!({"type": kind, "id": id}));
    json!({"uid": {"type": kind, "id": id}, "attrs": attributes, "parents": parents.collect::<Vec<_>>()})
}

fn groups<'a>(story: &'a Story, member: &str) -> Vec<(&'static str, &'a str)> {
    story.members.iter().filter(|(_, one)| *one == member).map(|(group, _)| ("Group", *group)).collect()
}

fn principal(story: &Story, name: &str) -> Value {
    let is_active = !story.out.contains(&name);
    let attributes = json!({"name": name, "active": is_active, "user": name.starts_with("users/")});
    entity("Principal", name, attributes, &groups(story, name))
}

/// A word, within the roles that hold it.
fn action(story: &Story, word: &str) -> Value {
    let mut within: Vec<(&str, &str)> = vec![];
    within.extend(ROLES.iter().filter(|role| story.permissions(role).contains(&word)).map(|role| ("Action", *role)));
    if !word.starts_with("auth.") && !word.starts_with("ledger.") {
        within.push(("Action", "work"));
    }
    if word.starts_with("auth.bindings.") {
        within.push(("Action", "undeniable"));
    }
    entity("Action", word, json!({}), &within)
}

/// Everything that a request may be about.
fn places() -> Vec<String> {
    let projects = PROJECTS.iter().flat_map(|(project, _)| BELOW.map(|below| format!("{project}{below}")));
    let organizations = ORGANIZATIONS.iter().flat_map(|name| [(*name).to_owned(), format!("{name}/groups/x")]);
    let all = projects.chain(organizations).chain(PRINCIPALS.map(str::to_owned));
    all.chain(["*".to_owned()]).collect()
}

fn place(story: &Story, name: &str) -> Value {
    let mut within: Vec<(&str, &str)> = vec![];
    let parts: Vec<&str> = name.rsplitn(3, '/').collect();
    if let [_, _, above] = parts[..] {
        within.push(("Place", above));
    } else if name != "*" {
        within.push(("Place", "*"));
    }
    let project = PROJECTS.iter().find(|(project, _)| name == *project || name.starts_with(&format!("{project}/")));
    let mut attributes = json!({"name": name, "in_project": project.is_some()});
    if let Some((project, organization)) = project {
        if let Some(tier) = story.tags.get(project) {
            attributes["tier"] = json!(tier);
        }
        if !organization.is_empty() {
            within.push(("Place", organization));
        }
        let is_closed = organization.is_empty()
            || story.closed_projects.contains(project)
            || story.closed_organizations.contains(organization);
        if is_closed {
            within.push(("State", "closed"));
        }
    }
    if name == "serviceAccounts/bot" {
        within.push(("Place", "organizations/acme"));
    }
    entity("Place", name, attributes, &within)
}

fn policy(binding: &Binding) -> String {
    let Binding { holder, role, resource, denies, expire_time, condition } = binding;
    let kind = if holder.starts_with("organizations/") { "Group" } else { "Principal" };
    let mut when = vec!["true".to_owned()];
    if *denies {
        when.push("!(action in Action::\"undeniable\")".to_owned());
    }
    if let Some(end) = expire_time {
        when.push(format!("context.now < {}", minutes(*end)));
    }
    if let Some(condition) = condition {
        when.extend(conditions(condition, *denies));
    }
    let effect = if *denies { "forbid" } else { "permit" };
    format!(
        "{effect} (principal in {kind}::{holder:?}, action in Action::{role:?}, resource in Place::{resource:?}) \
         when {{ {} }};",
        when.join(" && ")
    )
}

/// What a condition comes to: a fact that is not known lets nothing give, and lets what takes take.
fn conditions(condition: &Condition, denies: bool) -> Vec<String> {
    let mut found = vec![];
    for network in &condition.networks {
        let within = format!("context.source.isInRange(ip(\"{network}\"))");
        found.push(match denies {
            true => format!("(!(context has source) || {within})"),
            false => format!("(context has source && {within})"),
        });
    }
    if let Some(tier) = condition.project_tags.get("tier") {
        let is_tagged = format!("(resource.in_project && resource has tier && resource.tier == {tier:?})");
        found.push(if denies { format!("(!resource.in_project || {is_tagged})") } else { is_tagged });
    }
    if let Some(start) = condition.start_time {
        found.push(format!("{} <= context.now", minutes(start)));
    }
    for window in &condition.windows {
        let days: Vec<u8> = if window.days.is_empty() { (1..=7).collect() } else { window.days.clone() };
        let (start, end) = (window.start, window.end);
        found.push(if start < end {
            format!("({days:?}.contains(context.today) && {start} <= context.minute && context.minute < {end})")
        } else {
            format!(
                "(({days:?}.contains(context.today) && {start} <= context.minute) || \
                 ({days:?}.contains(context.yesterday) && context.minute < {end}))"
            )
        });
    }
    found
}

/// Minutes since Monday midnight.
fn minutes(time: cairn_kernel::Time) -> u64 {
    time.since(MONDAY).as_secs() / 60
}
