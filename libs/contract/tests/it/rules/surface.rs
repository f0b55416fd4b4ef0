use std::collections::HashSet;

use cairn_contract::{Contract, Method};
use prost_reflect::{EnumDescriptor, FieldDescriptor, FileDescriptor, Kind, MessageDescriptor};

use cairn_contract::cairn::options::v1::Dialect;

/// Our part of a contract, without what others publish under `google/`.
pub struct Surface<'a> {
    pub contract: &'a Contract,
    /// Packages whose services all speak a compatibility dialect.
    dialect_packages: HashSet<String>,
}

impl<'a> Surface<'a> {
    pub fn of(contract: &'a Contract) -> Self {
        let packages = |is_wanted: fn(Dialect) -> bool| {
            let methods = contract.methods().iter().filter(move |method| is_wanted(method.dialect));
            methods.map(|method| method.descriptor.parent_file().package_name().to_owned())
        };
        let ours: HashSet<String> = packages(|dialect| dialect == Dialect::Cairn).collect();
        let foreign = packages(|dialect| dialect != Dialect::Cairn);
        Self { contract, dialect_packages: foreign.filter(|package| !ours.contains(package)).collect() }
    }

    pub fn files(&self) -> impl Iterator<Item = FileDescriptor> {
        self.contract.pool().files().filter(|file| file.package_name().starts_with("cairn."))
    }

    /// Every message of ours, nested ones included, without those the compiler makes for maps.
    pub fn messages(&self) -> impl Iterator<Item = MessageDescriptor> {
        let all = self.contract.pool().all_messages();
        all.filter(|message| message.package_name().starts_with("cairn.") && !message.is_map_entry())
    }

    pub fn enums(&self) -> impl Iterator<Item = EnumDescriptor> {
        self.contract.pool().all_enums().filter(|declared| declared.package_name().starts_with("cairn."))
    }

    /// Methods of services that speak as Cairn does.
    pub fn native_methods(&self) -> impl Iterator<Item = &'a Method> {
        self.contract.methods().iter().filter(|method| method.dialect == Dialect::Cairn)
    }

    /// Whether a package is as another product published it.
    pub fn is_dialect(&self, package: &str) -> bool {
        self.dialect_packages.contains(package)
    }

    /// Messages that are ours to shape.
    pub fn native_messages(&self) -> impl Iterator<Item = MessageDescriptor> {
        self.messages().filter(|message| !self.is_dialect(message.package_name()))
    }

    /// Messages that callers see.
    pub fn public_messages(&self) -> impl Iterator<Item = MessageDescriptor> {
        self.native_messages().filter(|message| !is_events(message.package_name()))
    }
}

/// Whether a package holds events: `cairn.<service>.events.v<N>`.
pub fn is_events(package: &str) -> bool {
    package.split('.').nth(2) == Some("events")
}

/// `<service>` of `cairn.<service>.v1` and `cairn.<service>.events.v1`.
pub fn service_of(package: &str) -> &str {
    package.split('.').nth(1).unwrap_or_default()
}

/// Whether a field is a single value of this message type.
pub fn is_message(field: &FieldDescriptor, full_name: &str) -> bool {
    !field.is_list() && matches!(field.kind(), Kind::Message(message) if message.full_name() == full_name)
}

/// Whether a message has a single field of this name and kind.
pub fn has(message: &MessageDescriptor, name: &str, kind: &Kind) -> bool {
    message.get_field_by_name(name).is_some_and(|field| !field.is_list() && field.kind() == *kind)
}

/// Whether a message has a single field of this name and message type.
pub fn has_message(message: &MessageDescriptor, name: &str, full_name: &str) -> bool {
    message.get_field_by_name(name).is_some_and(|field| is_message(&field, full_name))
}

pub const TIMESTAMP: &str = "google.protobuf.Timestamp";
pub const HTTP_BODY: &str = "google.api.HttpBody";
