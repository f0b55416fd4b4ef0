use std::error::Error;

use cairn_contract::{Contract, DESCRIPTORS};
use prost::Message;
use prost_reflect::{DynamicMessage, Value};

use crate::File;

/// The descriptors of a release, with all options and without comments.
pub fn of(contract: &Contract, version: &str) -> Result<File, Box<dyn Error>> {
    if version.split('.').count() != 3 || version.split('.').any(|number| number.parse::<u32>().is_err()) {
        return Err(format!("{version:?} is not a version: write three numbers, 1.2.3").into());
    }
    let set = contract.pool().get_message_by_name("google.protobuf.FileDescriptorSet");
    let set = set.ok_or("the contract does not import google/protobuf/descriptor.proto")?;
    // Read dynamically: typed descriptors would lose our options.
    let mut set = DynamicMessage::decode(set, DESCRIPTORS)?;
    if let Some(Value::List(files)) = set.get_field_by_name_mut("file") {
        for file in files.iter_mut().filter_map(Value::as_message_mut) {
            file.clear_field_by_name("source_code_info");
        }
    }
    Ok((format!("proto/baseline/{version}.binpb"), set.encode_to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_baseline_keeps_every_option_and_no_comment() {
        let contract = Contract::embedded().unwrap();
        let (path, bytes) = of(contract, "1.2.3").unwrap();
        assert_eq!(path, "proto/baseline/1.2.3.binpb");
        let pool = prost_reflect::DescriptorPool::decode(bytes.as_slice()).unwrap();
        let options = |pool: &prost_reflect::DescriptorPool| -> Vec<_> {
            pool.services().flat_map(|s| s.methods().map(|m| m.options().encode_to_vec()).collect::<Vec<_>>()).collect()
        };
        assert_eq!(options(&pool), options(contract.pool()));
        assert!(pool.files().all(|file| file.file_descriptor_proto().source_code_info.is_none()));
        for version in ["", "1", "1.2", "1.2.x", "1.2.3.4"] {
            assert!(of(contract, version).is_err(), "{version:?} was accepted");
        }
    }
}
