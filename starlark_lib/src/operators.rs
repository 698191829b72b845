//! Operators that the language needs otherwise than the interpreter has them.

use rbz_engine::diagnostic::Diagnostic;
use starlark::environment::GlobalsBuilder;
use starlark::starlark_module;
use starlark::syntax::AstModule;
use starlark::syntax::ast::{AstExpr, AstStmt, AstTypeExpr, BinOp, ExprP, StmtP};
use starlark::values::list_or_tuple::UnpackListOrTuple;
use starlark::values::{Heap, UnpackValue, Value};

use crate::select_value::{StarlarkSelect, concatenate};

/// The operators, each with the name of the function that stands for it. No user can write it.
const FUNCTIONS: [(&str, &str); 2] = [("|", "a | b"), ("*", "a * b")];

/// How many bytes or items a repetition may yield.
const MAX_REPEATED: usize = 100_000_000;

/// Puts our functions in the place of operators.
pub fn replace(ast: &mut AstModule) {
    // In annotations `|` joins types, and must stay what it is.
    let joins_types = joins_types(ast.statement());
    let functions = FUNCTIONS.iter().filter(|(operator, _)| !(joins_types && *operator == "|"));
    let functions = functions.map(|(operator, name)| ((*operator).to_owned(), (*name).to_owned()));
    ast.replace_binary_operators(&functions.collect());
}

/// Whether an annotation in the statement holds a `|`.
fn joins_types(statement: &AstStmt) -> bool {
    fn joins(expr: &AstExpr) -> bool {
        if matches!(expr.node, ExprP::Op(_, BinOp::BitOr, _)) {
            return true;
        }
        let mut found = false;
        expr.node.visit_expr(|inner| found = found || joins(inner));
        found
    }
    let annotation = |ty: Option<&AstTypeExpr>| ty.is_some_and(|ty| joins(&ty.expr));
    let own = match &statement.node {
        StmtP::Def(def) => {
            annotation(def.return_type.as_deref())
                || def.params.iter().any(|parameter| annotation(parameter.node.split().1))
        }
        StmtP::Assign(assign) => annotation(assign.ty.as_ref()),
        _ => false,
    };
    let mut found = own;
    statement.node.visit_stmt(|inner| found = found || joins_types(inner));
    found
}

#[starlark_module]
fn or_function(builder: &mut GlobalsBuilder) {
    /// `|`: a dict does not know what to do with a `select` on its right.
    fn or<'v>(
        #[starlark(require = pos)] left: Value<'v>,
        #[starlark(require = pos)] right: Value<'v>,
        heap: Heap<'v>,
    ) -> starlark::Result<Value<'v>> {
        match StarlarkSelect::from_value(right) {
            Some(_) => Ok(concatenate(left, right, heap)),
            None => left.bit_or(right, heap),
        }
    }
}

#[starlark_module]
fn times_function(builder: &mut GlobalsBuilder) {
    /// `*`: the interpreter makes a string or list of any length at one go.
    fn times<'v>(
        #[starlark(require = pos)] left: Value<'v>,
        #[starlark(require = pos)] right: Value<'v>,
        heap: Heap<'v>,
    ) -> starlark::Result<Value<'v>> {
        for (value, factor) in [(left, right), (right, left)] {
            // A negative factor yields nothing.
            if let (Some(length), Some(factor)) = (length(value), factor.unpack_i32())
                && length.saturating_mul(usize::try_from(factor).unwrap_or(0)) > MAX_REPEATED
            {
                return Err(starlark::Error::new_native(Diagnostic::user(format!(
                    "a {} of {length} cannot be repeated {factor} times: it grows too large",
                    value.get_type()
                ))));
            }
        }
        left.mul(right, heap)
    }
}

/// The length of a value that can be repeated.
fn length(value: Value) -> Option<usize> {
    if let Some(text) = value.unpack_str() {
        return Some(text.len());
    }
    let items = UnpackListOrTuple::<Value>::unpack_value(value).ok().flatten()?;
    Some(items.items.len())
}

/// Adds the functions that stand for operators.
pub fn add_functions(builder: &mut GlobalsBuilder) {
    let globals = [
        GlobalsBuilder::new().with(or_function).build(),
        GlobalsBuilder::new().with(times_function).build(),
    ];
    for ((_, name), globals) in FUNCTIONS.iter().zip(&globals) {
        if let Some((_, function)) = globals.iter().next() {
            builder.frozen_heap().add_reference(globals.heap());
            builder.set(name, function);
        }
    }
}
