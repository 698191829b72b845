//! `repository_rule()`: rules that make repositories.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use allocative::Allocative;
use indexmap::IndexMap;
use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::digest::Fingerprint;
use starlark::any::ProvidesStaticType;
use starlark::environment::GlobalsBuilder;
use starlark::eval::{Arguments, Evaluator};
use starlark::starlark_module;
use starlark::values::list::UnpackList;
use starlark::values::none::NoneOr;
use starlark::values::{
    AllocValue, Freeze, FreezeResult, Freezer, FrozenValue, Heap, NoSerialize, StarlarkValue,
    Trace, Value, starlark_value,
};

use crate::action_arguments::wrong;
use crate::attr::{AttrSchema, AttrValue};
use crate::attr_arguments::attribute_dict;
use crate::attribute_conversion;
use crate::dialect;
use crate::evaluation::{Evaluation, Stage};
use crate::nearest;
use crate::repository_declaration::RepositoryKind;
use crate::rule::RuleRef;
use crate::starlark_error::KeywordError;
use crate::workspace_functions::{declare, top_package};

/// A repository rule in the module that makes it.
#[derive(Trace, ProvidesStaticType, NoSerialize, Allocative)]
pub struct StarlarkRepositoryRule<'v> {
    implementation: Value<'v>,
    #[trace(unsafe_ignore)]
    #[allocative(skip)]
    schema: RepositoryRuleSchema,
    #[trace(unsafe_ignore)]
    #[allocative(skip)]
    exported: OnceCell<RuleRef>,
}

/// What is declared of a repository rule.
#[derive(Clone, Debug)]
pub struct RepositoryRuleSchema {
    /// Its attributes.
    pub attrs: IndexMap<Arc<str>, AttrSchema>,
    /// The variables of the environment that it depends on in any case.
    pub environ: Vec<String>,
    /// Changes with its code.
    pub fingerprint: Fingerprint,
}

/// A repository rule of a module that has been evaluated.
#[derive(ProvidesStaticType, NoSerialize, Allocative)]
pub struct FrozenStarlarkRepositoryRule {
    /// The function that makes a repository.
    pub implementation: FrozenValue,
    /// What is declared of it.
    #[allocative(skip)]
    pub schema: RepositoryRuleSchema,
    /// Its name, if it was exported.
    #[allocative(skip)]
    pub rule: Option<RuleRef>,
}

impl fmt::Debug for StarlarkRepositoryRule<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for StarlarkRepositoryRule<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<repository rule>")
    }
}

impl fmt::Debug for FrozenStarlarkRepositoryRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for FrozenStarlarkRepositoryRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.rule {
            Some(rule) => write!(f, "<repository rule {rule}>"),
            None => f.write_str("<anonymous repository rule>"),
        }
    }
}

impl<'v> AllocValue<'v> for StarlarkRepositoryRule<'v> {
    fn alloc_value(self, heap: Heap<'v>) -> Value<'v> {
        heap.alloc_complex(self)
    }
}

impl Freeze for StarlarkRepositoryRule<'_> {
    type Frozen = FrozenStarlarkRepositoryRule;

    fn freeze(self, freezer: &Freezer) -> FreezeResult<FrozenStarlarkRepositoryRule> {
        Ok(FrozenStarlarkRepositoryRule {
            implementation: self.implementation.freeze(freezer)?,
            schema: self.schema,
            rule: self.exported.into_inner(),
        })
    }
}

#[starlark_value(type = "repository_rule")]
impl<'v> StarlarkValue<'v> for StarlarkRepositoryRule<'v> {
    type Canonical = FrozenStarlarkRepositoryRule;

    fn export_as(&self, name: &str, eval: &mut Evaluator<'v, '_, '_>) -> starlark::Result<()> {
        if let Stage::Module(module) = &Evaluation::of(eval)?.stage {
            self.exported.get_or_init(|| RuleRef::Starlark {
                module: module.label.clone(),
                name: name.into(),
            });
        }
        Ok(())
    }
}

#[starlark_value(type = "repository_rule")]
impl<'v> StarlarkValue<'v> for FrozenStarlarkRepositoryRule {
    type Canonical = Self;

    fn name_for_call_stack(&self, _me: Value<'v>) -> String {
        self.rule.as_ref().map_or("repository rule".to_owned(), |rule| rule.name().to_owned())
    }

    fn invoke(
        &self,
        _me: Value<'v>,
        args: &Arguments<'v, '_>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Value<'v>> {
        args.no_positional_args(eval.heap())?;
        let (mut name, mut mapping) = (None, None);
        let mut given = Vec::new();
        for (key, value) in args.names_map()? {
            match (dialect::real_name(key.as_str()), value.is_none()) {
                (_, true) => {}
                ("name", _) => name = Some(value),
                ("repo_mapping", _) => mapping = Some(value),
                (key, false) => given.push((key.to_owned(), value)),
            }
        }
        self.declare(name, given, mapping, eval).map_err(starlark::Error::new_native)?;
        Ok(Value::new_none())
    }
}

impl FrozenStarlarkRepositoryRule {
    fn declare<'v>(
        &self,
        name: Option<Value<'v>>,
        given: Vec<(String, Value<'v>)>,
        mapping: Option<Value<'v>>,
        eval: &Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<()> {
        let Some(rule) = &self.rule else {
            return Err(Diagnostic::user("this repository rule has no name")
                .hint("assign the result of `repository_rule()` to a variable at the top level of its .bzl file")
                .into());
        };
        let Some(name) = name else {
            return Err(Diagnostic::user(format!("this `{rule}` has no `name`")).into());
        };
        let name = name.unpack_str().ok_or_else(|| KeywordError {
            keyword: "name".to_owned(),
            diagnostic: wrong("name", "a string", name),
        })?;
        let evaluation = Evaluation::of(eval)?;
        let mut attrs: BTreeMap<Arc<str>, AttrValue> = BTreeMap::new();
        for (key, value) in given {
            let error = |diagnostic: Diagnostic| KeywordError { keyword: key.clone(), diagnostic };
            let Some(schema) = self.schema.attrs.get(&*key) else {
                let names = self.schema.attrs.keys().map(|name| &**name);
                let diagnostic = Diagnostic::user(format!("`{rule}` has no attribute `{key}`"));
                return Err(error(nearest::hinted(diagnostic, &key, names)).into());
            };
            let value =
                attribute_conversion::plain(&schema.kind, value, evaluation, &top_package())
                    .map_err(|mismatch| {
                        error(mismatch.diagnostic(|expected, found| {
                            format!("expected {expected} for the attribute `{key}` of `{rule}` rule `{name}`, but got {found}")
                        }))
                    })?;
            attrs.insert(key.as_str().into(), value);
        }
        if let Some((key, _)) = self
            .schema
            .attrs
            .iter()
            .find(|(key, schema)| schema.mandatory && !attrs.contains_key(*key))
        {
            return Err(Diagnostic::user(format!(
                "the attribute `{key}` of `{rule}` rule `{name}` must be given"
            ))
            .into());
        }
        let fingerprint = self.schema.fingerprint;
        let kind = RepositoryKind::Rule { rule: rule.clone(), fingerprint, attrs };
        declare(name, kind, mapping, eval)
    }
}

/// `repository_rule()`.
#[starlark_module]
pub fn repository_rule_functions(builder: &mut GlobalsBuilder) {
    /// Makes a rule by which WORKSPACE declares repositories.
    fn repository_rule<'v>(
        implementation: Value<'v>,
        #[starlark(require = named)] attrs: Option<Value<'v>>,
        #[starlark(require = named, default = false)] local: bool,
        #[starlark(require = named, default = UnpackList::default())] environ: UnpackList<String>,
        #[starlark(require = named, default = false)] configure: bool,
        #[starlark(require = named, default = false)] remotable: bool,
        #[starlark(require = named, default = NoneOr::None)] doc: NoneOr<&str>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<StarlarkRepositoryRule<'v>> {
        // Whatever a rule looks at is noted, so nothing else need be said of it.
        let _ = (local, configure, remotable, doc);
        let evaluation = Evaluation::of(eval)?;
        let fingerprint = evaluation.module("repository_rule")?.fingerprint;
        let attrs = attrs.filter(|value| !value.is_none()).map(attribute_dict).transpose()?;
        let schema = RepositoryRuleSchema {
            attrs: attrs.unwrap_or_default().into_iter().collect(),
            environ: environ.items,
            fingerprint,
        };
        Ok(StarlarkRepositoryRule { implementation, schema, exported: OnceCell::new() })
    }
}
