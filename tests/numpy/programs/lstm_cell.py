# One step of an LSTM: four gates cut out of one product.
import numpy as np

np.random.seed(2)
N, D, H = 3, 2, 4
x = np.random.randn(N, D)
h_prev = np.random.randn(N, H)
c_prev = np.random.randn(N, H)
target = np.random.randn(N, H)
Wx = np.random.randn(D, 4 * H) / np.sqrt(D)
Wh = np.random.randn(H, 4 * H) / np.sqrt(H)
b = np.zeros(4 * H)

a = x.dot(Wx) + h_prev.dot(Wh) + b
i = sigma_i = 1 / (1 + np.exp(-a[:, :H]))
f = 1 / (1 + np.exp(-a[:, H:2 * H]))
o = 1 / (1 + np.exp(-a[:, 2 * H:3 * H]))
g = np.tanh(a[:, 3 * H:])
c = f * c_prev + i * g
tc = np.tanh(c)
h = o * tc
loss = np.mean((h - target) ** 2)

dh = 2 * (h - target) / h.size
do = dh * tc
dc = dh * o * (1 - tc ** 2)
df, di, dg = dc * c_prev, dc * g, dc * i
dc_prev = dc * f
da = np.hstack((di * i * (1 - i), df * f * (1 - f), do * o * (1 - o), dg * (1 - g ** 2)))
dWx, dWh, db = x.T @ da, h_prev.T @ da, np.sum(da, axis=0)
dx = np.matmul(da, Wx.T)
dh_prev = da @ Wh.T
da_by_parts = np.zeros_like(a)
da_by_parts[:, :H] = di * i * (1 - i)
da_by_parts[:, H:2 * H] += df * f * (1 - f)
da_by_parts[..., 2 * H:3 * H] = do * o * (1 - o)
da_by_parts[:, 3 * H:] -= -dg * (1 - g ** 2)
last_row = a[-1]
corner = a[0, -1]
every_other = a[:, ::2]
reverse = a[::-1]
