//! The evaluator: from an expression to the targets that it means.

use std::rc::Rc;

use rbz_engine::diagnostic::Diagnostic;
use rbz_starlark::nearest::nearest;
use regex_automata::meta::Regex;

use crate::functions::Function;
use crate::graph::NodeId;
use crate::node_set::NodeSet;
use crate::query_error::{QueryError, Span};
use crate::syntax::{Argument, Expr, ExprKind, Operator, Word};
use crate::world::World;

/// What an expression means.
#[derive(Clone, Debug)]
pub struct Meaning {
    /// The targets.
    pub targets: NodeSet,
    /// The same in their order, if the expression gives them one: `somepath`.
    pub path: Option<Vec<NodeId>>,
}

/// Evaluates one expression.
struct Evaluator<'w, 'a> {
    world: &'w mut World<'a>,
    /// The text that the expression was read from.
    text: &'w str,
    /// The variables, innermost last.
    variables: Vec<(String, Rc<NodeSet>)>,
    path: Option<Vec<NodeId>>,
}

/// What `expr`, which was read from `text`, means.
pub fn evaluate(expr: &Expr, text: &str, world: &mut World) -> Result<Meaning, QueryError> {
    let mut evaluator = Evaluator { world, text, variables: Vec::new(), path: None };
    let targets = evaluator.eval(expr)?;
    let path = match &expr.kind {
        ExprKind::Call(Function::SomePath, _) => evaluator.path,
        _ => None,
    };
    Ok(Meaning { targets, path })
}

/// What was wrong with the part of the expression at `span`.
fn at(span: Span) -> impl Fn(Diagnostic) -> QueryError {
    move |error| QueryError::of(span, error)
}

impl Evaluator<'_, '_> {
    fn eval(&mut self, expr: &Expr) -> Result<NodeSet, QueryError> {
        match &expr.kind {
            ExprKind::Pattern(pattern) => self.pattern(pattern, expr.span),
            ExprKind::Set(words) => {
                let mut union = NodeSet::new();
                for word in words {
                    union.unite(&self.pattern(&word.text, word.span)?);
                }
                Ok(union)
            }
            ExprKind::Variable(name) => self.variable(name, expr.span),
            ExprKind::Let { name, value, body } => {
                let value = self.eval(value)?;
                self.variables.push((name.clone(), Rc::new(value)));
                let result = self.eval(body);
                self.variables.pop();
                result
            }
            ExprKind::Operation { first, rest } => {
                let mut result = self.eval(first)?;
                for (operator, operand) in rest {
                    let operand = self.eval(operand)?;
                    match operator {
                        Operator::Union => result.unite(&operand),
                        Operator::Except => result.subtract(&operand),
                        Operator::Intersect => result.intersect(&operand),
                    }
                }
                Ok(result)
            }
            ExprKind::Call(function, arguments) => self.call(*function, arguments, expr.span),
        }
    }

    fn variable(&self, name: &str, span: Span) -> Result<NodeSet, QueryError> {
        let found = self.variables.iter().rev().find(|(known, _)| known == name);
        match found {
            Some((_, value)) => Ok((**value).clone()),
            None => {
                let names = self.variables.iter().map(|(known, _)| known.as_str());
                let near = nearest(name, names).map(|near| format!("${near}"));
                Err(QueryError::new(span, format!("there is no variable `${name}` here"))
                    .hint_nearest(near.as_deref())
                    .hint(format!("`let {name} = … in …` makes one")))
            }
        }
    }

    fn pattern(&mut self, pattern: &str, span: Span) -> Result<NodeSet, QueryError> {
        match self.world.targets(pattern) {
            Ok(targets) => Ok(targets),
            Err(error) => {
                let mut error = QueryError::of(span, error);
                // `cl+ssl` is two words, unless it is quoted.
                let rest = &self.text[span.end..];
                let name = rest.strip_prefix('+').unwrap_or_default();
                if name.starts_with(|c: char| c.is_alphanumeric()) {
                    let end = name.find(|c: char| !c.is_alphanumeric() && !"-_./:+".contains(c));
                    let name = &name[..end.unwrap_or(name.len())];
                    error = error.hint(format!(
                        "if that is one name, write it in quotes: `\"{pattern}+{name}\"`"
                    ));
                }
                match self.world.options.keep_going {
                    true => {
                        let shown = error.diagnostic(self.text, "expression");
                        self.world.fail(shown).map_err(at(span))?;
                        Ok(NodeSet::new())
                    }
                    false => Err(error),
                }
            }
        }
    }

    /// The argument of this number, a set of targets.
    fn targets(&mut self, arguments: &[Argument], number: usize) -> Result<NodeSet, QueryError> {
        match arguments.get(number) {
            Some(Argument::Expr(expr)) => self.eval(expr),
            // The parser has seen to it that there is an expression.
            _ => Ok(NodeSet::new()),
        }
    }

    fn call(
        &mut self,
        function: Function,
        arguments: &[Argument],
        span: Span,
    ) -> Result<NodeSet, QueryError> {
        let at = at(span);
        let number = |index: usize| match arguments.get(index) {
            Some(Argument::Number(number)) => Some(*number),
            _ => None,
        };
        match function {
            Function::Deps => {
                let from = self.targets(arguments, 0)?;
                self.world.reachable(&from, number(1)).map_err(at)
            }
            Function::Rdeps => {
                let universe = self.targets(arguments, 0)?;
                let universe = self.world.reachable(&universe, None).map_err(&at)?;
                let of = self.targets(arguments, 1)?;
                self.world.dependents(&universe, &of, number(2)).map_err(at)
            }
            Function::AllRdeps => {
                let of = self.targets(arguments, 0)?;
                let universe = self.world.universe().map_err(&at)?;
                self.world.dependents(&universe, &of, number(1)).map_err(at)
            }
            Function::AllPaths => {
                let from = self.targets(arguments, 0)?;
                let to = self.targets(arguments, 1)?;
                let reached = self.world.reachable(&from, None).map_err(&at)?;
                self.world.dependents(&reached, &to, None).map_err(at)
            }
            Function::SomePath => {
                let from = self.targets(arguments, 0)?;
                let to = self.targets(arguments, 1)?;
                let path = self.world.shortest_path(&from, &to).map_err(at)?;
                let path: Vec<NodeId> = path.into_iter().map(|step| step.node).collect();
                let found = path.iter().copied().collect();
                self.path = Some(path);
                Ok(found)
            }
            Function::SamePkgDirectRdeps => {
                let of = self.targets(arguments, 0)?;
                self.world.same_package_dependents(&of).map_err(at)
            }
            Function::Some => {
                let of = self.targets(arguments, 0)?;
                if of.is_empty() {
                    return Err(QueryError::new(
                        span,
                        "`some` chooses of no targets: its argument is empty",
                    ));
                }
                let count = number(1).unwrap_or(1);
                Ok(self.world.first(&of, usize::try_from(count).unwrap_or(usize::MAX)))
            }
            Function::Kind | Function::Filter => {
                let pattern = regex(arguments, 0)?;
                let of = self.targets(arguments, 1)?;
                let graph = &self.world.graph;
                let text = |node: &NodeId| match function {
                    Function::Kind => graph.node(*node).kind_name(),
                    _ => graph.node(*node).label.to_string(),
                };
                Ok(of.iter().filter(|node| pattern.is_match(text(node).as_bytes())).collect())
            }
            Function::Attr => {
                let name = word(arguments, 0)?;
                let pattern = regex(arguments, 1)?;
                let of = self.targets(arguments, 2)?;
                self.world.with_attribute(&of, &name.text, &pattern).map_err(at)
            }
            Function::Labels => {
                let name = word(arguments, 0)?;
                let of = self.targets(arguments, 1)?;
                self.world.labels_in(&of, &name.text).map_err(at)
            }
            Function::Executables => {
                let of = self.targets(arguments, 0)?;
                self.world.executables(&of).map_err(at)
            }
            Function::Tests => {
                let of = self.targets(arguments, 0)?;
                self.world.tests(&of).map_err(at)
            }
            Function::Visible => {
                let from = self.targets(arguments, 0)?;
                let of = self.targets(arguments, 1)?;
                self.world.visible(&from, &of).map_err(at)
            }
            Function::Siblings => {
                let of = self.targets(arguments, 0)?;
                self.world.siblings(&of).map_err(at)
            }
            Function::BuildFiles | Function::LoadFiles => {
                let of = self.targets(arguments, 0)?;
                self.world.files_of(&of, function == Function::BuildFiles).map_err(at)
            }
            Function::RbuildFiles => {
                let mut words = Vec::new();
                for number in 0..arguments.len() {
                    words.push(word(arguments, number)?.text.clone());
                }
                self.world.loaders_of(&words).map_err(at)
            }
            Function::Config => {
                let of = self.targets(arguments, 0)?;
                let name = word(arguments, 1)?;
                self.world.in_configuration(&of, &name.text).map_err(self::at(name.span))
            }
            // Actions are chosen after the targets that make them: see `crate::action_filter`.
            Function::Inputs | Function::Outputs | Function::Mnemonic => self.targets(arguments, 1),
        }
    }
}

/// The argument of this number, a word.
fn word(arguments: &[Argument], number: usize) -> Result<&Word, QueryError> {
    match arguments.get(number) {
        Some(Argument::Word(word)) => Ok(word),
        // The parser has seen to it that there is one.
        _ => Err(QueryError::of(
            Span { start: 0, end: 0 },
            Diagnostic::internal("an argument is no word"),
        )),
    }
}

/// The argument of this number, a regular expression, which need not match the whole text.
fn regex(arguments: &[Argument], number: usize) -> Result<Regex, QueryError> {
    let word = word(arguments, number)?;
    Regex::new(&word.text).map_err(|error| {
        let reason = error.syntax_error().map_or_else(|| error.to_string(), |e| e.to_string());
        let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ");
        QueryError::new(word.span, format!("`{}` is no regular expression: {reason}", word.text))
    })
}
