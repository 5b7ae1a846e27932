# Self-attention with a causal mask and layer normalisation, a batch of short sequences.
import numpy as np


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def layer_norm(x, gamma, beta, eps=1e-5):
    mean = x.mean(axis=-1, keepdims=True)
    var = x.var(axis=-1, keepdims=True)
    return gamma * (x - mean) / np.sqrt(var + eps) + beta


np.random.seed(4)
B, T, C = 2, 3, 4
tokens = np.array([[1, 0, 2], [3, 3, 1]])
y = np.array([[0, 2, 3], [3, 1, 1]])
E = np.random.randn(5, C)
P = np.random.normal(0, 0.1, size=(T, C))
Wq = np.random.uniform(-0.5, 0.5, (C, C))
Wk = np.random.uniform(-0.5, 0.5, (C, C))
Wv = np.random.uniform(-0.5, 0.5, (C, C))
gamma, beta = np.ones(C), np.zeros(C)
Wo = np.random.randn(C, C)

x = E[tokens] + P
n = layer_norm(x, gamma, beta)
q, k, v = n @ Wq, n @ Wk, n @ Wv
att = q @ k.transpose(0, 2, 1) / np.sqrt(C)
causal = np.arange(T)[:, None] >= np.arange(T)[None, :]
att = np.where(causal, att, -1e9)
w = softmax(att)
out = x + np.matmul(w, v)
logits = (out @ Wo).reshape(B * T, C)
p = softmax(logits, axis=1)
flat = y.reshape(-1)
loss = -np.mean(np.log(p[np.arange(B * T), flat]))
correct = (p.argmax(axis=1) == flat).sum()
dlogits = (p - np.eye(C)[flat]) / (B * T)
dWo = out.reshape(-1, C).T @ dlogits
sizes = np.array([B, T, C]) * 2
