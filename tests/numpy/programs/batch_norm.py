# Batch normalisation by hand between two layers.
import numpy as np

np.random.seed(3)
N, D, H = 6, 4, 3
X = np.random.randn(N, D)
t = np.random.randn(N, 1)
W1 = 0.5 * np.random.randn(D, H)
gamma = np.ones(H)
beta = np.zeros(H)
W2 = 0.5 * np.random.randn(H, 1)
eps = 1e-5

z = X @ W1
mu = z.mean(axis=0)
xc = z - mu
var = np.mean(xc ** 2, axis=0)
std = np.sqrt(var + eps)
zhat = xc / std
out = gamma * zhat + beta
a = np.tanh(out)
pred = a @ W2
loss = np.mean((pred - t) ** 2)

dpred = 2 * (pred - t) / N
dW2 = a.T @ dpred
da = dpred @ W2.T
dout = da * (1 - a ** 2)
dbeta = dout.sum(axis=0)
dgamma = np.sum(dout * zhat, axis=0)
dzhat = dout * gamma
dxc = dzhat / std
dstd = -np.sum(dzhat * xc / std ** 2, axis=0)
dvar = 0.5 * dstd / std
dxc += 2.0 / N * xc * dvar
dmu = -np.sum(dxc, axis=0)
dz = dxc + dmu / N
dW1 = X.T @ dz
unbiased = z.var(axis=0, ddof=1)
spread = np.std(X)
