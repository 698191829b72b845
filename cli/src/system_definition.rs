//! System definitions: which files an `.asd` file names, in which order, and what they need.
//!
//! Only what can be read without a Lisp is understood. What is computed (`#.(…)`) is left out, so
//! that the result is a good beginning and not a translation.

/// A system that a `defsystem` form describes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct System {
    /// Its name, in lower case.
    pub name: String,
    /// Its files, without their extension, relative to the file of the definition; each comes
    /// after those that it depends on.
    pub files: Vec<String>,
    /// The systems that it depends on, in lower case.
    pub dependencies: Vec<String>,
}

/// What is true of the Lisp and the machine that rbz builds with.
const FEATURES: [&str; 15] = [
    "sbcl",
    "common-lisp",
    "ansi-cl",
    "unix",
    "linux",
    "x86-64",
    "64-bit",
    "little-endian",
    "ieee-floating-point",
    "sb-thread",
    "sb-unicode",
    "asdf",
    "asdf2",
    "asdf3",
    "asdf3.1",
];

/// Text that is nested deeper is not looked at.
const DEPTH_LIMIT: usize = 100;

/// The systems of a file with this text, in its order.
pub fn systems(text: &str) -> Vec<System> {
    let mut reader = Reader { rest: text, depth: 0 };
    let mut systems = Vec::new();
    while let Some(form) = reader.form() {
        if let Some(system) = system(&form) {
            systems.push(system);
        }
    }
    systems
}

/// What the reader makes of a form.
#[derive(Debug)]
enum Form {
    List(Vec<Form>),
    /// A string, a symbol or a keyword; symbols in lower case, without their package.
    Name(String),
    /// A keyword, without its colon.
    Keyword(String),
    /// Something that says nothing about files.
    Other,
}

impl Form {
    fn list(&self) -> &[Form] {
        match self {
            Form::List(forms) => forms,
            _ => &[],
        }
    }

    /// The text of a name or a keyword: systems and files may be named by either.
    fn name(&self) -> Option<&str> {
        match self {
            Form::Name(text) | Form::Keyword(text) => Some(text),
            _ => None,
        }
    }

    fn is_keyword(&self, name: &str) -> bool {
        matches!(self, Form::Keyword(text) if text == name)
    }
}

/// The value after the keyword `name` in a property list.
fn property<'a>(forms: &'a [Form], name: &str) -> Option<&'a Form> {
    let at = forms.iter().position(|form| form.is_keyword(name))?;
    forms.get(at + 1)
}

fn system(form: &Form) -> Option<System> {
    let [Form::Name(operator), name, options @ ..] = form.list() else { return None };
    if operator != "defsystem" {
        return None;
    }
    let mut files = Vec::new();
    components(options, "", &mut files);
    let dependencies = property(options, "depends-on").map(Form::list).unwrap_or_default();
    Some(System {
        name: name.name()?.to_lowercase(),
        files,
        dependencies: dependencies.iter().filter_map(dependency).collect(),
    })
}

/// `"name"`, `(:version "name" …)`, `(:feature expression "name")`.
fn dependency(form: &Form) -> Option<String> {
    let name = match form.list() {
        [] => form.name(),
        [kind, condition, name] if kind.is_keyword("feature") => match holds(condition) {
            true => return dependency(name),
            false => None,
        },
        [kind, name, ..] if kind.is_keyword("version") || kind.is_keyword("require") => name.name(),
        _ => None,
    };
    name.map(str::to_lowercase)
}

/// Adds the files below a system or module with these options.
fn components(options: &[Form], directory: &str, files: &mut Vec<String>) {
    let directory = match property(options, "pathname") {
        Some(Form::Name(path)) => join(directory, path),
        _ => directory.to_owned(),
    };
    let all = property(options, "components").map(Form::list).unwrap_or_default();
    for component in in_order(all) {
        let [kind, name, options @ ..] = component.list() else { continue };
        let Some(name) = name.name() else { continue };
        if property(options, "if-feature").is_some_and(|condition| !holds(condition)) {
            continue;
        }
        if kind.is_keyword("module") {
            let own = property(options, "pathname").is_some();
            let directory = if own { directory.clone() } else { join(&directory, name) };
            components(options, &directory, files);
        } else if matches!(kind, Form::Keyword(kind) if is_lisp_file(kind)) {
            let path = match property(options, "pathname") {
                Some(Form::Name(path)) => path.trim_end_matches(".lisp"),
                _ => name,
            };
            files.push(join(&directory, path));
        }
    }
}

/// Whether components of this kind are files of Lisp: `file`, `cl-source-file`, and classes that a
/// system defines for its own.
fn is_lisp_file(kind: &str) -> bool {
    kind.ends_with("file") && !["static-file", "doc-file", "html-file"].contains(&kind)
}

/// The components, each after those of its siblings that it depends on.
fn in_order(components: &[Form]) -> Vec<&Form> {
    let name = |form: &Form| form.list().get(1).and_then(Form::name).map(str::to_owned);
    let mut left: Vec<&Form> = components.iter().collect();
    let mut ordered = Vec::new();
    while !left.is_empty() {
        let names: Vec<_> = left.iter().filter_map(|form| name(form)).collect();
        let waits = |form: &Form| {
            let needed = property(form.list(), "depends-on").map(Form::list).unwrap_or_default();
            let mut needed = needed.iter().filter_map(Form::name);
            needed.any(|needed| {
                names.iter().any(|left| left == needed) && name(form).as_deref() != Some(needed)
            })
        };
        // In a cycle, which is a mistake, the order is that of the text.
        let next = left.iter().position(|form| !waits(form)).unwrap_or(0);
        ordered.push(left.remove(next));
    }
    ordered
}

fn join(directory: &str, path: &str) -> String {
    let path = path.trim_end_matches('/');
    match (directory, path) {
        (_, "") => directory.to_owned(),
        ("", _) => path.to_owned(),
        _ => format!("{directory}/{path}"),
    }
}

/// Whether a feature expression is true.
fn holds(expression: &Form) -> bool {
    match expression.list() {
        [] => expression.name().is_some_and(|name| FEATURES.contains(&name)),
        [operator, rest @ ..] => match operator.name() {
            Some("and") => rest.iter().all(holds),
            Some("or") => rest.iter().any(holds),
            Some("not") => !rest.iter().any(holds),
            _ => false,
        },
    }
}

/// Reads forms as Lisp does, as far as system definitions need it.
struct Reader<'a> {
    rest: &'a str,
    depth: usize,
}

impl Reader<'_> {
    /// The next form; `None` at the end of the list or of the text.
    fn form(&mut self) -> Option<Form> {
        loop {
            self.skip_blanks();
            let first = self.rest.chars().next()?;
            let after = &self.rest[first.len_utf8()..];
            match first {
                ')' => return None,
                '(' => {
                    self.rest = after;
                    return Some(self.list());
                }
                '"' => {
                    self.rest = after;
                    return Some(Form::Name(self.until('"')));
                }
                '\'' | '`' | ',' | '@' => self.rest = after,
                '#' => {
                    if let Some(form) = self.dispatch(after) {
                        return Some(form);
                    }
                }
                _ => return Some(self.atom()),
            }
        }
    }

    fn list(&mut self) -> Form {
        self.depth += 1;
        let mut forms = Vec::new();
        if self.depth > DEPTH_LIMIT {
            self.rest = "";
        }
        while let Some(form) = self.form() {
            forms.push(form);
        }
        self.rest = self.rest.strip_prefix(')').unwrap_or(self.rest);
        self.depth -= 1;
        Form::List(forms)
    }

    /// What follows `#`; `None` if that is no form.
    fn dispatch(&mut self, after: &str) -> Option<Form> {
        // The text is at `#` yet, whose length is one.
        let skip = |reader: &mut Self, length: usize| reader.rest = &reader.rest[1 + length..];
        match after.chars().next() {
            Some('|') => {
                let end = after.find("|#").map_or(after.len(), |end| end + 2);
                skip(self, end);
                None
            }
            Some(sign @ ('+' | '-')) => {
                skip(self, 1);
                let condition = self.form()?;
                let form = self.form()?;
                (holds(&condition) == (sign == '+')).then_some(form)
            }
            Some('.') => {
                skip(self, 1);
                self.form();
                Some(Form::Other)
            }
            Some('\\') => {
                skip(self, 1);
                let length = self.rest.chars().next().map_or(0, char::len_utf8);
                self.rest = &self.rest[length..];
                self.atom();
                Some(Form::Other)
            }
            Some('p' | 'P') => {
                skip(self, 1);
                self.form()
            }
            // `#:name`, `#'name`.
            Some(':' | '\'') => {
                skip(self, 1);
                Some(self.atom())
            }
            _ => {
                skip(self, 0);
                None
            }
        }
    }

    fn atom(&mut self) -> Form {
        let is_end = |c: char| c.is_whitespace() || "()\"';`,".contains(c);
        let end = self.rest.find(is_end).unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        let text = text.replace('|', "").to_lowercase();
        match text.strip_prefix(':') {
            Some(name) => Form::Keyword(name.to_owned()),
            None => Form::Name(text.rsplit(':').next().unwrap_or_default().to_owned()),
        }
    }

    /// The text before the next `end`, which a backslash may hide.
    fn until(&mut self, end: char) -> String {
        let mut text = String::new();
        let mut characters = self.rest.char_indices();
        while let Some((at, c)) = characters.next() {
            if c == end {
                self.rest = &self.rest[at + c.len_utf8()..];
                return text;
            }
            text.push(match c {
                '\\' => characters.next().map_or('\\', |(_, c)| c),
                _ => c,
            });
        }
        self.rest = "";
        text
    }

    fn skip_blanks(&mut self) {
        loop {
            self.rest = self.rest.trim_start();
            if !self.rest.starts_with(';') {
                return;
            }
            self.rest = self.rest.find('\n').map_or("", |end| &self.rest[end..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> System {
        let mut systems = systems(text);
        assert_eq!(systems.len(), 1, "{systems:?}");
        systems.remove(0)
    }

    #[test]
    fn files_come_in_the_order_in_which_they_load() {
        let system = one(r#"
;; A comment with (defsystem "no")
#| (defsystem "nor this") |#
(in-package :asdf-user)
(asdf:defsystem #:My-System
  :version "1.0" :long-description "with \"quotes\" and (brackets"
  :depends-on (:alexandria #+sbcl "sb-posix" #-sbcl "osicat" (:version "babel" "1")
               (:feature :ccl "other") (:feature (:and :sbcl (:not :win32)) "bordeaux-threads"))
  :pathname "code/"
  :components ((:file "main" :depends-on ("package" "util"))
               (:static-file "README")
               (:file "package")
               (:module "util" :depends-on ("package")
                :components ((:file "a") #+(or ccl ecl) (:file "b") (:file #+sbcl "c" #-sbcl "d")))
               (:module "flat" :pathname "" :components ((:file "e" :if-feature :sbcl)
                                                         (:file "f" :if-feature :ccl)))))
(defmethod perform ((o test-op) (c (eql (find-system :my-system)))) #\( 'x)
"#);
        assert_eq!(system.name, "my-system");
        let files = ["code/package", "code/util/a", "code/util/c", "code/main", "code/e"];
        assert_eq!(system.files, files);
        let needed = ["alexandria", "sb-posix", "babel", "bordeaux-threads"];
        assert_eq!(system.dependencies, needed);
    }

    #[test]
    fn what_is_computed_or_broken_is_left_out() {
        let system = one("(defsystem \"x\" :version #.(read-version \"v\") :components \
                          ((:file \"a\" :depends-on (\"b\")) (:file \"b\" :depends-on (\"a\"))))");
        assert_eq!(system.files, ["a", "b"]);
        for text in ["", "(", ")", "\"", "#", "#+", "(defsystem", "(defsystem)", "#|", "'", "#\\"] {
            assert_eq!(systems(text), [], "{text}");
        }
        assert_eq!(systems(&"(".repeat(100_000)), []);
    }
}
