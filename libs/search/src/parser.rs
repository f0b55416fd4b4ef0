use crate::lexer::{Kind, Token, lex};
use crate::{COMPARISONS_MAX, SearchFault};

/// One comparison, before anybody knows of what.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// Where it begins, in characters.
    pub at: usize,
    pub left: Identifier,
    pub operator: Operator,
    /// Where the right side begins.
    pub value_at: usize,
    pub value: Value,
}

/// `entity.key`, or a bare key.
#[derive(Clone, Debug, PartialEq)]
pub struct Identifier {
    pub entity: Option<String>,
    pub key: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    Eq,
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
    Like,
    ILike,
    In,
    NotIn,
    IsNull,
    IsNotNull,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Number(f64),
    Text(String),
    List(Vec<String>),
    Nothing,
}

/// Reads comparisons joined by AND. An empty filter has none.
pub fn parse(text: &str) -> Result<Vec<Comparison>, SearchFault> {
    let tokens = lex(text)?;
    let mut parser = Parser::new(&tokens);
    let mut comparisons = vec![];
    if parser.peek().kind == Kind::End {
        return Ok(comparisons);
    }
    loop {
        comparisons.push(parser.comparison()?);
        let token = parser.take();
        match &token.kind {
            Kind::End => return Ok(comparisons),
            Kind::Word(word) if word.eq_ignore_ascii_case("and") => {}
            Kind::Word(word) if word.eq_ignore_ascii_case("or") => {
                return Err(SearchFault::filter(token.at, "comparisons can be joined by AND only, found OR"));
            }
            _ => return Err(SearchFault::filter(token.at, "expected AND or the end")),
        }
        if comparisons.len() == COMPARISONS_MAX {
            return Err(SearchFault::filter(token.at, format!("more than {COMPARISONS_MAX} comparisons")));
        }
    }
}

/// Reads one identifier from the start of a text, and gives what follows it: `metrics.loss` and `DESC`.
pub(crate) fn parse_order(text: &str) -> Result<(Identifier, bool), SearchFault> {
    let tokens = lex(text)?;
    let mut parser = Parser::new(&tokens);
    let identifier = parser.identifier()?;
    let token = parser.take();
    let is_descending = match &token.kind {
        Kind::End => return Ok((identifier, false)),
        Kind::Word(word) if word.eq_ignore_ascii_case("asc") => false,
        Kind::Word(word) if word.eq_ignore_ascii_case("desc") => true,
        _ => return Err(SearchFault::filter(token.at, "expected ASC or DESC")),
    };
    let token = parser.take();
    match token.kind {
        Kind::End => Ok((identifier, is_descending)),
        _ => Err(SearchFault::filter(token.at, "expected the end")),
    }
}

pub(crate) struct Parser<'a> {
    tokens: &'a [Token],
    next: usize,
}

impl<'a> Parser<'a> {
    /// Reads tokens as [`lex`] gives them.
    pub(crate) fn new(tokens: &'a [Token]) -> Self {
        Self { tokens, next: 0 }
    }

    pub(crate) fn peek(&self) -> &'a Token {
        &self.tokens[self.next.min(self.tokens.len() - 1)]
    }

    pub(crate) fn take(&mut self) -> &'a Token {
        let token = self.peek();
        self.next += 1;
        token
    }

    /// Takes a keyword if it is next.
    pub(crate) fn takes(&mut self, keyword: &str) -> bool {
        let is_next = matches!(&self.peek().kind, Kind::Word(word) if word.eq_ignore_ascii_case(keyword));
        self.next += usize::from(is_next);
        is_next
    }

    pub(crate) fn comparison(&mut self) -> Result<Comparison, SearchFault> {
        let at = self.peek().at;
        let left = self.identifier()?;
        let operator = self.operator()?;
        let value_at = self.peek().at;
        let value = match operator {
            Operator::IsNull | Operator::IsNotNull => Value::Nothing,
            Operator::In | Operator::NotIn => self.list()?,
            _ => self.value()?,
        };
        Ok(Comparison { at, left, operator, value_at, value })
    }

    fn identifier(&mut self) -> Result<Identifier, SearchFault> {
        let token = self.take();
        let word = match &token.kind {
            Kind::Backticked(key) | Kind::DoubleQuoted(key) => {
                return Ok(Identifier { entity: None, key: key.clone() });
            }
            Kind::Word(word) => word,
            _ => return Err(SearchFault::filter(token.at, "expected what to compare, such as metrics.loss")),
        };
        let Some((entity, key)) = word.split_once('.') else {
            return Ok(Identifier { entity: None, key: word.clone() });
        };
        let key = match (key, &self.peek().kind) {
            ("", Kind::Backticked(key) | Kind::DoubleQuoted(key)) => {
                self.next += 1;
                key.clone()
            }
            ("", _) => return Err(SearchFault::filter(self.peek().at, format!("expected a key after {entity}."))),
            (key, _) => key.to_owned(),
        };
        Ok(Identifier { entity: Some(entity.to_owned()), key })
    }

    fn operator(&mut self) -> Result<Operator, SearchFault> {
        let token = self.take();
        let Kind::Word(word) = &token.kind else {
            return match token.kind {
                Kind::Operator("=") => Ok(Operator::Eq),
                Kind::Operator("!=") => Ok(Operator::Ne),
                Kind::Operator(">") => Ok(Operator::Gt),
                Kind::Operator(">=") => Ok(Operator::Ge),
                Kind::Operator("<") => Ok(Operator::Lt),
                Kind::Operator("<=") => Ok(Operator::Le),
                _ => Err(SearchFault::filter(token.at, "expected a comparator such as = or LIKE")),
            };
        };
        match word.to_ascii_lowercase().as_str() {
            "like" => Ok(Operator::Like),
            "ilike" => Ok(Operator::ILike),
            "in" => Ok(Operator::In),
            "not" if self.takes("in") => Ok(Operator::NotIn),
            "is" if self.takes("null") => Ok(Operator::IsNull),
            "is" if self.takes("not") && self.takes("null") => Ok(Operator::IsNotNull),
            _ => Err(SearchFault::filter(token.at, "expected a comparator such as = or LIKE")),
        }
    }

    fn value(&mut self) -> Result<Value, SearchFault> {
        let token = self.take();
        match &token.kind {
            Kind::Number(number) => Ok(Value::Number(*number)),
            Kind::SingleQuoted(text) | Kind::DoubleQuoted(text) => Ok(Value::Text(text.clone())),
            Kind::Word(word) => Err(SearchFault::filter(token.at, format!("{word} must stand in quotes"))),
            _ => Err(SearchFault::filter(token.at, "expected a number or a text in quotes")),
        }
    }

    fn list(&mut self) -> Result<Value, SearchFault> {
        let open = self.take();
        if open.kind != Kind::Open {
            return Err(SearchFault::filter(open.at, "expected a list such as ('a', 'b')"));
        }
        let mut texts = vec![];
        loop {
            let at = self.peek().at;
            match self.value()? {
                Value::Text(text) => texts.push(text),
                _ => return Err(SearchFault::filter(at, "expected a text in quotes")),
            }
            let token = self.take();
            match token.kind {
                Kind::Comma => {}
                Kind::Close => return Ok(Value::List(texts)),
                _ => return Err(SearchFault::filter(token.at, "expected ',' or ')'")),
            }
        }
    }
}
