"""Runs in the emulated machine: `python3 guest.py RUNTIME MODEL N REGION`, N inferences of MODEL between two markers.

REGION is the library that holds the marker. Prints one line of JSON: the first output's first values, sum and size.
Two inferences go ahead, which choose kernels and pack weights. Inputs are seeded noise.
"""

import ctypes
import json
import sys

import numpy as np

RANDOM = np.random.default_rng(0)


def noise(shape, dtype):
    shape = [d if isinstance(d, int) and d > 0 else 1 for d in shape]
    if np.dtype(dtype) == np.int8:
        return RANDOM.integers(-128, 128, shape, dtype=np.int8)
    return RANDOM.random(shape, dtype=np.float32)


def litert(model, delegate=True):
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    kind = OpResolverType.AUTO if delegate else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(model, num_threads=1, experimental_op_resolver_type=kind)
    interpreter.allocate_tensors()
    entry = interpreter.get_input_details()[0]
    interpreter.set_tensor(entry["index"], noise(entry["shape"].tolist(), entry["dtype"]))
    output = interpreter.get_output_details()[0]["index"]
    return interpreter.invoke, lambda: interpreter.get_tensor(output)


def onnxruntime(model):
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    entry = session.get_inputs()[0]
    binding = session.io_binding()  # a plain `run` spends 20 thousand instructions in Python on names and copies
    binding.bind_cpu_input(entry.name, noise(entry.shape, {"tensor(int8)": np.int8}.get(entry.type, np.float32)))
    binding.bind_output(session.get_outputs()[0].name)
    return lambda: session.run_with_iobinding(binding), lambda: binding.copy_outputs_to_cpu()[0]


def ncnn(model):
    import ncnn

    net = ncnn.Net()
    net.opt.num_threads = 1
    net.load_param(model)
    net.load_model(ncnn.DataReaderFromEmpty())
    with open(model) as file:  # noqa: PTH123
        words = next(line for line in file if line.startswith("Input ")).split()[5:]
    data = ncnn.Mat(noise([int(word.split("=")[1]) for word in reversed(words)], np.float32)).clone()

    def run():
        extractor = net.create_extractor()
        extractor.input("data", data)
        return extractor.extract("output")[1]

    return run, lambda: np.array(run())


def main(runtime, model, count, region):
    marker = ctypes.CDLL(region).region
    runners = {"litert": litert, "litert-ruy": lambda m: litert(m, False), "onnxruntime": onnxruntime, "ncnn": ncnn}
    run, result = runners[runtime](model)
    run()
    run()
    marker()
    for _ in range(count):
        run()
    marker()
    values = np.asarray(result()).ravel()
    print(
        json.dumps({"first": values[:4].tolist(), "sum": float(values.astype(np.float64).sum()), "size": values.size})
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
