# XOR with samples in columns: W @ X + b, sigmoid and mean squared error.
import numpy as np

X = np.array([[0, 0, 1, 1],
              [0, 1, 0, 1]])          # (2, 4)
Y = np.array([[0, 1, 1, 0]])          # (1, 4)
n_x, m = X.shape
n_h = 3

np.random.seed(7)
params = {
    "W1": np.random.randn(n_h, n_x),
    "b1": np.zeros((n_h, 1)),
    "W2": np.random.randn(1, n_h),
    "b2": np.zeros((1, 1)),
}


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def forward(X, params):
    Z1 = params["W1"] @ X + params["b1"]
    A1 = sigmoid(Z1)
    Z2 = params["W2"] @ A1 + params["b2"]
    A2 = sigmoid(Z2)
    cache = {"Z1": Z1, "A1": A1, "Z2": Z2, "A2": A2}
    return A2, cache


def backward(X, Y, params, cache):
    m = X.shape[1]
    A1, A2 = cache["A1"], cache["A2"]
    dA2 = 2 * (A2 - Y) / m
    dZ2 = dA2 * A2 * (1 - A2)
    dW2 = dZ2 @ A1.T
    db2 = np.sum(dZ2, axis=1, keepdims=True)
    dZ1 = (params["W2"].T @ dZ2) * A1 * (1 - A1)
    dW1 = dZ1 @ X.T
    db1 = np.sum(dZ1, axis=1, keepdims=True)
    return {"dW1": dW1, "db1": db1, "dW2": dW2, "db2": db2}


A2, cache = forward(X, params)
cost = np.mean((A2 - Y) ** 2)
grads = backward(X, Y, params, cache)
lr = 0.5
for i in range(1, 3):
    params["W" + str(i)] = params["W" + str(i)] - lr * grads["dW" + str(i)]
    params[f"b{i}"] = params[f"b{i}"] - lr * grads[f"db{i}"]
predictions = (A2 > 0.5).astype(int)
