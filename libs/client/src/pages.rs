use cairn_contract::Method;
use prost_reflect::{Kind, MessageDescriptor};
use serde_json::{Value, json};

use crate::{Client, Fault, Selection};

/// A list, page by page.
pub struct Pages {
    client: Client,
    method: &'static Method,
    request: Value,
    selection: Selection,
    items: Items,
    seen: usize,
    is_last: bool,
}

/// Which field of the answer holds the items, and what they are.
struct Items {
    field: String,
    message: MessageDescriptor,
}

impl Pages {
    pub(crate) fn new(
        client: Client,
        method: &'static Method,
        mut request: Value,
        selection: &Selection,
    ) -> Result<Self, Fault> {
        let input = method.input();
        selection.fill(&mut request, |field| Some(input.get_field_by_name(field)?.is_list()))?;
        let items =
            items(&method.output()).ok_or_else(|| Fault::Invalid(format!("{} does not list anything", method.path)))?;
        Ok(Self { client, method, request, selection: selection.clone(), items, seen: 0, is_last: false })
    }

    /// The next page; `None` when there are no more, or as many as wanted have come.
    pub async fn next(&mut self) -> Result<Option<Vec<Value>>, Fault> {
        let size = self.selection.page_size(self.seen);
        if self.is_last || size == 0 {
            return Ok(None);
        }
        self.request["page_size"] = json!(size);
        let mut answer = self.client.call_json(&self.method.path, self.request.clone()).await?;
        let mut page = answer[&self.items.field].as_array_mut().map(std::mem::take).unwrap_or_default();
        page.truncate(size);
        self.seen += page.len();
        match answer["next_page_token"].as_str() {
            Some(token) if !token.is_empty() => self.request["page_token"] = json!(token),
            _ => self.is_last = true,
        }
        Ok(Some(page))
    }

    /// What an item is.
    pub(crate) fn message(&self) -> MessageDescriptor {
        self.items.message.clone()
    }
}

/// A list's answer has one repeated message.
fn items(answer: &MessageDescriptor) -> Option<Items> {
    answer.fields().find_map(|field| match field.kind() {
        Kind::Message(message) if field.is_list() => Some(Items { field: field.name().to_owned(), message }),
        _ => None,
    })
}
