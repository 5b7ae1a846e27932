# A character MLP with an embedding, in the names of the "makemore" lectures.
import numpy as np

rng = np.random.RandomState(2147483647 % 1000)
vocab_size, n_embd, block_size, n_hidden = 7, 10, 3, 6
C = rng.randn(vocab_size, n_embd)
W1 = rng.randn(n_embd * block_size, n_hidden) * (5 / 3) / (n_embd * block_size) ** 0.5
b1 = rng.randn(n_hidden) * 0.01
W2 = rng.randn(n_hidden, vocab_size) * 0.1
b2 = rng.randn(vocab_size) * 0.1

Xb = np.array([[0, 0, 1],
               [0, 1, 5],
               [1, 5, 5],
               [5, 5, 6]])
Yb = np.array([1, 5, 6, 0])
n = Xb.shape[0]

emb = C[Xb]
embcat = emb.reshape(-1, 30)
hpreact = embcat @ W1 + b1
h = np.tanh(hpreact)
logits = h @ W2 + b2
logit_maxes = logits.max(1, keepdims=True)
norm_logits = logits - logit_maxes
counts = np.exp(norm_logits)
counts_sum = counts.sum(1, keepdims=True)
counts_sum_inv = counts_sum ** -1
probs = counts * counts_sum_inv
logprobs = np.log(probs)
loss = -logprobs[range(n), Yb].mean()

dlogprobs = np.zeros_like(logprobs)
dlogprobs[range(n), Yb] = -1.0 / n
dprobs = (1.0 / probs) * dlogprobs
dcounts_sum_inv = (counts * dprobs).sum(1, keepdims=True)
dcounts = counts_sum_inv * dprobs
dcounts_sum = (-counts_sum ** -2) * dcounts_sum_inv
dcounts += np.ones_like(counts) * dcounts_sum
dnorm_logits = counts * dcounts
dlogits = dnorm_logits.copy()
dlogit_maxes = (-dnorm_logits).sum(1, keepdims=True)
dlogits += np.eye(vocab_size)[logits.argmax(1)] * dlogit_maxes
dh = dlogits @ W2.T
dW2 = h.T @ dlogits
db2 = dlogits.sum(0)
dhpreact = (1.0 - h ** 2) * dh
dembcat = dhpreact @ W1.T
dW1 = embcat.T @ dhpreact
db1 = dhpreact.sum(0)
demb = dembcat.reshape(emb.shape)
dC = np.zeros_like(C)
np.add.at(dC, Xb, demb)

lr = 0.1
C -= lr * dC
W1 -= lr * dW1
b1 -= lr * db1
W2 -= lr * dW2
b2 -= lr * db2
