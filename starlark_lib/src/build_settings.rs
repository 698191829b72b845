//! Build settings: the values that `--//pkg:flag=value` gives to targets.

use std::sync::Arc;

use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::label::Label;
use rbz_engine::value::Value;

use crate::attr::{AttrValue, Configurable};
use crate::conditions::truth;
use crate::loader::Loader;
use crate::package::{Target, TargetKind};
use crate::rule::{BuildSetting, BuildSettingKind, NativeRule, RuleRef};

/// More aliases of one another are a circle.
const MAX_ALIASES: usize = 50;

/// The target that a flag of the command line means. Aliases are followed where they stand for one
/// target in every configuration.
pub fn flag_target(loader: &Loader, label: &Label) -> Result<Arc<Target>, Box<Diagnostic>> {
    let mut target = loader.target(label)?.1;
    for _ in 0..MAX_ALIASES {
        let TargetKind::Rule(rule) = &target.kind else { break };
        let actual = match rule.attrs.get("actual") {
            Some(Configurable::Plain(AttrValue::Label(actual)))
                if rule.rule == RuleRef::Native(NativeRule::Alias) =>
            {
                actual.clone()
            }
            _ => break,
        };
        target = loader.target(&actual)?.1;
    }
    Ok(target)
}

/// What kind of build setting a target is; an error if it is none.
pub fn setting_of(loader: &Loader, target: &Target) -> Result<BuildSetting, Box<Diagnostic>> {
    let setting = match &target.kind {
        TargetKind::Rule(rule) => loader.rule_schema(&rule.rule)?.build_setting,
        _ => None,
    };
    setting.ok_or_else(|| {
        let what = match &target.kind {
            TargetKind::Rule(rule) => format!("a `{}`", rule.rule),
            _ => "a file".to_owned(),
        };
        Box::new(Diagnostic::user(format!("`{}` is no build setting, but {what}", target.label)))
    })
}

/// The value of a setting that nobody set.
pub fn default_value(target: &Target) -> Value {
    let TargetKind::Rule(rule) = &target.kind else { return Value::None };
    match rule.attrs.get("build_setting_default") {
        Some(Configurable::Plain(value)) => value.to_plain(),
        _ => Value::None,
    }
}

/// The value that a text means for a setting; the error says what it must be.
pub fn parse_value(setting: BuildSetting, text: &str) -> Result<Value, &'static str> {
    match setting.kind {
        BuildSettingKind::Bool => {
            truth(text).map(Value::Bool).ok_or("it must be `true` or `false`")
        }
        BuildSettingKind::Int => {
            text.trim().parse().map(Value::Int).map_err(|_| "it must be a number")
        }
        BuildSettingKind::String => Ok(Value::str(text)),
        BuildSettingKind::StringList => {
            let items = text.split(',').filter(|item| !item.is_empty()).map(Value::str);
            Ok(Value::List(items.collect::<Arc<[Value]>>()))
        }
    }
}

/// Checks that a transition gave a setting a value of its type.
pub fn check_value(setting: BuildSetting, value: &Value) -> Result<(), &'static str> {
    match (setting.kind, value) {
        (BuildSettingKind::Bool, Value::Bool(_))
        | (BuildSettingKind::Int, Value::Int(_))
        | (BuildSettingKind::String, Value::Str(_))
        | (BuildSettingKind::StringList, Value::List(_)) => Ok(()),
        (BuildSettingKind::Bool, _) => Err("it must be `True` or `False`"),
        (BuildSettingKind::Int, _) => Err("it must be an int"),
        (BuildSettingKind::String, _) => Err("it must be a string"),
        (BuildSettingKind::StringList, _) => Err("it must be a list of strings"),
    }
}
