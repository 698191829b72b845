//! Real libraries as the distribution ships them, with their own tests, and programs on them.

use rbz_integration_tests::{Workspace, workspace_from};

/// The workspace over the sources of the system, or `None`, said aloud, where they are missing.
fn libraries() -> Option<Workspace> {
    let sources = std::path::Path::new("/usr/share/common-lisp/source");
    for library in ["alexandria", "cl-ppcre", "ironclad", "fiveam"] {
        if !sources.join(library).is_dir() {
            eprintln!("skipped: no {library} in {}", sources.display());
            return None;
        }
    }
    Some(workspace_from("integration_tests/workspaces/libraries").build())
}

#[test]
fn they_build_and_their_tests_pass_and_then_nothing_is_left_to_do() {
    let Some(ws) = libraries() else { return };
    ws.rbz("build //...").run();
    ws.rbz("test //... --test_output=errors").run();
    ws.rbz("build //...").run();
    let again = ws.rbz("build //...").traced().run();
    assert_eq!(again.trace().processes, Vec::<String>::new());
    let sources = std::path::Path::new("/usr/share/common-lisp/source");
    assert_eq!(again.trace().opened_below(sources), Vec::<String>::new());
    assert!(ws.rbz("test //...").run().ran().is_empty());
}
