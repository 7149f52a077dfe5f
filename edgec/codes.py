"""Every diagnostic code with its title and explanation (`edgec explain CODE`).

`Ennxx`: an error that leaves with exit status nn. `Wxxxx`: a warning, `Nxxxx`: a note. Codes are never reused.
"""

from __future__ import annotations

from typing import NamedTuple


class Code(NamedTuple):
    title: str
    explanation: str


CODES: dict[str, Code] = {
    # 1: internal
    "E0101": Code(
        "internal error",
        "edgec did something its authors did not expect. A bundle with the command, the versions and the "
        "traceback was written; attach it to a bug report. Nothing of the output folder was changed.",
    ),
    "E0102": Code(
        "the graph is inconsistent",
        "An operation was built with operands whose shapes or number formats do not fit. From a pass this is "
        "a bug of the pass; from a hand-written graph text it is a mistake in the text. The message names "
        "the source layers.",
    ),
    # 2: usage and configuration
    "E0201": Code("wrong usage", "The command line does not parse. `edgec COMMAND --help` lists the options."),
    "E0202": Code(
        "no such file or not readable",
        "An input file is missing, is a folder, or may not be read by this user.",
    ),
    "E0203": Code(
        "unknown configuration key",
        "Configuration files are strict: a key that nobody reads would silently change nothing. The message "
        "names the nearest known key.",
    ),
    "E0204": Code(
        "bad configuration value",
        "A value has the wrong type or lies outside its allowed range.",
    ),
    "E0205": Code(
        "unknown target",
        "No target file of this name is shipped, and no such TOML file exists. `edgec targets` lists them.",
    ),
    "E0206": Code(
        "bad target file",
        "A target file is not valid TOML, inherits from something unknown, lacks the source of a constant, or "
        "holds a value that no hardware has.",
    ),
    "E0207": Code(
        "unknown pass or bad pipeline",
        "A pipeline is a comma separated list of pass names with optional arguments: "
        "`fold-constants,quantize{bits=8,method=mse}`.",
    ),
    "E0208": Code(
        "graph text does not parse",
        "The text form is described in docs/ir.md. The message gives line and column.",
    ),
    "E0209": Code(
        "output folder is in the way",
        "The output path exists and is not an edgec artefact. edgec replaces its own artefacts only; remove the "
        "folder or choose another one.",
    ),
    "E0210": Code(
        "bad input data",
        "A .npy/.npz file does not hold what the model needs: wrong names, shapes, types, or values that the "
        "input format cannot write.",
    ),
    "E0211": Code("unknown diagnostic code", "`edgec explain` knows the codes that edgec prints."),
    "E0212": Code(
        "the disk is full or not writable",
        "The artefact could not be written. Nothing was left behind at the output path.",
    ),
    "E0213": Code(
        "not a Liberty library",
        "The file is not a standard cell library in the Liberty format, is truncated, or holds a table, unit or "
        "function that contradicts itself. The message names the cell.",
    ),
    "E0214": Code(
        "netlist and library do not fit",
        "A gate-level netlist uses a cell or pin that the library does not have, or one that cannot be simulated "
        "(three-state outputs, buses of pins). Give the library that the netlist was mapped to.",
    ),
    "E0215": Code(
        "not a mapped netlist",
        "The file is not a JSON netlist as yosys writes it, has no such top module, or is not a netlist of cells with "
        "one driver for every net and no combinational loop.",
    ),
    # 3: model
    "E0301": Code(
        "not a model file",
        "The file is not a valid ONNX protobuf, .pt2 archive or Keras file, is truncated, holds no architecture, or "
        "refers to external data that is missing.",
    ),
    "E0302": Code(
        "malformed model",
        "The file parses but the graph breaks the rules of its format: unknown tensors, cycles, duplicate names, "
        "attributes of the wrong type, weights that are missing, or shapes that contradict each other.",
    ),
    "E0303": Code(
        "unsupported operator",
        "The operator is not in the importer's table. `edgec inspect` lists all unsupported operators of a model.",
    ),
    "E0304": Code(
        "unsupported form of an operator",
        "The operator is known, but not with these attributes, ranks or types.",
    ),
    "E0305": Code(
        "dynamic shape",
        "Hardware needs static shapes. Fix symbolic dimensions with `--batch N` or `--dim NAME=N`.",
    ),
    "E0306": Code(
        "unsupported opset",
        "The model's opset, or the version of its file format, is older or newer than the importer knows.",
    ),
    "E0307": Code(
        "value needed at compile time",
        "A shape, axis list or quantisation parameter is computed from an input of the model; it must be constant.",
    ),
    "E0308": Code(
        "module cannot be exported",
        "PyTorch's torch.export traces `forward` once, with all shapes known. It refuses control flow that depends on "
        "the values of tensors, and objects that it cannot write down. The message is PyTorch's own.",
    ),
    "E0310": Code(
        "not supported on this target",
        "The target's backend has no implementation for the operation or for one of its number formats.",
    ),
    "E0311": Code(
        "float arithmetic on a target without floats",
        "The RTL backend computes in integers. Quantise the model first: `--quantize fixed<8,2>`-like options, "
        "or import a model that carries Quant or QuantizeLinear nodes.",
    ),
    "E0312": Code(
        "too large for the target",
        "The estimated area of a fully spatial implementation exceeds the target's limit. The message gives the "
        "estimate; `--max-area` raises the limit, `--mode folded` shares the hardware over time.",
    ),
    "E0313": Code(
        "format cannot express the operation",
        "For example: a zero-free power-of-two or binary weight cannot be pruned or padded, because it has no zero.",
    ),
    "E0314": Code(
        "numeric profile does not fit the model",
        "The named numeric profile states formats for every layer of one known network family.",
    ),
    "E0315": Code(
        "throughput out of reach",
        "No folding of the network is as fast as `--fps` asks for at the clock. The message gives the fastest one.",
    ),
    # 4: gates
    "E0401": Code("gate not met", "A budget or gate that was asked for is not met."),
    # 5: verification
    "E0501": Code(
        "outputs differ from the reference",
        "The implementation's words differ from the interpreter's. The first differing layer and element are named.",
    ),
    "E0502": Code(
        "cycles differ from the estimate",
        "The simulated latency or initiation interval is not what the schedule promised.",
    ),
    "E0503": Code(
        "a planted fault was not caught",
        "`verify --self-test` changed a weight, a golden word or an operator in a way that changes outputs, and "
        "verification still passed. Do not trust the verification until this is repaired.",
    ),
    "E0504": Code(
        "mapped netlist differs from the design",
        "`synth --check` found that the netlist of library cells computes something else than the RTL or the "
        "reference. The module is named. Do not use the netlist; the library or the synthesis tool is at fault.",
    ),
    "E0505": Code(
        "a protected flip-flop failed",
        "`faults` flipped one flip-flop of a triplicated register and the outputs changed, or the flip stayed. "
        "`faults.json` names the registers. The hardening does not do what it promises: do not use this hardware.",
    ),
    # 6: tools
    "E0506": Code(
        "program ended early",
        "The compiled model did not write results for all frames. Its sources or the machine that ran it are at fault.",
    ),
    "E0601": Code(
        "tool missing",
        "An external tool or an optional package is not installed. `edgec doctor` lists all tools and remedies.",
    ),
    "E0602": Code("tool failed", "An external tool ended with an error. The end of its output is shown."),
    "E0603": Code(
        "tool killed",
        "An external tool was ended by a signal. SIGKILL usually means that the machine ran out of memory.",
    ),
    "E0604": Code("tool timed out", "An external tool ran longer than its limit and was stopped (`--timeout`)."),
    "E0605": Code("tool unusable", "The tool was found but is too old or does not work."),
    "E0606": Code("disk full in a tool", "An external tool could not write its files: no space left on the device."),
    # 7: integrity
    "E0701": Code(
        "artefact damaged",
        "A file of the artefact differs from its SHA-256 in the manifest, is missing, or is not listed.",
    ),
    "E0702": Code(
        "weight image damaged",
        "The checksum of a weight image does not fit its content; at least one bit differs.",
    ),
    "E0703": Code(
        "weight image of another network",
        "The network id of the weight image is not that of the hardware it should be loaded into.",
    ),
    "E0704": Code(
        "not an artefact",
        "The folder has no manifest.json, or one of an unknown schema version.",
    ),
    # 8: device
    "E0801": Code("device unreachable", "The device that should run the artefact did not answer."),
    # warnings
    "W0001": Code(
        "synthetic calibration",
        "No calibration data was given; ranges come from a stated synthetic distribution. Accuracy on real data "
        "may be much worse. Give `--calibration data.npz`.",
    ),
    "W0002": Code(
        "saturation",
        "A part of the values saturates in a number format.",
    ),
    "W0003": Code(
        "the model states no opset for a domain",
        "The file uses operators of a domain that its opset imports do not list; version 1 is assumed.",
    ),
    "W0006": Code(
        "priced from the graph alone",
        "The network is too large for a spatial design on this target, so nothing was scheduled; the figures come "
        "from counting its operations.",
    ),
    "W0007": Code(
        "a float tail was cut",
        "The end of the network computes in floating point and was left to the host, as asked for with "
        "`--cut-float-tail`. The artefact keeps it as model/tail.onnx.",
    ),
    "W0004": Code(
        "a layer loses most of the signal",
        "The signal-to-quantisation-noise ratio of a layer is low; the table of `edgec inspect` names it.",
    ),
    "W0012": Code(
        "another precision than the model's",
        "A layer of a Keras model computes in another float format, for example under a policy of mixed precision. The "
        "import computes in float32, so that results differ within the rounding of the narrower format.",
    ),
    "W0005": Code(
        "ties of a quantiser fall the other way",
        "A QONNX quantiser with an odd zero point rounds the shifted level, so that its ties to even go to odd "
        "distances from the zero point. The imported quantiser rounds before it shifts: exact ties differ by a level.",
    ),
    # notes
    "N0001": Code(
        "left in floating point",
        "Post-training quantisation left an operation in floating point, because its arithmetic has no integer form "
        "here or because the options asked for it. A target without floats refuses what remains.",
    ),
    "N0002": Code(
        "nothing to do",
        "A pass that was asked for found nothing to change in this model.",
    ),
    "N0003": Code(
        "stays in floating point",
        "`integerize` found no integer form for an operation: nothing quantises its input or its result, or its "
        "formats do not allow exact integer arithmetic. The note gives the reason. A target without floats refuses it.",
    ),
    "N0004": Code(
        "integer rescaling instead of binary32",
        "The integer rule rounds the exact product of accumulator and multiplier once; onnxruntime rounds both to 24 "
        "bits first. Codes can differ by one where the exact value lies next to the middle between two codes.",
    ),
    "N0005": Code(
        "sums of rescaled tensors in 32 bits",
        "A target of C code adds rescaled tensors (residuals) in 32-bit registers, with coarser multipliers than the "
        "exact rule. Codes can differ by one where the exact value lies next to the middle between two codes.",
    ),
}
