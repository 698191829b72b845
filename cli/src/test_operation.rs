//! What `asdf:test-system` does for a system, as far as its definition says it in a way that means
//! the same without ASDF.

use crate::lisp_reader::{Data, Form};

/// What `asdf:test-system` does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TestOperation {
    /// The systems whose own tests are run.
    pub systems: Vec<String>,
    /// The systems that are loaded before.
    pub loads: Vec<String>,
    /// What is evaluated then, read in `cl-user`.
    steps: Vec<String>,
    /// Whether something of it means nothing without ASDF.
    pub is_unclear: bool,
}

/// Words of ASDF and UIOP: a form with one of them cannot be taken over as it stands.
const WORDS_OF_ASDF: [&str; 13] = [
    "asdf",
    "symbol-call",
    "find-symbol",
    "find-symbol*",
    "find-system",
    "load-system",
    "test-system",
    "operate",
    "oos",
    "load-op",
    "test-op",
    "system-relative-pathname",
    "component-pathname",
];

impl TestOperation {
    /// The one form that does it all; `None` if nothing is evaluated.
    pub fn expression(&self) -> Option<String> {
        match &self.steps[..] {
            [] => None,
            [step] => Some(step.clone()),
            steps => Some(format!("(progn {})", steps.join(" "))),
        }
    }

    /// Does what `other` does, too.
    pub fn extend(&mut self, other: TestOperation) {
        self.systems.extend(other.systems);
        self.loads.extend(other.loads);
        self.steps.extend(other.steps);
        self.is_unclear |= other.is_unclear;
    }

    /// Reads `:in-order-to`: `((test-op (test-op "x") (load-op "y")))`.
    pub fn read_order(&mut self, order: &[Form]) {
        for entry in order {
            let [operation, needed @ ..] = entry.list() else { continue };
            if operation.name() != Some("test-op") {
                continue;
            }
            for needed in needed {
                let [operation, systems @ ..] = needed.list() else { continue };
                let names = systems.iter().filter_map(Form::name).map(str::to_lowercase);
                match operation.name() {
                    Some("test-op") => self.systems.extend(names),
                    Some("load-op" | "load-source-op") => self.loads.extend(names),
                    _ => {}
                }
            }
        }
    }

    /// Reads the body of a method `perform`, or of `:perform`, in `text`.
    pub fn read_body(&mut self, text: &str, body: &[Form]) {
        for form in body {
            if let Data::List(_) = form.data {
                match self.step(text, form) {
                    Some(step) if step.is_empty() => {}
                    Some(step) => self.steps.push(step),
                    None => self.is_unclear = true,
                }
            }
        }
    }

    /// The form that does the same without ASDF; empty if the build does it, `None` if it is not
    /// known.
    fn step(&mut self, text: &str, form: &Form) -> Option<String> {
        let rest = form.list().get(1..).unwrap_or_default();
        match (form.operator()?, rest) {
            ("declare" | "format" | "terpri" | "finish-output", _) => Some(String::new()),
            ("operate" | "oos" | "perform", [operation, system, ..]) => {
                let system = system.name()?.to_lowercase();
                match operation.name()? {
                    "test-op" => self.systems.push(system),
                    "load-op" => self.loads.push(system),
                    _ => return None,
                }
                Some(String::new())
            }
            ("load-system" | "require", [system, ..]) => {
                self.loads.push(system.name()?.to_lowercase());
                Some(String::new())
            }
            ("test-system", [system, ..]) => {
                self.systems.push(system.name()?.to_lowercase());
                Some(String::new())
            }
            // A false value is a failure: nobody has to signal an error.
            ("or" | "assert", [value, ..]) => self.step(text, value),
            ("unless", [value, failure]) if failure.operator() == Some("error") => {
                self.step(text, value)
            }
            ("progn", steps) => {
                self.read_body(text, steps);
                Some(String::new())
            }
            ("symbol-call", [package, name, arguments @ ..]) => {
                call(text, &symbol(name, package)?, arguments)
            }
            ("funcall", [function, arguments @ ..]) if looked_up(function).is_some() => {
                call(text, &looked_up(function)?, arguments)
            }
            (_, _) => {
                let own = without_asdf(text, form)?;
                // A bare name means something in the package of the definition only.
                let operator = own.trim_start_matches('(').split([' ', ')']).next()?;
                operator.contains(':').then_some(own)
            }
        }
    }
}

fn call(text: &str, function: &str, arguments: &[Form]) -> Option<String> {
    let mut call = format!("({function}");
    for argument in arguments {
        call.push(' ');
        match looked_up(argument) {
            Some(symbol) => call += &format!("'{symbol}"),
            None => call += &without_asdf(text, argument)?,
        }
    }
    Some(call + ")")
}

/// The symbol that `(intern "NAME" :package)` and its like yield, as the reader takes it.
fn looked_up(form: &Form) -> Option<String> {
    match (form.operator()?, form.list()) {
        ("intern" | "find-symbol" | "find-symbol*" | "intern*", [_, name, package, ..]) => {
            symbol(name, package)
        }
        _ => None,
    }
}

fn symbol(name: &Form, package: &Form) -> Option<String> {
    let package = match (package.operator(), package.list()) {
        (Some("find-package" | "find-package*"), [_, package, ..]) => package,
        _ => package,
    };
    Some(format!("{}::{}", designated(package)?, designated(name)?))
}

/// The name that a string or symbol stands for, as the reader takes it.
fn designated(form: &Form) -> Option<String> {
    match (&form.data, form.list()) {
        (Data::Text(name), _) if name.chars().any(char::is_lowercase) => Some(format!("|{name}|")),
        (Data::List(_), [_, name]) if matches!(form.operator(), Some("string" | "symbol-name")) => {
            designated(name)
        }
        _ => form.name().map(str::to_lowercase),
    }
}

/// The text of a form on one line, if it means the same without ASDF.
fn without_asdf(text: &str, form: &Form) -> Option<String> {
    let line = as_written(text, form)?;
    let lower = line.to_lowercase();
    let mut words = lower.split(|c: char| c.is_whitespace() || "()'`,:#\"".contains(c));
    let foreign = words.any(|word| WORDS_OF_ASDF.contains(&word));
    (!foreign && !line.contains("#.")).then_some(line)
}

/// The text of a form on one line, if it has no comments.
pub fn as_written(text: &str, form: &Form) -> Option<String> {
    let own = &text[form.span.clone()];
    let mut line = String::new();
    let (mut in_string, mut is_hidden) = (false, false);
    for c in own.chars() {
        match c {
            _ if is_hidden => is_hidden = false,
            '\\' => is_hidden = true,
            '"' => in_string = !in_string,
            ';' if !in_string => return None,
            _ => {}
        }
        match c.is_whitespace() && !in_string {
            true if line.ends_with([' ', '(']) => {}
            true => line.push(' '),
            false => line.push(c),
        }
    }
    (!line.contains("#|")).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lisp_reader::Reader;

    fn of(body: &str) -> TestOperation {
        let mut reader = Reader::new(body);
        let forms: Vec<Form> = std::iter::from_fn(|| reader.form()).collect();
        let mut test = TestOperation::default();
        test.read_body(body, &forms);
        test
    }

    #[test]
    fn ways_to_call_what_is_not_there_yet_become_calls() {
        for (body, expected) in [
            ("(symbol-call :fiveam '#:run! :suite)", "(fiveam::run! :suite)"),
            (
                "(uiop:symbol-call :5am :run! (find-symbol* \"ALL\" :my/tests))",
                "(5am::run! 'my/tests::all)",
            ),
            (
                "(or (funcall (intern (symbol-name '#:do-tests)\n (find-package '#:rt)))\n (error \"test-op failed\"))",
                "(rt::do-tests)",
            ),
            ("(unless (symbol-call :a :b \"x  y\")\n (error \"no\"))", "(a::b \"x  y\")"),
            ("(funcall (intern \"Run\" \"A\") :n   1)", "(a::|Run| :n 1)"),
            ("(declare (ignore c)) (load-system \"a\") (x:run\n :all)", "(x:run :all)"),
            ("(progn (symbol-call :a :b) (symbol-call :a :c))", "(progn (a::b) (a::c))"),
        ] {
            let test = of(body);
            assert_eq!(test.expression().as_deref(), Some(expected), "{body}");
            assert!(!test.is_unclear, "{body}");
        }
    }

    #[test]
    fn what_asdf_would_do_is_left_to_the_build() {
        let test = of("(operate 'load-op :a-tests) (asdf:test-system \"b\") (oos 'test-op 'c)");
        assert_eq!(
            (test.loads, test.systems),
            (vec!["a-tests".into()], vec!["b".into(), "c".into()])
        );
        assert_eq!(test.steps, Vec::<String>::new());
    }

    #[test]
    fn what_means_something_only_to_asdf_is_not_taken_over() {
        for body in [
            "(run-tests)",
            "(a:b (asdf:system-relative-pathname c \"x\"))",
            "(let ((*package* p)) (a:b))",
            "(symbol-call :a #.(string :b))",
            "(a:b ; comment\n 1)",
        ] {
            let test = of(body);
            assert!(test.is_unclear && test.expression().is_none(), "{body}: {test:?}");
        }
    }
}
