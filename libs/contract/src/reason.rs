use prost_reflect::{DescriptorPool, EnumValueDescriptor};

use crate::google::rpc::Code;
use crate::options::{Declared, enum_option};

/// Why something did not work, as it stands in `google.rpc.ErrorInfo`.
#[derive(Clone, Debug)]
pub struct Reason {
    /// Without the prefix of its enum: `RATE_LIMITED`.
    pub name: String,
    /// Its number in the enum.
    pub number: i32,
    /// The status that comes with it; `Ok` if the contract forgot to say.
    pub code: Code,
    /// What happened and what the caller can do.
    pub comment: String,
    /// The value itself.
    pub descriptor: EnumValueDescriptor,
}

impl Reason {
    const ENUM: &str = "cairn.errors.v1.Reason";
    const PREFIX: &str = "REASON_";

    /// Every reason but the unspecified one, by number.
    pub(crate) fn all(pool: &DescriptorPool) -> Vec<Self> {
        let Some(reasons) = pool.get_enum_by_name(Self::ENUM) else { return vec![] };
        let mut all: Vec<Self> = reasons
            .values()
            .filter(|value| value.number() != 0)
            .map(|value| Self {
                name: value.name().strip_prefix(Self::PREFIX).unwrap_or(value.name()).to_owned(),
                number: value.number(),
                code: enum_option(pool, &value, "cairn.options.v1.code").unwrap_or(Code::Ok),
                comment: value.comment(),
                descriptor: value,
            })
            .collect();
        all.sort_by_key(|reason| reason.number);
        all
    }
}
