//! What a decision costs, beside looking at every binding there is.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use cairn_access::{Access, Change, Circumstances, Grant, Keyring, Reach, Roles, Standing, World};
use cairn_kernel::{Name, Position, Principal, PrincipalKind, SystemClock};
use hdrhistogram::Histogram;

const ORGANIZATIONS: usize = 4;
const PROJECTS: usize = 100;
const USERS: usize = 200;
const GROUPS: usize = 20;
const ROLES: [&str; 4] = ["roles/viewer", "roles/editor", "roles/manager", "roles/org-admin"];
const PERMISSION: &str = "experiments.runs.create";

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Bindings in the replica.
    #[arg(long, default_value_t = 10_000)]
    bindings: usize,
    /// Decisions measured, each way.
    #[arg(long, default_value_t = 200_000)]
    decisions: usize,
}

impl Default for Args {
    fn default() -> Self {
        Self { bindings: 10_000, decisions: 200_000 }
    }
}

/// A replica of a deployment with several organizations, and the same bindings as a list.
struct Town {
    world: World,
    list: Vec<(String, Grant)>,
}

fn name(text: &str) -> anyhow::Result<Name> {
    text.parse().with_context(|| text.to_owned())
}

/// Spread over what there is without pattern.
fn spread(number: usize, below: usize) -> usize {
    (number.wrapping_mul(2_654_435_761) >> 7) % below
}

fn town(bindings: usize) -> anyhow::Result<Town> {
    let mut changes = vec![];
    for at in 0..PROJECTS {
        let organization = name(&format!("organizations/o{}", at % ORGANIZATIONS))?;
        changes.push(Change::ProjectCreated { project: name(&format!("projects/p{at}"))?, organization });
    }
    for at in 0..USERS {
        changes.push(Change::PrincipalIs { principal: format!("users/u{at}"), standing: Standing::Active });
    }
    for at in 0..GROUPS {
        let group = format!("organizations/o{}/groups/g{at}", at % ORGANIZATIONS);
        changes.push(Change::GroupCreated { group: group.clone() });
        let members = (0..USERS).filter(|user| user % GROUPS == at).map(|user| format!("users/u{user}")).collect();
        changes.push(Change::MembersAdded { group, members });
    }
    let mut list = vec![];
    for at in 0..bindings {
        let holder = match at % 4 {
            0 => {
                let group = spread(at, GROUPS);
                format!("organizations/o{}/groups/g{group}", group % ORGANIZATIONS)
            }
            _ => format!("users/u{}", spread(at, USERS)),
        };
        let resource = match at % 10 {
            0 => format!("organizations/o{}", spread(at, ORGANIZATIONS)),
            1..=6 => format!("projects/p{}", spread(at + 7, PROJECTS)),
            _ => format!("projects/p{}/experiments/{}", spread(at + 7, PROJECTS), at % 50),
        };
        let role = ROLES[spread(at + 3, ROLES.len())];
        let grant = Grant {
            binding: format!("bindings/{at}"),
            role: Roles::built_in().find(role).cloned(),
            role_name: role.to_owned(),
            resource: name(&resource)?,
            ..Grant::default()
        };
        list.push((holder.clone(), grant.clone()));
        changes.push(Change::Granted { principal: holder, grant });
    }
    let mut world = World::default();
    for (at, change) in changes.into_iter().enumerate() {
        world.apply(change, Position(at as u64 + 1));
    }
    Ok(Town { world, list })
}

impl Town {
    /// The same answer by looking at everything.
    fn by_list(&self, principal: &Principal, resource: &Name) -> bool {
        let groups: Vec<&str> = self.world.groups_of(&principal.name).map(|membership| membership.group).collect();
        self.list.iter().any(|(holder, grant)| {
            (*holder == principal.name || groups.contains(&holder.as_str()))
                && grant.holds(PERMISSION)
                && self.world.covers(&grant.resource, resource)
        })
    }
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let town = town(args.bindings)?;
    let questions = (0..1_000)
        .map(|at| {
            let principal = Principal {
                name: format!("users/u{}", spread(at, USERS)),
                kind: PrincipalKind::User,
                credential: None,
                scopes: vec![],
            };
            let resource = format!("projects/p{}/experiments/{}/runs/r{at}", spread(at + 11, PROJECTS), at % 50);
            Ok((principal, name(&resource)?))
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let access = Access::fixed(town.world.clone(), Arc::new(SystemClock), Arc::new(Keyring::generate()));
    let by_table = |principal: &Principal, resource: &Name| {
        access.decide_in(Circumstances::default(), principal, PERMISSION, resource, Reach::Exact).is_allowed()
    };
    let differing = questions.iter().filter(|(who, what)| by_table(who, what) != town.by_list(who, what)).count();
    anyhow::ensure!(differing == 0, "{differing} answers differ");
    let table = measure(args.decisions, &questions, by_table)?;
    let list = measure(args.decisions / 100, &questions, |who, what| town.by_list(who, what))?;
    println!("access: decisions over {} bindings of {USERS} users in {GROUPS} groups", args.bindings);
    println!("{:<28} {:>10} {:>10} {:>10}", "", "p50 µs", "p99 µs", "p99.9 µs");
    for (title, times) in [("the table", &table), ("looking at every binding", &list)] {
        let at = |quantile| times.value_at_quantile(quantile) as f64 / 1000.0;
        println!("{title:<28} {:>10.2} {:>10.2} {:>10.2}", at(0.5), at(0.99), at(0.999));
    }
    let ratio = list.value_at_quantile(0.99) as f64 / table.value_at_quantile(0.99).max(1) as f64;
    println!("the table takes 1/{ratio:.0} of the time at p99\n");
    Ok(())
}

fn measure(
    count: usize,
    questions: &[(Principal, Name)],
    decide: impl Fn(&Principal, &Name) -> bool,
) -> anyhow::Result<Histogram<u64>> {
    let mut times = Histogram::new(3)?;
    for at in 0..count {
        let (principal, resource) = &questions[at % questions.len()];
        let begin = Instant::now();
        black_box(decide(black_box(principal), black_box(resource)));
        times.record(u64::try_from(begin.elapsed().as_nanos())?)?;
    }
    Ok(times)
}
