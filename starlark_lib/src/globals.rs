//! Globals: what is there in each kind of file without a `load`.

use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::event::Event;
use starlark::environment::{FrozenModule, Globals, GlobalsBuilder, LibraryExtension};
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::values::Value;
use starlark::values::none::{NoneOr, NoneType};
use starlark::values::tuple::UnpackTuple;

use crate::attr_functions::attr_members;
use crate::depset_value::depset_globals;
use crate::dialect::{self, FileKind};
use crate::evaluation::Evaluation;
use crate::json::json_members;
use crate::label_value::label_functions;
use crate::load_visibility::visibility_functions;
use crate::native_rule::native_rules;
use crate::not_there::absent_in_build_files;
use crate::operators;
use crate::package_functions::package_functions;
use crate::repository_rule::repository_rule_functions;
use crate::rule_value::rule_functions;
use crate::select_value::select_functions;
use crate::starlark_error;
use crate::workspace_functions::{repository_functions, workspace_file_functions};

/// What is predeclared in the files of one repository.
pub struct GlobalSet {
    bzl: Globals,
    build: Globals,
    workspace: Globals,
}

impl GlobalSet {
    /// With the names of the module `prelude`, if there is one: rules and functions in BUILD files and
    /// in `native`; what only .bzl files can use, providers and the like, in these.
    pub fn new(prelude: Option<&FrozenModule>) -> GlobalSet {
        let mut bzl = language()
            .with(rule_functions)
            .with(visibility_functions)
            .with(repository_rule_functions)
            .with(crate::analysis_globals::analysis_functions)
            .with_namespace("attr", attr_members);
        bzl.namespace("native", |native| {
            native_functions(native);
            repository_functions(native);
            add_module(native, prelude, is_for_build_files);
        });
        add_module(&mut bzl, prelude, |value| !is_for_build_files(value));
        let mut build = language().with(native_functions);
        add_module(&mut build, prelude, is_for_build_files);
        let workspace = language().with(workspace_file_functions).with(repository_functions);
        GlobalSet { bzl: bzl.build(), build: build.build(), workspace: workspace.build() }
    }

    /// The globals of files of one kind.
    pub fn of(&self, kind: FileKind) -> &Globals {
        match kind {
            FileKind::Bzl => &self.bzl,
            FileKind::Build => &self.build,
            FileKind::Workspace => &self.workspace,
        }
    }
}

fn language() -> GlobalsBuilder {
    GlobalsBuilder::extended_by(&[LibraryExtension::StructType, LibraryExtension::SetType])
        .with_namespace("json", json_members)
        .with(depset_globals)
        .with(label_functions)
        .with(select_functions)
        .with(language_functions)
        .with(operators::add_functions)
}

fn native_functions(builder: &mut GlobalsBuilder) {
    native_rules(builder);
    absent_in_build_files(builder);
    package_functions(builder);
}

/// True of what declares targets.
fn is_for_build_files(value: Value) -> bool {
    matches!(value.get_type(), "rule" | "function")
}

/// Adds the public names of a module that are `wanted`.
fn add_module(
    builder: &mut GlobalsBuilder,
    module: Option<&FrozenModule>,
    wanted: fn(Value) -> bool,
) {
    let Some(module) = module else { return };
    for name in module.names() {
        if let Ok(Some(value)) = module.get_option(name.as_str()) {
            if !wanted(value.value()) {
                continue;
            }
            // SAFETY: the value is only put into the globals that own this heap, and the call
            // makes the heap refer to the module's heap.
            let value = unsafe { value.owned_frozen_value(builder.frozen_heap()) };
            builder.set(name.as_str(), value);
        }
    }
}

/// The error for the text of a `fail`.
fn failure(text: &str) -> Diagnostic {
    let text = text.trim();
    let hints = text.lines().filter_map(|line| line.strip_prefix("hint: "));
    let words: Vec<&str> = text.lines().filter(|line| !line.starts_with("hint: ")).collect();
    let error = Diagnostic { deliberate: true, ..Diagnostic::user(words.join("\n")) };
    hints.fold(error, Diagnostic::hint)
}

#[starlark_module]
fn language_functions(builder: &mut GlobalsBuilder) {
    /// Ends the evaluation with an error. Lines that begin with `hint: ` say what to do.
    fn fail<'v>(
        #[starlark(args)] args: UnpackTuple<Value<'v>>,
        #[starlark(require = named, default = NoneOr::None)] msg: NoneOr<Value<'v>>,
        #[starlark(require = named, default = NoneOr::None)] attr: NoneOr<&str>,
        #[starlark(require = named, default = " ")] sep: &str,
        #[starlark(require = named, default = NoneOr::None)] stack_trace: NoneOr<Value<'v>>,
    ) -> anyhow::Result<NoneType> {
        let _ = stack_trace;
        let text = |value: &Value<'v>| value.to_str();
        let mut words: Vec<String> = msg.into_option().iter().map(text).collect();
        words.extend(args.items.iter().map(text));
        let message = words.join(sep);
        let message = match attr.into_option() {
            Some(attr) => format!("attribute `{attr}`: {message}"),
            None => message,
        };
        Err(failure(&message).into())
    }

    /// Tells the user something.
    fn print<'v>(
        #[starlark(args)] args: UnpackTuple<Value<'v>>,
        #[starlark(require = named, default = " ")] sep: &str,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        let words: Vec<String> = args.items.iter().map(|value| value.to_str()).collect();
        let place = (0..eval.call_stack_count())
            .find_map(|n| eval.call_stack_nth_location(n))
            .map(|span| starlark_error::place(&span).to_string())
            .unwrap_or_default();
        let event = Event::Printed { place, text: dialect::real_text(&words.join(sep)) };
        Evaluation::of(eval)?.session.events.event(event);
        Ok(NoneType)
    }
}
