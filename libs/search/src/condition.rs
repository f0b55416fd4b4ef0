use crate::SearchFault;
use crate::parser::{Comparison, Operator, Value};

/// How numbers are compared. NaN differs from every number, and matches nothing else: as MLflow has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    Eq,
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
}

/// What is asked of a text. One that is not there matches nothing but [`Text::IsNull`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Text {
    Eq(String),
    Ne(String),
    /// `%` stands for any characters, `_` for any one.
    Like(String),
    /// The same, whatever the case of ASCII letters.
    ILike(String),
    In(Vec<String>),
    NotIn(Vec<String>),
    IsNull,
    IsNotNull,
}

impl Compare {
    /// As SQL writes it.
    pub fn sql(self) -> &'static str {
        match self {
            Self::Eq => "=",
            Self::Ne => "<>",
            Self::Gt => ">",
            Self::Ge => ">=",
            Self::Lt => "<",
            Self::Le => "<=",
        }
    }
}

impl Comparison {
    /// The comparison of a number.
    pub fn number(&self) -> Result<(Compare, f64), SearchFault> {
        let compare = match self.operator {
            Operator::Eq => Compare::Eq,
            Operator::Ne => Compare::Ne,
            Operator::Gt => Compare::Gt,
            Operator::Ge => Compare::Ge,
            Operator::Lt => Compare::Lt,
            Operator::Le => Compare::Le,
            _ => return Err(self.fault("a number is compared with =, !=, >, >=, < or <=")),
        };
        match self.value {
            Value::Number(number) => Ok((compare, number)),
            _ => Err(SearchFault::filter(self.value_at, "expected a number")),
        }
    }

    /// The comparison of a text that is always there.
    pub fn text(&self, takes_lists: bool) -> Result<Text, SearchFault> {
        if let (Value::List(texts), true) = (&self.value, takes_lists) {
            return Ok(match self.operator {
                Operator::In => Text::In(texts.clone()),
                _ => Text::NotIn(texts.clone()),
            });
        }
        let wrap = match self.operator {
            Operator::Eq => Text::Eq,
            Operator::Ne => Text::Ne,
            Operator::Like => Text::Like,
            Operator::ILike => Text::ILike,
            _ if takes_lists => return Err(self.fault("this is compared with =, !=, LIKE, ILIKE, IN or NOT IN")),
            _ => return Err(self.fault("this is compared with =, !=, LIKE or ILIKE")),
        };
        match &self.value {
            Value::Text(text) => Ok(wrap(text.clone())),
            _ => Err(SearchFault::filter(self.value_at, "expected a text in quotes")),
        }
    }

    /// The comparison of a param or tag, which may not be there.
    pub fn pair(&self) -> Result<Text, SearchFault> {
        match self.operator {
            Operator::IsNull => Ok(Text::IsNull),
            Operator::IsNotNull => Ok(Text::IsNotNull),
            _ => self.text(false),
        }
    }

    pub fn fault(&self, message: impl Into<String>) -> SearchFault {
        SearchFault::filter(self.at, message)
    }
}
