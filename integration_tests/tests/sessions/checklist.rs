//! Everything that the Lisp rules must do, line by line, and the test that would fail if they did not.

use std::collections::BTreeSet;
use std::fs;

use rbz_integration_tests::binary::repository;

/// What must hold, and the tests that show it: `module::test` of the sessions, or `driver/module::test`
/// of the driver's own tests.
type Line = (&'static str, &'static [&'static str]);

const WHERE_RULES_COME_FROM: &[Line] = &[
    (
        "@rules_lisp and @bazelisp give the rules that are shipped",
        &["lisp_rules::bazelisp_s_loads_give_the_same_rules"],
    ),
    (
        "a workspace that is called bazelisp loads //:rules.bzl",
        &["bazelisp::build_files_for_bazelisp_load_and_build_as_they_are"],
    ),
    ("WORKSPACE can override a shipped repository", &["repositories::a_local_repository"]),
    (
        "lisp_compile_srcs with all its arguments, for rules of others",
        &["bazelisp::rules_of_others_are_built_on_the_public_functions"],
    ),
    (
        "LispInfo, collect_lisp_info, extend_lisp_info, print_provider",
        &["bazelisp::rules_of_others_are_built_on_the_public_functions"],
    ),
    (
        "repositories.bzl and setup.bzl",
        &["bazelisp::build_files_for_bazelisp_load_and_build_as_they_are"],
    ),
    (
        "the labels of the image, of elfinate and of msan",
        &[
            "bazelisp::build_files_for_bazelisp_load_and_build_as_they_are",
            "bazelisp::the_parts_of_the_lisp_have_labels",
        ],
    ),
    (
        "@local_sbcl has its program, core, C support and contribs",
        &["bazelisp::the_parts_of_the_lisp_have_labels"],
    ),
    ("Lisp rules need no load", &["lisp_rules::serial_files_see_those_before_them"]),
    (
        "C rules need no load",
        &["c_rules::programs_of_c_and_cxx_are_compiled_file_by_file_and_linked"],
    ),
    (
        "filegroup, genrule, alias, sh rules need no load",
        &[
            "core_rules::a_genrule_knows_its_files_by_variables",
            "core_rules::an_alias_stands_for_its_target",
            "core_rules::shell_rules_hand_on_their_data",
        ],
    ),
    (
        "test_suite, config_setting, select need no load",
        &[
            "testing::filters_choose_among_tests",
            "configuration::select_follows_mode_define_and_default",
        ],
    ),
    (
        "package, package_group, exports_files, glob, licenses",
        &[
            "core_rules::package_sets_defaults_and_groups_give_visibility",
            "core_rules::exported_files_are_visible_and_others_not",
            "core_rules::globs_exclude_and_stop_at_packages",
            "bazelisp::build_files_for_bazelisp_load_and_build_as_they_are",
        ],
    ),
    ("existing_rules and native, for macros", &["core_rules::macros_see_the_package_by_native"]),
    (
        "unknown attributes are an error at their place, with a near name",
        &["wrong_input::an_unknown_attribute"],
    ),
    (
        "wrong types, missing files, duplicate names",
        &[
            "wrong_input::a_value_of_the_wrong_type",
            "wrong_input::a_file_that_is_missing",
            "wrong_input::two_targets_of_one_name",
            "wrong_input::a_file_that_is_missing_but_is_elsewhere_or_written_otherwise",
        ],
    ),
    ("visibility is enforced", &["wrong_input::a_target_that_is_not_visible"]),
    (
        "an attribute that is None is not given",
        &["bazelisp::build_files_for_bazelisp_load_and_build_as_they_are"],
    ),
];

const ATTRIBUTES: &[Line] = &[
    (
        "srcs: .lisp and .lsp, compiled in order",
        &[
            "bazelisp::build_files_for_bazelisp_load_and_build_as_they_are",
            "wrong_input::a_source_of_the_wrong_kind",
        ],
    ),
    ("deps: targets with LispInfo", &["wrong_input::a_dependency_without_the_provider"]),
    ("deps: a lisp_binary too", &["lisp_attributes::a_program_can_be_a_dependency"]),
    (
        "cdeps, in programs and tests; cdeps_at_compile",
        &["cdeps::lisp_calls_c_in_programs_tests_and_macros_and_c_calls_lisp"],
    ),
    (
        "order: serial, parallel, multipass",
        &[
            "lisp_rules::serial_files_see_those_before_them",
            "lisp_rules::parallel_files_see_no_other",
            "lisp_rules::multipass_files_see_all_others",
        ],
    ),
    (
        "load: source, fasl, image, for later files and for users",
        &[
            "lisp_rules::load_says_whether_a_function_is_interpreted_or_compiled",
            "lisp_rules::load_image_keeps_what_compiling_did",
            "lisp_rules::a_target_is_loaded_in_its_own_way_by_those_that_use_it",
        ],
    ),
    (
        "a message says which way of loading would help",
        &["driver/files::code_that_cannot_be_loaded_as_source_gets_the_hint"],
    ),
    (
        "load is part of the key of an action",
        &["lisp_rules::load_says_whether_a_function_is_interpreted_or_compiled"],
    ),
    (
        "a block over several files: positions, hashes, in-package",
        &["driver/loading::several_files_are_one_block_and_stay_files_in_messages"],
    ),
    (
        "block_compile: a whole file, several files, for libraries, programs and tests",
        &[
            "lisp_attributes::several_sources_are_one_block_and_one_action",
            "driver/loading::several_files_are_one_block_and_stay_files_in_messages",
        ],
    ),
    (
        "block_compile_specified_only",
        &[
            "driver/loading::a_block_can_be_what_the_file_says",
            "lisp_attributes::several_sources_are_one_block_and_one_action",
        ],
    ),
    (
        "data: runfiles of the target and its users",
        &["lisp_rules::data_is_there_at_run_time_and_compile_data_at_compile_time"],
    ),
    (
        "compile_data: inputs of compiling and saving",
        &[
            "lisp_rules::data_is_there_at_run_time_and_compile_data_at_compile_time",
            "lisp_images::what_an_image_holds_is_neither_loaded_nor_put_in_again_but_belongs_to_its_users",
        ],
    ),
    (
        "add_features: for the target, its users and the program",
        &["lisp_rules::features_reach_the_target_and_those_above_and_the_program"],
    ),
    (
        "add_features: keywords, kept case, packages that are made",
        &["driver/loading::features_are_read_as_keywords_unless_they_name_a_package"],
    ),
    (
        "nowarn: names of types and functions",
        &[
            "driver/conditions::each_condition_has_the_name_that_silences_it",
            "driver/files::handlers_can_be_functions_and_types_of_a_dependency",
        ],
    ),
    (
        "image: what it holds is not loaded nor put in again, its LispInfo is",
        &[
            "lisp_images::what_an_image_holds_is_neither_loaded_nor_put_in_again_but_belongs_to_its_users",
        ],
    ),
    (
        "image: its C libraries are in what is built on it",
        &["cdeps::a_core_and_an_image_open_the_c_libraries_that_they_were_made_with"],
    ),
    (
        "image: the shipped one is the default",
        &["bazelisp::build_files_for_bazelisp_load_and_build_as_they_are"],
    ),
    (
        "instrument_coverage: never, always, as the options say",
        &["lisp_attributes::instrumented_code_notes_what_ran"],
    ),
    (
        "dynamic_space_size and control_stack_size, of actions and of programs",
        &["lisp_attributes::the_sizes_of_a_program_are_its_own_and_not_those_of_its_actions"],
    ),
    (
        "verbose, and VERBOSE_LISP_BUILD",
        &[
            "lisp_attributes::more_is_told_by_attribute_or_by_option",
            "driver/loading::more_is_told_when_more_is_asked_for",
        ],
    ),
    (
        "encoding of sources",
        &["lisp_attributes::sources_in_another_encoding_are_read_so_by_everybody"],
    ),
    (
        "main, allow_save_lisp",
        &[
            "driver/cores::main_is_a_name_a_call_a_form_or_the_repl",
            "lisp_images::a_program_that_allows_it_saves_itself_again",
        ],
    ),
    (
        "malloc and runtime",
        &["lisp_linking::a_program_takes_options_of_the_linker_an_allocator_and_a_runtime"],
    ),
    (
        "stamp, by default not for tests",
        &["lisp_attributes::programs_know_the_status_of_the_workspace_when_they_are_stamped"],
    ),
    ("precompile_generics", &["driver/cores::generic_functions_are_ready_when_it_is_asked_for"]),
    (
        "save_runtime_options",
        &["driver/cores::options_of_the_runtime_are_the_program_s_own_and_come_by_the_environment"],
    ),
    ("helper_script", &["driver/cores::a_helper_script_saves_in_place_of_the_driver"]),
    ("compression", &["lisp_attributes::a_program_can_be_compressed_where_sbcl_can"]),
    ("the attributes that all rules have", &["lisp_attributes::every_common_attribute_is_taken"]),
    (
        "names of outputs: FASL, warnings, hashes",
        &[
            "lisp_rules::outputs_have_the_names_that_the_reference_gives",
            "lisp_attributes::several_sources_are_one_block_and_one_action",
        ],
    ),
    (
        "a library without sources has no FASL",
        &[
            "bazelisp::the_parts_of_the_lisp_have_labels",
            "lisp_rules::a_library_without_sources_hands_on_its_deps",
        ],
    ),
    (
        "output groups fasl and deps_manifest",
        &["lisp_attributes::output_groups_have_the_fasl_and_the_manifest_of_what_is_loaded"],
    ),
    (
        "output group dynamic_library",
        &["cdeps::all_c_libraries_of_a_target_are_one_shared_object_for_those_who_ask"],
    ),
    ("the core of a program", &["lisp_rules::the_core_alone_is_an_output_group"]),
    (
        "runfiles of own, data, deps, cdeps, srcs",
        &["lisp_attributes::runfiles_are_those_of_the_target_and_of_all_that_it_is_made_of"],
    ),
    (
        "runfiles of the image",
        &[
            "lisp_images::what_an_image_holds_is_neither_loaded_nor_put_in_again_but_belongs_to_its_users",
        ],
    ),
    (
        "LispInfo: depsets in load order",
        &[
            "bazelisp::rules_of_others_are_built_on_the_public_functions",
            "lisp_rules::the_same_fasl_is_loaded_once_through_a_diamond",
        ],
    ),
];

const COMPILING: &[Line] = &[
    (
        "features: bazel, rbz, the mode, those of the closure, msan",
        &[
            "lisp_rules::features_reach_the_target_and_those_above_and_the_program",
            "lisp_rules::the_compilation_mode_is_a_feature",
            "bazelisp::the_parts_of_the_lisp_have_labels",
        ],
    ),
    (
        "the closure is loaded once, in postorder, each target in its way",
        &[
            "lisp_rules::the_same_fasl_is_loaded_once_through_a_diamond",
            "lisp_rules::a_target_is_loaded_in_its_own_way_by_those_that_use_it",
        ],
    ),
    (
        "loads are interpreted, under their own policy",
        &["driver/loading::sources_are_interpreted_under_the_policy_of_loading"],
    ),
    (
        "the policy of each mode, bounds checks, safe macros, coverage",
        &["driver/loading::files_compile_under_the_policy_of_their_mode"],
    ),
    (
        "-c and LISP_COMPILATION_MODE",
        &["lisp_attributes::the_mode_of_lisp_code_can_differ_from_that_of_the_rest"],
    ),
    (
        "readtable, package and policy end with the file",
        &[
            "lisp_rules::readtable_package_and_policy_end_with_the_file",
            "driver/loading::what_is_loaded_changes_the_action_but_its_readtable_package_and_policy_end_with_its_file",
        ],
    ),
    (
        "macro characters of the action, features, variables, locks, the hook of macros persist in it",
        &[
            "lisp_rules::load_image_keeps_what_compiling_did",
            "driver/loading::what_is_loaded_changes_the_action_but_its_readtable_package_and_policy_end_with_its_file",
        ],
    ),
    ("UTF-8, or what the attribute says", &["driver/loading::a_file_in_another_encoding_says_so"]),
    (
        "strings are base strings where they can be",
        &["driver/loading::strings_of_sources_are_base_strings_where_they_can_be"],
    ),
    ("empty files are legal", &["lisp_rules::empty_files_and_files_of_comments_are_fine"]),
    (
        "the same FASL wherever and whenever",
        &[
            "determinism::jobs_order_directory_cache_and_time_change_no_byte",
            "driver/files::the_same_source_gives_the_same_bytes_in_any_directory",
        ],
    ),
    ("the user's files are never touched", &["machine::sources_keep_their_inode_mode_and_times"]),
    (
        "recorded paths are relative, recorded dates constant",
        &[
            "determinism::jobs_order_directory_cache_and_time_change_no_byte",
            "driver/files::the_same_source_gives_the_same_bytes_in_any_directory",
        ],
    ),
    (
        "a FASL that holds the directory or the time is reported",
        &["driver/loading::a_fasl_that_holds_the_directory_or_the_time_is_reported"],
    ),
    (
        "a constant keeps a value that is equalp, else it is named",
        &[
            "driver/loading::a_constant_keeps_its_value_if_the_new_one_is_equalp_and_else_fails_by_name",
        ],
    ),
    (
        "no action loads both the source and the FASL of a file",
        &[
            "lisp_rules::the_same_fasl_is_loaded_once_through_a_diamond",
            "lisp_rules::a_target_is_loaded_in_its_own_way_by_those_that_use_it",
        ],
    ),
    (
        "a structure is defined again only with its layout",
        &["driver/loading::a_structure_may_be_defined_again_only_with_the_same_layout"],
    ),
    (
        "a load that starts a thread",
        &["driver/cores::a_thread_that_still_runs_is_named_with_its_file"],
    ),
    (
        "runtime, core, contribs are inputs: an upgrade compiles again",
        &["machine::a_lisp_that_was_upgraded_compiles_everything_again"],
    ),
    (
        "no init files, no debugger",
        &["driver/files::init_files_are_not_read", "driver/files::a_malformed_form_is_an_error"],
    ),
    (
        "SBCL_HOME, LANG and the rest of the environment are constant",
        &["hermetic::the_environment_of_the_user"],
    ),
    (
        "require works for declared modules and names the others",
        &[
            "lisp_rules::bundled_modules_are_deps",
            "driver/files::a_module_that_is_no_dependency_is_refused_by_name",
            "lisp_failures::a_bundled_module_that_is_not_declared",
        ],
    ),
    (
        "*modules*, :asdf and UIOP tell what is inside",
        &["lisp_attributes::uiop_and_asdf_are_there_only_as_dependencies_and_together"],
    ),
    (
        "paths may hold [ ] * ? spaces and umlauts",
        &["lisp_attributes::names_of_files_may_hold_what_lisp_takes_for_patterns"],
    ),
    (
        "packages of the driver are locked, without nicknames, nothing in cl-user",
        &["driver/loading::the_driver_leaves_nothing_in_the_package_of_users"],
    ),
    (
        "a violated lock names lock and symbol",
        &[
            "driver/loading::a_violated_lock_names_lock_and_symbol",
            "lisp_failures::a_lock_that_is_violated",
        ],
    ),
    (
        "heap, immobile space and stack: which attribute helps",
        &[
            "lisp_attributes::what_the_runtime_ran_out_of_is_named_with_the_attribute_that_gives_more",
            "driver/loading::what_has_run_out_is_named_with_the_attribute_that_gives_more",
        ],
    ),
    (
        "multipass silences redefined methods and functions",
        &[
            "bazelisp::build_files_for_bazelisp_load_and_build_as_they_are",
            "lisp_attributes::multipass_may_define_again",
        ],
    ),
    (
        "LISP_BUILD_FORCE goes on and is never cached",
        &[
            "lisp_attributes::what_went_on_past_a_failure_is_never_kept",
            "driver/loading::going_on_past_failures_is_possible",
        ],
    ),
    (
        "--interactive gives the debugger",
        &["driver/files::an_error_ends_up_in_the_debugger_when_it_is_asked_for"],
    ),
    (
        "-s prints lines that can be run",
        &["lisp_attributes::the_lines_that_subcommands_prints_run"],
    ),
];

const WARNINGS: &[Line] = &[
    (
        "while anything is loaded, all is muffled",
        &["driver/loading::most_warnings_of_what_is_loaded_are_muffled"],
    ),
    (
        "but what makes the image another than expected",
        &["driver/loading::what_makes_the_image_another_than_expected_fails_while_it_is_loaded"],
    ),
    (
        "handlers: types and functions, also of dependencies; unknown ones are an error",
        &[
            "driver/files::handlers_can_be_functions_and_types_of_a_dependency",
            "lisp_failures::a_nowarn_that_is_unknown",
        ],
    ),
    (
        "nil, :show, :fail, true; a full warning that is shown fails; notes are dropped",
        &["driver/conditions::what_a_handler_returns_decides"],
    ),
    (
        "failed stack allocation and the limit of inlining fail",
        &["driver/conditions::each_condition_has_the_name_that_silences_it"],
    ),
    (
        "redefined macros are no failure",
        &["driver/conditions::redefined_macros_and_notes_are_no_failure"],
    ),
    (
        "what another file defined is a failure to define again, while a file compiles",
        &["driver/conditions::what_another_file_defined_is_a_failure_to_define_again"],
    ),
    (
        "each condition type, from a program that provokes it",
        &[
            "driver/conditions::each_condition_has_the_name_that_silences_it",
            "driver/conditions::each_name_of_the_table_is_provoked",
        ],
    ),
    (
        "undefined things: one unit for each file, all uses, with places",
        &[
            "driver/conditions::all_uses_of_what_is_undefined_are_shown_with_their_places",
            "driver/conditions::an_undefined_type_is_shown_at_its_uses",
        ],
    ),
    (
        "an undefined function is deferred in a file that can be read",
        &["driver/files::an_undefined_function_is_deferred_to_the_core"],
    ),
    (
        "the core finds what is undefined, a macro, inline, a compiler macro, known to the compiler",
        &["driver/cores::what_was_deferred_fails_if_it_is_not_there_or_is_no_plain_function"],
    ),
    (
        "the hash has the name of the source, zero, MD5, and an image knows it",
        &[
            "driver/files::a_fine_file_gives_a_fasl_no_warnings_and_its_hash",
            "driver/cores::an_image_knows_the_sources_that_are_in_it",
        ],
    ),
    (
        "failures are for people and editors",
        &["driver/conditions::failures_name_place_line_form_type_and_remedy_for_editors"],
    ),
    (
        "failures are grouped by file",
        &["lisp_failures::errors_of_several_files_are_all_shown_with_k"],
    ),
    (
        "the packages of bazelisp's image, in programs",
        &["driver/cores::the_packages_that_bazelisp_s_image_has_are_in_programs_too"],
    ),
    (
        "methods of users join the actions",
        &["lisp_images::methods_of_users_join_the_actions_that_their_image_runs"],
    ),
    (
        "a user's image is run with LISP_MAIN and bazelisp's arguments",
        &["lisp_images::an_image_of_another_make_is_run_with_bazelisp_s_arguments"],
    ),
];

const PROGRAMS: &[Line] = &[
    (
        "the closure in order, without what is in the image",
        &[
            "lisp_images::what_an_image_holds_is_neither_loaded_nor_put_in_again_but_belongs_to_its_users",
        ],
    ),
    (":opt and :dbg are not both set", &["driver/cores::two_modes_at_once_are_refused"]),
    ("UIOP's hooks", &["driver/cores::uiop_hears_that_an_image_is_dumped_and_restored"]),
    (
        "save hooks, package, debugger",
        &["driver/cores::hooks_run_before_it_is_saved_and_the_package_is_that_of_users"],
    ),
    (
        "generic functions are ready when it is asked for",
        &["driver/cores::generic_functions_are_ready_when_it_is_asked_for"],
    ),
    (
        "optimised programs without documentation and cross-references, identical code once",
        &["driver/cores::optimised_programs_lack_what_only_programmers_read"],
    ),
    (
        "deferred warnings of the closure are resolved",
        &["driver/cores::what_was_deferred_fails_if_it_is_not_there_or_is_no_plain_function"],
    ),
    ("threads that still run", &["driver/cores::a_thread_that_still_runs_is_named_with_its_file"]),
    (
        "shared objects are found by the runfiles, never by a path of the build",
        &[
            "cdeps::a_shared_object_that_code_opens_by_its_path_is_found_in_the_runfiles",
            "cdeps::a_core_and_an_image_open_the_c_libraries_that_they_were_made_with",
        ],
    ),
    (
        "main in all its forms",
        &[
            "driver/cores::main_is_a_name_a_call_a_form_or_the_repl",
            "driver/files::main_must_be_a_function",
        ],
    ),
    (
        "the value of main is no exit status, an error is",
        &["lisp_rules::the_value_of_main_is_no_exit_status_but_an_error_is"],
    ),
    ("LISP_MAIN", &["driver/cores::lisp_main_replaces_main_once"]),
    (
        "RBZ_LISP_ARGS; options that reach the program and those that do not",
        &[
            "driver/cores::options_of_the_runtime_are_the_program_s_own_and_come_by_the_environment",
            "lisp_rules::a_program_gets_all_its_arguments",
        ],
    ),
    (
        "Lisp functions are seen by nm, gdb and perf in what is linked",
        &["linked_programs::a_split_core_is_an_ordinary_program_for_nm_gdb_and_perf"],
    ),
    ("what is linked saves itself again", &["linked_programs::a_linked_core_saves_itself_again"]),
    (
        "programs run from anywhere, after a move, without the build tree",
        &["programs::a_program_runs_after_it_was_copied_elsewhere_and_the_workspace_is_gone"],
    ),
    (
        "stamp embeds the status of the workspace",
        &[
            "driver/cores::the_status_of_the_workspace_is_in_a_program_that_is_stamped",
            "lisp_attributes::programs_know_the_status_of_the_workspace_when_they_are_stamped",
        ],
    ),
];

/// The tests of a module.
fn tests_of(module: &str) -> BTreeSet<String> {
    let path = match module.strip_prefix("driver/") {
        Some(module) => format!("rules/tests/driver/{module}.rs"),
        None => format!("integration_tests/tests/sessions/{module}.rs"),
    };
    let text = fs::read_to_string(repository().join(&path)).unwrap_or_default();
    let after_mark = text.split("#[test]").skip(1);
    let name = |rest: &str| Some(rest.split_once("fn ")?.1.split_once('(')?.0.to_owned());
    after_mark.filter_map(name).collect()
}

#[test]
fn every_line_has_a_test_that_is_there() {
    let mut missing = Vec::new();
    for part in [WHERE_RULES_COME_FROM, ATTRIBUTES, COMPILING, WARNINGS, PROGRAMS] {
        for (line, tests) in part {
            assert!(!tests.is_empty(), "{line}");
            for test in *tests {
                let (module, name) = test.split_once("::").expect("`module::test`");
                if !tests_of(module).contains(name) {
                    missing.push(format!("{line}: {test}"));
                }
            }
        }
    }
    assert!(missing.is_empty(), "there is no such test:\n{}", missing.join("\n"));
}
