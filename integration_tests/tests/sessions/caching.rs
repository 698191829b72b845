//! What is done again and what is not.

use std::path::Path;

use rbz_integration_tests::projects::{build_file, tower};
use rbz_integration_tests::workspace::{mode, set_mode};
use rbz_integration_tests::{Outcome, Workspace, workspace};

/// Each action that ran, as `MNEMONIC OUTPUT`; the outputs of a compile by their FASL.
fn ran(outcome: &Outcome) -> Vec<String> {
    outcome.ran().iter().map(|action| format!("{} {}", action.mnemonic, action.output)).collect()
}

fn compiled(outcome: &Outcome) -> Vec<&str> {
    outcome.ran_of("LispCompile")
}

/// Says that `outcome` neither ran nor fetched anything.
fn assert_nothing_done(outcome: &Outcome) {
    assert!(outcome.ran().is_empty(), "nothing runs: {outcome}");
    assert!(outcome.events().cache_hits().is_empty(), "nothing is fetched: {outcome}");
}

#[test]
fn a_second_build_starts_no_process_and_reads_no_source() {
    let ws = tower().build();
    ws.rbz("build //...").run();
    // Sources as young as a build are read once more, since their times say nothing yet.
    ws.rbz("build //...").run();
    let outcome = ws.rbz("build //...").traced().run();
    assert_nothing_done(&outcome);
    assert_eq!(outcome.trace().processes, Vec::<String>::new());
    let mut opened = outcome.trace().opened_below(ws.root());
    opened.retain(|path| path != ".rbzrc");
    assert_eq!(opened, Vec::<String>::new());
}

#[test]
fn a_second_test_run_starts_no_process() {
    let ws = build_file("sh_test(name = \"t\", srcs = [\"t.sh\"])\n")
        .file("t.sh", "#!/bin/bash\n")
        .build();
    ws.rbz("test //...").run();
    ws.rbz("test //...").run();
    let outcome = ws.rbz("test //...").traced().run();
    assert_eq!(outcome.trace().processes, Vec::<String>::new());
    assert_nothing_done(&outcome);
}

#[test]
fn a_build_that_had_nothing_to_do_is_found_done_without_its_plan() {
    let ws = build_file(
        r#"
genrule(name = "g", srcs = glob(["d/*.txt"]), outs = ["o.txt"], cmd = "cat $(SRCS) > $@")
sh_binary(name = "p", srcs = ["p.sh"], data = [":g"])
sh_test(name = "t", srcs = ["t.sh"], data = [":g"], env_inherit = ["GREETING"])
"#,
    )
    .file("d/a.txt", "a\n")
    .file("p.sh", "#!/bin/bash\ncat o.txt\n")
    .file("t.sh", "#!/bin/bash\n[[ $GREETING != bad && -e o.txt ]]\n")
    .build();
    let settled = || {
        for _ in 0..2 {
            ws.rbz("test //... --test_output=all").env("GREETING", "x").run();
            ws.rbz("run //:p").run();
        }
        let outcome = ws.rbz("test //...").env("GREETING", "x").run();
        outcome.stdout_has("//:t").stdout_has("(cached) PASSED");
        outcome.stderr_has("up to date");
        let log = ws.rbz("info output_base").run().stdout().trim().to_owned() + "/plans";
        for command in ["test //... --test_output=all", "run //:p"] {
            let outcome = ws.rbz(command).env("GREETING", "x").traced().run();
            assert_eq!(
                outcome.trace().opened_below(Path::new(&log)),
                Vec::<String>::new(),
                "{command}"
            );
            assert_nothing_done(&outcome);
        }
    };
    settled();
    // Each change is seen, whatever it is.
    let run = |expected: &str| assert_eq!(ws.rbz("run //:p").run().stdout(), expected);
    ws.write("d/a.txt", "b\n");
    run("b\n");
    settled();
    ws.write("d/c.txt", "c\n");
    run("b\nc\n");
    settled();
    ws.remove("d/c.txt");
    run("b\n");
    settled();
    ws.edit("p.sh", "cat", "cat -n");
    run("     1\tb\n");
    settled();
    std::fs::remove_file(ws.path("rbz-bin/o.txt")).expect("it is there");
    run("     1\tb\n");
    settled();
    std::fs::remove_file(ws.path("rbz-bin/p.runfiles/test/o.txt")).expect("it is there");
    run("     1\tb\n");
    settled();
    ws.rbz("test //:t").env("GREETING", "bad").exit_code(3).run();
    ws.rbz("test //...").env("GREETING", "bad").exit_code(3).run();
    ws.rbz("build //... -c opt").run();
    ws.edit("BUILD", "cat $(SRCS)", "tac $(SRCS)");
    ws.write("d/d.txt", "d\n");
    run("     1\tb\n     2\td\n");
}

#[test]
fn what_is_wrong_is_said_however_often_the_rest_is_built() {
    let ws = build_file("genrule(name = \"g\", outs = [\"o.txt\"], cmd = \"echo o > $@\")\n")
        .file("bad/BUILD", "filegroup(name = \"f\", srcs = [\":none\"], no = 1)\n")
        .build();
    for _ in 0..4 {
        let outcome = ws.rbz("build -k //...").exit_code(1).run();
        outcome.stderr_has("bad/BUILD:1:");
        assert_eq!(ws.read("rbz-bin/o.txt"), "o\n");
    }
}

#[test]
fn a_changed_file_rebuilds_exactly_what_depends_on_it() {
    let ws = tower().own_cache().build();
    ws.rbz("build //...").run();

    ws.edit("greeting/greeting.lisp", "name)\n  (words", "name)\n  \"Greets NAME.\"\n  (words");
    let outcome = ws.rbz("build //...").run();
    assert_eq!(compiled(&outcome), ["app/app.fasl", "greeting/greeting.fasl"]);
    assert_eq!(outcome.ran_of("LispCore"), ["app/app~/app.core"]);
    assert_eq!(outcome.ran_of("CcLink"), ["app/app"]);

    ws.edit("weather/weather.lisp", ":rain", ":sun");
    let outcome = ws.rbz("build //...").run();
    assert_eq!(ran(&outcome), ["LispCompile weather/weather.fasl"]);

    ws.edit("app/app.lisp", "world", "you");
    let outcome = ws.rbz("build //...").run();
    assert_eq!(compiled(&outcome), ["app/app.fasl"]);
    ws.rbz("run //app").run().stdout_has("Hello, you!\n");
}

#[test]
fn restored_content_is_all_cache_hits() {
    let ws = tower().own_cache().build();
    ws.rbz("build //...").run();
    let before = ws.outputs(".fasl");
    let original = ws.read("words/macros.lisp");
    ws.edit("words/macros.lisp", "() ,text))", "() (identity ,text)))");
    let outcome = ws.rbz("build //...").run();
    assert_eq!(compiled(&outcome).len(), 4, "{:?}", ran(&outcome));
    assert_ne!(ws.outputs(".fasl"), before);

    ws.write("words/macros.lisp", &original);
    let outcome = ws.rbz("build //...").run();
    assert!(outcome.ran().is_empty(), "{:?}", ran(&outcome));
    assert!(!outcome.events().cache_hits().is_empty());
    assert_eq!(ws.outputs(".fasl"), before);
}

#[test]
fn a_file_that_was_only_touched_changes_nothing() {
    let ws = tower().build();
    ws.rbz("build //...").run();
    let text = ws.read("words/macros.lisp");
    ws.remove("words/macros.lisp");
    ws.write("words/macros.lisp", &text);
    assert_nothing_done(&ws.rbz("build //...").run());
}

#[test]
fn after_clean_the_disk_cache_has_everything() {
    let ws = tower().own_cache().build();
    ws.rbz("build //...").run();
    let before = ws.outputs("");
    for clean in ["clean", "clean --expunge"] {
        ws.rbz(clean).run();
        assert!(!ws.path("rbz-bin/app/app").exists());
        let outcome = ws.rbz("build //...").run();
        assert!(outcome.ran().is_empty(), "{:?}", ran(&outcome));
        assert_eq!(ws.outputs(""), before);
    }
}

#[test]
fn another_workspace_shares_the_disk_cache() {
    let ws = tower().build();
    ws.rbz("build //...").run();
    let other = ws.clone_to("elsewhere", false);
    assert!(other.rbz("build //...").run().ran().is_empty());
}

/// Three genrules in a row; the first forgets the case of its source.
fn chain() -> Workspace {
    build_file(
        r#"
genrule(name = "lower", srcs = ["in.txt"], outs = ["lower.txt"], cmd = "tr A-Z a-z < $< > $@")
genrule(name = "copy", srcs = ["lower.txt"], outs = ["copy.txt"], cmd = "cp $< $@")
genrule(name = "twice", srcs = ["copy.txt"], outs = ["twice.txt"], cmd = "cat $< $< > $@")
"#,
    )
    .file("in.txt", "Text\n")
    .own_cache()
    .build()
}

#[test]
fn an_output_that_did_not_change_stops_the_wave() {
    let ws = chain();
    assert_eq!(ws.rbz("build //...").run().ran().len(), 3);
    ws.write("in.txt", "TEXT\n");
    assert_eq!(ran(&ws.rbz("build //...").run()), ["Genrule lower.txt"]);
    ws.write("in.txt", "other\n");
    assert_eq!(ws.rbz("build //...").run().ran().len(), 3);
    assert_eq!(ws.read("rbz-bin/twice.txt"), "other\nother\n");
}

#[test]
fn a_comment_at_the_end_of_a_file_compiles_nothing_else() {
    let ws = build_file(
        r#"
lisp_library(name = "a", srcs = ["a.lisp"], load = "fasl")
lisp_library(name = "b", srcs = ["b.lisp"], deps = [":a"])
"#,
    )
    .file("a.lisp", "(defun a () 1)\n")
    .file("b.lisp", "(defun b () (a))\n")
    .own_cache()
    .build();
    ws.rbz("build //...").run();
    ws.write("a.lisp", "(defun a () 1)\n; a comment\n");
    let outcome = ws.rbz("build //...").run();
    assert_eq!(compiled(&outcome), ["a.fasl"], "the FASL is the same: {:?}", ran(&outcome));
}

#[test]
fn outputs_that_were_removed_or_changed_by_hand_come_back() {
    let ws = chain();
    ws.rbz("build //...").run();
    let file = ws.path("rbz-bin/copy.txt");
    std::fs::remove_file(&file).expect("outputs can be removed");
    let outcome = ws.rbz("build //...").run();
    assert!(outcome.ran().is_empty(), "{:?}", ran(&outcome));
    assert_eq!(ws.read("rbz-bin/copy.txt"), "text\n");

    std::fs::remove_file(&file).expect("outputs can be removed");
    std::fs::write(&file, "poison\n").expect("the directory can be written");
    ws.write("in.txt", "new\n");
    ws.rbz("build //...").run();
    assert_eq!(ws.read("rbz-bin/copy.txt"), "new\n");
    assert_eq!(ws.read("rbz-bin/twice.txt"), "new\nnew\n");
}

/// Changes one bit of the only blob of the disk cache with these bytes.
fn break_blob(ws: &Workspace, bytes: &[u8]) {
    // Outputs of genrules can be run, and lie in `cas-x`.
    let stores = ["cas", "cas-x"].map(|store| ws.disk_cache().join(store));
    let files = stores.iter().flat_map(walkdir::WalkDir::new).flatten();
    let has_bytes = |path: &Path| std::fs::read(path).is_ok_and(|content| content == bytes);
    let blobs: Vec<_> =
        files.map(|entry| entry.into_path()).filter(|path| has_bytes(path)).collect();
    let [blob] = &blobs[..] else { panic!("one blob has these bytes: {blobs:?}") };
    let mut broken = bytes.to_vec();
    broken[0] ^= 1;
    // Not through the old inode: links to it may be elsewhere.
    let mode = mode(blob);
    std::fs::remove_file(blob).expect("blobs can be removed");
    std::fs::write(blob, broken).expect("the cache can be written");
    set_mode(blob, mode);
}

#[test]
fn a_corrupt_blob_in_the_disk_cache_is_found_and_nothing_else_is_made_again() {
    let ws = chain();
    for (bytes, again) in [("text\n", "Genrule lower.txt"), ("text\ntext\n", "Genrule twice.txt")] {
        ws.rbz("build //...").run();
        ws.rbz("clean --expunge").run();
        break_blob(&ws, bytes.as_bytes());
        let outcome = ws.rbz("build //...").run();
        // `copy` makes the same bytes as `lower`, so that its output is there as soon as that is.
        assert_eq!(ran(&outcome), [again]);
        assert_eq!(ws.read("rbz-bin/copy.txt"), "text\n");
        assert_eq!(ws.read("rbz-bin/twice.txt"), "text\ntext\n");
    }
}

#[test]
fn ten_thousand_targets_are_loaded_once_and_then_nothing_is_looked_into() {
    let mut builder = workspace();
    for package in 0..100 {
        let targets: String =
            (0..100).map(|n| format!("filegroup(name = \"f{n}\", srcs = [\"a.txt\"])\n")).collect();
        builder = builder.file(&format!("p{package}/BUILD"), &targets);
        builder = builder.file(&format!("p{package}/a.txt"), "");
    }
    let ws = builder.build();
    ws.rbz("build //...").run().stderr_has("Analyzed 10000 targets");
    ws.rbz("build //...").run();
    let outcome = ws.rbz("build //...").traced().run();
    outcome.stderr_lacks("Analyzed");
    assert_eq!(outcome.trace().processes, Vec::<String>::new());
    assert_eq!(outcome.trace().opened_below(ws.root()), Vec::<String>::new());
}

#[test]
fn a_blob_that_is_gone_from_the_disk_cache_is_made_again() {
    let ws = chain();
    ws.rbz("build //...").run();
    ws.rbz("clean --expunge").run();
    for store in ["cas", "cas-x"] {
        // One of them may not be there at all.
        let _ = std::fs::remove_dir_all(ws.disk_cache().join(store));
    }
    let outcome = ws.rbz("build //...").run();
    // `copy` makes the same bytes as `lower`, so that its output is there as soon as that is.
    assert_eq!(ran(&outcome), ["Genrule lower.txt", "Genrule twice.txt"]);
    assert_eq!(ws.read("rbz-bin/twice.txt"), "text\ntext\n");
}

#[test]
fn what_an_action_printed_is_shown_again_on_a_cache_hit() {
    let ws = build_file("genrule(name = \"loud\", outs = [\"o.txt\"], cmd = \"echo a word of warning >&2; touch $@\")\n")
        .own_cache()
        .build();
    ws.rbz("build //...").run().stderr_has("a word of warning");
    ws.rbz("build //...").run().stderr_lacks("a word of warning");
    ws.rbz("clean").run();
    let outcome = ws.rbz("build //...").run();
    assert!(outcome.ran().is_empty());
    outcome.stderr_has("a word of warning");
}

#[test]
fn a_glob_sees_new_files_and_a_removed_one_goes() {
    let ws = build_file(
        r#"
genrule(name = "list", srcs = glob(["*.txt"]), outs = ["list"], cmd = "echo $(SRCS) > $@")
"#,
    )
    .file("a.txt", "")
    .build();
    ws.rbz("build //:list").run();
    assert_eq!(ws.read("rbz-bin/list"), "a.txt\n");
    ws.write("b.txt", "");
    ws.rbz("build //:list").run();
    assert_eq!(ws.read("rbz-bin/list"), "a.txt b.txt\n");
    ws.remove("a.txt");
    ws.rbz("build //:list").run();
    assert_eq!(ws.read("rbz-bin/list"), "b.txt\n");
    ws.write("unrelated.md", "");
    assert_nothing_done(&ws.rbz("build //:list").run());
}

#[test]
fn a_build_file_that_appears_or_changes_counts() {
    let ws = build_file("filegroup(name = \"all\", srcs = glob([\"**/*.txt\"]))\ngenrule(name = \"n\", srcs = [\":all\"], outs = [\"n\"], cmd = \"echo $(SRCS) > $@\")\n")
        .file("sub/a.txt", "")
        .file("b.txt", "")
        .build();
    ws.rbz("build //:n").run();
    assert_eq!(ws.read("rbz-bin/n"), "b.txt sub/a.txt\n");
    // Now `sub` is a package of its own, and its files are out of reach.
    ws.write("sub/BUILD", "");
    ws.rbz("build //:n").run();
    assert_eq!(ws.read("rbz-bin/n"), "b.txt\n");
    // BUILD.bazel comes before BUILD.
    ws.write("BUILD.bazel", "genrule(name = \"n\", outs = [\"n\"], cmd = \"echo other > $@\")\n");
    ws.rbz("build //:n").run();
    assert_eq!(ws.read("rbz-bin/n"), "other\n");
}

#[test]
fn a_bzl_file_that_changes_counts() {
    let ws = build_file("load(\":m.bzl\", \"m\")\nm(\"x\")\n")
        .file("m.bzl", "def m(name):\n    native.genrule(name = name, outs = [name + \".txt\"], cmd = \"echo one > $@\")\n")
        .build();
    ws.rbz("build //:x").run();
    ws.edit("m.bzl", "one", "two");
    ws.rbz("build //:x").run();
    assert_eq!(ws.read("rbz-bin/x.txt"), "two\n");
}

#[test]
fn a_target_is_built_after_another_pattern_without_doing_anything_again() {
    let ws = tower().build();
    ws.rbz("build //...").run();
    assert_nothing_done(&ws.rbz("build //greeting").run());
    assert_nothing_done(&ws.rbz("build //app //weather").run());
}

#[test]
fn a_file_that_became_a_directory_and_back() {
    let file = "genrule(name = \"o\", outs = [\"o.out\"], cmd = \"echo file > $@\")\n";
    let below = "genrule(name = \"p\", outs = [\"o.out/below\"], cmd = \"echo below > $@\")\n";
    let ws = build_file(file).build();
    ws.rbz("build //...").run();
    for _ in 0..2 {
        ws.write("BUILD", below);
        ws.rbz("build //...").run();
        assert_eq!(ws.read("rbz-bin/o.out/below"), "below\n");
        ws.write("BUILD", file);
        ws.rbz("build //...").run();
        assert_eq!(ws.read("rbz-bin/o.out"), "file\n");
    }
}

#[test]
fn a_failed_action_leaves_no_output_behind() {
    let ws =
        build_file("genrule(name = \"o\", outs = [\"o.txt\"], cmd = \"echo half > $@; exit 1\")\n")
            .build();
    ws.rbz("build //:o").exit_code(1).run();
    assert!(!ws.path("rbz-bin/o.txt").exists());
}
