# A two-layer classifier as in a course on vision: integer labels, a penalty on the weights.
import numpy as np

np.random.seed(0)
N, D, H, C = 5, 4, 6, 3
X = np.random.randn(N, D)
y = np.array([0, 2, 1, 1, 0])
W1 = 0.1 * np.random.randn(D, H)
b1 = np.zeros(H)
W2 = 0.1 * np.random.randn(H, C)
b2 = np.zeros(C)
reg = 0.05

# forward
hidden = np.maximum(0, X.dot(W1) + b1)
scores = hidden.dot(W2) + b2
scores_shifted = scores - np.max(scores, axis=1, keepdims=True)
exp_scores = np.exp(scores_shifted)
probs = exp_scores / np.sum(exp_scores, axis=1, keepdims=True)
data_loss = np.mean(-np.log(probs[np.arange(N), y]))
reg_loss = 0.5 * reg * np.sum(W1 * W1) + 0.5 * reg * np.sum(W2 * W2)
loss = data_loss + reg_loss

# backward
dscores = probs.copy()
dscores[np.arange(N), y] -= 1
dscores /= N
dW2 = hidden.T.dot(dscores)
db2 = np.sum(dscores, axis=0)
dhidden = dscores.dot(W2.T)
dhidden[hidden <= 0] = 0
dW1 = X.T.dot(dhidden)
db1 = np.sum(dhidden, axis=0)
dW2 += reg * W2
dW1 += reg * W1
