use cairn_contract::{Segment, Template};

/// A template as OpenAPI writes it, each `*` a parameter of its own.
pub struct Path {
    pub text: String,
    pub parameters: Vec<Parameter>,
}

/// One parameter of a path.
pub struct Parameter {
    pub name: String,
    /// The request field that it is part of.
    pub field_path: String,
    /// Whether it may contain slashes.
    pub is_rest: bool,
    /// Whether it is the whole of its field, and not a part of a resource name.
    pub is_whole: bool,
}

/// `/v1/{name=projects/*/runs/*}:stop` becomes `/v1/projects/{project}/runs/{run}:stop`.
pub fn expand(template: &Template) -> Path {
    let mut path = Path { text: String::new(), parameters: vec![] };
    let mut collection = "";
    for (at, segment) in template.segments().iter().enumerate() {
        path.text.push('/');
        if let Segment::Literal(text) = segment {
            path.text.push_str(text);
            collection = text;
            continue;
        }
        let variable = template.variables().iter().find(|variable| variable.segments.contains(&at));
        let is_whole = variable.is_some_and(|variable| variable.segments.len() == 1);
        let field_path = variable.map_or("", |variable| variable.field_path.as_str());
        let name = if is_whole { field_path.replace('.', "_") } else { singular(collection) };
        let taken =
            path.parameters.iter().filter(|parameter| parameter.name.trim_end_matches(char::is_numeric) == name);
        let name = match taken.count() {
            0 => name,
            count => format!("{name}{}", count + 1),
        };
        path.text.push_str(&format!("{{{name}}}"));
        let is_rest = *segment == Segment::Rest;
        path.parameters.push(Parameter { name, field_path: field_path.to_owned(), is_rest, is_whole });
    }
    if let Some(verb) = template.verb() {
        path.text.push(':');
        path.text.push_str(verb);
    }
    path
}

/// The id that stands behind a collection: `serviceAccounts` has `service_account`s.
fn singular(collection: &str) -> String {
    let stem = match collection.strip_suffix("ies") {
        Some(stem) => format!("{stem}y"),
        None => collection.strip_suffix('s').unwrap_or(collection).to_owned(),
    };
    let mut snake = String::new();
    for letter in stem.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    if snake.is_empty() { "id".into() } else { snake }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_star_becomes_a_parameter() {
        for (template, expected) in [
            ("/api/v1/{name=projects/*/runs/*}:stop", "/api/v1/projects/{project}/runs/{run}:stop"),
            ("/api/v1/{a.name=serviceAccounts/*}/{key}", "/api/v1/serviceAccounts/{service_account}/{key}"),
            ("/files/{path=**}", "/files/{path}"),
            ("/api/v1/{resource=projects/**}:grant", "/api/v1/projects/{project}:grant"),
            ("/x/{name=policies/*/policies/*}", "/x/policies/{policy}/policies/{policy2}"),
        ] {
            assert_eq!(expand(&Template::parse(template).unwrap()).text, expected);
        }
    }
}
