use prost_reflect::{DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage, Value};

use super::filters::Filter;

/// A text with places that fields of an event fill: `{run|project}/runs/{parent_run|id}`.
#[derive(Clone, Debug, Default)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Field(Field),
}

/// Where a value stands, and what becomes of it.
#[derive(Clone, Debug)]
struct Field {
    /// The field of the event itself. Only this one may be a list.
    first: FieldDescriptor,
    /// Further in.
    rest: Vec<FieldDescriptor>,
    filters: Vec<Filter>,
}

impl Template {
    /// Reads a template over the fields of `message`, or says what is wrong with it.
    pub fn parse(text: &str, message: &MessageDescriptor) -> Result<Self, String> {
        let (mut parts, mut rest) = (vec![], text);
        while let Some((before, after)) = rest.split_once('{') {
            let (inside, behind) = after.split_once('}').ok_or_else(|| format!("{text:?} has a '{{' without '}}'"))?;
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(Part::Field(Field::parse(inside, message)?));
            rest = behind;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self { parts })
    }

    /// The lists it goes over.
    pub fn lists(&self) -> impl Iterator<Item = &FieldDescriptor> {
        self.parts.iter().filter_map(|part| match part {
            Part::Field(field) if field.first.is_list() => Some(&field.first),
            _ => None,
        })
    }

    /// The text, with the fields of `message` and, where a list is meant, of its `element`. `None`: a field of it is empty
    /// or not of the kind that its filter works on.
    pub fn text(&self, message: &DynamicMessage, element: Option<&Value>) -> Option<String> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Field(field) => text.push_str(&field.text(message, element)?),
            }
        }
        Some(text)
    }
}

impl Field {
    fn parse(inside: &str, message: &MessageDescriptor) -> Result<Self, String> {
        let mut steps = inside.split('|');
        let path = steps.next().unwrap_or_default();
        let filters = steps.map(|name| Filter::named(name).ok_or_else(|| format!("there is no filter {name:?}")));
        let filters = filters.collect::<Result<_, _>>()?;
        let mut fields: Vec<FieldDescriptor> = vec![];
        let mut at = Some(message.clone());
        for name in path.split('.') {
            let inner = at.ok_or_else(|| format!("{path:?} goes into what is no message"))?;
            let field =
                inner.get_field_by_name(name).ok_or_else(|| format!("{} has no field {name:?}", inner.full_name()))?;
            if field.is_map() || (field.is_list() && !fields.is_empty()) {
                return Err(format!("{path:?} goes over a list that is not the event's own"));
            }
            at = match field.kind() {
                Kind::Message(inner) => Some(inner),
                _ => None,
            };
            fields.push(field);
        }
        let last = fields.last().map(FieldDescriptor::kind);
        if matches!(last, None | Some(Kind::Message(_) | Kind::Bytes)) {
            return Err(format!("{path:?} is no text, number or word"));
        }
        let first = fields.remove(0);
        Ok(Self { first, rest: fields, filters })
    }

    fn text(&self, message: &DynamicMessage, element: Option<&Value>) -> Option<String> {
        let own = message.get_field(&self.first);
        let mut value = if self.first.is_list() { element?.clone() } else { own.into_owned() };
        let mut kind = self.first.kind();
        for field in &self.rest {
            value = value.as_message()?.get_field(field).into_owned();
            kind = field.kind();
        }
        let text = printed(&value, &kind)?;
        let text = self.filters.iter().try_fold(text, |text, filter| filter.apply(&text))?;
        (!text.is_empty()).then_some(text)
    }
}

/// A single value as it stands in a name. What is unset is no text.
fn printed(value: &Value, kind: &Kind) -> Option<String> {
    Some(match (value, kind) {
        (Value::String(text), _) => text.clone(),
        (Value::U32(number), _) => number.to_string(),
        (Value::U64(number), _) => number.to_string(),
        (Value::I32(number), _) => number.to_string(),
        (Value::I64(number), _) => number.to_string(),
        (Value::EnumNumber(number), Kind::Enum(declared)) => word(declared, *number)?,
        _ => return None,
    })
}

/// `RUN_STATE_FAILED` of `RunState` as `failed`. Zero is unspecified and no word.
fn word(declared: &EnumDescriptor, number: i32) -> Option<String> {
    let zero = declared.get_value(0)?;
    let prefix = zero.name().strip_suffix("UNSPECIFIED")?.to_owned();
    let value = declared.get_value(number).filter(|_| number != 0)?;
    Some(value.name().strip_prefix(&prefix).unwrap_or(value.name()).to_ascii_lowercase())
}

/// The elements of a list.
pub fn elements(message: &DynamicMessage, list: &FieldDescriptor) -> Vec<Value> {
    debug_assert_eq!(&message.descriptor(), list.parent_message());
    message.get_field(list).as_list().map(<[Value]>::to_vec).unwrap_or_default()
}
