use cairn_kernel::{Aggregate, NameFault, StreamName, resource_name};

use super::Hooks;
use crate::model::ProjectName;

resource_name!(
    /// A hook.
    HookName,
    "hook name",
    "projects/*/hooks/*",
    project,
    hook
);
resource_name!(
    /// Something delivered for a hook.
    DeliveryName,
    "delivery name",
    "projects/*/hooks/*/deliveries/*",
    project,
    hook,
    delivery
);

impl ProjectName {
    /// The stream of the project's hooks.
    pub fn hooks_stream(&self) -> StreamName {
        StreamName::of(Hooks::CATEGORY, self)
    }

    /// The hook of this id.
    pub fn hook(&self, hook: &str) -> Result<HookName, NameFault> {
        HookName::new(self.project(), hook)
    }
}

impl HookName {
    /// The project it lies in.
    pub fn parent(&self) -> ProjectName {
        ProjectName::new(self.project()).expect("part of a valid name")
    }

    /// The delivery of this id.
    pub fn delivery(&self, delivery: &str) -> Result<DeliveryName, NameFault> {
        DeliveryName::new(self.project(), self.hook(), delivery)
    }
}

impl DeliveryName {
    /// The hook it is for.
    pub fn parent(&self) -> HookName {
        HookName::new(self.project(), self.hook()).expect("part of a valid name")
    }
}
