"""A network of any depth: weights in lists, a mini-batch, momentum, everything in main()."""
import numpy as np


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


def sigmoid_prime(z):
    s = sigmoid(z)
    return s * (1 - s)


def init(sizes, scale=0.5):
    weights = [np.random.randn(a, b) * scale for a, b in zip(sizes[:-1], sizes[1:])]
    biases = [np.random.randn(1, b) * scale for b in sizes[1:]]
    return weights, biases


np.random.seed(11)
sizes = [4, 5, 3, 1]
weights, biases = init(sizes)
data = np.random.rand(10, 5)
X_all, y_all = data[:, :-1], data[:, -1:]
X_all = (X_all - X_all.mean(axis=0)) / X_all.std(axis=0)
perm = np.random.permutation(len(X_all))
batch_size = 6
Xb = X_all[perm[:batch_size]]
yb = y_all[perm[:batch_size]]

zs = []
activations = [Xb]
for W, b in zip(weights, biases):
    zs.append(np.dot(activations[-1], W) + b)
    activations.append(sigmoid(zs[-1]))
output = activations[-1]
loss = 0.5 * np.sum((output - yb) ** 2) / batch_size

delta = (output - yb) / batch_size * sigmoid_prime(zs[-1])
grad_w = [np.zeros(W.shape) for W in weights]
grad_b = [np.zeros_like(b) for b in biases]
for l in range(len(weights) - 1, -1, -1):
    grad_w[l] = activations[l].T @ delta
    grad_b[l] = delta.sum(axis=0, keepdims=True)
    if l > 0:
        delta = delta @ weights[l].T * sigmoid_prime(zs[l - 1])

momentum = 0.9
velocity = [momentum * np.zeros_like(g) - 0.1 * g for g in grad_w]
new_weights = [W + v for W, v in zip(weights, velocity)]
norm = np.sqrt(sum(np.sum(g ** 2) for g in grad_w))
