use prost_reflect::{DynamicMessage, MessageDescriptor, MethodDescriptor, ReflectMessage, Value};

use crate::Template;
use crate::cairn::options::v1::{Access, Audit, Dialect};
use crate::google::api::{HttpRule, http_rule::Pattern};

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
    /// How it is reached over HTTP. At least one.
    pub bindings: Vec<Binding>,
    /// The right it takes, e.g. `auth.projects.create`; empty when public.
    pub permission: String,
    /// Template of the resource name, e.g. `{name}` or `projects/{project}`.
    pub resource: String,
    /// What the audit log keeps of a call.
    pub audit: Audit,
    /// Whether anybody may call it.
    pub is_public: bool,
    /// Whether it lists and leaves out what the caller may not see.
    pub is_filtered: bool,
    /// Whether it changes nothing (`idempotency_level = NO_SIDE_EFFECTS`).
    pub is_read: bool,
    /// How its service speaks JSON.
    pub dialect: Dialect,
    /// The method itself: its messages and whether it streams.
    pub descriptor: MethodDescriptor,
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
    /// The request message.
    pub fn input(&self) -> MessageDescriptor {
        self.descriptor.input()
    }

    /// The answer message.
    pub fn output(&self) -> MessageDescriptor {
        self.descriptor.output()
    }

    /// Reads a method's options. The problems found are added to `faults`; a method with any does not load.
    pub(crate) fn read(descriptor: &MethodDescriptor, faults: &mut Vec<String>) -> Option<Self> {
        let full_name = descriptor.full_name().to_owned();
        let before = faults.len();
        let mut fault = |message: &str| faults.push(format!("{full_name}: {message}"));

        let access = extension::<Access>(descriptor, "cairn.options.v1.access");
        let http = extension::<HttpRule>(descriptor, "google.api.http");
        let access = access.unwrap_or_else(|| {
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
        let mut bindings = vec![];
        match &http {
            None => fault("has no (google.api.http)"),
            Some(rule) => {
                for rule in std::iter::once(rule).chain(&rule.additional_bindings) {
                    match Binding::read(rule) {
                        Ok(binding) => bindings.push(binding),
                        Err(message) => fault(&message),
                    }
                }
            }
        }
        let comment = comment(descriptor);
        if comment.is_empty() {
            fault("has no comment");
        }
        (faults.len() == before).then(|| Self {
            path: format!("/{}/{}", descriptor.parent_service().full_name(), descriptor.name()),
            service: descriptor.parent_service().full_name().to_owned(),
            name: descriptor.name().to_owned(),
            comment,
            bindings,
            permission: access.permission,
            resource: access.resource,
            audit,
            is_public: access.public,
            is_filtered: access.filtered,
            is_read: is_read(descriptor),
            dialect: dialect(descriptor),
            descriptor: descriptor.clone(),
        })
    }
}

impl Binding {
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

/// A method option of ours, read dynamically: typed descriptors do not carry it.
fn extension<M: prost::Message + Default>(method: &MethodDescriptor, name: &str) -> Option<M> {
    let extension = method.parent_pool().get_extension_by_name(name)?;
    let options: DynamicMessage = method.options();
    if !options.has_extension(&extension) {
        return None;
    }
    match options.get_extension(&extension).as_ref() {
        Value::Message(message) => message.transcode_to::<M>().ok(),
        _ => None,
    }
}

fn dialect(method: &MethodDescriptor) -> Dialect {
    let service = method.parent_service();
    let options = service.options();
    service
        .parent_pool()
        .get_extension_by_name("cairn.options.v1.dialect")
        .and_then(|extension| options.get_extension(&extension).as_enum_number())
        .and_then(|number| Dialect::try_from(number).ok())
        .filter(|dialect| *dialect != Dialect::Unspecified)
        .unwrap_or(Dialect::Cairn)
}

fn is_read(method: &MethodDescriptor) -> bool {
    const NO_SIDE_EFFECTS: i32 = 1;
    let options = method.options();
    options
        .descriptor()
        .get_field_by_name("idempotency_level")
        .and_then(|field| options.get_field(&field).as_enum_number())
        == Some(NO_SIDE_EFFECTS)
}

/// The comment above a method, its lines joined.
fn comment(method: &MethodDescriptor) -> String {
    let file = method.parent_file();
    let path = method.path().to_vec();
    let locations = file.file_descriptor_proto().source_code_info.as_ref().map(|info| info.location.as_slice());
    let found = locations.unwrap_or_default().iter().find(|location| location.path == path);
    found.and_then(|location| location.leading_comments.as_deref()).unwrap_or_default().trim().to_owned()
}
