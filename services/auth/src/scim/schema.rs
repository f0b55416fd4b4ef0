//! The attributes that are kept, as RFC 7643 defines them: what a value must look like, and who may change it.

use serde_json::{Value, json};

pub const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
pub const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";

/// An attribute, or a part of one.
#[derive(Clone, Copy, Debug)]
pub struct Attribute {
    pub name: &'static str,
    pub about: &'static str,
    pub kind: Kind,
    /// There may be several values.
    pub is_many: bool,
    /// There is always one.
    pub is_required: bool,
    pub mutability: Mutability,
    /// Upper and lower case are different letters.
    pub is_case_exact: bool,
    pub uniqueness: &'static str,
    /// What a reference leads to.
    pub leads_to: &'static [&'static str],
    /// Words that are usual.
    pub words: &'static [&'static str],
    pub parts: &'static [Attribute],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    Boolean,
    Complex,
    Reference,
    Moment,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutability {
    ReadWrite,
    ReadOnly,
    /// Set with the value that it is part of, and not changed in it.
    Immutable,
}

const TEXT: Attribute = Attribute {
    name: "",
    about: "",
    kind: Kind::Text,
    is_many: false,
    is_required: false,
    mutability: Mutability::ReadWrite,
    is_case_exact: false,
    uniqueness: "none",
    leads_to: &[],
    words: &[],
    parts: &[],
};

const fn text(name: &'static str, about: &'static str) -> Attribute {
    Attribute { name, about, ..TEXT }
}

/// Attributes that every resource has, and no schema lists (RFC 7643, section 3.1).
pub const COMMON: &[Attribute] = &[
    Attribute { mutability: Mutability::ReadOnly, is_case_exact: true, ..text("id", "") },
    Attribute { is_case_exact: true, ..text("externalId", "") },
    Attribute { is_many: true, mutability: Mutability::ReadOnly, ..text("schemas", "") },
    Attribute { kind: Kind::Complex, mutability: Mutability::ReadOnly, parts: META, ..text("meta", "") },
];

const META: &[Attribute] = &[
    Attribute { mutability: Mutability::ReadOnly, is_case_exact: true, ..text("resourceType", "") },
    Attribute { mutability: Mutability::ReadOnly, kind: Kind::Moment, ..text("created", "") },
    Attribute { mutability: Mutability::ReadOnly, kind: Kind::Moment, ..text("lastModified", "") },
    Attribute { mutability: Mutability::ReadOnly, is_case_exact: true, ..text("location", "") },
    Attribute { mutability: Mutability::ReadOnly, is_case_exact: true, ..text("version", "") },
];

const NAME: &[Attribute] = &[
    text("formatted", "The whole name, as it is shown."),
    text("familyName", "The family name."),
    text("givenName", "The given name."),
    text("middleName", "Middle names."),
    text("honorificPrefix", "What stands before the name, such as a title."),
    text("honorificSuffix", "What stands behind the name."),
];

const EMAIL: &[Attribute] = &[
    text("value", "The address."),
    text("display", "What people call it."),
    Attribute { words: &["work", "home", "other"], ..text("type", "What it is for.") },
    Attribute {
        kind: Kind::Boolean,
        ..text("primary", "Whether it is the one to write to. Of all addresses at most one is.")
    },
];

/// Of a person.
pub const USER_ATTRIBUTES: &[Attribute] = &[
    Attribute {
        is_required: true,
        uniqueness: "server",
        ..text("userName", "What the person logs in as at the directory. No other has the same.")
    },
    Attribute { kind: Kind::Complex, parts: NAME, ..text("name", "The parts of the person's name.") },
    text("displayName", "What others call the person."),
    Attribute {
        kind: Kind::Complex,
        is_many: true,
        parts: EMAIL,
        ..text("emails", "Mail addresses. The primary one, else the first, no other person has.")
    },
    Attribute {
        kind: Kind::Boolean,
        is_required: true,
        ..text("active", "Whether the person is let in. Without it in a request, they are.")
    },
];

const MEMBER: &[Attribute] = &[
    Attribute {
        mutability: Mutability::Immutable,
        is_case_exact: true,
        ..text("value", "The id of the person or group.")
    },
    Attribute {
        mutability: Mutability::Immutable,
        kind: Kind::Reference,
        is_case_exact: true,
        leads_to: &["User", "Group"],
        ..text("$ref", "The address of the person or group.")
    },
    Attribute {
        mutability: Mutability::Immutable,
        words: &["User", "Group"],
        ..text("type", "Whether it is a person or a group.")
    },
];

/// Of a group.
pub const GROUP_ATTRIBUTES: &[Attribute] = &[
    Attribute { is_required: true, ..text("displayName", "What people call the group.") },
    Attribute {
        kind: Kind::Complex,
        is_many: true,
        parts: MEMBER,
        ..text("members", "Who is in the group: people, and groups of the same organization.")
    },
];

/// A kind of resources.
#[derive(Debug)]
pub struct Shape {
    pub name: &'static str,
    pub endpoint: &'static str,
    pub urn: &'static str,
    pub about: &'static str,
    pub attributes: &'static [Attribute],
    /// What the standard defines beside, and is taken in requests without being kept.
    pub ignored: &'static [&'static str],
}

pub static PERSON: Shape = Shape {
    name: "User",
    endpoint: "/Users",
    urn: USER,
    about: "A person",
    attributes: USER_ATTRIBUTES,
    ignored: &[
        "nickName",
        "profileUrl",
        "title",
        "userType",
        "preferredLanguage",
        "locale",
        "timezone",
        "password",
        "phoneNumbers",
        "ims",
        "photos",
        "addresses",
        "groups",
        "entitlements",
        "roles",
        "x509Certificates",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
    ],
};

pub static TEAM: Shape = Shape {
    name: "Group",
    endpoint: "/Groups",
    urn: GROUP,
    about: "A group of people",
    attributes: GROUP_ATTRIBUTES,
    ignored: &[],
};

/// Finds one by its name, in whatever case.
pub fn find<'a>(attributes: &'a [Attribute], name: &str) -> Option<&'a Attribute> {
    attributes.iter().find(|attribute| attribute.name.eq_ignore_ascii_case(name))
}

impl Shape {
    /// One of its attributes, or of those that every resource has.
    pub fn attribute(&self, name: &str) -> Option<&'static Attribute> {
        find(self.attributes, name).or_else(|| find(COMMON, name))
    }

    /// Whether the standard has it, and it is not kept here.
    pub fn ignores(&self, name: &str) -> bool {
        self.ignored.iter().any(|ignored| {
            let begins = name.get(..ignored.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(ignored));
            begins && matches!(name.as_bytes().get(ignored.len()), None | Some(b'.' | b':' | b'['))
        })
    }
}

/// Its definition (RFC 7643, section 7).
pub fn definition(attribute: &Attribute) -> Value {
    let kind = match attribute.kind {
        Kind::Text => "string",
        Kind::Boolean => "boolean",
        Kind::Complex => "complex",
        Kind::Reference => "reference",
        Kind::Moment => "dateTime",
    };
    let mutability = match attribute.mutability {
        Mutability::ReadWrite => "readWrite",
        Mutability::ReadOnly => "readOnly",
        Mutability::Immutable => "immutable",
    };
    let mut told = json!({
        "name": attribute.name,
        "type": kind,
        "multiValued": attribute.is_many,
        "description": attribute.about,
        "required": attribute.is_required,
        "mutability": mutability,
        "returned": "default",
    });
    match attribute.kind {
        Kind::Text => {
            told["caseExact"] = json!(attribute.is_case_exact);
            told["uniqueness"] = json!(attribute.uniqueness);
        }
        Kind::Reference => {
            told["caseExact"] = json!(attribute.is_case_exact);
            told["uniqueness"] = json!(attribute.uniqueness);
            told["referenceTypes"] = json!(attribute.leads_to);
        }
        Kind::Complex => told["subAttributes"] = attribute.parts.iter().map(definition).collect(),
        Kind::Boolean | Kind::Moment => {}
    }
    if !attribute.words.is_empty() {
        told["canonicalValues"] = json!(attribute.words);
    }
    told
}
