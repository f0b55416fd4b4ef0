//! The names of what this service keeps, and the streams behind them.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest;
use cairn_kernel::{Aggregate, Name, NameFault, SEGMENT_BYTES_MAX, StreamName, resource_name};

use super::{DefaultPolicy, DisplayName, Model, NameClaim, Version};

resource_name!(
    /// A project, which belongs to another service.
    ProjectName,
    "project name",
    "projects/*",
    project
);
resource_name!(
    /// A registered model.
    ModelName,
    "model name",
    "projects/*/models/*",
    project,
    model
);
resource_name!(
    /// A promotion.
    PromotionName,
    "promotion name",
    "projects/*/models/*/promotions/*",
    project,
    model,
    promotion
);

/// The number of a version, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Number(pub u32);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A version: `projects/{project}/models/{model}/versions/{number}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionName {
    name: Name,
    number: Number,
}

impl VersionName {
    /// The name as it is.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Its number.
    pub fn number(&self) -> Number {
        self.number
    }

    /// The model it belongs to.
    pub fn parent(&self) -> ModelName {
        let ids = self.name.matches(VERSIONS).unwrap_or_default();
        ModelName::new(ids[0], ids[1]).expect("part of a valid name")
    }

    /// Its stream.
    pub fn stream(&self) -> StreamName {
        StreamName::of(Version::CATEGORY, self)
    }
}

const VERSIONS: &str = "projects/*/models/*/versions/*";

impl FromStr for VersionName {
    type Err = NameFault;

    fn from_str(text: &str) -> Result<Self, NameFault> {
        let invalid = || NameFault::invalid("version name", text);
        let name: Name = text.parse().map_err(|_| invalid())?;
        let ids = name.matches(VERSIONS).ok_or_else(invalid)?;
        // One spelling of each: neither 01 nor +1.
        let number = ids[2].parse::<u32>().ok().filter(|number| *number > 0 && number.to_string() == ids[2]);
        let number = Number(number.ok_or_else(invalid)?);
        Ok(Self { name, number })
    }
}

impl fmt::Display for VersionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)
    }
}

impl ProjectName {
    /// The model of this id.
    pub fn model(&self, model: &str) -> Result<ModelName, NameFault> {
        ModelName::new(self.project(), model)
    }

    /// The model that gets this display name first.
    pub fn model_called(&self, display_name: &DisplayName) -> ModelName {
        self.model(&model_id(display_name)).expect("an id is made of what names may hold")
    }

    /// The stream that a display name belongs to. Named by digest, since names are longer than streams may be.
    pub fn claim_stream(&self, display_name: &str) -> StreamName {
        let digest = hex::encode(digest::digest(&digest::SHA256, display_name.as_bytes()));
        StreamName::of(NameClaim::CATEGORY, format_args!("{}/modelNames/{digest}", self.as_str()))
    }

    /// The stream of the policy for models without one of their own.
    pub fn policy_stream(&self) -> StreamName {
        StreamName::of(DefaultPolicy::CATEGORY, self)
    }
}

impl ModelName {
    /// The project it lies in.
    pub fn parent(&self) -> ProjectName {
        ProjectName::new(self.project()).expect("part of a valid name")
    }

    /// Its stream.
    pub fn stream(&self) -> StreamName {
        StreamName::of(Model::CATEGORY, self)
    }

    /// The version of this number.
    pub fn version(&self, number: Number) -> VersionName {
        let name = self.name().child("versions", &number.to_string()).expect("a number is a segment");
        VersionName { name, number }
    }

    /// The promotion of this id.
    pub fn promotion(&self, promotion: &str) -> Result<PromotionName, NameFault> {
        PromotionName::new(self.project(), self.model(), promotion)
    }
}

impl PromotionName {
    /// The model it is about.
    pub fn parent(&self) -> ModelName {
        ModelName::new(self.project(), self.model()).expect("part of a valid name")
    }
}

/// Whose policy is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyScope {
    Project(ProjectName),
    Model(ModelName),
}

/// The id of the one policy there is of each.
pub const POLICY: &str = "default";

/// The collection that policies on promotions are named in.
const PROMOTION_POLICIES: &str = "promotionPolicies";

impl PolicyScope {
    /// Reads the name of a policy on promotions. `None`: it is one, but there is only [`POLICY`].
    pub fn of(text: &str) -> Result<Option<Self>, NameFault> {
        Self::named_in(PROMOTION_POLICIES, text)
    }

    /// Reads the name of a policy of a collection. `None`: it is one, but there is only [`POLICY`].
    pub fn named_in(collection: &str, text: &str) -> Result<Option<Self>, NameFault> {
        let name: Name = text.parse().map_err(|_| NameFault::invalid("policy name", text))?;
        if let Some(ids) = name.matches(&format!("projects/*/{collection}/*")) {
            return Ok((ids[1] == POLICY).then_some(Self::Project(ProjectName::new(ids[0])?)));
        }
        if let Some(ids) = name.matches(&format!("projects/*/models/*/{collection}/*")) {
            return Ok((ids[2] == POLICY).then_some(Self::Model(ModelName::new(ids[0], ids[1])?)));
        }
        Err(NameFault::invalid("policy name", text))
    }

    /// Whose policy it is.
    pub fn name(&self) -> &Name {
        match self {
            Self::Project(project) => project.name(),
            Self::Model(model) => model.name(),
        }
    }

    /// The name of its policy in a collection.
    pub fn policy_in(&self, collection: &str) -> String {
        format!("{}/{collection}/{POLICY}", self.name())
    }
}

impl fmt::Display for PolicyScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.policy_in(PROMOTION_POLICIES))
    }
}

/// The id that a display name gives: itself where it can stand in a resource name, else with `~` and two hexadecimal
/// digits for each byte that cannot. No two names give the same id.
pub fn model_id(display_name: &DisplayName) -> String {
    let mut id = String::new();
    for byte in display_name.as_str().bytes() {
        match byte {
            _ if byte.is_ascii_alphanumeric() || b"-_.@+".contains(&byte) => id.push(char::from(byte)),
            _ => id.push_str(&format!("~{byte:02X}")),
        }
    }
    let is_dots = id.bytes().all(|byte| byte == b'.');
    if id.len() > SEGMENT_BYTES_MAX || is_dots {
        // Two tildes stand in no id made letter by letter.
        let digest = digest::digest(&digest::SHA256, display_name.as_str().as_bytes());
        return format!("~~{}", hex::encode(digest));
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_display_name_gives_an_id_that_can_stand_in_a_name() {
        let id = |text: &str| model_id(&text.parse().unwrap());
        assert_eq!(id("fraud-v2.1"), "fraud-v2.1");
        assert_eq!(id("fraud detector"), "fraud~20detector");
        assert_eq!(id("a~20b"), "a~7E20b");
        assert_eq!(id("é"), "~C3~A9");
        let project: ProjectName = "projects/p".parse().unwrap();
        for text in ["...", "a b", &"é".repeat(500), &"a".repeat(300), "%"] {
            let name = project.model_called(&text.parse().unwrap());
            assert_eq!(name.as_str().parse::<ModelName>().unwrap(), name);
        }
    }

    #[test]
    fn a_version_has_one_spelling() {
        let name: VersionName = "projects/p/models/m/versions/12".parse().unwrap();
        assert_eq!((name.number(), name.parent().as_str()), (Number(12), "projects/p/models/m"));
        assert_eq!(name.parent().version(Number(12)), name);
        for text in ["0", "01", "+1", "x", "4294967296"] {
            assert!(format!("projects/p/models/m/versions/{text}").parse::<VersionName>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_policy_is_a_projects_or_a_models() {
        let of = |text: &str| PolicyScope::of(text);
        assert!(matches!(of("projects/p/promotionPolicies/default"), Ok(Some(PolicyScope::Project(_)))));
        let model = of("projects/p/models/m/promotionPolicies/default").unwrap().unwrap();
        assert_eq!(model.to_string(), "projects/p/models/m/promotionPolicies/default");
        assert_eq!(of("projects/p/promotionPolicies/other"), Ok(None));
        assert!(of("projects/p/models/m").is_err());
    }
}
