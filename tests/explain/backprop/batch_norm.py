# Batch normalisation, taken apart.
import numpy as np

np.random.seed(5)
N, D = 6, 4
x = np.random.randn(N, D)
target = np.random.randn(N, D)
gamma = np.ones(D)
beta = np.zeros(D)
eps = 1e-5

mu = np.mean(x, axis=0)
xmu = x - mu
var = np.mean(xmu**2, axis=0)
std = np.sqrt(var + eps)
xhat = xmu / std
out = gamma * xhat + beta
loss = 0.5 * np.sum((out - target) ** 2)

dout = out - target
dbeta = np.sum(dout, axis=0)
dgamma = np.sum(dout * xhat, axis=0)
dxhat = dout * gamma
dstd = np.sum(-dxhat * xmu / std**2, axis=0)
dvar = dstd / (2 * std)
dxmu = dxhat / std + 2 * xmu * dvar / N
dmu = -np.sum(dxmu, axis=0)
dx = dxmu + dmu / N
