use std::collections::BTreeMap;

use prost_reflect::{Kind, MessageDescriptor, MethodDescriptor};
use prost_types::method_options::IdempotencyLevel;

use crate::cairn::options::v1::{Access, Audit, Cursor, Dialect, Guarded, Success, Unwritten};
use crate::google::api::{HttpRule, http_rule::Pattern};
use crate::options::{Declared, enum_option, message_option};
use crate::redact::holds_sensitive;
use crate::resource::{Resource, ResourceFault};
use crate::template::Template;
use crate::{Deprecation, EventType, deprecation, writes};

/// One RPC and everything the contract says of it.
#[derive(Clone, Debug)]
pub struct Method {
    /// As gRPC names it: `/cairn.auth.v1.AuthService/CreateProject`.
    pub path: String,
    /// Full name of its service.
    pub service: String,
    /// Its own name.
    pub name: String,
    /// The comment above it.
    pub comment: String,
    /// How it is reached over HTTP. At least one, unless its service is reached over gRPC alone.
    pub bindings: Vec<Binding>,
    /// The right it takes, e.g. `auth.projects.create`; empty when public.
    pub permission: String,
    /// Template of the resource name, e.g. `{name}`, `*`, or in a compatibility dialect `{project}`.
    pub resource: String,
    /// Further rights that its service may ask for, on what only it knows.
    pub further_permissions: Vec<String>,
    /// What the audit log keeps of a call.
    pub audit: Audit,
    /// Whether anybody may call it.
    pub is_public: bool,
    /// Whether it lists and leaves out what the caller may not see.
    pub is_filtered: bool,
    /// How much of its caller's allowance a call takes. At least 1.
    pub cost: u32,
    /// Who asks guardrails before it.
    pub guarded: Guarded,
    /// Whether it changes nothing (`idempotency_level = NO_SIDE_EFFECTS`).
    pub is_read: bool,
    /// Whether its request has a field that nobody may read in a log (`debug_redact`).
    pub takes_sensitive: bool,
    /// Full names of the events that it can write. Nothing else is written under it, except by the guard.
    pub events: Vec<String>,
    /// Of a change without events: why there are none.
    pub unwritten: Unwritten,
    /// How its service speaks JSON.
    pub dialect: Dialect,
    /// How its success is told over HTTP.
    pub success: Success,
    /// Of a stream: where each message says where it stands, and how a request begins behind it.
    pub cursor: Option<Cursor>,
    /// That it will be gone, if it will.
    pub deprecation: Option<Deprecation>,
    /// The method itself: its messages and whether it streams.
    pub descriptor: MethodDescriptor,
    resource_parts: Resource,
}

/// One way to reach a method over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// `GET`, `POST`, …
    pub verb: String,
    /// Its path, e.g. `/api/v1/{name=projects/*}:archive`.
    pub template: Template,
    /// Which request field the body fills: `*`, a field's name, or nothing.
    pub body: String,
    /// Which answer field becomes the body; empty: all of it.
    pub response_body: String,
}

impl Method {
    /// The role that answers it: its package's, `cairn.<role>.v1`; of a dialect, which others have the word on, whichever
    /// role its right is of.
    pub fn role(&self) -> &str {
        let package = self.service.split('.').nth(1).unwrap_or_default();
        match package {
            "mlflow" => self.permission.split('.').next().filter(|role| !role.is_empty()).unwrap_or("experiments"),
            "openlineage" => "ledger",
            "scim" => "auth",
            // The event store itself is a door, as the gateway is one: who tells of it is who tells of the log.
            "eventstore" => "ledger",
            "vault" => "config",
            own => own,
        }
    }

    /// The request message.
    pub fn input(&self) -> MessageDescriptor {
        self.descriptor.input()
    }

    /// The answer message.
    pub fn output(&self) -> MessageDescriptor {
        self.descriptor.output()
    }

    /// The resource that a call acts on, read from its encoded request.
    ///
    /// `ambient_project` is the name of the project the caller works in; only compatibility dialects use it.
    pub fn resource_of(&self, message: &[u8], ambient_project: Option<&str>) -> Result<String, ResourceFault> {
        self.resource_parts.compose(message, ambient_project)
    }

    /// The request fields that the resource cannot be composed without.
    pub fn resource_fields(&self) -> impl Iterator<Item = &str> {
        self.resource_parts.fields()
    }

    /// Reads a method's options. The problems found are added to `faults`; a method with any does not load.
    pub(crate) fn read(
        descriptor: &MethodDescriptor,
        events: &BTreeMap<String, EventType>,
        faults: &mut Vec<String>,
    ) -> Option<Self> {
        let (place, full_name) = (descriptor.place(), descriptor.full_name().to_owned());
        let before = faults.len();
        let mut fault = |message: &str| faults.push(format!("{place}: {full_name}: {message}"));

        let pool = descriptor.parent_pool();
        let service = descriptor.parent_service();
        let dialect = enum_option(pool, service, "cairn.options.v1.dialect")
            .filter(|dialect| *dialect != Dialect::Unspecified)
            .unwrap_or(Dialect::Cairn);
        let access = message_option::<Access>(pool, descriptor, "cairn.options.v1.access").unwrap_or_else(|| {
            fault("has no (cairn.options.v1.access)");
            Access { audit: Audit::None.into(), public: true, ..Access::default() }
        });
        let audit = Audit::try_from(access.audit).unwrap_or(Audit::Unspecified);
        if audit == Audit::Unspecified {
            fault("does not state its audit level");
        }
        if access.public != access.permission.is_empty() {
            fault("must have either a permission or public: true");
        }
        if !access.public && access.resource.is_empty() {
            fault("has a permission but no resource");
        }
        let guarded = Guarded::try_from(access.guarded).unwrap_or(Guarded::Unspecified);
        if guarded != Guarded::Unspecified && (access.public || is_read(descriptor) && access.filtered) {
            fault("is guarded, but public or a list");
        }
        let success = enum_option(pool, descriptor, "cairn.options.v1.success").unwrap_or(Success::Unspecified);
        if success == Success::Created && !has_name(descriptor) {
            fault("is told as created, but its answer has no name that says where");
        }
        let cursor = message_option::<Cursor>(pool, descriptor, "cairn.options.v1.cursor");
        if let Some(cursor) = &cursor
            && !can_be_taken_up(descriptor, cursor)
        {
            fault("has a cursor, but is no stream, or names a field that is neither text nor an unsigned number");
        }
        let deprecation = deprecation::read(descriptor, &mut fault);
        let (events, unwritten) = writes::read(descriptor, is_read(descriptor), events, &mut fault);
        let resource_parts =
            Resource::parse(&access.resource, &descriptor.input(), dialect).unwrap_or_else(|problem| {
                fault(&format!("its resource {:?} {problem}", access.resource));
                Resource::default()
            });
        let mut bindings = vec![];
        match message_option::<HttpRule>(pool, descriptor, "google.api.http") {
            None if dialect == Dialect::Grpc => {}
            None => fault("has no (google.api.http)"),
            Some(rule) => {
                for rule in std::iter::once(&rule).chain(&rule.additional_bindings) {
                    match Binding::read(rule) {
                        Ok(binding) => bindings.push(binding),
                        Err(message) => fault(&message),
                    }
                }
            }
        }
        let comment = descriptor.comment();
        if comment.is_empty() {
            fault("has no comment");
        }
        (faults.len() == before).then(|| Self {
            path: format!("/{}/{}", service.full_name(), descriptor.name()),
            service: service.full_name().to_owned(),
            name: descriptor.name().to_owned(),
            comment,
            bindings,
            permission: access.permission,
            resource: access.resource,
            further_permissions: access.further,
            audit,
            is_public: access.public,
            is_filtered: access.filtered,
            cost: access.cost.max(1),
            guarded,
            is_read: is_read(descriptor),
            takes_sensitive: holds_sensitive(&descriptor.input()),
            events,
            unwritten,
            dialect,
            success,
            cursor,
            deprecation,
            descriptor: descriptor.clone(),
            resource_parts,
        })
    }
}

impl Binding {
    /// Every well-formed binding of a method, whether or not the method would load.
    pub fn all(method: &MethodDescriptor) -> Vec<Self> {
        let rule = message_option::<HttpRule>(method.parent_pool(), method, "google.api.http").unwrap_or_default();
        std::iter::once(&rule).chain(&rule.additional_bindings).filter_map(|rule| Self::read(rule).ok()).collect()
    }

    fn read(rule: &HttpRule) -> Result<Self, String> {
        let (verb, path) = match rule.pattern.as_ref().ok_or("has an HTTP rule without a path")? {
            Pattern::Get(path) => ("GET", path),
            Pattern::Put(path) => ("PUT", path),
            Pattern::Post(path) => ("POST", path),
            Pattern::Delete(path) => ("DELETE", path),
            Pattern::Patch(path) => ("PATCH", path),
            Pattern::Custom(custom) => (custom.kind.as_str(), &custom.path),
        };
        Ok(Self {
            verb: verb.to_owned(),
            template: Template::parse(path).map_err(|fault| format!("has the path {path:?}: {fault}"))?,
            body: rule.body.clone(),
            response_body: rule.response_body.clone(),
        })
    }
}

/// Whether a method's answer says where what it made is read.
fn has_name(method: &MethodDescriptor) -> bool {
    method.output().get_field_by_name("name").is_some_and(|field| field.kind() == Kind::String && !field.is_list())
}

/// Whether the fields of a cursor are there, and can hold a place.
fn can_be_taken_up(method: &MethodDescriptor, cursor: &Cursor) -> bool {
    let holds_a_place = |message: MessageDescriptor, name: &str| {
        let field = message.get_field_by_name(name);
        field.is_some_and(|field| matches!(field.kind(), Kind::String | Kind::Uint64) && !field.is_list())
    };
    method.is_server_streaming()
        && holds_a_place(method.output(), &cursor.message)
        && holds_a_place(method.input(), &cursor.request)
}

/// Whether a method promises to change nothing.
fn is_read(method: &MethodDescriptor) -> bool {
    let options = method.method_descriptor_proto().options.as_ref();
    options.is_some_and(|options| options.idempotency_level() == IdempotencyLevel::NoSideEffects)
}
