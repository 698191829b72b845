//! Definitions: what must hold of the globals of a .bzl file before it is evaluated.
//!
//! Each is set once, and no function calls itself, directly or by way of others.

use std::collections::{HashMap, HashSet};

use rbz_engine::diagnostic::{Diagnostic, Frame};
use starlark::codemap::Span;
use starlark::syntax::AstModule;
use starlark::syntax::ast::{
    AssignTargetP, AstExpr, AstNoPayload, AstStmt, ClauseP, DefP, ExprP, ForClauseP, StmtP,
};

use crate::dialect;
use crate::starlark_error;

type Def = DefP<AstNoPayload>;

/// Says what is wrong with the definitions of a .bzl file, if anything.
pub fn check(ast: &AstModule) -> Result<(), Diagnostic> {
    let statements: Vec<&AstStmt> = match &ast.statement().node {
        StmtP::Statements(statements) => statements.iter().collect(),
        _ => vec![ast.statement()],
    };
    check_names(ast, &statements)?;
    let functions: Vec<&Def> = statements
        .iter()
        .filter_map(|statement| match &statement.node {
            StmtP::Def(def) => Some(def),
            _ => None,
        })
        .collect();
    check_recursion(ast, &functions)
}

fn at(ast: &AstModule, span: Span, message: String) -> Diagnostic {
    let span = ast.file_span(span);
    let source = starlark_error::source_line(&span);
    Diagnostic { source, ..Diagnostic::user(message) }.at(starlark_error::place(&span))
}

fn frame(ast: &AstModule, span: Span, what: String) -> Frame {
    let span = ast.file_span(span);
    let source = starlark_error::source_line(&span);
    Frame { place: Some(starlark_error::place(&span)), what, source }
}

fn check_names(ast: &AstModule, statements: &[&AstStmt]) -> Result<(), Diagnostic> {
    let mut known: HashMap<&str, Span> = HashMap::new();
    for statement in statements {
        let mut names: Vec<(&str, Span)> = Vec::new();
        bound_by(statement, &mut names);
        for (name, span) in names {
            if let Some(first) = known.insert(name, span) {
                let name = dialect::real_name(name);
                let message = format!("the global `{name}` of a .bzl file is set twice");
                let mut error = at(ast, span, message);
                error.trace.push(frame(ast, first, format!("the other `{name}` is here")));
                return Err(error.hint("give one of them another name"));
            }
        }
    }
    Ok(())
}

/// The names that a statement binds, without those within statements and functions inside it.
fn bound_by<'a>(statement: &'a AstStmt, to: &mut Vec<(&'a str, Span)>) {
    match &statement.node {
        StmtP::Assign(assign) => assign.lhs.visit_lvalue(|name| to.push((&name.ident, name.span))),
        StmtP::AssignModify(target, _, _) => {
            if let AssignTargetP::Identifier(name) = &target.node {
                to.push((&name.ident, name.span));
            }
        }
        StmtP::For(turn) => turn.var.visit_lvalue(|name| to.push((&name.ident, name.span))),
        StmtP::Def(def) => to.push((&def.name.ident, def.name.span)),
        StmtP::Load(load) => {
            to.extend(load.args.iter().map(|arg| (&*arg.local.ident, arg.local.span)));
        }
        _ => {}
    }
}

/// The calls in the body of a function, and the names that are its own.
#[derive(Default)]
struct Body<'a> {
    calls: Vec<(&'a str, Span)>,
    locals: HashSet<&'a str>,
    inner: Vec<&'a Def>,
}

impl<'a> Body<'a> {
    fn of(def: &'a Def) -> Self {
        let mut body = Body::default();
        for parameter in &def.params {
            if let (Some(name), _, _) = parameter.node.split() {
                body.locals.insert(&name.ident);
            }
        }
        body.statement(&def.body);
        body
    }

    fn statement(&mut self, statement: &'a AstStmt) {
        let mut names = Vec::new();
        bound_by(statement, &mut names);
        self.locals.extend(names.into_iter().map(|(name, _)| name));
        match &statement.node {
            // What a function inside does, it does when it is called.
            StmtP::Def(def) => return self.inner.push(def),
            StmtP::If(condition, _) | StmtP::IfElse(condition, _) => self.expression(condition),
            StmtP::For(turn) => self.expression(&turn.over),
            StmtP::Statements(_) => {}
            // The others have no statements inside.
            leaf => leaf.visit_expr(|expr| self.expression(expr)),
        }
        statement.node.visit_stmt(|inner| self.statement(inner));
    }

    fn expression(&mut self, expr: &'a AstExpr) {
        match &expr.node {
            ExprP::Lambda(_) => return,
            ExprP::Call(function, _) => {
                if let ExprP::Identifier(name) = &function.node {
                    self.calls.push((&name.ident, expr.span));
                }
            }
            ExprP::ListComprehension(_, first, clauses) => self.clauses(first, clauses),
            ExprP::DictComprehension(_, first, clauses) => self.clauses(first, clauses),
            _ => {}
        }
        expr.node.visit_expr(|inner| self.expression(inner));
    }

    fn clauses(
        &mut self,
        first: &'a ForClauseP<AstNoPayload>,
        clauses: &'a [ClauseP<AstNoPayload>],
    ) {
        let others = clauses.iter().filter_map(|clause| match clause {
            ClauseP::For(clause) => Some(clause),
            ClauseP::If(_) => None,
        });
        for clause in std::iter::once(first).chain(others) {
            clause.var.visit_lvalue(|name| {
                self.locals.insert(&name.ident);
            });
        }
    }
}

fn check_recursion(ast: &AstModule, functions: &[&Def]) -> Result<(), Diagnostic> {
    let numbers: HashMap<&str, usize> =
        functions.iter().enumerate().map(|(n, def)| (&*def.name.ident, n)).collect();
    let mut calls: Vec<Vec<(usize, Span)>> = Vec::with_capacity(functions.len());
    for def in functions {
        let body = Body::of(def);
        let globals = body.calls.iter().filter(|(name, _)| !body.locals.contains(name));
        calls.push(globals.filter_map(|(name, span)| Some((*numbers.get(name)?, *span))).collect());
        for inner in body.inner {
            check_inner(ast, inner)?;
        }
    }
    let mut done = vec![false; functions.len()];
    for start in 0..functions.len() {
        // The way down from a function: each with its next call.
        let mut path: Vec<(usize, usize)> = vec![(start, 0)];
        while let Some((function, next)) = path.last_mut() {
            let call = if done[*function] { None } else { calls[*function].get(*next) };
            let Some((called, span)) = call else {
                done[*function] = true;
                path.pop();
                continue;
            };
            *next += 1;
            if let Some(first) = path.iter().position(|(function, _)| function == called) {
                return Err(recursion(ast, functions, &calls, &path[first..], *span));
            }
            path.push((*called, 0));
        }
    }
    Ok(())
}

/// A function inside of another must not call itself either.
fn check_inner(ast: &AstModule, def: &Def) -> Result<(), Diagnostic> {
    let body = Body::of(def);
    let name = &*def.name.ident;
    let own = body.calls.iter().find(|(called, _)| *called == name);
    if let Some((_, span)) = own.filter(|_| !body.locals.contains(name)) {
        return Err(without_end(at(ast, *span, format!("`{name}` calls itself"))));
    }
    body.inner.into_iter().try_for_each(|inner| check_inner(ast, inner))
}

/// The error for functions that call each other; `last` is the call of the first one.
fn recursion(
    ast: &AstModule,
    functions: &[&Def],
    calls: &[Vec<(usize, Span)>],
    cycle: &[(usize, usize)],
    last: Span,
) -> Diagnostic {
    let name = |function: usize| &functions[function].name.ident;
    let first = cycle[0].0;
    let mut error = at(ast, last, format!("`{}` calls itself", name(first)));
    if cycle.len() > 1 {
        error.message += " by way of others";
        for (function, next) in cycle {
            // `next` was counted up when the call was followed.
            let (called, span) = calls[*function][next - 1];
            let what = format!("`{}` calls `{}`", name(*function), name(called));
            error.trace.push(frame(ast, span, what));
        }
    }
    without_end(error)
}

fn without_end(error: Diagnostic) -> Diagnostic {
    error.hint("Starlark allows no recursion: turn it into a loop over a list")
}
