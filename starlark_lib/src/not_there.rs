//! What Bazel has and rbz does not: who uses it learns what to do instead.

use rbz_engine::diagnostic::Diagnostic;
use starlark::environment::GlobalsBuilder;
use starlark::starlark_module;
use starlark::values::Value;
use starlark::values::dict::UnpackDictEntries;
use starlark::values::none::NoneType;
use starlark::values::tuple::UnpackTuple;

/// The error for the use of `what`.
pub fn not_there(what: &str) -> Diagnostic {
    Diagnostic::user(format!("{what} is not supported"))
}

fn refused<T>(function: &str, instead: &str) -> anyhow::Result<T> {
    Err(not_there(&format!("`{function}`")).hint(instead).into())
}

type Positional<'v> = UnpackTuple<Value<'v>>;
type Named<'v> = UnpackDictEntries<String, Value<'v>>;

/// What to do instead of resolving toolchains.
pub const INSTEAD_OF_TOOLCHAINS: &str = "name the target of the tools in an attribute, such as `\"_tool\": attr.label(default = \"//pkg:tool\")`";

/// Functions of .bzl files.
#[starlark_module]
pub fn absent_in_bzl_files(builder: &mut GlobalsBuilder) {
    /// Rules cannot be added to targets of others.
    fn aspect<'v>(
        #[starlark(args)] args: Positional<'v>,
        #[starlark(kwargs)] kwargs: Named<'v>,
    ) -> anyhow::Result<NoneType> {
        let _ = (args, kwargs);
        let instead =
            "let the rules hand on what you need in a provider, and collect it from `deps`";
        refused("aspect", instead)
    }

    /// All actions of a target run on the machine itself.
    fn exec_group<'v>(
        #[starlark(args)] args: Positional<'v>,
        #[starlark(kwargs)] kwargs: Named<'v>,
    ) -> anyhow::Result<NoneType> {
        let _ = (args, kwargs);
        refused("exec_group", "leave it out: every action runs on this machine")
    }

    /// There are no fragments of languages in the configuration.
    fn configuration_field<'v>(
        #[starlark(args)] args: Positional<'v>,
        #[starlark(kwargs)] kwargs: Named<'v>,
    ) -> anyhow::Result<NoneType> {
        let _ = (args, kwargs);
        refused("configuration_field", "give the attribute a label as its default")
    }

    /// Macros are functions.
    fn r#macro<'v>(
        #[starlark(args)] args: Positional<'v>,
        #[starlark(kwargs)] kwargs: Named<'v>,
    ) -> anyhow::Result<NoneType> {
        let _ = (args, kwargs);
        refused("macro", "write a function with `def`, which calls the rules")
    }

    /// Rules share functions.
    fn subrule<'v>(
        #[starlark(args)] args: Positional<'v>,
        #[starlark(kwargs)] kwargs: Named<'v>,
    ) -> anyhow::Result<NoneType> {
        let _ = (args, kwargs);
        refused("subrule", "write a function that takes `ctx`")
    }

    /// There are no modules.
    fn module_extension<'v>(
        #[starlark(args)] args: Positional<'v>,
        #[starlark(kwargs)] kwargs: Named<'v>,
    ) -> anyhow::Result<NoneType> {
        let _ = (args, kwargs);
        refused("module_extension", "write a `repository_rule`, and call it in WORKSPACE")
    }
}

/// The members of `config_common`.
#[starlark_module]
pub fn absent_in_config_common(builder: &mut GlobalsBuilder) {
    /// Toolchains are not resolved.
    fn toolchain_type<'v>(
        #[starlark(args)] args: Positional<'v>,
        #[starlark(kwargs)] kwargs: Named<'v>,
    ) -> anyhow::Result<NoneType> {
        let _ = (args, kwargs);
        refused("config_common.toolchain_type", INSTEAD_OF_TOOLCHAINS)
    }
}

/// Functions of BUILD files, and members of `native`.
#[starlark_module]
pub fn absent_in_build_files(builder: &mut GlobalsBuilder) {
    /// Toolchains are not resolved.
    fn toolchain<'v>(
        #[starlark(args)] args: Positional<'v>,
        #[starlark(kwargs)] kwargs: Named<'v>,
    ) -> anyhow::Result<NoneType> {
        let _ = (args, kwargs);
        refused("toolchain", INSTEAD_OF_TOOLCHAINS)
    }

    /// Toolchains are not resolved.
    fn toolchain_type<'v>(
        #[starlark(args)] args: Positional<'v>,
        #[starlark(kwargs)] kwargs: Named<'v>,
    ) -> anyhow::Result<NoneType> {
        let _ = (args, kwargs);
        refused("toolchain_type", INSTEAD_OF_TOOLCHAINS)
    }
}
