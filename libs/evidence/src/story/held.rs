//! How somebody held a role: given to them or to a group that they were in, on the model or on what it lies in.

use cairn_contract::cairn::auth::events::v1::{
    GroupDeleted, GroupMembersAdded, GroupMembersRemoved, ProjectCreated, RoleGranted, RoleWithdrawn,
};
use cairn_kernel::{Name, Time};

use super::promotion::Approval;
use crate::event::Event;

/// What a project belongs to whose events name no organization.
const DEFAULT_ORGANIZATION: &str = "organizations/default";

/// The events of one approval, and of what it was for.
pub(super) struct Claim<'a> {
    pub approval: &'a Approval,
    pub model: &'a str,
    pub events: &'a [Event],
}

/// A group that somebody was in, and since where in the log.
struct Membership<'a> {
    group: &'a str,
    since: u64,
}

impl<'a> Claim<'a> {
    /// By which events the approver came to hold the role at the position that the approval names, and still held it when
    /// they agreed. `None`: the events do not tell of it.
    pub fn told(&self) -> Option<String> {
        let Approval { approver, role_position, .. } = self.approval;
        let inner = self.groups_of(approver);
        let outer = inner.iter().flat_map(|inner| {
            let outer = self.groups_of(inner.group).into_iter();
            outer.map(|outer| Membership { since: outer.since.max(inner.since), ..outer })
        });
        let outer: Vec<_> = outer.collect();
        let own = Membership { group: approver, since: 0 };
        let mut holders = std::iter::once(&own).chain(&inner).chain(&outer);
        holders.find_map(|holder| {
            let given = self.given_to(holder.group).find(|(at, _)| holder.since.max(*at) == *role_position);
            given.map(|(at, granted)| self.described(holder, at, &granted))
        })
    }

    /// What was given to a user, service account or group, and held on the model when the approval was given.
    fn given_to(&self, holder: &str) -> impl Iterator<Item = (u64, RoleGranted)> {
        let granted = self.before().filter_map(|event| Some((event.position, event.message::<RoleGranted>()?)));
        granted.filter(move |(_, granted)| {
            granted.principal == holder
                && granted.role == self.approval.role
                && self.covers(&granted.resource)
                && !self.has_ended(granted)
        })
    }

    fn has_ended(&self, granted: &RoleGranted) -> bool {
        let agreed = Time::parse(&self.approval.time);
        let end = granted.expire_time.as_ref().map(|end| Time::from_seconds_and_nanos(end.seconds, end.nanos));
        let mut withdrawn = self.before().filter_map(Event::message::<RoleWithdrawn>);
        end.is_some_and(|end| agreed.is_none_or(|agreed| agreed >= end))
            || withdrawn.any(|withdrawn| withdrawn.binding == granted.binding)
    }

    /// Whether what is given on a resource holds on the model.
    fn covers(&self, resource: &str) -> bool {
        match (resource.parse::<Name>(), self.model.parse()) {
            (Ok(resource), Ok(model)) => resource.covers(&model) || self.is_owner(resource.as_str()),
            _ => false,
        }
    }

    /// Whether an organization is the one that the model's project belongs to.
    fn is_owner(&self, organization: &str) -> bool {
        let project = self.model.split("/models/").next().unwrap_or_default();
        let mut created = self.before().filter_map(Event::message::<ProjectCreated>);
        let owner = created.find(|created| created.project == project).map(|created| created.organization);
        owner.is_some_and(|owner| if owner.is_empty() { DEFAULT_ORGANIZATION } else { &owner } == organization)
    }

    /// The groups that somebody was in, directly, when the approval was given.
    fn groups_of(&self, member: &str) -> Vec<Membership<'a>> {
        let mut of: Vec<Membership<'a>> = vec![];
        for event in self.before() {
            let Some(group) = event.stream.strip_prefix("auth.group-") else { continue };
            let has = |members: Vec<String>| members.iter().any(|name| name == member);
            if event.message::<GroupMembersAdded>().is_some_and(|added| has(added.members)) {
                of.push(Membership { group, since: event.position });
            } else if event.message::<GroupMembersRemoved>().is_some_and(|removed| has(removed.members))
                || event.message::<GroupDeleted>().is_some()
            {
                of.retain(|known| known.group != group);
            }
        }
        of
    }

    fn before(&self) -> impl Iterator<Item = &'a Event> + Clone {
        let position = self.approval.position;
        self.events.iter().filter(move |event| event.position < position)
    }

    fn described(&self, holder: &Membership<'_>, at: u64, granted: &RoleGranted) -> String {
        let RoleGranted { binding, role, resource, condition, .. } = granted;
        let through = match holder.group == self.approval.approver {
            true => String::new(),
            false => format!(" to {}, whose member they were since position {}", holder.group, holder.since),
        };
        // Circumstances are those of a request, and not in the log.
        let but = if condition.is_some() { "; its condition is not judged again" } else { "" };
        format!("{binding} gives {role} on {resource}, at position {at}{through}{but}")
    }
}
