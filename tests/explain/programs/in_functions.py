# The forward pass in functions, whose local names are gone when the gradient is taken.
import numpy as np

np.random.seed(11)
X = np.random.randn(5, 3)
T = np.random.randn(5, 2)
params = {"W1": np.random.randn(3, 4), "b1": np.zeros(4), "W2": np.random.randn(4, 2)}


def forward(X, params):
    Z1 = X @ params["W1"] + params["b1"]
    A1 = np.maximum(Z1, 0)
    return A1 @ params["W2"]


def loss_of(Y, T):
    return np.sum((Y - T) ** 2) / len(T)


Y = forward(X, params)
L = loss_of(Y, T) + 0.01 * np.sum(params["W1"] ** 2)
print(f"L = {L:.4f}")
