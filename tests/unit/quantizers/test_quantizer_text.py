"""Quantizers as text: read as literals, never evaluated; every misreading is a sentence."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchq.errors import FormatError, QuantizerError, UnknownNameError
from torchq.formats import Binary, FixedPoint, Float, PowerOfTwo, Ternary
from torchq.quantizers import get, make, parse, quantized_bits

EXAMPLE = "write one quantizer, such as quantized_bits(6,0,alpha=1)"


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("quantized_bits(6,0,alpha=1)", "quantized_bits(6,0,alpha=1.0)"),
        ("quantized_bits(6, 0, 1)", "quantized_bits(6,0,symmetric=True)"),
        (" quantized_bits ", "quantized_bits(8,0)"),
        ("quantized_bits()", "quantized_bits(8,0)"),
        ("quantized_bits(bits=4, integer=-1)", "quantized_bits(4,-1)"),
        ("quantized_bits(4, +1, 0, True, 'auto_po2')", "quantized_bits(4,1,alpha='auto_po2')"),
        ("quantized_bits(4, alpha=None)", "quantized_bits(4,0)"),
        ("quantized_bits(4, alpha=[0.5, 2])", "quantized_bits(4,0,alpha=[0.5,2.0])"),
        ("quantized_bits(4, alpha=((0.5, 2),))", "quantized_bits(4,0,alpha=[[0.5,2.0]])"),
        ("quantized_relu(4,0,negative_slope=.125)", "quantized_relu(4,0,negative_slope=0.125)"),
        ("binary", "binary()"),
        ("ternary('auto')", "ternary(alpha='auto')"),
        ("quantized_po2(4, 1)", "quantized_po2(4,max_value=1.0)"),
        ("quantized_tanh(8, symmetric=True)", "quantized_tanh(8,symmetric=True)"),
        ("ap_fixed<8,3,RND_CONV,SAT>", "fixed(8,3)"),
        ("ap_ufixed<8,3>", "fixed(8,3,signed=False,rounding='TRN',overflow='WRAP')"),
    ],
)
def test_texts_and_their_canonical_form(text: str, canonical: str) -> None:
    q = parse(text)
    assert str(q) == canonical
    assert str(parse(canonical)) == canonical


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "quantized_bits(4), alpha='auto'",
            f"\"quantized_bits(4), alpha='auto'\": text after the closing parenthesis; {EXAMPLE}",
        ),
        ("quantized_bits(4) 7", f"'quantized_bits(4) 7': text after the closing parenthesis; {EXAMPLE}"),
        ("quantized_bits(4) + 1", f"'quantized_bits(4) + 1': text after the closing parenthesis; {EXAMPLE}"),
        ("quantized_bits(4).eval()", f"'quantized_bits(4).eval()' is no quantizer; {EXAMPLE}"),
        ("quantized_bits(4", f"'quantized_bits(4' is no quantizer ('(' was never closed); {EXAMPLE}"),
        ("", f"'' is no quantizer (invalid syntax); {EXAMPLE}"),
        ("8", f"'8' is no quantizer; {EXAMPLE}"),
        (
            "quantized_bits(abs(4))",
            f"'quantized_bits(abs(4))': abs(4) is a nested call, which is not read; {EXAMPLE}",
        ),
        (
            "quantized_bits(4, alpha=auto)",
            "'quantized_bits(4, alpha=auto)': auto is no value; write 'auto' if it is a string",
        ),
        (
            "quantized_bits(2**3)",
            "'quantized_bits(2**3)': 2 ** 3 is no value; "
            "write numbers, True, False, None, quoted strings or lists of them",
        ),
        ("quantized_bits(**x)", f"'quantized_bits(**x)': ** is not read; {EXAMPLE}"),
        ("binary(True, bits=2, use_01=False)", None),
        ("binary(True, use_01=False)", "'binary(True, use_01=False)': use_01 is given twice"),
        (
            "binary_tanh(1)",
            "'binary_tanh(1)': binary_tanh takes at most 0 arguments by position, got 1",
        ),
        (
            "quantized_tanh(8, symetric=True)",
            "'quantized_tanh(8, symetric=True)': quantized_tanh has no argument 'symetric'; did you mean "
            "'symmetric'? Known: bits, use_stochastic_rounding, symmetric, use_real_tanh, sigmoid",
        ),
    ],
)
def test_what_is_no_quantizer(text: str, message: str | None) -> None:
    with pytest.raises(QuantizerError) as caught:
        parse(text)
    assert message is None or str(caught.value) == message


def test_unknown_names_are_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError) as caught:
        parse("quantized_bit(8)")
    assert str(caught.value).startswith(
        "unknown quantizer 'quantized_bit'; did you mean 'quantized_bits'? Known: bernoulli, binary, "
    )
    with pytest.raises(UnknownNameError):
        get("__import__")


def test_formats_that_are_none() -> None:
    with pytest.raises(FormatError):
        parse("ap_fixed<8>")
    with pytest.raises(QuantizerError, match="a quantizer is written as text, got 8; "):
        parse(8)  # type: ignore[arg-type]


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse(text)
    except (QuantizerError, UnknownNameError, FormatError):
        return


@given(st.integers(1, 40), st.integers(-9, 9), st.booleans(), st.booleans(), st.floats(2.0**-20, 2.0**20))
def test_every_argument_reads_back(bits: int, integer: int, a: bool, b: bool, alpha: float) -> None:
    q = quantized_bits(bits, integer, a, b, alpha=alpha, qnoise_factor=0.25, use_ste=False)
    again = parse(str(q))
    assert again.config == q.config
    assert again.qnoise_factor == 0.25


@pytest.mark.parametrize(
    ("name", "kwargs", "message"),
    [
        ("quantized_bits", {"bits": 0}, "quantized_bits: bits must be at least 1, got 0"),
        ("quantized_bits", {"bits": 2.5}, "quantized_bits: bits must be a whole number, got 2.5"),
        ("quantized_bits", {"bits": "8"}, "quantized_bits: bits must be a whole number, got '8'"),
        ("quantized_bits", {"bits": True}, "quantized_bits: bits must be a whole number, got True"),
        ("quantized_bits", {"symmetric": 2}, "quantized_bits: symmetric must be True or False, got 2"),
        ("quantized_bits", {"alpha": -1}, "quantized_bits: alpha must be above 0, got -1"),
        ("quantized_bits", {"alpha": [1.0, 0.0]}, "quantized_bits: alpha must be above 0, got [1.0, 0.0]"),
        ("quantized_bits", {"alpha": float("inf")}, "quantized_bits: alpha must be above 0, got inf"),
        (
            "quantized_bits",
            {"alpha": "po2"},
            "quantized_bits: alpha must be None, a number, 'auto' or 'auto_po2', got 'po2'",
        ),
        ("quantized_bits", {"qnoise_factor": 2}, "quantized_bits: qnoise_factor must be from 0 to 1, got 2"),
        (
            "quantized_bits",
            {"alpha": "auto", "elements_per_scale": 2, "scale_axis": 0},
            "quantized_bits: elements_per_scale needs alpha='auto_po2'",
        ),
        (
            "quantized_bits",
            {"alpha": "auto_po2", "elements_per_scale": 2},
            "quantized_bits: elements_per_scale needs scale_axis",
        ),
        (
            "quantized_relu",
            {"negative_slope": 0.3},
            "quantized_relu: negative_slope must be 0 or a power of two, got 0.3; "
            "hardware shifts by it; take 0.25, 0.125, ...",
        ),
        (
            "quantized_relu",
            {"relu_upper_bound": -1},
            "quantized_relu: relu_upper_bound must be above 0, got -1.0",
        ),
        (
            "quantized_relu",
            {"sigmoid": "soft"},
            "quantized_relu: sigmoid must be 'hard', 'smooth' or 'real', got 'soft'",
        ),
        ("quantized_po2", {"bits": 1}, "quantized_po2: bits must be at least 2, got 1"),
        ("quantized_po2", {"max_value": 0}, "quantized_po2: max_value must be above 0, got 0.0"),
        (
            "quantized_po2",
            {"bits": 4, "max_value": 2**-20},
            "quantized_po2: max_value 9.53674e-07 is below the smallest value 0.00390625",
        ),
        (
            "quantized_po2",
            {"log2_rounding": "up"},
            "quantized_po2: log2_rounding must be 'rnd' or 'floor', got 'up'",
        ),
        ("ternary", {"threshold": -1}, "ternary: threshold must be at least 0, got -1.0"),
        ("ternary", {"number_of_unrolls": 0}, "ternary: number_of_unrolls must be at least 1, got 0"),
        (
            "ternary",
            {"use_stochastic_rounding": True},
            "ternary: use_stochastic_rounding needs alpha='auto' or 'auto_po2'",
        ),
        ("stochastic_binary", {"temperature": 0}, "stochastic_binary: temperature must be above 0, got 0.0"),
        ("quantized_ulaw", {"u": 0}, "quantized_ulaw: u must be above 0, got 0.0"),
        ("quantized_hswish", {"relu_shift": 0}, "quantized_hswish: relu_shift must be above 0, got 0.0"),
        ("fixed", {"width": 0}, "fixed: width must be at least 1, got 0"),
        ("fixed", {"rounding": "UP"}, "fixed: 'UP' is not a valid Rounding"),
        (
            "quantized_adaptive",
            {"activation": "relu"},
            "quantized_adaptive: activation must be 'quantized_relu' or 'quantized_bits', got 'relu'",
        ),
        (
            "quantized_adaptive",
            {"ema_decay": 2},
            "quantized_adaptive: ema_decay must be from 0 to 1, got 2.0",
        ),
    ],
)
def test_arguments_that_cannot_be(name: str, kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(QuantizerError) as caught:
        get(name)(**kwargs)
    assert str(caught.value) == message


def test_make_takes_texts_formats_and_quantizers() -> None:
    q = quantized_bits(6, alpha=1)
    again = make(q)
    assert again is not q
    assert str(again) == str(q)
    assert make(FixedPoint(6, 2, signed=False)).format == FixedPoint(6, 2, signed=False)
    assert str(make(Ternary(0.5))) == "ternary(alpha=0.5)"
    assert str(make(Binary(2.0, use_01=True))) == "binary(use_01=True,alpha=2.0)"
    assert str(make("binary")) == "binary()"
    for f in (Float(32), PowerOfTwo(4, -4, 3)):
        with pytest.raises(QuantizerError) as caught:
            make(f)
        assert str(caught.value) == f"no quantizer is made from the format {f} alone; name one, as text"


def test_a_quantizer_prints_as_its_text_inside_a_model() -> None:
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(2, 2), quantized_bits(6, alpha=1))
    assert "(1): quantized_bits(6,0,alpha=1.0)" in repr(model)
