use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Manifest, SignatureCheck};

/// What a version is. It never changes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// Full name of the run that made it, or an id that is not known here.
    pub source_run: String,
    /// Id of the logged model it was made from.
    pub source_model: String,
    /// What its maker gave as its place.
    pub source_uri: String,
    /// Where its files are.
    pub artifact_uri: String,
    pub run_link: String,
    pub framework: String,
    pub signature: Option<Signature>,
    pub hyperparameters: BTreeMap<String, String>,
    pub metrics: Arc<BTreeMap<String, f64>>,
    pub reference_statistics: Option<ReferenceStatistics>,
    /// What was known of its files.
    pub manifest: Manifest,
    /// What was found of the signature over them.
    pub signature_check: SignatureCheck,
}

/// What a model takes and gives.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Signature {
    pub inputs: Vec<Tensor>,
    pub outputs: Vec<Tensor>,
}

/// A column or tensor.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tensor {
    pub label: String,
    pub dtype: String,
    /// -1 stands for any extent.
    pub shape: Vec<i32>,
    pub is_optional: bool,
}

/// Statistics of training data, kept elsewhere and named by their digest.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReferenceStatistics {
    pub sha256: String,
    pub uri: String,
}
