//! The transcoder against prost-reflect's, which takes the long way through dynamic messages.

use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::test_runner::TestRng;
use prost::Message as _;
use prost_reflect::{
    Cardinality, DescriptorPool, DeserializeOptions, DynamicMessage, FieldDescriptor, MapKey, MessageDescriptor,
    SerializeOptions, Value,
};

use super::{Accent, Fault, Longs, MessageId, Plans, Reader, write};

struct World {
    plans: Plans,
    id: MessageId,
    message: MessageDescriptor,
}

fn world() -> &'static World {
    static WORLD: LazyLock<World> = LazyLock::new(load);
    &WORLD
}

fn load() -> World {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/");
    let includes = [format!("{root}tests/proto"), format!("{root}../proto")];
    let mut compiler = protox::Compiler::new(includes).unwrap();
    compiler.include_imports(true).open_file("cairn/things/v1/things.proto").unwrap();
    let pool = DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice()).unwrap();
    let message = pool.get_message_by_name("cairn.things.v1.Everything").unwrap();
    let mut plans = Plans::default();
    let mut faults = vec![];
    let id = plans.add(&message, &mut faults);
    assert_eq!(faults, Vec::<String>::new());
    World { plans, id, message }
}

impl World {
    fn read_as(&self, accent: Accent, json: &str) -> Result<DynamicMessage, Fault> {
        let mut reader = Reader::new(&self.plans, accent);
        reader.message(self.id, json.as_bytes())?;
        Ok(DynamicMessage::decode(self.message.clone(), reader.finish().as_slice()).unwrap())
    }

    fn read(&self, json: &serde_json::Value) -> Result<DynamicMessage, Fault> {
        self.read_as(Accent::Strict, &json.to_string())
    }

    fn write(&self, longs: Longs, message: &DynamicMessage) -> serde_json::Value {
        let json = write(&self.plans, longs, self.id, None, &message.encode_to_vec()).unwrap();
        serde_json::from_slice(&json).unwrap_or_else(|fault| panic!("{fault}: {}", String::from_utf8_lossy(&json)))
    }

    fn oracle_write(&self, message: &DynamicMessage) -> serde_json::Value {
        let options = SerializeOptions::new().use_proto_field_name(true);
        let mut json = serde_json::Serializer::new(vec![]);
        message.serialize_with_options(&mut json, &options).unwrap();
        serde_json::from_slice(&json.into_inner()).unwrap()
    }
}

/// A random message: each field is set with a chance that falls with depth.
fn random(message: &MessageDescriptor, rng: &mut TestRng, depth: u32) -> DynamicMessage {
    let mut random_message = DynamicMessage::new(message.clone());
    if message.full_name() == "google.protobuf.Value" {
        let at = rng.random_range(0..if depth > 2 { 4 } else { 6 });
        let field = message.get_field(at + 1).unwrap();
        random_message.set_field(&field, value(&field, rng, depth + 1));
        return random_message;
    }
    let chance = [0.5, 0.2, 0.05, 0.0].get(depth as usize).copied().unwrap_or(0.0);
    for field in message.fields() {
        let is_flat = message.full_name().starts_with("google.protobuf.");
        if rng.random_bool(if is_flat { 0.7 } else { chance }) {
            let value = match field.cardinality() {
                Cardinality::Repeated if field.is_map() => {
                    let entry = field.kind().as_message().unwrap().clone();
                    let keys = entry.map_entry_key_field();
                    let entries = (0..rng.random_range(0..3)).map(|_| {
                        let key = value(&keys, rng, depth).into_map_key().unwrap_or(MapKey::I64(3));
                        (key, value(&entry.map_entry_value_field(), rng, depth + 1))
                    });
                    Value::Map(entries.collect())
                }
                Cardinality::Repeated => {
                    Value::List((0..rng.random_range(0..4)).map(|_| value(&field, rng, depth + 1)).collect())
                }
                _ => value(&field, rng, depth + 1),
            };
            random_message.set_field(&field, value);
        }
    }
    random_message
}

fn value(field: &FieldDescriptor, rng: &mut TestRng, depth: u32) -> Value {
    use prost_reflect::Kind;
    let mut text = |len: usize| -> String {
        (0..rng.random_range(0..len))
            .map(|_| {
                *['a', 'é', '"', '\\', '\n', '/', '😀', '\u{1}', '1'].as_slice().get(rng.random_range(0..9)).unwrap()
            })
            .collect()
    };
    let parent = field.parent_message();
    match (parent.full_name(), field.name()) {
        ("google.protobuf.Timestamp", "seconds") => {
            return Value::I64(rng.random_range(-62_135_596_800..=253_402_300_799));
        }
        ("google.protobuf.Timestamp", "nanos") => {
            return Value::I32([0, 1, 120_000_000, 3_000, 999_999_999][rng.random_range(0..5)]);
        }
        ("google.protobuf.Duration", "seconds") => return Value::I64(rng.random_range(0..=315_576_000_000)),
        ("google.protobuf.Duration", "nanos") => return Value::I32([0, 1, 500_000_000, 7_000][rng.random_range(0..4)]),
        ("google.protobuf.FieldMask", _) => {
            return Value::String(["name", "thing.title"][rng.random_range(0..2)].into());
        }
        // prost-reflect writes a wrapped NaN as null and a wrapped float with the digits of a double.
        ("google.protobuf.DoubleValue", _) => return Value::F64(rng.random_range(-1e9..1e9)),
        ("google.protobuf.FloatValue", _) => return Value::F32(f32::from(rng.random::<i16>())),
        ("google.protobuf.Value", "number_value") => return Value::F64(rng.random_range(-1e9..1e9)),
        _ => {}
    }
    let double = |rng: &mut TestRng| match rng.random_range(0..6) {
        0 => f64::NAN,
        1 => f64::INFINITY,
        2 => f64::NEG_INFINITY,
        3 => -0.0,
        4 => rng.random_range(-10..10) as f64,
        _ => f64::from_bits(rng.random::<u64>() & !(1 << 62)),
    };
    match field.kind() {
        Kind::Double => Value::F64(double(rng)),
        Kind::Float => Value::F32(double(rng) as f32),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(rng.random::<i32>() >> rng.random_range(0..32)),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(rng.random::<i64>() >> rng.random_range(0..64)),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(rng.random::<u32>() >> rng.random_range(0..32)),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(rng.random::<u64>() >> rng.random_range(0..64)),
        Kind::Bool => Value::Bool(rng.random()),
        Kind::String => Value::String(text(150)),
        Kind::Bytes => Value::Bytes(text(9).into_bytes().into()),
        Kind::Enum(kind) if kind.full_name() == "google.protobuf.NullValue" => Value::EnumNumber(0),
        Kind::Enum(_) => Value::EnumNumber(rng.random_range(-1..=2)),
        Kind::Message(message) => Value::Message(random(&message, rng, depth)),
    }
}

#[test]
fn a_whole_number_of_a_json_value_is_written_as_one() {
    let world = world();
    let json = serde_json::json!({"values": [5, -3, 2.5, 1e300, 9_007_199_254_740_991_i64]});
    assert_eq!(world.write(Longs::Strings, &world.read(&json).unwrap()), json);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_message_is_written_as_the_long_way_writes_it_and_read_back_the_same(
        seed in any::<[u8; 32]>()
    ) {
        let world = world();
        let mut rng = TestRng::from_seed(prop::test_runner::RngAlgorithm::ChaCha, &seed);
        let message = random(&world.message, &mut rng, 0);
        let written = world.write(Longs::Strings, &message);
        prop_assert_eq!(&written, &world.oracle_write(&message));
        let read = world.read(&written).unwrap();
        let options = DeserializeOptions::new();
        let oracle = DynamicMessage::deserialize_with_options(world.message.clone(), &written, &options).unwrap();
        prop_assert_eq!(world.oracle_write(&read), world.oracle_write(&oracle));
        prop_assert_eq!(read.encode_to_vec().len(), oracle.encode_to_vec().len());
        let numbers = world.write(Longs::Numbers, &message);
        prop_assert_eq!(world.oracle_write(&world.read(&numbers).unwrap()), written);
    }

    #[test]
    fn whatever_bytes_come_from_behind_nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let world = world();
        let written = write(&world.plans, Longs::Strings, world.id, None, &bytes);
        if let Ok(json) = written {
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&json).is_ok());
        }
    }
}
