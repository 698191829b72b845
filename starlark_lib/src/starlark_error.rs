//! Errors of Starlark as diagnostics: place, source line, call stack, and what to do.

use rbz_engine::diagnostic::{Diagnostic, Frame, Place};
use starlark::ErrorKind;
use starlark::codemap::{FileSpan, Span};
use starlark::errors::Frame as CallFrame;
use starlark::eval::CallStack;
use starlark::syntax::AstModule;
use starlark::syntax::ast::{ArgumentP, AstExpr, AstStmt, ExprP};

use crate::dialect::{self, FileKind};

/// An error about one keyword argument of the call that is being evaluated. It is shown at the
/// keyword, where the call has it.
#[derive(Debug, thiserror::Error)]
#[error("{diagnostic}")]
pub struct KeywordError {
    /// The name of the argument.
    pub keyword: String,
    /// What is wrong with it.
    pub diagnostic: Diagnostic,
}

/// The place where `span` begins.
pub fn place(span: &FileSpan) -> Place {
    let begin = span.resolve_span().begin;
    Place {
        file: span.filename().to_owned(),
        // Sources are far smaller than 4 GiB.
        line: begin.line as u32 + 1,
        column: begin.column as u32 + 1,
    }
}

/// The text of the line where `span` begins, if it is fit to be shown.
pub fn source_line(span: &FileSpan) -> Option<String> {
    let line = span.file.source_line_at_pos(span.span.begin());
    dialect::shown_line(line).map(|line| dialect::real_text(&line))
}

/// How many calls of a long way to an error are shown at either end.
const SHOWN_CALLS: usize = 8;

/// The diagnostic for `error`, that came up while a file of `kind` was parsed or evaluated.
pub fn diagnostic(error: starlark::Error, kind: FileKind) -> Diagnostic {
    let mut diagnostic = located(error, kind);
    diagnostic.message = dialect::real_text(&diagnostic.message);
    for hint in &mut diagnostic.hints {
        *hint = dialect::real_text(hint);
    }
    diagnostic
}

fn located(error: starlark::Error, kind: FileKind) -> Diagnostic {
    let span = error.span().cloned();
    let frames = error.call_stack().clone().into_frames();
    let (mut diagnostic, keyword) = kernel(error.into_kind(), kind);
    if diagnostic.place.is_some() {
        return diagnostic;
    }
    // Where the code of the user is: the span, or else the innermost call.
    let span = span.or_else(|| frames.iter().rev().find_map(|frame| frame.location.clone()));
    if let Some(span) = &span {
        let at = keyword
            .and_then(|keyword| keyword_span(span, &keyword, kind))
            .unwrap_or_else(|| span.clone());
        diagnostic.place = Some(place(&at));
        diagnostic.source = source_line(&at);
    }
    diagnostic.trace.extend(trace(frames, span.as_ref()));
    diagnostic
}

/// The calls on the way to `span`, outermost first.
fn trace(frames: Vec<CallFrame>, span: Option<&FileSpan>) -> Vec<Frame> {
    let mut within = "the top level".to_owned();
    let mut calls = Vec::new();
    for frame in frames {
        if let Some(location) = &frame.location
            && span != Some(location)
        {
            calls.push(Frame {
                place: Some(place(location)),
                what: format!("in {within}"),
                source: source_line(location),
            });
        }
        within = format!("`{}`", frame.name);
    }
    if calls.len() > 2 * SHOWN_CALLS {
        let hidden = calls.len() - 2 * SHOWN_CALLS;
        let gap = Frame { place: None, what: format!("… {hidden} more calls …"), source: None };
        calls.splice(SHOWN_CALLS..SHOWN_CALLS + hidden, [gap]);
    }
    calls
}

/// An error without a place of its own, at the calls that were active.
pub fn at_calls(mut diagnostic: Diagnostic, calls: CallStack) -> Diagnostic {
    let frames = calls.into_frames();
    let span = frames.iter().rev().find_map(|frame| frame.location.clone());
    if let Some(span) = &span {
        diagnostic.place = Some(place(span));
        diagnostic.source = source_line(span);
    }
    diagnostic.trace.extend(trace(frames, span.as_ref()));
    diagnostic
}

/// What code of the files that are `ours` says by intention, at the innermost place that is not
/// theirs; without a place if there is none.
pub fn at_caller(mut error: Box<Diagnostic>, ours: impl Fn(&str) -> bool) -> Box<Diagnostic> {
    let is_ours = |place: &Option<Place>| place.as_ref().is_some_and(|place| ours(&place.file));
    if !error.deliberate || !is_ours(&error.place) {
        return error;
    }
    error.trace.retain(|frame| !is_ours(&frame.place));
    let caller = error.trace.iter().rposition(|frame| frame.place.is_some());
    let caller = caller.map(|at| error.trace.remove(at));
    (error.place, error.source) = caller.map_or((None, None), |frame| (frame.place, frame.source));
    error
}

/// An error of a file. If it has no place, it begins with the file.
pub fn in_file(mut error: Box<Diagnostic>, file: &str) -> Box<Diagnostic> {
    error.place.get_or_insert_with(|| Place { file: file.to_owned(), line: 1, column: 1 });
    error
}

/// Message, class and hints; and the keyword argument that it is about.
fn kernel(kind: ErrorKind, file: FileKind) -> (Diagnostic, Option<String>) {
    match kind {
        ErrorKind::Native(error)
        | ErrorKind::Other(error)
        | ErrorKind::Value(error)
        | ErrorKind::Function(error) => {
            let error = match error.downcast::<KeywordError>() {
                Ok(error) => return (error.diagnostic, Some(error.keyword)),
                Err(error) => error,
            };
            match error.downcast::<Diagnostic>() {
                Ok(diagnostic) => (diagnostic, None),
                Err(error) => (language_error(&format!("{error:#}"), file), None),
            }
        }
        ErrorKind::StackOverflow(_) => {
            let diagnostic = Diagnostic::user("functions call each other without end")
                .hint("Starlark allows no recursion: turn it into a loop over a list");
            (diagnostic, None)
        }
        ErrorKind::Internal(error) => (Diagnostic::internal(format!("{error:#}")), None),
        ErrorKind::Parser(error) => {
            (language_error(&format!("syntax error: {error:#}"), file), None)
        }
        ErrorKind::Scope(error) | ErrorKind::Freeze(error) => {
            (language_error(&format!("{error:#}"), file), None)
        }
        // The enum is open; whatever comes is said in its own words.
        other => (Diagnostic::user(format!("{other}")), None),
    }
}

/// What the Starlark interpreter says, in our style and with advice where its words lack it.
fn language_error(text: &str, file: FileKind) -> Diagnostic {
    let text = text.trim();
    let dialect = match file {
        FileKind::Bzl => "a .bzl file",
        FileKind::Build => "a BUILD file",
        FileKind::Workspace => "a WORKSPACE file",
    };
    let text = text.replace("Parse error: ", "").replace("this dialect", dialect);
    // What the interpreter says after a comma is a hint of ours.
    let (text, meant) = match text.split_once(", did you mean `") {
        Some((before, name)) => (before.to_owned(), name.strip_suffix("`?").map(str::to_owned)),
        None => (text, None),
    };
    let mut message = text.trim_end_matches('.').to_owned();
    let first = message.chars().next().unwrap_or_default();
    // "Variable `x` not found" becomes part of a sentence; names and code stay as they are.
    if message.starts_with("Variable ") || message.starts_with("Type ") {
        message.replace_range(..1, &first.to_lowercase().to_string());
    }
    let mut diagnostic = Diagnostic::user(message);
    if let Some(name) = meant {
        diagnostic = diagnostic.hint(format!("did you mean `{name}`?"));
    }
    let only_bzl = file != FileKind::Bzl
        && ["`def` is not allowed", "`for` cannot", "`if` cannot", "`lambda` is not allowed"]
            .iter()
            .any(|start| text.contains(start));
    if only_bzl {
        return diagnostic.hint("move it into a .bzl file and `load` it from there");
    }
    diagnostic
}

/// The span of the keyword `name` in the call at `call`.
fn keyword_span(call: &FileSpan, name: &str, kind: FileKind) -> Option<FileSpan> {
    let kind = if call.filename().ends_with(".bzl") { FileKind::Bzl } else { kind };
    // Only on the way to an error message, so parsing once more is no loss.
    let ast =
        AstModule::parse(call.filename(), call.file.source().to_owned(), &kind.dialect()).ok()?;
    let span = find_in_statement(ast.statement(), call.span, name)?;
    Some(call.file.file_span(span))
}

fn find_in_statement(statement: &AstStmt, call: Span, name: &str) -> Option<Span> {
    let mut found = None;
    statement.node.visit_expr(|expr| {
        if found.is_none() {
            found = find_in_expr(expr, call, name);
        }
    });
    found
}

fn find_in_expr(expr: &AstExpr, call: Span, name: &str) -> Option<Span> {
    if expr.span == call
        && let ExprP::Call(_, arguments) = &expr.node
    {
        return arguments.args.iter().find_map(|argument| match &argument.node {
            ArgumentP::Named(keyword, _) if dialect::real_name(&keyword.node) == name => {
                Some(keyword.span)
            }
            _ => None,
        });
    }
    let mut found = None;
    expr.node.visit_expr(|inner| {
        if found.is_none() {
            found = find_in_expr(inner, call, name);
        }
    });
    found
}
