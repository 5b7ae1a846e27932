# A two-layer network with its backpropagation written by hand. One line is wrong; which?
#
#     chainrule check examples/backprop.py
import numpy as np

np.random.seed(0)
m = 8
X = np.random.randn(m, 3)
Y = np.eye(2)[np.array([0, 1, 1, 0, 1, 0, 0, 1])]
W1 = np.random.randn(3, 4) * 0.5
b1 = np.zeros((1, 4))
W2 = np.random.randn(4, 2) * 0.5
b2 = np.zeros((1, 2))

# forward
Z1 = np.dot(X, W1) + b1
A1 = np.tanh(Z1)
Z2 = np.dot(A1, W2) + b2
E = np.exp(Z2 - np.max(Z2, axis=1, keepdims=True))
A2 = E / np.sum(E, axis=1, keepdims=True)
loss = -np.sum(Y * np.log(A2)) / m

# backward
dZ2 = (A2 - Y) / m
dW2 = np.dot(A1.T, dZ2)
db2 = np.sum(dZ2, axis=0, keepdims=True)
dA1 = np.dot(dZ2, W2.T)
dZ1 = dA1 * A1 * (1 - A1)
dW1 = np.dot(X.T, dZ1)
db1 = np.sum(dZ1, axis=0, keepdims=True)
