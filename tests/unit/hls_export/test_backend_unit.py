"""The one source that is compiled: copies of windows are not optimised, everything else is."""

from __future__ import annotations

import pytest
from hls_backend_graphs import NETWORKS, conv2d

from hls_export.backends.unit import GENERATED, source
from hls_export.emulate import emulate
from hls_export.lower import lower
from hls_export.vectors import adversarial


def test_copies_of_windows_stand_in_a_part_that_is_not_optimised(tmp_path):
    project = lower(conv2d(), tmp_path / "p")
    lines = source(project.path, "myproject", project.path / "weights").splitlines()
    begin, end = lines.index("#pragma GCC push_options"), lines.index("#pragma GCC pop_options")
    assert lines[begin : end + 1] == [
        "#pragma GCC push_options",
        '#pragma GCC optimize ("O0")',
        f'#include "{GENERATED}"',
        "#pragma GCC pop_options",
    ]
    assert lines[end + 1 :] == ['#include "firmware/myproject.cpp"', '#include "myproject_bridge.cpp"']
    # what that file includes is read in front of it, and so is optimised
    headers = [
        line for line in (project.path / GENERATED).read_text().splitlines() if '#include "nnet' in line
    ]
    assert headers
    for line in headers:
        assert line.replace("nnet_", "firmware/nnet_utils/nnet_", 1) in lines[:begin]


@pytest.mark.parametrize(("kind", "io_type"), [("conv2d", "io_stream"), ("tables", "io_parallel")])
def test_a_project_without_such_copies_has_no_such_part(kind, io_type, tmp_path):
    project = lower(NETWORKS[kind](), tmp_path / "p", io_type=io_type)
    assert "pragma" not in source(project.path, "myproject", project.path)


@pytest.mark.slow
def test_a_place_with_a_quotation_mark(tmp_path):
    """The place of the weights is a constant of the source."""
    graph = conv2d(3)
    project = lower(graph, tmp_path / 'a "net" of \\ mine').compile()
    x = adversarial(graph, 60, 1)
    assert (project.predict(x) == emulate(graph, x)).all()
