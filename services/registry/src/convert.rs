//! Our words in the contract's, and the other way round.

use cairn_contract::cairn::registry::v1 as proto;
use cairn_kernel::Time;
use prost_types::Timestamp;

use crate::model::version::{ReferenceStatistics, Signature, Tensor};

/// A moment in ours.
pub fn from_timestamp(timestamp: &Timestamp) -> Time {
    Time::from_seconds_and_nanos(timestamp.seconds, timestamp.nanos)
}

impl From<Signature> for proto::ModelSignature {
    fn from(signature: Signature) -> Self {
        let tensor = |tensor: Tensor| proto::Tensor {
            label: tensor.label,
            dtype: tensor.dtype,
            shape: tensor.shape,
            optional: tensor.is_optional,
        };
        Self {
            inputs: signature.inputs.into_iter().map(tensor).collect(),
            outputs: signature.outputs.into_iter().map(tensor).collect(),
        }
    }
}

/// A signature in our words.
pub fn signature(message: proto::ModelSignature) -> Signature {
    let tensor = |tensor: proto::Tensor| Tensor {
        label: tensor.label,
        dtype: tensor.dtype,
        shape: tensor.shape,
        is_optional: tensor.optional,
    };
    Signature {
        inputs: message.inputs.into_iter().map(tensor).collect(),
        outputs: message.outputs.into_iter().map(tensor).collect(),
    }
}

impl From<ReferenceStatistics> for proto::ReferenceStatistics {
    fn from(statistics: ReferenceStatistics) -> Self {
        Self { sha256: statistics.sha256, uri: statistics.uri }
    }
}

/// Reference statistics in our words.
pub fn reference_statistics(message: proto::ReferenceStatistics) -> ReferenceStatistics {
    ReferenceStatistics { sha256: message.sha256, uri: message.uri }
}
