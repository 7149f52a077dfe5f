"""From a module in memory to a graph: export, take apart what is not supported whole, save to memory, import."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from edgec.diagnostics import EdgecError
from edgec.frontend.torch.aliases import functional
from edgec.frontend.torch.archive import read_archive
from edgec.frontend.torch.importer import Importer
from edgec.frontend.torch.registry import handler_for
from edgec.graph import Graph


def from_torch(
    source: Any,
    example_inputs: Any = None,
    *,
    name: str | None = None,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    batch: int | None = None,
    dims: Mapping[str, int] | None = None,
) -> Graph:
    """The graph of a torch.nn.Module in evaluation mode, or of a torch.export.ExportedProgram.

    `example_inputs` is the tuple of tensors (or the one tensor) that `forward` takes; their shapes and types become
    those of the graph. A program needs none. The names of inputs and outputs default to those of the exported graph.
    `batch` and `dims` fix dynamic dimensions of a program, as in `edgec.load`.
    Raises EdgecError: E0601 without PyTorch, E0204 (arguments), E0308 (torch.export refuses the module), and those of
    `edgec.load`.
    """
    try:
        import torch
    except ImportError:
        raise EdgecError("E0601", "PyTorch is not installed", remedy="pip install torch") from None
    if not hasattr(torch, "export") or not hasattr(torch.export, "ExportedProgram"):
        raise EdgecError("E0605", f"PyTorch {torch.__version__} has no torch.export", remedy="pip install -U torch")
    if isinstance(source, torch.export.ExportedProgram):
        if example_inputs is not None:
            raise EdgecError("E0204", "an exported program has its shapes already: example_inputs do not apply")
        program, default = source, "model"
    elif isinstance(source, torch.nn.Module):
        program, default = _export(torch, source, example_inputs), type(source).__name__
    else:
        raise EdgecError(
            "E0204",
            f"from_torch takes a torch.nn.Module or an ExportedProgram, not {type(source).__name__}",
            remedy="weights alone do not say what is computed: build the module and load them into it",
        )
    data = _saved(torch, _decomposed(torch, program))
    archive = read_archive(data, name or default)
    graph, found = Importer(archive, batch, dict(dims or {}), input_names, output_names, decomposed=True).run()
    if graph is None:
        raise EdgecError.of([d for d in found if d.severity == "error"])
    return graph


def _export(torch: Any, module: Any, example_inputs: Any) -> Any:
    training = next((n for n, m in module.named_modules() if m.training), None)
    if training is not None:
        raise EdgecError(
            "E0304",
            "the module is in training mode",
            layer=training or type(module).__name__,
            why="dropout draws random numbers, batch normalisation uses the statistics of the batch",
            remedy="call model.eval() first",
        )
    if example_inputs is None:
        raise EdgecError(
            "E0204", "a module needs example_inputs", remedy="from_torch(model, (torch.zeros(1, 3, 32, 32),))"
        )
    inputs = (example_inputs,) if isinstance(example_inputs, torch.Tensor) else tuple(example_inputs)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        try:
            return torch.export.export(module, inputs)
        except Exception as error:  # whatever the module and the tracer raise
            raise _refused(error) from error


def _refused(error: Exception) -> EdgecError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return EdgecError(
        "E0308",
        "torch.export cannot capture the module",
        why=f"{type(error).__name__}: {' '.join(lines[:4])[:400]}",
        remedy="remove what depends on the values of tensors from `forward`; "
        "torch.export.export(model, inputs) shows the line",
    )


def _decomposed(torch: Any, program: Any) -> Any:
    """`program` without writes in place, and with every operator taken apart that has no importer of its own."""
    names = {_name(node.target) for node in program.graph.nodes if node.op == "call_function"} - {"_operator.getitem"}
    if all(handler_for(n) is not None and functional(n) == n for n in names):
        return program
    table = torch.export.default_decompositions()
    for operator in list(table):
        if handler_for(_name(operator)) is not None:
            table.pop(operator)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        try:
            return program.run_decompositions(table)
        except Exception as error:
            raise _refused(error) from error


def _name(target: Any) -> str:
    """`aten.conv2d.default`, `_operator.getitem`."""
    text = str(target)
    if not hasattr(target, "_schema") and hasattr(target, "__module__"):
        return f"{target.__module__}.{target.__name__}"
    return re.sub(r"^torch\.ops\.", "", text)


def _saved(torch: Any, program: Any) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            torch.export.save(program, buffer)
        except Exception as error:
            raise EdgecError(
                "E0308",
                "the exported program cannot be written down",
                why=f"{type(error).__name__}: {str(error)[:400]}",
                remedy="replace custom operators and tensor subclasses by plain ones",
            ) from error
    return buffer.getvalue()
