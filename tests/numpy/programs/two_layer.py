# cs231n's two-layer network: ReLU, softmax loss, L2 regularisation.
import numpy as np

np.random.seed(1)
N, D, H, C = 4, 3, 5, 3
X = np.random.randn(N, D)
y = np.array([0, 2, 1, 1])
W1 = np.random.randn(D, H) * np.sqrt(2.0 / D)
b1 = np.zeros(H)
W2 = np.random.randn(H, C) * np.sqrt(2.0 / H)
b2 = np.zeros(C)
reg = 0.1

hidden = np.maximum(0, X.dot(W1) + b1)
scores = hidden.dot(W2) + b2
shifted = scores - scores.max(axis=1, keepdims=True)
log_probs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
loss = -log_probs[np.arange(N), y].mean()
loss += reg * (np.sum(W1 * W1) + np.sum(W2 ** 2))

dscores = np.exp(log_probs)
dscores[np.arange(N), y] -= 1
dscores /= N
dW2 = hidden.T @ dscores + 2 * reg * W2
db2 = dscores.sum(axis=0)
dhidden = dscores @ W2.T
dhidden[hidden <= 0] = 0
dW1 = X.T @ dhidden + 2 * reg * W1
db1 = dhidden.sum(axis=0)

learning_rate = 0.5
W1 -= learning_rate * dW1
b1 -= learning_rate * db1
W2 -= learning_rate * dW2
b2 -= learning_rate * db2
accuracy = np.mean(np.argmax(scores, axis=1) == y)
