//! The table against a plain reading of the rules, which looks at everything and finds nothing quickly, and against
//! Cedar: random worlds and requests, decided by each.
//!
//! `CAIRN_ORACLE_REQUESTS=1000000` asks as much as a release is to be held to, and `CAIRN_ORACLE_SEED` repeats what a failure
//! tells.

mod cedar;

use std::collections::BTreeMap;
use std::sync::Arc;

use cairn_access::{
    Access, Change, Circumstances, Condition, Grant, Keyring, Reach, Role, Roles, Standing, Window, World,
};
use cairn_kernel::{Name, Position, Principal, PrincipalKind, SimClock, Time};

/// Requests when nobody says how many.
const REQUESTS: u64 = 60_000;
const REQUESTS_PER_WORLD: usize = 60;
/// Of so many worlds, what lists show is looked at in one.
const WORLDS_PER_LIST: usize = 8;
/// A Monday, at midnight.
const MONDAY: Time = Time::from_millis(1_788_134_400_000);
const MINUTES_A_DAY: u64 = 24 * 60;

const ORGANIZATIONS: [&str; 3] = ["organizations/default", "organizations/acme", "organizations/beta"];
/// Projects, with the organization of each. The last was never created.
const PROJECTS: [(&str, &str); 5] = [
    ("projects/d1", "organizations/default"),
    ("projects/a1", "organizations/acme"),
    ("projects/a2", "organizations/acme"),
    ("projects/b1", "organizations/beta"),
    ("projects/ghost", ""),
];
const PRINCIPALS: [&str; 5] = ["users/ada", "users/bob", "users/eve", "serviceAccounts/bot", "serviceAccounts/free"];
const GROUPS: [&str; 3] =
    ["organizations/acme/groups/inner", "organizations/acme/groups/outer", "organizations/beta/groups/g"];
const BELOW: [&str; 3] = ["", "/experiments/7", "/experiments/7/runs/r"];
const OWN_ROLE: &str = "organizations/acme/roles/own";
const ROLES: [&str; 6] = ["roles/viewer", "roles/editor", "roles/manager", "roles/org-admin", "roles/admin", OWN_ROLE];
const WORDS: [&str; 9] = [
    "experiments.runs.get",
    "experiments.runs.create",
    "registry.promotions.approve",
    "auth.projects.get",
    "auth.projects.create",
    "auth.bindings.delete",
    "auth.users.create",
    "auth.apiKeys.create",
    "ledger.audit.read",
];
const ADDRESSES: [&str; 3] = ["10.1.2.3", "192.0.2.7", "2001:db8::1"];

/// A sequence that looks random and is the same for each seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % count as u64).unwrap()
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }
}

/// A binding in both languages' common words.
#[derive(Clone, Debug)]
struct Binding {
    holder: String,
    role: String,
    resource: String,
    denies: bool,
    expire_time: Option<Time>,
    condition: Option<Condition>,
}

/// A world, as it was made up.
#[derive(Debug, Default)]
struct Story {
    closed_organizations: Vec<&'static str>,
    closed_projects: Vec<&'static str>,
    out: Vec<&'static str>,
    tags: BTreeMap<&'static str, &'static str>,
    members: Vec<(&'static str, &'static str)>,
    own_role: Vec<&'static str>,
    bindings: Vec<Binding>,
}

fn resource(chance: &mut Chance) -> String {
    match chance.below(10) {
        0 => "*".to_owned(),
        1 | 2 => chance.of(&ORGANIZATIONS).to_owned(),
        3 => format!("{}/groups/x", chance.of(&ORGANIZATIONS)),
        4 => chance.of(&PRINCIPALS).to_owned(),
        _ => format!("{}{}", chance.of(&PROJECTS).0, chance.of(&BELOW)),
    }
}

/// Where something may be denied: on a whole.
fn whole(chance: &mut Chance) -> String {
    match chance.below(6) {
        0 => "*".to_owned(),
        1 | 2 => chance.of(&ORGANIZATIONS).to_owned(),
        _ => chance.of(&PROJECTS[..4]).0.to_owned(),
    }
}

fn condition(chance: &mut Chance) -> Condition {
    let mut condition = Condition::default();
    match chance.below(4) {
        0 => condition.networks = vec!["10.0.0.0/8".parse().unwrap()],
        1 => condition.project_tags = [("tier".to_owned(), chance.of(&["test", "prod"]).to_owned())].into(),
        2 => {
            let days = (1..=7u8).filter(|_| chance.one_in(2)).collect();
            let minute = |chance: &mut Chance| u16::try_from(chance.below(1440)).unwrap();
            condition.windows = vec![Window { days, start: minute(chance), end: minute(chance) }];
        }
        _ => condition.start_time = Some(at(chance)),
    }
    condition
}

/// A moment of the week.
fn at(chance: &mut Chance) -> Time {
    let minutes = chance.below(7 * 1440) as u64;
    MONDAY.after(std::time::Duration::from_secs(60 * minutes))
}

impl Story {
    fn tell(chance: &mut Chance) -> Self {
        let mut story = Self::default();
        let chosen = |chance: &mut Chance, of: usize| chance.one_in(of);
        story.closed_organizations = ORGANIZATIONS[1..].iter().copied().filter(|_| chosen(chance, 8)).collect();
        story.closed_projects =
            PROJECTS[..4].iter().map(|(project, _)| *project).filter(|_| chosen(chance, 8)).collect();
        story.out = PRINCIPALS.iter().copied().filter(|_| chosen(chance, 8)).collect();
        for (project, _) in &PROJECTS[..4] {
            if chance.one_in(2) {
                story.tags.insert(project, chance.of(&["test", "prod"]));
            }
        }
        for group in GROUPS {
            story.members.extend(PRINCIPALS.iter().filter(|_| chosen(chance, 3)).map(|member| (group, *member)));
        }
        if chance.one_in(2) {
            story.members.push((GROUPS[1], GROUPS[0]));
        }
        story.own_role = WORDS.iter().copied().filter(|_| chosen(chance, 3)).collect();
        for _ in 0..chance.below(9) {
            let denies = chance.one_in(4);
            let holder = if chance.one_in(3) { chance.of(&GROUPS) } else { chance.of(&PRINCIPALS) };
            story.bindings.push(Binding {
                holder: holder.to_owned(),
                role: chance.of(&ROLES).to_owned(),
                resource: if denies { whole(chance) } else { resource(chance) },
                denies,
                expire_time: chance.one_in(4).then(|| at(chance)),
                condition: chance.one_in(3).then(|| condition(chance)),
            });
        }
        story
    }

    fn permissions(&self, role: &str) -> Vec<&'static str> {
        let holds = |word: &&&str| match Roles::built_in().find(role) {
            Some(role) => role.holds(word),
            None => self.own_role.contains(word),
        };
        WORDS.iter().filter(holds).copied().collect()
    }

    /// As the replica folds it.
    fn world(&self) -> World {
        let name = |text: &str| text.parse::<Name>().unwrap();
        let mut changes = vec![];
        for organization in &ORGANIZATIONS[1..] {
            changes.push(Change::OrganizationOpened { organization: name(organization) });
        }
        for (project, organization) in &PROJECTS[..4] {
            changes.push(Change::ProjectCreated { project: name(project), organization: name(organization) });
        }
        for principal in PRINCIPALS {
            changes.push(match principal {
                "serviceAccounts/bot" => {
                    Change::AccountCreated { account: name(principal), organization: Some(name("organizations/acme")) }
                }
                _ => Change::PrincipalIs { principal: principal.into(), standing: Standing::Active },
            });
        }
        changes.extend(GROUPS.map(|group| Change::GroupCreated { group: group.into() }));
        for (group, member) in &self.members {
            changes.push(Change::MembersAdded { group: (*group).into(), members: vec![(*member).into()] });
        }
        for (at, binding) in self.bindings.iter().enumerate() {
            let grant = Grant {
                binding: format!("bindings/{at}"),
                role: Roles::built_in().find(&binding.role).cloned(),
                role_name: binding.role.clone(),
                resource: name(&binding.resource),
                expire_time: binding.expire_time,
                denies: binding.denies,
                condition: binding.condition.clone().map(Arc::new),
                ..Grant::default()
            };
            changes.push(Change::Granted { principal: binding.holder.clone(), grant });
        }
        // After the bindings, which must take in what it means.
        let own = self.own_role.iter().map(|word| (*word).to_owned()).collect();
        changes.push(Change::RoleDefined { role: Role::new(OWN_ROLE.into(), String::new(), own) });
        for (project, tier) in &self.tags {
            let tags = [("tier".to_owned(), (*tier).to_owned())].into();
            changes.push(Change::ProjectTagged { project: name(project), tags });
        }
        for project in &self.closed_projects {
            changes.push(Change::ProjectClosed { project: name(project) });
        }
        for organization in &self.closed_organizations {
            changes.push(Change::OrganizationClosed { organization: name(organization) });
        }
        for principal in &self.out {
            changes.push(Change::PrincipalIs { principal: (*principal).into(), standing: Standing::Disabled });
        }
        let mut world = World::default();
        for (at, change) in changes.into_iter().enumerate() {
            world.apply(change, Position(at as u64 + 1));
        }
        world
    }

    /// A resource and everything that it lies in.
    fn around(&self, resource: &str) -> Vec<String> {
        let mut parts: Vec<&str> = resource.split('/').collect();
        let mut around = vec!["*".to_owned()];
        while parts.len() > 1 {
            around.push(parts.join("/"));
            parts.truncate(parts.len() - 2);
        }
        let project = PROJECTS.iter().find(|(project, _)| around.iter().any(|name| name == project));
        around.extend(project.map(|(_, organization)| (*organization).to_owned()));
        around.extend(resource.starts_with("serviceAccounts/bot").then(|| "organizations/acme".to_owned()));
        around
    }

    /// A principal and the groups it is in, directly and through another.
    fn holders<'a>(&'a self, principal: &'a str) -> Vec<&'a str> {
        let mut holders = vec![principal];
        for _ in 0..2 {
            let around = self.members.iter().filter(|(_, member)| holders.contains(member));
            let found: Vec<&str> = around.map(|(group, _)| *group).collect();
            holders.extend(found);
        }
        holders
    }

    /// Whether nobody works in the project that a resource lies in.
    fn is_closed(&self, around: &[String]) -> bool {
        PROJECTS.iter().filter(|(project, _)| around.iter().any(|name| name == project)).any(
            |(project, organization)| {
                organization.is_empty()
                    || self.closed_projects.contains(project)
                    || self.closed_organizations.contains(organization)
            },
        )
    }

    /// What is known of the tags of the project that a resource lies in.
    fn tier(&self, around: &[String]) -> Option<Option<&'static str>> {
        let project = PROJECTS.iter().find(|(project, _)| around.iter().any(|name| name == project));
        project.map(|(project, _)| self.tags.get(project).copied())
    }

    /// The rules, as they are written down for people.
    fn allows(&self, asked: &Asked, resource: &str) -> bool {
        let name = asked.principal.name.as_str();
        let around = self.around(resource);
        let governs = asked.word.starts_with("auth.") || asked.word.starts_with("ledger.");
        let scopes = &asked.principal.scopes;
        if self.out.contains(&name)
            || (!governs && self.is_closed(&around))
            || !(scopes.is_empty() || scopes.iter().any(|scope| around.contains(scope)))
        {
            return false;
        }
        let holders = self.holders(name);
        let is_about = |binding: &&Binding| {
            holders.contains(&binding.holder.as_str())
                && around.contains(&binding.resource)
                && self.permissions(&binding.role).contains(&asked.word)
                && binding.expire_time.is_none_or(|end| asked.now() < end)
                && binding.counts(asked, self.tier(&around))
        };
        let (takes, gives): (Vec<_>, Vec<_>) =
            self.bindings.iter().filter(is_about).partition(|binding| binding.denies);
        if !takes.is_empty() && !asked.word.starts_with("auth.bindings.") {
            return false;
        }
        let is_own = name.starts_with("users/") && resource == name && asked.word == "auth.apiKeys.create";
        is_own || !gives.is_empty()
    }
}

impl Binding {
    /// Whether its condition lets it count: what gives when it is known to be met, what takes unless it is known not to be.
    fn counts(&self, asked: &Asked, tier: Option<Option<&'static str>>) -> bool {
        let Some(condition) = &self.condition else { return true };
        // Of each fact: whether it fits, or nothing if it is not known.
        let network = asked.source.map(|source| source == ADDRESSES[0]);
        let tagged = tier.map(|tier| condition.project_tags.get("tier").map(String::as_str) == tier);
        let mut facts = vec![];
        facts.extend((!condition.networks.is_empty()).then_some(network));
        facts.extend((!condition.project_tags.is_empty()).then_some(tagged));
        facts.extend(condition.start_time.map(|start| Some(start <= asked.now())));
        facts.extend(condition.windows.first().map(|window| Some(holds(window, asked.minutes))));
        facts.into_iter().all(|fact| fact.unwrap_or(self.denies))
    }
}

/// Whether a minute of the week lies in a window: whether one of its days began so many minutes before.
fn holds(window: &Window, minutes: u64) -> bool {
    let (start, end) = (u64::from(window.start), u64::from(window.end));
    let length = if start < end { end - start } else { end + MINUTES_A_DAY - start };
    let days = (1..=7u64).filter(|day| window.days.is_empty() || window.days.iter().any(|on| u64::from(*on) == *day));
    days.into_iter().any(|day| {
        let begin = (day - 1) * MINUTES_A_DAY + start;
        (minutes + 7 * MINUTES_A_DAY - begin) % (7 * MINUTES_A_DAY) < length
    })
}

/// A request, and what is known of it.
struct Asked {
    principal: Principal,
    word: &'static str,
    resource: String,
    source: Option<&'static str>,
    /// Minutes since Monday midnight.
    minutes: u64,
}

impl Asked {
    fn tell(chance: &mut Chance) -> Self {
        let name = chance.of(&PRINCIPALS);
        let kind = if name.starts_with("users/") { PrincipalKind::User } else { PrincipalKind::ServiceAccount };
        let scopes = if chance.one_in(4) { vec![resource(chance), resource(chance)] } else { vec![] };
        Self {
            principal: Principal { name: name.into(), kind, credential: None, scopes },
            word: chance.of(&WORDS),
            resource: resource(chance),
            source: (!chance.one_in(3)).then(|| chance.of(&ADDRESSES)),
            minutes: chance.below(7 * 1440) as u64,
        }
    }

    fn now(&self) -> Time {
        MONDAY.after(std::time::Duration::from_secs(60 * self.minutes))
    }

    fn by_table(&self, world: &World, resource: &Name) -> bool {
        let circumstances = Circumstances::from_source(self.source);
        world
            .judge(&self.principal, (self.word, resource), Reach::Exact, self.now(), (circumstances, None))
            .denial
            .is_none()
    }
}

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

/// Every resource that a request may be about. What lies in a closed project is in no list, but it may be below a prefix.
fn resources(story: &Story) -> Vec<String> {
    let projects = PROJECTS.iter().flat_map(|(project, _)| BELOW.map(|below| format!("{project}{below}")));
    let organizations = ORGANIZATIONS.iter().flat_map(|name| [(*name).to_owned(), format!("{name}/groups/x")]);
    let all = projects.chain(organizations).chain(PRINCIPALS.map(str::to_owned));
    all.filter(|resource| !story.is_closed(&story.around(resource))).collect()
}

#[test]
fn the_table_decides_as_the_rules_read_over_random_worlds_s4_132() {
    let requests = usize::try_from(setting("CAIRN_ORACLE_REQUESTS", REQUESTS)).unwrap();
    let seed = setting("CAIRN_ORACLE_SEED", 11);
    let (keyring, mut chance) = (Arc::new(Keyring::generate()), Chance(seed));
    let (mut asked, mut allowed, mut worlds) = (0, 0, 0);
    while asked < requests {
        let story = Story::tell(&mut chance);
        let world = story.world();
        for at in 0..REQUESTS_PER_WORLD.min(requests - asked) {
            let question = Asked::tell(&mut chance);
            let name: Name = question.resource.parse().unwrap();
            let expected = story.allows(&question, &question.resource);
            let Asked { principal, word, resource, source, .. } = &question;
            let told = format!(
                "seed {seed}, request {}: {principal:?} {word} on {resource} from {source:?} at {}",
                asked + at,
                question.now()
            );
            assert_eq!(question.by_table(&world, &name), expected, "{told}\n{story:#?}");
            allowed += usize::from(expected);
            if at == 0 && worlds % WORLDS_PER_LIST == 0 {
                lists_agree(&question, &story, &world, &keyring, &told);
            }
        }
        asked += REQUESTS_PER_WORLD.min(requests - asked);
        worlds += 1;
    }
    assert!(allowed * 30 > asked && allowed * 2 < asked, "{allowed} of {asked} are allowed: that shows little");
}

/// Requests that Cedar is asked when nobody says how many: it takes its time.
const CEDAR_REQUESTS: u64 = 6_000;

#[test]
fn the_table_decides_as_cedar_does_over_random_worlds_s4_132() {
    let requests = usize::try_from(setting("CAIRN_ORACLE_REQUESTS", CEDAR_REQUESTS)).unwrap();
    let seed = setting("CAIRN_ORACLE_SEED", 12);
    let mut chance = Chance(seed);
    let (mut asked, mut allowed) = (0, 0);
    while asked < requests {
        let story = Story::tell(&mut chance);
        let (world, cedar) = (story.world(), cedar::Town::of(&story));
        for _ in 0..REQUESTS_PER_WORLD.min(requests - asked) {
            let question = Asked::tell(&mut chance);
            let expected = cedar.allows(&question);
            let Asked { principal, word, resource, source, .. } = &question;
            let told = format!(
                "seed {seed}, request {asked}: {principal:?} {word} on {resource} from {source:?} at {}",
                question.now()
            );
            assert_eq!(question.by_table(&world, &resource.parse().unwrap()), expected, "{told}\n{story:#?}");
            allowed += usize::from(expected);
            asked += 1;
        }
    }
    assert!(allowed * 30 > asked && allowed * 2 < asked, "{allowed} of {asked} are allowed: that shows little");
}

/// What a list shows is all that is allowed, and nothing else.
fn lists_agree(question: &Asked, story: &Story, world: &World, keyring: &Arc<Keyring>, told: &str) {
    let clock = SimClock::at(question.now());
    let access = Access::fixed(world.clone(), Arc::new(clock), Arc::clone(keyring));
    let from = Circumstances::from_source(question.source);
    let shown = access.visible(from, &question.principal, question.word, &Name::ROOT);
    for resource in resources(story) {
        let name: Name = resource.parse().unwrap();
        let is_shown = shown.iter().any(|prefix| prefix.covers(&name));
        assert_eq!(is_shown, story.allows(question, &resource), "{told}: {resource} in {shown:?}\n{story:#?}");
    }
}
