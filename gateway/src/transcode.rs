//! JSON and protobuf, each turned into the other.

use bytes::Bytes;
use cairn_service::Refusal;
use prost::Message;
use prost_reflect::{DynamicMessage, MessageDescriptor, SerializeOptions};

pub fn read(message: &MessageDescriptor, json: &[u8]) -> Result<Bytes, Refusal> {
    let json = if json.is_empty() { b"{}" } else { json };
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let message = DynamicMessage::deserialize(message.clone(), &mut deserializer)
        .map_err(|fault| Refusal::invalid("body", fault))?;
    deserializer.end().map_err(|fault| Refusal::invalid("body", fault))?;
    Ok(message.encode_to_vec().into())
}

pub fn write(message: &MessageDescriptor, bytes: Bytes) -> Result<Vec<u8>, Refusal> {
    let message = DynamicMessage::decode(message.clone(), bytes).map_err(Refusal::internal)?;
    let mut json = serde_json::Serializer::new(vec![]);
    let options = SerializeOptions::new().use_proto_field_name(true);
    message.serialize_with_options(&mut json, &options).map_err(Refusal::internal)?;
    Ok(json.into_inner())
}
