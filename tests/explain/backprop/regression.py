# Regression with a mean squared error; three layers.
import numpy as np

np.random.seed(1)
x = np.random.randn(8, 3)
t = np.random.randn(8, 1)

w1 = np.random.randn(3, 5) * 0.4
c1 = np.zeros(5)
w2 = np.random.randn(5, 5) * 0.4
c2 = np.zeros(5)
w3 = np.random.randn(5, 1) * 0.4
c3 = np.zeros(1)

z1 = x @ w1 + c1
h1 = 1 / (1 + np.exp(-z1))
z2 = h1 @ w2 + c2
h2 = np.tanh(z2)
pred = h2 @ w3 + c3
loss = np.mean((pred - t) ** 2)

grad_pred = 2 * (pred - t) / x.shape[0]
grad_w3 = h2.T @ grad_pred
grad_c3 = grad_pred.sum(axis=0)
grad_h2 = grad_pred @ w3.T
grad_z2 = grad_h2 * (1 - h2**2)
grad_w2 = h1.T @ grad_z2
grad_c2 = grad_z2.sum(axis=0)
grad_h1 = grad_z2 @ w2.T
grad_z1 = grad_h1 * h1 * (1 - h1)
grad_w1 = x.T @ grad_z1
grad_c1 = grad_z1.sum(axis=0)

lr = 0.05
w1 -= lr * grad_w1
c1 -= lr * grad_c1
w2 -= lr * grad_w2
c2 -= lr * grad_c2
w3 -= lr * grad_w3
c3 -= lr * grad_c3
