"""Which test answers which hostile input.  Each is beside the code that it tries; this is the list of them all."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reconciler.errors import ReconcilerError, UsageInvalid
from reconciler.manifests.validator import load
from reconciler.providers import VENDORS

CHECKOUT = Path(__file__).parents[2]
ANSWERS = {
    # manifests
    "alias bomb": "manifests/test_loader.py::test_a_bomb_is_refused_quickly_and_in_little_memory",
    "alias bomb, in words": "problems/017-alias-bomb",
    "a bomb of references": "manifests/test_validator.py::"
    "test_references_that_make_a_bomb_of_a_text_are_refused_in_little_memory",
    "a file of 100 MB, or of a gibibyte": "manifests/test_files.py::test_a_huge_file_is_refused_without_being_read",
    "a large file that is named": "manifests/test_attachments.py::test_a_huge_file_is_refused_without_being_read",
    "deep nesting": "problems/018-too-deep",
    "duplicate keys": "problems/013-duplicate-keys",
    "keys that are no text": "problems/014-keys-that-are-no-text",
    "tags and merge keys": "problems/015-tags-and-merge-keys",
    "what YAML 1.1 and 1.2 read differently": "problems/011-yaml-1.1-surprises",
    "huge integers, NaN and infinities": "problems/012-numbers-that-can-not-be-sent",
    "characters that nobody sees": "problems/020-characters-that-nobody-sees",
    "line breaks in names": "problems/021-names-with-line-breaks",
    "names that look alike": "problems/055-names-worth-a-warning",
    "links out of the root": "manifests/test_files.py::test_links_are_followed_inside_the_root_and_refused_outside",
    "any link": "manifests/test_files.py::test_no_link_target_leads_out",
    "two dots in the name of a file": "manifests/test_attachments.py::test_no_name_leads_out",
    "hidden files": "manifests/test_attachments.py::test_hidden_files_are_not_read_even_through_a_link",
    "pipes": "manifests/test_files.py::test_a_pipe_is_refused_without_waiting_for_a_writer",
    "devices": "hostile/test_hostile_map.py::test_a_device_is_not_read",
    "any bytes": "manifests/test_loader.py::test_arbitrary_bytes_never_raise_anything_else",
    "damaged manifests": "fuzz/test_fuzz_files.py::test_manifests",
    "credentials in manifests": "problems/039-credentials-in-manifests",
    "reading the environment": "problems/031-variables-undefined",
    "a revision that begins with a dash": "offline/test_offline_plan.py::"
    "test_what_can_not_be_a_revision_never_reaches_git",
    "a tree made by hand": "offline/test_offline_hostile.py::test_names_that_climb_are_refused",
    "links in a revision": "offline/test_offline_hostile.py::test_a_link_out_of_the_root_is_not_followed",
    "filters and hooks of a repository": "offline/test_offline_hostile.py::test_no_filter_hook_or_text_conversion_runs",
    # files of ours
    "damaged plan files": "fuzz/test_fuzz_files.py::test_plan_files",
    "an edited plan": "end_to_end/test_e2e_saved_plans.py::test_a_plan_edited_by_hand",
    "an edited plan with a new digest": "end_to_end/test_e2e_saved_plans.py::test_another_step_can_not_be_smuggled_in",
    "damaged states": "fuzz/test_fuzz_files.py::test_states",
    "damaged journals": "fuzz/test_fuzz_files.py::test_journals",
    # what the platform shows
    "escapes in names, in every renderer": "reporting/test_report_escape.py::"
    "test_no_form_of_output_holds_anything_that_acts",
    "escapes in names, in every command": "hostile/test_hostile_platform.py::"
    "test_every_command_shows_hostile_names_harmlessly",
    "escapes in error bodies": "hostile/test_hostile_platform.py::test_an_error_body_is_quoted_harmlessly",
    "escapes in headers": "hostile/test_hostile_platform.py::test_headers_are_quoted_harmlessly",
    "escapes in what a defect quotes": "hostile/test_hostile_platform.py::test_a_defect_of_ours_is_told_harmlessly",
    "HTML": "reporting/test_report_html.py::test_it_is_well_formed_and_holds_nothing_but_our_elements",
    "Markdown and HTML in it": "reporting/test_report_escape.py::test_a_comment_holds_no_markup_but_ours",
    "workflow commands": "reporting/test_report_escape.py::test_no_line_starts_with_a_workflow_command",
    "names as paths": "hostile/test_hostile_platform.py::"
    "test_an_export_of_hostile_names_stays_in_its_folder_and_loads_again",
    # what the server does
    "redirects": "hostile/test_hostile_urls.py::test_a_redirect_is_not_followed_to_another_host",
    "addresses in answers": "hostile/test_hostile_urls.py::"
    "test_no_address_in_an_answer_is_followed_with_the_credential",
    "signed uploads": "hostile/test_hostile_urls.py::test_an_upload_goes_where_the_vendor_says_without_the_credential",
    "uploads to this computer": "providers/test_http_uploads.py::"
    "test_a_vendor_elsewhere_can_not_have_us_write_to_this_computer",
    "plain http with a key": "hostile/test_hostile_urls.py::test_a_key_is_not_sent_in_the_clear",
    "gigantic replies": "providers/test_http_faults.py::test_a_body_over_the_cap_ends_the_read",
    "gzip bombs": "providers/test_http_faults.py::test_a_gzip_bomb_ends_at_the_cap",
    "deep JSON": "providers/test_http_faults.py::test_json_nested_too_deeply_is_a_failed_read",
    "slow drip": "providers/test_http_faults.py::test_a_dripping_answer_ends_at_the_deadline",
    "endless pages": "providers/test_paging.py::test_pages_without_end_are_an_error",
    "damaged answers": "fuzz/test_fuzz_answers.py::test_answers",
    "answers that make no sense": "hostile/test_hostile_answers.py::test_an_item_that_makes_no_sense_is_one_sentence",
    "ids as paths": "providers/test_http_faults.py::test_a_path_that_could_lead_elsewhere_is_never_sent",
    # secrets
    "the key in exceptions": "providers/test_http_faults.py::"
    "test_the_key_is_in_no_message_no_repr_and_no_local_variable_of_ours",
    "the key in anything": "hostile/test_hostile_urls.py::test_the_canary_is_in_nothing_that_runs_leave_behind",
    "variables in plans": "end_to_end/test_e2e_saved_plans.py::test_a_plan_keeps_no_values_of_variables",
}


@pytest.mark.parametrize("hostile", ANSWERS)
def test_each_has_its_test(hostile: str) -> None:
    """A test that was renamed is renamed here too."""
    file, _, name = ANSWERS[hostile].partition("::")
    path = CHECKOUT / "tests" / file
    if not name:
        assert (path / "problems.txt").read_text(encoding="utf-8")
    else:
        assert re.search(rf"^(?:    )?(?:async )?def {name}\(", path.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null", "/dev/stdin"])
def test_a_device_is_not_read(device: str, tmp_path: Path) -> None:
    """Neither when it is named nor when something in the folder leads to it."""
    with pytest.raises(UsageInvalid, match=f"^{device} is not a regular file$"):
        load([device], root=tmp_path, vendors=VENDORS)
    (tmp_path / "zero.yaml").symlink_to(device)
    with pytest.raises(ReconcilerError, match="a link leads out"):
        load([], root=tmp_path, vendors=VENDORS)
