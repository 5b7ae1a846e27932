# A recurrent network over three steps, with shared weights.
import numpy as np

np.random.seed(7)
x1 = np.random.randn(2, 3)
x2 = np.random.randn(2, 3)
x3 = np.random.randn(2, 3)
target = np.random.randn(2, 2)
Wxh = np.random.randn(3, 4) * 0.5
Whh = np.random.randn(4, 4) * 0.5
bh = np.zeros(4)
Why = np.random.randn(4, 2) * 0.5
by = np.zeros(2)
h0 = np.zeros((2, 4))

h1 = np.tanh(x1 @ Wxh + h0 @ Whh + bh)
h2 = np.tanh(x2 @ Wxh + h1 @ Whh + bh)
h3 = np.tanh(x3 @ Wxh + h2 @ Whh + bh)
y = h3 @ Why + by
loss = 0.5 * np.sum((y - target) ** 2) + 0.1 * np.sum(h1 ** 2)

dWxh = np.zeros_like(Wxh)
dWhh = np.zeros_like(Whh)
dbh = np.zeros_like(bh)

dy = y - target
dWhy = h3.T @ dy
dby = np.sum(dy, axis=0)

dh3 = dy @ Why.T
draw3 = dh3 * (1 - h3 * h3)
dWxh += x3.T @ draw3
dWhh += h2.T @ draw3
dbh += np.sum(draw3, axis=0)

dh2 = draw3 @ Whh.T
draw2 = dh2 * (1 - h2 * h2)
dWxh += x2.T @ draw2
dWhh += h1.T @ draw2
dbh += np.sum(draw2, axis=0)

dh1 = draw2 @ Whh.T
dh1 += 0.2 * h1
draw1 = dh1 * (1 - h1 * h1)
dWxh += x1.T @ draw1
dWhh += h0.T @ draw1
dbh += np.sum(draw1, axis=0)
