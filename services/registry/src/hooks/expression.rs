//! Conditions of hooks, in CEL.
//!
//! CEL always ends, but not always soon, and what reads and runs it goes as deep as it is nested. So an expression is
//! bounded when it is made (length, loops within loops), and read and run on a thread of its own, with room for the
//! deepest there can be and with nobody waiting longer than was said.

use std::sync::Arc;
use std::time::Duration;

use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr};
use cel::{Context, ParseErrors, Program, Value as Cel};
use serde_json::Value;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use crate::model::hook::Rejection;

/// Longest expression, in bytes.
const BYTES_MAX: usize = 2000;
/// Most loops within each other: with the most that a model may have of anything, that is a million steps.
const LOOPS_MAX: usize = 2;
/// Address space for the stack of a thread that reads or runs an expression. The deepest that fits into
/// [`BYTES_MAX`] takes half of it; what is not used costs nothing.
const STACK_BYTES: usize = 512 << 20;
/// Expressions that run at the same time. One that does not end in time keeps its place until it does.
const RUNNING_MAX: usize = 16;

/// What an expression may speak of.
const VARIABLES: [&str; 6] = ["trigger", "caller", "project", "model", "version", "change"];

/// Runs expressions.
#[derive(Clone)]
pub(super) struct Expressions {
    places: Arc<Semaphore>,
    patience: Duration,
}

impl Expressions {
    pub fn new(patience: Duration) -> Self {
        Self { places: Arc::new(Semaphore::new(RUNNING_MAX)), patience }
    }

    /// Whether a condition holds, or why that cannot be told.
    pub async fn holds(&self, expression: &str, document: Value) -> Result<bool, String> {
        let places = Arc::clone(&self.places);
        let expression = expression.to_owned();
        let answered = async {
            let place = places.acquire_owned().await.map_err(|fault| fault.to_string())?;
            let run = move || {
                let held = run(&expression, document);
                drop(place);
                held
            };
            apart(run).await?
        };
        timeout(self.patience, answered)
            .await
            .unwrap_or_else(|_| Err(format!("it took longer than {:?}", self.patience)))
    }
}

/// Refuses what is no expression that a hook may have, and says where.
pub(crate) async fn check(expression: &str) -> Result<(), Rejection> {
    if expression.len() > BYTES_MAX {
        return Err(at(1, 1, format!("it has more than {BYTES_MAX} bytes")));
    }
    let expression = expression.to_owned();
    let checked = apart(move || judge(&expression)).await;
    checked.unwrap_or_else(|problem| Err(at(1, 1, problem)))
}

/// Does something on a thread with room for it.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    let (done, told) = oneshot::channel();
    let thread = std::thread::Builder::new().name("hook-expression".to_owned()).stack_size(STACK_BYTES);
    let started = thread.spawn(move || drop(done.send(work())));
    started.map_err(|fault| format!("no thread to run it on: {fault}"))?;
    told.await.map_err(|_| "it could not be run".to_owned())
}

fn at(line: usize, column: usize, problem: impl Into<String>) -> Rejection {
    Rejection::Expression { line, column, problem: problem.into() }
}

fn judge(expression: &str) -> Result<(), Rejection> {
    let program = Program::compile(expression).map_err(|errors| first(&errors))?;
    let place = |node: &IdedExpr| {
        let start = program.source_info().offset_for(node.id).map_or(0, |(start, _)| start as usize);
        let before: String = expression.chars().take(start).collect();
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    };
    let mut walk = Walk { bound: vec![], loops: 0, problem: None };
    walk.through(program.expression());
    match walk.problem {
        None => Ok(()),
        Some((node, problem)) => {
            let (line, column) = place(node);
            Err(at(line, column, problem))
        }
    }
}

fn first(errors: &ParseErrors) -> Rejection {
    let Some(error) = errors.errors.first() else { return at(1, 1, "it is not CEL") };
    let number = |number: isize| usize::try_from(number).unwrap_or_default().max(1);
    at(number(error.pos.0), number(error.pos.1), error.msg.clone())
}

/// Looks at every part of an expression for what hooks may not have.
struct Walk<'a> {
    /// Variables of the loops around.
    bound: Vec<&'a str>,
    loops: usize,
    problem: Option<(&'a IdedExpr, String)>,
}

impl<'a> Walk<'a> {
    fn through(&mut self, node: &'a IdedExpr) {
        if self.problem.is_some() {
            return;
        }
        match &node.expr {
            Expr::Unspecified | Expr::Literal(_) => {}
            Expr::Ident(name) => {
                if !name.starts_with('@') && !VARIABLES.contains(&name.as_str()) && !self.bound.contains(&name.as_str())
                {
                    self.refuse(node, format!("there is no {name:?}, only {}", VARIABLES.join(", ")));
                }
            }
            Expr::Call(call) => self.call(node, call),
            Expr::Comprehension(each) => self.each(node, each),
            Expr::List(list) => list.elements.iter().for_each(|element| self.through(element)),
            Expr::Select(select) => self.through(&select.operand),
            Expr::Map(map) => map.entries.iter().for_each(|entry| self.entry(&entry.expr)),
            Expr::Struct(structure) => structure.entries.iter().for_each(|entry| self.entry(&entry.expr)),
        }
    }

    fn entry(&mut self, entry: &'a EntryExpr) {
        match entry {
            EntryExpr::StructField(field) => self.through(&field.value),
            EntryExpr::MapEntry(entry) => {
                self.through(&entry.key);
                self.through(&entry.value);
            }
        }
    }

    fn call(&mut self, node: &'a IdedExpr, call: &'a CallExpr) {
        // A pattern is made anew each time, which may cost a thousand times what it finds.
        if call.func_name == "matches" && self.loops > 0 {
            self.refuse(node, "matches() cannot stand in a loop".to_owned());
        }
        call.target.iter().for_each(|target| self.through(target));
        call.args.iter().for_each(|argument| self.through(argument));
    }

    fn each(&mut self, node: &'a IdedExpr, each: &'a ComprehensionExpr) {
        self.through(&each.iter_range);
        self.loops += 1;
        if self.loops > LOOPS_MAX {
            self.refuse(node, format!("no more than {LOOPS_MAX} loops may stand within each other"));
        }
        let before = self.bound.len();
        self.bound.extend([each.iter_var.as_str(), each.accu_var.as_str()]);
        self.bound.extend(each.iter_var2.as_deref());
        for part in [&each.accu_init, &each.loop_cond, &each.loop_step, &each.result] {
            self.through(part);
        }
        self.bound.truncate(before);
        self.loops -= 1;
    }

    fn refuse(&mut self, node: &'a IdedExpr, problem: String) {
        self.problem.get_or_insert((node, problem));
    }
}

fn run(expression: &str, document: Value) -> Result<bool, String> {
    let program = Program::compile(expression).map_err(|errors| first(&errors).to_string())?;
    let mut context = Context::default();
    let Value::Object(variables) = document else { return Err("there is nothing to hold it against".to_owned()) };
    for (name, value) in variables {
        context.add_variable_from_value(name, cel(value));
    }
    match program.execute(&context) {
        Ok(Cel::Bool(held)) => Ok(held),
        Ok(other) => Err(format!("it gives a {}, not true or false", other.type_of())),
        Err(fault) => Err(shortened(&fault.to_string())),
    }
}

/// A fault shows the values it met, which may be anything and long.
fn shortened(text: &str) -> String {
    text.chars().take(300).collect()
}

fn cel(value: Value) -> Cel {
    match value {
        Value::Null => Cel::Null,
        Value::Bool(held) => Cel::Bool(held),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => Cel::Int(whole),
            None => Cel::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => Cel::String(Arc::new(text)),
        Value::Array(values) => Cel::List(Arc::new(values.into_iter().map(cel).collect())),
        Value::Object(entries) => {
            let entries = entries.into_iter().map(|(key, value)| (key, cel(value)));
            Cel::from(entries.collect::<std::collections::HashMap<String, Cel>>())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document() -> Value {
        json!({"trigger": "VERSION_CREATE", "caller": "users/ada", "project": "projects/p", "model": {"tags": {}},
               "version": {"number": 3, "metrics": {"accuracy": 0.75}, "tags": {"a": "1", "b": "2"}}, "change": {}})
    }

    async fn holds(expression: &str) -> Result<bool, String> {
        Expressions::new(Duration::from_secs(60)).holds(expression, document()).await
    }

    async fn place(expression: &str) -> (usize, usize, String) {
        match check(expression).await {
            Err(Rejection::Expression { line, column, problem }) => (line, column, problem),
            other => panic!("{expression}: {other:?}"),
        }
    }

    #[tokio::test]
    async fn a_condition_holds_or_does_not_and_what_cannot_be_told_says_why() {
        assert_eq!(holds("version.metrics.accuracy >= 0.7").await, Ok(true));
        assert_eq!(holds("version.metrics.accuracy >= 0.8").await, Ok(false));
        assert_eq!(holds("version.number == 3 && version.metrics.accuracy < 1").await, Ok(true));
        assert_eq!(holds("has(version.metrics.auc)").await, Ok(false));
        assert_eq!(holds("version.tags.all(tag, version.tags[tag] != '')").await, Ok(true));
        assert_eq!(holds("caller.matches('^users/')").await, Ok(true));
        assert_eq!(holds("version.metrics.auc > 0.5").await, Err("No such key: auc".into()));
        assert_eq!(holds("version.number").await, Err("it gives a int, not true or false".into()));
    }

    #[tokio::test]
    async fn what_is_no_expression_of_a_hook_is_refused_with_its_place() {
        assert!(check("trigger == 'STAGE_MOVE' || model.tags.exists(t, t == 'x')").await.is_ok());
        assert_eq!(place("version.metrics.accuracy >=").await.0, 1);
        assert_eq!(
            place("true &&\n  verson.number > 1").await,
            (2, 3, "there is no \"verson\", only trigger, caller, project, model, version, change".into())
        );
        assert_eq!(place("model.tags.all(t, t.matches('a'))").await.2, "matches() cannot stand in a loop");
        let deep = "model.tags.all(a, model.tags.all(b, model.tags.all(c, a == b)))";
        assert_eq!(place(deep).await.2, "no more than 2 loops may stand within each other");
        assert_eq!(place(&"a".repeat(2001)).await.2, "it has more than 2000 bytes");
    }

    #[tokio::test]
    async fn however_deep_an_expression_is_it_harms_nobody() {
        let deep = [
            format!("{}1{}", "(".repeat(999), ")".repeat(999)),
            format!("{}1{}", "[".repeat(999), "]".repeat(999)),
            format!("{}true", "!".repeat(1996)),
            format!("{}1", "- ".repeat(999)),
            format!("1{}", "+1".repeat(999)),
            format!("version{}", ".a".repeat(990)),
            format!("version{}", "[0]".repeat(660)),
            format!("true{}", "?true:true".repeat(199)),
            format!("{}1", "{1:".repeat(660)),
            format!("true{}", "&&true".repeat(330)),
        ];
        for expression in deep {
            let _ = check(&expression).await;
            let _ = holds(&expression).await;
        }
    }

    #[tokio::test]
    async fn what_takes_too_long_is_given_up_and_does_not_hold() {
        let keys: serde_json::Map<String, Value> = (0..2000).map(|key| (format!("k{key}"), json!("v"))).collect();
        let document = json!({"model": {"tags": keys}});
        let impatient = Expressions::new(Duration::from_millis(1));
        let slow = "model.tags.all(a, model.tags.all(b, a != '' && b != ''))";
        assert_eq!(impatient.holds(slow, document).await, Err("it took longer than 1ms".into()));
    }
}
