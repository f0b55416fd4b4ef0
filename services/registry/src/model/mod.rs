//! The rules: pure functions of state and command. Nothing here knows time, storage or transport.

pub mod entry;
pub mod function;
pub mod hook;
pub mod model_name;
pub mod name;
mod origin;
pub mod policy;
pub mod promotion;
pub mod registered;
pub mod signing;
pub mod stage;
pub mod terms;
pub mod version;

pub use entry::{Alias, DisplayName, Key, Pairs};
pub use function::Function;
pub use hook::{DeliveryName, HookName, Hooks};
pub use model_name::NameClaim;
pub use name::{ModelName, Number, PolicyScope, ProjectName, PromotionName, VersionName};
pub use origin::Origin;
pub use policy::DefaultPolicy;
pub use promotion::{Approver, CountedSignature, Evidence, Move, Promotion, Target, Uncounted, Unmet};
pub use registered::Model;
pub use signing::SigningPolicy;
pub use stage::Stage;
pub use terms::{Terms, Threshold};
pub use version::Version;
