//! `TemplateDict`: substitutions for templates whose values are computed from depsets.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex};

use allocative::Allocative;
use rbz_engine::action::ArgValues;
use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::value::Value as Plain;
use starlark::environment::{Methods, MethodsBuilder};
use starlark::eval::Evaluator;
use starlark::values::none::NoneOr;
use starlark::values::{
    NoSerialize, ProvidesStaticType, StarlarkValue, Value, ValueTyped, starlark_value,
};
use starlark::{starlark_module, starlark_simple_value};

use crate::args::arg_values;

/// What `ctx.actions.template_dict()` yields.
#[derive(Debug, Default, ProvidesStaticType, NoSerialize, Allocative)]
pub struct TemplateDictValue(#[allocative(skip)] Mutex<Vec<(Arc<str>, Arc<str>)>>);

starlark_simple_value!(TemplateDictValue);
starlark::methods_static!(METHODS = template_dict_methods);

impl TemplateDictValue {
    /// The substitutions in the order in which they were added.
    pub fn pairs(&self) -> Vec<(Arc<str>, Arc<str>)> {
        self.0.lock().unwrap_or_else(|poison| poison.into_inner()).clone()
    }

    fn push(&self, key: &str, value: String) {
        let mut pairs = self.0.lock().unwrap_or_else(|poison| poison.into_inner());
        pairs.push((key.into(), value.into()));
    }
}

impl fmt::Display for TemplateDictValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<TemplateDict>")
    }
}

#[starlark_value(type = "TemplateDict")]
impl<'v> StarlarkValue<'v> for TemplateDictValue {
    fn get_methods() -> Option<&'static Methods> {
        Some(METHODS.methods())
    }
}

type This<'v> = ValueTyped<'v, TemplateDictValue>;

#[starlark_module]
fn template_dict_methods(builder: &mut MethodsBuilder) {
    /// Replaces `key` by `value`.
    fn add<'v>(
        this: ValueTyped<'v, TemplateDictValue>,
        #[starlark(require = pos)] key: &str,
        #[starlark(require = pos)] value: &str,
    ) -> anyhow::Result<This<'v>> {
        this.push(key, value.to_owned());
        Ok(this)
    }

    /// Replaces `key` by what `map_each` makes of the values, joined.
    fn add_joined<'v>(
        this: ValueTyped<'v, TemplateDictValue>,
        #[starlark(require = pos)] key: &str,
        #[starlark(require = pos)] values: Value<'v>,
        #[starlark(require = named)] join_with: &str,
        #[starlark(require = named)] map_each: Value<'v>,
        #[starlark(require = named, default = false)] uniquify: bool,
        #[starlark(require = named, default = NoneOr::None)] format_joined: NoneOr<&str>,
        #[starlark(require = named, default = false)] allow_closure: bool,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<This<'v>> {
        let map_each = NoneOr::Other(map_each);
        let values = match arg_values("add_joined", values, map_each, false, allow_closure, eval)? {
            ArgValues::List(values) => values.to_vec(),
            ArgValues::Depset(depset) => depset.to_list(),
        };
        let mut texts: Vec<&str> = Vec::new();
        let mut seen = HashSet::new();
        for value in &values {
            let several = match value {
                Plain::List(items) => &items[..],
                one => std::slice::from_ref(one),
            };
            for text in several.iter().filter_map(Plain::as_str) {
                if !uniquify || seen.insert(text) {
                    texts.push(text);
                }
            }
        }
        let joined = texts.join(join_with);
        this.push(
            key,
            match format_joined.into_option() {
                None => joined,
                Some(format) if format.matches("%s").count() == 1 => format.replace("%s", &joined),
                Some(format) => {
                    return Err(Diagnostic::user(format!(
                        "`format_joined` must contain `%s` once, but is `{format}`"
                    ))
                    .into());
                }
            },
        );
        Ok(this)
    }
}
