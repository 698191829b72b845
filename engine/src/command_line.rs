//! Command lines: from what a rule collected to the strings that a process gets, as Bazel does it.

use std::collections::HashSet;
use std::sync::Arc;

use crate::action::{ArgItem, ArgValues, Args, CommandArg, ManyArgs, ParamFileFormat};
use crate::action_key::identity;
use crate::artifact::{Artifact, ArtifactKind};
use crate::depset::Depset;
use crate::value::Value;

/// From this length on what may go to a parameter file does.
const LONGEST: usize = 128 << 10;

/// What a tree stands for: the paths of the files below it, relative to it; `None` if unknown.
pub type TreeFiles<'a> = &'a dyn Fn(&Artifact) -> Option<Vec<Arc<str>>>;

/// A command line with the parameter files that it names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExpandedCommand {
    /// The arguments, the program first.
    pub argv: Vec<String>,
    /// Exec paths and contents of parameter files.
    pub param_files: Vec<(String, String)>,
}

/// Expands a command line. `primary_output` is the exec path that parameter files are named after.
pub fn expand(args: &[CommandArg], primary_output: &str, trees: TreeFiles<'_>) -> ExpandedCommand {
    let parts: Vec<(Vec<String>, Option<&Args>)> = args
        .iter()
        .map(|arg| match arg {
            CommandArg::Str(text) => (vec![text.to_string()], None),
            CommandArg::Args(args) => (expand_args(args, trees).concat(), Some(&**args)),
        })
        .collect();
    // Each argument also costs a pointer and a NUL.
    let length: usize = parts.iter().flat_map(|(strings, _)| strings).map(|s| s.len() + 9).sum();
    let mut command = ExpandedCommand::default();
    for (strings, args) in parts {
        let param_file = args.and_then(|args| args.param_file.as_ref().map(|file| (args, file)));
        match param_file {
            Some((args, file)) if file.always || length > LONGEST => {
                let path = format!("{primary_output}-{}.params", command.param_files.len());
                command.argv.push(file.flag_format.replace("%s", &path));
                let lines = match args.format {
                    ParamFileFormat::FlagPerLine => {
                        // Only flags can stand in such a file.
                        let (flags, others): (Vec<_>, Vec<_>) =
                            lines(args, trees).into_iter().partition(|line| line.starts_with("--"));
                        command.argv.extend(others);
                        flags
                    }
                    _ => lines(args, trees),
                };
                command.param_files.push((path, text_of(&lines)));
            }
            _ => command.argv.extend(strings),
        }
    }
    command
}

/// The text of a file that is written from strings and arguments: strings as they are, arguments
/// one to a line in their format.
pub fn expand_content(content: &[CommandArg], trees: TreeFiles<'_>) -> String {
    let mut text = String::new();
    for part in content {
        match part {
            CommandArg::Str(part) => text += part,
            CommandArg::Args(args) => text += &text_of(&lines(args, trees)),
        }
    }
    text
}

fn text_of(lines: &[String]) -> String {
    lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
}

/// The arguments themselves, as nothing has to quote them.
pub fn plain(args: &Args, trees: TreeFiles<'_>) -> Vec<String> {
    expand_args(args, trees).concat()
}

/// The lines that arguments are in a file.
pub fn lines(args: &Args, trees: TreeFiles<'_>) -> Vec<String> {
    let groups = expand_args(args, trees);
    match args.format {
        ParamFileFormat::Shell => groups.concat().iter().map(|arg| quote(arg)).collect(),
        ParamFileFormat::Multiline => groups.concat(),
        ParamFileFormat::FlagPerLine => groups
            .into_iter()
            .filter(|group| !group.is_empty())
            .map(|group| match group.split_first() {
                Some((flag, values)) if !values.is_empty() => {
                    format!("{flag}={}", values.join(" "))
                }
                _ => group.concat(),
            })
            .collect(),
    }
}

/// From this number on the values of a list are not told one by one in an outline.
const LONG_LIST: usize = 100;

/// The arguments as far as they can be told without walking a depset: for one, and for a long list,
/// stands `…` and its identity.
pub fn outline(args: &Args) -> Vec<String> {
    let mut words = Vec::new();
    for item in &args.items {
        match item {
            ArgItem::One { flag, value, format } => {
                words.extend(flag.iter().map(ToString::to_string));
                words.push(apply(format.as_deref(), &text(value)));
            }
            ArgItem::Many(many) => {
                let identity = match &many.values {
                    ArgValues::List(list) if list.len() < LONG_LIST => {
                        words.extend(expand_many(many, &|_| None));
                        continue;
                    }
                    ArgValues::List(list) => identity(list),
                    ArgValues::Depset(depset) => depset.fingerprint(),
                };
                words.extend(many.flag.iter().map(ToString::to_string));
                words.push(format!("…{identity}"));
            }
        }
    }
    words
}

/// The depsets that an outline does not walk.
pub fn lists(args: &Args) -> impl Iterator<Item = &Depset> {
    args.items.iter().filter_map(|item| match item {
        ArgItem::Many(ManyArgs { values: ArgValues::Depset(depset), .. }) => Some(depset),
        _ => None,
    })
}

/// The own elements of a depset of arguments, as words.
pub fn own_words(depset: &Depset) -> Vec<String> {
    let mut words = Vec::new();
    add_values(depset.direct(), false, &|_| None, &mut words);
    words
}

/// The arguments, in one group for each call that added some.
fn expand_args(args: &Args, trees: TreeFiles<'_>) -> Vec<Vec<String>> {
    args.items
        .iter()
        .map(|item| match item {
            ArgItem::One { flag, value, format } => {
                let value = apply(format.as_deref(), &text(value));
                flag.iter().map(ToString::to_string).chain([value]).collect()
            }
            ArgItem::Many(many) => expand_many(many, trees),
        })
        .collect()
}

fn expand_many(many: &ManyArgs, trees: TreeFiles<'_>) -> Vec<String> {
    let mut values = Vec::new();
    match &many.values {
        ArgValues::List(list) => add_values(list, many.expand_directories, trees, &mut values),
        ArgValues::Depset(depset) => {
            add_values(&depset.to_list(), many.expand_directories, trees, &mut values);
        }
    }
    if many.uniquify {
        let mut seen = HashSet::new();
        values.retain(|value| seen.insert(value.clone()));
    }
    if values.is_empty() && many.omit_if_empty {
        return Vec::new();
    }
    let mut arguments: Vec<String> = many.flag.iter().map(ToString::to_string).collect();
    let each = values.iter().map(|value| apply(many.format_each.as_deref(), value));
    match &many.joined {
        Some(joined) => {
            let text = each.collect::<Vec<_>>().join(&joined.join_with);
            arguments.push(apply(joined.format_joined.as_deref(), &text));
        }
        None => {
            for value in each {
                arguments.extend(many.before_each.iter().map(ToString::to_string));
                arguments.push(value);
            }
            arguments.extend(many.terminate_with.iter().map(ToString::to_string));
        }
    }
    arguments
}

fn add_values(values: &[Value], expand: bool, trees: TreeFiles<'_>, to: &mut Vec<String>) {
    // Lists inside lists come from `map_each`, which returns one level of them.
    let mut pending: Vec<&Value> = values.iter().rev().collect();
    while let Some(value) = pending.pop() {
        match value {
            Value::List(inner) => pending.extend(inner.iter().rev()),
            Value::None => {}
            Value::File(file) if expand && file.kind() == ArtifactKind::Tree => match trees(file) {
                Some(children) => {
                    to.extend(children.iter().map(|c| format!("{}/{c}", file.exec_path())));
                }
                None => to.push(file.exec_path().to_owned()),
            },
            value => to.push(text(value)),
        }
    }
}

/// A value as an argument.
fn text(value: &Value) -> String {
    match value {
        Value::Str(text) | Value::BigInt(text) => text.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::File(file) => file.exec_path().to_owned(),
        Value::Label(label) => label.to_string(),
        // Analysis lets no other kind of value through.
        other => format!("<{}>", other.type_name()),
    }
}

/// Puts `value` in the place of `%s`; `%%` is one percent sign.
fn apply(format: Option<&str>, value: &str) -> String {
    let Some(format) = format else { return value.to_owned() };
    let mut result = String::with_capacity(format.len() + value.len());
    let mut rest = format;
    while let Some(position) = rest.find('%') {
        result += &rest[..position];
        let (insert, skip) = match rest[position + 1..].chars().next() {
            Some('s') => (value, 2),
            Some('%') => ("%", 2),
            _ => ("%", 1),
        };
        result += insert;
        rest = &rest[position + skip..];
    }
    result + rest
}

/// Quotes an argument for a shell, if it needs to be.
pub fn quote(argument: &str) -> String {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || "@%-_+:,./".contains(c);
    if !argument.is_empty() && argument.chars().all(is_safe) {
        return argument.to_owned();
    }
    format!("'{}'", argument.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::{Joined, ParamFile};
    use crate::artifact::Root;
    use crate::depset::{Depset, Order};
    use crate::label::{PackageId, RepoName};

    fn many(values: &[&str]) -> ManyArgs {
        ManyArgs {
            flag: None,
            values: ArgValues::List(values.iter().map(|v| Value::str(v)).collect()),
            format_each: None,
            before_each: None,
            terminate_with: None,
            omit_if_empty: true,
            uniquify: false,
            expand_directories: true,
            joined: None,
        }
    }

    fn artifact(kind: ArtifactKind, path: &str) -> Artifact {
        let owner = PackageId::new(RepoName::main(), "pkg").label("x");
        Artifact::new(kind, Root::Output("out".into()), path, owner)
    }

    fn command(items: Vec<ArgItem>) -> Vec<String> {
        let args = Args { items, ..Args::default() };
        let tree = |_: &Artifact| Some(vec!["a".into(), "b/c".into()]);
        expand(&[CommandArg::Args(Arc::new(args))], "out/x", &tree).argv
    }

    #[test]
    fn add_takes_a_flag_and_a_format() {
        let one = |flag: Option<&str>, value, format: Option<&str>| ArgItem::One {
            flag: flag.map(Into::into),
            value,
            format: format.map(Into::into),
        };
        assert_eq!(
            command(vec![
                one(None, Value::str("a"), None),
                one(Some("-n"), Value::Int(-3), None),
                one(Some("-f"), Value::str("x"), Some("%%[%s]%")),
                one(None, Value::File(artifact(ArtifactKind::File, "p")), Some("--o=%s")),
                one(None, Value::Label(PackageId::new(RepoName::main(), "p").label("l")), None),
            ]),
            ["a", "-n", "-3", "-f", "%[x]%", "--o=out/p", "//p:l"]
        );
    }

    #[test]
    fn add_all_formats_and_frames_each() {
        let all = ManyArgs {
            flag: Some("--all".into()),
            format_each: Some("<%s>".into()),
            before_each: Some("-I".into()),
            terminate_with: Some("--".into()),
            ..many(&["a", "b"])
        };
        assert_eq!(command(vec![ArgItem::Many(all)]), ["--all", "-I", "<a>", "-I", "<b>", "--"]);
    }

    #[test]
    fn an_empty_sequence_is_omitted_if_it_may_be() {
        let framed =
            ManyArgs { flag: Some("-f".into()), terminate_with: Some("--".into()), ..many(&[]) };
        assert!(command(vec![ArgItem::Many(framed.clone())]).is_empty());
        let kept = ManyArgs { omit_if_empty: false, ..framed };
        assert_eq!(command(vec![ArgItem::Many(kept.clone())]), ["-f", "--"]);
        let joined = Joined { join_with: ",".into(), format_joined: Some("=%s".into()) };
        let joined = ManyArgs { joined: Some(joined), terminate_with: None, ..kept };
        assert_eq!(command(vec![ArgItem::Many(joined)]), ["-f", "="]);
    }

    #[test]
    fn uniquify_drops_what_came_before() {
        let all = ManyArgs { uniquify: true, ..many(&["a", "b", "a"]) };
        assert_eq!(command(vec![ArgItem::Many(all)]), ["a", "b"]);
        assert_eq!(command(vec![ArgItem::Many(many(&["a", "a"]))]), ["a", "a"]);
    }

    #[test]
    fn add_joined_makes_one_argument() {
        let joined = Joined { join_with: ":".into(), format_joined: Some("-cp=%s".into()) };
        let all =
            ManyArgs { joined: Some(joined), format_each: Some("%s/".into()), ..many(&["a", "b"]) };
        assert_eq!(command(vec![ArgItem::Many(all)]), ["-cp=a/:b/"]);
    }

    #[test]
    fn trees_stand_for_their_files_unless_told_not_to() {
        let tree = Value::File(artifact(ArtifactKind::Tree, "t"));
        let list = Value::List([Value::str("x"), tree].into());
        let depset = Depset::new(Order::Default, vec![list], vec![]).unwrap();
        let all = ManyArgs { values: ArgValues::Depset(depset), ..many(&[]) };
        assert_eq!(command(vec![ArgItem::Many(all.clone())]), ["x", "out/t/a", "out/t/b/c"]);
        let all = ManyArgs { expand_directories: false, ..all };
        assert_eq!(command(vec![ArgItem::Many(all)]), ["x", "out/t"]);
    }

    fn with_param_file(format: ParamFileFormat, always: bool, values: &[&str]) -> ExpandedCommand {
        let flagged = ManyArgs { flag: Some("--flag".into()), ..many(&["v w", "it's"]) };
        let args = Args {
            items: vec![ArgItem::Many(many(values)), ArgItem::Many(flagged)],
            param_file: Some(ParamFile { flag_format: "@%s".into(), always }),
            format,
        };
        let args = [CommandArg::Str("prog".into()), CommandArg::Args(Arc::new(args))];
        expand(&args, "out/x", &|_| None)
    }

    #[test]
    fn parameter_files_have_three_formats() {
        for (format, argv, text) in [
            (ParamFileFormat::Shell, vec!["@out/x-0.params"], "a\n--flag\n'v w'\n'it'\\''s'\n"),
            (ParamFileFormat::Multiline, vec!["@out/x-0.params"], "a\n--flag\nv w\nit's\n"),
            (ParamFileFormat::FlagPerLine, vec!["@out/x-0.params", "a"], "--flag=v w it's\n"),
        ] {
            let command = with_param_file(format, true, &["a"]);
            assert_eq!(command.argv[1..], argv, "{format:?}");
            assert_eq!(command.param_files, [("out/x-0.params".to_owned(), text.to_owned())]);
        }
    }

    #[test]
    fn a_parameter_file_is_used_when_the_line_gets_long() {
        let short = with_param_file(ParamFileFormat::Shell, false, &["a"]);
        assert_eq!(short.argv, ["prog", "a", "--flag", "v w", "it's"]);
        assert!(short.param_files.is_empty());
        let long = "x".repeat(LONGEST);
        let long = with_param_file(ParamFileFormat::Shell, false, &[&long]);
        assert_eq!(long.argv, ["prog", "@out/x-0.params"]);
        assert_eq!(long.param_files.len(), 1);
    }

    #[test]
    fn content_is_strings_as_they_are_and_arguments_by_lines() {
        let args = Args {
            items: vec![ArgItem::Many(many(&["a b", "c"]))],
            format: ParamFileFormat::Multiline,
            ..Args::default()
        };
        let content = [CommandArg::Str("head ".into()), CommandArg::Args(Arc::new(args))];
        assert_eq!(expand_content(&content, &|_| None), "head a b\nc\n");
    }
}
