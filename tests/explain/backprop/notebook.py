import numpy as np

np.random.seed(42)

# Data
X = np.array([[0.5, 1.2], [1.0, -0.7], [-0.3, 0.8]])
labels = np.array([0, 1, 0])
Y = np.eye(2)[labels]
m = X.shape[0]

# Parameters
W1 = np.random.randn(2, 3) * 0.01
b1 = np.zeros((1, 3))
W2 = np.random.randn(3, 2) * 0.01
b2 = np.zeros((1, 2))

def relu(z):
    return np.maximum(0, z)

def softmax(z):
    e = np.exp(z - np.max(z, axis=1, keepdims=True))
    return e / np.sum(e, axis=1, keepdims=True)

# Forward pass
Z1 = np.dot(X, W1) + b1
A1 = relu(Z1)
Z2 = np.dot(A1, W2) + b2
A2 = softmax(Z2)
loss = -np.sum(Y * np.log(A2 + 1e-9)) / m
print("Loss before backpropagation:", loss)

# Backward pass
dZ2 = A2 - Y
dW2 = np.dot(A1.T, dZ2) / m
db2 = np.sum(dZ2, axis=0, keepdims=True) / m
dA1 = np.dot(dZ2, W2.T)
dZ1 = dA1 * (Z1 > 0)
dW1 = np.dot(X.T, dZ1) / m
db1 = np.sum(dZ1, axis=0, keepdims=True) / m

# Update
learning_rate = 0.01
W1 -= learning_rate * dW1
b1 -= learning_rate * db1
W2 -= learning_rate * dW2
b2 -= learning_rate * db2
print("Updated W1:\n", W1)
