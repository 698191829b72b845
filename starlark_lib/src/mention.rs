//! Mentions: where in its BUILD file a target names another.

use rbz_engine::diagnostic::{Diagnostic, Place};
use rbz_engine::label::Label;
use starlark::codemap::Span;
use starlark::syntax::ast::{ArgumentP, AstExpr, AstLiteral, ExprP};

use crate::dialect::{self, FileKind};
use crate::loader::Loader;
use crate::package::Target;
use crate::source_tree::SourceTree;
use crate::starlark_error;

/// An error about `label` in the attribute of a target: at the text that names it, if that can be
/// found, or else at the target.
pub fn placed(
    error: Diagnostic,
    loader: &Loader,
    target: &Target,
    attribute: &str,
    label: &Label,
) -> Diagnostic {
    match find(loader, target, attribute, label) {
        Some((place, source)) => Diagnostic { source, ..error }.at(place),
        None => error.at(target.place.clone()),
    }
}

/// The place of the string that names `label` in the attribute of a target, and its line.
pub fn find(
    loader: &Loader,
    target: &Target,
    attribute: &str,
    label: &Label,
) -> Option<(Place, Option<String>)> {
    let package = target.label.package();
    // Only for what a person reads, so reading and parsing once more is no loss.
    let mut tree = SourceTree::new(loader.files().clone());
    let build_file =
        loader.shared().repository(&package.repo).ok()?.build_file(package, &mut tree).ok()??;
    let shown = build_file.shown(package);
    let text = build_file.text(&mut tree).ok()?;
    let ast = dialect::parse(&shown, &text, FileKind::Build).ok()?;
    let mut call = None;
    ast.statement().visit_expr(|expr| {
        find_expr(expr, &mut call, &|expr| {
            matches!(expr.node, ExprP::Call(..))
                && starlark_error::place(&ast.file_span(expr.span)) == target.place
        });
    });
    let ExprP::Call(_, arguments) = &call?.node else { return None };
    let names = |expr: &AstExpr| match &expr.node {
        ExprP::Literal(AstLiteral::String(text)) => {
            loader.session().parse_label(&text.node, package).is_ok_and(|other| other == *label)
        }
        _ => false,
    };
    let mut found: Option<(bool, Span)> = None;
    for argument in &arguments.args {
        let own = matches!(&argument.node, ArgumentP::Named(name, _)
            if dialect::real_name(&name.node) == attribute);
        let mut literal = None;
        find_expr(argument.node.expr(), &mut literal, &names);
        if let Some(literal) = literal
            && found.is_none_or(|(best, _)| own && !best)
        {
            found = Some((own, literal.span));
        }
    }
    let span = ast.file_span(found?.1);
    Some((starlark_error::place(&span), starlark_error::source_line(&span)))
}

/// Sets `found` to the first expression in `expr` that fits, unless it is set.
fn find_expr<'a>(
    expr: &'a AstExpr,
    found: &mut Option<&'a AstExpr>,
    fits: &impl Fn(&AstExpr) -> bool,
) {
    if found.is_none() && fits(expr) {
        *found = Some(expr);
    }
    if found.is_none() {
        expr.node.visit_expr(|inner| find_expr(inner, found, fits));
    }
}
