"""Records small models of real Keras and QKeras with inputs and outputs. Not run by the tests; see README.md.

    python make_models.py keras3 | keras2 | qkeras [FUNCTION]

Every model is one input and many outputs, one for each layer that is tested, with seeded random weights.
"""

from __future__ import annotations

import os
import sys
import zipfile
from pathlib import Path

import numpy as np

KIND = sys.argv[1]
if KIND != "keras3":
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    import tf_keras as keras
else:
    import keras

L, Model, Sequential = keras.layers, keras.Model, keras.Sequential
HERE = Path(__file__).parent


def record(model, name: str, suffixes: tuple[str, ...], low=-2.0, high=2.0, step=0.0, frames=3) -> None:
    """Randomise the weights, save the model, and record what it computes; inputs are multiples of `step`."""
    random = np.random.default_rng(len(name))
    for weight in model.weights:
        values = random.normal(0, 0.5, weight.shape)
        if "variance" in weight.name:
            values = random.uniform(0.3, 2.0, weight.shape)
        if weight.dtype in ("int64", "int32"):
            continue
        weight.assign(values.astype(np.float32))
    shape = tuple(int(n) for n in model.inputs[0].shape[1:])
    x = random.uniform(low, high, (frames, *shape))
    x = (np.round(x / step) * step if step else x).astype(np.float32)
    for suffix in suffixes:
        model.save(HERE / f"{name}{suffix}")
    if KIND != "qkeras":  # as a user gets it back: Normalization takes its statistics over when it is loaded
        model = keras.models.load_model(HERE / f"{name}{suffixes[-1]}", compile=False)
    outputs = model(x, training=False)
    outputs = outputs if isinstance(outputs, list | tuple) else [outputs]
    np.savez_compressed(HERE / f"{name}.npz", x=x, **{f"y{i}": np.asarray(y) for i, y in enumerate(outputs)})
    if ".keras" in suffixes:
        compress(HERE / f"{name}.keras")
    print(name, [round(float(np.abs(y).max()), 3) for y in outputs])


def compress(path: Path) -> None:
    """The same archive with its members deflated, which Keras stores as they are."""
    with zipfile.ZipFile(path) as archive:
        members = {n: archive.read(n) for n in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, data in members.items():
            archive.writestr(zipfile.ZipInfo(member, (2000, 1, 1, 0, 0, 0)), data, zipfile.ZIP_DEFLATED)


def tag(name: str) -> str:
    return f"{name}_{KIND}"


FIRST_SUFFIX = (".keras",) if KIND == "keras3" else (".h5",)


def convolutions() -> None:
    x = L.Input((9, 8, 3), name="image")
    plain = [
        L.Conv2D(4, 3, padding="same", strides=2, activation="relu")(x),
        L.Conv2D(2, (3, 2), dilation_rate=2, use_bias=False)(x),
        L.Conv2D(6, 3, groups=3, padding="same", strides=(2, 1))(x),
        L.DepthwiseConv2D(3, padding="same", strides=2, depth_multiplier=2)(x),
        L.DepthwiseConv2D((2, 3), padding="valid")(x),
        L.SeparableConv2D(4, 3, padding="same", depth_multiplier=2)(x),
    ]
    record(Model(x, plain, name="net"), tag("conv2d"), FIRST_SUFFIX)
    x = L.Input((5, 4, 2), name="image")
    transposed = [
        L.Conv2DTranspose(2, 3, strides=2, padding="same")(x),
        L.Conv2DTranspose(3, 4, strides=3)(x),
        L.Conv2DTranspose(2, 2, strides=3, padding="same")(x),
        L.Conv2DTranspose(2, 3, strides=2, padding="same", output_padding=0)(x),
        L.Conv2DTranspose(2, 3, strides=2, padding="valid", output_padding=1)(x),
        L.Conv2DTranspose(2, 3, dilation_rate=2, padding="same")(x),
    ]
    record(Model(x, transposed, name="net"), tag("transposed"), FIRST_SUFFIX)


def image() -> None:
    x = L.Input((9, 7, 3), name="image")
    c = L.Conv2D(4, 3, padding="same", name="stem")(x)
    se = L.GlobalAveragePooling2D(keepdims=True)(c)
    ys = [
        L.MaxPooling2D(3, strides=2, padding="same")(x),
        L.MaxPooling2D((2, 3))(c),
        L.AveragePooling2D(3, strides=2, padding="same")(x),
        L.AveragePooling2D(2, strides=1)(c),
        L.GlobalAveragePooling2D()(c),
        L.GlobalMaxPooling2D()(x),
        L.Multiply()([c, se]),
        L.Add()([c, L.Conv2D(4, 1)(x)]),
        L.Concatenate()([c, x]),
        L.Concatenate(axis=1)([c, c]),
    ]
    record(Model(x, ys, name="net"), tag("pool2d"), FIRST_SUFFIX)
    x = L.Input((5, 4, 3), name="image")
    c = L.Conv2D(4, 3, name="stem")(x)
    ys = [
        L.ZeroPadding2D(((1, 2), (0, 3)))(x),
        L.ZeroPadding2D(2)(c),
        L.Cropping2D(((1, 0), (0, 1)))(c),
        L.UpSampling2D(2)(c),
        L.UpSampling2D((2, 3), interpolation="bilinear")(x),
        L.Reshape((4, -1))(c),
        L.Permute((3, 1, 2))(c),
        L.Dense(3)(c),
        L.PReLU(shared_axes=[1, 2])(c),
        L.PReLU()(c),
        L.Softmax(axis=2)(c),
    ]
    record(Model(x, ys, name="net"), tag("shape2d"), FIRST_SUFFIX)
    x = L.Input((5, 4, 3), name="image")
    c = L.Conv2D(4, 3, name="stem")(x)
    f = L.Flatten()(c)
    ys = [
        f,
        L.Dense(3)(f),
        L.Dense(3)(L.BatchNormalization()(L.ReLU()(f))),
        L.Softmax()(f),
        L.Flatten()(x),
        L.BatchNormalization(epsilon=0.01)(c),
        L.BatchNormalization(axis=1, scale=False)(x),
        L.LayerNormalization()(c),
        L.LayerNormalization(axis=[2, 3])(x),
    ]
    record(Model(x, ys, name="net"), tag("flatten"), FIRST_SUFFIX)


def sequence() -> None:
    x = L.Input((11, 4), name="signal")
    c = L.Conv1D(3, 3, padding="same", strides=2, name="stem")(x)
    ys = [
        c,
        L.Conv1D(3, 3, padding="causal", dilation_rate=2, activation="tanh")(x),
        L.Conv1D(4, 2, groups=2)(x),
        L.SeparableConv1D(3, 3, padding="same")(x),
        L.Conv1DTranspose(2, 3, strides=2, padding="same")(c),
        L.MaxPooling1D(3, strides=2, padding="same")(c),
        L.AveragePooling1D(2, padding="same")(x),
        L.GlobalAveragePooling1D()(c),
    ]
    record(Model(x, ys, name="net"), tag("conv1d"), FIRST_SUFFIX)
    x = L.Input((7, 4), name="signal")
    c = L.Conv1D(3, 2, name="stem")(x)
    ys = [
        L.GlobalMaxPooling1D()(x),
        L.ZeroPadding1D((1, 2))(c),
        L.Cropping1D((2, 1))(x),
        L.UpSampling1D(3)(c),
        L.BatchNormalization()(c),
        L.Dense(5, use_bias=False)(c),
        L.Dense(2)(L.Flatten()(c)),
        L.DepthwiseConv1D(2, depth_multiplier=2)(x),
    ]
    record(Model(x, ys, name="net"), tag("shape1d"), FIRST_SUFFIX)


def vector() -> None:
    x = L.Input((6,), name="features")
    words = ["relu", "relu6", "elu", "selu", "gelu", "sigmoid", "hard_sigmoid", "tanh", "softmax", "swish", "softplus"]
    words += (
        ["softsign", "exponential", "linear", "mish"] if KIND == "keras3" else ["softsign", "exponential", "linear"]
    )
    words += ["leaky_relu", "hard_silu", "log_softmax", "silu", "celu", "hard_tanh"] if KIND == "keras3" else []
    record(Model(x, [L.Activation(w)(x) for w in words], name="net"), tag("activations"), FIRST_SUFFIX, -5, 5)
    slope = {"negative_slope": 0.25}
    ys = [
        L.ReLU(max_value=1.5)(x),
        L.ReLU(**slope)(x),
        L.ReLU(max_value=2.0, threshold=0.5, **slope)(x),
        L.ReLU(threshold=1.0)(x),
        L.LeakyReLU()(x),
        L.ELU(alpha=0.5)(x),
        L.Softmax()(x),
        L.PReLU()(x),
        L.Dense(3, activation="relu6")(x),
        L.Rescaling(0.5, offset=-1)(x),
        L.Normalization(mean=[1.0, 2, 3, 4, 5, 6], variance=[1.0, 2, 3, 4, 5, 6])(x),
        L.Normalization()(x),
    ]
    if KIND == "keras2":
        ys.append(L.ThresholdedReLU(theta=0.7)(x))
    record(Model(x, ys, name="net"), tag("layers"), FIRST_SUFFIX, -3, 3)
    a, b = L.Dense(4, name="a")(x), L.Dense(4, name="b")(x)
    ys = [cls()([a, b]) for cls in (L.Add, L.Subtract, L.Multiply, L.Average, L.Maximum, L.Minimum, L.Concatenate)]
    ys += [L.Average()([a, b, a]), L.Dot(axes=1)([a, b])]
    ys += [L.Dot(axes=(1, 2))([L.Reshape((2, 2))(a), L.Reshape((2, 2))(b)])]
    ys += [L.GaussianNoise(0.3)(L.Dropout(0.5)(a))]
    record(Model(x, ys, name="net"), tag("merge"), FIRST_SUFFIX)


def nested() -> None:
    layers = [L.Input((6, 5, 2)), L.Conv2D(2, 3, padding="same"), L.BatchNormalization(), L.ReLU()]
    block = Sequential(layers, name="block")
    i = L.Input((4,), name="inner_in")
    head = Model(i, [L.Dense(3, name="left")(i), L.Dense(2, activation="tanh", name="right")(i)], name="head")
    x = L.Input((6, 5, 2), name="image")
    a = block(x)
    b = block(a)
    left, right = head(L.Dense(4)(L.Flatten()(L.Add()([a, b]))))
    record(Model(x, [left, right, a], name="net"), tag("nested"), (".h5", ".keras"))
    top = [L.Input((6,))] if KIND == "keras3" else []
    first = L.Dense(5) if top else L.Dense(5, input_shape=(6,))
    layers = [*top, first, L.BatchNormalization(), L.Dense(2, activation="softmax")]
    record(Sequential(layers), tag("sequential"), (".h5", ".keras"))


def recurrent() -> None:
    x = L.Input((5, 3), name="signal")
    hard = {"recurrent_activation": "hard_sigmoid"}
    ys = [
        L.SimpleRNN(4)(x),
        L.SimpleRNN(3, activation="relu", return_sequences=True, go_backwards=True, use_bias=False)(x),
        L.SimpleRNN(3, activation="hard_sigmoid")(x),
        L.LSTM(4)(x),
        *L.LSTM(3, return_sequences=True, return_state=True, go_backwards=True, **hard)(x),
        L.LSTM(2, activation="softsign", use_bias=False)(x),
        L.GRU(4, reset_after=True)(x),
        *L.GRU(3, reset_after=False, return_sequences=True, return_state=True)(x),
        L.GRU(3, reset_after=True, use_bias=False, activation="hard_sigmoid", go_backwards=True, **hard)(x),
    ]
    record(Model(x, ys, name="net"), tag("recurrent"), FIRST_SUFFIX)
    x = L.Input((4, 3), name="signal")
    sequences = {"return_sequences": True}
    both = L.Bidirectional(L.LSTM(3, **sequences), name="both")(x)
    y, h, c = L.LSTM(2, return_state=True, name="encoder")(both)
    mixed = L.Bidirectional(
        L.GRU(2, **sequences), backward_layer=L.SimpleRNN(2, go_backwards=True, **sequences), merge_mode="sum"
    )
    ys = [
        y,
        L.LSTM(2, name="decoder", **sequences)(x, initial_state=[h, c]),
        L.Bidirectional(L.GRU(2), merge_mode="ave")(x),
        L.Bidirectional(L.SimpleRNN(2), merge_mode="mul")(x),
        *L.Bidirectional(L.GRU(2, reset_after=False, **sequences), merge_mode=None)(x),
        *L.Bidirectional(L.LSTM(2, return_state=True))(x),
        mixed(x),
        L.Bidirectional(L.GRU(2, **sequences), name="started")(x, initial_state=[h, c]),
        L.TimeDistributed(L.Dense(3, activation="tanh"))(both),
        L.TimeDistributed(L.Conv1D(2, 2, padding="same"))(L.Reshape((4, 3, 2))(both)),
        L.TimeDistributed(L.LSTM(2))(L.Reshape((4, 3, 2))(both)),
        L.Dense(2)(L.Dropout(0.5)(both)),
    ]
    record(Model(x, ys, name="net"), tag("directions"), (".keras", ".h5") if KIND == "keras3" else FIRST_SUFFIX)


def qkeras() -> None:
    import qkeras as q

    kernels = [
        "quantized_bits(6,0,alpha=1)",
        "quantized_bits(4,1,1,alpha=0.5)",
        "quantized_bits(5,0)",
        "quantized_bits(4,0,alpha='auto')",
        "quantized_bits(1,0,alpha=1)",
        "binary(alpha=1)",
        "binary()",
        "binary(alpha='auto')",
        "stochastic_binary(alpha='auto_po2')",
        "ternary(alpha=1,threshold=0.4)",
        "ternary()",
        "stochastic_ternary(alpha='auto')",
        "quantized_po2(4)",
        "quantized_po2(5,max_value=1)",
        "quantized_po2(4,quadratic_approximation=1)",
    ]
    x = L.Input((6,), name="features")
    half = len(kernels) // 2
    for part, chosen in (("a", kernels[:half]), ("b", kernels[half:])):
        ys = [q.QDense(3, kernel_quantizer=k, bias_quantizer="quantized_bits(6,2,alpha=1)")(x) for k in chosen]
        record(Model(x, ys, name="net"), f"qdense_{part}", (".h5",), step=2.0**-6)
    activations = [
        "quantized_bits(6,2)",
        "quantized_bits(4,0,1,alpha=1)",
        "quantized_bits(4,1,0,0)",
        "quantized_bits(6,1,alpha=0.5)",
        "quantized_bits(1,0,alpha=1)",
        "quantized_relu(4,1)",
        "quantized_relu(6,2,0,0.25)",
        "quantized_relu(3,1,use_stochastic_rounding=1)",
        "quantized_tanh(5)",
        "quantized_tanh(5,use_real_tanh=1)",
        "quantized_sigmoid(4)",
        "quantized_sigmoid(4,1,use_real_sigmoid=1)",
        "quantized_hswish(6,2)",
        "binary()",
        "binary(alpha=0.5)",
        "binary(use_01=1)",
        "ternary(threshold=0.5)",
        "stochastic_ternary(alpha=2.0)",
        "quantized_po2(4)",
        "quantized_relu_po2(3)",
        "quantized_relu_po2(4,2)",
        "quantized_po2(4,quadratic_approximation=1)",
    ]
    x = L.Input((40,), name="features")
    ys = [q.QActivation(a)(x) for a in activations]
    record(Model(x, ys, name="net"), "qactivations", (".h5",), -4.0, 4.0, step=2.0**-6)
    x = L.Input((8, 8, 1), name="cells")
    y = q.QActivation("quantized_bits(8,1,alpha=1)", name="cells_q")(x)
    bits = {"kernel_quantizer": "quantized_bits(6,0,alpha=1)", "bias_quantizer": "quantized_bits(6,0,alpha=1)"}
    y = q.QConv2D(8, 3, strides=2, padding="same", name="conv", **bits)(y)
    y = q.QActivation("quantized_relu(8,1)", name="relu")(y)
    y = q.QDense(16, name="encoded", **bits)(L.Flatten()(y))
    y = q.QActivation("quantized_relu(9,1)", name="out")(y)
    record(Model(x, y, name="encoder"), "qencoder", (".h5",), 0.0, 1.9, step=2.0**-8, frames=64)
    x = y = L.Input((16,), name="jet")
    y = q.QActivation("quantized_bits(8,3)")(y)
    kernels = ["quantized_bits(4,0)", "ternary()", "binary()", "quantized_po2(4)"]
    activations = ["relu(6,2)", "relu(6,3)", "relu(6,3)", "bits(8,4)"]
    for kernel, units, activation in zip(kernels, (12, 10, 8, 5), activations, strict=True):
        y = q.QDense(units, kernel_quantizer=kernel, bias_quantizer="quantized_bits(6,1,alpha=1)")(y)
        y = q.QActivation(f"quantized_{activation}")(y)
    record(Model(x, y, name="tagger"), "qtagger", (".h5",), -6.0, 6.0, step=2.0**-4, frames=64)
    x = L.Input((7, 6, 2), name="image")
    y = q.QActivation("quantized_bits(6,1)")(x)
    y = q.QConv2D(4, 3, kernel_quantizer="quantized_bits(4,0)", use_bias=False)(y)
    y = q.QBatchNormalization(mean_quantizer=None, variance_quantizer=None, beta_quantizer=None, gamma_quantizer=None)(
        y
    )
    y = L.MaxPooling2D(2)(q.QActivation("quantized_relu(5,2)")(y))
    y = q.QDense(3, kernel_quantizer="ternary(alpha=1)", bias_quantizer="quantized_bits(4,0,alpha=1)")(L.Flatten()(y))
    y = q.QActivation("quantized_bits(8,3)")(y)
    record(Model(x, y, name="camera"), "qcamera", (".h5",), step=2.0**-4, frames=64)
    x = L.Input((6, 5, 2), name="image")
    po2 = {"bias_quantizer": "quantized_bits(8,2,alpha=1)", "depthwise_quantizer": "quantized_bits(4,0)"}
    d = q.QDepthwiseConv2D(3, padding="same", depth_multiplier=2, activation="quantized_relu(6,3)", **po2)(x)
    d = q.QBatchNormalization()(d)
    d = q.QBatchNormalization(
        beta_quantizer="quantized_bits(6,2,alpha=1)",
        gamma_quantizer="quantized_bits(6,2,alpha=1)",
        mean_quantizer=None,
        variance_quantizer=None,
    )(d)
    s = q.QSeparableConv2D(3, 3, pointwise_quantizer="ternary()", **po2)(x)
    row = L.Reshape((30, 2))(x)
    c = q.QConv1D(3, 2, kernel_quantizer="quantized_bits(4,0)", activation=q.quantized_relu(5, 2))(row)
    s1 = q.QSeparableConv1D(3, 2, pointwise_quantizer="quantized_bits(4,0)", **po2)(row)
    record(Model(x, [d, s, c, s1], name="net"), "qconv", (".h5",), step=2.0**-4)


if __name__ == "__main__":
    if KIND == "qkeras":
        qkeras()
    elif len(sys.argv) > 2:  # one function alone
        globals()[sys.argv[2]]()
    else:
        convolutions()
        image()
        sequence()
        vector()
        nested()
        recurrent()
