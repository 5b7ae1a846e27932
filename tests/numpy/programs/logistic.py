# Logistic regression with vectors, weight decay, dropout's mask, Adam, and odds and ends.
import numpy as np

np.random.seed(10)
m, n = 8, 3
X = np.random.randn(m, n)
y = (np.random.rand(m) > 0.5).astype(float)
w = np.random.randn(n) * 0.1
b = 0.0
keep_prob = 0.8
mask = (np.random.rand(m, n) < keep_prob) / keep_prob
lam = 0.01

Xd = X * mask
z = Xd.dot(w) + b
a = 1 / (1 + np.exp(-z))
eps = 1e-12
cost = (-1 / m) * np.sum(y * np.log(a + eps) + (1 - y) * np.log(1 - a + eps)) \
    + lam / (2 * m) * np.dot(w, w)

dz = (a - y) / m
dw = np.dot(Xd.T, dz) + lam / m * w
db = dz.sum()
outer = np.outer(dw, w)

beta1, beta2, t = 0.9, 0.999, 1
mw, vw = np.zeros(n), np.zeros(n)
mw = beta1 * mw + (1 - beta1) * dw
vw = beta2 * vw + (1 - beta2) * dw ** 2
w = w - 0.01 * (mw / (1 - beta1 ** t)) / (np.sqrt(vw / (1 - beta2 ** t)) + 1e-8)
b -= 0.01 * db

clipped = np.clip(z, -0.1, 0.1)
lowest, highest = z.min(), np.amax(z)
signs = np.sign(z)
shapes = np.vstack([X[0], X[1]])
tall = np.concatenate((X, Xd), axis=0)
leaky = np.where(z > 0, z, 0.01 * z)
hinge = np.maximum(0, 1 - (2 * y - 1) * z).mean()
hinge_abs = np.abs(z).mean() if hinge > 0 else 0.0
order = np.random.randint(0, m, size=4)
picked = X[order]
squeezed = np.squeeze(X[:, :1])
widened = squeezed[:, np.newaxis]
swapped = np.expand_dims(z, 0).T
total = sum([1, 2, 3]) + len(X) + X.ndim
flat = X.flatten()
log_sum = np.log1p(np.exp(z)).sum()
