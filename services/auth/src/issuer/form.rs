use std::collections::BTreeMap;

use cairn_contract::google::api::HttpBody;

use super::fault::OauthFault;

/// Most fields of a form.
const FIELDS_MAX: usize = 64;

/// The fields of a form.
#[derive(Clone, Debug, Default)]
pub struct Form(BTreeMap<String, String>);

impl Form {
    /// Reads `application/x-www-form-urlencoded`. A field that is there twice is refused: which one counts is a guess
    /// that two programs make differently.
    pub fn read(body: Option<HttpBody>) -> Result<Self, OauthFault> {
        let body = body.unwrap_or_default();
        let essence = body.content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if !body.data.is_empty() && essence != "application/x-www-form-urlencoded" {
            return Err(OauthFault::invalid("the body must be application/x-www-form-urlencoded"));
        }
        let mut fields = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(&body.data) {
            if fields.insert(name.to_string(), value.into_owned()).is_some() || fields.len() > FIELDS_MAX {
                return Err(OauthFault::invalid(format!("{name:?} is there twice, or there are too many fields")));
            }
        }
        // RFC 6749, section 3.1: what is sent without a value is not sent.
        fields.retain(|_, value| !value.is_empty());
        Ok(Self(fields))
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub fn need(&self, name: &str) -> Result<&str, OauthFault> {
        self.get(name).ok_or_else(|| OauthFault::invalid(format!("{name} is missing")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(data: &'static str) -> Result<Form, OauthFault> {
        let content_type = "application/x-www-form-urlencoded; charset=utf-8".into();
        Form::read(Some(HttpBody { content_type, data: data.into(), extensions: vec![] }))
    }

    #[test]
    fn a_field_that_is_there_twice_is_refused_and_an_empty_one_is_not_there() {
        let form = read("a=1&b=x%20y+z&c=").unwrap();
        assert_eq!((form.get("a"), form.get("b"), form.get("c")), (Some("1"), Some("x y z"), None));
        assert!(form.need("c").is_err());
        assert_eq!(read("a=1&a=1").unwrap_err().error, "invalid_request");
        let json = HttpBody { content_type: "application/json".into(), data: "{}".into(), extensions: vec![] };
        assert!(Form::read(Some(json)).is_err());
        assert!(Form::read(None).is_ok());
    }
}
