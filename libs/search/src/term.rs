//! Filters with OR, NOT and parentheses: more than MLflow's clients write, for those who ask through our own doors.

use crate::lexer::{Kind, lex};
use crate::parser::{Comparison, Parser};
use crate::{COMPARISONS_MAX, NESTING_MAX, SearchFault, Sql};

/// A part of a filter. A filter is a list of these, all of which must hold.
#[derive(Clone, Debug, PartialEq)]
pub enum Term<C> {
    Is(C),
    /// These do not all hold.
    Not(Vec<Term<C>>),
    /// Of one of these lists all hold.
    Any(Vec<Vec<Term<C>>>),
}

/// Reads comparisons joined by AND, OR, NOT and parentheses. AND binds closer than OR. An empty filter has none.
pub fn parse_terms(text: &str) -> Result<Vec<Term<Comparison>>, SearchFault> {
    let tokens = lex(text)?;
    let mut reader = Reader { parser: Parser::new(&tokens), comparisons: 0, nesting: 0 };
    if reader.parser.peek().kind == Kind::End {
        return Ok(vec![]);
    }
    let terms = reader.any()?;
    match reader.parser.take() {
        end if end.kind == Kind::End => Ok(terms),
        token => Err(SearchFault::filter(token.at, "expected AND, OR or the end")),
    }
}

struct Reader<'a> {
    parser: Parser<'a>,
    comparisons: usize,
    nesting: usize,
}

impl Reader<'_> {
    fn any(&mut self) -> Result<Vec<Term<Comparison>>, SearchFault> {
        let first = self.all()?;
        let mut branches = vec![first];
        while self.parser.takes("or") {
            branches.push(self.all()?);
        }
        match branches.len() {
            1 => Ok(branches.swap_remove(0)),
            _ => Ok(vec![Term::Any(branches)]),
        }
    }

    fn all(&mut self) -> Result<Vec<Term<Comparison>>, SearchFault> {
        let mut terms = self.one()?;
        while self.parser.takes("and") {
            terms.extend(self.one()?);
        }
        Ok(terms)
    }

    fn one(&mut self) -> Result<Vec<Term<Comparison>>, SearchFault> {
        let at = self.parser.peek().at;
        if self.parser.takes("not") {
            return self.deeper(at, Self::one).map(|terms| vec![Term::Not(terms)]);
        }
        if self.parser.peek().kind == Kind::Open {
            self.parser.take();
            let terms = self.deeper(at, Self::any)?;
            let close = self.parser.take();
            return match close.kind {
                Kind::Close => Ok(terms),
                _ => Err(SearchFault::filter(close.at, "expected AND, OR or ')'")),
            };
        }
        self.comparisons += 1;
        if self.comparisons > COMPARISONS_MAX {
            return Err(SearchFault::filter(at, format!("more than {COMPARISONS_MAX} comparisons")));
        }
        self.parser.comparison().map(|comparison| vec![Term::Is(comparison)])
    }

    fn deeper<T>(
        &mut self,
        at: usize,
        read: impl FnOnce(&mut Self) -> Result<T, SearchFault>,
    ) -> Result<T, SearchFault> {
        self.nesting += 1;
        if self.nesting > NESTING_MAX {
            return Err(SearchFault::filter(at, format!("more than {NESTING_MAX} parentheses and NOTs in each other")));
        }
        let done = read(self);
        self.nesting -= 1;
        done
    }
}

impl<C> Term<C> {
    /// The same of other comparisons.
    pub fn map<D, E>(self, change: &mut impl FnMut(C) -> Result<D, E>) -> Result<Term<D>, E> {
        let mut all = |terms: Vec<Self>| terms.into_iter().map(|term| term.map(change)).collect::<Result<Vec<_>, E>>();
        Ok(match self {
            Self::Not(terms) => Term::Not(all(terms)?),
            Self::Any(branches) => Term::Any(branches.into_iter().map(all).collect::<Result<_, E>>()?),
            Self::Is(comparison) => Term::Is(change(comparison)?),
        })
    }
}

impl Sql {
    /// Adds what a term says. `is` adds a comparison.
    pub fn term<C>(&mut self, term: &Term<C>, is: &mut impl FnMut(&mut Self, &C)) {
        match term {
            Term::Is(comparison) => is(self, comparison),
            Term::Not(terms) => {
                // What is not there does not match, and so its opposite does: SQL alone would say of neither.
                self.push("NOT ifnull(");
                self.all(terms, is);
                self.push(", 0)");
            }
            Term::Any(branches) => {
                self.push("(");
                for (at, branch) in branches.iter().enumerate() {
                    self.push(if at == 0 { "" } else { " OR " });
                    self.all(branch, is);
                }
                self.push(")");
            }
        }
    }

    fn all<C>(&mut self, terms: &[Term<C>], is: &mut impl FnMut(&mut Self, &C)) {
        self.push("(");
        for (at, term) in terms.iter().enumerate() {
            self.push(if at == 0 { "" } else { " AND " });
            self.term(term, is);
        }
        self.push(")");
    }
}
