use std::sync::Arc;

use cairn_kernel::{Name, Time};

use crate::{Circumstances, Condition, Role, World};

/// What it takes to take a denial back is never denied.
const UNDENIABLE: &str = "auth.bindings.";

/// A role held on a resource and everything below it; or what is denied there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    /// The binding's name. Empty for what everybody holds on themselves.
    pub binding: String,
    /// `None`: a role that does not exist here, which gives nothing.
    pub role: Option<Arc<Role>>,
    /// The name of the role, whether it exists or not. Empty: that of `role`, or none.
    pub role_name: String,
    pub resource: Name,
    /// When it ends by itself.
    pub expire_time: Option<Time>,
    /// Whether it takes rather than gives.
    pub denies: bool,
    /// The emergency that gives it.
    pub activation: Option<String>,
    /// What must be so for it to hold.
    pub condition: Option<Arc<Condition>>,
}

/// A grant, and the group that it is held through.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held<'a> {
    pub grant: &'a Grant,
    pub group: Option<&'a str>,
}

impl Grant {
    /// Whether it has not ended.
    pub fn is_current(&self, now: Time) -> bool {
        self.expire_time.is_none_or(|end| now < end)
    }

    /// Whether it is about a permission.
    pub fn holds(&self, permission: &str) -> bool {
        let holds = self.role.as_ref().is_some_and(|role| role.holds(permission));
        holds && !(self.denies && permission.starts_with(UNDENIABLE))
    }

    /// The name of its role; empty when it has none.
    pub fn role_name(&self) -> &str {
        match &self.role {
            _ if !self.role_name.is_empty() => &self.role_name,
            Some(role) => &role.name,
            None => "",
        }
    }

    /// Whether its condition lets it count now for a resource. What gives counts only when the condition is known to be
    /// met; what takes counts unless it is known not to be.
    pub(crate) fn counts(&self, world: &World, resource: &Name, now: Time, circumstances: &Circumstances) -> bool {
        let Some(condition) = &self.condition else { return true };
        let project = resource.project();
        let tags = project.as_ref().map(|project| world.tags(project));
        if self.denies {
            condition.may_be_met(now, circumstances, tags)
        } else {
            condition.is_met(now, circumstances, tags)
        }
    }

    /// Whether it gives a permission on a resource that it covers.
    pub(crate) fn gives(
        &self,
        world: &World,
        (permission, resource): (&str, &Name),
        now: Time,
        circumstances: &Circumstances,
    ) -> bool {
        !self.denies
            && self.is_current(now)
            && self.holds(permission)
            && self.counts(world, resource, now, circumstances)
    }

    /// Whether it takes a permission on a resource that it covers.
    pub(crate) fn takes(
        &self,
        world: &World,
        (permission, resource): (&str, &Name),
        now: Time,
        circumstances: &Circumstances,
    ) -> bool {
        self.denies
            && self.is_current(now)
            && self.holds(permission)
            && self.counts(world, resource, now, circumstances)
    }
}
