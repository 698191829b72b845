//! Conditions: which branch of a `select` holds in a configuration.

use std::sync::Arc;

use rbz_engine::diagnostic::{Diagnostic, Frame};
use rbz_engine::label::{Label, PackageId};
use rbz_engine::value::Value;

use crate::attr::{AttrValue, Configurable, SelectPart};
use crate::build_settings::{default_value, parse_value};
use crate::configuration::{Configuration, NATIVE_OPTIONS, OptionName, read_again, setting_option};
use crate::loader::Loader;
use crate::nearest::hinted;
use crate::package::{RuleTarget, Target, TargetKind};
use crate::rule::{NativeRule, RuleRef};
use crate::target_checks::is_visible;

/// The most aliases that may stand before a condition: more are a cycle.
const MAX_ALIASES: usize = 50;

/// Decides conditions in one configuration.
pub struct Conditions<'a> {
    /// Where the conditions are declared.
    pub loader: &'a Loader,
    /// The constraint values of the machine.
    pub host_constraints: &'a [Label],
    /// The configuration.
    pub configuration: &'a Arc<Configuration>,
    /// The package of the target that asks.
    pub from: &'a PackageId,
}

/// What a condition asks for: the more of it, the more special it is.
type Terms = Vec<(OptionName, Value)>;

impl Conditions<'_> {
    /// The value of an attribute in the configuration; `None`: as if it were not given.
    pub fn resolve(&self, value: &Configurable) -> Result<Option<AttrValue>, Box<Diagnostic>> {
        let parts = match value {
            Configurable::Plain(value) => return Ok(Some(value.clone())),
            Configurable::Select(parts) => parts,
        };
        let mut result: Option<AttrValue> = None;
        for part in parts {
            let next = match part {
                SelectPart::Plain(value) => value.clone(),
                SelectPart::Select { branches, default, no_match_error } => {
                    self.choose(branches, default.as_ref(), no_match_error)?.clone()
                }
            };
            result = Some(match result {
                None | Some(AttrValue::None) => next,
                Some(first) => concatenate(first, next)?,
            });
        }
        Ok(result.filter(|value| *value != AttrValue::None))
    }

    fn choose<'b>(
        &self,
        branches: &'b [(Label, AttrValue)],
        default: Option<&'b AttrValue>,
        no_match_error: &str,
    ) -> Result<&'b AttrValue, Box<Diagnostic>> {
        let mut best: Vec<(&Label, Terms, &AttrValue)> = Vec::new();
        for (condition, value) in branches {
            let Some(terms) = self.holds(condition)? else { continue };
            if best.iter().any(|(_, other, _)| refines(other, &terms)) {
                continue;
            }
            best.retain(|(_, other, _)| !refines(&terms, other));
            best.push((condition, terms, value));
        }
        match (&best[..], default) {
            ([(_, _, value), rest @ ..], _) if rest.iter().all(|(_, _, other)| other == value) => {
                Ok(value)
            }
            ([], Some(default)) => Ok(default),
            ([], None) => Err(Box::new(self.no_match(branches, no_match_error))),
            _ => {
                let names: Vec<String> =
                    best.iter().map(|(condition, ..)| format!("`{condition}`")).collect();
                Err(Box::new(
                    Diagnostic::user(format!(
                        "more than one condition of a `select` holds: {}",
                        names.join(", ")
                    ))
                    .hint("give their branches the same value, or make one ask for all that the other asks for, and more"),
                ))
            }
        }
    }

    fn no_match(&self, branches: &[(Label, AttrValue)], no_match_error: &str) -> Diagnostic {
        let message = match no_match_error {
            "" => "no condition of a `select` holds".to_owned(),
            text => format!("no condition of a `select` holds: {text}"),
        };
        let mut error = Diagnostic::user(message);
        for (condition, _) in branches {
            let what = match self.why_not(condition) {
                Ok(Some(reason)) => format!("`{condition}` asks for {reason}"),
                _ => format!("`{condition}` does not hold"),
            };
            error.trace.push(Frame { place: None, what, source: None });
        }
        error.hint("add a branch for `//conditions:default`")
    }

    /// The terms of a condition if it holds.
    fn holds(&self, condition: &Label) -> Result<Option<Terms>, Box<Diagnostic>> {
        let terms = self.terms(condition)?;
        Ok(terms
            .iter()
            .all(|term| term.holds)
            .then(|| terms.into_iter().map(|term| (term.option, term.wanted)).collect()))
    }

    /// The first term of a condition that does not hold, in words.
    fn why_not(&self, condition: &Label) -> Result<Option<String>, Box<Diagnostic>> {
        let failed = self.terms(condition)?.into_iter().find(|term| !term.holds);
        Ok(failed.map(|term| term.words))
    }

    /// The target that `label` names, with aliases followed.
    fn target(&self, label: &Label) -> Result<Arc<Target>, Box<Diagnostic>> {
        let mut label = label.clone();
        for _ in 0..MAX_ALIASES {
            let (_, target) = self.loader.target(&label)?;
            let TargetKind::Rule(rule) = &target.kind else { return Ok(target) };
            if rule.rule != RuleRef::Native(NativeRule::Alias) {
                return Ok(target);
            }
            match rule.attrs.get("actual").map(|actual| self.resolve(actual)).transpose()?.flatten()
            {
                Some(AttrValue::Label(actual)) => label = actual,
                _ => return Ok(target),
            }
        }
        Err(Box::new(Diagnostic::user(format!("the alias `{label}` stands for itself"))))
    }

    /// Refuses a condition that says who may name it, and does not say so of this package. As in
    /// Bazel, one that says nothing may be named by all.
    fn check_visible(&self, target: &Target) -> Result<(), Box<Diagnostic>> {
        let TargetKind::Rule(rule) = &target.kind else { return Ok(()) };
        let is_open = rule.rule != RuleRef::Native(NativeRule::ConfigSetting)
            || !rule.attrs.contains_key("visibility")
            || target.label.package() == self.from;
        if is_open || is_visible(self.loader, &target.visibility, self.from)? {
            return Ok(());
        }
        let label = &target.label;
        let error = Diagnostic::user(format!(
            "the condition `{label}` of a `select` is not visible to the package `{}`",
            self.from
        ));
        Err(Box::new(error.hint(format!(
            "add `{}:__pkg__` to the `visibility` of `{label}` ({})",
            self.from, target.place
        ))))
    }

    fn terms(&self, condition: &Label) -> Result<Vec<Term>, Box<Diagnostic>> {
        let target = self.target(condition)?;
        self.check_visible(&target)?;
        let TargetKind::Rule(rule) = &target.kind else {
            return Err(Box::new(no_condition(condition, "a file")));
        };
        match rule.rule {
            RuleRef::Native(NativeRule::ConfigSetting) => self.config_setting(&target, rule),
            RuleRef::Native(NativeRule::ConstraintValue) => {
                Ok(vec![self.constraint(&target.label)])
            }
            _ => Err(Box::new(no_condition(condition, &format!("a `{}`", rule.rule)))),
        }
    }

    fn constraint(&self, label: &Label) -> Term {
        Term {
            option: format!("constraint {label}").into(),
            wanted: Value::Bool(true),
            holds: self.host_constraints.contains(label),
            words: format!("the constraint `{label}`, which the platform does not have"),
        }
    }

    fn config_setting(
        &self,
        target: &Target,
        rule: &RuleTarget,
    ) -> Result<Vec<Term>, Box<Diagnostic>> {
        let attribute = |name: &str| match rule.attrs.get(name) {
            Some(Configurable::Plain(value)) => value.clone(),
            _ => AttrValue::None,
        };
        let at = |error: Diagnostic| Box::new(error.at(target.place.clone()));
        let mut terms = Vec::new();
        if let AttrValue::StringDict(values) = attribute("values") {
            for (name, wanted) in values {
                terms.push(self.native_term(&name, &wanted).map_err(at)?);
            }
        }
        if let AttrValue::StringDict(values) = attribute("define_values") {
            for (name, wanted) in values {
                terms.push(self.define_term(&name, &wanted));
            }
        }
        if let AttrValue::LabelKeyedStringDict(values) = attribute("flag_values") {
            for (flag, wanted) in values {
                terms.push(self.flag_term(&flag, &wanted).map_err(|error| at(*error))?);
            }
        }
        if let AttrValue::LabelList(constraints) = attribute("constraint_values") {
            for constraint in constraints {
                let value = self.target(&constraint)?;
                terms.push(self.constraint(&value.label));
            }
        }
        if terms.is_empty() {
            return Err(at(Diagnostic::user(format!("`{}` asks for nothing", target.label))
                .hint("give it `values`, `define_values`, `flag_values` or `constraint_values`")));
        }
        Ok(terms)
    }

    fn native_term(&self, name: &str, wanted: &str) -> Result<Term, Diagnostic> {
        let short = if name == "c" { "compilation_mode" } else { name };
        if short == "define" {
            let (define, value) = wanted.split_once('=').unwrap_or((wanted, "1"));
            return Ok(self.define_term(define, value));
        }
        if !NATIVE_OPTIONS.contains(&short) {
            let error = Diagnostic::user(format!("there is no option `{name}` to ask for"));
            return Err(hinted(error, name, NATIVE_OPTIONS)
                .hint("ask for build settings with `flag_values`"));
        }
        let actual = self.configuration.native(short);
        let holds = match actual {
            Value::Str(text) => **text == *wanted,
            Value::Bool(value) => truth(wanted) == Some(*value),
            Value::List(items) => items.iter().any(|item| item.as_str() == Some(wanted)),
            _ => false,
        };
        Ok(Term {
            option: crate::configuration::native_option(short),
            wanted: Value::str(wanted),
            holds,
            words: format!("`--{short}={wanted}`, but it is {}", shown(actual)),
        })
    }

    fn define_term(&self, name: &str, wanted: &str) -> Term {
        let option: OptionName = format!("//command_line_option:define:{name}").into();
        let actual = read_again(self.configuration, &option);
        let words = match &actual {
            Value::Str(text) => format!("`--define {name}={wanted}`, but it is `{text}`"),
            _ => format!("`--define {name}={wanted}`, but it is not defined"),
        };
        Term { holds: actual.as_str() == Some(wanted), option, wanted: Value::str(wanted), words }
    }

    fn flag_term(&self, flag: &Label, wanted: &str) -> Result<Term, Box<Diagnostic>> {
        let target = self.target(flag)?;
        let setting = crate::build_settings::setting_of(self.loader, &target)?;
        let value = parse_value(setting, wanted).map_err(|reason| {
            Box::new(Diagnostic::user(format!("`{flag}` cannot be `{wanted}`: {reason}")))
        })?;
        let actual = match self.configuration.setting(&target.label) {
            Some(value) => value.clone(),
            None => default_value(&target),
        };
        let holds = match (&actual, &value) {
            (Value::List(items), Value::List(wanted)) => {
                wanted.iter().all(|item| items.contains(item))
            }
            (actual, wanted) => actual == wanted,
        };
        Ok(Term {
            option: setting_option(&target.label),
            wanted: value,
            holds,
            words: format!("`--{flag}={wanted}`, but it is {}", shown(&actual)),
        })
    }
}

/// One thing that a condition asks for.
struct Term {
    option: OptionName,
    wanted: Value,
    holds: bool,
    words: String,
}

fn no_condition(label: &Label, what: &str) -> Diagnostic {
    Diagnostic::user(format!("`{label}` is no condition of a `select`, but {what}"))
        .hint("conditions are `config_setting` and `constraint_value` targets")
}

/// Whether `special` asks for all that `general` asks for, and more.
fn refines(special: &Terms, general: &Terms) -> bool {
    special.len() > general.len() && general.iter().all(|term| special.contains(term))
}

fn shown(value: &Value) -> String {
    match value {
        Value::None => "not set".to_owned(),
        Value::Str(text) => format!("`{text}`"),
        Value::Bool(true) => "`true`".to_owned(),
        Value::Bool(false) => "`false`".to_owned(),
        other => format!("`{}`", crate::value_repr::Repr(other)),
    }
}

/// The truth value that a text of the command line means.
pub fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "t" | "y" => Some(true),
        "false" | "0" | "no" | "f" | "n" => Some(false),
        _ => None,
    }
}

/// `first + second`, or `first | second` for dicts.
fn concatenate(first: AttrValue, second: AttrValue) -> Result<AttrValue, Box<Diagnostic>> {
    fn merged<K: PartialEq, V>(mut first: Vec<(K, V)>, second: Vec<(K, V)>) -> Vec<(K, V)> {
        for (key, value) in second {
            match first.iter_mut().find(|(known, _)| *known == key) {
                Some(entry) => entry.1 = value,
                None => first.push((key, value)),
            }
        }
        first
    }
    fn joined<T>(mut first: Vec<T>, second: Vec<T>) -> Vec<T> {
        first.extend(second);
        first
    }
    Ok(match (first, second) {
        (first, AttrValue::None) => first,
        (AttrValue::String(a), AttrValue::String(b)) => AttrValue::String(format!("{a}{b}").into()),
        (AttrValue::Int(a), AttrValue::Int(b)) => AttrValue::Int(a.saturating_add(b)),
        (AttrValue::StringList(a), AttrValue::StringList(b)) => AttrValue::StringList(joined(a, b)),
        (AttrValue::IntList(a), AttrValue::IntList(b)) => AttrValue::IntList(joined(a, b)),
        (AttrValue::LabelList(a), AttrValue::LabelList(b)) => AttrValue::LabelList(joined(a, b)),
        (AttrValue::StringDict(a), AttrValue::StringDict(b)) => AttrValue::StringDict(merged(a, b)),
        (AttrValue::StringListDict(a), AttrValue::StringListDict(b)) => {
            AttrValue::StringListDict(merged(a, b))
        }
        (AttrValue::LabelKeyedStringDict(a), AttrValue::LabelKeyedStringDict(b)) => {
            AttrValue::LabelKeyedStringDict(merged(a, b))
        }
        (AttrValue::StringKeyedLabelDict(a), AttrValue::StringKeyedLabelDict(b)) => {
            AttrValue::StringKeyedLabelDict(merged(a, b))
        }
        _ => {
            return Err(Box::new(Diagnostic::user(
                "the parts of a `select` with `+` are of types that cannot be put together",
            )));
        }
    })
}
