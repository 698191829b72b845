//! `$(location …)` and `$(VARIABLE)` in strings.

use std::collections::BTreeMap;
use std::sync::Arc;

use indexmap::IndexSet;
use rbz_engine::artifact::Artifact;
use rbz_engine::depset::Depset;
use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::label::{Label, PackageId};

use crate::configured_target::ConfiguredTarget;
use crate::nearest::hinted;

/// What `$(location …)` may name, with the files that it stands for. They are listed when a text
/// names them: most texts name none.
#[derive(Debug, Default)]
pub struct Locations {
    files: BTreeMap<Label, Vec<Meaning>>,
}

/// What a label may stand for.
#[derive(Clone, Debug)]
struct Meaning {
    files: Depset,
    /// The program of the target, which is meant where there is more than one file, or none.
    program: Option<Artifact>,
}

/// What a path in the expansion is relative to, where the function's name does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathStyle {
    /// The execution root: for actions.
    Exec,
    /// The runfiles directory of the workspace: for programs.
    Runfiles,
}

/// The functions, each with the style of its paths and whether it stands for several.
const FUNCTIONS: [(&str, Option<Style>, bool); 8] = [
    ("location", None, false),
    ("locations", None, true),
    ("execpath", Some(Style::Exec), false),
    ("execpaths", Some(Style::Exec), true),
    ("rootpath", Some(Style::Root), false),
    ("rootpaths", Some(Style::Root), true),
    ("rlocationpath", Some(Style::Rlocation), false),
    ("rlocationpaths", Some(Style::Rlocation), true),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Exec,
    Root,
    Rlocation,
}

impl Locations {
    /// Lets `label` stand for the files of `target`.
    pub fn add(&mut self, label: &Label, target: &ConfiguredTarget) {
        let info = target.default_info();
        let meaning = Meaning { files: info.files, program: info.files_to_run.executable };
        if *label != target.label {
            self.files.entry(target.label.clone()).or_default().push(meaning.clone());
        }
        self.files.entry(label.clone()).or_default().push(meaning);
    }

    /// Whether `label` stands for something.
    pub fn knows(&self, label: &Label) -> bool {
        self.files.contains_key(label)
    }

    /// Lets `label` stand for `files`.
    pub fn add_files(&mut self, label: &Label, files: Depset) {
        self.files.entry(label.clone()).or_default().push(Meaning { files, program: None });
    }

    /// The files that `label` stands for, each once; `None` if it stands for nothing.
    fn files(&self, label: &Label) -> Option<IndexSet<Artifact>> {
        let mut all = IndexSet::new();
        for meaning in self.files.get(label)? {
            let files = meaning.files.to_files();
            match &meaning.program {
                Some(program) if files.len() != 1 => {
                    all.insert(program.clone());
                }
                _ => all.extend(files),
            }
        }
        Some(all)
    }

    /// `text` with every location expanded. Labels are relative to `package`; `workspace` is the
    /// name of the main repository.
    pub fn expand(
        &self,
        text: &str,
        package: &PackageId,
        workspace: &str,
        style: PathStyle,
    ) -> Result<String, Diagnostic> {
        let mut result = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("$(") {
            let (before, call) = rest.split_at(at);
            result.push_str(before);
            let body = &call[2..];
            let function = FUNCTIONS.iter().find_map(|(name, fixed, several)| {
                let label = body.strip_prefix(name)?.strip_prefix(' ')?;
                Some((*name, *fixed, *several, label))
            });
            let dollars = before.chars().rev().take_while(|c| *c == '$').count();
            let Some((name, fixed, several, label)) = function.filter(|_| dollars % 2 == 0) else {
                result.push_str("$(");
                rest = body;
                continue;
            };
            let Some((label, after)) = label.split_once(')') else {
                return Err(Diagnostic::user(format!("`$({name} …` is not closed in `{text}`")));
            };
            let style = fixed.unwrap_or(match style {
                PathStyle::Exec => Style::Exec,
                PathStyle::Runfiles => Style::Root,
            });
            result.push_str(&self.paths(name, label.trim(), several, style, package, workspace)?);
            rest = after;
        }
        result.push_str(rest);
        Ok(result)
    }

    fn paths(
        &self,
        function: &str,
        text: &str,
        several: bool,
        style: Style,
        package: &PackageId,
        workspace: &str,
    ) -> Result<String, Diagnostic> {
        let mut label = Label::parse(text, package)
            .map_err(|error| Diagnostic::user(format!("in `$({function} {text})`: {error}")))?;
        if !workspace.is_empty() && label.repo().as_str() == workspace {
            let main = PackageId::new(rbz_engine::label::RepoName::main(), &label.package().path);
            label = Label::new(main, label.name());
        }
        let Some(files) = self.files(&label) else {
            let known: Vec<String> = self.files.keys().map(Label::to_string).collect();
            let error = Diagnostic::user(format!(
                "`$({function} {text})` names `{label}`, which is no dependency of the target"
            ));
            let error = hinted(error, &label.to_string(), known.iter().map(String::as_str));
            return Err(error.hint(format!("add `{label}` to `data`, `srcs` or `tools`")));
        };
        if !several && files.len() != 1 {
            return Err(Diagnostic::user(format!(
                "`$({function} {text})` must stand for one file, but `{label}` has {}",
                files.len()
            ))
            .hint(format!("write `$({function}s {text})` for all of them")));
        }
        let mut paths: Vec<String> =
            files.iter().map(|file| path(file, style, workspace)).collect();
        if several {
            paths.sort();
        }
        Ok(paths.join(" "))
    }
}

fn path(file: &Artifact, style: Style, workspace: &str) -> String {
    match style {
        Style::Exec => file.exec_path().to_owned(),
        Style::Root => file.short_path(),
        Style::Rlocation => match file.short_path().strip_prefix("../") {
            Some(path) => path.to_owned(),
            None => format!("{workspace}/{}", file.short_path()),
        },
    }
}

/// `text` with every `$(VARIABLE)` replaced by its value, and `$$` by `$`.
pub fn expand_make_variables(
    text: &str,
    attribute: &str,
    variables: &BTreeMap<Arc<str>, Arc<str>>,
) -> Result<String, Diagnostic> {
    let mut result = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        result.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            result.push('$');
            rest = after;
            continue;
        }
        let (name, remainder) = match after.strip_prefix('(') {
            Some(body) => body.split_once(')').ok_or_else(|| {
                Diagnostic::user(format!("`$(` is not closed in `{text}`, in `{attribute}`"))
            })?,
            None => {
                let end = after.chars().next().map_or(0, char::len_utf8);
                after.split_at(end)
            }
        };
        let value = variables.get(name).ok_or_else(|| {
            let error = Diagnostic::user(format!("`$({name})` is not defined, in `{attribute}`"));
            let known = variables.keys().map(|name| &**name);
            hinted(error, name, known)
                .hint("write `$$` for a dollar sign, `--define` to define a variable")
        })?;
        result.push_str(value);
        rest = remainder;
    }
    result.push_str(rest);
    Ok(result)
}

#[cfg(test)]
mod tests {
    use rbz_engine::artifact::{ArtifactKind, Root};
    use rbz_engine::label::RepoName;

    use super::*;

    fn locations() -> Locations {
        let mut locations = Locations::default();
        let package = PackageId::new(RepoName::main(), "a");
        let file = |name: &str| {
            let root = Root::Output("out/bin".into());
            Artifact::new(ArtifactKind::File, root, &format!("a/{name}"), package.label(name))
        };
        locations.add_files(&package.label("one"), Depset::of_files([file("one.txt")]));
        locations.add_files(&package.label("two"), Depset::of_files([file("y"), file("x")]));
        locations
    }

    fn expand(text: &str) -> Result<String, String> {
        let package = PackageId::new(RepoName::main(), "a");
        locations().expand(text, &package, "ws", PathStyle::Exec).map_err(|error| error.to_string())
    }

    #[test]
    fn every_function_has_its_paths() {
        for (text, expanded) in [
            ("-f $(location :one)!", "-f out/bin/a/one.txt!"),
            ("$(locations two)", "out/bin/a/x out/bin/a/y"),
            ("$(execpath //a:one)", "out/bin/a/one.txt"),
            ("$(rootpath one)", "a/one.txt"),
            ("$(rlocationpath @ws//a:one)", "ws/a/one.txt"),
            ("$(OTHER) $$(location one)", "$(OTHER) $$(location one)"),
        ] {
            assert_eq!(expand(text).as_deref(), Ok(expanded), "{text}");
        }
    }

    #[test]
    fn a_location_that_cannot_be_expanded_says_why() {
        insta::assert_snapshot!(expand("$(location :on)").unwrap_err(), @r"
        `$(location :on)` names `//a:on`, which is no dependency of the target
        hint: did you mean `//a:one`?
        hint: add `//a:on` to `data`, `srcs` or `tools`
        ");
        insta::assert_snapshot!(expand("$(location :two)").unwrap_err(), @r"
        `$(location :two)` must stand for one file, but `//a:two` has 2
        hint: write `$(locations :two)` for all of them
        ");
        insta::assert_snapshot!(expand("$(location :two").unwrap_err(), @"`$(location …` is not closed in `$(location :two`");
    }

    #[test]
    fn make_variables_are_expanded_once() {
        let variables = BTreeMap::from([("CPU".into(), "k8".into()), ("@".into(), "out".into())]);
        let expand = |text| expand_make_variables(text, "cmd", &variables);
        assert_eq!(expand("$(CPU) $$HOME $@").unwrap(), "k8 $HOME out");
        insta::assert_snapshot!(expand("$(CPV)").unwrap_err(), @r"
        `$(CPV)` is not defined, in `cmd`
        hint: did you mean `CPU`?
        hint: write `$$` for a dollar sign, `--define` to define a variable
        ");
    }
}
