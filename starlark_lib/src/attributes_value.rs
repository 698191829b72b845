//! `ctx.attr`, `ctx.file`, `ctx.files`, `ctx.executable`, `ctx.outputs`: views of the attributes.

use std::fmt;
use std::sync::Arc;

use allocative::Allocative;
use rbz_engine::artifact::{Artifact, ArtifactKind};
use starlark::starlark_simple_value;
use starlark::values::dict::AllocDict;
use starlark::values::list::AllocList;
use starlark::values::{
    Heap, NoSerialize, ProvidesStaticType, StarlarkValue, Value, starlark_value,
};

use crate::attr::{AttrKind, AttrValue};
use crate::conversion::from_plain;
use crate::file_value::FileValue;
use crate::instantiation::implicit_output;
use crate::resolved_attributes::ResolvedAttribute;
use crate::rule_context::RuleContext;
use crate::target_value::TargetValue;

/// What of the attributes is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// Their values, labels as targets.
    Attr,
    /// One file each.
    File,
    /// All files.
    Files,
    /// The program of each.
    Executable,
    /// The outputs that they declare.
    Outputs,
}

/// A view of the attributes of a target.
#[derive(Clone, Debug, ProvidesStaticType, NoSerialize, Allocative)]
pub struct AttributesValue {
    #[allocative(skip)]
    context: Arc<RuleContext>,
    #[allocative(skip)]
    view: View,
}

starlark_simple_value!(AttributesValue);

impl AttributesValue {
    /// The view of the attributes of a target.
    pub fn new(context: Arc<RuleContext>, view: View) -> Self {
        AttributesValue { context, view }
    }
}

impl fmt::Display for AttributesValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<attributes of {}>", self.context.label)
    }
}

#[starlark_value(type = "struct")]
impl<'v> StarlarkValue<'v> for AttributesValue {
    fn get_attr(&self, name: &str, heap: Heap<'v>) -> Option<Value<'v>> {
        let name = crate::dialect::real_name(name);
        if self.view == View::Outputs {
            return self.context.output(name, heap);
        }
        let attribute = self.context.attribute(name)?;
        let file = |file: Option<Artifact>| match file {
            Some(file) => heap.alloc(FileValue(file)),
            None => Value::new_none(),
        };
        match (self.view, &*attribute.kind) {
            (View::Attr, _) => Some(self.context.attribute_value(attribute, heap)),
            (View::File, AttrKind::Label(label)) if label.single_file => {
                Some(file(self.context.single_file(name)))
            }
            (View::Executable, AttrKind::Label(label)) if label.executable => {
                let target = attribute.dependencies.first();
                Some(file(target.and_then(|(_, index)| {
                    self.context.dependencies[*index].default_info().files_to_run.executable
                })))
            }
            (View::Files, kind) if is_of_labels(kind) => {
                let files = self.context.files(attribute);
                Some(heap.alloc(AllocList(files.into_iter().map(FileValue))))
            }
            _ => None,
        }
    }

    fn dir_attr(&self) -> Vec<String> {
        let fits = |kind: &AttrKind| match (self.view, kind) {
            (View::Attr, _) => true,
            (View::File, AttrKind::Label(label)) => label.single_file,
            (View::Executable, AttrKind::Label(label)) => label.executable,
            (View::Files, kind) => is_of_labels(kind),
            (View::Outputs, AttrKind::Output | AttrKind::OutputList) => true,
            _ => false,
        };
        let attributes = self.context.attributes.iter();
        let mut names: Vec<String> = attributes
            .filter(|(_, attribute)| fits(&attribute.kind))
            .map(|(name, _)| name.to_string())
            .collect();
        if self.view == View::Outputs {
            let implicit = &self.context.schema.implicit_outputs;
            names.extend(implicit.iter().map(|(name, _)| name.to_string()));
            if self.context.schema.executable {
                names.push("executable".to_owned());
            }
        }
        names
    }
}

fn is_of_labels(kind: &AttrKind) -> bool {
    matches!(
        kind,
        AttrKind::Label(_)
            | AttrKind::LabelList(_)
            | AttrKind::LabelKeyedStringDict(_)
            | AttrKind::StringKeyedLabelDict(_)
    )
}

impl RuleContext {
    fn attribute_value<'v>(&self, attribute: &ResolvedAttribute, heap: Heap<'v>) -> Value<'v> {
        let target = |index: usize| heap.alloc(TargetValue::from_plain(&self.target(index)));
        let targets = || attribute.dependencies.iter().map(|(_, index)| target(*index));
        match (&*attribute.kind, &attribute.value) {
            // As in Bazel a transition on an attribute makes a list of its one label.
            (AttrKind::Label(_), _) if attribute.transitioned => heap.alloc(AllocList(targets())),
            (AttrKind::Label(_), _) => targets().next().unwrap_or(Value::new_none()),
            (AttrKind::LabelList(_), _) => heap.alloc(AllocList(targets())),
            (AttrKind::LabelKeyedStringDict(_), AttrValue::LabelKeyedStringDict(entries)) => {
                let values = entries.iter().map(|(_, text)| &**text);
                heap.alloc(AllocDict(targets().zip(values)))
            }
            (AttrKind::StringKeyedLabelDict(_), AttrValue::StringKeyedLabelDict(entries)) => {
                let keys = entries.iter().map(|(text, _)| &**text);
                heap.alloc(AllocDict(keys.zip(targets())))
            }
            (_, value) => from_plain(&value.to_plain(), heap),
        }
    }

    /// The output called `name` in `ctx.outputs`.
    fn output<'v>(&self, name: &str, heap: Heap<'v>) -> Option<Value<'v>> {
        let declare = |file: &str| {
            let artifact = self.declare(ArtifactKind::File, file, None, None).ok()?;
            Some(heap.alloc(FileValue(artifact)))
        };
        if let Some(attribute) = self.attribute(name) {
            return match (&*attribute.kind, &attribute.value) {
                (AttrKind::Output, AttrValue::Label(label)) => declare(label.name()),
                (AttrKind::Output, _) => Some(Value::new_none()),
                (AttrKind::OutputList, AttrValue::LabelList(labels)) => {
                    let files: Option<Vec<Value>> =
                        labels.iter().map(|label| declare(label.name())).collect();
                    Some(heap.alloc(AllocList(files?)))
                }
                (AttrKind::OutputList, _) => Some(heap.alloc(AllocList::EMPTY)),
                _ => None,
            };
        }
        if let Some(file) = self.implicit_output(name) {
            return declare(&file);
        }
        match name {
            "executable" if self.schema.executable => declare(self.label.name()),
            _ => None,
        }
    }

    /// The file name of the implicit output `name` (`outputs` of the rule).
    pub fn implicit_output(&self, name: &str) -> Option<String> {
        let (_, template) =
            self.schema.implicit_outputs.iter().find(|(output, _)| &**output == name)?;
        let text_of =
            |attribute: &str| self.attribute(attribute)?.value.as_part_of_name().map(str::to_owned);
        // A template that cannot be filled in was refused when the target was declared.
        implicit_output(template, text_of).ok()
    }
}
